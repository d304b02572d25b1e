//! Slots that can be written as they are, and going back to fewer of them when an operation fails.
//!
//! Single operations ask here first, in a few instructions and without the means to take memory.
//! Other chunks are prepared by an attempt, which goes back when something else fails.

use super::*;

/// The slots that there were before an attempt.
pub(crate) struct IndexMark {
    len: u32,
    is_sparse: bool,
}

impl EntityIndex {
    /// The state that [`EntityIndex::go_back`] goes back to.
    pub(crate) fn mark(&self) -> IndexMark {
        IndexMark { len: self.len, is_sparse: self.is_sparse }
    }

    /// Forgets the slots that were made since.
    pub(crate) fn go_back(&mut self, mark: &IndexMark) {
        (self.len, self.is_sparse) = (mark.len, mark.is_sparse);
    }

    /// Whether no reservation through `&World` waits to be marked.
    #[inline]
    pub(crate) fn is_settled(&mut self) -> bool {
        *self.reserved_from.get_mut() == NONE
    }

    /// Whether the slot of a known entity can be written as it is.
    #[inline]
    pub(crate) fn owns(&self, entity: Entity, now: Now<'_>) -> bool {
        self.slots.is_row_owned(entity.index() as usize, now.epoch())
    }

    /// [`EntityIndex::owns`] for an entity that may have no slot yet.
    #[inline]
    pub(crate) fn owns_known(&self, entity: Entity, now: Now<'_>) -> bool {
        entity.index() < self.len && self.owns(entity, now)
    }

    /// Puts a new entity at `location`, if the next slot can be written as it is. Otherwise
    /// [`EntityIndex::prepare_next`] comes first.
    #[inline]
    pub(crate) fn occupy_next(&mut self, location: Location, now: Now<'_>) -> Option<Entity> {
        if !self.is_settled() {
            return None;
        }
        let index = *self.free_head.get_mut();
        if index == NONE {
            return self.place_fresh(location, now);
        }
        let slot: &mut Slot = self.slots.owned_row::<Slot>(index as usize, now)?.into_mut();
        debug_assert_eq!(slot.archetype, FREE, "the free list holds free slots");
        *self.free_head.get_mut() = slot.row;
        (slot.archetype, slot.row) = (location.archetype.bits(), location.row);
        self.alive += 1;
        Some(Entity::new(index, slot.generation))
    }

    fn place_fresh(&mut self, location: Location, now: Now<'_>) -> Option<Entity> {
        let (index, recalled) = self.next_fresh();
        if index >= END || index > self.len {
            return None;
        }
        let Location { archetype, row } = location;
        let slot = self.slots.writable_row(index as usize, now)?;
        slot.write(Slot { generation: 1, archetype: archetype.bits(), row });
        self.give_fresh(index, &recalled);
        self.alive += 1;
        Some(Entity::new(index, 1))
    }

    /// The next fresh index, and the range that it comes from if that had come back.
    pub(super) fn next_fresh(&mut self) -> (u32, Range<u32>) {
        self.recall_fresh();
        let recalled = self.first_recalled(1);
        (recalled.clone().next().unwrap_or(*self.fresh.get_mut()), recalled)
    }

    /// Notes that the next fresh index has been given out, and has a slot.
    pub(super) fn give_fresh(&mut self, index: u32, recalled: &Range<u32>) {
        self.len = self.len.max(index + 1);
        if recalled.is_empty() {
            *self.fresh.get_mut() = territory::own(index + 1);
        }
        self.forget_recalled(recalled);
    }

    /// Makes the next slot writable, for [`EntityIndex::occupy_next`].
    pub(crate) fn prepare_next(&mut self, memory: &mut Memory) -> Result<(), SpawnError> {
        self.settle(memory)?;
        let head = *self.free_head.get_mut();
        if head != NONE {
            return Ok(self.own_slot(head, memory).map(drop)?);
        }
        let (index, _) = self.next_fresh();
        if index >= END {
            return Err(SpawnError::Entities);
        }
        if index < self.len {
            return Ok(self.own_slot(index, memory).map(drop)?);
        }
        Ok(self.reserve_slot(index, memory)?)
    }
}
