//! Fresh indices that come back: reserved by the range, and dropped before anybody saw a handle.
//!
//! They have no slots and may be thousands of millions, so they stay ranges. The counter goes back
//! over those at its end. What lies below indices that were claimed since waits for the world, which
//! takes its next indices from there, the lowest first.

use super::*;

impl EntityIndex {
    /// Takes back what was given back since. Comes before the world claims indices, and before it
    /// asks whether a handle is reserved.
    #[inline]
    pub(super) fn recall_fresh(&mut self) {
        // Relaxed: the lock orders the list.
        if self.handles.0.has_fresh.load(Ordering::Relaxed) {
            self.recall();
        }
    }

    #[cold]
    fn recall(&mut self) {
        let mut returned = self.handles.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        self.handles.0.has_fresh.store(false, Ordering::Relaxed);
        self.recalled.append(&mut returned.fresh);
        drop(returned);
        self.recalled.sort_unstable_by_key(|range| range.start);
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

    /// Forgets what [`EntityIndex::first_recalled`] found, which has been claimed.
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

    /// Adds to a snapshot which fresh indices were given back.
    pub(super) fn freeze_recalled(&self, frozen: &mut Frozen) {
        for range in &self.recalled {
            frozen.push_given_back(GivenBack { range: range.clone(), recalled: true });
        }
        if self.handles.0.has_fresh.load(Ordering::Relaxed) {
            let returned = self.handles.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
            for range in &returned.fresh {
                frozen.push_given_back(GivenBack { range: range.clone(), recalled: false });
            }
        }
    }

    /// Goes back to the ranges of a snapshot.
    pub(super) fn restore_recalled(&mut self, frozen: &Frozen) {
        let mut returned = self.handles.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        self.recalled.clear();
        returned.fresh.clear();
        for GivenBack { range, recalled } in frozen.given_back() {
            let list = if *recalled { &mut self.recalled } else { &mut returned.fresh };
            list.push(range.clone());
        }
        self.handles.0.has_fresh.store(!returned.fresh.is_empty(), Ordering::Relaxed);
    }
}
