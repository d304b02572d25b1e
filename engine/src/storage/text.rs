//! [`Text`]: strings as plain old data, and the tables that have the bytes of long ones.
//!
//! A text is made of its content alone: up to seven bytes lie in it, and of longer ones it has a hash. So equal texts
//! have equal bytes in every world and process, and columns of them are captured, hashed, compared and synced as any
//! others.
//!
//! The bytes of long texts lie in a [`TextTable`], which a world shares with its snapshots and branches. An entry never
//! changes, so readers take no lock: a slot is empty, or has a text for good. One world adds to a table; another one
//! that reads it makes a table of its own for its first new text. Entries are numbered, so that a snapshot knows
//! those of its capture, whatever was added since. A table that is full is replaced by a larger one with the same
//! entries; those who have the old one have everything in there that they knew.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
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
///
/// One world adds to it; all others only read.
#[derive(Debug)]
pub(crate) struct TextTable {
    id: u64,
    /// Tables that this one has grown from: nobody adds to them any more, and all that they have is here.
    grown_from: Vec<u64>,
    /// A power of two.
    slots: Box<[OnceLock<Entry>]>,
    /// How many entries there are, and so the number of the next one.
    count: AtomicU32,
    bytes: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Entry {
    /// In the order in which texts were added, which tells what a snapshot has known.
    number: u32,
    hash: u64,
    content: Arc<str>,
}

/// Slots of the first table of a world.
const SLOTS_MIN: usize = 64;

/// Numbers tables.
static TABLES: AtomicU64 = AtomicU64::new(0);

/// An odd number that is another one in each process: whoever chooses contents can't choose their places.
fn scatter() -> u64 {
    static SCATTER: OnceLock<u64> = OnceLock::new();
    *SCATTER.get_or_init(|| RandomState::new().hash_one(0_u64) | 1)
}

impl TextTable {
    fn with_slots(slots: usize) -> Self {
        Self {
            // Relaxed: the number is another one each time.
            id: TABLES.fetch_add(1, Ordering::Relaxed),
            grown_from: Vec::new(),
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            count: AtomicU32::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// A table with `count` entries at the most, numbered anew, and with room for half as many again. Of two with one
    /// hash it has the first.
    fn with_entries<'e>(count: usize, entries: impl Iterator<Item = &'e Entry>) -> Self {
        let table = Self::with_slots((count * 2).next_power_of_two().max(SLOTS_MIN));
        for Entry { hash, content, .. } in entries {
            table.put(*hash, Arc::clone(content));
        }
        table
    }

    /// How many entries there is room for: three of four slots.
    fn capacity(&self) -> usize {
        self.slots.len() / 4 * 3
    }

    /// The slot of an entry, or the empty one where it would be.
    #[inline]
    fn slot(&self, hash: u64, scatter: u64) -> (&OnceLock<Entry>, Option<&Entry>) {
        let mut place = (hash.wrapping_mul(scatter) >> 32) as usize;
        // A quarter of the slots is empty, so this ends.
        loop {
            let slot = &self.slots[place & (self.slots.len() - 1)];
            match slot.get() {
                Some(entry) if entry.hash != hash => place = place.wrapping_add(1),
                found => return (slot, found),
            }
        }
    }

    #[inline]
    fn find(&self, hash: u64, scatter: u64) -> Option<&Entry> {
        self.slot(hash, scatter).1
    }

    /// Adds an entry, for which there is room, unless its hash is there.
    fn put(&self, hash: u64, content: Arc<str>) {
        // Relaxed: one world adds, and hands snapshots on with the numbers that they know.
        let (bytes, number) = (content.len(), self.count.load(Ordering::Relaxed));
        let (slot, found) = self.slot(hash, scatter());
        if found.is_none() && slot.set(Entry { number, hash, content }).is_ok() {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.count.store(number + 1, Ordering::Relaxed);
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.slots.iter().filter_map(OnceLock::get)
    }
}

/// The long texts of a world or of a snapshot. A clone shares the table.
#[derive(Debug)]
pub(crate) struct Texts {
    /// None before the first long text, so that worlds without texts pay nothing for them.
    table: Option<Arc<TextTable>>,
    /// Whether this is the world that adds to the table.
    is_own: bool,
    /// Entries from this number on are not known here. The table of another world may get some at any time.
    known: u32,
    /// The multiplier of places, which the look-ups need not ask for.
    scatter: u64,
    bytes_max: usize,
    /// The table of another world that was absorbed last, and how much of it.
    absorbed: (u64, u32),
}

impl Default for Texts {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Texts {
    /// None, and not more than of so many bytes ever.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let (scatter, absorbed) = (scatter(), (u64::MAX, 0));
        Self { table: None, is_own: false, known: 0, scatter, bytes_max, absorbed }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// What a snapshot has: the same, and never more.
    #[inline]
    pub(crate) fn capture(&mut self, world: &Self) {
        self.bytes_max = world.bytes_max;
        if self.table.is_none() && world.table.is_none() {
            return;
        }
        self.table.clone_from(&world.table);
        (self.is_own, self.known) = (false, world.known());
    }

    /// The first number that is not known.
    fn known(&self) -> u32 {
        match &self.table {
            Some(table) if self.is_own => table.count.load(Ordering::Relaxed),
            _ => self.known,
        }
    }

    /// The entries that are known here.
    fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        let known = self.known();
        let entries = self.table.iter().flat_map(|table| table.entries());
        entries.filter(move |entry| entry.number < known)
    }

    #[inline]
    fn find(&self, hash: u64) -> Option<&Entry> {
        let found = self.table.as_deref()?.find(hash, self.scatter)?;
        (self.is_own || found.number < self.known).then_some(found)
    }

    /// The text with a content, which is kept from now on. Allocates where it was not known.
    pub(crate) fn keep(&mut self, content: &str) -> Result<Text, TextError> {
        if let Some(text) = Text::inline(content) {
            return Ok(text);
        }
        let hash = content_hash(content);
        self.keep_hashed(hash, content)?;
        Ok(Text::elsewhere(hash))
    }

    fn keep_hashed(&mut self, hash: u64, content: &str) -> Result<(), TextError> {
        if let Some(known) = self.find(hash) {
            let is_same = *known.content == *content;
            let text = Text::elsewhere(hash);
            return if is_same { Ok(()) } else { Err(TextError::Collision { text }) };
        }
        let held = self.statistics().bytes;
        if held.saturating_add(content.len()) > self.bytes_max {
            return Err(TextError::Limit { bytes_max: self.bytes_max });
        }
        self.own_with_room().put(hash, Arc::from(content));
        Ok(())
    }

    /// A table that this world alone adds to, with room for one more entry.
    fn own_with_room(&mut self) -> &TextTable {
        let full = self.table.as_ref().filter(|table| {
            !self.is_own || table.count.load(Ordering::Relaxed) as usize >= table.capacity()
        });
        if let Some(full) = full {
            let mut larger = TextTable::with_entries(self.entries().count(), self.entries());
            if self.is_own {
                larger.grown_from.clone_from(&full.grown_from);
                larger.grown_from.push(full.id);
            }
            self.table = Some(Arc::new(larger));
        }
        self.is_own = true;
        self.table.get_or_insert_with(|| Arc::new(TextTable::with_slots(SLOTS_MIN)))
    }

    /// Lists the contents of long texts that are known here and not in `older`, in an order that follows
    /// from them.
    pub(crate) fn list_new<'t>(&'t self, older: Option<&Self>, list: &mut Vec<&'t str>) {
        list.clear();
        let (Some(table), older) = (&self.table, older.filter(|older| older.table.is_some()))
        else {
            return;
        };
        let is_same =
            |older: &Self| older.table.as_ref().is_some_and(|other| Arc::ptr_eq(other, table));
        if older.is_some_and(|older| is_same(older) && older.known() >= self.known()) {
            return;
        }
        let is_new = |entry: &&Entry| {
            let known = older.and_then(|older| older.find(entry.hash));
            known.is_none_or(|known| known.content != entry.content)
        };
        list.extend(self.entries().filter(is_new).map(|entry| &*entry.content));
        list.sort_unstable();
    }

    /// Whether all contents can be kept beside those that are.
    pub(crate) fn check_room<'c>(
        &self,
        contents: impl Iterator<Item = &'c str>,
    ) -> Result<(), TextError> {
        let mut bytes = self.statistics().bytes;
        for content in contents {
            let hash = content_hash(content);
            match self.find(hash) {
                Some(known) if *known.content != *content => {
                    return Err(TextError::Collision { text: Text::elsewhere(hash) });
                }
                Some(_) => {}
                None => bytes = bytes.saturating_add(content.len()),
            }
        }
        if bytes > self.bytes_max {
            return Err(TextError::Limit { bytes_max: self.bytes_max });
        }
        Ok(())
    }

    /// Keeps all texts of `other` as well: of a snapshot that is restored, or of the source of a sync. Of two
    /// contents with one hash that of `other` stays, as its rows are what comes next. Costs a comparison where
    /// `other` has the table of this world, or one that it has grown from, and else one for each entry.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let (known, Some(theirs)) = (other.known(), &other.table) else { return };
        let Some(own) = &self.table else {
            return self.share(theirs, known);
        };
        if Arc::ptr_eq(own, theirs) {
            self.known = self.known.max(known);
            return;
        }
        if own.grown_from.contains(&theirs.id) || self.absorbed == (theirs.id, known) {
            return;
        }
        self.absorbed = (theirs.id, known);
        if !self.is_own && theirs.grown_from.contains(&own.id) {
            return self.share(theirs, known);
        }
        let is_known = |entry: &Entry| {
            self.find(entry.hash).is_some_and(|own| {
                Arc::ptr_eq(&own.content, &entry.content) || own.content == entry.content
            })
        };
        if other.entries().all(is_known) {
            return;
        }
        let count = other.entries().count() + self.entries().count();
        let merged = TextTable::with_entries(count, other.entries().chain(self.entries()));
        (self.table, self.is_own) = (Some(Arc::new(merged)), true);
    }

    /// Reads a table that another world may add to.
    fn share(&mut self, table: &Arc<TextTable>, known: u32) {
        (self.table, self.is_own, self.known) = (Some(Arc::clone(table)), false, known);
    }

    /// Drops all texts but those for which `keeps` holds. Snapshots have all of theirs as before.
    pub(crate) fn retain(&mut self, keeps: impl Fn(Text) -> bool) {
        let kept = self.entries().filter(|entry| keeps(Text::elsewhere(entry.hash)));
        let count = kept.clone().count();
        let table = (count > 0).then(|| Arc::new(TextTable::with_entries(count, kept)));
        (self.table, self.is_own, self.absorbed) = (table, true, (u64::MAX, 0));
    }

    /// The content of a text.
    #[inline]
    pub(crate) fn resolve<'a>(&'a self, text: &'a Text) -> Result<&'a str, TextError> {
        let Some(hash) = text.hash() else {
            return text.content().ok_or(TextError::Malformed { text: *text });
        };
        self.find(hash).map(|entry| &*entry.content).ok_or(TextError::Unknown { text: *text })
    }

    pub(crate) fn statistics(&self) -> TextStatistics {
        let Some(table) = &self.table else { return TextStatistics::default() };
        let capacity = table.capacity();
        if self.is_own {
            let texts = table.count.load(Ordering::Relaxed) as usize;
            return TextStatistics { texts, bytes: table.bytes.load(Ordering::Relaxed), capacity };
        }
        let lengths = self.entries().map(|entry| entry.content.len());
        TextStatistics { texts: lengths.clone().count(), bytes: lengths.sum(), capacity }
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
        let forged = texts.keep_hashed(hash, "another content");
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
        own.keep_hashed(hash, "forged").unwrap();
        let kept = own.keep("no collision here").unwrap();
        own.absorb(&other);
        assert_eq!(own.resolve(&text), Ok("the content that rows mean"));
        assert_eq!(own.resolve(&kept), Ok("no collision here"));
        assert_eq!((own.statistics().texts, other.statistics().texts), (2, 1));
    }

    #[test]
    fn worlds_that_share_a_table_do_not_see_what_each_other_adds() {
        let mut first = Texts::new(100);
        let known = first.keep("known before the branch").unwrap();
        let mut branch = Texts::new(100);
        branch.absorb(&first);
        let mut snapshot = Texts::default();
        snapshot.capture(&first);
        let one = first.keep("of the first world alone").unwrap();
        for texts in [&branch, &snapshot] {
            assert_eq!(texts.resolve(&known), Ok("known before the branch"));
            assert_eq!(texts.resolve(&one), Err(TextError::Unknown { text: one }));
        }
        assert_eq!((first.statistics().texts, branch.statistics().texts), (2, 1));
        let other = branch.keep("of the branch alone").unwrap();
        assert_eq!(first.resolve(&other), Err(TextError::Unknown { text: other }));
        assert_eq!(first.statistics().bytes, 47);
        let long = "a text that is as long as what the limit leaves, not less";
        assert!(first.keep(long).is_err() && branch.keep(long).is_ok(), "each has its own limit");
    }

    #[test]
    fn readers_find_what_they_know_while_a_world_adds() {
        let mut world = Texts::new(usize::MAX);
        let content = |number: usize| format!("text number {number}");
        thread::scope(|scope| {
            for number in 0..5_000 {
                world.keep(&content(number)).unwrap();
                if number % 500 == 77 {
                    let mut view = Texts::default();
                    view.capture(&world);
                    scope.spawn(move || {
                        for other in 0..6_000 {
                            let text = Text::new(&content(other));
                            assert_eq!(view.resolve(&text).is_ok(), other <= number);
                        }
                    });
                }
            }
        });
    }

    #[test]
    fn what_a_table_has_grown_from_is_absorbed_at_once() {
        let mut world = Texts::new(usize::MAX);
        world.keep("text number zero").unwrap();
        let mut early = Texts::default();
        early.capture(&world);
        (0..500).for_each(|number| _ = world.keep(&format!("text number {number}")).unwrap());
        let table = Arc::as_ptr(world.table.as_ref().unwrap());
        world.absorb(&early);
        assert_eq!(
            (table, world.absorbed.0),
            (Arc::as_ptr(world.table.as_ref().unwrap()), u64::MAX)
        );
        world.retain(|_| false);
        world.absorb(&early);
        assert!(world.resolve(&Text::new("text number zero")).is_ok());
    }
}
