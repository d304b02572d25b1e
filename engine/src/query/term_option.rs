//! Optional terms: `Option<&T>` and `Option<&mut T>`.
//!
//! In a table without the component, and in runs where it is switched off, the item is `None`; in all
//! other runs it is that of the term inside.

#![allow(unsafe_code, reason = "passes the contract of the term inside on")]

use std::ops::Range;
use std::ptr;

use convoy_pool::MemoryError;

use crate::storage::ComponentId;
use crate::storage::column::RawColumn;
use crate::storage::component::{Component, ENABLED};
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::world::list_mut::ListMemory;
use crate::world::store::{ColumnPlace, Store, TableRef};

use super::error::QueryError;
use super::requirements::{Claim, Requirements, find};
use super::sealed::{SealedReadOnly, SealedTerms};
use super::terms::{RUN_LOG2_MAX, ReadOnly, Rest, Terms, row_ptr};

/// A term of one component, which can be optional: `&T` or `&mut T`.
pub trait ComponentTerm: Terms<Place = ColumnPlace> {
    /// The component.
    type Component: Component;
    /// Whether the term writes.
    const WRITES: bool;
}

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

/// A component that a table has, and the column of its toggle.
#[derive(Clone, Copy)]
pub struct OptionalColumn<B> {
    bound: B,
    toggle: Option<RawColumn>,
}

impl<B> OptionalColumn<B> {
    /// Whether the component is switched on in `row` and, as runs are uniform, in the rest of the run.
    ///
    /// # Safety
    ///
    /// The bound table has the row.
    #[inline]
    unsafe fn is_on(&self, row: usize) -> bool {
        let Some(toggle) = self.toggle else { return true };
        // SAFETY: the caller's contract; toggles have as many rows.
        let byte = unsafe { row_ptr::<u8>(toggle, row) };
        // SAFETY: the row is initialised, and no toggle is written while a query runs.
        unsafe { *byte == ENABLED }
    }
}

impl<P: ComponentTerm> SealedTerms for Option<P> {}
impl<P: ComponentTerm + ReadOnly> SealedReadOnly for Option<P> {}

// SAFETY: as the term inside, in the runs that have the component.
unsafe impl<P: ComponentTerm> Terms for Option<P> {
    type Item<'a> = Option<P::Item<'a>>;
    type Slices<'a> = Option<P::Slices<'a>>;
    type Resolved = Option<OptionalIds>;
    type Place = Option<OptionalPlace>;
    type Bound = Option<OptionalColumn<P::Bound>>;
    type Run = Option<P::Run>;
    type Replaced = P::Replaced;
    type Local = Option<P::Local>;

    const NONE_REPLACED: Self::Replaced = P::NONE_REPLACED;
    const WRITES_LISTS: bool = P::WRITES_LISTS;

    #[inline(always)]
    fn claims(each: &mut impl FnMut(Claim)) {
        each(Claim::of::<P::Component>(P::WRITES));
    }

    fn resolve(
        store: &Store<'_>,
        requirements: &mut Requirements,
    ) -> Result<Self::Resolved, QueryError> {
        let Some(id) = find::<P::Component>(store, P::WRITES)? else { return Ok(None) };
        let registry = &store.catalog().registry;
        requirements.allow(registry, id)?;
        Ok(Some(OptionalIds { id, toggle: registry.info(id).toggle() }))
    }

    #[inline]
    fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place {
        let OptionalIds { id, toggle } = resolved?;
        let toggle = toggle.and_then(|toggle| table.place(toggle));
        table.place(id).map(|column| OptionalPlace { column, toggle })
    }

    #[inline]
    unsafe fn bind(place: Self::Place, table: &TableRef<'_>) -> Self::Bound {
        let OptionalPlace { column, toggle } = place?;
        // SAFETY: the caller's contract.
        let bound = unsafe { P::bind(column, table) };
        Some(OptionalColumn { bound, toggle: toggle.map(|toggle| table.column(toggle)) })
    }

    #[inline]
    fn run_log2(bound: &Self::Bound) -> u8 {
        bound.as_ref().map_or(RUN_LOG2_MAX, |column| P::run_log2(&column.bound))
    }

    #[inline]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, epoch: Epoch) -> Option<Self::Run> {
        let Some(column) = bound else { return Some(None) };
        // SAFETY: the caller's contract.
        if !unsafe { column.is_on(row) } {
            return Some(None);
        }
        // SAFETY: the caller's contract.
        unsafe { P::start_owned(&column.bound, row, epoch) }.map(Some)
    }

    #[inline]
    unsafe fn prepare(
        bound: &Self::Bound,
        row: usize,
        rest: Rest,
        memory: *mut Memory,
    ) -> Result<(), MemoryError> {
        let Some(column) = bound else { return Ok(()) };
        // SAFETY: the caller's contract.
        if !unsafe { column.is_on(row) } {
            return Ok(());
        }
        // SAFETY: the caller's contract.
        unsafe { P::prepare(&column.bound, row, rest, memory) }
    }

    #[inline]
    unsafe fn start(
        bound: &Self::Bound,
        run: Range<usize>,
        live: usize,
        (rest, replaced): (Rest, &mut Self::Replaced),
        memory: *mut Memory,
    ) -> Self::Run {
        let column = bound.as_ref()?;
        // SAFETY: the caller's contract.
        if !unsafe { column.is_on(run.start) } {
            return None;
        }
        // SAFETY: the caller's contract.
        Some(unsafe { P::start(&column.bound, run, live, (rest, replaced), memory) })
    }

    #[inline]
    unsafe fn open_lists(
        run: &mut Self::Run,
        rows: usize,
        memory: (&mut Memory, ListMemory),
    ) -> Result<(), MemoryError> {
        // SAFETY: the caller's contract.
        run.as_mut().map_or(Ok(()), |run| unsafe { P::open_lists(run, rows, memory) })
    }

    #[inline]
    fn is_shared(run: &Self::Run) -> bool {
        run.as_ref().is_some_and(P::is_shared)
    }

    #[inline]
    unsafe fn copy(run: Self::Run, from: usize, to: usize) {
        if let Some(run) = run {
            // SAFETY: the caller's contract.
            unsafe { P::copy(run, from, to) };
        }
    }

    #[inline]
    unsafe fn item<'a>(run: Self::Run, index: usize) -> Self::Item<'a> {
        // SAFETY: the caller's contract.
        run.map(|run| unsafe { P::item(run, index) })
    }

    #[inline]
    unsafe fn slices<'a>(run: Self::Run, rows: usize) -> Self::Slices<'a> {
        // SAFETY: the caller's contract.
        run.map(|run| unsafe { P::slices(run, rows) })
    }

    #[inline]
    unsafe fn load(run: Self::Run, index: usize) -> Self::Local {
        // SAFETY: the caller's contract.
        run.map(|run| unsafe { P::load(run, index) })
    }

    #[inline]
    unsafe fn lend<'a>(local: *mut Self::Local) -> Self::Item<'a> {
        // SAFETY: `local` is valid by contract.
        let local = unsafe { &mut *local }.as_mut().map(ptr::from_mut);
        // SAFETY: the caller's contract, for the value inside.
        local.map(|local| unsafe { P::lend(local) })
    }

    #[inline]
    unsafe fn store(run: Self::Run, index: usize, local: Self::Local) {
        if let (Some(run), Some(local)) = (run, local) {
            // SAFETY: the caller's contract.
            unsafe { P::store(run, index, local) };
        }
    }
}

// SAFETY: as the term inside.
unsafe impl<P: ComponentTerm + ReadOnly> ReadOnly for Option<P> {}
