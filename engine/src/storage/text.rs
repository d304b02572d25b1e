//! [`Text`]: strings as plain old data, and the tables that have the bytes of long ones.
//!
//! A text is made of its content alone: up to seven bytes lie in it, and of longer ones it has a hash. So equal texts
//! have equal bytes in every world and process, and columns of them are captured, hashed, compared and synced as any
//! others.
//!
//! The bytes of long texts lie in a [`TextTable`], which a world shares with its snapshots and branches. An entry never
//! changes, so readers take no lock: a slot is empty, or has a text for good. Writers add entries at the same time as
//! they read, also two worlds of which one is a branch of the other. A table that is full is replaced by a larger one
//! with the same entries; those who have the old one, have everything in there that they knew.

use std::fmt;
use std::str;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytemuck::{Pod, Zeroable};

use super::hash::hash_bytes;

/// Set in the last byte of a text whose content lies elsewhere.
const ELSEWHERE: u8 = 0x80;

/// A string in eight bytes, as plain old data: for names and words in components, events and resources.
///
/// Equal strings are equal texts, in every world and on every machine, and unequal ones unequal texts. Up to
/// [`Text::INLINE_BYTES_MAX`] bytes lie in the text itself; of longer ones it has a 63-bit hash, and the world that
/// [`World::text`](crate::World::text) is asked of keeps the bytes, for itself and all its snapshots and branches.
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use convoy_engine::text::Text;
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[repr(transparent)]
/// struct Name(Text);
///
/// let mut world = World::new();
/// let name = world.text("HMS Convoy");
/// let ship = world.spawn((Name(name),));
/// assert_eq!(name, Text::new("HMS Convoy"), "made of its content");
///
/// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
/// drop(world);
/// assert_eq!(view.resolve(&view.get::<Name>(ship).unwrap().0).unwrap(), "HMS Convoy");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Pod, Zeroable)]
#[repr(C, align(8))]
pub struct Text([u8; 8]);

impl Text {
    /// The empty text.
    pub const EMPTY: Self = Self([0; 8]);

    /// Bytes of the longest content that needs no world.
    pub const INLINE_BYTES_MAX: usize = 7;

    /// The text with this content. No world keeps the bytes for it: a long one can be compared, and resolved where
    /// [`World::text`](crate::World::text) was asked for the same content.
    pub fn new(content: &str) -> Self {
        Self::inline(content).unwrap_or_else(|| Self::elsewhere(content_hash(content)))
    }

    fn inline(content: &str) -> Option<Self> {
        let mut text = [0; 8];
        text[..Self::INLINE_BYTES_MAX]
            .get_mut(..content.len())?
            .copy_from_slice(content.as_bytes());
        text[7] = content.len() as u8;
        Some(Self(text))
    }

    fn elsewhere(hash: u64) -> Self {
        let mut text = hash.to_le_bytes();
        text[7] |= ELSEWHERE;
        Self(text)
    }

    /// The hash of a content that lies elsewhere.
    fn hash(&self) -> Option<u64> {
        (self.0[7] & ELSEWHERE != 0).then(|| u64::from_le_bytes(self.0) & HASH)
    }

    /// Whether the content lies in the text itself, so that it can be resolved everywhere.
    pub fn is_inline(&self) -> bool {
        self.hash().is_none()
    }

    /// The content, where it lies in the text itself.
    fn content(&self) -> Option<&str> {
        let bytes = self.0[..7].get(..usize::from(self.0[7]))?;
        let is_padded = self.0[bytes.len()..7].iter().all(|byte| *byte == 0);
        str::from_utf8(bytes).ok().filter(|_| is_padded)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.hash(), self.content()) {
            (Some(hash), _) => write!(formatter, "Text({hash:016x})"),
            (None, Some(content)) => write!(formatter, "Text({content:?})"),
            (None, None) => write!(formatter, "Text({:?})", self.0),
        }
    }
}

/// The bits of a hash.
const HASH: u64 = u64::MAX >> 1;

fn content_hash(content: &str) -> u64 {
    hash_bytes(content.as_bytes()) & HASH
}

/// Why there is no text, or no content of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TextError {
    /// Nobody has asked this world for a text with such a content, or it was dropped by
    /// [`World::retain_texts`](crate::World::retain_texts).
    Unknown {
        /// The text.
        text: Text,
    },
    /// The bytes are no text: they come from elsewhere.
    Malformed {
        /// The bytes.
        text: Text,
    },
    /// The world keeps another content under the same hash.
    Collision {
        /// The text that both would be.
        text: Text,
    },
    /// The world would keep more bytes than [`WorldConfig::text_bytes_max`](crate::WorldConfig::text_bytes_max).
    Limit {
        /// The limit.
        bytes_max: usize,
    },
    /// A component, event or resource may have texts in it, and has no layout that tells where.
    NoLayout {
        /// The name of the type.
        component: &'static str,
    },
}

impl fmt::Display for TextError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { text } => {
                write!(formatter, "the content of {text:?} is not known here")
            }
            Self::Malformed { text } => write!(formatter, "{text:?} is no text"),
            Self::Collision { text } => {
                write!(formatter, "another content is kept under the hash of {text:?}")
            }
            Self::Limit { bytes_max } => {
                write!(formatter, "the world keeps texts of {bytes_max} bytes at the most")
            }
            Self::NoLayout { component } => {
                write!(formatter, "{component} has no layout that tells where texts lie in it")
            }
        }
    }
}

impl std::error::Error for TextError {}

/// The texts that a world keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct TextStatistics {
    /// Texts whose content does not lie in themselves.
    pub texts: usize,
    /// Bytes of their contents.
    pub bytes: usize,
    /// Texts that there is room for before the table grows.
    pub capacity: usize,
}

/// The contents of long texts, by hash: open addressing with linear probing.
#[derive(Debug)]
pub(crate) struct TextTable {
    /// A power of two.
    slots: Box<[OnceLock<Entry>]>,
    /// Entries, and those that are being added.
    count: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Entry {
    hash: u64,
    content: Arc<str>,
}

/// Slots of the first table of a world.
const SLOTS_MIN: usize = 64;

/// Why a text was not added.
enum Refusal {
    /// The table has to grow first.
    Full,
    Error(TextError),
}

impl From<TextError> for Refusal {
    fn from(error: TextError) -> Self {
        Self::Error(error)
    }
}

impl TextTable {
    fn with_slots(slots: usize) -> Self {
        let slots = (0..slots).map(|_| OnceLock::new()).collect();
        Self { slots, count: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// How many entries there is room for: three of four slots.
    fn capacity(&self) -> usize {
        self.slots.len() / 4 * 3
    }

    /// The slots in which a text may be.
    fn probe(&self, hash: u64) -> impl Iterator<Item = &OnceLock<Entry>> {
        let (first, mask) = (hash as usize, self.slots.len() - 1);
        (0..self.slots.len()).map(move |step| &self.slots[first.wrapping_add(step) & mask])
    }

    #[inline]
    fn find(&self, hash: u64) -> Option<&str> {
        let mut place = hash as usize;
        // A quarter of the slots is empty, so this ends.
        loop {
            let entry = self.slots[place & (self.slots.len() - 1)].get()?;
            if entry.hash == hash {
                return Some(&entry.content);
            }
            place = place.wrapping_add(1);
        }
    }

    /// Adds an entry, unless it is there. `make` gives its content, shared where somebody has it.
    fn add(
        &self,
        (hash, content): (u64, &str),
        bytes_max: usize,
        make: impl Fn() -> Arc<str>,
    ) -> Result<(), Refusal> {
        for slot in self.probe(hash) {
            if slot.get().is_none() {
                self.count_in(content, bytes_max)?;
                if slot.set(Entry { hash, content: make() }).is_ok() {
                    return Ok(());
                }
                // Another world was faster.
                self.count_out(content);
            }
            if let Some(entry) = slot.get().filter(|entry| entry.hash == hash) {
                let text = Text::elsewhere(hash);
                let is_same = *entry.content == *content;
                return if is_same { Ok(()) } else { Err(TextError::Collision { text }.into()) };
            }
        }
        Err(Refusal::Full)
    }

    /// Counts an entry that is about to be added, where there is room for it.
    fn count_in(&self, content: &str, bytes_max: usize) -> Result<(), Refusal> {
        // Relaxed: the counts order nothing.
        let one_more = |count| (count < self.capacity()).then_some(count + 1);
        let room = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        room.map_err(|_| Refusal::Full)?;
        let bytes = self.bytes.fetch_add(content.len(), Ordering::Relaxed);
        if bytes.saturating_add(content.len()) <= bytes_max {
            return Ok(());
        }
        self.count_out(content);
        Err(TextError::Limit { bytes_max }.into())
    }

    /// Takes the counts of an entry back that was not added.
    fn count_out(&self, content: &str) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(content.len(), Ordering::Relaxed);
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.slots.iter().filter_map(OnceLock::get)
    }
}

/// The long texts of a world or of a snapshot. A clone shares them.
#[derive(Clone, Default, Debug)]
pub(crate) struct Texts {
    /// None before the first long text, so that worlds without texts pay nothing for them.
    table: Option<Arc<TextTable>>,
    bytes_max: usize,
}

impl Texts {
    /// None, and not more than of so many bytes ever.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { table: None, bytes_max }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// The text with a content, which is kept from now on. Allocates where it was not known.
    pub(crate) fn keep(&mut self, content: &str) -> Result<Text, TextError> {
        if let Some(text) = Text::inline(content) {
            return Ok(text);
        }
        let hash = content_hash(content);
        self.add((hash, content), self.bytes_max, || Arc::from(content))?;
        Ok(Text::elsewhere(hash))
    }

    fn add(
        &mut self,
        (hash, content): (u64, &str),
        bytes_max: usize,
        make: impl Fn() -> Arc<str>,
    ) -> Result<(), TextError> {
        loop {
            let table =
                self.table.get_or_insert_with(|| Arc::new(TextTable::with_slots(SLOTS_MIN)));
            match table.add((hash, content), bytes_max, &make) {
                Ok(()) => return Ok(()),
                Err(Refusal::Error(error)) => return Err(error),
                Err(Refusal::Full) => {
                    let larger = TextTable::with_slots(2 * table.slots.len());
                    self.table = Some(Arc::new(larger.with_entries(table.entries())));
                }
            }
        }
    }

    /// Keeps all texts of `other` as well. Of two contents with one hash, that of `other` stays: rows of there are what
    /// comes next.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let (Some(own), Some(theirs)) = (&self.table, &other.table) else {
            if self.table.is_none() {
                self.table.clone_from(&other.table);
            }
            return;
        };
        let is_known = |entry: &Entry| own.find(entry.hash) == Some(&entry.content);
        if Arc::ptr_eq(own, theirs) || theirs.entries().all(is_known) {
            return;
        }
        let own = self.table.replace(Arc::clone(theirs));
        for Entry { hash, content } in own.iter().flat_map(|table| table.entries()) {
            // One that collides is not kept.
            _ = self.add((*hash, content), usize::MAX, || Arc::clone(content));
        }
    }

    /// Drops all texts but those for which `keeps` holds. Snapshots have all of theirs as before.
    pub(crate) fn retain(&mut self, keeps: impl Fn(Text) -> bool) {
        let Some(table) = &self.table else { return };
        let kept = table.entries().filter(|entry| keeps(Text::elsewhere(entry.hash)));
        // A branch may add to the table meanwhile.
        let kept: Vec<Entry> = kept.cloned().collect();
        let slots = (kept.len() / 3 * 4 + 4).next_power_of_two().max(SLOTS_MIN);
        let table = || Arc::new(TextTable::with_slots(slots).with_entries(kept.iter()));
        self.table = (!kept.is_empty()).then(table);
    }

    /// The content of a text.
    #[inline]
    pub(crate) fn resolve<'a>(&'a self, text: &'a Text) -> Result<&'a str, TextError> {
        let Some(hash) = text.hash() else {
            return text.content().ok_or(TextError::Malformed { text: *text });
        };
        let content = self.table.as_deref().and_then(|table| table.find(hash));
        content.ok_or(TextError::Unknown { text: *text })
    }

    pub(crate) fn statistics(&self) -> TextStatistics {
        self.table.as_ref().map_or_else(TextStatistics::default, |table| TextStatistics {
            texts: table.count.load(Ordering::Relaxed),
            bytes: table.bytes.load(Ordering::Relaxed),
            capacity: table.capacity(),
        })
    }
}

impl TextTable {
    /// This table, which is nobody else's yet and has room, with entries of another one.
    fn with_entries<'e>(mut self, entries: impl Iterator<Item = &'e Entry>) -> Self {
        for entry in entries {
            let free = self.probe(entry.hash).position(|slot| slot.get().is_none());
            let step = free.expect("there is room for all entries");
            let place = (entry.hash as usize).wrapping_add(step) & (self.slots.len() - 1);
            self.slots[place] = OnceLock::from(entry.clone());
            *self.count.get_mut() += 1;
            *self.bytes.get_mut() += entry.content.len();
        }
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn another_content_under_the_same_hash_is_a_collision_and_changes_nothing() {
        let mut texts = Texts::new(usize::MAX);
        let text = texts.keep("a content of its own").unwrap();
        let (hash, before) = (text.hash().unwrap(), texts.statistics());
        let forged =
            texts.add((hash, "another content"), usize::MAX, || Arc::from("another content"));
        assert_eq!(forged, Err(TextError::Collision { text }));
        assert_eq!(
            (texts.statistics(), texts.resolve(&text)),
            (before, Ok("a content of its own"))
        );
    }

    #[test]
    fn what_is_absorbed_wins_over_a_collision() {
        let [mut own, mut other] = [(); 2].map(|()| Texts::new(usize::MAX));
        let text = other.keep("the content that rows mean").unwrap();
        let hash = text.hash().unwrap();
        own.add((hash, "forged"), usize::MAX, || Arc::from("forged")).unwrap();
        let kept = own.keep("no collision here").unwrap();
        own.absorb(&other);
        assert_eq!(own.resolve(&text), Ok("the content that rows mean"));
        assert_eq!(own.resolve(&kept), Ok("no collision here"));
        assert_eq!(other.statistics().texts, 2, "the table is shared from now on");
    }

    #[test]
    fn worlds_that_share_a_table_add_to_it_at_the_same_time() {
        let mut first = Texts::new(usize::MAX);
        first.keep("known before the branch").unwrap();
        let all: Vec<String> = (0..5_000).map(|number| format!("text number {number}")).collect();
        thread::scope(|scope| {
            for start in 0..4 {
                let (mut texts, all) = (first.clone(), &all);
                scope.spawn(move || {
                    // Each has all of them, in another order.
                    let order =
                        (0..all.len()).map(|each| &all[(each * 7 + start * 997) % all.len()]);
                    for content in order.clone() {
                        let text = texts.keep(content).unwrap();
                        assert_eq!(texts.resolve(&text).unwrap(), content);
                    }
                    for content in order {
                        assert_eq!(texts.resolve(&Text::new(content)).unwrap(), content);
                    }
                    let (known, bytes) =
                        (all.len() + 1, all.iter().map(String::len).sum::<usize>());
                    let statistics = texts.statistics();
                    assert_eq!((statistics.texts, statistics.bytes), (known, bytes + 23));
                });
            }
        });
    }
}
