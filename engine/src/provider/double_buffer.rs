//! [`DoubleBufferProvider`]: a picture of every tick.

use std::sync::{Mutex, PoisonError};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::{ComponentMask, SnapshotUse};
use crate::world::World;

use super::generations::{GENERATIONS_MAX, Generations, Opener};
use super::member::Member;
use super::slow_readers::{SlowReader, SlowReaderLimits};
use super::traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};

/// Captures at every update and publishes; all readers of the tick join. The provider holds the
/// newest picture itself, so that it can be joined at any time and from any thread. Who acquires on
/// a tick that had no update makes up for it. Where the bound on generations refuses an update,
/// readers join the last picture, and it counts as stale. Members go on getting fresh ones, but for
/// those who hold their share or more, who are refused: see [`WhenBusy`](crate::WhenBusy).
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

    /// Lets acquirers join a picture that is up to `ticks` old (0 unless set: of this tick only)
    /// where no update has made a newer one.
    #[must_use]
    pub fn with_max_age(mut self, ticks: u64) -> Self {
        self.generations.set_max_age(ticks);
        self
    }

    /// Bounds the generations that are alive at a time, the newest one included (8 unless set; at
    /// least 2).
    #[must_use]
    pub fn with_generations_max(mut self, generations: usize) -> Self {
        self.generations.set_limit(generations.max(2));
        self
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

    /// Captures `mask` from the next update on.
    pub(crate) fn set_mask(&self, mask: ComponentMask) {
        self.generations.set_mask(mask);
    }

    /// Captures and publishes a picture and keeps it, after `take` has taken what it needs of it.
    fn renew<T>(&self, world: &mut World, take: fn(&View) -> T) -> Result<T, AcquireError> {
        let opened = self.generations.open(world, Opener::Provider).map(|view| {
            let taken = take(&view);
            // The picture before leaves only now, so that there is always one to join.
            *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(view);
            taken
        });
        self.generations.tell_slow(world);
        opened
    }

    /// Joins the newest picture: on any thread, without a lock and without the world. `None`
    /// before the first update, and between a restore of the world and the next update. Where
    /// another world takes the place of that one, the next update is the first of the new one.
    /// Nobody is charged with what joins hold: who keeps many pictures takes them from the members,
    /// see [`WhenBusy`](crate::WhenBusy).
    pub fn join(&self) -> Option<View> {
        self.generations.join()
    }

    fn give(&self, world: &mut World, reader: Option<&mut Member>) -> Result<View, AcquireError> {
        let published = self.generations.join().filter(|view| view.is_past_of(world));
        let (view, joined, stale) = match published {
            Some(view) if self.generations.is_fresh(&view, world) => (view, true, false),
            // Its own picture, whatever another world's thread publishes by then.
            old => match (self.renew(world, View::clone), old) {
                (Err(AcquireError::Backpressure { .. }), Some(view)) => (view, true, true),
                (renewed, _) => (renewed?, false, false),
            },
        };
        let given = self.generations.admit(view, reader, world)?;
        if stale {
            self.generations.count_stale();
        } else if joined {
            self.generations.count_join();
        }
        Ok(given)
    }
}

impl SnapshotProvider for DoubleBufferProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::DoubleBuffer
    }

    fn mask(&self) -> ComponentMask {
        self.generations.mask()
    }

    fn acquire(&self, world: &mut World) -> Result<View, AcquireError> {
        self.give(world, None)
    }

    fn enroll(&self) -> Member {
        self.generations.enroll()
    }

    fn acquire_for(&self, world: &mut World, member: &mut Member) -> Result<View, AcquireError> {
        self.give(world, Some(member))
    }

    fn update(&self, world: &mut World) -> Result<(), AcquireError> {
        self.renew(world, |_| ())
    }

    fn statistics(&self) -> ProviderStatistics {
        self.generations.statistics()
    }

    fn held(&self, world: &World) -> Vec<SnapshotUse> {
        self.generations.held(world)
    }

    fn retained_bytes(&self, world: &World) -> usize {
        self.generations.retained_bytes(world)
    }
}
