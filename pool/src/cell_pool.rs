//! Cell pools: cells are made once, and come back empty but with their capacity.
//!
//! Taking and giving back scan a fixed array of slots and exchange one pointer. Neither locks nor
//! allocates, except that a pool without an idle cell makes one, and a cell that finds all slots
//! taken is discarded.
#![allow(unsafe_code, reason = "hands on the ownership of cells")]

use std::fmt;

use crate::CellPoolStatistics;
use crate::cell::{Held, Home, Recycle};
use crate::collector;
use crate::lease::VacantCell;
use crate::sync::{Arc, AtomicU64, Ordering};

/// How a [`CellPool`] keeps cells.
#[derive(Clone, Debug)]
pub struct CellPoolConfig {
    idle_max: usize,
}

impl CellPoolConfig {
    /// The most cells that a pool keeps idle: it looks through a place for each of them.
    pub const IDLE_MAX: usize = 65_536;

    /// How many cells may be idle: 16 by default, and at most [`CellPoolConfig::IDLE_MAX`], however
    /// large the number. A cell that comes back when as many are idle is discarded.
    #[must_use]
    pub fn idle_max(mut self, cells: usize) -> CellPoolConfig {
        self.idle_max = cells;
        self
    }
}

impl Default for CellPoolConfig {
    fn default() -> CellPoolConfig {
        CellPoolConfig { idle_max: 16 }
    }
}

/// The part that the clones of a pool share, besides the home of its cells.
struct Maker<T> {
    make: Box<dyn Fn() -> T + Send + Sync>,
    created: AtomicU64,
    reused: AtomicU64,
    missed: AtomicU64,
}

/// A pool of reusable values. Clones are the same pool, and it may be dropped while leases live:
/// the last of them to leave frees the rest, then and there. Only where a thread stays in the
/// middle of a [`Publication::join`](crate::Publication::join) meanwhile, the memory is freed later,
/// by whichever thread joins or drops a pool then.
///
/// ```
/// use convoy_pool::{CellPool, CellPoolConfig, Recycle};
///
/// struct Numbers(Vec<u32>);
/// impl Recycle for Numbers {
///     fn recycle(&mut self) {
///         self.0.clear();
///     }
///     fn retained_bytes(&self) -> usize {
///         self.0.capacity() * size_of::<u32>()
///     }
/// }
///
/// let pool = CellPool::new(CellPoolConfig::default(), || Numbers(Vec::with_capacity(100)));
/// pool.warm_up(2);
/// drop(pool.take().share());
/// let statistics = pool.statistics();
/// assert_eq!((statistics.created, statistics.pooled), (2, 2));
/// assert_eq!(statistics.idle_retained_bytes, 2 * 400);
/// assert_eq!(statistics.reuse_rate(), 1.0);
/// ```
pub struct CellPool<T: Recycle> {
    home: Arc<Home<T>>,
    maker: Arc<Maker<T>>,
}

impl<T: Recycle> CellPool<T> {
    /// An empty pool that makes cells with `make`.
    pub fn new(
        config: CellPoolConfig,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> CellPool<T> {
        let maker = Maker {
            make: Box::new(make),
            created: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        };
        CellPool {
            home: Arc::new(Home::new(config.idle_max.min(CellPoolConfig::IDLE_MAX))),
            maker: Arc::new(maker),
        }
    }

    /// Makes cells until `count` are idle, or as many as may be, and registers the calling thread
    /// with the collector.
    pub fn warm_up(&self, count: usize) {
        collector::register_thread();
        let (idle, ..) = self.home.statistics();
        for _ in idle..count.min(self.home.idle_max()) {
            let value = (self.maker.make)();
            let retained_bytes = value.retained_bytes();
            // SAFETY: the new cell is ours alone, with its count.
            unsafe { self.home.give(self.adopt(value), retained_bytes) };
        }
    }

    /// An idle cell, or a new one if none is idle. It is empty either way.
    #[must_use]
    pub fn take(&self) -> VacantCell<T> {
        let (cell, counter) = match self.home.take() {
            Some(cell) => (cell, &self.maker.reused),
            None => (self.adopt((self.maker.make)()), &self.maker.missed),
        };
        // Relaxed: a statistic that orders nothing.
        counter.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the cell was just taken or made, and is ours alone.
        unsafe { cell.set_home(Arc::clone(&self.home)) };
        // SAFETY: as above; the count goes along, and the home is set.
        unsafe { VacantCell::new(cell) }
    }

    /// Statistics of the cells.
    #[must_use]
    pub fn statistics(&self) -> CellPoolStatistics {
        let (pooled, idle_retained_bytes, discarded) = self.home.statistics();
        CellPoolStatistics {
            // Relaxed: statistics that order nothing.
            created: self.maker.created.load(Ordering::Relaxed),
            reused: self.maker.reused.load(Ordering::Relaxed),
            missed: self.maker.missed.load(Ordering::Relaxed),
            pooled,
            discarded,
            idle_retained_bytes,
        }
    }

    /// Discards all idle cells. Their memory is freed when no thread can look at them any more:
    /// before this returns, unless a thread stays in the middle of a join. Allocates; not for the
    /// steady state.
    pub fn trim(&self) {
        self.home.discard_idle();
    }

    /// Makes a cell and counts it.
    fn adopt(&self, value: T) -> Held<T> {
        // Relaxed: a statistic that orders nothing.
        self.maker.created.fetch_add(1, Ordering::Relaxed);
        Held::make(value)
    }
}

impl<T: Recycle> Clone for CellPool<T> {
    fn clone(&self) -> CellPool<T> {
        CellPool { home: Arc::clone(&self.home), maker: Arc::clone(&self.maker) }
    }
}

impl<T: Recycle> fmt::Debug for CellPool<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CellPool").field("statistics", &self.statistics()).finish()
    }
}
