//! [`SnapshotPool`]: the cells that snapshots are captured into, used again and again.

use convoy_pool::{
    CellPool, CellPoolConfig, CellPoolStatistics, MemoryError, Publication, VacantCell,
};

use crate::storage::frozen::{Frozen, SnapshotShape};
use crate::storage::history::ask_heap;
use crate::world::World;

/// How a [`SnapshotPool`] keeps its cells.
///
/// ```
/// # use convoy_engine::snapshot::{SnapshotPoolConfig, SnapshotShape};
/// # use convoy_engine::{SnapshotPool, World};
/// # let world = World::new();
/// let config = SnapshotPoolConfig::default().warm_up(8).shape(SnapshotShape::of(&world));
/// assert_eq!(SnapshotPool::new(config).statistics().pooled, 8);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotPoolConfig {
    idle_max: usize,
    warm_up: usize,
    shape: SnapshotShape,
}

impl SnapshotPoolConfig {
    /// How many idle cells are kept; more are freed when they come back. 16 by default, and at most
    /// 65,536, however large the number.
    #[must_use]
    pub fn idle_max(mut self, cells: usize) -> Self {
        self.idle_max = cells;
        self
    }

    /// How many cells are made at once, up to the number that the pool keeps idle. 2 by default: one
    /// that is read and one to capture into.
    #[must_use]
    pub fn warm_up(mut self, cells: usize) -> Self {
        self.warm_up = cells;
        self
    }

    /// The room that the lists of a new cell have: see [`SnapshotShape::of`]. None by default.
    #[must_use]
    pub fn shape(mut self, shape: SnapshotShape) -> Self {
        self.shape = shape;
        self
    }
}

impl Default for SnapshotPoolConfig {
    fn default() -> Self {
        Self { idle_max: 16, warm_up: 2, shape: SnapshotShape::default() }
    }
}

impl SnapshotShape {
    /// The room that a capture of everything in `world` can take before a list of the world's own
    /// has to grow. A pool whose cells are set up with it captures that world without touching
    /// the heap from the first time on.
    pub fn of(world: &World) -> Self {
        world.capture_shape(&crate::storage::ComponentMask::ALL)
    }
}

/// A pool of snapshot cells. Clones share it; any number of providers and worlds may use one.
///
/// ```
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
///
/// let mut world = World::new();
/// world.spawn((1_u32,));
/// let pool = SnapshotPool::for_world(&world);
/// for _ in 0..100 {
///     drop(world.capture(ComponentMask::ALL, &pool));
/// }
/// assert_eq!(pool.statistics().reuse_rate(), 1.0);
/// ```
#[derive(Clone, Debug)]
pub struct SnapshotPool {
    cells: CellPool<Frozen>,
}

impl Default for SnapshotPool {
    fn default() -> Self {
        Self::new(SnapshotPoolConfig::default())
    }
}

impl SnapshotPool {
    /// A pool with the cells that `config` warms up.
    ///
    /// # Panics
    ///
    /// Where [`SnapshotPool::try_new`] returns an error.
    #[track_caller]
    pub fn new(config: SnapshotPoolConfig) -> Self {
        match Self::try_new(config) {
            Ok(pool) => pool,
            Err(error) => panic!("a snapshot pool can't be made: {error}"),
        }
    }

    /// A pool with the cells that `config` warms up.
    ///
    /// ```
    /// # use convoy_engine::SnapshotPool;
    /// # use convoy_engine::snapshot::{SnapshotPoolConfig, SnapshotShape};
    /// let mut shape = SnapshotShape::default();
    /// shape.chunks = usize::MAX;
    /// assert!(SnapshotPool::try_new(SnapshotPoolConfig::default().shape(shape)).is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// When the heap has no room for the cells with lists of that shape. Nothing is taken then.
    pub fn try_new(config: SnapshotPoolConfig) -> Result<Self, MemoryError> {
        let SnapshotPoolConfig { idle_max, warm_up, shape } = config;
        let made = warm_up.min(idle_max).clamp(1, CellPoolConfig::IDLE_MAX);
        ask_heap(Frozen::bytes_of(&shape).saturating_mul(made))?;
        let cells = CellPoolConfig::default().idle_max(idle_max);
        let pool = Self { cells: CellPool::new(cells, move || Frozen::with_shape(&shape)) };
        pool.warm_up(warm_up);
        Ok(pool)
    }

    /// A pool whose cells have room for `world` as it is now.
    pub fn for_world(world: &World) -> Self {
        Self::new(SnapshotPoolConfig::default().shape(SnapshotShape::of(world)))
    }

    /// Makes cells until `count` are idle, or as many as the pool keeps.
    pub fn warm_up(&self, count: usize) {
        self.cells.warm_up(count);
        Self::register_thread();
    }

    /// Registers the calling thread, so that joining a snapshot later does not allocate.
    pub(crate) fn register_thread() {
        Publication::<Frozen>::register_thread();
    }

    /// Frees the registrations of threads that have ended. Allocates.
    pub(crate) fn forget_ended_threads() {
        Publication::<Frozen>::forget_ended_threads();
    }

    /// An idle cell, or a new one when there is none. It goes back when it is dropped.
    pub fn take(&self) -> VacantSnapshot {
        VacantSnapshot { cell: self.cells.take() }
    }

    /// Counts of cells made, reused and idle, and the bytes that the idle ones keep.
    pub fn statistics(&self) -> CellPoolStatistics {
        self.cells.statistics()
    }

    /// Frees the idle cells.
    pub fn trim(&self) {
        self.cells.trim();
    }
}

/// A cell without a snapshot, held by one owner, for [`World::capture_into`] to fill.
pub struct VacantSnapshot {
    pub(crate) cell: VacantCell<Frozen>,
}

impl VacantSnapshot {
    /// Whether the cell holds nothing, as every cell that comes from a pool.
    pub fn is_empty(&self) -> bool {
        self.cell.shape() == SnapshotShape::default()
    }

    /// The room of the cell's lists.
    pub fn capacity(&self) -> SnapshotShape {
        self.cell.capacity()
    }

    /// A number that tells this cell from every other one that is alive.
    pub fn cell_id(&self) -> usize {
        std::ptr::from_ref::<Frozen>(&self.cell).addr()
    }
}

impl std::fmt::Debug for VacantSnapshot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VacantSnapshot").field("cell_id", &self.cell_id()).finish()
    }
}
