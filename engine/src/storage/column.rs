//! A column: the values of one component in one table, cut into chunks that snapshots can share.
//!
//! Every chunk has two epochs. `born` is when the world came to own it: a write is in place when
//! `born` is the current epoch, and otherwise goes through [`Column::own`], which takes the chunk
//! back or copies it. `written` is when a row of it last changed: it tells replicas what to copy.
//! The two differ for a chunk that was appended to while a snapshot shares it: no reader looks
//! past the length that it captured, so that append needs no copy.
//!
//! A column of zero-sized values has no chunks at all. The first chunk of a column starts small
//! and grows to full size before a second one is added, so that a table of a few rows is cheap.
//!
//! The typed methods are safe: they check the size of `T` against the column's, and the row
//! against its capacity. Chunk memory is always initialised (it comes zeroed from the system), and a
//! chunk's address is aligned to [`convoy_pool::CHUNK_ALIGN`], which the registry checked against `T`.
//!
//! * `valued`: every row below a table's length holds a value of the type that the registry has for the
//!   column's component. Rows come into being by a write of a value or a copy of a row; bytes from
//!   outside are checked where they come in; and a type that takes over what was only described has
//!   all rows checked before. Rows past the end may hold anything, and nobody makes a `T` of them.

#![allow(unsafe_code, reason = "reads and writes rows of raw chunks")]

use std::iter::Sum;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::slice;

use bytemuck::AnyBitPattern;
use convoy_pool::{CHUNK_ALIGN, ChunkPtr, ChunkRun, MemoryError, SizeClass};

use super::chunk_entry::ChunkEntry;
use super::chunk_list::{ChunkList, LooseChunk};
use super::component::{Component, ComponentInfo};
use super::component_id::ComponentId;
use super::epoch::Epoch;
use super::history::{Memory, Returns, Step};
use super::rows::{Rows, no_bytes};

mod blank;
mod deferred;
mod gather;
mod own;
mod restore;

pub struct Column {
    chunks: ChunkList,
    /// Rows in a full chunk, less one.
    row_mask: usize,
}

/// What a query needs to know of a column in order to read it, live or frozen.
#[derive(Clone, Copy)]
pub struct RawColumn {
    pub(crate) chunks: *const ChunkEntry,
    pub(crate) rows_log2: u8,
}

/// A column that grows keeps neighbours for this part of the chunks that it has.
const GROWTH_SHARE: usize = 4;

/// Bytes of the neighbours that a column keeps at the most. The hardware prefetcher loses about a
/// microsecond at every chunk that is not the neighbour of the last one: the time of 48 KiB, and so
/// little of the time of 1 MiB.
const RUN_BYTES: usize = 1 << 20;

impl Column {
    pub(crate) fn new(component: ComponentId, info: &ComponentInfo) -> Self {
        Self { chunks: ChunkList::new(component, info), row_mask: info.chunk_rows() - 1 }
    }

    #[inline]
    pub(crate) fn component(&self) -> ComponentId {
        self.chunks.component()
    }

    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.chunks.size()
    }

    #[inline]
    pub(crate) fn chunk_rows(&self) -> usize {
        self.row_mask + 1
    }

    #[inline]
    pub(crate) fn rows_log2(&self) -> u8 {
        self.chunks.rows_log2()
    }

    /// The chunks that hold the first `rows` rows.
    #[inline]
    pub(crate) fn chunks_of(&self, rows: usize) -> &[ChunkEntry] {
        if self.size() == 0 { &[] } else { &self.chunks[..rows.div_ceil(self.chunk_rows())] }
    }

    /// The first `rows` rows, which must be below the capacity.
    pub(crate) fn rows(&self, rows: usize) -> Rows<'_> {
        assert!(rows <= self.capacity(), "the column holds the rows");
        // SAFETY: the chunks hold the rows, which the borrow of the column keeps unwritten.
        unsafe { Rows::new(self.chunks_of(rows), rows, self.size(), self.rows_log2()) }
    }

    /// The chunks, of which a table of `rows` rows is read.
    #[inline]
    pub(crate) fn raw(&self, rows: usize) -> RawColumn {
        assert!(rows <= self.capacity(), "the column holds the rows of its table");
        self.list()
    }

    /// The chunks, for a caller that knows how many rows are in them.
    #[inline]
    pub(crate) fn list(&self) -> RawColumn {
        RawColumn { chunks: self.chunks.as_ptr(), rows_log2: self.rows_log2() }
    }

    /// How many rows fit into the chunks that the column has.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.chunks.rows()
    }

    pub(crate) fn chunk_capacity(&self) -> usize {
        self.chunks.room()
    }

    pub(crate) fn written(&self, chunk: usize) -> Epoch {
        self.chunks[chunk].written()
    }

    /// Bytes of the chunks that `rows` rows need beyond those that the column has.
    pub(crate) fn missing_bytes(&self, rows: usize) -> usize {
        if self.size() == 0 || rows <= self.capacity() {
            return 0;
        }
        let class = SizeClass::for_bytes(rows.min(self.chunk_rows()) * self.size());
        let class = class.expect("the registry limits sizes to a chunk");
        let bytes = rows.div_ceil(self.chunk_rows()).saturating_mul(class.bytes());
        bytes.saturating_sub(self.reserved_bytes())
    }

    /// Makes room for the list of `rows` rows' chunks without making the chunks.
    pub(crate) fn reserve_list(&mut self, rows: usize) -> Result<(), MemoryError> {
        if self.size() == 0 {
            return Ok(());
        }
        self.chunks.reserve(rows.div_ceil(self.chunk_rows()).saturating_sub(self.chunks.len()))
    }

    /// Makes room for as many chunks as `other` has room for, and for no more: two worlds that sync
    /// from each other would add to each other's room for ever.
    pub(crate) fn reserve_list_like(&mut self, other: &Self) {
        self.chunks.reserve_exact(other.chunk_capacity().saturating_sub(self.chunks.len()));
    }

    /// Adds chunks until `rows` rows fit, of which `live` are in use now.
    pub(crate) fn reserve(
        &mut self,
        rows: usize,
        live: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        while self.capacity() < rows {
            if self.chunks.is_empty() {
                self.add_first(rows, memory)?;
            } else if !self.chunks.is_full_sized() {
                self.grow_first(rows, live, memory)?;
            } else {
                let missing = (rows - self.capacity()).div_ceil(self.chunk_rows());
                let growth = self.listed_after(0) / GROWTH_SHARE;
                let chunk = self.allocate_next(missing, growth, memory)?;
                self.add_chunk(chunk, memory);
            }
        }
        Ok(())
    }

    fn add_first(&mut self, rows: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let class = self.first_class(rows)?;
        // Most tables of a world with many stay with one chunk.
        self.chunks.reserve_exact(1);
        let chunk = if rows > self.chunk_rows() {
            self.allocate_next(rows.div_ceil(self.chunk_rows()), 0, memory)?
        } else {
            memory.allocate(class, self.component())?
        };
        self.add_chunk(chunk, memory);
        Ok(())
    }

    /// Adds a chunk that is needed.
    fn add_chunk(&mut self, chunk: LooseChunk, memory: &mut Memory) {
        memory.note_added(&chunk, self.chunks.len());
        self.chunks.push(chunk);
    }

    /// A full chunk, beside the one that was taken last, for those who take one after the other. Where
    /// a new run begins, it is of `count` chunks, if so many are known to be needed, or of as many as
    /// may come.
    fn allocate_next(
        &mut self,
        count: usize,
        may_come: usize,
        memory: &mut Memory,
    ) -> Result<LooseChunk, MemoryError> {
        let (class, component) = (self.chunks.full(), self.component());
        let want = count.max(may_come.min(RUN_BYTES / class.bytes()));
        memory.allocate_next(class, component, self.chunks.run_mut(), want)
    }

    /// How many chunks there are from `chunk` on, for guesses at how many will be needed. Lists of
    /// blank chunks tell nothing of that.
    fn listed_after(&self, chunk: usize) -> usize {
        let is_blank = self.chunks.last().is_some_and(|last| last.born == Epoch::BLANK);
        if is_blank { 0 } else { self.chunks.len() - chunk }
    }

    /// Takes a step of a preparation back.
    pub(crate) fn undo(&mut self, step: Step, memory: &mut Returns) {
        let new = match step.old {
            Some(old) => self.chunks.replace(step.number, old),
            None => self.chunks.pop().expect("a chunk that was added is there"),
        };
        assert_eq!(new.chunk(), step.new, "steps are taken back in reverse");
        memory.release(new);
        if self.chunks.is_empty() {
            memory.end_run(self.chunks.run_mut());
        }
    }

    /// Whether a step of a preparation was one of this column.
    pub(crate) fn took(&self, step: &Step) -> bool {
        self.chunks.get(step.number).is_some_and(|entry| entry.chunk == step.new)
    }

    /// The class of a first chunk for at least `rows` rows.
    fn first_class(&self, rows: usize) -> Result<SizeClass, MemoryError> {
        SizeClass::for_bytes(rows.min(self.chunk_rows()) * self.size())
    }

    fn grow_first(
        &mut self,
        rows: usize,
        live: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let held = self.capacity();
        let class = self.first_class(rows.max(held * 3 / 2))?;
        let grown = memory.allocate(class, self.component())?;
        let to = grown.chunk();
        // It counts as written: the row that this makes room for follows.
        let old = self.chunks.replace(0, grown);
        // SAFETY: both chunks hold the live rows, and nobody else reaches the new one.
        unsafe { self.copy_live(&old, to, live.min(held)) };
        memory.let_go(old, 0, to);
        Ok(())
    }

    /// Copies the first `rows` rows of a chunk that was replaced to the one in its place.
    ///
    /// # Safety
    ///
    /// Both chunks hold the rows, and nobody else reaches the new one.
    unsafe fn copy_live(&self, old: &LooseChunk, new: ChunkPtr, rows: usize) {
        let bytes = rows * self.size();
        // SAFETY: the caller's contract, and one of the chunks is loose, so that they differ.
        unsafe { ptr::copy_nonoverlapping(old.chunk().as_ptr(), new.as_ptr(), bytes) };
    }

    /// Writes `values` from `row` on, whose chunks must be writable there: one copy a chunk.
    pub(crate) fn write_run<T: Component>(&mut self, row: usize, values: &[T]) {
        assert!(size_of::<T>() == self.size(), "the column holds values of this type");
        let mut written = 0;
        while written < values.len() {
            let at = row + written;
            let count = (values.len() - written).min(self.chunk_rows() - (at & self.row_mask));
            // The last row of the run is checked, too, so that all of it is inside the chunk.
            let (target, _) = (self.row_ptr(at), self.row_ptr(at + count - 1));
            let source = values[written..written + count].as_ptr();
            // SAFETY: the rows are inside one chunk. `values` does not overlap them: nobody borrows
            // them from the world beside `&mut self`, and no capture sees rows that are writable.
            unsafe { ptr::copy_nonoverlapping(source, target.as_ptr().cast::<T>(), count) };
            written += count;
        }
    }

    /// Copies `count` rows from `from` on of another column to `row` on, whose chunks must be
    /// writable there.
    pub(crate) fn copy_run_from(&mut self, row: usize, source: &Self, from: usize, count: usize) {
        assert_eq!(source.size(), self.size(), "both columns hold the same component");
        let mut copied = 0;
        while copied < count {
            let (at, of) = (row + copied, from + copied);
            let room = self.chunk_rows() - (at & self.row_mask);
            let have = source.chunk_rows() - (of & source.row_mask);
            let rows = (count - copied).min(room).min(have);
            let (target, _) = (self.row_ptr(at), self.row_ptr(at + rows - 1));
            let (start, _) = (source.row_ptr(of), source.row_ptr(of + rows - 1));
            // SAFETY: on either side the rows are inside one chunk, and the columns differ.
            unsafe {
                ptr::copy_nonoverlapping(start.as_ptr(), target.as_ptr(), rows * self.size());
            }
            copied += rows;
        }
    }

    /// Writes `value` into `count` rows from `row` on, whose chunks must be writable there.
    pub(crate) fn fill_run<T: Component>(&mut self, row: usize, count: usize, value: &T) {
        assert!(size_of::<T>() == self.size(), "the column holds values of this type");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
        let mut filled = 0;
        while filled < count {
            let at = row + filled;
            let rows = (count - filled).min(self.chunk_rows() - (at & self.row_mask));
            let (start, _) = (self.row_ptr(at), self.row_ptr(at + rows - 1));
            // What is there may be no value of `T` yet.
            // SAFETY: the rows are inside one chunk; `&mut self` bars other access through the world,
            // and the caller has made the rows writable, so that no snapshot reads them.
            let run = unsafe { spare_rows::<T>(start, rows) };
            // Not by `fill`, which takes the value, however large it is.
            run.iter_mut().for_each(|row| _ = row.write(*value));
            filled += rows;
        }
    }

    /// Copies `count` rows from `from` on over those from `to` on, whose chunks must be owned. The
    /// two runs have no row in common.
    pub(crate) fn copy_run_within(&mut self, from: usize, to: usize, count: usize) {
        assert!(from + count <= to || to + count <= from, "the runs have no row in common");
        let mut copied = 0;
        while copied < count {
            let (at, of) = (to + copied, from + copied);
            let room = self.chunk_rows() - (at & self.row_mask);
            let have = self.chunk_rows() - (of & self.row_mask);
            let rows = (count - copied).min(room).min(have);
            let (target, _) = (self.row_ptr(at), self.row_ptr(at + rows - 1));
            let (source, _) = (self.row_ptr(of), self.row_ptr(of + rows - 1));
            // SAFETY: on either side the rows are inside one chunk, and they are different rows.
            unsafe {
                ptr::copy_nonoverlapping(source.as_ptr(), target.as_ptr(), rows * self.size());
            }
            copied += rows;
        }
    }

    /// The bytes of the value at `row`.
    pub(crate) fn bytes(&self, row: usize) -> &[u8] {
        // SAFETY: chunk memory is initialised, and the borrow of the column bars writers.
        unsafe { slice::from_raw_parts(self.row_ptr(row).as_ptr(), self.size()) }
    }

    /// Writes the bytes of a value into `row`, whose chunk must be writable there.
    pub(crate) fn write_bytes(&mut self, row: usize, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.size(), "the bytes are of one value");
        let target = self.row_ptr(row).as_ptr();
        // SAFETY: the row has this many bytes, which `bytes` does not overlap: as in `write_run`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    /// Gives the chunks past the first `keep` back.
    pub(crate) fn truncate(&mut self, keep: usize, memory: &mut Returns) {
        while self.chunks.len() > keep {
            self.chunks.pop().into_iter().for_each(|chunk| memory.release(chunk));
        }
        if keep == 0 {
            memory.end_run(self.chunks.run_mut());
        }
    }

    /// Gives chunks of another world back that hold none of the first `rows` rows, and those after
    /// them: they would be copied before a row comes, and keep a base for nothing.
    pub(crate) fn release_foreign_spares(&mut self, rows: usize, memory: &mut Returns) {
        if memory.history.bases.live() == 0 {
            return;
        }
        let used = self.chunks_for(rows).min(self.chunks.len());
        let kept = self.chunks[used..].iter().take_while(|entry| !entry.born.is_foreign()).count();
        self.truncate(used + kept, memory);
    }

    /// Gives back the memory that `live` rows don't need: chunks without rows, and a lone chunk
    /// that a much smaller one can replace. What a snapshot sees is given back when the snapshot
    /// ends; a lone chunk is then left alone, as a second one would cost more. The list of chunks
    /// keeps its room, so that a column that grows again does not come to the heap for it.
    pub(crate) fn compact(&mut self, live: usize, memory: &mut Memory) -> Surplus {
        if self.size() == 0 {
            return Surplus::default();
        }
        let held = self.reserved_bytes();
        let count = self.chunks.len();
        self.truncate(live.div_ceil(self.chunk_rows()), memory);
        if self.chunks.len() == 1 {
            self.refit_first(live, memory);
        }
        Surplus { bytes: held - self.reserved_bytes(), chunks: count - self.chunks.len() }
    }

    /// Gives back room in the list of chunks. Returns its bytes.
    pub(crate) fn trim_list(&mut self) -> usize {
        self.chunks.trim()
    }

    /// Bytes of all chunks that are not blank.
    pub(crate) fn reserved_bytes(&self) -> usize {
        let blank = self.chunks.iter().filter(|entry| entry.born == Epoch::BLANK).count();
        match *self.chunks {
            [lone] => lone.class().bytes(),
            [..] => (self.chunks.len() - blank) * self.chunks.full().bytes(),
        }
    }

    /// How many chunks the column has.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// Replaces the only chunk by a smaller one, if one of half the bytes holds `live` rows.
    fn refit_first(&mut self, live: usize, memory: &mut Memory) {
        let old = self.chunks[0];
        let Ok(smaller) = self.first_class(live) else { return };
        let is_seen = old.born <= memory.history.newest(self.component());
        if is_seen || 2 * smaller.bytes() > old.class().bytes() {
            return;
        }
        // No memory for a smaller chunk is no reason to fail: everything stays as it is.
        let Ok(chunk) = memory.allocate_now(smaller, self.component()) else { return };
        let to = chunk.chunk();
        // A chunk of the current epoch counts as written in it, so that a later write need not
        // mark it.
        let old = self.chunks.replace(0, chunk);
        // SAFETY: both chunks hold the live rows, and nobody else reaches the new one.
        unsafe { self.copy_live(&old, to, live) };
        memory.release(old);
    }

    /// Gives the first chunk, which must be full, back; the rows after it move up.
    pub(crate) fn drop_first(&mut self, memory: &mut Returns) {
        assert!(self.chunks.len() > 1, "the first chunk is full when there is a second");
        memory.release(self.chunks.pop_front());
    }

    /// The address of `row`, which must be below the capacity.
    #[inline]
    fn row_ptr(&self, row: usize) -> NonNull<u8> {
        assert!(row < self.capacity(), "the row is inside the column");
        if self.size() == 0 {
            return no_bytes();
        }
        // SAFETY: the row is below the capacity, which counts the rows of the chunks listed.
        let chunk = unsafe { self.chunks.get_unchecked(row >> self.rows_log2()) }.chunk;
        let offset = (row & self.row_mask) * self.size();
        // SAFETY: for the same reason the offset stays inside the chunk.
        let row = unsafe { chunk.as_ptr().add(offset) };
        // SAFETY: a chunk is not at address zero.
        unsafe { NonNull::new_unchecked(row) }
    }

    /// The value at `row`.
    #[inline]
    pub(crate) fn get<T: Component>(&self, row: usize) -> &T {
        assert!(size_of::<T>() == self.size(), "the column holds values of this type");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
        // SAFETY: the pointer is aligned, the row holds a value (`valued`), and the borrow of the
        // column bars writers.
        unsafe { self.row_ptr(row).cast().as_ref() }
    }

    /// The value at `row`, whose chunk must be owned.
    #[inline]
    pub(crate) fn get_mut<T: Component>(&mut self, row: usize) -> &mut T {
        assert!(size_of::<T>() == self.size(), "the column holds values of this type");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
        // SAFETY: as in `get`; the exclusive borrow bars other access through the world, and the
        // caller has made the chunk writable, so that no snapshot reads this row.
        unsafe { self.row_ptr(row).cast().as_mut() }
    }

    /// The value at `row`, if its chunk is owned in `epoch`, the current one.
    #[inline]
    pub(crate) fn get_owned<T: Component>(&mut self, row: usize, epoch: Epoch) -> Option<&mut T> {
        assert!(size_of::<T>() == self.size(), "the column holds values of this type");
        const { assert!(size_of::<T>() > 0, "the column has chunks") };
        assert!(row < self.capacity(), "the row is inside the column");
        // SAFETY: the row is below the capacity, which counts the rows of the chunks listed.
        let entry = unsafe { self.chunks.get_unchecked(row >> self.rows_log2()) };
        (entry.born == epoch).then(|| self.get_mut(row))
    }

    /// Writes the bytes of a value into `row`, if the column has it in a chunk that is owned in
    /// `epoch`, the current one. Tells whether it has.
    #[inline]
    pub(crate) fn write_owned<T: Component>(
        &mut self,
        row: usize,
        bytes: &[u8],
        epoch: Epoch,
    ) -> bool {
        if size_of::<T>() == 0 || row >= self.capacity() {
            return false;
        }
        // SAFETY: the row is below the capacity, which counts the rows of the chunks listed.
        let entry = unsafe { self.chunks.get_unchecked(row >> self.rows_log2()) };
        let is_owned = entry.born == epoch;
        if is_owned {
            self.write_recorded::<T>(row, bytes);
        }
        is_owned
    }

    /// The values of `rows`, which lie in one chunk that must be writable there. Rows that are new have
    /// whatever their memory has: all bits are a `T`.
    pub(crate) fn run_mut<T: Component + AnyBitPattern>(&mut self, rows: Range<usize>) -> &mut [T] {
        let run = self.spare_run::<T>(rows);
        // SAFETY: chunk memory is initialised, and the type has no invalid bit patterns.
        unsafe { slice::from_raw_parts_mut(run.as_mut_ptr().cast(), run.len()) }
    }

    /// The places of `rows`, which lie in one chunk that must be writable there, to write values to:
    /// what is there may be no value of `T`.
    pub(crate) fn spare_run<T: Component>(&mut self, rows: Range<usize>) -> &mut [MaybeUninit<T>] {
        assert!(size_of::<T>() == self.size(), "the column holds values of this type");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
        if rows.is_empty() {
            return &mut [];
        }
        let (first, last) = (rows.start, rows.end - 1);
        assert!(first >> self.rows_log2() == last >> self.rows_log2(), "the rows lie in one chunk");
        let (start, _) = (self.row_ptr(first), self.row_ptr(last));
        // SAFETY: the rows are inside one chunk, and otherwise as in `get_mut`.
        unsafe { spare_rows(start, rows.len()) }
    }

    /// Where the chunk of `row` ends, or `end` where that is before.
    pub(crate) fn run_end(&self, row: usize, end: usize) -> usize {
        end.min((row | self.row_mask) + 1)
    }

    /// Writes `row`, whose chunk must be writable there.
    #[inline]
    pub(crate) fn write<T: Component>(&mut self, row: usize, value: T) {
        assert!(size_of::<T>() == self.size(), "the column holds values of this type");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
        // SAFETY: as in `get_mut`.
        unsafe { self.row_ptr(row).cast().write(value) };
    }

    /// Writes a copy of `value` into `row`, whose chunk must be writable there. However large it is,
    /// it takes no place on the stack.
    #[inline]
    pub(crate) fn write_copy<T: Component>(&mut self, row: usize, value: &T) {
        assert!(size_of::<T>() == self.size(), "the column holds values of this type");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
        let target = self.row_ptr(row).cast();
        // SAFETY: as in `get_mut`; nobody borrows `value` from the row beside `&mut self`.
        unsafe { ptr::copy_nonoverlapping(value, target.as_ptr(), 1) };
    }

    /// Writes the bytes of a value into `row`, as [`Column::write_copy`].
    #[inline]
    pub(crate) fn write_recorded<T: Component>(&mut self, row: usize, bytes: &[u8]) {
        assert!(size_of::<T>() == self.size(), "the column holds values of this type");
        assert!(size_of::<T>() == bytes.len(), "the bytes are of one value");
        let target = self.row_ptr(row).as_ptr();
        // SAFETY: the row has this many bytes, which `bytes` does not overlap: as in `write_run`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target, size_of::<T>()) };
    }

    /// Copies the value at `from` over the one at `to`, whose chunk must be owned.
    #[inline]
    pub(crate) fn copy_within(&mut self, from: usize, to: usize) {
        let (source, target) = (self.row_ptr(from), self.row_ptr(to));
        // SAFETY: both rows are inside chunks of this column.
        unsafe { copy_row(source, target, self.size()) };
    }

    /// Copies the value at `from` of another column to `row`, whose chunk must be writable there.
    #[inline]
    pub(crate) fn copy_from(&mut self, row: usize, source: &Self, from: usize) {
        assert_eq!(source.size(), self.size(), "both columns hold the same component");
        let (source, target) = (source.row_ptr(from), self.row_ptr(row));
        // SAFETY: both rows are inside chunks of columns with this size of row.
        unsafe { copy_row(source, target, self.size()) };
    }

    /// Moves the value at `row`, whose chunk must be owned, to row `to` of `target`, which must be
    /// writable there, and the value at `last` into its place.
    #[inline]
    pub(crate) fn move_row(&mut self, row: usize, last: usize, target: &mut Self, to: usize) {
        assert_eq!(target.size(), self.size(), "both columns hold the same component");
        assert!(row < last, "the last row follows all others");
        let (last, row, to) = (self.row_ptr(last), self.row_ptr(row), target.row_ptr(to));
        // SAFETY: all three rows are inside chunks of columns with this size of row, `to` in one
        // that is not this column's, and `row` and `last` differ.
        unsafe { move_row(row, last, to, self.size()) };
    }
}

/// Rows as places for values.
///
/// # Safety
///
/// `start` is aligned for `T` and points to `rows` rows of its size, which nobody else reaches for the
/// lifetime of the result.
unsafe fn spare_rows<'a, T>(start: NonNull<u8>, rows: usize) -> &'a mut [MaybeUninit<T>] {
    // SAFETY: the caller's contract; a place may hold any bytes.
    unsafe { slice::from_raw_parts_mut(start.as_ptr().cast(), rows) }
}

/// What a compaction gave back.
#[derive(Clone, Copy, Default)]
pub(crate) struct Surplus {
    pub(crate) bytes: usize,
    pub(crate) chunks: usize,
}

impl Sum for Surplus {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            bytes: sum.bytes + part.bytes,
            chunks: sum.chunks + part.chunks,
        })
    }
}

/// Calls `$copy` with a number of bytes that is known at compile time for the usual sizes of rows,
/// so that it compiles to a few moves.
macro_rules! with_size {
    ($size:expr, |$bytes:ident| $copy:expr) => {
        with_size!(@ $size, $bytes, $copy, 0 4 8 12 16 24 32 48 64)
    };
    (@ $size:expr, $bytes:ident, $copy:expr, $($literal:literal)+) => {
        match $size {
            $($literal => {
                let $bytes = $literal;
                $copy
            })+
            $bytes => $copy,
        }
    };
}

/// Copies one row.
///
/// # Safety
///
/// Both pointers are valid for `size` bytes; they may be equal, and otherwise don't overlap.
#[inline]
unsafe fn copy_row(source: NonNull<u8>, target: NonNull<u8>, size: usize) {
    // SAFETY: the caller's contract; `copy` allows equal pointers.
    with_size!(size, |bytes| unsafe { ptr::copy(source.as_ptr(), target.as_ptr(), bytes) });
}

/// Copies the row at `row` to `to`, and then the one at `last` to `row`.
///
/// # Safety
///
/// All pointers are valid for `size` bytes, and none overlap.
#[inline]
unsafe fn move_row(row: NonNull<u8>, last: NonNull<u8>, to: NonNull<u8>, size: usize) {
    let (row, last, to) = (row.as_ptr(), last.as_ptr(), to.as_ptr());
    with_size!(size, |bytes| {
        // SAFETY: the caller's contract.
        unsafe { ptr::copy_nonoverlapping(row, to, bytes) };
        // SAFETY: the caller's contract.
        unsafe { ptr::copy_nonoverlapping(last, row, bytes) };
    });
}
