//! [`Lineage`]: which history of a world its snapshots are of.
//!
//! A restore or a sync puts another state in the place of what a world was and became. Whoever
//! holds a snapshot can ask on any thread whether that has happened since.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a restore or a sync has replaced a world's entities, for the world and its snapshots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lineage(Arc<AtomicU64>);

impl Lineage {
    #[inline]
    pub(crate) fn current(&self) -> u64 {
        // Relaxed: the number is all that is shared. Only the world's thread changes it.
        self.0.load(Ordering::Relaxed)
    }

    /// Begins the next one and returns it.
    pub(crate) fn advance(&self) -> u64 {
        let next = self.current() + 1;
        // Relaxed: as above.
        self.0.store(next, Ordering::Relaxed);
        next
    }
}
