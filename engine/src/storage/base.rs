//! Bases: holds on the chunks that a branch shares with another world.
//!
//! A branch needs two things of the snapshot that it comes from: that the other world does not use
//! the captured chunks again, and that they stay mapped. Neither needs the snapshot's cell, which
//! its last view gives back. So a [`Base`] says to the other world's history that the capture
//! is held, through a count that both share, and holds the mapping. It holds nothing else, no other
//! base above all: where a branch of a branch still shares chunks of the first world, it has a base
//! of each, and lets go of either by itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use convoy_pool::Mapping;

use super::charge::Charge;

/// How many bases hold a snapshot. The world that captured, the cell and the bases share one count.
///
/// Only a view, or a base, of the snapshot makes one more: where both its readers and this count
/// have come to nothing, the count stays at zero, and serves the next capture.
#[derive(Clone, Default)]
pub(crate) struct Holds(Arc<AtomicUsize>);

impl Holds {
    /// How many there are. A caller that sees zero, after it has seen the readers gone, comes
    /// after everything that the holders did.
    pub(crate) fn count(&self) -> usize {
        // Acquire: pairs with the Release in the drop of `Base`.
        self.0.load(Ordering::Acquire)
    }
}

/// Keeps the chunks of one snapshot, mapped and unchanged.
pub(crate) struct Base {
    holds: Holds,
    mapping: Arc<Mapping>,
    /// The reader that is charged for it, if any.
    charge: Option<Charge>,
}

impl Base {
    /// A hold on the snapshot that `holds` counts, taken by a reader of it or a holder of its base.
    /// Its chunks lie in `mapping`, and `charge` is that of the reader.
    pub(crate) fn new(holds: &Holds, mapping: &Arc<Mapping>, charge: Option<&Charge>) -> Self {
        // Relaxed: the reader or base that is there already keeps the snapshot until after this, as
        // with the count of an `Arc`.
        holds.0.fetch_add(1, Ordering::Relaxed);
        Self { holds: holds.clone(), mapping: Arc::clone(mapping), charge: charge.cloned() }
    }
}

impl Clone for Base {
    fn clone(&self) -> Self {
        Self::new(&self.holds, &self.mapping, self.charge.as_ref())
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `Holds::count`.
        self.holds.0.fetch_sub(1, Ordering::Release);
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Base").finish_non_exhaustive()
    }
}
