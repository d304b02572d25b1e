//! [`OnDemandProvider`]: a private picture for each acquire.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::ComponentMask;
use crate::world::World;

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
    mask: ComponentMask,
    pool: SnapshotPool,
    captures: AtomicU64,
}

impl OnDemandProvider {
    /// A provider that captures `mask` into cells of `pool`.
    pub fn new(mask: ComponentMask, pool: SnapshotPool) -> Self {
        Self { mask, pool, captures: AtomicU64::new(0) }
    }
}

impl SnapshotProvider for OnDemandProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::OnDemand
    }

    fn mask(&self) -> ComponentMask {
        self.mask
    }

    fn acquire(&self, world: &mut World) -> Result<View, AcquireError> {
        // Relaxed: a count that orders nothing.
        self.captures.fetch_add(1, Ordering::Relaxed);
        Ok(world.capture(self.mask, &self.pool))
    }

    fn update(&self, _: &mut World) -> Result<(), AcquireError> {
        Ok(())
    }

    fn statistics(&self) -> ProviderStatistics {
        let captures = self.captures.load(Ordering::Relaxed);
        ProviderStatistics { captures, ..Default::default() }
    }
}
