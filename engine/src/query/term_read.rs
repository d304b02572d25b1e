//! The terms that read a column of every visited table: `&T` and [`Entity`].

#![allow(unsafe_code, reason = "hands out rows of raw chunks")]

use std::hint::assert_unchecked;
use std::ops::Range;
use std::slice;

use convoy_pool::MemoryError;

use crate::storage::column::RawColumn;
use crate::storage::component::Component;
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::{ComponentId, Entity};
use crate::world::store::{ColumnPlace, Store, TableRef};

use super::error::QueryError;
use super::requirements::{Claim, Requirements, find};
use super::sealed::{SealedReadOnly, SealedTerms};
use super::term_option::ComponentTerm;
use super::terms::{ReadOnly, Rest, Terms, reads_only, row_ptr};

/// Where the rows of one run of `T` are, for reading.
pub struct ReadRun<T>(*const T);

impl<T> Clone for ReadRun<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ReadRun<T> {}

impl<T: Component> SealedTerms for &T {}
impl<T: Component> SealedReadOnly for &T {}

// SAFETY: hands out shared rows of the bound column only, and claims to read it.
unsafe impl<T: Component> Terms for &T {
    type Item<'a> = &'a T;
    type Slices<'a> = &'a [T];
    type Resolved = Option<ComponentId>;
    type Place = ColumnPlace;
    type Bound = RawColumn;
    type Run = ReadRun<T>;
    type Local = ReadRun<T>;

    #[inline(always)]
    fn claims(each: &mut impl FnMut(Claim)) {
        each(Claim::of::<T>(false));
    }

    fn resolve(
        store: &Store<'_>,
        requirements: &mut Requirements,
    ) -> Result<Self::Resolved, QueryError> {
        let id = find::<T>(store, false)?;
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
        table.column(place)
    }

    #[inline]
    fn run_log2(bound: &Self::Bound) -> u8 {
        bound.rows_log2
    }

    #[inline]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, _: Epoch) -> Option<Self::Run> {
        // SAFETY: the caller's contract, and `bind` found the column of `T`.
        Some(ReadRun(unsafe { row_ptr(*bound, row) }))
    }

    #[inline]
    unsafe fn item<'a>(run: Self::Run, index: usize) -> &'a T {
        // SAFETY: the index is in the run, so the row is in its chunk.
        let row = unsafe { run.0.add(index) };
        // SAFETY: a row is not at address zero. An iterator's loop need not ask then.
        unsafe { assert_unchecked(!row.is_null()) };
        // SAFETY: `frozen` in a snapshot, the query's borrow in a world; rows hold values
        // (`valued`).
        unsafe { &*row }
    }

    #[inline]
    unsafe fn slices<'a>(run: Self::Run, rows: usize) -> &'a [T] {
        // SAFETY: the rows are in the run and so in one chunk; for the rest as in `item`.
        unsafe { slice::from_raw_parts(run.0, rows) }
    }

    #[inline]
    unsafe fn load(run: Self::Run, index: usize) -> Self::Local {
        // SAFETY: the index is in the run, so the row is in its chunk.
        ReadRun(unsafe { run.0.add(index) })
    }

    #[inline]
    unsafe fn lend<'a>(local: *mut Self::Local) -> &'a T {
        // SAFETY: `local` is valid by contract.
        let run = unsafe { *local };
        // SAFETY: `load` made a run that starts with the row.
        unsafe { Self::item(run, 0) }
    }

    reads_only!();
}

// SAFETY: claims to read; items are shared references.
unsafe impl<T: Component> ReadOnly for &T {}

impl<T: Component> ComponentTerm for &T {
    type Component = T;
    const WRITES: bool = false;
}

impl SealedTerms for Entity {}
impl SealedReadOnly for Entity {}

// SAFETY: hands out copies of rows of the entity column only, and claims to read it.
unsafe impl Terms for Entity {
    type Item<'a> = Entity;
    type Slices<'a> = &'a [Entity];
    type Resolved = ();
    type Place = ColumnPlace;
    type Bound = RawColumn;
    type Run = ReadRun<Entity>;
    type Local = Entity;

    #[inline(always)]
    fn claims(each: &mut impl FnMut(Claim)) {
        each(Claim::of::<Entity>(false));
    }

    fn resolve(store: &Store<'_>, _: &mut Requirements) -> Result<Self::Resolved, QueryError> {
        find::<Entity>(store, false).map(|_| ())
    }

    #[inline]
    fn place((): (), table: &TableRef<'_>) -> Self::Place {
        table.place(ComponentId::ENTITY).expect("every table has an entity column")
    }

    #[inline]
    unsafe fn bind(place: Self::Place, table: &TableRef<'_>) -> Self::Bound {
        table.column(place)
    }

    #[inline]
    fn run_log2(bound: &Self::Bound) -> u8 {
        bound.rows_log2
    }

    #[inline]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, _: Epoch) -> Option<Self::Run> {
        // SAFETY: the caller's contract, and the column holds entities.
        Some(ReadRun(unsafe { row_ptr(*bound, row) }))
    }

    #[inline]
    unsafe fn item<'a>(run: Self::Run, index: usize) -> Self::Item<'a> {
        // SAFETY: the index is in the run, so the row is in its chunk.
        let row = unsafe { run.0.add(index) };
        // SAFETY: the row is initialised, as in `&T`.
        unsafe { *row }
    }

    #[inline]
    unsafe fn slices<'a>(run: Self::Run, rows: usize) -> Self::Slices<'a> {
        // SAFETY: the rows are in the run and so in one chunk; for the rest as in `item`.
        unsafe { slice::from_raw_parts(run.0, rows) }
    }

    #[inline]
    unsafe fn load(run: Self::Run, index: usize) -> Entity {
        // SAFETY: the caller's contract is that of `item`.
        unsafe { Self::item(run, index) }
    }

    #[inline]
    unsafe fn lend<'a>(local: *mut Entity) -> Self::Item<'a> {
        // SAFETY: `local` is valid by contract.
        unsafe { *local }
    }

    reads_only!();
}

// SAFETY: claims to read; items are copies.
unsafe impl ReadOnly for Entity {}
