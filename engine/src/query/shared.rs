//! [`SharedWorld`]: several queries at once, of which some write, with checks at run time.
//!
//! A query on `&mut World` has everything for itself, and the compiler checks that. Where it is not
//! known at compile time which queries meet, on one thread or on several of a scope, the world is
//! *shared out* by component: a query says when it is made which components it reads and writes,
//! and it is made only if nobody alive writes what it reads or uses what it writes.
//!
//! What a query that writes a component changes beside its rows is the chunk list of that
//! component's columns, which nobody else looks at meanwhile, and the world's memory, when a
//! snapshot shares a chunk that has to be copied. The memory is behind a lock, which is taken for
//! such chunks only, and the copy is complete before the lock is given back: a copy that was still
//! under way could lose its source to the next reclaim. Rows, archetypes, types and the epoch
//! don't change while a world is shared out, as all of that takes `&mut World`.

#![allow(unsafe_code, reason = "runs the loops over fetched rows")]

use std::any::TypeId;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use convoy_pool::MemoryError;

use crate::storage::archetype::Catalog;
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::rows::Rows;
use crate::storage::table::Table;
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::World;
use crate::world::index::{EntityIndex, Location};

use super::error::{GetError, QueryError};
use super::fetch::{Access, Claim, Terms, Visit, WriteTable, not_visited};
use super::filter::Filter;
use super::sealed::SealedTables;
use super::selection::{Selection, next_run};
use super::tables::{TableRef, Tables};
use super::write::start_older;

/// A world that is shared out to queries component by component, with checks at run time. Made by
/// [`World::share`]; threads of a scope may use it at once.
///
/// ```
/// # use convoy_engine::{QueryError, World};
/// let mut world = World::new();
/// world.spawn((1.0_f32, 2_u32));
/// world.spawn((3.0_f32, 4_u32));
/// let shared = world.share();
/// let mut values = shared.query::<&mut f32>();
/// let mut numbers = shared.query::<&u32>();
/// let mut sum = 0;
/// numbers.for_each(|number| {
///     values.for_each(|value| *value += 1.0);
///     sum += number;
/// });
/// let conflict = shared.try_query::<(&u32, &f32)>().err();
/// assert_eq!(conflict, Some(QueryError::Borrowed { component: "f32" }));
/// drop(values);
/// assert_eq!(shared.query::<(&u32, &f32)>().count(), 2);
/// assert_eq!(sum, 6);
/// ```
pub struct SharedWorld<'w> {
    /// Of the columns only those are looked at that a query has borrowed, each by itself.
    tables: &'w [Table],
    catalog: &'w Catalog,
    index: &'w EntityIndex,
    readable: &'w ComponentMask,
    epoch: Epoch,
    memory: Mutex<&'w mut Memory>,
    /// For each type of the world how many queries read it, or `WRITTEN`.
    borrows: &'w [AtomicI32],
    /// The same for types that no component of the world has. Queries find nothing by them, but
    /// two that conflict are told apart from the start, and not when the first entity comes.
    strangers: Mutex<&'w mut Vec<(TypeId, i32)>>,
}

/// Marks a component that a query writes.
const WRITTEN: i32 = -1;

impl World {
    /// Shares the world out to queries that are alive at once. Sets a counter for each type of the
    /// world to zero.
    pub fn share(&mut self) -> SharedWorld<'_> {
        // A query that was forgotten, and not dropped, has borrowed until now.
        self.strangers.clear();
        self.borrows.iter_mut().for_each(|count| *count.get_mut() = 0);
        self.borrows.resize_with(self.catalog.registry.len(), AtomicI32::default);
        SharedWorld {
            tables: &self.tables,
            catalog: &self.catalog,
            index: &self.index,
            readable: &self.readable,
            epoch: self.memory.epoch(),
            memory: Mutex::new(&mut self.memory),
            borrows: &self.borrows,
            strangers: Mutex::new(&mut self.strangers),
        }
    }
}

impl<'w> SharedWorld<'w> {
    /// A query that reads and writes what its terms say, until it is dropped.
    ///
    /// # Panics
    ///
    /// Where [`SharedWorld::try_query`] returns an error.
    #[track_caller]
    pub fn query<Q: Terms>(&self) -> SharedQuery<'_, 'w, Q> {
        match self.try_query() {
            Ok(query) => query,
            Err(error) => panic!("{error}"),
        }
    }

    /// A query that reads and writes what its terms say, until it is dropped. Costs one atomic
    /// exchange for each component.
    ///
    /// # Errors
    ///
    /// [`QueryError::Borrowed`] with the component when a query that is alive writes what this one
    /// uses, or uses what this one writes, whether or not an entity has the component; otherwise as
    /// [`World::try_query_mut`].
    pub fn try_query<Q: Terms>(&self) -> Result<SharedQuery<'_, 'w, Q>, QueryError> {
        let mut access = Access::of::<Q>()?;
        let resolved = Q::resolve(&Shape(self), &mut access)?;
        let (registry, mut strangers) = (&self.catalog.registry, false);
        let (mut read, mut write) = (ComponentMask::NONE, ComponentMask::NONE);
        Q::claims(&mut |claim| match registry.component_by_type(claim.component) {
            Some(id) if claim.writes => _ = write.insert(id),
            Some(id) => _ = read.insert(id),
            None => strangers = true,
        });
        let mut borrow = Borrow::new(self, &read, &write)?;
        if strangers {
            borrow.take_strangers(|each| Q::claims(&mut |claim| each(claim)))?;
        }
        Ok(SharedQuery { borrow, resolved, access, filter: PhantomData })
    }

    fn state(&self, id: ComponentId) -> &AtomicI32 {
        &self.borrows[id.index()]
    }

    fn component(&self, id: ComponentId) -> &'static str {
        self.catalog.registry.info(id).name()
    }
}

impl std::fmt::Debug for SharedWorld<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = self.catalog.registry.ids();
        let used = ids.iter().filter(|id| self.state(*id).load(Ordering::Relaxed) != 0);
        let names: Vec<_> = used.map(|id| self.component(id)).collect();
        formatter.debug_struct("SharedWorld").field("borrowed", &names).finish_non_exhaustive()
    }
}

/// What terms look at when they are resolved and placed. Not the shared world itself, as whoever
/// has `Tables` may read every column.
struct Shape<'s, 'w>(&'s SharedWorld<'w>);

impl SealedTables for Shape<'_, '_> {}

impl Tables for Shape<'_, '_> {
    fn catalog(&self) -> &Catalog {
        self.0.catalog
    }

    fn readable(&self) -> &ComponentMask {
        self.0.readable
    }

    fn world_id(&self) -> WorldId {
        WorldId::NONE
    }

    fn layout(&self) -> Option<&ComponentMask> {
        None
    }

    fn table_count(&self) -> usize {
        self.0.tables.len()
    }

    fn table(&self, index: usize) -> TableRef<'_> {
        TableRef::live(&self.0.tables[index])
    }

    fn locate(&self, entity: Entity) -> Result<Option<Location>, GetError> {
        Ok(self.0.index.locate(entity))
    }

    fn slots(&self) -> Option<Rows<'_>> {
        None
    }

    fn rows(&self, _: usize, _: ComponentId) -> Option<Rows<'_>> {
        // Nobody has borrowed a column to read it like this.
        None
    }
}

/// The components that a query of a shared world has, until it is dropped.
struct Borrow<'s, 'w> {
    shared: &'s SharedWorld<'w>,
    read: ComponentMask,
    write: ComponentMask,
    /// The claims of the terms, if a type among them is a stranger's.
    strangers: Option<Claims>,
}

/// Calls a function for every claim of some terms.
type Claims = fn(&mut dyn FnMut(Claim));

impl<'s, 'w> Borrow<'s, 'w> {
    fn new(
        shared: &'s SharedWorld<'w>,
        read: &ComponentMask,
        write: &ComponentMask,
    ) -> Result<Self, QueryError> {
        let none = ComponentMask::NONE;
        // Grows as components are taken, so that an early return gives back what was taken.
        let mut borrow = Self { shared, read: none, write: none, strangers: None };
        for id in write.iter() {
            borrow.take(id, |state| (state == 0).then_some(WRITTEN))?;
            borrow.write.insert(id);
        }
        for id in read.iter() {
            borrow.take(id, |state| if state == WRITTEN { None } else { state.checked_add(1) })?;
            borrow.read.insert(id);
        }
        Ok(borrow)
    }

    /// Takes the types that no component has, all of them or none.
    #[cold]
    fn take_strangers(&mut self, claims: Claims) -> Result<(), QueryError> {
        let mut taken = self.shared.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut borrowed = None;
        self.each_stranger(claims, &mut |claim| {
            let mut states = taken.iter().filter(|(other, _)| *other == claim.component);
            if states.any(|(_, state)| claim.writes || *state == WRITTEN) {
                borrowed = Some(claim.name);
            }
        });
        if let Some(name) = borrowed {
            return Err(QueryError::Borrowed { component: name() });
        }
        self.each_stranger(claims, &mut |claim| {
            let state = taken.iter_mut().find(|(other, _)| *other == claim.component);
            match state {
                Some((_, readers)) => *readers += 1,
                None => taken.push((claim.component, if claim.writes { WRITTEN } else { 1 })),
            }
        });
        self.strangers = Some(claims);
        Ok(())
    }

    #[cold]
    fn drop_strangers(&self, claims: Claims) {
        let mut taken = self.shared.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        self.each_stranger(claims, &mut |claim| {
            let place = taken.iter().position(|(other, _)| *other == claim.component);
            let place = place.expect("what a query has is taken");
            match &mut taken[place].1 {
                &mut (WRITTEN | 1) => _ = taken.swap_remove(place),
                readers => *readers -= 1,
            }
        });
    }

    fn each_stranger(&self, claims: Claims, each: &mut dyn FnMut(Claim)) {
        let registry = &self.shared.catalog.registry;
        claims(&mut |claim| {
            if registry.component_by_type(claim.component).is_none() {
                each(claim);
            }
        });
    }

    fn take(&self, id: ComponentId, next: impl Fn(i32) -> Option<i32>) -> Result<(), QueryError> {
        // Acquire pairs with the Release in `drop`: what the last query wrote is seen.
        let state = self.shared.state(id);
        match state.fetch_update(Ordering::Acquire, Ordering::Relaxed, next) {
            Ok(_) => Ok(()),
            Err(_) => Err(QueryError::Borrowed { component: self.shared.component(id) }),
        }
    }
}

impl Drop for Borrow<'_, '_> {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `take`.
        for id in self.write.iter() {
            self.shared.state(id).store(0, Ordering::Release);
        }
        for id in self.read.iter() {
            self.shared.state(id).fetch_sub(1, Ordering::Release);
        }
        if let Some(claims) = self.strangers {
            self.drop_strangers(claims);
        }
    }
}

/// A query of a [`SharedWorld`]. Until it is dropped, no other query of that world writes what it
/// reads or uses what it writes.
pub struct SharedQuery<'s, 'w, Q: Terms, F = ()> {
    borrow: Borrow<'s, 'w>,
    resolved: Q::Resolved,
    access: Access,
    filter: PhantomData<fn() -> F>,
}

impl<'s, 'w, Q: Terms, F: Filter> SharedQuery<'s, 'w, Q, F> {
    /// Restricts the query to the entities that pass `G` as well. Only filters that look at no
    /// column but toggles are accepted, as they borrow none: [`Changed`](crate::Changed) and
    /// [`Added`](crate::Added) don't compile here. Nobody switches components while a world is
    /// shared out.
    ///
    /// # Panics
    ///
    /// In a replica, when `G` looks at a toggle that was not synced.
    #[track_caller]
    pub fn filter<G: Filter>(self) -> SharedQuery<'s, 'w, Q, (F, G)> {
        const { assert!(G::BY_ARCHETYPE, "a shared query can't be filtered by columns") };
        let Self { borrow, resolved, access, .. } = self;
        if let Err(error) = G::check(&borrow.shared.catalog.registry, borrow.shared.readable) {
            panic!("{error}");
        }
        SharedQuery { borrow, resolved, access, filter: PhantomData }
    }

    fn visits(&self, table: &Table) -> bool {
        table.rows() > 0
            && self.access.matches(table.mask())
            && F::passes(&self.borrow.shared.catalog.registry, table.mask())
    }

    /// What decides on the rows of a table that is visited, where not all of them are.
    #[inline]
    fn selection(&self, table: &Table) -> Option<Selection<F>> {
        let registry = &self.borrow.shared.catalog.registry;
        Selection::bind(&TableRef::live(table), registry, &self.access, Epoch::ZERO)
    }

    /// How many entities the query finds. The cost grows with archetypes, and with entities only
    /// where components can be switched off.
    pub fn count(&self) -> usize {
        let tables = self.borrow.shared.tables.iter().filter(|table| self.visits(table));
        let rows = tables.map(|table| match self.selection(table) {
            // SAFETY: the world is shared out, so that nobody writes toggles.
            Some(selection) => unsafe { selection.count() },
            None => table.rows(),
        });
        rows.sum()
    }

    /// Calls `each` for every entity, in the order of archetypes and rows. A chunk that a snapshot
    /// shares is copied first.
    ///
    /// # Panics
    ///
    /// When memory runs out for such a copy; see [`SharedQuery::try_for_each`].
    #[track_caller]
    pub fn for_each(&mut self, each: impl FnMut(Q::Item<'_>)) {
        if let Err(error) = self.try_for_each(each) {
            panic!("{error}");
        }
    }

    /// Calls `each` for every entity, as [`SharedQuery::for_each`].
    ///
    /// # Errors
    ///
    /// When memory runs out for copying a chunk that a snapshot shares. The rows before that
    /// chunk have been visited; no row is torn.
    pub fn try_for_each(&mut self, mut each: impl FnMut(Q::Item<'_>)) -> Result<(), MemoryError> {
        self.visit_runs(|run, rows| {
            for index in 0..rows {
                // SAFETY: the index is in the run, which is owned, and the last item was dropped.
                each(unsafe { Q::item(run, index) });
            }
        })
    }

    /// Calls `each` for every run: the slices of the rows that lie in one chunk of every column
    /// of the query, as [`QueryMut::for_each_run`](crate::QueryMut::for_each_run).
    ///
    /// # Errors
    ///
    /// As [`SharedQuery::try_for_each`].
    pub fn for_each_run(&mut self, mut each: impl FnMut(Q::Slices<'_>)) -> Result<(), MemoryError> {
        self.visit_runs(|run, rows| {
            // SAFETY: the run has these rows, is owned, and the last slices were dropped.
            each(unsafe { Q::slices(run, rows) });
        })
    }

    /// The item of one entity.
    ///
    /// # Errors
    ///
    /// As [`QueryMut::get`](crate::QueryMut::get).
    pub fn get(&mut self, entity: Entity) -> Result<Q::Item<'_>, GetError> {
        let shared = self.borrow.shared;
        let at = shared.index.locate(entity).ok_or(GetError::NotAlive { entity })?;
        let table = &shared.tables[at.archetype.index()];
        if !self.visits(table) {
            let registry = &shared.catalog.registry;
            return Err(not_visited(&self.access, registry, &TableRef::live(table), entity));
        }
        let row = at.row as usize;
        assert!(row < table.rows(), "the index names a row of the table");
        // SAFETY: the table has the row, and nobody writes toggles while the world is shared out.
        if self.selection(table).is_some_and(|selection| !unsafe { selection.selects(row) }) {
            return Err(GetError::Filtered { entity });
        }
        // SAFETY: the table matches.
        let bound = unsafe { self.bind(table) };
        // SAFETY: the table has the row, and a run of one row lies in one chunk of every column.
        let run = unsafe { self.start(&bound, row, row + 1, table.rows())? };
        // SAFETY: the run has a row and is owned; the item borrows the query, which hands out no
        // other one meanwhile.
        Ok(unsafe { Q::item(run, 0) })
    }

    /// Makes every run writable and hands it to `visit`, with its number of rows.
    #[inline]
    fn visit_runs(&mut self, mut visit: impl FnMut(Q::Run, usize)) -> Result<(), MemoryError> {
        for table in self.borrow.shared.tables {
            if !self.visits(table) {
                continue;
            }
            let rows = table.rows();
            // SAFETY: the table was checked to match.
            let bound = unsafe { self.bind(table) };
            let log2 = Q::run_log2(&bound);
            let mut selection = self.selection(table);
            let mut row = 0;
            // SAFETY: nobody writes toggles while the world is shared out.
            while let Some(selected) = unsafe { next_run(row, log2, rows, &mut selection) } {
                row = selected.end;
                // SAFETY: the run lies in one chunk of every column.
                let run = unsafe { self.start(&bound, selected.start, row, rows)? };
                visit(run, selected.len());
            }
        }
        Ok(())
    }

    /// # Safety
    ///
    /// The table matches.
    #[inline]
    unsafe fn bind(&self, table: &'w Table) -> Q::Bound {
        let place = Q::place(self.resolved, &TableRef::live(table));
        // SAFETY: the place was found in this table, and the query has borrowed the columns of its
        // terms, to write or to read.
        unsafe { Q::bind(place, &Visit::Write(WriteTable::of_shared(table))) }
    }

    /// Makes one run writable, and copies it where a snapshot shared it.
    ///
    /// # Safety
    ///
    /// `bound` is bound to a table of this world with `rows` rows, and `row..end` lies in one chunk
    /// of every column.
    #[inline]
    unsafe fn start(
        &self,
        bound: &Q::Bound,
        row: usize,
        end: usize,
        rows: usize,
    ) -> Result<Q::Run, MemoryError> {
        // SAFETY: the caller's contract, and the epoch stays the same while a world is shared out.
        if let Some(run) = unsafe { Q::start_owned(bound, row, self.borrow.shared.epoch) } {
            return Ok(run);
        }
        let memory = &self.borrow.shared.memory;
        // A panic under the lock is one of a broken invariant; the memory stays what it was.
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        let memory: *mut Memory = &raw mut **memory;
        // SAFETY: the caller's contract; the lock makes the memory exclusive, and the query has the
        // columns that it writes for itself.
        let run = unsafe { start_older::<Q>(*bound, row..end, rows, memory)? };
        // Before the lock is given back: the next reclaim may free what is copied from.
        // SAFETY: the rows are in the run, and no item of them is alive.
        unsafe { Q::copy(run, 0, end - row) };
        Ok(run)
    }
}

impl<Q: Terms, F> std::fmt::Debug for SharedQuery<'_, '_, Q, F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SharedQuery")
            .field("reads", &self.borrow.read)
            .field("writes", &self.borrow.write)
            .finish_non_exhaustive()
    }
}
