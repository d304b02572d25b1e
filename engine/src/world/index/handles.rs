//! What the index shares with other threads: the counter of indices that were never used, and the
//! handles that come back.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::storage::entity::Entity;
use crate::storage::frozen::BufferId;

/// No slot has this number: it ends the free list, and stays above all indices.
pub(super) const NONE: u32 = u32::MAX;

/// Where handles come from and go to outside the world: the counter of indices that were never
/// used, and the reserved handles that dropped command buffers gave back.
#[derive(Clone)]
pub(crate) struct Handles(pub(super) Arc<SharedHandles>);

pub(super) struct SharedHandles {
    /// Indices from here on were never used.
    pub(super) fresh: AtomicU32,
    /// Whether `returned` may hold something, so that the world need not look.
    pub(super) has_returned: AtomicBool,
    /// Whether `returned` may hold ranges of fresh indices.
    pub(super) has_fresh: AtomicBool,
    pub(super) returned: Mutex<Returned>,
}

/// Handles that were given back, all of one lineage.
#[derive(Default)]
pub(super) struct Returned {
    /// The replica's state that the handles are for: a sync replaces all slots, and with them who
    /// holds which handle.
    lineage: u64,
    pub(super) handles: Vec<Entity>,
    /// Indices that were never used, and whose handles nobody has seen: ranges, as they may be more
    /// than could be listed.
    pub(super) fresh: Vec<Range<u32>>,
    /// Command buffers that were dropped, of any lineage.
    pub(super) buffers: Vec<BufferId>,
}

impl Handles {
    pub(super) fn new() -> Self {
        Self(Arc::new(SharedHandles {
            fresh: AtomicU32::new(0),
            has_returned: AtomicBool::new(false),
            has_fresh: AtomicBool::new(false),
            returned: Mutex::default(),
        }))
    }

    /// Gives reserved handles back, on any thread. Called when a command buffer is dropped. Those
    /// of an earlier lineage are forgotten: their slots belong to others now.
    pub(crate) fn give_back(&self, lineage: u64, handles: impl Iterator<Item = Entity>) {
        let mut returned = self.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        if returned.lineage != lineage {
            return;
        }
        returned.handles.extend(handles);
        // Relaxed: the lock orders the list; the flag only saves the world from taking it.
        self.0.has_returned.store(true, Ordering::Relaxed);
    }

    /// Gives fresh indices back of which nobody has seen a handle, as [`Handles::give_back`].
    pub(crate) fn give_back_fresh(&self, lineage: u64, range: Range<u32>) {
        let mut returned = self.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        if returned.lineage == lineage {
            returned.fresh.push(range);
            // Relaxed: as in `give_back`.
            self.0.has_fresh.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that a command buffer is gone.
    pub(crate) fn drop_buffer(&self, buffer: BufferId) {
        let mut returned = self.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.buffers.push(buffer);
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

    /// Claims up to `count` indices; an empty range when all are taken.
    pub(crate) fn claim(&self, count: u32) -> Range<u32> {
        // Relaxed: the count itself is all that is shared.
        let claimed = self.0.fresh.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            Some(next.saturating_add(count).min(NONE - 1))
        });
        let start = claimed.unwrap_or(NONE - 1);
        start..start.saturating_add(count).min(NONE - 1)
    }

    /// Claims exactly `count` indices; `None` when there are not as many left.
    pub(crate) fn claim_exact(&self, count: u32) -> Option<Range<u32>> {
        if count == 0 {
            return Some(0..0);
        }
        // Relaxed: the count itself is all that is shared.
        let claimed = self.0.fresh.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            next.checked_add(count).filter(|&end| end < NONE)
        });
        claimed.ok().map(|start| start..start + count)
    }

    /// Gives a claimed range back, unless somebody has claimed more since; then it stays unused.
    /// Tells whether it did.
    pub(super) fn unclaim(&self, range: &Range<u32>) -> bool {
        let (ordering, fresh) = (Ordering::Relaxed, &self.0.fresh);
        // Relaxed: the count itself is all that is shared.
        range.is_empty()
            || fresh.compare_exchange(range.end, range.start, ordering, ordering).is_ok()
    }
}
