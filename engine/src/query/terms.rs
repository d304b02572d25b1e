//! The terms that read: `&T`, [`Entity`] and `Option<&T>`.

#![allow(unsafe_code, reason = "hands out rows of raw chunks")]

use std::hint::assert_unchecked;
use std::ops::Range;
use std::slice;

use convoy_pool::MemoryError;

use crate::storage::column::RawColumn;
use crate::storage::component::{Component, ENABLED};
use crate::storage::epoch::Epoch;
use crate::storage::history::{Memory, Returns};
use crate::storage::names::name_of;
use crate::storage::{ComponentId, Entity};

use super::error::QueryError;
use super::fetch::{Access, Claim, RUN_LOG2_MAX, ReadOnly, Terms, Visit, resolve_read, row_ptr};
use super::sealed::{SealedReadOnly, SealedTerms};
use super::tables::{ColumnPlace, TableRef, Tables};

/// Where the rows of one run of `T` are, for reading.
pub struct ReadRun<T>(*const T);

impl<T> Clone for ReadRun<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ReadRun<T> {}

/// What a term that only reads does not have to do.
macro_rules! reads_only {
    () => {
        type Spares = ();

        const NO_SPARES: () = ();

        unsafe fn prepare(
            _: &Self::Bound,
            _: usize,
            (): &mut (),
            _: *mut Memory,
        ) -> Result<(), MemoryError> {
            Ok(())
        }

        fn abandon((): (), _: &mut Returns) {}

        fn is_shared(_: &Self::Run) -> bool {
            false
        }

        unsafe fn copy(_: Self::Run, _: usize, _: usize) {}

        unsafe fn store(_: Self::Run, _: usize, _: Self::Local) {}
    };
}

impl<T: Component> SealedTerms for &T {}
impl<T: Component> SealedReadOnly for &T {}

// SAFETY: hands out shared rows of the bound column only, and reports it as read.
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

    fn resolve<S: Tables + ?Sized>(
        tables: &S,
        access: &mut Access,
    ) -> Result<Self::Resolved, QueryError> {
        let id = resolve_read::<T, S>(tables)?;
        match id {
            Some(id) => {
                access.required.insert(id);
                access.require_enabled(&tables.catalog().registry, id)?;
            }
            None => access.unknown = Some(name_of::<T>),
        }
        Ok(id)
    }

    fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place {
        resolved.and_then(|id| table.place(id)).expect("a visited table has what is required")
    }

    #[inline]
    unsafe fn bind(place: Self::Place, visit: &Visit<'_>) -> Self::Bound {
        // SAFETY: the caller's contract.
        unsafe { visit.column(place) }
    }

    #[inline]
    fn run_log2(bound: &Self::Bound) -> u8 {
        bound.rows_log2
    }

    #[inline]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, _: Epoch) -> Option<Self::Run> {
        // SAFETY: the caller's contract, and the column is of `T`.
        Some(ReadRun(unsafe { row_ptr(*bound, row) }))
    }

    #[inline]
    unsafe fn start(
        bound: &Self::Bound,
        run: Range<usize>,
        _: usize,
        (): (),
        _: *mut Memory,
    ) -> Self::Run {
        // SAFETY: the caller's contract, and `bind` found the column of `T`.
        ReadRun(unsafe { row_ptr(*bound, run.start) })
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

// SAFETY: reads a shared column; items are shared references.
unsafe impl<T: Component> ReadOnly for &T {}

impl SealedTerms for Entity {}
impl SealedReadOnly for Entity {}

// SAFETY: hands out copies of rows of the entity column only, and reports it as read.
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

    fn resolve<S: Tables + ?Sized>(
        tables: &S,
        _: &mut Access,
    ) -> Result<Self::Resolved, QueryError> {
        resolve_read::<Entity, S>(tables).map(|_| ())
    }

    fn place((): (), table: &TableRef<'_>) -> Self::Place {
        table.place(ComponentId::ENTITY).expect("every table has an entity column")
    }

    #[inline]
    unsafe fn bind(place: Self::Place, visit: &Visit<'_>) -> Self::Bound {
        // SAFETY: the caller's contract.
        unsafe { visit.column(place) }
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
    unsafe fn start(
        bound: &Self::Bound,
        run: Range<usize>,
        _: usize,
        (): (),
        _: *mut Memory,
    ) -> Self::Run {
        // SAFETY: the caller's contract, and the column holds entities.
        ReadRun(unsafe { row_ptr(*bound, run.start) })
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

// SAFETY: items are copies.
unsafe impl ReadOnly for Entity {}

/// An optional component and its toggle.
#[derive(Clone, Copy)]
pub struct OptionalIds {
    id: ComponentId,
    toggle: Option<ComponentId>,
}

/// Where an optional component and its toggle are.
#[derive(Clone, Copy)]
pub struct OptionalPlace {
    column: ColumnPlace,
    toggle: Option<ColumnPlace>,
}

/// The column of an optional component, and the one of its toggle.
#[derive(Clone, Copy)]
pub struct OptionalColumn {
    column: RawColumn,
    toggle: Option<RawColumn>,
}

impl OptionalColumn {
    /// Where the run at `row` is; `None` where the component is switched off, there and, as runs
    /// are uniform, in the rest of the run.
    ///
    /// # Safety
    ///
    /// The bound table has the row, and the column is of `T`.
    #[inline]
    unsafe fn run_at<T>(&self, row: usize) -> Option<ReadRun<T>> {
        if let Some(toggle) = self.toggle {
            // SAFETY: the caller's contract; toggles have as many rows.
            let byte = unsafe { row_ptr::<u8>(toggle, row) };
            // SAFETY: the row is initialised, and nobody writes toggles while a query runs.
            if unsafe { *byte } != ENABLED {
                return None;
            }
        }
        // SAFETY: the caller's contract.
        Some(ReadRun(unsafe { row_ptr(self.column, row) }))
    }
}

impl<T: Component> SealedTerms for Option<&T> {}
impl<T: Component> SealedReadOnly for Option<&T> {}

// SAFETY: as `&T`, in the tables that have the column.
unsafe impl<T: Component> Terms for Option<&T> {
    type Item<'a> = Option<&'a T>;
    type Slices<'a> = Option<&'a [T]>;
    type Resolved = Option<OptionalIds>;
    type Place = Option<OptionalPlace>;
    type Bound = Option<OptionalColumn>;
    type Run = Option<ReadRun<T>>;
    type Local = Option<ReadRun<T>>;

    #[inline(always)]
    fn claims(each: &mut impl FnMut(Claim)) {
        each(Claim::of::<T>(false));
    }

    fn resolve<S: Tables + ?Sized>(
        tables: &S,
        access: &mut Access,
    ) -> Result<Self::Resolved, QueryError> {
        let Some(id) = resolve_read::<T, S>(tables)? else { return Ok(None) };
        let registry = &tables.catalog().registry;
        access.require_uniform(registry, id)?;
        Ok(Some(OptionalIds { id, toggle: registry.info(id).toggle() }))
    }

    fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place {
        let OptionalIds { id, toggle } = resolved?;
        let toggle = toggle.and_then(|toggle| table.place(toggle));
        table.place(id).map(|column| OptionalPlace { column, toggle })
    }

    #[inline]
    unsafe fn bind(place: Self::Place, visit: &Visit<'_>) -> Self::Bound {
        let OptionalPlace { column, toggle } = place?;
        // SAFETY: the caller's contract.
        let column = unsafe { visit.column(column) };
        // SAFETY: the caller's contract.
        let toggle = toggle.map(|toggle| unsafe { visit.column(toggle) });
        Some(OptionalColumn { column, toggle })
    }

    #[inline]
    fn run_log2(bound: &Self::Bound) -> u8 {
        bound.map_or(RUN_LOG2_MAX, |bound| bound.column.rows_log2)
    }

    #[inline]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, _: Epoch) -> Option<Self::Run> {
        // SAFETY: the caller's contract.
        Some(bound.and_then(|bound| unsafe { bound.run_at(row) }))
    }

    #[inline]
    unsafe fn start(
        bound: &Self::Bound,
        run: Range<usize>,
        _: usize,
        (): (),
        _: *mut Memory,
    ) -> Self::Run {
        // SAFETY: the caller's contract.
        bound.and_then(|bound| unsafe { bound.run_at(run.start) })
    }

    #[inline]
    unsafe fn item<'a>(run: Self::Run, index: usize) -> Option<&'a T> {
        // SAFETY: the caller's contract is that of `&T`.
        run.map(|run| unsafe { <&T>::item(run, index) })
    }

    #[inline]
    unsafe fn slices<'a>(run: Self::Run, rows: usize) -> Option<&'a [T]> {
        // SAFETY: the caller's contract is that of `&T`.
        run.map(|run| unsafe { <&T>::slices(run, rows) })
    }

    #[inline]
    unsafe fn load(run: Self::Run, index: usize) -> Self::Local {
        // SAFETY: the caller's contract is that of `&T`.
        run.map(|run| unsafe { <&T>::load(run, index) })
    }

    #[inline]
    unsafe fn lend<'a>(local: *mut Self::Local) -> Option<&'a T> {
        // SAFETY: `local` is valid by contract.
        let run = unsafe { *local };
        // SAFETY: `load` made a run that starts with the row.
        run.map(|run| unsafe { <&T>::item(run, 0) })
    }

    reads_only!();
}

// SAFETY: as `&T`.
unsafe impl<T: Component> ReadOnly for Option<&T> {}
