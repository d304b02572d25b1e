//! Revival: chunks of an active snapshot come off the dead lists, as a restore makes them live.
//!
//! A chunk that a snapshot sees and that the world has let go of is on the dead list of that snapshot
//! or of a newer one (`one-list`). During a revival these lists are sorted by address, so that
//! each chunk is found by bisection, without memory of its own; the cost is that of the chunks
//! retired since the capture.
//!
//! A [`Revival`] ends when it is dropped, also by a panic on the way: the chunks revived until then
//! are on no dead list any more.
//!
//! A revived chunk keeps the epoch in which it was born. Snapshots that were made while it was
//! retired don't see it, but by their epochs they seem to: should it be retired again while one
//! of them is active, that one may keep it a little longer than needed.

#![allow(unsafe_code, reason = "names the chunks of another world")]

use std::ops::{Deref, DerefMut};

use super::*;
use crate::storage::chunk_entry::ChunkEntry;

/// Whose snapshot a world goes back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SnapshotOf {
    /// The world's own, which is active: its chunks are live, or on dead lists.
    ThisWorld,
    /// Another world's: this one becomes a branch and shares the chunks.
    AnotherWorld,
}

/// Chunks of one active snapshot become live. Made by [`Returns::revival`].
pub(crate) struct Revival<'a> {
    pub(crate) memory: &'a mut Returns,
    epoch: Epoch,
    of: SnapshotOf,
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
    /// Makes the chunks of the active snapshot that closed `epoch` ready to be revived.
    pub(crate) fn revival(&mut self, epoch: Epoch, of: SnapshotOf) -> Revival<'_> {
        for snapshot in &mut self.history.active {
            snapshot.sorted = 0;
            if snapshot.epoch >= epoch {
                let dead = &mut snapshot.lists.dead;
                dead.sort_unstable_by_key(|dead| dead.address);
                snapshot.sorted = dead.len();
            }
        }
        Revival { memory: self, epoch, of }
    }
}

impl Revival<'_> {
    /// The epoch that the capture closed.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whose snapshot it is.
    pub(crate) fn of(&self) -> SnapshotOf {
        self.of
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
        let base = match self.of {
            SnapshotOf::ThisWorld => entry.born.base(),
            SnapshotOf::AnotherWorld => Some(history.bases.number_of(entry.born)),
        };
        if let Some(base) = base {
            history.bases.count(base);
            let entry = ChunkEntry::new(entry.chunk, entry.class(), Epoch::foreign(base), epoch);
            // SAFETY: the base keeps the chunk as it is, and a foreign one is neither written nor
            // recycled here.
            return unsafe { LooseChunk::new(entry, component) };
        }
        let address = entry.chunk.as_ptr().addr();
        let chunk = history.active.iter_mut().find_map(|snapshot| {
            let sorted = &mut snapshot.lists.dead[..snapshot.sorted];
            let at = sorted.binary_search_by_key(&address, |dead| dead.address).ok()?;
            let chunk = sorted[at].chunk.take().expect("a chunk is revived once");
            snapshot.lists.dead_bytes -= chunk.class().bytes();
            Some(chunk)
        });
        let chunk = chunk.expect("a captured chunk is the world's or on a dead list");
        let mut viewers = history.active.iter_mut();
        let oldest = viewers.find(|snapshot| snapshot.sees(chunk.born(), component));
        let oldest = oldest.expect("the snapshot that is restored to sees the chunk");
        history.ledger.revive(oldest.lists.oldest.of(component), chunk.class());
        let born = chunk.born();
        chunk.aged(born, epoch)
    }
}

impl Drop for Revival<'_> {
    /// The dead lists forget the revived chunks.
    fn drop(&mut self) {
        for snapshot in self.memory.history.active.iter_mut().filter(|each| each.sorted > 0) {
            snapshot.lists.dead.retain(|dead| dead.chunk.is_some());
            snapshot.sorted = 0;
        }
    }
}
