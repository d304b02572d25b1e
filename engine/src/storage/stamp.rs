//! [`Stamp`]: tells states of a catalog apart.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that is given out once in this process, to one state of a registry or to one archetype.
/// Copies of a catalog keep the stamps, and each change of one gives a new stamp: equal stamps mean
/// equal states, in whichever worlds and snapshots they are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// A stamp that nothing had before.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only uniqueness matters.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
