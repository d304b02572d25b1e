//! Stocks: the handles that command buffers take from the index, and its notes on them.

use super::*;
use crate::storage::index_state::LaneId;

impl EntityIndex {
    /// The lane of a new command buffer, and a cursor in it. A buffer that is recorded to while
    /// the world is not at hand has a `renewal`.
    pub(crate) fn make_lane(&mut self, renewal: Option<Arc<Renewal>>) -> LaneCursor {
        self.vacate_lanes();
        let lane = self.lanes.take(renewal);
        LaneCursor::new(lane, self.lanes.of(lane).head.used)
    }

    /// The lane of a number for a new command buffer, and a cursor in it; `None` where a buffer has it, or the world
    /// has no such lane.
    pub(crate) fn take_lane(&mut self, lane: LaneId) -> Option<LaneCursor> {
        self.vacate_lanes();
        let is_taken = self.lanes.take_number(lane);
        is_taken.then(|| LaneCursor::new(lane, self.lanes.of(lane).head.used))
    }

    /// Whether there is a lane of this number, and whether it has no buffer.
    pub(crate) fn is_vacant(&mut self, lane: LaneId) -> Option<bool> {
        self.vacate_lanes();
        self.lanes.is_vacant(lane)
    }

    /// Makes the lanes of buffers that were dropped vacant.
    pub(crate) fn vacate_lanes(&mut self) {
        if self.returned.0.has_returned.load(Ordering::Relaxed) {
            let mut returned =
                self.returned.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
            returned.lanes.drain(..).for_each(|lane| self.lanes.vacate(lane));
        }
    }

    /// Notes that a recording that is played back has used `spawned` handles. Those that `cursor`
    /// has drawn from its lane are reserved from now on.
    pub(crate) fn note_use(&mut self, cursor: &mut LaneCursor, spawned: usize) {
        let (lane, head) = (cursor.lane, &mut self.lanes.of(cursor.lane).head);
        head.used += cursor.drawn;
        let (used, wanted) = (head.used, spawned.max(cursor.take_wish()));
        head.note_recording(wanted, || territory::lane_len(lane.0) - used);
        cursor.advance();
    }

    /// Sets a buffer's stock and cursor to those of its lane.
    pub(crate) fn take_up(&mut self, stock: &mut Vec<Entity>, cursor: &mut LaneCursor) {
        let lane = self.lanes.of(cursor.lane);
        stock.clear();
        stock.extend_from_slice(&lane.held);
        cursor.reset(lane.head.used);
    }

    /// Brings a stock to as many handles as the recordings of its lane need, or to `least`. Nothing
    /// to do where it `is_held`, as of the last filling, and has as many.
    pub(crate) fn fill_stock(
        &mut self,
        lane: LaneId,
        least: usize,
        (stock, is_held): (&mut Vec<Entity>, bool),
        memory: &mut Memory,
    ) {
        let target = (self.lanes.of(lane).head.need as usize).max(least);
        if is_held && stock.len() == target {
            return;
        }
        while stock.len() > target
            && let Some(&last) = stock.last()
            && self.free_reserved(last, memory).is_ok()
        {
            stock.pop();
        }
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
