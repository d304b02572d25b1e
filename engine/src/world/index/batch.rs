//! Batches: slots for many entities at once, by runs that lie side by side.

use super::*;

/// Slots that are ready to take entities, in this order.
pub(crate) struct ManySlots {
    /// How many come from the free list.
    pub(super) free: usize,
    /// Fresh indices that had come back.
    pub(super) recalled: Range<u32>,
    /// The world's fresh indices in a range: those that belong to no lane.
    pub(super) fresh: Range<u32>,
}

impl EntityIndex {
    /// Makes `count` slots writable for [`EntityIndex::occupy_many`]: free ones first, then fresh
    /// ones. On an error no slot was made and no index given out.
    pub(crate) fn prepare_many(
        &mut self,
        count: usize,
        memory: &mut Memory,
    ) -> Result<ManySlots, SpawnError> {
        self.settle(memory)?;
        let (mut free, mut next) = (0, *self.free_head.get_mut());
        while free < count && next != NONE {
            self.own_slot(next, memory)?;
            let run = self.free_run(next, count - free);
            next = self.slots.get::<Slot>(next as usize + run - 1).row;
            free += run;
        }
        let wanted = u32::try_from(count - free).map_err(|_| SpawnError::Entities)?;
        self.recall_fresh();
        let recalled = self.first_recalled(wanted);
        let (known, start) = (self.len, *self.fresh.get_mut());
        let end = territory::own_after(start, wanted - territory::own_count(&recalled));
        let fresh = start..end.ok_or(SpawnError::Entities)?;
        for range in [&recalled, &fresh] {
            if let Err(error) = self.prepare_fresh(range, memory) {
                self.len = known;
                return Err(error.into());
            }
        }
        Ok(ManySlots { free, recalled, fresh })
    }

    /// Makes the slots of the world's indices in `range` exist and writable.
    fn prepare_fresh(
        &mut self,
        range: &Range<u32>,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        for run in territory::own_runs(range.clone()) {
            self.ensure(run.start, memory)?;
            let (len, end) = (self.len as usize, run.end as usize);
            self.slots.own_rows(run.start as usize..end.min(len), len, memory)?;
            if len < end {
                self.slots.prepare_append_run(len..end, memory)?;
                self.len = run.end;
            }
        }
        Ok(())
    }

    /// How many free slots follow each other on the list from `first` on, up to `count`, that lie
    /// side by side in one chunk: all of them after a world was cleared. So batches look at slots
    /// in the order of memory, and don't wait for one link before they can load the next.
    fn free_run(&self, first: u32, count: usize) -> usize {
        let slots = self.slots().chunk_from::<Slot>(first as usize);
        let most = slots.len().min(count);
        let links = slots[..most - 1].iter().zip(first + 1..);
        1 + links.take_while(|(slot, next)| slot.row == *next).count()
    }

    /// Puts entities into the slots that [`EntityIndex::prepare_many`] made writable, at the rows of
    /// `append`, which get their handles.
    pub(crate) fn occupy_many(
        &mut self,
        slots: ManySlots,
        archetype: ArchetypeId,
        append: &mut Append<'_>,
        now: Now<'_>,
    ) {
        let ManySlots { free, recalled, fresh } = slots;
        self.forget_recalled(&recalled);
        *self.fresh.get_mut() = fresh.end;
        let (first, archetype_bits) = (append.first() as u32, archetype.bits());
        let mut number = 0;
        while number < free {
            number += self.place_free_run(archetype, (append, number..free), now);
        }
        for indices in [recalled, fresh].into_iter().flat_map(territory::own_runs) {
            let (mut index, end) = (indices.start as usize, indices.end as usize);
            while index < end {
                let count = self.slots.run_end(index, end) - index;
                let count = append.run_end_at(0, number, number + count) - number;
                let slots = self.slots_mut(index..index + count, now);
                let handles = append.run_mut(0, number..number + count).into_slice::<Entity>();
                let row = first + number as u32;
                for (next, (slot, handle)) in (0..).zip(slots.iter_mut().zip(handles)) {
                    *slot = Slot { generation: 1, archetype: archetype_bits, row: row + next };
                    *handle = Entity::new(index as u32 + next, 1);
                }
                (index, number) = (index + count, number + count);
            }
        }
        self.alive += number as u32;
    }

    /// Fills free slots that lie side by side from the head of the list on, for the appended rows of
    /// these numbers. Returns how many.
    #[inline(never)]
    fn place_free_run(
        &mut self,
        archetype: ArchetypeId,
        (append, numbers): (&mut Append<'_>, Range<usize>),
        now: Now<'_>,
    ) -> usize {
        let (head, number) = (*self.free_head.get_mut() as usize, numbers.start);
        let count = append.run_end_at(0, number, numbers.end) - number;
        let count = self.slots.run_end(head, (head + count).min(self.len as usize)) - head;
        let (archetype, first) = (archetype.bits(), (append.first() + number) as u32);
        let slots = self.slots_mut(head..head + count, now);
        let handles = append.run_mut(0, number..number + count).into_slice::<Entity>();
        let (mut filled, mut next) = (0, head as u32);
        for (slot, handle) in slots.iter_mut().zip(handles) {
            let Slot { generation, row, .. } = *slot;
            *handle = Entity::new(head as u32 + filled, generation);
            (slot.archetype, slot.row) = (archetype, first + filled);
            (filled, next) = (filled + 1, row);
            if next != head as u32 + filled {
                break;
            }
        }
        *self.free_head.get_mut() = next;
        filled as usize
    }
}
