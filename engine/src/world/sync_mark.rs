//! Which world, and which state of it, a replica holds.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::storage::ComponentMask;
use crate::storage::epoch::Epoch;

/// Tells worlds apart, so that a replica knows whose chunks it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WorldId(u64);

impl WorldId {
    /// A number that no world had before.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only uniqueness matters.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Which state of which source a replica holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyncMark {
    pub(crate) source: WorldId,
    pub(crate) mask: ComponentMask,
    /// The source's epoch that the sync closed.
    pub(crate) source_epoch: Epoch,
    /// The replica's own epoch that the sync closed.
    pub(crate) own_epoch: Epoch,
}
