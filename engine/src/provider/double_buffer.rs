//! [`DoubleBufferProvider`]: a picture of every tick.

use std::sync::{Mutex, PoisonError};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::{ComponentMask, SnapshotUse};
use crate::world::World;

use super::generations::{GENERATIONS_MAX, Generations};
use super::slow_readers::{SlowReader, SlowReaderLimits};
use super::traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};

/// Captures at every update and publishes; all readers of the tick join. The provider holds the
/// newest picture itself, so that it can be joined at any time and from any thread. Where the
/// bound on generations refuses an update, readers join the last picture, and it counts as stale.
///
/// ```
/// use convoy_engine::{
///     ComponentMask, DoubleBufferProvider, SnapshotPool, SnapshotProvider, World,
/// };
///
/// let mut world = World::new();
/// let provider = DoubleBufferProvider::new(ComponentMask::ALL, SnapshotPool::default());
/// provider.update(&mut world).unwrap();
/// let reader = provider.join().unwrap();
/// world.advance_tick();
/// provider.update(&mut world).unwrap();
/// assert_eq!((reader.tick(), provider.join().unwrap().tick()), (0, 1));
/// ```
pub struct DoubleBufferProvider {
    generations: Generations,
    newest: Mutex<Option<View>>,
}

impl DoubleBufferProvider {
    /// A provider that captures `mask` into cells of `pool`.
    pub fn new(mask: ComponentMask, pool: SnapshotPool) -> Self {
        let generations = Generations::new(mask, pool, GENERATIONS_MAX).keeping_newest();
        Self { generations, newest: Mutex::new(None) }
    }

    /// Calls `tell`, on the thread of the world, when a snapshot of this provider comes past a
    /// limit while readers hold it: once for each snapshot and limit, at the first update or
    /// capture after that. A panic of `tell` is contained and counted.
    #[must_use]
    pub fn with_slow_readers(
        mut self,
        limits: SlowReaderLimits,
        tell: impl Fn(&SlowReader) + Send + Sync + 'static,
    ) -> Self {
        self.generations.set_slow_readers(limits, tell);
        self
    }

    /// Joins the newest picture: on any thread, without a lock and without the world. `None`
    /// before the first update.
    pub fn join(&self) -> Option<View> {
        self.generations.join()
    }
}

impl SnapshotProvider for DoubleBufferProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::DoubleBuffer
    }

    fn mask(&self) -> ComponentMask {
        self.generations.mask
    }

    fn acquire(&self, world: &mut World) -> Result<View, AcquireError> {
        if let Some(view) = self.generations.join().filter(|view| view.is_past_of(world)) {
            if view.lag(world) == 0 {
                self.generations.count_join();
            } else {
                self.generations.count_stale();
            }
            return Ok(view);
        }
        self.update(world)?;
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(newest.clone().expect("an update publishes a picture"))
    }

    fn update(&self, world: &mut World) -> Result<(), AcquireError> {
        let opened = self.generations.open(world).map(|view| {
            // The picture before leaves only now, so that there is always one to join.
            *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(view);
        });
        self.generations.tell_slow(world);
        opened
    }

    fn statistics(&self) -> ProviderStatistics {
        self.generations.statistics()
    }
    fn held(&self, world: &World) -> Vec<SnapshotUse> {
        self.generations.held(world)
    }
}
