//! [`Store`]: everything that can be read of a world or of a snapshot, in one shape.
//!
//! Everything that reads goes through a store, so that worlds, views, branches and replicas give the
//! same answers: queries take its tables ([`TableRef`]), and the look-ups in `reads.rs` are written
//! once. A store is a handful of references and is passed by value.

use std::any::TypeId;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::AtomicI32;

use crate::storage::archetype::Catalog;
use crate::storage::chunk_entry::ChunkEntry;
use crate::storage::column::{Column, RawColumn};
use crate::storage::frozen::Frozen;
use crate::storage::heap::Heap;
use crate::storage::history::Memory;
use crate::storage::rows::Rows;
use crate::storage::table::Table;
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentId, ComponentMask, Entity};

use super::core::World;
use super::events::EventRecords;
use super::heaps::Heaps;
use super::index::{Location, Slot};
use super::lists::{ListBlocks, Lists};
#[cfg(feature = "rayon")]
use super::run_words::RunWords;
use super::state::State;

/// Everything that can be read of a world or of a snapshot.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    contents: Contents<'a>,
    catalog: &'a Catalog,
    readable: &'a ComponentMask,
    world: WorldId,
    tick: u64,
}

#[derive(Clone, Copy)]
enum Contents<'a> {
    Live(&'a State),
    Frozen(&'a Frozen),
}

/// The parts of a world that a query needs to write, beside the store.
pub(crate) struct WriteParts<'a> {
    pub(crate) memory: &'a mut Memory,
    #[cfg(feature = "rayon")]
    pub(crate) words: &'a mut RunWords,
}

impl World {
    pub(crate) fn store(&self) -> Store<'_> {
        let Self { state, catalog, role, id, tick, .. } = self;
        let (contents, readable) = (Contents::Live(state), role.readable());
        Store { contents, catalog, readable, world: *id, tick: *tick }
    }

    /// The store, and beside it the means of writing. The columns of the store are reached one by
    /// one ([`TableRef::column`]), so that a query may have some of them exclusively.
    #[inline]
    pub(crate) fn store_to_write(&mut self) -> (Store<'_>, WriteParts<'_>) {
        let (store, parts, _, _) = self.store_to_share();
        (store, parts)
    }

    /// The store with the means of writing, and the queries' borrows while the world is shared out.
    #[inline]
    pub(crate) fn store_to_share(&mut self) -> SharedParts<'_> {
        if !self.state.heaps.is_empty() {
            self.sweep_heaps();
        }
        let Self { state, catalog, role, id, tick, memory, scratch, .. } = self;
        let (contents, readable) = (Contents::Live(state), role.readable());
        let store = Store { contents, catalog, readable, world: *id, tick: *tick };
        let parts = WriteParts {
            memory,
            #[cfg(feature = "rayon")]
            words: &mut scratch.run_words,
        };
        (store, parts, &scratch.borrows, &scratch.strangers)
    }
}

/// The borrows of the types of a world that is shared out, and of types that it doesn't know.
type SharedParts<'a> = (Store<'a>, WriteParts<'a>, &'a [AtomicI32], &'a Mutex<Vec<(TypeId, i32)>>);

impl<'a> Store<'a> {
    /// The store of a snapshot; only `readable` may be read.
    #[inline]
    pub(crate) fn frozen(frozen: &'a Frozen, readable: &'a ComponentMask) -> Self {
        let (contents, catalog) = (Contents::Frozen(frozen), frozen.catalog());
        let (world, tick) = (frozen.head.world, frozen.head.tick);
        Self { contents, catalog, readable, world, tick }
    }

    /// The types and archetypes.
    #[inline]
    pub(crate) fn catalog(&self) -> &'a Catalog {
        self.catalog
    }

    /// The components, event types and resources that may be read.
    #[inline]
    pub(crate) fn readable(&self) -> &'a ComponentMask {
        self.readable
    }

    /// The world, or the one that the snapshot was captured from.
    pub(crate) fn world_id(&self) -> WorldId {
        self.world
    }

    /// The frame counter.
    pub(crate) fn tick(&self) -> u64 {
        self.tick
    }

    /// The components whose columns the tables have, where that is not all of them. Together with
    /// the catalog it decides where a column stands in a table.
    #[inline]
    pub(crate) fn layout(&self) -> Option<&'a ComponentMask> {
        match self.contents {
            Contents::Live(_) => None,
            Contents::Frozen(frozen) => Some(&frozen.head.mask),
        }
    }

    /// Entities alive.
    pub(crate) fn entity_count(&self) -> usize {
        match self.contents {
            Contents::Live(state) => state.index.alive() as usize,
            Contents::Frozen(frozen) => frozen.head.alive as usize,
        }
    }

    /// The tables, empty ones included.
    #[inline]
    pub(crate) fn tables(&self) -> StoreTables<'a> {
        match self.contents {
            Contents::Live(state) => StoreTables::Live(&state.tables, &state.heaps),
            Contents::Frozen(frozen) => StoreTables::Frozen(frozen),
        }
    }

    /// Tables, empty ones included.
    #[inline]
    pub(crate) fn table_count(&self) -> usize {
        self.tables().len()
    }

    /// The table of archetype number `index`.
    #[inline]
    pub(crate) fn table(&self, index: usize) -> TableRef<'a> {
        self.tables().get(index)
    }

    /// Where an entity is. `Err` where handles may not be read, and `Ok(None)` where it is not alive.
    #[inline]
    pub(crate) fn locate(&self, entity: Entity) -> Result<Option<Location>, NoHandles> {
        if !self.readable.contains(ComponentId::ENTITY) {
            return Err(NoHandles);
        }
        match self.contents {
            Contents::Live(state) => Ok(state.index.locate(entity)),
            Contents::Frozen(frozen) => {
                let slots = frozen.index().ok_or(NoHandles)?;
                let index = entity.index() as usize;
                let slot = (index < slots.len()).then(|| slots.get::<Slot>(index));
                Ok(slot.and_then(|slot| slot.locate(entity.generation())))
            }
        }
    }

    /// The rows of one column of a table; `None` where the table has no such component, or it may not
    /// be read.
    #[inline]
    pub(crate) fn rows(&self, table: usize, id: ComponentId) -> Option<Rows<'a>> {
        if !self.readable.contains(id) {
            return None;
        }
        match self.contents {
            Contents::Live(state) => {
                let table = &state.tables[table];
                Some(table.column(id)?.rows(table.rows()))
            }
            Contents::Frozen(frozen) => frozen.column(table, id),
        }
    }

    /// The chunks of one column of a table, and their bytes: those of the rows in a snapshot, and all
    /// that a live column has.
    pub(crate) fn column_use(&self, table: usize, id: ComponentId) -> Option<(usize, usize)> {
        match self.contents {
            Contents::Live(state) => {
                let column = state.tables[table].column(id)?;
                Some((column.chunk_count(), column.reserved_bytes()))
            }
            Contents::Frozen(frozen) => Some(frozen.column(table, id)?.chunk_use()),
        }
    }

    /// The slots of the entity index; `None` where handles may not be read.
    pub(crate) fn slots(&self) -> Option<Rows<'a>> {
        if !self.readable.contains(ComponentId::ENTITY) {
            return None;
        }
        match self.contents {
            Contents::Live(state) => Some(state.index.slots()),
            Contents::Frozen(frozen) => frozen.index(),
        }
    }

    /// The lists of component `id`, which may be read; `None` where its rows are no lists.
    #[inline]
    pub(crate) fn lists(&self, id: ComponentId) -> Option<Lists<'a>> {
        let shape = self.catalog.registry.info(id).list()?;
        let blocks = match self.contents {
            Contents::Live(state) => ListBlocks::Live(state.heaps.get(id)?.classes()),
            Contents::Frozen(frozen) => ListBlocks::Frozen(frozen, frozen.heap(id)),
        };
        Some(Lists::new(shape, blocks))
    }

    /// The value of component `id` at a row of its column, as bytes: those of the elements of a list.
    pub(crate) fn value_bytes(&self, rows: Rows<'a>, id: ComponentId, row: usize) -> &'a [u8] {
        match self.lists(id) {
            Some(lists) => lists.bytes(*rows.get(row)),
            None => rows.bytes(row..row + 1),
        }
    }

    /// Whether this is a world, and not a snapshot.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.contents, Contents::Live(_))
    }

    /// The records of an event type; `None` where there are none, or they may not be read. Those of a
    /// world always may: a replica has its own of types that were not synced.
    pub(crate) fn log(&self, id: ComponentId) -> Option<EventRecords<'a>> {
        let (rows, first, forks) = match self.contents {
            Contents::Live(state) => {
                let log = state.log(id)?;
                (log.column().rows(log.rows()), log.first(), log.forks())
            }
            Contents::Frozen(frozen) => frozen.log(id).filter(|_| self.readable.contains(id))?,
        };
        Some(EventRecords { world: self.world, rows, first, forks: Some(forks) })
    }

    /// The row of a resource, or no row where it has no value; `None` where it may not be read.
    pub(crate) fn resource_rows(&self, id: ComponentId) -> Option<Rows<'a>> {
        if !self.readable.contains(id) {
            return None;
        }
        match self.contents {
            Contents::Live(state) => {
                let resource = state.resource(id)?;
                Some(resource.column().rows(resource.rows()))
            }
            Contents::Frozen(frozen) => frozen.resource(id),
        }
    }
}

/// The tables of a store, by themselves: loops over them keep little at hand.
#[derive(Clone, Copy)]
pub(crate) enum StoreTables<'a> {
    /// With the heaps of all lists.
    Live(&'a [Table], &'a Heaps),
    Frozen(&'a Frozen),
}

impl<'a> StoreTables<'a> {
    /// Tables, empty ones included.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Live(tables, _) => tables.len(),
            Self::Frozen(frozen) => frozen.table_count(),
        }
    }

    /// The table of archetype number `index`.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> TableRef<'a> {
        match *self {
            Self::Live(tables, heaps) => TableRef::live(&tables[index], heaps),
            Self::Frozen(frozen) => TableRef::frozen(frozen, index),
        }
    }
}

/// The entity handles may not be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoHandles;

/// One archetype's rows.
#[derive(Clone, Copy)]
pub struct TableRef<'a> {
    mask: &'a ComponentMask,
    rows: usize,
    columns: Columns<'a>,
}

#[derive(Clone, Copy)]
enum Columns<'a> {
    /// With the heaps of all lists, which queries share out as they do columns.
    Live(&'a Table, &'a Heaps),
    Frozen(FrozenColumns<'a>),
}

/// The columns of one table in a snapshot.
#[derive(Clone, Copy)]
struct FrozenColumns<'a> {
    /// The components of the table, and those of all tables that were captured.
    mask: &'a ComponentMask,
    captured: &'a ComponentMask,
    /// Where the chunks of each captured column start in `chunks`, in the order of component ids.
    starts: &'a [u32],
    chunks: &'a [ChunkEntry],
    frozen: &'a Frozen,
}

impl<'a> TableRef<'a> {
    #[inline]
    pub(crate) fn live(table: &'a Table, heaps: &'a Heaps) -> Self {
        Self { mask: table.mask(), rows: table.rows(), columns: Columns::Live(table, heaps) }
    }

    fn frozen(frozen: &'a Frozen, index: usize) -> Self {
        let mask = frozen.catalog().archetypes()[index].mask();
        let (rows, starts) = frozen.table(index);
        let (captured, chunks) = (&frozen.head.mask, frozen.chunks());
        let columns = FrozenColumns { mask, captured, starts, chunks, frozen };
        Self { mask, rows, columns: Columns::Frozen(columns) }
    }

    /// The archetype's components; the bit of the entity column is always set.
    #[inline]
    pub fn mask(&self) -> &'a ComponentMask {
        self.mask
    }

    /// Rows in the table.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Where a column stands; `None` when the table has no such component.
    #[inline]
    pub(crate) fn place(&self, id: ComponentId) -> Option<ColumnPlace> {
        match self.columns {
            Columns::Live(table, _) => ColumnPlace::in_table(table, id),
            Columns::Frozen(columns) => columns.place(id),
        }
    }

    /// The chunks of the column at a place of this table, or of one of the same archetype in a
    /// store of the same layout. Refers to no other column.
    #[inline(always)]
    pub(crate) fn column(&self, place: ColumnPlace) -> RawColumn {
        match self.columns {
            Columns::Live(table, _) => table.raw_column(usize::from(place.position)),
            Columns::Frozen(columns) => columns.column(place, self.rows),
        }
    }

    /// The column at a place of a live table, for a query that has it exclusively.
    ///
    /// # Panics
    ///
    /// When the table is one of a snapshot.
    #[inline]
    pub(crate) fn column_to_write(&self, place: ColumnPlace) -> *mut Column {
        match self.columns {
            Columns::Live(table, _) => table.column_ptr(usize::from(place.position)),
            Columns::Frozen(_) => unreachable!("queries that write are made of live worlds only"),
        }
    }
}

impl<'a> TableRef<'a> {
    /// The elements of the lists at a place of this table; `None` where it is no column of lists.
    pub(crate) fn lists(&self, place: ColumnPlace) -> Option<Lists<'a>> {
        match self.columns {
            Columns::Live(table, heaps) => {
                let heap = heaps.get(table.component_at(usize::from(place.position)))?;
                Some(Lists::new(heap.shape(), ListBlocks::Live(heap.classes())))
            }
            Columns::Frozen(columns) => {
                let id = columns.component(place)?;
                let shape = columns.frozen.catalog().registry.info(id).list()?;
                let blocks = columns.frozen.heap(id);
                Some(Lists::new(shape, ListBlocks::Frozen(columns.frozen, blocks)))
            }
        }
    }

    /// The heap of the lists at a place of a live table, for a query that has them exclusively.
    pub(crate) fn heap_to_write(&self, place: ColumnPlace) -> Option<NonNull<Heap>> {
        match self.columns {
            Columns::Live(table, heaps) => {
                heaps.ptr(table.component_at(usize::from(place.position)))
            }
            Columns::Frozen(_) => unreachable!("queries that write are made of live worlds only"),
        }
    }
}

/// Where the column of a component is in every table of one archetype, among stores of the same
/// layout: for the live, the position among the columns; for snapshots of one mask, the position
/// among the captured ones.
#[derive(Clone, Copy, Debug)]
pub struct ColumnPlace {
    position: u16,
    pub(crate) rows_log2: u8,
    has_chunks: bool,
}

impl ColumnPlace {
    #[inline]
    fn in_table(table: &Table, id: ComponentId) -> Option<Self> {
        let position = table.position(id)?;
        let (rows_log2, size) = table.column_shape(position);
        Some(Self::new(position, rows_log2, size))
    }

    #[inline]
    fn new(position: usize, rows_log2: u8, size: usize) -> Self {
        Self { position: position as u16, rows_log2, has_chunks: size > 0 }
    }
}

impl FrozenColumns<'_> {
    /// The component of the column at a place.
    fn component(&self, place: ColumnPlace) -> Option<ComponentId> {
        let captured = self.mask.iter().filter(|&id| self.captured.contains(id));
        captured.into_iter().nth(usize::from(place.position))
    }

    fn place(&self, id: ComponentId) -> Option<ColumnPlace> {
        let Self { mask, captured, frozen, .. } = self;
        let position = mask.rank_in_both(captured, id)?;
        let info = frozen.catalog().registry.info(id);
        Some(ColumnPlace::new(position, info.rows_log2(), info.size()))
    }

    #[inline]
    fn column(&self, place: ColumnPlace, rows: usize) -> RawColumn {
        let ColumnPlace { position, rows_log2, has_chunks } = place;
        let start = self.starts[usize::from(position)] as usize;
        let count = if has_chunks { rows.div_ceil(1 << rows_log2) } else { 0 };
        let chunks = &self.chunks[start..start + count];
        RawColumn { chunks: chunks.as_ptr(), rows_log2 }
    }
}
