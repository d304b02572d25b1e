//! [`WorldId`]: tells worlds apart.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a world in this process. A replica knows by it whose chunks it holds, and a
/// reader whose snapshot it sees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct WorldId(u64);

impl WorldId {
    /// Stands for no world.
    pub(crate) const NONE: Self = Self(0);

    /// A number that no world had before.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only uniqueness matters.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
