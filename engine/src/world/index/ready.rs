//! Slots that can be written as they are, and going back to fewer of them when an operation fails.
//!
//! Single operations ask here first, in a few instructions and without the means to take memory.
//! What isn't ready is prepared by an attempt, which goes back when something else fails.

use std::cmp::Ordering::{Equal, Greater, Less};

use super::*;
use crate::storage::epoch::Epoch;

/// The slots that there were before an attempt.
pub(crate) struct IndexMark {
    len: u32,
    is_sparse: bool,
}

impl EntityIndex {
    /// What [`EntityIndex::go_back`] goes back to.
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

    /// Whether the slot of a known entity can be written in `epoch`, the current one.
    #[inline]
    pub(crate) fn owns(&self, entity: Entity, epoch: Epoch) -> bool {
        self.slots.is_owned(entity.index() as usize >> self.slots.rows_log2(), epoch)
    }

    /// [`EntityIndex::owns`] for an entity that may have no slot yet.
    #[inline]
    pub(crate) fn owns_known(&self, entity: Entity, epoch: Epoch) -> bool {
        entity.index() < self.len && self.owns(entity, epoch)
    }

    /// Puts a new entity at `location`, if the next slot can be written in `epoch`, the current
    /// one. Otherwise [`EntityIndex::prepare_next`] comes first.
    #[inline]
    pub(crate) fn place_next(&mut self, location: Location, epoch: Epoch) -> Option<Entity> {
        if !self.is_settled() {
            return None;
        }
        let index = *self.free_head.get_mut();
        if index == NONE {
            return self.place_fresh(location, epoch);
        }
        if !self.slots.is_owned(index as usize >> self.slots.rows_log2(), epoch) {
            return None;
        }
        let slot = self.slots.get_mut::<Slot>(index as usize);
        debug_assert_eq!(slot.archetype, FREE, "the free list holds free slots");
        *self.free_head.get_mut() = slot.row;
        (slot.archetype, slot.row) = (location.archetype.bits(), location.row);
        self.alive += 1;
        Some(Entity::new(index, slot.generation))
    }

    fn place_fresh(&mut self, location: Location, epoch: Epoch) -> Option<Entity> {
        let (index, recalled) = self.next_fresh();
        let row = index as usize;
        let ready = match index.cmp(&self.len) {
            Less => self.slots.is_owned(row >> self.slots.rows_log2(), epoch),
            Equal => self.slots.is_open(row, self.captured as usize, epoch),
            Greater => false,
        };
        if index >= END || !ready {
            return None;
        }
        let Location { archetype, row: there } = location;
        self.slots.write(row, Slot { generation: 1, archetype: archetype.bits(), row: there });
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

    /// Makes the next slot writable, for [`EntityIndex::place_next`].
    pub(crate) fn prepare_next(&mut self, memory: &mut Memory) -> Result<(), SpawnError> {
        self.settle(memory)?;
        let head = *self.free_head.get_mut();
        if head != NONE {
            return Ok(self.slots.own_row(head as usize, self.len as usize, memory)?);
        }
        let (index, _) = self.next_fresh();
        if index >= END {
            return Err(SpawnError::Entities);
        }
        if index < self.len {
            return Ok(self.slots.own_row(index as usize, self.len as usize, memory)?);
        }
        Ok(self.reserve_slot(index, memory)?)
    }
}
