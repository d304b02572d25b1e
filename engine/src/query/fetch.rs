//! Fetch: how the terms of a query reach the rows of a run. What reads is in `terms.rs`,
//! what writes in `write_term.rs`.
//!
//! The types of the terms are checked first ([`Access::of`]): which queries conflict does not
//! depend on what a store knows. A term is resolved once per query ([`Terms::resolve`]), placed once per archetype
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

use std::any::TypeId;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;

use convoy_pool::{CHUNK_ALIGN, ChunkPtr, MemoryError};

use crate::storage::chunk_entry::ChunkEntry;
use crate::storage::column::{Column, RawColumn};
use crate::storage::component::{Component, Kind, Registry};
use crate::storage::epoch::Epoch;
use crate::storage::history::{Memory, Returns};
use crate::storage::links::engine_owns;
use crate::storage::names::name_of;
use crate::storage::table::Table;
use crate::storage::{ComponentId, ComponentMask, Entity};

use super::error::{GetError, QueryError, TOGGLES_MAX, not_captured};
use super::sealed::{SealedReadOnly, SealedTerms};
use super::tables::{ColumnPlace, TableRef, Tables};

/// What the terms of a query touch: made for terms that don't conflict ([`Access::of`]), and
/// filled while they are resolved.
#[derive(Clone, Copy)]
pub struct Access {
    /// What an archetype must have.
    pub(crate) required: ComponentMask,
    /// A needed component that the world does not know, so that no archetype has it.
    pub(crate) unknown: Option<Name>,
    /// The toggles of what is required, which must be on.
    pub(super) enabled: ToggleIds,
    /// The toggles of what is optional: a run of rows has each of them on or off throughout.
    pub(super) uniform: ToggleIds,
}

/// The few toggles that a query looks at, each once.
#[derive(Clone, Copy)]
pub(super) struct ToggleIds {
    ids: [ComponentId; TOGGLES_MAX],
    len: u8,
}

impl ToggleIds {
    const NONE: Self = Self { ids: [ComponentId::ENTITY; TOGGLES_MAX], len: 0 };

    pub(super) fn ids(&self) -> &[ComponentId] {
        &self.ids[..usize::from(self.len)]
    }

    /// Adds `toggle`, unless it is there. Tells whether there was room.
    fn insert(&mut self, toggle: ComponentId) -> bool {
        let is_known = self.ids().contains(&toggle);
        let place = self.ids.get_mut(usize::from(self.len)).filter(|_| !is_known);
        let has_room = place.is_some();
        place.into_iter().for_each(|place| *place = toggle);
        self.len += u8::from(has_room);
        is_known || has_room
    }
}

/// The name of a component, worked out where it is wanted.
pub(super) type Name = fn() -> &'static str;

/// One use of a component by a term.
#[derive(Clone, Copy)]
pub struct Claim {
    pub(super) component: TypeId,
    pub(super) name: Name,
    pub(super) writes: bool,
}

impl Claim {
    #[inline(always)]
    pub(super) fn of<T: Component>(writes: bool) -> Self {
        Self { component: TypeId::of::<T>(), name: name_of::<T>, writes }
    }
}

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
    pub(super) unsafe fn column(&self, place: ColumnPlace) -> RawColumn {
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
    pub(super) unsafe fn column_mut(&self, place: ColumnPlace) -> *mut Column {
        match self {
            Self::Read(_) => unreachable!("terms that write visit tables to write"),
            // SAFETY: the caller's contract; a table that can be written is live.
            Self::Write(table) => unsafe { table.column(place) },
        }
    }
}

/// The terms of a query: `&T`, `&mut T`, `Option<&T>`, [`Has<T>`](crate::Has) and [`Entity`], where
/// `T` is a [component](crate::Component), and tuples of up to sixteen terms.
///
/// # Safety
///
/// Sealed: implemented in this crate only. An implementation hands out only rows of the run that was
/// started, writes only chunks that `start` made writable, and reports every component that it
/// touches to `Access`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a term of a query",
    label = "not a term",
    note = "terms are `&T`, `&mut T`, `Option<&T>`, `Has<T>` and `Entity`, and tuples of up to \
            sixteen terms; `T` is a component, which the page of `convoy_engine::Component` explains",
    note = "conditions go into `filter`: `query::<&T>().filter::<With<U>>()`"
)]
pub unsafe trait Terms: SealedTerms {
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
    /// Chunks that wait to take the place of shared ones of a run.
    #[doc(hidden)]
    type Spares;
    /// A row in flight in a fused loop.
    #[doc(hidden)]
    type Local;

    /// Before anything was prepared.
    #[doc(hidden)]
    const NO_SPARES: Self::Spares;

    /// Calls `each` for every component whose rows a term reaches. Where the terms are known the
    /// types are, so that comparing them costs nothing at run time.
    #[doc(hidden)]
    fn claims(each: &mut impl FnMut(Claim));

    /// Finds the components, of terms that don't conflict.
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
        bound: &Self::Bound,
        row: usize,
        spares: &mut Self::Spares,
        memory: *mut Memory,
    ) -> Result<(), MemoryError>;

    /// Gives back what `prepare` allocated, after it failed.
    #[doc(hidden)]
    fn abandon(spares: Self::Spares, memory: &mut Returns);

    /// Makes a run writable and returns where it is. Of a chunk that has to be replaced, the rows
    /// outside the run are copied at once.
    ///
    /// # Safety
    ///
    /// `prepare` succeeded for `run.start` with these spare chunks (terms that only read don't need
    /// it), and the run lies in one chunk of every bound column and in the table's `live` rows.
    #[doc(hidden)]
    unsafe fn start(
        bound: &Self::Bound,
        run: Range<usize>,
        live: usize,
        spares: Self::Spares,
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a term that only reads",
    label = "not a term that only reads",
    note = "terms that only read are `&T`, `Option<&T>`, `Has<T>` and `Entity`, and tuples of them; \
            `T` is a component, which the page of `convoy_engine::Component` explains",
    note = "`&mut T` takes `query_mut` on an exclusive world; views are read-only"
)]
pub unsafe trait ReadOnly: Terms + SealedReadOnly {}

impl Access {
    /// The access of terms that are not resolved yet.
    ///
    /// # Errors
    ///
    /// When a component is written and used by another term as well, or is
    /// [`Entity`](crate::Entity) and written. Types decide, so the answer is the same before and
    /// after the components are registered.
    #[inline]
    pub(super) fn of<Q: Terms>() -> Result<Self, QueryError> {
        let mut conflict: Option<Claim> = None;
        Q::claims(&mut |claim| {
            let mut uses = 0_usize;
            if claim.writes {
                Q::claims(&mut |other| uses += usize::from(other.component == claim.component));
            }
            let written_entity = claim.writes && claim.component == TypeId::of::<Entity>();
            if (uses > 1 || written_entity) && conflict.is_none() {
                conflict = Some(claim);
            }
        });
        match conflict {
            Some(claim) => Err(conflict_of(claim)),
            None => Ok(Self::NONE),
        }
    }

    const NONE: Self = Self {
        required: ComponentMask::NONE,
        unknown: None,
        enabled: ToggleIds::NONE,
        uniform: ToggleIds::NONE,
    };

    pub(super) fn check<S: Tables + ?Sized>(
        tables: &S,
        id: ComponentId,
        name: Name,
    ) -> Result<(), QueryError> {
        if tables.readable().contains(id) {
            Ok(())
        } else {
            Err(QueryError::NotCaptured { component: name() })
        }
    }

    /// Notes the toggle of a component, if it has one, among those that must be on.
    pub(super) fn require_enabled(
        &mut self,
        registry: &Registry,
        id: ComponentId,
    ) -> Result<(), QueryError> {
        let Some(toggle) = registry.info(id).toggle() else { return Ok(()) };
        let has_room = self.enabled.insert(toggle);
        self.check_toggles(has_room, registry, id)
    }

    /// Notes the toggle of a component, if it has one, among those that end runs.
    pub(super) fn require_uniform(
        &mut self,
        registry: &Registry,
        id: ComponentId,
    ) -> Result<(), QueryError> {
        let Some(toggle) = registry.info(id).toggle() else { return Ok(()) };
        let has_room = self.uniform.insert(toggle);
        self.check_toggles(has_room, registry, id)
    }

    #[cold]
    fn check_toggles(
        &self,
        has_room: bool,
        registry: &Registry,
        id: ComponentId,
    ) -> Result<(), QueryError> {
        if !has_room || self.enabled.ids().len() + self.uniform.ids().len() > TOGGLES_MAX {
            return Err(QueryError::TooManyToggles { component: registry.info(id).name() });
        }
        Ok(())
    }

    /// Whether the query visits tables of this archetype.
    pub(crate) fn matches(&self, archetype: &ComponentMask) -> bool {
        self.unknown.is_none() && self.required.is_subset(archetype)
    }
}

#[cold]
fn conflict_of(claim: Claim) -> QueryError {
    if claim.component == TypeId::of::<Entity>() {
        return QueryError::WritesEntity;
    }
    if engine_owns(claim.component) {
        return QueryError::EngineOwned { component: (claim.name)() };
    }
    QueryError::Conflict { component: (claim.name)() }
}

/// Why a table that the query does not visit has no row for it.
#[cold]
pub(super) fn not_visited(
    access: &Access,
    registry: &Registry,
    table: &TableRef<'_>,
    entity: Entity,
) -> GetError {
    if let Some(name) = access.unknown {
        return GetError::Missing { entity, component: name() };
    }
    match access.required.difference(table.mask()).iter().next() {
        Some(id) => GetError::Missing { entity, component: registry.info(id).name() },
        None => GetError::Filtered { entity },
    }
}

/// Finds `T`, and checks that it may be read.
pub(super) fn resolve_read<T: Component, S: Tables + ?Sized>(
    tables: &S,
) -> Result<Option<ComponentId>, QueryError> {
    match tables.catalog().registry.id_of::<T>(Kind::Component) {
        Some(id) => {
            Access::check(tables, id, name_of::<T>)?;
            Ok(Some(id))
        }
        // No entity has a component that was never registered, but only a store that may be read
        // in full can say so: elsewhere it was not among what was declared.
        None if tables.readable().is_all() => Ok(None),
        None => Err(not_captured::<T>()),
    }
}

/// The chunk that holds row `row`.
///
/// # Safety
///
/// `column` is of a type with bytes and holds `row`.
#[inline]
pub(super) unsafe fn chunk_entry(column: RawColumn, row: usize) -> ChunkEntry {
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

/// Stands for "no limit" in [`Terms::run_log2`]: more rows than a table can have.
pub(crate) const RUN_LOG2_MAX: u8 = 32;
