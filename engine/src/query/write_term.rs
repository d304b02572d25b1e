//! The term that writes: `&mut T`.

#![allow(unsafe_code, reason = "hands out rows of raw chunks")]

use std::any::TypeId;
use std::hint::assert_unchecked;
use std::marker::PhantomData;
use std::ops::Range;
use std::{ptr, slice};

use convoy_pool::MemoryError;

use crate::storage::ComponentId;
use crate::storage::chunk_list::LooseChunk;
use crate::storage::column::{Column, RawColumn};
use crate::storage::component::{Component, Kind};
use crate::storage::epoch::Epoch;
use crate::storage::history::{Memory, Returns};
use crate::storage::links::engine_owns;
use crate::storage::names::name_of;

use super::error::QueryError;
use super::fetch::{Access, Claim, Terms, Visit, chunk_entry, row_ptr};
use super::sealed::SealedTerms;
use super::tables::{ColumnPlace, TableRef, Tables};

/// A column to write.
pub struct WriteColumn<T> {
    pub(super) column: *mut Column,
    pub(super) rows_log2: u8,
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
    pub(super) source: *const T,
    pub(super) target: *mut T,
}

impl<T> Clone for WriteRun<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for WriteRun<T> {}

impl<T: Component> SealedTerms for &mut T {}

// SAFETY: hands out each row of the bound column once per pass, after its chunk was made
// writable, and reports it as written, so that no other term reaches it.
unsafe impl<T: Component> Terms for &mut T {
    type Item<'a> = &'a mut T;
    type Slices<'a> = &'a mut [T];
    type Resolved = Option<ComponentId>;
    type Place = ColumnPlace;
    type Bound = WriteColumn<T>;
    type Run = WriteRun<T>;
    type Spares = Option<LooseChunk>;
    type Local = T;

    const NO_SPARES: Option<LooseChunk> = None;

    #[inline(always)]
    fn claims(each: &mut impl FnMut(Claim)) {
        each(Claim::of::<T>(true));
    }

    fn resolve<S: Tables + ?Sized>(
        tables: &S,
        access: &mut Access,
    ) -> Result<Self::Resolved, QueryError> {
        if engine_owns(TypeId::of::<T>()) {
            return Err(QueryError::EngineOwned { component: name_of::<T>() });
        }
        let Some(id) = tables.catalog().registry.id_of::<T>(Kind::Component) else {
            access.unknown = Some(name_of::<T>);
            return Ok(None);
        };
        Access::check(tables, id, name_of::<T>)?;
        access.required.insert(id);
        access.require_enabled(&tables.catalog().registry, id)?;
        Ok(Some(id))
    }

    fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place {
        resolved.and_then(|id| table.place(id)).expect("a visited table has what is required")
    }

    #[inline]
    unsafe fn bind(place: Self::Place, visit: &Visit<'_>) -> Self::Bound {
        // SAFETY: the caller's contract.
        let column = unsafe { visit.column_mut(place) };
        WriteColumn { column, rows_log2: place.rows_log2, component: PhantomData }
    }

    #[inline]
    fn run_log2(bound: &Self::Bound) -> u8 {
        bound.rows_log2
    }

    #[inline]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, epoch: Epoch) -> Option<Self::Run> {
        // SAFETY: the query has exclusive use of the table, and no other term of this column.
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

    unsafe fn prepare(
        bound: &Self::Bound,
        row: usize,
        spares: &mut Option<LooseChunk>,
        memory: *mut Memory,
    ) -> Result<(), MemoryError> {
        // SAFETY: the query has exclusive use of the memory, which no other borrow reaches now.
        let memory = unsafe { &mut *memory };
        // SAFETY: the query has exclusive use of the table, and no other term of this column.
        let column = unsafe { &mut *bound.column };
        let chunk = row >> bound.rows_log2;
        if size_of::<T>() == 0
            || column.is_owned(chunk, memory.epoch())
            || column.take_back(chunk, memory)
            || column.take_back_ended(chunk, memory)
        {
            return Ok(());
        }
        match column.allocate_spare(chunk, memory) {
            Ok(spare) => *spares = Some(spare),
            // Looking for a spare chunk may have ended the last capture that saw this one.
            Err(error) if !column.take_back(chunk, memory) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    fn abandon(spares: Option<LooseChunk>, memory: &mut Returns) {
        spares.into_iter().for_each(|spare| memory.release(spare));
    }

    unsafe fn start(
        bound: &Self::Bound,
        run: Range<usize>,
        live: usize,
        spares: Option<LooseChunk>,
        memory: *mut Memory,
    ) -> Self::Run {
        // SAFETY: as in `prepare`.
        let column = unsafe { &mut *bound.column };
        // SAFETY: the table holds the row, and the column is of `T`.
        let source = unsafe { row_ptr::<T>(column.raw(live), run.start) };
        let Some(spare) = spares else {
            return WriteRun { source, target: source.cast_mut() };
        };
        // SAFETY: as in `prepare`.
        let memory = unsafe { &mut *memory };
        if column.take_back(run.start >> bound.rows_log2, memory) {
            // Finding spare chunks ended the last capture that saw this one.
            memory.release(spare);
            return WriteRun { source, target: source.cast_mut() };
        }
        column.replace_around(spare, run.clone(), live, memory);
        // SAFETY: the table holds the row, and the column is of `T`.
        let target = unsafe { row_ptr::<T>(column.raw(live), run.start) };
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
