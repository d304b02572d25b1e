//! Frozen tables: the chunk pointers and lengths that a capture took, in one cell of a pool.
//!
//! The lists keep their capacity from one capture to the next. While the cell is leased, the
//! chunks stay mapped (the cell holds the arena's mapping) and unchanged (the world's history
//! knows of the snapshot), whatever happens to the world.

#![allow(unsafe_code, reason = "vouches for captured chunks")]

use std::sync::{Arc, Mutex, PoisonError};

use convoy_pool::{Mapping, Recycle};

use super::archetype::Catalog;
use super::base::{Base, Holds};
use super::charge::Charge;
use super::chunk_entry::ChunkEntry;
use super::component_id::ComponentId;
use super::entity::Entity;
use super::epoch::Epoch;
use super::forks::Forks;
use super::handle_state::{HandleState, LaneHead, LaneId};
use super::lineage::Lineage;
use super::mask::ComponentMask;
use super::rows::Rows;
use super::world_id::WorldId;

pub(crate) mod restore;

/// What a snapshot is about, apart from its chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrozenHead {
    pub(crate) world: WorldId,
    /// The epoch that the capture closed.
    pub(crate) epoch: Epoch,
    /// How often a restore or a sync had replaced the world's entities.
    pub(crate) lineage: u64,
    pub(crate) tick: u64,
    /// What was captured, and so may be read.
    pub(crate) mask: ComponentMask,
    /// Entities alive.
    pub(crate) alive: u32,
    /// How many events of a type the world keeps at least.
    pub(crate) event_retention: usize,
}

impl FrozenHead {
    const EMPTY: Self = Self {
        world: WorldId::NONE,
        epoch: Epoch::NEVER,
        lineage: 0,
        tick: 0,
        mask: ComponentMask::NONE,
        alive: 0,
        event_retention: 0,
    };
}

/// Chunks of one captured column: where they start in the list, and their rows.
#[derive(Clone, Copy, Debug, Default)]
struct FrozenRows {
    start: usize,
    /// May be more than fit 32 bits: events without bytes take no memory.
    rows: usize,
}

#[derive(Clone, Copy, Debug)]
struct FrozenTable {
    rows: u32,
    /// Where the table's columns start in the list of starts.
    first_column: u32,
}

#[derive(Clone, Copy, Debug)]
struct FrozenLog {
    component: ComponentId,
    first: u64,
    forks: Forks,
    rows: FrozenRows,
}

/// A captured resource: one row, or none where it had no value.
#[derive(Clone, Copy, Debug)]
struct FrozenResource {
    component: ComponentId,
    rows: FrozenRows,
}

/// How much a snapshot's lists hold or have room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SnapshotShape {
    /// Tables, empty ones included.
    pub tables: usize,
    /// Columns of all tables.
    pub columns: usize,
    /// Chunks of all columns, of the entity index, of the event logs and of the resources.
    pub chunks: usize,
    /// Event logs.
    pub logs: usize,
    /// Resources, those without a value included.
    pub resources: usize,
    /// Handles that are reserved for command buffers.
    pub handles: usize,
    /// Lanes of command buffers: as many as there were buffers at one time.
    pub lanes: usize,
}

/// One captured picture of a world.
pub(crate) struct Frozen {
    pub(crate) head: FrozenHead,
    catalog: Option<Arc<Catalog>>,
    /// The world's, which may have advanced since.
    lineage: Option<Lineage>,
    mapping: Option<Arc<Mapping>>,
    tables: Vec<FrozenTable>,
    /// Where the chunks of each captured column start, table by table.
    starts: Vec<u32>,
    chunks: Vec<ChunkEntry>,
    index: Option<(FrozenRows, u8)>,
    logs: Vec<FrozenLog>,
    resources: Vec<FrozenResource>,
    /// Which handles the index gave out next.
    pub(crate) handles: HandleState,
    /// In a snapshot of a branch: the bases of the foreign chunks in it, with their numbers.
    bases: Vec<(u32, Base)>,
    /// Counts the branches of this snapshot.
    holds: Option<Holds>,
    /// The masks that views were narrowed to, of this snapshot and of those before it.
    narrowings: Mutex<Vec<Arc<ComponentMask>>>,
}

/// How many masks a cell keeps that views were narrowed to.
const NARROWINGS_MAX: usize = 32;

impl Frozen {
    pub(crate) fn with_shape(shape: &SnapshotShape) -> Self {
        Self {
            head: FrozenHead::EMPTY,
            catalog: None,
            lineage: None,
            mapping: None,
            tables: Vec::with_capacity(shape.tables),
            starts: Vec::with_capacity(shape.columns),
            chunks: Vec::with_capacity(shape.chunks),
            index: None,
            logs: Vec::with_capacity(shape.logs),
            resources: Vec::with_capacity(shape.resources),
            handles: HandleState {
                lanes: Vec::with_capacity(shape.lanes),
                reserved: Vec::with_capacity(shape.handles),
                ..HandleState::default()
            },
            bases: Vec::new(),
            holds: None,
            narrowings: Mutex::default(),
        }
    }

    /// Bytes of a cell with room for `shape`.
    pub(crate) fn bytes_of(shape: &SnapshotShape) -> usize {
        let lists = [
            (shape.tables, size_of::<FrozenTable>()),
            (shape.columns, size_of::<u32>()),
            (shape.chunks, size_of::<ChunkEntry>()),
            (shape.logs, size_of::<FrozenLog>()),
            (shape.resources, size_of::<FrozenResource>()),
            (shape.handles, size_of::<(LaneId, Entity)>()),
            (shape.lanes, size_of::<LaneHead>()),
        ];
        let bytes = lists.into_iter().map(|(count, bytes)| count.saturating_mul(bytes));
        bytes.fold(size_of::<Self>(), usize::saturating_add)
    }

    /// `mask` for a view that is narrowed to it: the one that was made before for an equal mask, as
    /// modules read the same in every frame.
    pub(crate) fn narrowing(&self, mask: &ComponentMask) -> Arc<ComponentMask> {
        // The list is whole after every statement.
        let mut narrowings = self.narrowings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = narrowings.iter().find(|known| ***known == *mask) {
            return Arc::clone(known);
        }
        let narrowing = Arc::new(*mask);
        if narrowings.len() < NARROWINGS_MAX {
            narrowings.push(Arc::clone(&narrowing));
        }
        narrowing
    }

    /// Makes room for `shape`.
    pub(crate) fn reserve(&mut self, shape: &SnapshotShape) {
        debug_assert!(self.tables.is_empty(), "a cell is filled when it is empty");
        self.tables.reserve(shape.tables);
        self.starts.reserve(shape.columns);
        self.chunks.reserve(shape.chunks);
        self.logs.reserve(shape.logs);
        self.resources.reserve(shape.resources);
        self.handles.reserved.reserve(shape.handles);
        self.handles.lanes.reserve(shape.lanes);
    }

    /// What the lists hold.
    pub(crate) fn shape(&self) -> SnapshotShape {
        SnapshotShape {
            tables: self.tables.len(),
            columns: self.starts.len(),
            chunks: self.chunks.len(),
            logs: self.logs.len(),
            resources: self.resources.len(),
            handles: self.handles.reserved.len(),
            lanes: self.handles.lanes.len(),
        }
    }

    /// What the lists have room for.
    pub(crate) fn capacity(&self) -> SnapshotShape {
        SnapshotShape {
            tables: self.tables.capacity(),
            columns: self.starts.capacity(),
            chunks: self.chunks.capacity(),
            logs: self.logs.capacity(),
            resources: self.resources.capacity(),
            handles: self.handles.reserved.capacity(),
            lanes: self.handles.lanes.capacity(),
        }
    }

    /// Bytes that the lists hold.
    pub(crate) fn list_bytes(&self) -> usize {
        size_of_val(&*self.tables)
            + size_of_val(&*self.starts)
            + size_of_val(&*self.chunks)
            + size_of_val(&*self.logs)
            + size_of_val(&*self.resources)
            + size_of_val(&*self.handles.reserved)
            + size_of_val(&*self.handles.lanes)
    }

    /// Starts a capture.
    pub(crate) fn begin(
        &mut self,
        head: FrozenHead,
        lineage: &Lineage,
        (catalog, mapping): (&Arc<Catalog>, &Arc<Mapping>),
    ) {
        self.head = head;
        self.lineage = Some(lineage.clone());
        self.catalog = Some(Arc::clone(catalog));
        self.mapping = Some(Arc::clone(mapping));
    }

    /// Ends a snapshot, whose branches `holds` counts. Where there may be foreign chunks in it, `base`
    /// is asked for the base of each, and gives it once.
    pub(crate) fn finish(
        &mut self,
        holds: Holds,
        is_branch: bool,
        mut base: impl FnMut(u32) -> Option<Base>,
    ) {
        self.holds = Some(holds);
        if !is_branch {
            return;
        }
        for number in self.chunks.iter().filter_map(|entry| entry.born.base()) {
            self.bases.extend(base(number).map(|base| (number, base)));
        }
    }

    /// A hold on the snapshot, for a branch, charged as the view that it is made from.
    pub(crate) fn hold(&self, charge: Option<&Charge>) -> Base {
        let mapping = self.mapping.as_ref().expect("a shared snapshot was captured");
        Base::new(self.holds(), mapping, charge)
    }

    /// Counts the branches of the snapshot.
    pub(crate) fn holds(&self) -> &Holds {
        self.holds.as_ref().expect("a shared snapshot was captured")
    }

    /// The bases of the foreign chunks, under their numbers in the world.
    pub(crate) fn bases(&self) -> &[(u32, Base)] {
        &self.bases
    }

    /// Starts the next table; its captured columns follow in the order of their ids.
    pub(crate) fn push_table(&mut self, rows: usize) {
        let first_column = self.starts.len() as u32;
        self.tables.push(FrozenTable { rows: rows as u32, first_column });
    }

    /// Adds the next captured column of the table: the chunks of its rows.
    #[inline]
    pub(crate) fn push_column(&mut self, chunks: &[ChunkEntry]) {
        let start = u32::try_from(self.chunks.len());
        self.starts.push(start.expect("a list of 2^32 chunks takes 96 GiB"));
        self.chunks.extend_from_slice(chunks);
    }

    /// Adds the entity index: the chunks of its `rows` slots.
    pub(crate) fn push_index(&mut self, chunks: &[ChunkEntry], rows: usize, rows_log2: u8) {
        self.index = Some((self.push_rows(chunks, rows), rows_log2));
    }

    /// Adds an event log of `rows` records, of which the first has the number `first`.
    pub(crate) fn push_log(
        &mut self,
        component: ComponentId,
        (first, forks): (u64, Forks),
        (chunks, rows): (&[ChunkEntry], usize),
    ) {
        let rows = self.push_rows(chunks, rows);
        self.logs.push(FrozenLog { component, first, forks, rows });
    }

    /// Adds a resource of one row, or of none.
    pub(crate) fn push_resource(
        &mut self,
        component: ComponentId,
        (chunks, rows): (&[ChunkEntry], usize),
    ) {
        let rows = self.push_rows(chunks, rows);
        self.resources.push(FrozenResource { component, rows });
    }

    fn push_rows(&mut self, chunks: &[ChunkEntry], rows: usize) -> FrozenRows {
        let start = self.chunks.len();
        self.chunks.extend_from_slice(chunks);
        FrozenRows { start, rows }
    }

    /// The catalog, to share.
    pub(crate) fn shared_catalog(&self) -> &Arc<Catalog> {
        self.catalog.as_ref().expect("a shared snapshot was captured")
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.catalog.as_deref().expect("a shared snapshot was captured")
    }

    /// Whether the world has gone to another state than what came of this one.
    pub(crate) fn is_superseded(&self) -> bool {
        self.lineage.as_ref().is_none_or(|lineage| lineage.current() != self.head.lineage)
    }

    pub(crate) fn table_count(&self) -> usize {
        self.tables.len()
    }

    /// Rows of a table, and the list of where its captured columns start.
    pub(crate) fn table(&self, index: usize) -> (usize, &[u32]) {
        let table = self.tables[index];
        (table.rows as usize, &self.starts[table.first_column as usize..])
    }

    pub(crate) fn chunks(&self) -> &[ChunkEntry] {
        &self.chunks
    }

    /// One captured column of one table.
    pub(crate) fn column(&self, table: usize, id: ComponentId) -> Option<Rows<'_>> {
        let archetype = &self.catalog().archetypes()[table];
        let (mask, captured) = (archetype.mask(), &self.head.mask);
        if !mask.contains(id) || !captured.contains(id) {
            return None;
        }
        let (rows, starts) = self.table(table);
        let info = self.catalog().registry.info(id);
        let start = starts[mask.rank_in_both(captured, id)] as usize;
        Some(self.rows(FrozenRows { start, rows }, info.size(), info.rows_log2()))
    }

    /// The slots of the entity index, if it was captured.
    pub(crate) fn index(&self, slot_size: usize) -> Option<Rows<'_>> {
        self.index.map(|(rows, rows_log2)| self.rows(rows, slot_size, rows_log2))
    }

    /// The records of a captured event log, the sequence number of the first, and the forks of the
    /// log.
    pub(crate) fn log(&self, id: ComponentId) -> Option<(Rows<'_>, u64, &Forks)> {
        let log = self.logs.iter().find(|log| log.component == id)?;
        let info = self.catalog().registry.info(id);
        Some((self.rows(log.rows, info.size(), info.rows_log2()), log.first, &log.forks))
    }

    /// The rows of a captured resource.
    pub(crate) fn resource(&self, id: ComponentId) -> Option<Rows<'_>> {
        let resource = self.resources.iter().find(|resource| resource.component == id)?;
        let info = self.catalog().registry.info(id);
        Some(self.rows(resource.rows, info.size(), info.rows_log2()))
    }

    fn rows(&self, at: FrozenRows, size: usize, rows_log2: u8) -> Rows<'_> {
        let count = if size == 0 { 0 } else { at.rows.div_ceil(1 << rows_log2) };
        let chunks = &self.chunks[at.start..at.start + count];
        // SAFETY: `resident` through the mapping that the cell holds, and `frozen`: the snapshot
        // is active while the cell can be read, and these are the lengths that it took.
        unsafe { Rows::new(chunks, at.rows, size, rows_log2) }
    }
}

impl Recycle for Frozen {
    fn recycle(&mut self) {
        self.head = FrozenHead::EMPTY;
        self.tables.clear();
        self.starts.clear();
        self.chunks.clear();
        self.logs.clear();
        self.resources.clear();
        self.handles.clear();
        self.index = None;
        self.catalog = None;
        self.lineage = None;
        self.holds = None;
        // Last: where the worlds are gone, this unmaps the chunks.
        self.mapping = None;
        self.bases.clear();
    }

    fn retained_bytes(&self) -> usize {
        let narrowings = self.narrowings.lock().unwrap_or_else(PoisonError::into_inner);
        let mask_bytes = size_of::<Arc<ComponentMask>>() + size_of::<ComponentMask>();
        narrowings.len() * mask_bytes
            + self.tables.capacity() * size_of::<FrozenTable>()
            + self.starts.capacity() * size_of::<u32>()
            + self.chunks.capacity() * size_of::<ChunkEntry>()
            + self.logs.capacity() * size_of::<FrozenLog>()
            + self.resources.capacity() * size_of::<FrozenResource>()
            + self.handles.retained_bytes()
            + self.bases.capacity() * size_of::<(u32, Base)>()
    }
}
