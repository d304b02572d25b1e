//! Restore: the index goes back to the slots of a capture, and gives out the same handles again.

use super::*;
use crate::storage::epoch::Epoch;
use crate::storage::frozen::LaneId;
use crate::storage::history::restore::Revival;

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
        self.captured = self.captured.max(self.len);
        self.is_sparse = self.is_sparse || entries.iter().any(|entry| entry.born == Epoch::BLANK);
        self.handles.begin_lineage(lineage);
        self.restore_lanes(frozen);
        self.restore_recalled(frozen);
        self.lanes.announce(lineage);
        (self.len, self.alive) = (rows as u32, frozen.head.alive);
        let IndexHead { free_head, reserved_from, fresh } = frozen.head.index;
        *self.free_head.get_mut() = free_head;
        *self.reserved_from.get_mut() = reserved_from;
        *self.fresh.get_mut() = fresh;
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

    /// Adds to a snapshot the lanes, and which handles are reserved for command buffers, or were
    /// given back and are not free yet.
    pub(crate) fn freeze_lanes(&self, frozen: &mut Frozen) {
        for (number, lane) in self.lanes.lanes.iter().enumerate() {
            frozen.push_lane(lane.head);
            frozen.push_handles(LaneId(number as u32), &lane.held);
        }
        // Relaxed: what another thread gives back just now may as well come later.
        if self.handles.0.has_returned.load(Ordering::Relaxed) {
            let returned = self.handles.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
            frozen.push_handles(LaneId::NONE, &returned.handles);
        }
        self.freeze_recalled(frozen);
    }

    /// Goes back to the lanes of a snapshot. The handles of lanes that no buffer draws from are
    /// free at the next tick, unless a buffer was made by then.
    fn restore_lanes(&mut self, frozen: &Frozen) {
        self.vacate_lanes();
        let mut returned = self.handles.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        self.lanes.restore(frozen.lanes());
        for &(lane, handle) in frozen.handles() {
            match lane {
                LaneId::NONE => returned.handles.push(handle),
                lane => self.lanes.of(lane).held.push(handle),
            }
        }
        let surplus = !returned.handles.is_empty() || self.lanes.hold_surplus();
        // Relaxed: as in `Handles::give_back`.
        self.handles.0.has_returned.store(surplus, Ordering::Relaxed);
    }
}

/// What command buffers need of the index.
impl EntityIndex {
    /// The lane of a new command buffer, and a cursor in it. A buffer that is recorded to while
    /// the world is not at hand has a `renewal`.
    pub(crate) fn make_lane(&mut self, renewal: Option<Arc<Renewal>>) -> LaneCursor {
        self.vacate_lanes();
        let lane = self.lanes.take(renewal);
        LaneCursor::new(lane, self.lanes.of(lane).head.used)
    }

    /// Makes the lanes of buffers that were dropped vacant.
    pub(crate) fn vacate_lanes(&mut self) {
        if self.handles.0.has_returned.load(Ordering::Relaxed) {
            let mut returned =
                self.handles.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
            returned.lanes.drain(..).for_each(|lane| self.lanes.vacate(lane));
        }
    }

    /// Notes that a recording that is played back has used `spawned` handles, of which its lane
    /// gave those that `cursor` has drawn. They are reserved from now on.
    pub(crate) fn note_use(&mut self, cursor: &LaneCursor, spawned: usize) {
        let head = &mut self.lanes.of(cursor.lane).head;
        head.used += cursor.drawn;
        if spawned > 0 {
            let need = u32::try_from(spawned.next_power_of_two()).unwrap_or(u32::MAX);
            head.need = head.need.max(need);
        }
    }

    /// Sets a buffer's stock and cursor to what its lane has.
    pub(crate) fn take_up(&mut self, stock: &mut Vec<Entity>, cursor: &mut LaneCursor) {
        let lane = self.lanes.of(cursor.lane);
        stock.clear();
        stock.extend_from_slice(&lane.held);
        cursor.reset(lane.head.used);
    }

    /// Tops a stock up to what the recordings of its lane have needed, or to `least` handles.
    pub(crate) fn fill_stock(
        &mut self,
        lane: LaneId,
        least: usize,
        stock: &mut Vec<Entity>,
        memory: &mut Memory,
    ) {
        let target = (self.lanes.of(lane).head.need as usize).max(least);
        while stock.len() < target {
            // A short stock is no error: recording goes on in the lane.
            let Ok(entity) = self.allocate(memory) else { break };
            stock.push(entity);
        }
        let held = &mut self.lanes.of(lane).held;
        held.clear();
        held.extend_from_slice(stock);
    }
}
