//! The term that writes: `&mut T`.

#![allow(unsafe_code, reason = "hands out rows of raw chunks")]

use std::hint::assert_unchecked;
use std::marker::PhantomData;
use std::ops::Range;
use std::{ptr, slice};

use convoy_pool::{ChunkPtr, MemoryError};

use crate::storage::ComponentId;
use crate::storage::column::{Column, RawColumn};
use crate::storage::component::Component;
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::world::store::{ColumnPlace, Store, TableRef};

use super::error::QueryError;
use super::requirements::{Claim, Requirements, find};
use super::sealed::SealedTerms;
use super::term_option::ComponentTerm;
use super::terms::{Rest, Terms, chunk_entry, row_in_chunk, row_ptr};

/// A column to write.
pub struct WriteColumn<T> {
    column: *mut Column,
    rows_log2: u8,
    component: PhantomData<fn(T)>,
}

impl<T> Clone for WriteColumn<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for WriteColumn<T> {}

/// Where the rows of one run of `T` are, for writing. The two differ while the chunk that was
/// replaced has not been copied.
pub struct WriteRun<T> {
    source: *const T,
    target: *mut T,
}

impl<T> Clone for WriteRun<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for WriteRun<T> {}

impl<T> WriteColumn<T> {
    /// Whether a chunk begins at `row`.
    fn begins_chunk(&self, row: usize) -> bool {
        row & ((1 << self.rows_log2) - 1) == 0
    }

    /// Whether the run at `row` is the one for which its chunk is made writable.
    fn is_first(&self, row: usize, rest: Rest) -> bool {
        size_of::<T>() > 0 && (rest == Rest::Now || self.begins_chunk(row))
    }
}

impl<T: Component> SealedTerms for &mut T {}

// SAFETY: hands out each row of the bound column once per pass, after its chunk was made
// writable, and claims to write it, so that no other term reaches it. Runs of different rows have no
// address in common.
unsafe impl<T: Component> Terms for &mut T {
    type Item<'a> = &'a mut T;
    type Slices<'a> = &'a mut [T];
    type Resolved = Option<ComponentId>;
    type Place = ColumnPlace;
    type Bound = WriteColumn<T>;
    type Run = WriteRun<T>;
    type Replaced = Option<ChunkPtr>;
    type Local = T;

    const NONE_REPLACED: Option<ChunkPtr> = None;

    #[inline(always)]
    fn claims(each: &mut impl FnMut(Claim)) {
        each(Claim::of::<T>(true));
    }

    fn resolve(
        store: &Store<'_>,
        requirements: &mut Requirements,
    ) -> Result<Self::Resolved, QueryError> {
        let id = find::<T>(store, true)?;
        match id {
            Some(id) => requirements.require(&store.catalog().registry, id)?,
            None => requirements.require_unknown::<T>(),
        }
        Ok(id)
    }

    #[inline]
    fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place {
        resolved.and_then(|id| table.place(id)).expect("a visited table has what is required")
    }

    #[inline]
    unsafe fn bind(place: Self::Place, table: &TableRef<'_>) -> Self::Bound {
        let (column, rows_log2) = (table.column_to_write(place), place.rows_log2);
        WriteColumn { column, rows_log2, component: PhantomData }
    }

    #[inline]
    fn run_log2(bound: &Self::Bound) -> u8 {
        bound.rows_log2
    }

    #[inline]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, epoch: Epoch) -> Option<Self::Run> {
        // SAFETY: the query has the column exclusively, and no other term reaches it.
        let chunks = unsafe { &*bound.column }.list().chunks;
        let column = RawColumn { chunks, rows_log2: bound.rows_log2 };
        // SAFETY: the table holds the row, and the column is of `T`.
        if size_of::<T>() > 0 && unsafe { chunk_entry(column, row) }.born != epoch {
            return None;
        }
        // SAFETY: as above.
        let source = unsafe { row_ptr::<T>(column, row) };
        Some(WriteRun { source, target: source.cast_mut() })
    }

    #[inline]
    unsafe fn prepare(
        bound: &Self::Bound,
        row: usize,
        rest: Rest,
        memory: *mut Memory,
    ) -> Result<(), MemoryError> {
        if !bound.is_first(row, rest) {
            return Ok(());
        }
        // SAFETY: the pass has the memory exclusively, and nothing else refers to it now.
        let memory = unsafe { &mut *memory };
        // SAFETY: the query has the column exclusively, and no other term reaches it.
        let column = unsafe { &mut *bound.column };
        column.allocate_deferred(row >> bound.rows_log2, memory)
    }

    #[inline]
    unsafe fn start(
        bound: &Self::Bound,
        run: Range<usize>,
        live: usize,
        (rest, replaced): (Rest, &mut Option<ChunkPtr>),
        memory: *mut Memory,
    ) -> Self::Run {
        // SAFETY: as in `prepare`.
        let column = unsafe { &mut *bound.column };
        if bound.is_first(run.start, rest) {
            // SAFETY: as in `prepare`.
            let memory = unsafe { &mut *memory };
            // SAFETY: the table has `live` rows, and the pass copies or writes those of a chunk that
            // is returned.
            *replaced = unsafe { column.own_deferred(run.start >> bound.rows_log2, live, memory) };
        }
        // SAFETY: the table holds the row, and the column is of `T`.
        let target = unsafe { row_ptr::<T>(column.raw(live), run.start) };
        let Some(old) = *replaced else {
            return WriteRun { source: target, target: target.cast_mut() };
        };
        // SAFETY: the replaced chunk is of the class of the one in place, and holds the row.
        let source = unsafe { row_in_chunk(old, run.start, bound.rows_log2) };
        if rest == Rest::Now {
            // SAFETY: the chunk was just replaced.
            unsafe { column.copy_around(old, run, live) };
        }
        WriteRun { source, target: target.cast_mut() }
    }

    #[inline]
    fn is_shared(run: &Self::Run) -> bool {
        !ptr::eq(run.source, run.target)
    }

    #[inline]
    unsafe fn copy(run: Self::Run, from: usize, to: usize) {
        if Self::is_shared(&run) {
            // SAFETY: the rows are in the run.
            let source = unsafe { run.source.add(from) };
            // SAFETY: the rows are in the run.
            let target = unsafe { run.target.add(from) };
            // SAFETY: both chunks hold the rows and differ, and no item of them is alive.
            unsafe { ptr::copy_nonoverlapping(source, target, to - from) };
        }
    }

    #[inline]
    unsafe fn item<'a>(run: Self::Run, index: usize) -> &'a mut T {
        // SAFETY: the index is in the run, so the row is in its chunk.
        let row = unsafe { run.target.add(index) };
        // SAFETY: a row is not at address zero. An iterator's loop need not ask then.
        unsafe { assert_unchecked(!row.is_null()) };
        // SAFETY: `start` made the chunk writable, and no other item of the row is alive.
        unsafe { &mut *row }
    }

    #[inline]
    unsafe fn slices<'a>(run: Self::Run, rows: usize) -> &'a mut [T] {
        // SAFETY: the rows are in the run and so in one chunk; for the rest as in `item`.
        unsafe { slice::from_raw_parts_mut(run.target, rows) }
    }

    #[inline]
    unsafe fn load(run: Self::Run, index: usize) -> T {
        // SAFETY: the index is in the run, so the row is in its chunk.
        let row = unsafe { run.source.add(index) };
        // SAFETY: the row is initialised, and stays unchanged when the chunk was replaced.
        unsafe { row.read() }
    }

    #[inline]
    unsafe fn lend<'a>(local: *mut T) -> &'a mut T {
        // SAFETY: `local` is valid, and the item is dropped before it is used again.
        unsafe { &mut *local }
    }

    #[inline]
    unsafe fn store(run: Self::Run, index: usize, local: T) {
        // SAFETY: the index is in the run, so the row is in its chunk.
        let row = unsafe { run.target.add(index) };
        // SAFETY: `start` made the chunk writable.
        unsafe { row.write(local) };
    }
}

impl<T: Component> ComponentTerm for &mut T {
    type Component = T;
    const WRITES: bool = true;
}
