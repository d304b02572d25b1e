//! Restore: the index goes back to the slots of a capture, and gives out the same handles again.

use super::*;
use crate::storage::frozen::BufferId;

impl EntityIndex {
    /// Which handles the index gives out next.
    pub(crate) fn head(&self) -> IndexHead {
        IndexHead {
            // Acquire: pairs with the exchange in `move_head`.
            free_head: self.free_head.load(Ordering::Acquire),
            reserved_from: self.reserved_from.load(Ordering::Relaxed),
            block_start: self.block.start,
            block_end: self.block.end,
            fresh: self.handles.0.fresh.load(Ordering::Relaxed),
        }
    }

    /// Takes the slots of a complete capture of this world back. Handles that were reserved then
    /// are reserved now, for command buffers too. Returns how many chunks were taken
    /// back.
    pub(crate) fn restore(&mut self, frozen: &Frozen, lineage: u64, memory: &mut Memory) -> u64 {
        let (entries, rows) = frozen.index_entries().expect("the index was captured");
        let taken = self.slots.restore(entries, (self.len(), rows), memory);
        self.captured = self.captured.max(self.len);
        self.handles.begin_lineage(lineage);
        self.restore_stocks(frozen);
        self.restore_recalled(frozen);
        (self.len, self.alive) = (rows as u32, frozen.head.alive);
        let IndexHead { free_head, reserved_from, block_start, block_end, fresh } =
            frozen.head.index;
        *self.free_head.get_mut() = free_head;
        *self.reserved_from.get_mut() = reserved_from;
        self.block = block_start..block_end;
        // A buffer that still claims from the counter is of an earlier lineage, so that whatever
        // it claims twice is never used.
        self.handles.0.fresh.store(fresh, Ordering::Relaxed);
        taken
    }
}

impl EntityIndex {
    /// The number of a new command buffer.
    pub(crate) fn make_buffer(&mut self) -> BufferId {
        self.stocks.made += 1;
        BufferId(self.stocks.made)
    }

    /// Notes what a command buffer holds.
    pub(crate) fn note_stock(&mut self, buffer: BufferId, handles: &[Entity]) {
        let stock = self.stocks.of(buffer);
        stock.clear();
        stock.extend_from_slice(handles);
    }

    /// What a command buffer holds.
    pub(crate) fn stock(&mut self, buffer: BufferId) -> &[Entity] {
        self.stocks.of(buffer)
    }

    /// How many handles the lists of all buffers have room for.
    pub(crate) fn stock_capacity(&self) -> usize {
        self.stocks.stocks.iter().map(|stock| stock.handles.capacity()).sum()
    }

    /// Adds to a snapshot which handles are reserved for command buffers, or were given back and
    /// are not free yet.
    pub(crate) fn freeze_stocks(&self, frozen: &mut Frozen) {
        for stock in &self.stocks.stocks {
            frozen.push_handles(stock.buffer, &stock.handles);
        }
        // Relaxed: what another thread gives back just now may as well come later.
        if self.handles.0.has_returned.load(Ordering::Relaxed) {
            let returned = self.handles.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
            frozen.push_handles(BufferId::NONE, &returned.handles);
        }
        self.freeze_recalled(frozen);
    }

    /// Goes back to the lists of a snapshot. The handles of buffers that are gone are given back.
    fn restore_stocks(&mut self, frozen: &Frozen) {
        let mut returned = self.handles.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        let Returned { buffers, handles, .. } = &mut *returned;
        buffers.drain(..).for_each(|buffer| drop(self.stocks.remove(buffer)));
        self.stocks.clear();
        for &(buffer, handle) in frozen.handles() {
            let mut stocks = self.stocks.stocks.iter_mut();
            match stocks.find(|stock| stock.buffer == buffer) {
                Some(stock) => stock.handles.push(handle),
                None => handles.push(handle),
            }
        }
        // Relaxed: as in `Handles::give_back`.
        self.handles.0.has_returned.store(!handles.is_empty(), Ordering::Relaxed);
    }
}
