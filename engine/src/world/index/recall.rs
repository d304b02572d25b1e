//! Fresh indices that come back: reserved by the range, and dropped before a handle was seen.
//!
//! They have no slots and may be thousands of millions, so they stay ranges. The counter goes back
//! over those at its end. Ranges below indices that were claimed since wait for the world, which
//! takes its next indices from there, the lowest first: ranges in ascending order, neighbours joined.

use super::*;

impl EntityIndex {
    /// Takes back the indices that were given back since. Comes before the world claims indices,
    /// and before it asks whether a handle is reserved.
    #[inline]
    pub(super) fn recall_fresh(&mut self) {
        // Relaxed: the lock orders the list.
        if self.returned.0.has_fresh.load(Ordering::Relaxed) {
            self.recall();
        }
    }

    #[cold]
    fn recall(&mut self) {
        let mut returned = self.returned.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        self.returned.0.has_fresh.store(false, Ordering::Relaxed);
        self.recalled.append(&mut returned.fresh);
        drop(returned);
        self.recalled.sort_unstable_by_key(|range| range.start);
        self.recalled.dedup_by(|next, range| {
            let are_neighbours = range.end == next.start;
            if are_neighbours {
                range.end = next.end;
            }
            are_neighbours
        });
        while self.recalled.last().is_some_and(|last| self.unclaim(last)) {
            self.recalled.pop();
        }
    }

    /// The lowest of the recalled ranges, up to `count` of the world's indices in it.
    pub(super) fn first_recalled(&self, count: u32) -> Range<u32> {
        let Some(lowest) = self.recalled.first() else { return 0..0 };
        let end = territory::own_after(lowest.start, count);
        lowest.start..end.map_or(lowest.end, |end| end.min(lowest.end))
    }

    /// Forgets the part of [`EntityIndex::first_recalled`] that has been claimed.
    pub(super) fn forget_recalled(&mut self, claimed: &Range<u32>) {
        if claimed.is_empty() {
            return;
        }
        let lowest = &mut self.recalled[0];
        lowest.start = claimed.end;
        if lowest.end == claimed.end {
            self.recalled.remove(0);
        }
    }

    /// Whether the world's index `index` has come back.
    pub(super) fn is_recalled(&self, index: u32) -> bool {
        let at = self.recalled.partition_point(|range| range.end <= index);
        self.recalled.get(at).is_some_and(|range| range.start <= index)
    }
}
