//! Epochs: the time by which a world tells which of its chunks a capture sees.

use std::sync::atomic::{AtomicU64, Ordering};

/// One span between two captures. The first epoch is 1; 0 stands for "before everything".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(u64);

impl Epoch {
    pub(crate) const ZERO: Self = Self(0);

    pub(crate) fn number(self) -> u64 {
        self.0
    }
    /// The birth of a chunk that belongs to another world: one that a branch shares with the world
    /// that it comes from. It is never written and never recycled here.
    pub(crate) const FOREIGN: Self = Self::ZERO;
    /// Comes after every epoch that there will be.
    pub(crate) const MAX: Self = Self(u64::MAX);
}

/// A world's capture counter.
///
/// Atomic only because `sync_from` closes an epoch of a source that it borrows shared; every
/// access is relaxed, as the borrow orders them.
pub(crate) struct EpochCounter(AtomicU64);

impl EpochCounter {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(1))
    }

    #[inline]
    pub(crate) fn current(&self) -> Epoch {
        Epoch(self.0.load(Ordering::Relaxed))
    }

    /// Ends the current epoch and returns it: what is written from now on is newer.
    pub(crate) fn close(&self) -> Epoch {
        Epoch(self.0.fetch_add(1, Ordering::Relaxed))
    }
}
