//! Revival: chunks of an active capture come off the dead lists, as a restore makes them live.
//!
//! A chunk that a capture sees and that the world has let go of is on the dead list of that capture
//! or of a newer one (`one-list`). During a revival these lists are sorted by address, so that
//! each chunk is found by bisection, without memory of its own; the cost is that of the chunks
//! retired since the capture.
//!
//! A [`Revival`] ends when it is dropped, also by a panic on the way: what was revived until then is
//! on no dead list any more.
//!
//! A revived chunk keeps the epoch in which it was born. Captures that were made while it was
//! retired don't see it, but by their epochs they seem to: should it be retired again while one
//! of them is active, that one may keep it a little longer than needed.

#![allow(unsafe_code, reason = "names the chunks of another world")]

use std::ops::{Deref, DerefMut};

use super::*;

/// Chunks of one active capture come off the dead lists. Made by [`Returns::revival`].
pub(crate) struct Revival<'a> {
    pub(crate) memory: &'a mut Returns,
    epoch: Epoch,
}

impl Deref for Revival<'_> {
    type Target = Returns;

    fn deref(&self) -> &Returns {
        self.memory
    }
}

impl DerefMut for Revival<'_> {
    fn deref_mut(&mut self) -> &mut Returns {
        self.memory
    }
}

impl Returns {
    /// Makes the chunks of the active capture that closed `epoch` ready to be revived.
    pub(crate) fn revival(&mut self, epoch: Epoch) -> Revival<'_> {
        for capture in &mut self.history.active {
            capture.sorted = 0;
            if capture.epoch >= epoch {
                let dead = &mut capture.lists.dead;
                dead.sort_unstable_by_key(|dead| dead.address);
                capture.sorted = dead.len();
            }
        }
        Revival { memory: self, epoch }
    }
}

impl Revival<'_> {
    /// The epoch that the capture closed.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes a chunk off the dead list that it is on; the caller puts it back into its column. A
    /// chunk that is not this world's is on no list.
    ///
    /// # Panics
    ///
    /// When the chunk is not one that the capture of the revival sees and that the world has let
    /// go of.
    pub(crate) fn revive(&mut self, entry: &ChunkEntry, component: ComponentId) -> LooseChunk {
        let epoch = self.memory.epoch();
        if entry.born == Epoch::BLANK {
            let entry = ChunkEntry::new(entry.chunk, entry.class(), Epoch::BLANK, epoch);
            // SAFETY: the process keeps the chunk as it is, and a blank one is neither written nor
            // recycled here.
            return unsafe { LooseChunk::new(entry, component) };
        }
        let history = &mut self.memory.history;
        let base = if history.branching {
            Some(history.bases.number_of(entry.born))
        } else {
            entry.born.base()
        };
        if let Some(base) = base {
            history.bases.count(base);
            let entry = ChunkEntry::new(entry.chunk, entry.class(), Epoch::foreign(base), epoch);
            // SAFETY: the base keeps the chunk as it is, and a foreign one is neither written nor
            // recycled here.
            return unsafe { LooseChunk::new(entry, component) };
        }
        let address = entry.chunk.as_ptr().addr();
        let chunk = history.active.iter_mut().find_map(|capture| {
            let sorted = &mut capture.lists.dead[..capture.sorted];
            let at = sorted.binary_search_by_key(&address, |dead| dead.address).ok()?;
            let chunk = sorted[at].chunk.take().expect("a chunk is revived once");
            capture.lists.dead_bytes -= chunk.class().bytes();
            Some(chunk)
        });
        let chunk = chunk.expect("a captured chunk is the world's or on a dead list");
        let mut viewers = history.active.iter_mut();
        let oldest = viewers.find(|capture| capture.sees(chunk.born(), component));
        let oldest = oldest.expect("the capture that is restored to sees the chunk");
        history.ledger.revive(oldest.lists.oldest.of(component), chunk.class());
        let born = chunk.born();
        chunk.aged(born, epoch)
    }
}

impl Drop for Revival<'_> {
    /// The dead lists forget what was revived.
    fn drop(&mut self) {
        for capture in self.memory.history.active.iter_mut().filter(|each| each.sorted > 0) {
            capture.lists.dead.retain(|dead| dead.chunk.is_some());
            capture.sorted = 0;
        }
    }
}
