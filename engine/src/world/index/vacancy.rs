//! Handles that the caller chooses: whether their slot is vacant, and taking it.
//!
//! A slot on the free list comes off it, wherever it stands there: links go one way, so the list is
//! walked up to it. An index of the world's that was never given out is claimed with all before it,
//! which the world then gives out first, the lowest first, as if they had been given back.

use super::*;

/// Why the slot of a handle is vacant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Vacancy {
    /// The handle was given out for an entity to come.
    Reserved,
    /// The slot is free, and stands on the list behind `before`, or first where that is [`NONE`].
    Free { before: u32 },
    /// The index was not given out, or came back.
    Fresh,
}

impl EntityIndex {
    /// Why an entity can have this handle; `None` when its slot holds another one, is kept for
    /// another handle, or is one that a command buffer gives out or will. Makes no slot. The cost
    /// grows with the place on the free list, and for reserved handles with the stocks of buffers.
    pub(crate) fn find_vacancy(
        &mut self,
        entity: Entity,
        memory: &mut Memory,
    ) -> Result<Option<Vacancy>, MemoryError> {
        // A handle that was given back is free before its slot comes to that generation again.
        self.take_returned(memory);
        let index = entity.index();
        if self.check_reserved(entity, memory)? {
            let is_held = self.lanes.lanes.iter().any(|lane| lane.held.contains(&entity));
            return Ok((!is_held).then_some(Vacancy::Reserved));
        }
        if entity.generation() == 0 || index >= END {
            return Ok(None);
        }
        if index < self.len {
            let slot = *self.slots.get::<Slot>(index as usize);
            if slot.archetype == FREE {
                return Ok(self.find_free(index));
            }
            if slot.archetype != RESERVED || slot.generation > 1 {
                return Ok(None);
            }
        }
        let is_taken = !territory::is_own(index) || self.is_given(index);
        Ok((!is_taken).then_some(Vacancy::Fresh))
    }

    /// Where a free slot stands on the list. One that has used up its generations stands nowhere.
    fn find_free(&mut self, index: u32) -> Option<Vacancy> {
        let (mut before, mut next) = (NONE, *self.free_head.get_mut());
        while next != NONE {
            if next == index {
                return Some(Vacancy::Free { before });
            }
            (before, next) = (next, self.slots.get::<Slot>(next as usize).row);
        }
        None
    }

    /// Makes everything writable that [`EntityIndex::take_vacancy`] and [`EntityIndex::occupy`] write.
    pub(crate) fn prepare_vacancy(
        &mut self,
        entity: Entity,
        vacancy: Vacancy,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if let Vacancy::Free { before } = vacancy
            && before != NONE
        {
            self.own_slot(before, memory)?;
        }
        self.ensure(entity.index(), memory)
    }

    /// Gives the handle out: its slot waits for the entity under the handle's generation.
    pub(crate) fn take_vacancy(&mut self, entity: Entity, vacancy: Vacancy, now: Now<'_>) {
        let index = entity.index();
        match vacancy {
            Vacancy::Reserved => return,
            Vacancy::Free { before } => {
                let next = self.slots.get::<Slot>(index as usize).row;
                if before == NONE {
                    *self.free_head.get_mut() = next;
                } else {
                    self.slot_mut(before, now).row = next;
                }
            }
            Vacancy::Fresh => self.claim_index(index),
        }
        *self.slot_mut(index, now) = Slot::reserved(entity.generation());
    }

    /// Gives a fresh index out of turn.
    fn claim_index(&mut self, index: u32) {
        let fresh = *self.fresh.get_mut();
        if index >= fresh {
            if fresh < index {
                self.recalled.push(fresh..index);
            }
            *self.fresh.get_mut() = territory::own(index + 1);
            return;
        }
        let at = self.recalled.partition_point(|range| range.end <= index);
        let range = self.recalled[at].clone();
        let parts = [range.start..index, territory::own(index + 1)..range.end];
        self.recalled.splice(at..=at, parts.into_iter().filter(|part| !part.is_empty()));
    }
}
