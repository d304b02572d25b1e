//! [`OnDemandProvider`]: a private picture for each acquire.

use crate::snapshot::{SnapshotPool, View};
use crate::storage::{ComponentMask, SnapshotUse};
use crate::world::World;

use super::generations::{GENERATIONS_MAX, Generations, Opener};
use super::member::Member;
use super::slow_readers::{SlowReader, SlowReaderLimits};
use super::traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};

/// Captures privately at each acquire: for a single slow module, which has nobody to share with.
///
/// ```
/// use convoy_engine::{ComponentMask, OnDemandProvider, SnapshotPool, SnapshotProvider, World};
///
/// let mut world = World::new();
/// let provider = OnDemandProvider::new(ComponentMask::ALL, SnapshotPool::default());
/// let first = provider.acquire(&mut world).unwrap();
/// let second = provider.acquire(&mut world).unwrap();
/// assert!(!first.shares_with(&second));
/// ```
pub struct OnDemandProvider {
    /// Published to nobody.
    generations: Generations,
}

impl OnDemandProvider {
    /// A provider that captures `mask` into cells of `pool`.
    pub fn new(mask: ComponentMask, pool: SnapshotPool) -> Self {
        Self { generations: Generations::new(mask, pool, GENERATIONS_MAX) }
    }

    /// Bounds the pictures that are held at a time (8 unless set; at least 1): at the bound,
    /// acquiring is refused with [`AcquireError::Backpressure`], but for members that hold less
    /// than their share: see [`WhenBusy`](crate::WhenBusy).
    #[must_use]
    pub fn with_generations_max(mut self, generations: usize) -> Self {
        self.generations.set_limit(generations);
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

    /// Captures `mask` from the next acquire on.
    pub(crate) fn set_mask(&self, mask: ComponentMask) {
        self.generations.set_mask(mask);
    }

    fn open(&self, world: &mut World, opener: Opener<'_>) -> Result<View, AcquireError> {
        let opened = self.generations.open(world, opener);
        self.generations.tell_slow(world);
        opened
    }
}

impl SnapshotProvider for OnDemandProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::OnDemand
    }

    fn mask(&self) -> ComponentMask {
        self.generations.mask()
    }

    fn acquire(&self, world: &mut World) -> Result<View, AcquireError> {
        self.open(world, Opener::Anybody)
    }

    fn enroll(&self) -> Member {
        self.generations.enroll()
    }

    fn acquire_for(&self, world: &mut World, member: &mut Member) -> Result<View, AcquireError> {
        let opened = self.open(world, Opener::Member(member));
        opened.map(|view| member.charge(view))
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
