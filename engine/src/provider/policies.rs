//! The policies by name: thin types over a [`CapturingProvider`].

use crate::snapshot::{SnapshotPool, View};
use crate::storage::{ComponentMask, SnapshotUse};
use crate::world::World;

use super::capturing::{CapturingProvider, Policy};
use super::generations::WhenBusy;
use super::member::Member;
use super::slow_readers::{SlowReader, SlowReaderLimits};
use super::traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};

/// Captures at every update and publishes; all readers of the tick join. The provider holds the
/// newest snapshot itself, so that it can be joined at any time and from any thread. Acquiring on a
/// tick without an update captures first. Where the bound on generations refuses an update, readers
/// join the last snapshot, and it counts as stale. Members below their share still get fresh ones:
/// see [`WhenBusy`].
///
/// ```
/// use convoy_engine::provider::{DoubleBufferProvider, SnapshotProvider};
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
///
/// let mut world = World::new();
/// let provider = DoubleBufferProvider::new(ComponentMask::ALL, SnapshotPool::default());
/// provider.update(&mut world).unwrap();
/// let reader = provider.join().unwrap();
/// world.advance_tick();
/// provider.update(&mut world).unwrap();
/// assert_eq!((reader.tick(), provider.join().unwrap().tick()), (0, 1));
/// ```
pub struct DoubleBufferProvider(CapturingProvider);

/// Captures privately at each acquire: for a single slow module, which shares with no other.
///
/// ```
/// use convoy_engine::provider::{OnDemandProvider, SnapshotProvider};
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
///
/// let mut world = World::new();
/// let provider = OnDemandProvider::new(ComponentMask::ALL, SnapshotPool::default());
/// let first = provider.acquire(&mut world).unwrap();
/// let second = provider.acquire(&mut world).unwrap();
/// assert!(!first.shares_with(&second));
/// ```
pub struct OnDemandProvider(CapturingProvider);

/// Captures lazily at the first acquire; later acquires join the snapshot while it is fresh. The
/// mask should be the union of the members' masks.
///
/// A view is never older than `max_age` ticks (default 0: this tick). When the published snapshot is
/// older and readers still hold it, a new generation is opened and the old one drains, so that a slow
/// reader never makes others read the past. Live generations are bounded, and charged to their
/// holders: see [`WhenBusy`].
///
/// ```
/// use convoy_engine::provider::{SharedSnapshotProvider, SnapshotProvider};
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
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
/// assert!(!third.shares_with(&second), "the slow reader keeps its own snapshot");
/// assert_eq!((second.tick(), third.tick()), (0, 1));
/// ```
pub struct SharedSnapshotProvider(CapturingProvider);

macro_rules! thin_provider {
    ($name:ident, $policy:expr) => {
        impl $name {
            /// A provider that captures `mask` into cells of `pool`.
            pub fn new(mask: ComponentMask, pool: SnapshotPool) -> Self {
                Self(CapturingProvider::new($policy, mask, pool))
            }

            /// Calls `notify`, on the thread of the world, when a snapshot of this provider passes a
            /// limit while readers hold it: once for each snapshot and limit, at the first update or
            /// capture after that. A panic of `notify` is contained and counted.
            #[must_use]
            pub fn with_slow_readers(
                self,
                limits: SlowReaderLimits,
                notify: impl Fn(&SlowReader) + Send + Sync + 'static,
            ) -> Self {
                Self(self.0.with_slow_readers(limits, notify))
            }
        }

        impl SnapshotProvider for $name {
            fn kind(&self) -> ProviderKind {
                self.0.kind()
            }

            fn mask(&self) -> ComponentMask {
                self.0.mask()
            }

            fn acquire(&self, world: &mut World) -> Result<View, AcquireError> {
                self.0.acquire(world)
            }

            fn enroll(&self) -> Member {
                self.0.enroll()
            }

            fn acquire_for(
                &self,
                world: &mut World,
                member: &mut Member,
            ) -> Result<View, AcquireError> {
                self.0.acquire_for(world, member)
            }

            fn update(&self, world: &mut World) -> Result<(), AcquireError> {
                self.0.update(world)
            }

            fn statistics(&self) -> ProviderStatistics {
                self.0.statistics()
            }

            fn held(&self, world: &World) -> Vec<SnapshotUse> {
                self.0.held(world)
            }

            fn retained_bytes(&self, world: &World) -> usize {
                self.0.retained_bytes(world)
            }
        }
    };
}

thin_provider!(DoubleBufferProvider, Policy::DoubleBuffer);
thin_provider!(OnDemandProvider, Policy::OnDemand);
thin_provider!(SharedSnapshotProvider, Policy::Shared(WhenBusy::default()));

impl DoubleBufferProvider {
    /// Lets acquirers join a snapshot that is up to `ticks` old (0 unless set: of this tick only)
    /// where no update has made a newer one.
    #[must_use]
    pub fn with_max_age(mut self, ticks: u64) -> Self {
        self.0.generations.set_max_age(ticks);
        self
    }

    /// Bounds the generations that are alive at a time, the newest one included (8 unless set; at
    /// least 2).
    #[must_use]
    pub fn with_generations_max(mut self, generations: usize) -> Self {
        self.0.generations.set_limit(generations.max(2));
        self
    }

    /// Joins the newest snapshot: on any thread, without a lock and without the world. `None` before
    /// the first update, and between a restore of the world and the next update. Where another world
    /// takes the place of that one, the next update is the first of the new one. Joined views are
    /// charged to no member, so a reader that keeps many takes them from the members: see
    /// [`WhenBusy`].
    pub fn join(&self) -> Option<View> {
        self.0.generations.join()
    }
}

impl OnDemandProvider {
    /// Bounds the snapshots that are held at a time (8 unless set; at least 1): at the bound,
    /// acquiring is refused with [`AcquireError::Backpressure`], but for members that hold less
    /// than their share: see [`WhenBusy`].
    #[must_use]
    pub fn with_generations_max(mut self, generations: usize) -> Self {
        self.0.generations.set_limit(generations);
        self
    }
}

impl SharedSnapshotProvider {
    /// Lets later acquirers join a snapshot that is up to `ticks` old.
    #[must_use]
    pub fn with_max_age(mut self, ticks: u64) -> Self {
        self.0.generations.set_max_age(ticks);
        self
    }

    /// Bounds the generations that readers may keep alive (8 unless set; at least 1), and sets the
    /// choice at the bound.
    #[must_use]
    pub fn with_generations_max(mut self, generations: usize, when_busy: WhenBusy) -> Self {
        self.0.generations.set_limit(generations);
        self.0.policy = Policy::Shared(when_busy);
        self
    }

    /// Joins the published snapshot, of any age: on any thread, without a lock and without the
    /// world. `None` when no reader holds one, or the world was restored since. Where another world
    /// has taken the place of that one, this is noticed at the next capture. Joined views are
    /// charged to no member, so a reader that keeps many takes them from the members: see
    /// [`WhenBusy`].
    pub fn join(&self) -> Option<View> {
        self.0.generations.join()
    }
}
