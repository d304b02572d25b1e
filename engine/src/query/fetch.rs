//! Fetch: how the terms of a query reach the rows of a run. Here is all the unsafe code of
//! queries but the loops that call it.
//!
//! A term is resolved once per query ([`Terms::resolve`]), placed once per archetype
//! ([`Terms::place`]), bound once per table ([`Terms::bind`]) and started once per run
//! ([`Terms::start`]). Only then, in the inner loop, it hands out rows. Prepared queries keep what
//! the first two steps found.
//!
//! A run is a range of rows that lies in one chunk of every bound column. Starting a run makes
//! its written chunks writable. When a snapshot shares one, there are two ways: the chunk is
//! copied and the loop then runs in place, or the loop reads each row from the old chunk, lends
//! it out as a local, and stores it to the new chunk. The second way is *fused*: copying costs no
//! pass of its own. Both need the same spare chunks, which are allocated before anything changes.

#![allow(unsafe_code, reason = "hands out rows of raw chunks")]

use std::any::{TypeId, type_name};
use std::hint::assert_unchecked;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;
use std::slice;

use convoy_pool::{CHUNK_ALIGN, ChunkPtr, MemoryError};

use crate::storage::chunk_entry::ChunkEntry;
use crate::storage::column::{Column, RawColumn};
use crate::storage::component::{Component, ENABLED, Kind, Registry};
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::links::engine_owns;
use crate::storage::table::Table;
use crate::storage::{ComponentId, ComponentMask, Entity};

use super::error::{GetError, QueryError};
use super::tables::{ColumnPlace, TableRef, Tables};

/// What the terms of a query touch: filled while they are resolved.
#[derive(Clone, Copy, Default)]
pub struct Access {
    pub(super) read: ComponentMask,
    pub(super) write: ComponentMask,
    /// What an archetype must have.
    pub(crate) required: ComponentMask,
    /// A needed component that the world does not know, so that no archetype has it.
    pub(crate) unknown: Option<&'static str>,
    /// The toggles of what is required, which must be on.
    pub(super) enabled: ComponentMask,
    /// The toggles of what is optional: a run of rows has each of them on or off throughout.
    pub(super) uniform: ComponentMask,
}

/// How many toggles the terms of a query look at, at the most.
pub(super) const TOGGLES_MAX: usize = 8;

/// A table that a query visits: for reading, or with the means to write.
#[derive(Clone, Copy)]
pub enum Visit<'a> {
    /// Read-only.
    #[doc(hidden)]
    Read(TableRef<'a>),
    /// For reading and writing.
    #[doc(hidden)]
    Write(WriteTable<'a>),
}

/// A table whose columns a query has for itself.
#[derive(Clone, Copy)]
pub struct WriteTable<'a> {
    columns: *mut Column,
    rows: usize,
    table: PhantomData<&'a mut Table>,
}

impl<'a> WriteTable<'a> {
    pub(crate) fn new(table: &'a mut Table) -> Self {
        let rows = table.rows();
        Self { columns: table.columns_mut().as_mut_ptr(), rows, table: PhantomData }
    }

    /// A table of which the query has some columns for itself, and other queries have others.
    pub(crate) fn of_shared(table: &'a Table) -> Self {
        Self { columns: table.shared_columns(), rows: table.rows(), table: PhantomData }
    }

    /// # Safety
    ///
    /// The place is one of the table's archetype, in a live table.
    #[inline]
    unsafe fn column(&self, place: ColumnPlace) -> *mut Column {
        // SAFETY: the table has a column at the position.
        unsafe { self.columns.add(usize::from(place.position)) }
    }
}

impl Visit<'_> {
    /// # Safety
    ///
    /// The place is one of the table's archetype and layout.
    #[inline]
    unsafe fn column(&self, place: ColumnPlace) -> RawColumn {
        match self {
            Self::Read(table) => table.column(place),
            Self::Write(table) => {
                // SAFETY: the caller's contract; a table that can be written is live.
                let column = unsafe { table.column(place) };
                // SAFETY: the query has the column for itself, and nothing borrows it exclusively
                // while the query binds.
                unsafe { &*column }.raw(table.rows)
            }
        }
    }

    /// # Safety
    ///
    /// As [`Visit::column`].
    #[inline]
    unsafe fn column_mut(&self, place: ColumnPlace) -> *mut Column {
        match self {
            Self::Read(_) => unreachable!("terms that write visit tables to write"),
            // SAFETY: the caller's contract; a table that can be written is live.
            Self::Write(table) => unsafe { table.column(place) },
        }
    }
}

/// The terms of a query: `&T`, `&mut T`, `Option<&T>`, [`Entity`], and tuples of terms.
///
/// # Safety
///
/// Sealed by its hidden methods' types; implemented in this crate only. An implementation hands
/// out only rows of the run that was started, writes only chunks that `start` made writable, and
/// reports every component that it touches to `Access`.
pub unsafe trait Terms {
    /// What the loop receives for each row.
    type Item<'a>;
    /// What the loop receives for each run: slices of the same length.
    type Slices<'a>;
    /// The component ids.
    #[doc(hidden)]
    type Resolved: Copy + Send + Sync;
    /// Where the columns are in every table of one archetype, in stores of one layout.
    #[doc(hidden)]
    type Place: Copy + Send + Sync;
    /// The columns of one table.
    #[doc(hidden)]
    type Bound: Copy;
    /// Where the rows of one run are.
    #[doc(hidden)]
    type Run: Copy;
    /// A row in flight in a fused loop.
    #[doc(hidden)]
    type Local;

    #[doc(hidden)]
    fn resolve<S: Tables + ?Sized>(
        tables: &S,
        access: &mut Access,
    ) -> Result<Self::Resolved, QueryError>;

    /// Finds the columns in a table that matches the access that `resolve` reported.
    ///
    /// # Panics
    ///
    /// When the table does not match.
    #[doc(hidden)]
    fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place;

    /// # Safety
    ///
    /// `place` was found in a table of the same archetype, in a store of the same layout. The
    /// table is visited to write if the terms write.
    #[doc(hidden)]
    unsafe fn bind(place: Self::Place, visit: &Visit<'_>) -> Self::Bound;

    /// log2 of the rows that a run has at the most.
    #[doc(hidden)]
    fn run_log2(bound: &Self::Bound) -> u8;

    /// Where the run at `row` is, if it can be written without more ado: the common case, in a
    /// few instructions. `None` sends the loop on to `prepare` and `start`.
    ///
    /// # Safety
    ///
    /// `row` is in the bound table, whose memory is at `epoch`, and starts a run that lies in one
    /// chunk of every bound column.
    #[doc(hidden)]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, epoch: Epoch) -> Option<Self::Run>;

    /// Allocates spare chunks for what a run at `row` must copy.
    ///
    /// # Safety
    ///
    /// `memory` is the one of the bound table, and exclusive; `row` is in the table.
    #[doc(hidden)]
    unsafe fn prepare(
        bound: &mut Self::Bound,
        row: usize,
        memory: *mut Memory,
    ) -> Result<(), MemoryError>;

    /// Gives back what `prepare` allocated.
    ///
    /// # Safety
    ///
    /// As `prepare`, for the same row, after it failed or instead of `start`.
    #[doc(hidden)]
    unsafe fn abandon(bound: &mut Self::Bound, row: usize, memory: *mut Memory);

    /// Makes a run writable and returns where it is. Of a chunk that has to be replaced, the rows
    /// outside the run are copied at once.
    ///
    /// # Safety
    ///
    /// `prepare` succeeded for `run.start` (terms that only read don't need it), and the run lies
    /// in one chunk of every bound column and in the table's `live` rows.
    #[doc(hidden)]
    unsafe fn start(
        bound: &mut Self::Bound,
        run: Range<usize>,
        live: usize,
        memory: *mut Memory,
    ) -> Self::Run;

    /// Whether a chunk of the run was replaced and its rows must be copied.
    #[doc(hidden)]
    fn is_shared(run: &Self::Run) -> bool;

    /// Copies rows `from..to` of the run from the replaced chunks.
    ///
    /// # Safety
    ///
    /// The rows are in the run, and no item of them is alive.
    #[doc(hidden)]
    unsafe fn copy(run: Self::Run, from: usize, to: usize);

    /// # Safety
    ///
    /// `index` is in the run, its rows have been copied if `is_shared`, and no other item of this
    /// row is alive if the terms write.
    #[doc(hidden)]
    unsafe fn item<'a>(run: Self::Run, index: usize) -> Self::Item<'a>;

    /// # Safety
    ///
    /// `rows` rows are in the run and have been copied if `is_shared`, and no item or slice of
    /// them is alive if the terms write.
    #[doc(hidden)]
    unsafe fn slices<'a>(run: Self::Run, rows: usize) -> Self::Slices<'a>;

    /// # Safety
    ///
    /// `index` is in the run.
    #[doc(hidden)]
    unsafe fn load(run: Self::Run, index: usize) -> Self::Local;

    /// The item that stands for a row in flight.
    ///
    /// # Safety
    ///
    /// The item is dropped before `local` is used again.
    #[doc(hidden)]
    unsafe fn lend<'a>(local: *mut Self::Local) -> Self::Item<'a>;

    /// # Safety
    ///
    /// `index` is in the run, and no item of this row is alive.
    #[doc(hidden)]
    unsafe fn store(run: Self::Run, index: usize, local: Self::Local);
}

/// Terms that only read, and so may run on a shared world or a snapshot.
///
/// # Safety
///
/// `bind` never asks for a column to write, and items may coexist.
pub unsafe trait ReadOnly: Terms {}

impl Access {
    fn check<S: Tables + ?Sized>(
        tables: &S,
        id: ComponentId,
        component: &'static str,
    ) -> Result<(), QueryError> {
        if tables.readable().contains(id) {
            Ok(())
        } else {
            Err(QueryError::NotCaptured { component })
        }
    }

    fn read(&mut self, id: ComponentId, component: &'static str) -> Result<(), QueryError> {
        self.read.insert(id);
        if self.write.contains(id) { Err(QueryError::Conflict { component }) } else { Ok(()) }
    }

    fn write(&mut self, id: ComponentId, component: &'static str) -> Result<(), QueryError> {
        if id == ComponentId::ENTITY {
            return Err(QueryError::WritesEntity);
        }
        if !self.write.insert(id) || self.read.contains(id) {
            return Err(QueryError::Conflict { component });
        }
        Ok(())
    }

    /// Notes the toggle of a component, if it has one, among those that must be on.
    pub(super) fn require_enabled(
        &mut self,
        registry: &Registry,
        id: ComponentId,
    ) -> Result<(), QueryError> {
        let Some(toggle) = registry.info(id).toggle() else { return Ok(()) };
        self.enabled.insert(toggle);
        self.check_toggles(registry, id)
    }

    /// Notes the toggle of a component, if it has one, among those that end runs.
    fn require_uniform(&mut self, registry: &Registry, id: ComponentId) -> Result<(), QueryError> {
        let Some(toggle) = registry.info(id).toggle() else { return Ok(()) };
        self.uniform.insert(toggle);
        self.check_toggles(registry, id)
    }

    #[cold]
    fn check_toggles(&self, registry: &Registry, id: ComponentId) -> Result<(), QueryError> {
        if self.enabled.len() + self.uniform.len() > TOGGLES_MAX {
            return Err(QueryError::TooManyToggles { component: registry.info(id).name() });
        }
        Ok(())
    }

    /// Whether the query visits tables of this archetype.
    pub(crate) fn matches(&self, archetype: &ComponentMask) -> bool {
        self.unknown.is_none() && self.required.is_subset(archetype)
    }
}

/// Why a table that the query does not visit has no row for it.
#[cold]
pub(super) fn not_visited(
    access: &Access,
    registry: &Registry,
    table: &TableRef<'_>,
    entity: Entity,
) -> GetError {
    if let Some(component) = access.unknown {
        return GetError::Missing { entity, component };
    }
    match access.required.difference(table.mask()).iter().next() {
        Some(id) => GetError::Missing { entity, component: registry.info(id).name() },
        None => GetError::Filtered { entity },
    }
}

/// Finds `T`, notes that it is read, and checks that it may be.
fn resolve_read<T: Component, S: Tables + ?Sized>(
    tables: &S,
    access: &mut Access,
) -> Result<Option<ComponentId>, QueryError> {
    let component = type_name::<T>();
    match tables.schema().registry.id_of::<T>(Kind::Component) {
        Some(id) => {
            Access::check(tables, id, component)?;
            access.read(id, component)?;
            Ok(Some(id))
        }
        // No entity has a component that was never registered, but only a store that may be read
        // in full can say so: elsewhere it was not among what was declared.
        None if tables.readable() == ComponentMask::ALL => Ok(None),
        None => Err(QueryError::NotCaptured { component }),
    }
}

/// The chunk that holds row `row`.
///
/// # Safety
///
/// `column` is of a type with bytes and holds `row`.
#[inline]
unsafe fn chunk_entry(column: RawColumn, row: usize) -> ChunkEntry {
    // SAFETY: the column holds the row, so its list holds the chunk.
    let entry = unsafe { column.chunks.add(row >> column.rows_log2) };
    // SAFETY: as above; nobody changes the list while the query borrows the tables.
    unsafe { *entry }
}

/// The address of row `row`, and of those after it in the same chunk.
///
/// # Safety
///
/// `column` is of `T` and holds `row`.
#[inline]
pub(super) unsafe fn row_ptr<T>(column: RawColumn, row: usize) -> *const T {
    if size_of::<T>() == 0 {
        return ptr::without_provenance(CHUNK_ALIGN);
    }
    // SAFETY: the caller's contract.
    let ChunkEntry { chunk, .. } = unsafe { chunk_entry(column, row) };
    // SAFETY: the row is in the chunk, for the same reason.
    unsafe { row_in_chunk(chunk, row, column.rows_log2) }
}

/// The address of row `row` of a column in its chunk.
///
/// # Safety
///
/// `chunk` is of a column of `T` in chunks of so many rows, and holds `row`.
#[inline]
pub(super) unsafe fn row_in_chunk<T>(chunk: ChunkPtr, row: usize, rows_log2: u8) -> *const T {
    let offset = row & ((1 << rows_log2) - 1);
    // SAFETY: the chunk holds the row, so the offset stays inside.
    unsafe { chunk.as_ptr().cast::<T>().add(offset) }
}

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
        unsafe fn prepare(
            _: &mut Self::Bound,
            _: usize,
            _: *mut Memory,
        ) -> Result<(), MemoryError> {
            Ok(())
        }

        unsafe fn abandon(_: &mut Self::Bound, _: usize, _: *mut Memory) {}

        fn is_shared(_: &Self::Run) -> bool {
            false
        }

        unsafe fn copy(_: Self::Run, _: usize, _: usize) {}

        unsafe fn store(_: Self::Run, _: usize, _: Self::Local) {}
    };
}

// SAFETY: hands out shared rows of the bound column only, and reports it as read.
unsafe impl<T: Component> Terms for &T {
    type Item<'a> = &'a T;
    type Slices<'a> = &'a [T];
    type Resolved = Option<ComponentId>;
    type Place = ColumnPlace;
    type Bound = RawColumn;
    type Run = ReadRun<T>;
    type Local = ReadRun<T>;

    fn resolve<S: Tables + ?Sized>(
        tables: &S,
        access: &mut Access,
    ) -> Result<Self::Resolved, QueryError> {
        let id = resolve_read::<T, S>(tables, access)?;
        match id {
            Some(id) => {
                access.required.insert(id);
                access.require_enabled(&tables.schema().registry, id)?;
            }
            None => access.unknown = Some(type_name::<T>()),
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
        bound: &mut Self::Bound,
        run: Range<usize>,
        _: usize,
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
        // SAFETY: `frozen` in a snapshot, the query's borrow in a world; any bits are a `T`.
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

// SAFETY: hands out copies of rows of the entity column only, and reports it as read.
unsafe impl Terms for Entity {
    type Item<'a> = Entity;
    type Slices<'a> = &'a [Entity];
    type Resolved = ();
    type Place = ColumnPlace;
    type Bound = RawColumn;
    type Run = ReadRun<Entity>;
    type Local = Entity;

    fn resolve<S: Tables + ?Sized>(
        tables: &S,
        access: &mut Access,
    ) -> Result<Self::Resolved, QueryError> {
        resolve_read::<Entity, S>(tables, access).map(|_| ())
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
        bound: &mut Self::Bound,
        run: Range<usize>,
        _: usize,
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

// SAFETY: as `&T`, in the tables that have the column.
unsafe impl<T: Component> Terms for Option<&T> {
    type Item<'a> = Option<&'a T>;
    type Slices<'a> = Option<&'a [T]>;
    type Resolved = Option<OptionalIds>;
    type Place = Option<OptionalPlace>;
    type Bound = Option<OptionalColumn>;
    type Run = Option<ReadRun<T>>;
    type Local = Option<ReadRun<T>>;

    fn resolve<S: Tables + ?Sized>(
        tables: &S,
        access: &mut Access,
    ) -> Result<Self::Resolved, QueryError> {
        let Some(id) = resolve_read::<T, S>(tables, access)? else { return Ok(None) };
        let registry = &tables.schema().registry;
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
        bound: &mut Self::Bound,
        run: Range<usize>,
        _: usize,
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

/// Stands for "no limit" in [`Terms::run_log2`]: more rows than a table can have.
pub(crate) const RUN_LOG2_MAX: u8 = 32;

/// A column to write, with the chunk that will replace a shared one.
pub struct WriteColumn<T> {
    pub(super) column: *mut Column,
    spare: Option<ChunkPtr>,
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

// SAFETY: hands out each row of the bound column once per pass, after its chunk was made
// writable, and reports it as written, so that no other term reaches it.
unsafe impl<T: Component> Terms for &mut T {
    type Item<'a> = &'a mut T;
    type Slices<'a> = &'a mut [T];
    type Resolved = Option<ComponentId>;
    type Place = ColumnPlace;
    type Bound = WriteColumn<T>;
    type Run = WriteRun<T>;
    type Local = T;

    fn resolve<S: Tables + ?Sized>(
        tables: &S,
        access: &mut Access,
    ) -> Result<Self::Resolved, QueryError> {
        let component = type_name::<T>();
        if engine_owns(TypeId::of::<T>()) {
            return Err(QueryError::EngineOwned { component });
        }
        let Some(id) = tables.schema().registry.id_of::<T>(Kind::Component) else {
            access.unknown = Some(component);
            return Ok(None);
        };
        Access::check(tables, id, component)?;
        access.write(id, component)?;
        access.required.insert(id);
        access.require_enabled(&tables.schema().registry, id)?;
        Ok(Some(id))
    }

    fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place {
        resolved.and_then(|id| table.place(id)).expect("a visited table has what is required")
    }

    #[inline]
    unsafe fn bind(place: Self::Place, visit: &Visit<'_>) -> Self::Bound {
        // SAFETY: the caller's contract.
        let column = unsafe { visit.column_mut(place) };
        WriteColumn { column, spare: None, rows_log2: place.rows_log2, component: PhantomData }
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
        bound: &mut Self::Bound,
        row: usize,
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
            Ok(spare) => bound.spare = Some(spare),
            // Looking for a spare chunk may have ended the last capture that saw this one.
            Err(error) if !column.take_back(chunk, memory) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    unsafe fn abandon(bound: &mut Self::Bound, row: usize, memory: *mut Memory) {
        let Some(spare) = bound.spare.take() else { return };
        // SAFETY: as in `prepare`.
        let memory = unsafe { &mut *memory };
        // SAFETY: as in `prepare`.
        let column = unsafe { &mut *bound.column };
        column.discard_spare(row >> bound.rows_log2, spare, memory);
    }

    unsafe fn start(
        bound: &mut Self::Bound,
        run: Range<usize>,
        live: usize,
        memory: *mut Memory,
    ) -> Self::Run {
        // SAFETY: as in `prepare`.
        let column = unsafe { &mut *bound.column };
        // SAFETY: the table holds the row, and the column is of `T`.
        let source = unsafe { row_ptr::<T>(column.raw(live), run.start) };
        let Some(spare) = bound.spare.take() else {
            return WriteRun { source, target: source.cast_mut() };
        };
        // SAFETY: as in `prepare`.
        let memory = unsafe { &mut *memory };
        let chunk = run.start >> bound.rows_log2;
        if column.take_back(chunk, memory) {
            // Finding spare chunks ended the last capture that saw this one.
            column.discard_spare(chunk, spare, memory);
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
