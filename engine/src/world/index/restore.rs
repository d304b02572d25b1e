//! Restore: the index goes back to the slots of a capture, and gives out the same handles again.

use super::returned::SharedReturns;
use super::*;
use crate::storage::epoch::Epoch;
use crate::storage::history::restore::Revival;
use crate::storage::index_state::LaneId;

impl EntityIndex {
    /// Which handles the index gives out next.
    pub(crate) fn head(&self) -> IndexHead {
        IndexHead {
            // Acquire: pairs with the exchange in `move_head`.
            free_head: self.free_head.load(Ordering::Acquire),
            reserved_from: self.reserved_from.load(Ordering::Relaxed),
            fresh: self.fresh.load(Ordering::Relaxed),
        }
    }

    /// Takes the slots of a complete capture of this world back. Handles that were reserved then
    /// are reserved now, for command buffers too. Returns how many chunks were taken
    /// back.
    pub(crate) fn restore(
        &mut self,
        frozen: &Frozen,
        lineage: u64,
        revival: &mut Revival<'_>,
    ) -> u64 {
        let (entries, rows) = frozen.index_entries().expect("the index was captured");
        let taken = self.slots.restore(entries, (self.len(), rows), revival);
        self.is_sparse = self.is_sparse || entries.iter().any(|entry| entry.born == Epoch::BLANK);
        (self.len, self.alive) = (rows as u32, frozen.head.alive);
        self.take_over(frozen.index_state(), lineage);
        taken
    }

    /// How many handles the lists of all lanes have room for.
    pub(crate) fn stock_capacity(&self) -> usize {
        self.lanes.lanes.iter().map(|lane| lane.held.capacity()).sum()
    }

    /// How many lanes there are.
    pub(crate) fn lane_count(&self) -> usize {
        self.lanes.lanes.len()
    }

    /// Writes down which handles the index gives out next, for a snapshot or a replica: `state` is
    /// empty.
    pub(crate) fn note_index_state(&self, state: &mut IndexState) {
        state.head = self.head();
        for (number, lane) in self.lanes.lanes.iter().enumerate() {
            state.lanes.push(lane.head);
            state.push_reserved(LaneId(number as u32), &lane.held);
        }
        let recalled = self.recalled.iter().map(|range| (range, true));
        state.given_back.extend(recalled.map(given_back));
        let SharedReturns { has_returned, has_fresh, returned } = &*self.returned.0;
        // Relaxed: handles that another thread gives back just now may as well come later.
        if has_returned.load(Ordering::Relaxed) || has_fresh.load(Ordering::Relaxed) {
            let returned = returned.lock().unwrap_or_else(PoisonError::into_inner);
            state.push_reserved(LaneId::NONE, &returned.handles);
            let fresh = returned.fresh.iter().map(|range| (range, false));
            state.given_back.extend(fresh.map(given_back));
        }
    }

    /// Goes on in `lineage` with the handles that [`EntityIndex::note_index_state`] wrote down, after
    /// the slots. Those of lanes that no buffer draws from are free at the next tick, unless a
    /// buffer was made by then.
    pub(super) fn take_over(&mut self, state: &IndexState, lineage: u64) {
        self.returned.begin_lineage(lineage);
        // One lock for all of it: other threads give lanes back at any time.
        let SharedReturns { has_returned, has_fresh, returned } = &*self.returned.0;
        let mut returned = returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.lanes.drain(..).for_each(|lane| self.lanes.vacate(lane));
        self.lanes.restore(&state.lanes);
        for &(lane, handle) in &state.reserved {
            match lane {
                LaneId::NONE => returned.handles.push(handle),
                lane => self.lanes.of(lane).held.push(handle),
            }
        }
        self.recalled.clear();
        for GivenBack { range, recalled } in &state.given_back {
            let list = if *recalled { &mut self.recalled } else { &mut returned.fresh };
            list.push(range.clone());
        }
        let surplus = !returned.handles.is_empty() || self.lanes.hold_surplus();
        // Relaxed: as in `ReturnedHandles::give_back`.
        has_returned.store(surplus, Ordering::Relaxed);
        has_fresh.store(!returned.fresh.is_empty(), Ordering::Relaxed);
        drop(returned);
        self.lanes.announce(lineage);
        let IndexHead { free_head, reserved_from, fresh } = state.head;
        *self.free_head.get_mut() = free_head;
        *self.reserved_from.get_mut() = reserved_from;
        *self.fresh.get_mut() = fresh;
    }

    /// Takes over which handles another index gives out next, after its slots were copied: handles
    /// reserved there are reserved here, for the same owners. Those that this world has given out
    /// since the last sync are of an earlier lineage, so their indices are used again.
    pub(crate) fn adopt(&mut self, source: &Self, lineage: u64) {
        (self.len, self.alive) = (source.len, source.alive);
        self.adopt_handles(source, lineage, |_| {});
    }

    /// Forgets all slots and takes over only the number of living entities, and which indices were
    /// given out, for a replica that can't look entities up.
    pub(crate) fn adopt_count(&mut self, source: &Self, lineage: u64, memory: &mut Returns) {
        self.slots.truncate(0, memory);
        (self.len, self.alive) = (0, source.alive);
        self.adopt_handles(source, lineage, |state| {
            (state.head.free_head, state.head.reserved_from) = (NONE, NONE);
            state.reserved.clear();
            state.given_back.clear();
        });
    }

    fn adopt_handles(
        &mut self,
        source: &Self,
        lineage: u64,
        leave_out: impl FnOnce(&mut IndexState),
    ) {
        let mut state = mem::take(&mut self.adopted);
        state.clear();
        source.note_index_state(&mut state);
        leave_out(&mut state);
        self.take_over(&state, lineage);
        self.adopted = state;
    }
}

fn given_back((range, recalled): (&Range<u32>, bool)) -> GivenBack {
    GivenBack { range: range.clone(), recalled }
}
