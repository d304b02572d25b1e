//! Epochs: the time by which a world tells which of its chunks a snapshot sees.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// One span between two captures, or, as the birth of a chunk, the world that it belongs to.
///
/// | number | |
/// |---|---|
/// | 0 | before everything: [`Epoch::BEFORE_ALL`] |
/// | below 2^32 - 2 | a chunk of the base of this number: see [`Epoch::foreign`] |
/// | 2^32 - 2 | a chunk that no world owns: [`Epoch::BLANK`] |
/// | 2^32 - 1 | before every capture: [`Epoch::NEVER`] |
/// | 2^32 and more | the spans of a world |
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(u64);

/// The number of a world's first span.
const FIRST: u64 = 1 << 32;

impl Epoch {
    /// Before every span of every world: everything was written after it.
    pub(crate) const BEFORE_ALL: Self = Self(0);

    /// The birth of a blank chunk, which belongs to the process: no world writes or recycles it.
    pub(crate) const BLANK: Self = Self(FIRST - 2);
    /// The end of a capture that never was, and of no world the current epoch: not before the birth of
    /// any foreign chunk, so that these count as seen, and before that of all others.
    pub(crate) const NEVER: Self = Self(FIRST - 1);

    /// How many bits an epoch has: at a million captures a second, for nine years.
    pub(crate) const BITS: u32 = 48;

    /// How many spans there were with this one.
    pub(crate) fn number(self) -> u64 {
        self.0.saturating_sub(Self::NEVER.0)
    }

    /// The epoch as a number of [`Epoch::BITS`] bits.
    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The birth of a chunk of another world, which is the base of this number in a branch. It is
    /// never written and never recycled there.
    pub(crate) fn foreign(base: u32) -> Self {
        Self(u64::from(base))
    }

    /// Which base a chunk of this birth is of, if it is another world's.
    #[inline]
    pub(crate) fn base(self) -> Option<u32> {
        if self < Self::BLANK { Some(self.0 as u32) } else { None }
    }

    /// Whether a chunk of this birth is never the world's own: another world's, or blank.
    #[inline]
    pub(crate) fn is_foreign(self) -> bool {
        self.0 < FIRST
    }
}

/// The current epoch of a world, and proof that it lasts: a capture takes the history exclusively, so
/// none happens while this lives. Columns want to see it before they say that a row is writable.
#[derive(Clone, Copy)]
pub(crate) struct Now<'m> {
    epoch: Epoch,
    history: PhantomData<&'m EpochCounter>,
}

impl Now<'_> {
    #[inline]
    pub(crate) fn epoch(self) -> Epoch {
        self.epoch
    }
}

/// A world's capture counter.
///
/// Atomic only because `sync_from` closes an epoch of a source that it borrows shared; every
/// access is relaxed, as the borrow orders them.
pub(crate) struct EpochCounter(AtomicU64);

impl EpochCounter {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(FIRST))
    }

    #[inline]
    pub(crate) fn current(&self) -> Epoch {
        Epoch(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn now(&self) -> Now<'_> {
        Now { epoch: self.current(), history: PhantomData }
    }

    /// Ends the current epoch and returns it: later writes are newer.
    pub(crate) fn close(&self) -> Epoch {
        let closed = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(closed < (1 << Epoch::BITS) - 1, "fewer than 2^48 captures");
        Epoch(closed)
    }
}
