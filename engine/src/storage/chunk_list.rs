//! [`ChunkList`]: the chunks that one column holds, and [`LooseChunk`]: one that no list holds.
//!
//! Each chunk of a world is in exactly one place: in the list of a column, on the dead list of a
//! snapshot, free in the arena, or *loose*, on its way between these. (Only chunks that are foreign or
//! blank, which a world neither writes nor recycles, stand in lists of others too.) A loose chunk can't be copied,
//! and its taker consumes it: [`ChunkList`] when it is put in, and
//! [`Returns::release`](super::history::Returns::release) when it is given back. So a chunk is
//! neither freed nor put in twice, and it is freed with the size class that it came with.
//!
//! * `full-sized`: a chunk with another one after it has the class of full chunks. So a list's rows
//!   are counted by shifts, and only a lone chunk may be small.

#![allow(unsafe_code, reason = "says what a chunk's holder vouches for")]

#[cfg(debug_assertions)]
use std::any::TypeId;
use std::mem;
use std::ops::Deref;
use std::{ptr, slice, thread};

use convoy_pool::{Arena, ChunkPtr, ChunkRun, MemoryError, SizeClass};

use super::chunk_entry::ChunkEntry;
use super::component::ComponentInfo;
use super::component_id::ComponentId;
use super::epoch::Epoch;
use super::room::shrink_list;
use super::row_size::RowSize;

/// A chunk of a column of `component` that no list holds: new, taken out, or revived.
///
/// Losing one loses its memory until the world is dropped, so that is a panic where assertions are
/// on.
#[must_use = "a loose chunk is put into a list or given back"]
#[derive(Debug)]
pub(crate) struct LooseChunk {
    entry: ChunkEntry,
    component: ComponentId,
}

impl LooseChunk {
    /// Names a chunk that the caller has taken from where it was.
    ///
    /// # Safety
    ///
    /// The chunk has the class that the entry tells, and was made for a column of `component`. Where
    /// its birth is neither foreign nor blank it is of the arena of the world that will hold it, and
    /// neither in a column's list, nor loose, nor free, nor waiting on a dead list. A foreign or blank
    /// one may stand in other lists as well: it is neither written nor recycled.
    pub(super) unsafe fn new(entry: ChunkEntry, component: ComponentId) -> Self {
        Self { entry, component }
    }

    /// A chunk out of `arena`, born and written in `epoch`.
    #[inline]
    pub(super) fn allocate(
        arena: &mut Arena,
        class: SizeClass,
        component: ComponentId,
        epoch: Epoch,
    ) -> Result<Self, MemoryError> {
        let entry = ChunkEntry::new(arena.allocate(class)?, class, epoch, epoch);
        // SAFETY: the arena has just given the chunk out with this class.
        Ok(unsafe { Self::new(entry, component) })
    }

    /// As [`LooseChunk::allocate`], the next chunk of `run`, or the first of another run, of `want`
    /// chunks.
    #[inline]
    pub(super) fn allocate_next(
        arena: &mut Arena,
        (class, run, want): (SizeClass, &mut ChunkRun, usize),
        component: ComponentId,
        epoch: Epoch,
    ) -> Result<Self, MemoryError> {
        let chunk = arena.allocate_next(class, run, want)?;
        // SAFETY: the arena has just given the chunk out with this class.
        Ok(unsafe { Self::new(ChunkEntry::new(chunk, class, epoch, epoch), component) })
    }

    /// Gives a chunk that no snapshot sees back to the arena of its world.
    #[inline]
    pub(super) fn recycle(self, arena: &mut Arena) {
        assert!(!self.born().is_foreign(), "a chunk of another world is not recycled");
        let entry = self.into_entry();
        // SAFETY: a loose chunk came from the arena with its class, and is in no list.
        unsafe { arena.recycle(entry.chunk, entry.class()) };
    }

    /// Fills the first `rows` rows with copies of `value`.
    pub(super) fn fill(&mut self, value: &[u8], rows: usize) {
        assert!(!self.born().is_foreign(), "a chunk of another world is not written");
        let bytes = rows * value.len();
        assert!(bytes <= self.class().bytes(), "the rows are in the chunk");
        // SAFETY: the chunk has as many bytes, which are initialised, and nothing else reaches a
        // loose chunk that is the world's own.
        let filled = unsafe { slice::from_raw_parts_mut(self.chunk().as_ptr(), bytes) };
        filled.chunks_exact_mut(value.len().max(1)).for_each(|row| row.copy_from_slice(value));
    }

    /// The chunk, to be put elsewhere.
    pub(super) fn into_entry(self) -> ChunkEntry {
        let entry = self.entry;
        mem::forget(self);
        entry
    }

    /// The same chunk with other epochs. Whose it is stays.
    pub(super) fn aged(mut self, born: Epoch, written: Epoch) -> Self {
        assert_eq!(born.is_foreign(), self.born().is_foreign(), "a chunk stays with its world");
        self.entry = ChunkEntry::new(self.entry.chunk, self.class(), born, written);
        self
    }

    /// Where its rows are.
    pub(crate) fn chunk(&self) -> ChunkPtr {
        self.entry.chunk
    }

    pub(crate) fn class(&self) -> SizeClass {
        self.entry.class()
    }

    pub(crate) fn born(&self) -> Epoch {
        self.entry.born
    }

    pub(crate) fn component(&self) -> ComponentId {
        self.component
    }
}

impl Drop for LooseChunk {
    fn drop(&mut self) {
        debug_assert!(thread::panicking(), "a loose chunk is put into a list or given back");
    }
}

/// The chunks of one column, in the order of its rows.
pub(crate) struct ChunkList {
    entries: Vec<ChunkEntry>,
    /// Rows that fit into all chunks.
    rows: usize,
    size: u32,
    /// Rows in a full chunk, less one.
    row_mask: u32,
    component: ComponentId,
    /// The type of the values, unless they were described.
    #[cfg(debug_assertions)]
    type_id: Option<TypeId>,
    /// The class of full chunks.
    full: SizeClass,
    /// Neighbours that are kept for the chunks to come.
    run: ChunkRun,
    rows_log2: u8,
    row_size: RowSize,
    /// Whether all bits are values of the type. Not so of a described one, which a type may take over.
    takes_any_bits: bool,
}

impl Deref for ChunkList {
    type Target = [ChunkEntry];

    #[inline]
    fn deref(&self) -> &[ChunkEntry] {
        &self.entries
    }
}

impl ChunkList {
    pub(crate) fn new(component: ComponentId, info: &ComponentInfo) -> Self {
        let full = SizeClass::for_bytes(info.chunk_rows() * info.size());
        let size = u32::try_from(info.size()).expect("the registry limits sizes to a chunk");
        Self {
            entries: Vec::new(),
            rows: if info.size() == 0 { usize::MAX } else { 0 },
            size,
            row_mask: info.chunk_rows() as u32 - 1,
            component,
            #[cfg(debug_assertions)]
            type_id: info.type_id(),
            full: full.expect("the registry limits sizes to a chunk"),
            run: ChunkRun::default(),
            rows_log2: info.rows_log2(),
            row_size: RowSize::of(size),
            takes_any_bits: info.accepts_any_bytes() && !info.is_described(),
        }
    }

    #[inline]
    pub(crate) fn component(&self) -> ComponentId {
        self.component
    }

    /// Bytes of a row.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.size as usize
    }

    /// The same, for copies.
    #[inline]
    pub(crate) fn row_size(&self) -> RowSize {
        self.row_size
    }

    /// Rows in a full chunk, less one.
    #[inline]
    pub(crate) fn row_mask(&self) -> usize {
        self.row_mask as usize
    }

    #[inline]
    pub(crate) fn rows_log2(&self) -> u8 {
        self.rows_log2
    }

    /// Whether the values may be of type `T`, which is only noted with assertions.
    #[cfg(debug_assertions)]
    pub(crate) fn may_hold<T: 'static>(&self) -> bool {
        self.type_id.is_none_or(|known| known == TypeId::of::<T>())
    }

    /// How many rows fit into the chunks; values without bytes need none.
    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The class of full chunks.
    pub(crate) fn full(&self) -> SizeClass {
        self.full
    }

    /// Neighbours that are kept for the chunks to come.
    pub(crate) fn run_mut(&mut self) -> &mut ChunkRun {
        &mut self.run
    }

    /// Whether a second chunk may follow the first one.
    pub(crate) fn is_full_sized(&self) -> bool {
        self.entries.first().is_none_or(|first| first.class() == self.full)
    }

    /// Rows that fit into a chunk of `class`.
    pub(crate) fn rows_in(&self, class: SizeClass) -> usize {
        (class.bytes() / self.size()).min(1 << self.rows_log2)
    }

    /// How many chunks the list has room for.
    pub(crate) fn room(&self) -> usize {
        self.entries.capacity()
    }

    /// Makes room for `more` chunks, and for some after them.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), MemoryError> {
        let requested_bytes = more.saturating_mul(size_of::<ChunkEntry>());
        self.entries.try_reserve(more).map_err(|_| MemoryError::Heap { requested_bytes })
    }

    /// Makes room for `more` chunks.
    pub(crate) fn reserve_exact(&mut self, more: usize) {
        self.entries.reserve_exact(more);
    }

    /// Gives back most room of a list that has far more than it needs. Returns its bytes.
    pub(crate) fn trim(&mut self) -> usize {
        shrink_list(&mut self.entries)
    }

    /// Makes a chunk the last one.
    pub(crate) fn push(&mut self, chunk: LooseChunk) {
        self.check(&chunk);
        let alone = self.entries.is_empty();
        let fits = alone || self.is_full_sized() && chunk.class() == self.full;
        assert!(fits, "`full-sized`: only a lone chunk is small");
        self.entries.push(chunk.into_entry());
        self.count_rows();
    }

    /// Makes a full chunk the first one of full chunks.
    pub(crate) fn push_front(&mut self, chunk: LooseChunk) {
        self.check(&chunk);
        let fits = self.is_full_sized() && chunk.class() == self.full;
        assert!(fits, "`full-sized`: only a lone chunk is small");
        self.entries.insert(0, chunk.into_entry());
        self.count_rows();
    }

    /// Puts a chunk into the place of another one, which is loose then.
    pub(crate) fn replace(&mut self, number: usize, chunk: LooseChunk) -> LooseChunk {
        self.check(&chunk);
        let fits = self.entries.len() == 1 || chunk.class() == self.full;
        assert!(fits, "`full-sized`: only a lone chunk is small");
        let old = mem::replace(&mut self.entries[number], chunk.into_entry());
        if old.class() != self.entries[number].class() {
            self.count_rows();
        }
        LooseChunk { entry: old, component: self.component }
    }

    /// Copies the first `live` rows of a chunk to one that is about to replace it, as far as that has
    /// room for them. Returns their bytes.
    ///
    /// Where not all bits are values, all rows are copied that both chunks have room for: a row that holds
    /// a value then holds one in the copy as well, whichever rows the caller takes to be live. Not so in
    /// a chunk of another world, which may be writing rows past those that were captured.
    #[inline]
    pub(crate) fn copy_to(&self, number: usize, spare: &mut LooseChunk, live: usize) -> usize {
        assert!(!spare.born().is_foreign(), "a chunk of another world is not written");
        let entry = &self.entries[number];
        let held = self.rows_in(entry.class().min(spare.class()));
        let takes_live = self.takes_any_bits || entry.born.is_foreign();
        let rows = if takes_live { live.min(held) } else { held };
        let (bytes, from, to) = (rows * self.size(), entry.chunk, spare.chunk());
        // SAFETY: both chunks have the bytes. A listed chunk is mapped, a foreign one by its base, and
        // written through its list only. Nothing else reaches the loose one, which is another.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), bytes) };
        bytes
    }

    /// Takes the last chunk out.
    pub(crate) fn pop(&mut self) -> Option<LooseChunk> {
        let entry = self.entries.pop()?;
        self.count_rows();
        Some(LooseChunk { entry, component: self.component })
    }

    /// Takes the first chunk out; the others move up.
    pub(crate) fn pop_front(&mut self) -> LooseChunk {
        let entry = self.entries.remove(0);
        self.count_rows();
        LooseChunk { entry, component: self.component }
    }

    /// Notes that the world owns a chunk from `epoch`, the current one, on, to write to it.
    #[inline]
    pub(crate) fn own(&mut self, number: usize, epoch: Epoch) {
        let entry = &mut self.entries[number];
        assert!(!entry.born.is_foreign(), "a chunk of another world is copied, not taken");
        *entry = ChunkEntry::new(entry.chunk, entry.class(), epoch, epoch);
    }

    /// Notes that a row of a chunk changes in `epoch`.
    #[inline]
    pub(crate) fn mark_written(&mut self, number: usize, epoch: Epoch) {
        let entry = &mut self.entries[number];
        *entry = ChunkEntry::new(entry.chunk, entry.class(), entry.born, epoch);
    }

    fn check(&self, chunk: &LooseChunk) {
        assert_eq!(chunk.component, self.component, "a chunk stays with its component");
    }

    fn count_rows(&mut self) {
        self.rows = match *self.entries {
            [] => 0,
            [lone] => self.rows_in(lone.class()),
            [..] => self.entries.len() << self.rows_log2,
        };
    }
}
