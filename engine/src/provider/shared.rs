//! [`SharedSnapshotProvider`]: the convoy's own.

use crate::snapshot::{SnapshotPool, View};
use crate::storage::{ComponentMask, SnapshotUse};
use crate::world::World;

use super::generations::{GENERATIONS_MAX, Generations, Opener, WhenBusy};
use super::member::Member;
use super::slow_readers::{SlowReader, SlowReaderLimits};
use super::traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};

/// Captures lazily at the first acquire; whoever acquires while the picture is fresh joins it.
/// The mask is the union of what the members read.
///
/// A view is never older than `max_age` ticks (default 0: this tick). When the published snapshot
/// is older and somebody still holds it, a new generation is opened and the old one drains, so
/// that a slow reader never makes others read the past. Live generations are bounded, and whoever
/// holds them is charged: see [`WhenBusy`].
///
/// ```
/// use convoy_engine::{
///     ComponentMask, SharedSnapshotProvider, SnapshotPool, SnapshotProvider, World,
/// };
///
/// let mut world = World::new();
/// world.spawn((1_u32,));
/// let pool = SnapshotPool::default();
/// let provider = SharedSnapshotProvider::new(ComponentMask::ALL, pool.clone());
/// let first = provider.acquire(&mut world).unwrap();
/// let second = provider.acquire(&mut world).unwrap();
/// assert!(first.shares_with(&second) && first.readers() == 2);
/// drop(first);
/// world.advance_tick();
/// let third = provider.acquire(&mut world).unwrap();
/// assert!(!third.shares_with(&second), "the slow reader keeps its own picture");
/// assert_eq!((second.tick(), third.tick()), (0, 1));
/// ```
pub struct SharedSnapshotProvider {
    generations: Generations,
    when_busy: WhenBusy,
}

impl SharedSnapshotProvider {
    /// A provider that captures `mask` into cells of `pool`.
    pub fn new(mask: ComponentMask, pool: SnapshotPool) -> Self {
        Self {
            generations: Generations::new(mask, pool, GENERATIONS_MAX),
            when_busy: WhenBusy::default(),
        }
    }

    /// Lets later acquirers join a picture that is up to `ticks` old.
    #[must_use]
    pub fn with_max_age(mut self, ticks: u64) -> Self {
        self.generations.set_max_age(ticks);
        self
    }

    /// Bounds the generations that readers may keep alive (8 unless set; at least 1), and says
    /// what happens at the bound.
    #[must_use]
    pub fn with_generations_max(mut self, generations: usize, when_busy: WhenBusy) -> Self {
        self.generations.set_limit(generations);
        self.when_busy = when_busy;
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

    /// Joins the published snapshot whatever its age: on any thread, without a lock and without
    /// the world. `None` when there is none that anybody holds, or the world was restored since.
    /// Where another world has taken the place of that one, nobody can tell before the next capture.
    /// Nobody is charged with what joins hold: who keeps many pictures takes them from the members,
    /// see [`WhenBusy`].
    pub fn join(&self) -> Option<View> {
        self.generations.join()
    }

    /// Captures `mask` from the next generation on.
    pub(crate) fn set_mask(&self, mask: ComponentMask) {
        self.generations.set_mask(mask);
    }

    fn give(
        &self,
        world: &mut World,
        mut reader: Option<&mut Member>,
    ) -> Result<View, AcquireError> {
        let given = self.fresh(world, reader.as_deref_mut());
        let busy = matches!(given, Err(AcquireError::Backpressure { .. }));
        if busy
            && self.when_busy == WhenBusy::Newest
            && let Some(view) = self.generations.newest(reader, world)
        {
            self.generations.count_stale();
            return Ok(view);
        }
        given
    }

    /// A picture that is no older than readers may be given.
    fn fresh(&self, world: &mut World, reader: Option<&mut Member>) -> Result<View, AcquireError> {
        // One that is too old is let go of before a new one is opened, so that it doesn't count.
        if let Some(view) = self.generations.join()
            && self.generations.is_fresh(&view, world)
        {
            let joined = self.generations.admit(view, reader, world);
            if joined.is_ok() {
                self.generations.count_join();
            }
            return joined;
        }
        let opener = reader.as_deref().map_or(Opener::Anybody, Opener::Member);
        let opened = self.generations.open(world, opener);
        self.generations.tell_slow(world);
        match reader {
            Some(member) => opened.map(|view| member.charge(view)),
            None => opened,
        }
    }
}

impl SnapshotProvider for SharedSnapshotProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Shared
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
        self.generations.tell_slow(world);
        Ok(())
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
