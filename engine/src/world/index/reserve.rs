//! Reserving through `&World`, on any thread and without a lock.
//!
//! While the world is borrowed shared, the links of the free list don't change, so any thread may
//! take slots off it by moving `free_head` along: a compare-exchange, and no reservation can see a
//! link twice. A thread that moves it notes first where it stood, in `reserved_from`. The next exclusive
//! operation that gives or takes a slot *settles* first: it walks from there to where the head is
//! now, and marks those slots as reserved. That is one comparison when nothing was reserved.

use super::*;

impl EntityIndex {
    /// Takes a handle off the index through a shared reference, on any thread, without a lock.
    pub(crate) fn take_handle(&self) -> Result<Entity, SpawnError> {
        // Acquire: as in `move_head`, with which it pairs.
        let mut head = self.free_head.load(Ordering::Acquire);
        while head != NONE {
            let slot = *self.slots.get::<Slot>(head as usize);
            match self.move_head(head, slot.row) {
                Ok(()) => return Ok(Entity::new(head, slot.generation)),
                Err(now) => head = now,
            }
        }
        let claimed = self.claim(1).ok_or(SpawnError::Entities)?;
        Ok(Entity::new(claimed.start, 1))
    }

    /// Claims the range of the world's next `count` fresh indices; `None` when there are fewer.
    fn claim(&self, count: u32) -> Option<Range<u32>> {
        // Relaxed: the number itself is all that is shared.
        let (ordering, fresh) = (Ordering::Relaxed, &self.fresh);
        let after = |start| territory::own_after(start, count);
        let start = fresh.fetch_update(ordering, ordering, after).ok()?;
        Some(start..after(start)?)
    }

    /// Gives a claimed range back, unless more has been claimed since. Tells whether it did.
    pub(super) fn unclaim(&self, range: &Range<u32>) -> bool {
        // Relaxed: as above.
        let (ordering, fresh) = (Ordering::Relaxed, &self.fresh);
        range.is_empty()
            || fresh.compare_exchange(range.end, range.start, ordering, ordering).is_ok()
    }

    /// Takes `count` handles, or none when there are not as many: one exchange for the free slots
    /// and one for the fresh indices. Only where other threads take the last ones at the same time
    /// may it be fewer.
    pub(crate) fn take_handles(&self, count: usize) -> TakenHandles {
        // Acquire: as in `move_head`, with which it pairs.
        let mut head = self.free_head.load(Ordering::Acquire);
        let free = loop {
            let (mut free, mut next) = (0, head);
            while free < count && next != NONE {
                next = self.slots.get::<Slot>(next as usize).row;
                free += 1;
            }
            // A range that can't be had whole is left whole.
            let fresh = self.fresh.load(Ordering::Relaxed);
            let missing = u32::try_from(count - free).ok();
            if missing.and_then(|missing| territory::own_after(fresh, missing)).is_none() {
                return TakenHandles::NONE;
            }
            if free == 0 {
                break free;
            }
            match self.move_head(head, next) {
                Ok(()) => break free,
                Err(now) => head = now,
            }
        };
        let missing = (count - free) as u32;
        let fresh = if missing == 0 { Some(0..0) } else { self.claim(missing) };
        let fresh_left = if fresh.is_some() { missing } else { 0 };
        TakenHandles { next: head, free, fresh: fresh.unwrap_or(0..0), fresh_left }
    }

    /// Moves the head of the free list along through a shared reference. Fails with where it is.
    fn move_head(&self, head: u32, next: u32) -> Result<(), u32> {
        if self.reserved_from.load(Ordering::Relaxed) == NONE {
            let (ordering, from) = (Ordering::Relaxed, &self.reserved_from);
            // Relaxed: only a thread that finds the head where exclusive operations left it succeeds.
            // One that finds it moved has seen, by the exchange below, that this is set.
            _ = from.compare_exchange(NONE, head, ordering, ordering);
        }
        // Release: pairs with the acquiring loads of the head here, in `take_handle`, in
        // `take_handles` and in `head`, for the note in `reserved_from`.
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.free_head.compare_exchange_weak(head, next, success, failure).map(drop)
    }

    /// The next one of the handles that were taken at once. The world must have stayed shared.
    pub(crate) fn next_taken(&self, taken: &mut TakenHandles) -> Option<Entity> {
        if taken.free > 0 {
            let (index, slot) = (taken.next, self.slots.get::<Slot>(taken.next as usize));
            taken.next = slot.row;
            taken.free -= 1;
            return Some(Entity::new(index, slot.generation));
        }
        taken.fresh_left = taken.fresh_left.checked_sub(1)?;
        let index = taken.fresh.start;
        taken.fresh.start = territory::own(index + 1);
        Some(Entity::new(index, 1))
    }

    /// Marks the slots that were reserved through `&World` since the last exclusive operation.
    #[inline]
    pub(crate) fn settle(&mut self, memory: &mut Memory) -> Result<(), MemoryError> {
        if *self.reserved_from.get_mut() == NONE { Ok(()) } else { self.settle_taken(memory) }
    }

    #[cold]
    fn settle_taken(&mut self, memory: &mut Memory) -> Result<(), MemoryError> {
        let (head, from) = (*self.free_head.get_mut(), self.reserved_from.get_mut());
        while *from != head {
            let slot = self.slots.own_row(*from as usize, self.len as usize, memory)?;
            let slot: &mut Slot = slot.into_mut();
            debug_assert_eq!(slot.archetype, FREE, "the free list holds free slots");
            *from = slot.row;
            *slot = Slot::reserved(slot.generation);
        }
        *from = NONE;
        Ok(())
    }

    /// The free slots that were reserved through `&World` and are not marked yet, in ascending
    /// order. Allocates only where there are some.
    pub(crate) fn unsettled(slots: &Rows<'_>, head: &IndexHead) -> Vec<u32> {
        let mut unsettled = Vec::new();
        let mut next = if head.reserved_from == NONE { head.free_head } else { head.reserved_from };
        while next != head.free_head {
            unsettled.push(next);
            next = slots.get::<Slot>(next as usize).row;
        }
        unsettled.sort_unstable();
        unsettled
    }
}
