//! The part of the index that other threads share: the handles and the lanes that come back.

use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::storage::entity::Entity;
use crate::storage::index_state::LaneId;

/// No slot has this number: it ends the free list, and stays above all indices.
pub(super) const NONE: u32 = u32::MAX;

/// Where handles go to outside the world: reserved ones that were not taken out, and the lanes of
/// dropped command buffers.
#[derive(Clone)]
pub(crate) struct ReturnedHandles(pub(super) Arc<SharedReturns>);

pub(super) struct SharedReturns {
    /// Whether `returned` may hold something, so that the world need not look.
    pub(super) has_returned: AtomicBool,
    /// Whether `returned` may hold ranges of fresh indices.
    pub(super) has_fresh: AtomicBool,
    pub(super) returned: Mutex<Returned>,
}

/// Handles that were given back, all of one lineage.
#[derive(Default)]
pub(super) struct Returned {
    /// The lineage that the handles are for: a restore or a sync replaces all slots, and with them
    /// the holders of handles.
    lineage: u64,
    pub(super) handles: Vec<Entity>,
    /// Indices that were never used, and whose handles were never seen: ranges, as they may be more
    /// than could be listed.
    pub(super) fresh: Vec<Range<u32>>,
    /// The lanes of command buffers that were dropped, of any lineage.
    pub(super) lanes: Vec<LaneId>,
}

impl ReturnedHandles {
    pub(super) fn new() -> Self {
        Self(Arc::new(SharedReturns {
            has_returned: AtomicBool::new(false),
            has_fresh: AtomicBool::new(false),
            returned: Mutex::default(),
        }))
    }

    /// Gives reserved handles back, on any thread. Those of an earlier lineage are forgotten: their
    /// slots belong to others now.
    pub(crate) fn give_back(&self, lineage: u64, handles: impl Iterator<Item = Entity>) {
        let mut returned = self.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        if returned.lineage != lineage {
            return;
        }
        returned.handles.extend(handles);
        // Relaxed: the lock orders the list; the flag only saves the world from taking it.
        self.0.has_returned.store(true, Ordering::Relaxed);
    }

    /// Gives fresh indices back whose handles were never seen, as [`ReturnedHandles::give_back`].
    pub(crate) fn give_back_fresh(&self, lineage: u64, range: Range<u32>) {
        let mut returned = self.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        if returned.lineage == lineage {
            returned.fresh.push(range);
            // Relaxed: as in `give_back`.
            self.0.has_fresh.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that the command buffer of a lane is gone.
    pub(crate) fn give_back_lane(&self, lane: LaneId) {
        let mut returned = self.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.lanes.push(lane);
        // Relaxed: as in `give_back`.
        self.0.has_returned.store(true, Ordering::Relaxed);
    }

    /// Forgets the handles of earlier lineages, now and when they are given back.
    pub(super) fn begin_lineage(&self, lineage: u64) {
        let mut returned = self.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.handles.clear();
        returned.fresh.clear();
        returned.lineage = lineage;
    }

    /// Whether both are those of one world.
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Handles that were taken off the index at once: free slots first, then fresh indices.
pub(crate) struct TakenHandles {
    /// The next free slot, and how many follow its links.
    pub(super) next: u32,
    pub(super) free: usize,
    /// The range that the fresh indices lie in, and how many they are.
    pub(super) fresh: Range<u32>,
    pub(super) fresh_left: u32,
}

impl TakenHandles {
    pub(super) const NONE: Self = Self { next: NONE, free: 0, fresh: 0..0, fresh_left: 0 };

    pub(crate) fn len(&self) -> usize {
        self.free + self.fresh_left as usize
    }

    /// Takes the fresh indices away.
    pub(crate) fn take_fresh(&mut self) -> Range<u32> {
        self.fresh_left = 0;
        mem::replace(&mut self.fresh, 0..0)
    }
}
