//! Sets of component ids, as a fixed number of bits.

use std::fmt;

use super::component_id::{COMPONENTS_MAX, ComponentId};

const WORDS: usize = COMPONENTS_MAX / 64;

/// A set of component ids: what an archetype holds, what a snapshot captures, what a module reads.
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ComponentMask {
    words: [u64; WORDS],
}

impl ComponentMask {
    /// The empty set.
    pub const NONE: Self = Self { words: [0; WORDS] };
    /// Every id, also those that are not registered yet.
    pub const ALL: Self = Self { words: [u64::MAX; WORDS] };

    /// Whether `id` is in the set.
    #[inline]
    pub const fn contains(&self, id: ComponentId) -> bool {
        self.words[id.index() / 64] >> (id.index() % 64) & 1 == 1
    }

    /// Adds `id`; tells whether it was new.
    pub fn insert(&mut self, id: ComponentId) -> bool {
        let new = !self.contains(id);
        self.words[id.index() / 64] |= 1 << (id.index() % 64);
        new
    }

    /// Takes `id` out; tells whether it was there.
    pub fn remove(&mut self, id: ComponentId) -> bool {
        let held = self.contains(id);
        self.words[id.index() / 64] &= !(1 << (id.index() % 64));
        held
    }

    /// The ids that are in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self { words: std::array::from_fn(|word| self.words[word] | other.words[word]) }
    }

    /// The ids that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { words: std::array::from_fn(|word| self.words[word] & other.words[word]) }
    }

    /// The ids that are in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self { words: std::array::from_fn(|word| self.words[word] & !other.words[word]) }
    }

    /// Whether every id of this set is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).all(|(mine, theirs)| mine & !theirs == 0)
    }

    /// Whether the sets share an id.
    pub fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// How many ids the set holds.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many ids of the set are below `id`: the position of `id` in a sorted list of the set.
    #[inline]
    pub(crate) fn rank(&self, id: ComponentId) -> usize {
        let (word, bit) = (id.index() / 64, id.index() % 64);
        let below = (self.words[word] & ((1 << bit) - 1)).count_ones() as usize;
        self.words[..word].iter().map(|word| word.count_ones() as usize).sum::<usize>() + below
    }

    /// The ids in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = ComponentId> + use<> {
        let words = self.words;
        words.into_iter().enumerate().flat_map(|(index, word)| Bits { word, base: index * 64 })
    }
}

/// The set bits of one word, lowest first.
struct Bits {
    word: u64,
    base: usize,
}

impl Iterator for Bits {
    type Item = ComponentId;

    fn next(&mut self) -> Option<ComponentId> {
        if self.word == 0 {
            return None;
        }
        let bit = self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        Some(ComponentId::new(self.base + bit))
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
        let ids = [0, 5, 63, 64, 130, 255].map(ComponentId::new);
        let mask = ComponentMask::from_iter(ids);
        for (position, id) in ids.into_iter().enumerate() {
            assert_eq!(mask.rank(id), position);
        }
        assert!(mask.iter().eq(ids));
    }

    #[test]
    fn set_algebra_holds_across_words() {
        let low = ComponentMask::from_iter([ComponentId::new(1), ComponentId::new(200)]);
        let high = ComponentMask::from_iter([ComponentId::new(200), ComponentId::new(255)]);
        assert_eq!(low.union(&high).len(), 3);
        assert_eq!(low.intersection(&high).len(), 1);
        assert_eq!(low.difference(&high), ComponentMask::from_iter([ComponentId::new(1)]));
        assert!(low.intersects(&high) && !low.is_subset(&high));
        assert!(ComponentMask::NONE.is_subset(&low) && low.is_subset(&ComponentMask::ALL));
    }
}
