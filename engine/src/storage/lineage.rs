//! [`Lineage`]: which history of a world its snapshots are of.
//!
//! A restore or a sync replaces the world's state. Holders of a snapshot can ask on any thread whether
//! that has happened since.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a restore or a sync has replaced a world's entities, for the world and its snapshots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lineage(Arc<AtomicU64>);

impl Lineage {
    #[inline]
    pub(crate) fn current(&self) -> u64 {
        // Acquire: pairs with the release in `begin_next`, for the handles that buffers go on with.
        self.0.load(Ordering::Acquire)
    }

    /// The number of the one that comes after the current one.
    pub(crate) fn next(&self) -> u64 {
        self.current() + 1
    }

    /// Begins the next one. Only the world's thread does.
    pub(crate) fn begin_next(&self) {
        // Release: pairs with the acquire in `current`.
        self.0.store(self.next(), Ordering::Release);
    }
}
