//! Capture: chunk pointers and lengths into a cell, and one epoch ended. No component is copied.

use convoy_pool::{Lease, MemoryError, Publication, VacantCell, Watch};

use crate::storage::column::Column;
use crate::storage::frozen::{Frozen, FrozenHead, SnapshotShape};
use crate::storage::history::NewCapture;
use crate::storage::{ComponentId, ComponentMask};
use crate::trace::span;
use crate::world::World;
use crate::world::state::State;

use super::pool::{SnapshotPool, VacantSnapshot};
use super::view::View;

/// # Snapshots
impl World {
    /// Captures the columns of `mask` and returns the first view of them.
    ///
    /// Copies no component data. The cost grows with the number of chunks: 24 bytes for each.
    /// From now on the world copies a captured chunk when it first writes to it, until the last
    /// view is dropped.
    ///
    /// ```
    /// use convoy_engine::{ComponentMask, SnapshotPool, World};
    ///
    /// let mut world = World::new();
    /// let entity = world.spawn((1_u32,));
    /// let pool = SnapshotPool::default();
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// *world.get_mut::<u32>(entity).unwrap() = 2;
    /// drop(world);
    /// let reader = std::thread::spawn(move || *view.get::<u32>(entity).unwrap());
    /// assert_eq!(reader.join().unwrap(), 1);
    /// ```
    pub fn capture(&mut self, mask: ComponentMask, pool: &SnapshotPool) -> View {
        self.capture_into(pool.take(), mask)
    }

    /// Captures into a cell that was taken from a pool before.
    pub fn capture_into(&mut self, vacant: VacantSnapshot, mask: ComponentMask) -> View {
        let lease = self.freeze(vacant.cell, mask, VacantCell::share);
        View::new(lease)
    }

    /// Captures, and shows the snapshot to joiners of `publication`.
    pub(crate) fn capture_published(
        &mut self,
        pool: &SnapshotPool,
        mask: ComponentMask,
        publication: &Publication<Frozen>,
    ) -> (View, Watch<Frozen>) {
        let cell = pool.take().cell;
        let watch = cell.watch();
        let lease = self.freeze(cell, mask, |cell| cell.publish(publication));
        (View::new(lease), watch)
    }

    fn freeze(
        &mut self,
        mut cell: VacantCell<Frozen>,
        mask: ComponentMask,
        open: impl FnOnce(VacantCell<Frozen>) -> Lease<Frozen>,
    ) -> Lease<Frozen> {
        span!("capture", tick = self.tick);
        self.memory.reclaim();
        let mut mask = self.catalog.registry.with_toggles(&mask);
        if self.role.is_partial() {
            mask = mask.intersection(self.role.readable());
        }
        cell.reserve(&self.capture_shape(&mask));
        let snapshot = self.memory.begin_capture();
        let epoch = snapshot.epoch();
        let head = FrozenHead {
            world: self.id,
            epoch,
            lineage: self.lineage.current(),
            tick: self.tick,
            mask,
            is_whole: mask.is_all(),
            alive: self.state.index.alive(),
            event_retention: self.event_retention,
        };
        cell.begin(head, &self.lineage, (&self.catalog, snapshot.mapping()));
        cell.texts.capture(&self.texts);
        fill_cell(&mut cell, &mut self.state, (&mask, &snapshot));
        let chunks = cell.chunk_room();
        let known = mask.intersection(&self.catalog.registry.ids());
        let holds = snapshot.finish(self.tick, &known, cell.watch(), chunks);
        let bases = &mut self.memory.history.bases;
        cell.finish(holds, bases.live() > 0, |number| bases.needed_by(epoch, number));
        open(cell)
    }

    /// Makes room for `count` captures of everything that are active at one time, so that none of
    /// them touches the heap on the world's side. The cells are their pool's affair.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn((1_u32,));
    /// world.reserve_captures(4).unwrap();
    /// assert!(world.reserve_captures(usize::MAX).is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// When the heap has no room for as many lists. Nothing is taken then.
    pub fn reserve_captures(&mut self, count: usize) -> Result<(), MemoryError> {
        let chunks = self.capture_shape(&ComponentMask::ALL).chunks;
        self.memory.history.reserve(count, chunks, self.catalog.registry.len())
    }

    /// The room that a capture of `mask` can take before a list of the world's has to grow.
    pub(crate) fn capture_shape(&self, mask: &ComponentMask) -> SnapshotShape {
        let mut shape =
            SnapshotShape { tables: self.state.tables.capacity(), ..Default::default() };
        let State { tables, index, logs, resources, heaps } = &self.state;
        for table in tables.iter().filter(|table| mask.intersects(table.mask())) {
            for column in table.columns() {
                if mask.contains(column.component()) {
                    shape.columns += 1;
                    shape.chunks += column.chunk_capacity();
                }
            }
        }
        if mask.contains(ComponentId::ENTITY) {
            shape.chunks += index.column().chunk_capacity();
            shape.handles = index.stock_capacity();
            shape.lanes = index.lane_count();
        }
        for log in logs.iter().filter(|log| mask.contains(log.component())) {
            shape.logs += 1;
            shape.chunks += log.column().chunk_capacity();
        }
        for resource in resources.iter().filter(|each| mask.contains(each.component())) {
            shape.resources += 1;
            shape.chunks += resource.column().chunk_capacity();
        }
        for heap in heaps.iter().filter(|each| mask.contains(each.component())) {
            shape.blocks += heap.classes().len();
            let columns = heap.classes().iter().flat_map(|blocks| blocks.columns());
            shape.chunks += columns.map(Column::chunk_capacity).sum::<usize>();
        }
        shape
    }
}

/// Takes the lists of chunks and lengths of the columns of a mask.
fn fill_cell(
    cell: &mut Frozen,
    state: &mut State,
    (mask, snapshot): (&ComponentMask, &NewCapture<'_>),
) {
    let State { tables, index, logs, resources, heaps } = state;
    let is_all = cell.head.is_whole;
    for table in tables {
        let rows = table.rows();
        cell.push_table(rows);
        if !is_all && !mask.intersects(table.mask()) {
            continue;
        }
        for column in table.columns_mut() {
            if is_all || mask.contains(column.component()) {
                cell.push_column(column.capture(rows, snapshot));
            }
        }
    }
    if mask.contains(ComponentId::ENTITY) {
        let (rows, column) = (index.len(), index.column_mut());
        let slots = (column.size(), column.rows_log2());
        cell.push_index(slots, (column.capture(rows, snapshot), rows));
        index.note_index_state(cell.index_state_mut());
    }
    for log in logs.iter_mut().filter(|log| mask.contains(log.component())) {
        let (rows, numbers) = (log.rows(), (log.first(), *log.forks()));
        let component = log.component();
        let chunks = log.column_mut().capture(rows, snapshot);
        cell.push_log(component, numbers, (chunks, rows));
    }
    for resource in resources.iter_mut().filter(|each| mask.contains(each.component())) {
        let (component, rows) = (resource.component(), resource.rows());
        let chunks = resource.column_mut().capture(rows, snapshot);
        cell.push_resource(component, (chunks, rows));
    }
    for heap in heaps.iter_mut().filter(|each| mask.contains(each.component())) {
        for blocks in heap.classes_mut() {
            let (list, rows) = (blocks.list(), blocks.rows());
            let [elements, owners] = blocks.columns_mut();
            let log2s = [elements.rows_log2(), owners.rows_log2()];
            let starts =
                [elements, owners].map(|column| cell.push_chunks(column.capture(rows, snapshot)));
            cell.push_blocks(list, (rows, log2s, starts));
        }
    }
}
