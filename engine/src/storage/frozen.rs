//! Frozen tables: the chunk pointers and lengths that a capture took, in one cell of a pool.
//!
//! The lists keep their capacity from one capture to the next. While the cell is leased, the
//! chunks stay mapped (the cell holds the arena's mapping) and unchanged (the world's history knows
//! of the snapshot), even if the world changes or ends.

#![allow(unsafe_code, reason = "vouches for captured chunks")]

use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::AnyBitPattern;
use convoy_pool::{Mapping, Recycle};

use super::archetype::Catalog;
use super::base::{Base, Holds};
use super::charge::Charge;
use super::chunk_entry::ChunkEntry;
use super::component::Component;
use super::component_id::ComponentId;
use super::epoch::Epoch;
use super::forks::Forks;
use super::index_state::{GivenBack, IndexState};
use super::lineage::Lineage;
use super::mask::ComponentMask;
use super::rows::{Rows, value_in};
use super::text::Texts;
use super::world_id::WorldId;

mod blocks;
pub(crate) mod restore;

/// The head of a snapshot: everything but its chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrozenHead {
    pub(crate) world: WorldId,
    /// The epoch that the capture closed.
    pub(crate) epoch: Epoch,
    /// How often a restore or a sync had replaced the world's entities.
    pub(crate) lineage: u64,
    pub(crate) tick: u64,
    /// The mask that was captured, and so may be read.
    pub(crate) mask: ComponentMask,
    /// Whether everything was captured, so that columns stand as in the tables.
    pub(crate) is_whole: bool,
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
        is_whole: false,
        alive: 0,
        event_retention: 0,
    };
}

impl Default for FrozenHead {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Chunks of one captured column: where they start in the list, and their rows.
#[derive(Clone, Copy, Debug, Default)]
struct FrozenRows {
    start: usize,
    /// May be more than fit 32 bits: events without bytes take no memory.
    rows: usize,
}

/// The entity index: its slots, and their size and number in a chunk.
#[derive(Clone, Copy, Debug)]
struct FrozenIndex {
    rows: FrozenRows,
    size: u32,
    rows_log2: u8,
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

/// Captured blocks of one size of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrozenBlocks {
    list: ComponentId,
    rows: usize,
    /// log2 of the rows of a chunk, of the elements and of the owners.
    rows_log2: [u8; 2],
    /// Where the chunks start.
    starts: [usize; 2],
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
    /// Sizes of blocks of list components.
    pub blocks: usize,
    /// Handles that are reserved for command buffers.
    pub handles: usize,
    /// Lanes of command buffers: as many as there were buffers at one time.
    pub lanes: usize,
}

/// The entries of a list, how many there is room for, and the bytes of one.
struct ListUse {
    entries: usize,
    room: usize,
    entry_bytes: usize,
}

impl ListUse {
    fn of<T>(list: &Vec<T>) -> Self {
        Self { entries: list.len(), room: list.capacity(), entry_bytes: size_of::<T>() }
    }
}

/// How many lists a snapshot has.
const LISTS: usize = 8;

impl SnapshotShape {
    /// The entries of each list, in the order of [`FrozenState::lists`].
    fn counts(&self) -> [usize; LISTS] {
        let Self { tables, columns, chunks, logs, resources, blocks, handles, lanes } = *self;
        [tables, columns, chunks, logs, resources, blocks, handles, lanes]
    }

    fn of_counts(counts: [usize; LISTS]) -> Self {
        let [tables, columns, chunks, logs, resources, blocks, handles, lanes] = counts;
        Self { tables, columns, chunks, logs, resources, blocks, handles, lanes }
    }
}

/// The part of a world's state that a capture took. The lists keep their room from one capture to
/// the next.
#[derive(Default)]
struct FrozenState {
    tables: Vec<FrozenTable>,
    /// Where the chunks of each captured column start, table by table.
    starts: Vec<u32>,
    chunks: Vec<ChunkEntry>,
    index: Option<FrozenIndex>,
    logs: Vec<FrozenLog>,
    resources: Vec<FrozenResource>,
    /// In the order of lists and sizes.
    blocks: Vec<FrozenBlocks>,
    /// Which handles the index gave out next.
    index_state: IndexState,
}

/// One of the holders of captured columns. Operations on all of them match without a wildcard, as those
/// of a world do.
pub(crate) enum FrozenHolder<'a> {
    /// A table, by its number.
    Table(usize),
    Index(Rows<'a>),
    Log,
    Resource(ComponentId, Rows<'a>),
    Blocks,
}

impl FrozenState {
    /// The lists that a [`SnapshotShape`] counts, in its order.
    fn lists(&self) -> [ListUse; LISTS] {
        let Self { tables, starts, chunks, index: _, logs, resources, blocks, index_state } = self;
        let IndexState { head: _, lanes, reserved, given_back: _ } = index_state;
        [
            ListUse::of(tables),
            ListUse::of(starts),
            ListUse::of(chunks),
            ListUse::of(logs),
            ListUse::of(resources),
            ListUse::of(blocks),
            ListUse::of(reserved),
            ListUse::of(lanes),
        ]
    }

    fn reserve(&mut self, shape: &SnapshotShape) {
        let Self { tables, starts, chunks, index: _, logs, resources, blocks, index_state } = self;
        tables.reserve(shape.tables);
        starts.reserve(shape.columns);
        chunks.reserve(shape.chunks);
        logs.reserve(shape.logs);
        resources.reserve(shape.resources);
        blocks.reserve(shape.blocks);
        index_state.reserved.reserve(shape.handles);
        index_state.lanes.reserve(shape.lanes);
    }

    /// Forgets the capture, and keeps the lists' room.
    fn clear(&mut self) {
        let Self { tables, starts, chunks, index, logs, resources, blocks, index_state } = self;
        tables.clear();
        starts.clear();
        chunks.clear();
        *index = None;
        logs.clear();
        resources.clear();
        blocks.clear();
        index_state.clear();
    }

    /// Bytes of the lists, as `bytes` counts those of each.
    fn list_bytes(&self, bytes: impl Fn(ListUse) -> usize) -> usize {
        self.lists().into_iter().map(bytes).sum()
    }
}

/// A snapshot: the chunks that a capture took of a world.
#[derive(Default)]
pub(crate) struct Frozen {
    pub(crate) head: FrozenHead,
    catalog: Option<Arc<Catalog>>,
    /// The world's, which may have advanced since.
    lineage: Option<Lineage>,
    mapping: Option<Arc<Mapping>>,
    state: FrozenState,
    /// The long texts of the world, which may have more of them by now.
    pub(crate) texts: Texts,
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
        let mut frozen = Self::default();
        frozen.reserve(shape);
        frozen
    }

    /// Bytes of a cell with room for `shape`.
    pub(crate) fn bytes_of(shape: &SnapshotShape) -> usize {
        let lists = FrozenState::default().lists().into_iter().zip(shape.counts());
        let bytes = lists.map(|(list, count)| count.saturating_mul(list.entry_bytes));
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
        debug_assert!(self.state.tables.is_empty(), "a cell is filled when it is empty");
        self.state.reserve(shape);
    }

    /// The size of the lists.
    pub(crate) fn shape(&self) -> SnapshotShape {
        SnapshotShape::of_counts(self.state.lists().map(|list| list.entries))
    }

    /// The room of the lists.
    pub(crate) fn capacity(&self) -> SnapshotShape {
        SnapshotShape::of_counts(self.state.lists().map(|list| list.room))
    }

    /// How many chunks there is room for.
    pub(crate) fn chunk_room(&self) -> usize {
        self.state.chunks.capacity()
    }

    /// Bytes that the lists hold.
    pub(crate) fn list_bytes(&self) -> usize {
        self.state.list_bytes(|list| list.entries * list.entry_bytes)
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
        for number in self.state.chunks.iter().filter_map(|entry| entry.born.base()) {
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
        let first_column = self.state.starts.len() as u32;
        self.state.tables.push(FrozenTable { rows: rows as u32, first_column });
    }

    /// Adds the next captured column of the table: the chunks of its rows.
    #[inline]
    pub(crate) fn push_column(&mut self, chunks: &[ChunkEntry]) {
        let start = u32::try_from(self.state.chunks.len());
        self.state.starts.push(start.expect("a list of 2^32 chunks takes 96 GiB"));
        self.state.chunks.extend_from_slice(chunks);
    }

    /// Adds the entity index: the chunks of its `rows` slots, of `size` bytes each.
    pub(crate) fn push_index(
        &mut self,
        (size, rows_log2): (usize, u8),
        (chunks, rows): (&[ChunkEntry], usize),
    ) {
        let rows = self.push_rows(chunks, rows);
        let size = u32::try_from(size).expect("a slot is no larger than a chunk");
        self.state.index = Some(FrozenIndex { rows, size, rows_log2 });
    }

    /// Adds an event log of `rows` records that start with number `first`.
    pub(crate) fn push_log(
        &mut self,
        component: ComponentId,
        (first, forks): (u64, Forks),
        (chunks, rows): (&[ChunkEntry], usize),
    ) {
        let rows = self.push_rows(chunks, rows);
        self.state.logs.push(FrozenLog { component, first, forks, rows });
    }

    /// Adds a resource of one row, or of none.
    pub(crate) fn push_resource(
        &mut self,
        component: ComponentId,
        (chunks, rows): (&[ChunkEntry], usize),
    ) {
        let rows = self.push_rows(chunks, rows);
        self.state.resources.push(FrozenResource { component, rows });
    }

    fn push_rows(&mut self, chunks: &[ChunkEntry], rows: usize) -> FrozenRows {
        let start = self.state.chunks.len();
        self.state.chunks.extend_from_slice(chunks);
        FrozenRows { start, rows }
    }

    /// The catalog, to share.
    pub(crate) fn shared_catalog(&self) -> &Arc<Catalog> {
        self.catalog.as_ref().expect("a shared snapshot was captured")
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.catalog.as_deref().expect("a shared snapshot was captured")
    }

    /// Whether a restore or a sync has replaced the state that came of this one.
    pub(crate) fn is_superseded(&self) -> bool {
        self.lineage.as_ref().is_none_or(|lineage| lineage.current() != self.head.lineage)
    }

    /// Which handles the index gave out next.
    pub(crate) fn index_state(&self) -> &IndexState {
        &self.state.index_state
    }

    /// Which handles the index gives out next, to be written down.
    pub(crate) fn index_state_mut(&mut self) -> &mut IndexState {
        &mut self.state.index_state
    }

    pub(crate) fn table_count(&self) -> usize {
        self.state.tables.len()
    }

    /// Rows of a table, and the list of where its captured columns start.
    pub(crate) fn table(&self, index: usize) -> (usize, &[u32]) {
        let table = self.state.tables[index];
        (table.rows as usize, &self.state.starts[table.first_column as usize..])
    }

    pub(crate) fn chunks(&self) -> &[ChunkEntry] {
        &self.state.chunks
    }

    /// One captured column of one table.
    pub(crate) fn column(&self, table: usize, id: ComponentId) -> Option<Rows<'_>> {
        let position = self.position(self.catalog().archetypes()[table].mask(), id)?;
        let (rows, starts) = self.table(table);
        let info = self.catalog().registry.info(id);
        let start = starts[position] as usize;
        Some(self.rows(FrozenRows { start, rows }, info.size(), info.rows_log2()))
    }

    /// The value of component `T`, whose id is `id`, at `row` of a table: [`Frozen::column`] for look-ups
    /// that count instructions.
    #[inline]
    pub(crate) fn get<T: Component>(
        &self,
        table: usize,
        id: ComponentId,
        row: usize,
    ) -> Option<&T> {
        let FrozenTable { rows, first_column } = *self.state.tables.get(table)?;
        let catalog = self.catalog();
        let archetype = catalog.archetypes().get(table)?;
        let position = if self.head.is_whole {
            archetype.positions().find(id)?
        } else {
            self.position(archetype.mask(), id)?
        };
        let start = self.state.starts[first_column as usize + position] as usize;
        let info = catalog.registry.info(id);
        assert!(row < rows as usize, "the row is one of them");
        assert!(size_of::<T>() == info.size(), "the rows are of this type");
        // SAFETY: as in `rows`: the chunks of the column hold its rows, and this is one of them.
        Some(unsafe { value_in(&self.state.chunks, (start, info.rows_log2()), row) })
    }

    /// Where the column of a component stands among the captured ones of a table with `mask`.
    #[inline(never)]
    fn position(&self, mask: &ComponentMask, id: ComponentId) -> Option<usize> {
        mask.rank_in_both(&self.head.mask, id)
    }

    /// The slot of number `index`, if slots were captured and there is that one.
    #[inline]
    pub(crate) fn slot<S: Component + AnyBitPattern>(&self, index: usize) -> Option<&S> {
        let FrozenIndex { rows, size, rows_log2 } = self.state.index?;
        assert!(size_of::<S>() == size as usize, "slots are of this size");
        if index >= rows.rows {
            return None;
        }
        // SAFETY: as in `rows`: the chunks hold the slots, this is one of them, and all bits are a value.
        Some(unsafe { value_in(&self.state.chunks, (rows.start, rows_log2), index) })
    }

    /// All that was captured, in the kinds of holders that a world has.
    pub(crate) fn holders(&self) -> impl Iterator<Item = FrozenHolder<'_>> {
        let FrozenState {
            tables,
            starts: _,
            chunks: _,
            index: _,
            logs,
            resources,
            blocks,
            index_state: _,
        } = &self.state;
        let tables = (0..tables.len()).map(FrozenHolder::Table);
        let index = self.index().map(FrozenHolder::Index);
        let log = |_: &FrozenLog| FrozenHolder::Log;
        let resource = |resource: &FrozenResource| {
            let id = resource.component;
            FrozenHolder::Resource(id, self.rows_of(id, resource.rows))
        };
        let blocks = blocks.iter().map(|_| FrozenHolder::Blocks);
        let resources = resources.iter().map(resource);
        tables.chain(index).chain(logs.iter().map(log)).chain(resources).chain(blocks)
    }

    /// The slots of the entity index, if it was captured.
    pub(crate) fn index(&self) -> Option<Rows<'_>> {
        let FrozenIndex { rows, size, rows_log2 } = self.state.index?;
        Some(self.rows(rows, size as usize, rows_log2))
    }

    /// The records of a captured event log, the sequence number of the first, and the forks of the
    /// log.
    pub(crate) fn log(&self, id: ComponentId) -> Option<(Rows<'_>, u64, &Forks)> {
        let log = self.state.logs.iter().find(|log| log.component == id)?;
        Some((self.rows_of(id, log.rows), log.first, &log.forks))
    }

    /// The rows of a captured resource.
    pub(crate) fn resource(&self, id: ComponentId) -> Option<Rows<'_>> {
        let resource = self.state.resources.iter().find(|resource| resource.component == id)?;
        Some(self.rows_of(id, resource.rows))
    }

    fn rows_of(&self, id: ComponentId, at: FrozenRows) -> Rows<'_> {
        let info = self.catalog().registry.info(id);
        self.rows(at, info.size(), info.rows_log2())
    }

    fn rows(&self, at: FrozenRows, size: usize, rows_log2: u8) -> Rows<'_> {
        let count = if size == 0 { 0 } else { at.rows.div_ceil(1 << rows_log2) };
        let chunks = &self.state.chunks[at.start..at.start + count];
        // SAFETY: `resident` through the mapping that the cell holds, and `frozen`: the snapshot
        // is active while the cell can be read, and these are the lengths that it took.
        unsafe { Rows::new(chunks, at.rows, size, rows_log2) }
    }
}

impl Recycle for Frozen {
    fn recycle(&mut self) {
        self.head = FrozenHead::EMPTY;
        self.state.clear();
        self.catalog = None;
        self.lineage = None;
        self.texts = Texts::default();
        self.holds = None;
        // Last: where the worlds are gone, this unmaps the chunks.
        self.mapping = None;
        self.bases.clear();
    }

    fn retained_bytes(&self) -> usize {
        let narrowings = self.narrowings.lock().unwrap_or_else(PoisonError::into_inner);
        let mask_bytes = size_of::<Arc<ComponentMask>>() + size_of::<ComponentMask>();
        narrowings.len() * mask_bytes
            + self.state.list_bytes(|list| list.room * list.entry_bytes)
            + self.state.index_state.given_back.capacity() * size_of::<GivenBack>()
            + self.bases.capacity() * size_of::<(u32, Base)>()
    }
}
