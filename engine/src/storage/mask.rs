//! Sets of component ids, as a fixed number of bits.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::component_id::{COMPONENTS_MAX, ComponentId};

/// Words of a mask, one bit of its summary each.
const WORDS: usize = COMPONENTS_MAX / 64;

const _: () = assert!(WORDS >= 1 && WORDS <= u16::BITS as usize, "the summary has a bit for each");

/// A set of component ids: those of an archetype, of a snapshot, or of a module's reads.
///
/// The bit of [`Entity`](crate::Entity) stands for the entity handles themselves and for looking
/// an entity up; a snapshot without it is cheaper and answers by rows only.
///
/// ```
/// # use convoy_engine::{ComponentMask, World};
/// let mut world = World::new();
/// let position = world.register::<[f32; 3]>().unwrap();
/// let mask = ComponentMask::from_iter([position]);
/// assert!(mask.contains(position) && mask.is_subset(&ComponentMask::ALL));
/// assert_eq!(mask.len(), 1);
/// ```
///
/// It is a value of 136 bytes. Operations look at the words that have a bit, usually one.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ComponentMask {
    /// A bit for each word that is not zero. First, as sets that differ mostly differ here.
    summary: u16,
    words: [u64; WORDS],
}

/// A set whose ids lie in one word of a mask, as those of most queries do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MaskWord {
    word: u8,
    bits: u64,
}

impl ComponentMask {
    /// The empty set.
    pub const NONE: Self = Self { words: [0; WORDS], summary: 0 };
    /// Every id, also those that are not registered yet.
    pub const ALL: Self =
        Self { words: [u64::MAX; WORDS], summary: u16::MAX >> (u16::BITS as usize - WORDS) };

    /// The first `count` ids.
    pub(crate) fn first(count: usize) -> Self {
        let mut mask = Self::NONE;
        for word in 0..count.div_ceil(64) {
            let bits = (count - word * 64).min(64);
            mask.set_word(word, u64::MAX >> (64 - bits));
        }
        mask
    }

    /// Whether `id` is in the set.
    #[inline]
    pub const fn contains(&self, id: ComponentId) -> bool {
        self.words[id.index() / 64] >> (id.index() % 64) & 1 == 1
    }

    /// Adds `id`; tells whether it was new.
    pub fn insert(&mut self, id: ComponentId) -> bool {
        let new = !self.contains(id);
        let word = id.index() / 64;
        self.words[word] |= 1 << (id.index() % 64);
        self.summary |= 1 << word;
        new
    }

    /// Takes `id` out; tells whether it was there.
    pub fn remove(&mut self, id: ComponentId) -> bool {
        let held = self.contains(id);
        let word = id.index() / 64;
        self.set_word(word, self.words[word] & !(1 << (id.index() % 64)));
        held
    }

    #[inline]
    fn set_word(&mut self, word: usize, bits: u64) {
        self.words[word] = bits;
        self.summary = self.summary & !(1 << word) | u16::from(bits != 0) << word;
    }

    /// The ids that are in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut union = *self;
        for word in words_of(other.summary) {
            union.words[word] |= other.words[word];
        }
        union.summary |= other.summary;
        union
    }

    /// The ids that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::NONE;
        for word in words_of(self.summary & other.summary) {
            both.set_word(word, self.words[word] & other.words[word]);
        }
        both
    }

    /// The ids that are in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = *self;
        for word in words_of(self.summary & other.summary) {
            rest.set_word(word, self.words[word] & !other.words[word]);
        }
        rest
    }

    /// Whether every id of this set is in `other`.
    #[inline]
    pub fn is_subset(&self, other: &Self) -> bool {
        let is_part = |word: usize| self.words[word] & !other.words[word] == 0;
        // The sets of most queries lie in the first word, and their tables have something there.
        is_part(0)
            && (self.summary <= 1
                || self.summary & !other.summary == 0 && words_of(self.summary).all(is_part))
    }

    /// The set as one word, where it has no ids in others.
    #[inline]
    pub(crate) fn only_word(&self) -> Option<MaskWord> {
        let word = (self.summary.trailing_zeros() as usize).min(WORDS - 1);
        let is_only = self.summary & self.summary.wrapping_sub(1) == 0;
        is_only.then_some(MaskWord { word: word as u8, bits: self.words[word] })
    }

    /// Whether the ids of a set that is one word are in this set.
    #[inline]
    pub(crate) fn has_word(&self, ids: MaskWord) -> bool {
        ids.bits & !self.words[usize::from(ids.word) % WORDS] == 0
    }

    /// Whether the sets share an id.
    #[inline]
    pub fn intersects(&self, other: &Self) -> bool {
        words_of(self.summary & other.summary).any(|word| self.words[word] & other.words[word] != 0)
    }

    /// Whether the set is empty.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.summary == 0
    }

    /// Whether every id is in the set, also those that are not registered yet.
    #[inline]
    pub(crate) fn is_all(&self) -> bool {
        // Nearly always the summary tells.
        self.summary == Self::ALL.summary && self.words == Self::ALL.words
    }

    /// How many ids the set holds.
    pub fn len(&self) -> usize {
        words_of(self.summary).map(|word| self.words[word].count_ones() as usize).sum()
    }

    /// How many ids of the set are below `id`: the position of `id` in a sorted list of the set.
    #[inline]
    pub(crate) fn rank(&self, id: ComponentId) -> usize {
        let (word, bit) = (id.index() / 64, id.index() % 64);
        let below = (self.words[word] & ((1 << bit) - 1)).count_ones() as usize;
        let before = words_of(self.summary & ((1 << word) - 1));
        before.map(|word| self.words[word].count_ones() as usize).sum::<usize>() + below
    }

    /// How many ids that are in both sets are below `id`; `None` where `id` is not in both.
    #[inline]
    pub(crate) fn rank_in_both(&self, other: &Self, id: ComponentId) -> Option<usize> {
        if !self.contains(id) || !other.contains(id) {
            return None;
        }
        let (word, bit) = (id.index() / 64, id.index() % 64);
        let both = |word: usize| self.words[word] & other.words[word];
        let below = (both(word) & ((1 << bit) - 1)).count_ones() as usize;
        if word == 0 {
            return Some(below);
        }
        let before = words_of(self.summary & other.summary & ((1 << word) - 1));
        Some(before.map(|word| both(word).count_ones() as usize).sum::<usize>() + below)
    }

    /// The ids in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = ComponentId> + use<> {
        let (mask, mut found) = (*self, IdBits::before(self));
        std::iter::from_fn(move || found.next(&mask))
    }

    /// The ids in ascending order, without a copy of the mask.
    #[inline]
    pub(crate) fn ids(&self) -> impl Iterator<Item = ComponentId> {
        let mut found = IdBits::before(self);
        std::iter::from_fn(move || found.next(self))
    }
}

/// How far the ids of a mask were enumerated.
struct IdBits {
    words: Bits,
    bits: Bits,
    base: usize,
}

impl IdBits {
    fn before(mask: &ComponentMask) -> Self {
        Self { words: Bits(u64::from(mask.summary)), bits: Bits(0), base: 0 }
    }

    #[inline]
    fn next(&mut self, mask: &ComponentMask) -> Option<ComponentId> {
        loop {
            if let Some(bit) = self.bits.next() {
                return Some(ComponentId::new(self.base + bit));
            }
            let word = self.words.next()? % WORDS;
            (self.bits, self.base) = (Bits(mask.words[word]), word * 64);
        }
    }
}

/// The words that a summary names, which are below [`WORDS`].
#[inline]
fn words_of(summary: u16) -> impl Iterator<Item = usize> {
    Bits(u64::from(summary)).map(|word| word % WORDS)
}

impl Hash for ComponentMask {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.summary.hash(state);
        words_of(self.summary).for_each(|word| self.words[word].hash(state));
    }
}

/// The set bits of a word, lowest first.
struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

impl FromIterator<ComponentId> for ComponentMask {
    fn from_iter<I: IntoIterator<Item = ComponentId>>(ids: I) -> Self {
        let mut mask = Self::NONE;
        mask.extend(ids);
        mask
    }
}

impl Extend<ComponentId> for ComponentMask {
    fn extend<I: IntoIterator<Item = ComponentId>>(&mut self, ids: I) {
        for id in ids {
            self.insert(id);
        }
    }
}

impl fmt::Debug for ComponentMask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return formatter.write_str("ComponentMask::ALL");
        }
        formatter.debug_set().entries(self.iter().map(ComponentId::index)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_is_the_position_in_the_sorted_list() {
        let ids = [0, 5, 63, 64, 130, 255, 256, 700, 1023].map(ComponentId::new);
        let mask = ComponentMask::from_iter(ids);
        for (position, id) in ids.into_iter().enumerate() {
            assert_eq!(mask.rank(id), position);
            assert_eq!(mask.rank_in_both(&ComponentMask::ALL, id), Some(position));
            assert_eq!(ComponentMask::ALL.rank_in_both(&mask, id), Some(position));
            assert_eq!(mask.rank_in_both(&ComponentMask::NONE, id), None);
        }
        assert!(mask.iter().eq(ids));
    }

    #[test]
    fn set_algebra_holds_across_words() {
        let low = ComponentMask::from_iter([ComponentId::new(1), ComponentId::new(900)]);
        let high = ComponentMask::from_iter([ComponentId::new(900), ComponentId::new(1000)]);
        assert_eq!(low.union(&high).len(), 3);
        assert_eq!(low.intersection(&high).len(), 1);
        assert_eq!(low.difference(&high), ComponentMask::from_iter([ComponentId::new(1)]));
        assert!(low.intersects(&high) && !low.is_subset(&high));
        assert!(ComponentMask::NONE.is_subset(&low) && low.is_subset(&ComponentMask::ALL));
    }

    #[test]
    fn sets_in_one_word_are_found_by_it() {
        let low = ComponentMask::from_iter([0, 63].map(ComponentId::new));
        let high = ComponentMask::from_iter([1000, 1023].map(ComponentId::new));
        let both = low.union(&high);
        assert_eq!(both.only_word(), None);
        for (set, other) in [(low, high), (high, low)] {
            let word = set.only_word().expect("it is in one word");
            assert!(set.has_word(word) && both.has_word(word) && !other.has_word(word));
            assert!(!ComponentMask::NONE.has_word(word));
        }
        let none = ComponentMask::NONE.only_word().expect("it is in any word");
        assert!(ComponentMask::NONE.has_word(none) && both.has_word(none));
    }

    #[test]
    fn equal_sets_are_equal_however_they_came_about() {
        let (low, high) = (ComponentId::new(3), ComponentId::new(777));
        let only = ComponentMask::from_iter([low]);
        let mut both = only;
        assert!(both.insert(high) && !both.insert(high) && both != only);
        assert_eq!(both.difference(&ComponentMask::from_iter([high])), only);
        assert_eq!(both.intersection(&only), only);
        assert!(both.remove(high) && !both.remove(high));
        assert_eq!(both, only);
        assert!(both.remove(low) && both.is_empty() && both == ComponentMask::NONE);
        assert_eq!(ComponentMask::ALL.difference(&ComponentMask::ALL), ComponentMask::NONE);
        assert_eq!(ComponentMask::ALL.iter().count(), COMPONENTS_MAX);
    }
}
