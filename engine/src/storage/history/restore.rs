//! Revival: chunks of an active capture come off the dead lists, as a restore makes them live.
//!
//! A chunk that a capture sees and that the world has let go of is on the dead list of that capture
//! or of a newer one (`one-list`). During a revival these lists are sorted by address, so that
//! each chunk is found by bisection, without memory of its own; the cost is that of the chunks
//! retired since the capture.
//!
//! A revived chunk keeps the epoch in which it was born. Captures that were made while it was
//! retired don't see it, but by their epochs they seem to: should it be retired again while one
//! of them is active, that one may keep it a little longer than needed.

use super::*;
use crate::storage::chunk_entry::ChunkEntry;

/// Marks an entry whose chunk was revived.
const REVIVED: Epoch = Epoch::MAX;

impl Memory {
    /// Makes the chunks of the active capture that closed `epoch` ready to be revived.
    pub(crate) fn begin_revival(&mut self, epoch: Epoch) {
        self.history.revival = epoch;
        for capture in &mut self.history.active {
            capture.sorted = 0;
            if capture.epoch >= epoch {
                let dead = &mut capture.lists.dead;
                dead.sort_unstable_by_key(|dead| dead.chunk.as_ptr().addr());
                capture.sorted = dead.len();
            }
        }
    }

    /// Takes a chunk off the dead list that it is on; the caller puts it back into its column.
    /// Returns its birth, and its class, or `None` for a chunk that is not this world's, which is on
    /// no list.
    ///
    /// # Panics
    ///
    /// When the chunk is not one that the capture of the revival sees and that the world has let
    /// go of.
    pub(crate) fn revive(&mut self, entry: &ChunkEntry) -> (Epoch, Option<SizeClass>) {
        if entry.born == Epoch::BLANK {
            return (Epoch::BLANK, None);
        }
        let history = &mut self.history;
        let base = if history.branching {
            Some(history.bases.number_of(entry.born))
        } else {
            entry.born.base()
        };
        if let Some(base) = base {
            history.bases.count(base);
            return (Epoch::foreign(base), None);
        }
        let address = entry.chunk.as_ptr().addr();
        let (class, component) = history
            .active
            .iter_mut()
            .find_map(|capture| {
                let sorted = &mut capture.lists.dead[..capture.sorted];
                let at = sorted.binary_search_by_key(&address, |dead| dead.chunk.as_ptr().addr());
                let dead = &mut sorted[at.ok()?];
                assert!(dead.born != REVIVED, "a chunk is revived once");
                dead.born = REVIVED;
                capture.lists.dead_bytes -= dead.class.bytes();
                Some((dead.class, dead.component))
            })
            .expect("a captured chunk is the world's or on a dead list");
        let mut viewers = history.active.iter_mut();
        let oldest = viewers.find(|capture| capture.sees(entry.born, component));
        let oldest = oldest.expect("the capture that is restored to sees the chunk");
        history.ledger.revive(oldest.lists.oldest.of(component), class);
        (entry.born, Some(class))
    }

    /// Ends a revival: the dead lists forget what was revived.
    pub(crate) fn end_revival(&mut self) {
        for capture in self.history.active.iter_mut().filter(|capture| capture.sorted > 0) {
            capture.lists.dead.retain(|dead| dead.born != REVIVED);
            capture.sorted = 0;
        }
    }
}
