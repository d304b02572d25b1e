//! The entity index: from a handle to the table and row of its entity.
//!
//! Slots lie in a chunked, copy-on-write column of their own, so that a snapshot can look entities
//! up for the price of the chunk pointers. A free slot holds the next free one in place of its
//! row: the free list needs no memory, and travels with the chunks.
//!
//! Fresh indices are divided between the world and the lanes of command buffers, so that handles
//! never depend on which thread comes first: see [`territory`] and [`lanes`].
//!
//! Reserving through `&World` has a module of its own, [`reserve`].

use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

use convoy_pool::MemoryError;

use crate::storage::archetype::ArchetypeId;
use crate::storage::column::Column;
use crate::storage::column::access::RowMut;
use crate::storage::component::ComponentInfo;
use crate::storage::component_id::ComponentId;
use crate::storage::entity::Entity;
use crate::storage::epoch::Now;
use crate::storage::frozen::Frozen;
use crate::storage::history::{Memory, Returns};
use crate::storage::index_state::{GivenBack, IndexHead, IndexState};
use crate::storage::room::shrink_list;
use crate::storage::rows::Rows;
use crate::storage::table::rows_mut::Append;

use lanes::Lanes;
use returned::NONE;
use slot::{FREE, RESERVED};
use territory::END;

use super::error::SpawnError;

pub(crate) use lanes::{LaneCursor, Renewal};
pub(crate) use returned::{ReturnedHandles, TakenHandles};
pub(crate) use slot::{Location, Slot};

mod batch;
pub(crate) mod delta;
mod grow;
mod lanes;
pub(crate) mod ready;
mod recall;
mod reserve;
mod restore;
mod returned;
mod slot;
mod stock;
mod territory;
pub(crate) mod vacancy;

pub(crate) struct EntityIndex {
    slots: Column,
    /// Slots in use, free or reserved.
    len: u32,
    alive: u32,
    /// The first free slot.
    free_head: AtomicU32,
    /// Where the head stood before `&World` reserved handles that are not settled yet, or `NONE`.
    reserved_from: AtomicU32,
    /// The world's first index that was never given out; it belongs to no lane.
    fresh: AtomicU32,
    /// Fresh indices that came back while the counter had gone on: the world claims them next.
    recalled: Vec<Range<u32>>,
    returned: ReturnedHandles,
    lanes: Lanes,
    /// Room for handles that came back, while their slots are freed.
    freeing: Vec<Entity>,
    /// Room for the state that a sync takes over.
    adopted: IndexState,
    /// Whether chunks may be blank.
    is_sparse: bool,
}

impl EntityIndex {
    pub(crate) fn new(info: &ComponentInfo) -> Self {
        Self {
            slots: Column::new(ComponentId::ENTITY, info),
            len: 0,
            alive: 0,
            free_head: AtomicU32::new(NONE),
            reserved_from: AtomicU32::new(NONE),
            fresh: AtomicU32::new(0),
            recalled: Vec::new(),
            returned: ReturnedHandles::new(),
            lanes: Lanes::default(),
            freeing: Vec::new(),
            adopted: IndexState::default(),
            is_sparse: false,
        }
    }

    /// All slots, for looking many entities up.
    pub(crate) fn slots(&self) -> Rows<'_> {
        self.slots.rows(self.len as usize)
    }

    /// Slots in use, free or reserved.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn column(&self) -> &Column {
        &self.slots
    }

    pub(crate) fn column_mut(&mut self) -> &mut Column {
        &mut self.slots
    }

    pub(crate) fn alive(&self) -> u32 {
        self.alive
    }

    pub(crate) fn returned(&self) -> &ReturnedHandles {
        &self.returned
    }

    /// Frees the slots of the handles that were given back, and of the stocks of lanes that no
    /// buffer draws from.
    pub(crate) fn take_returned(&mut self, memory: &mut Memory) {
        self.recall_fresh();
        if !self.returned.0.has_returned.swap(false, Ordering::Relaxed) {
            return;
        }
        if self.settle(memory).is_err() {
            // Short of memory: they are freed at a later tick.
            self.returned.0.has_returned.store(true, Ordering::Relaxed);
            return;
        }
        let shared = self.returned.clone();
        let mut freeing = mem::take(&mut self.freeing);
        {
            let mut returned = shared.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
            returned.lanes.drain(..).for_each(|lane| self.lanes.vacate(lane));
            freeing.append(&mut returned.handles);
        }
        for lane in self.lanes.lanes.iter_mut().filter(|lane| !lane.is_taken) {
            // The next one of a stock is freed last, and so is the next one of the world.
            freeing.extend(lane.held.drain(..).rev());
        }
        // Short of memory, they are freed at a later tick, as above.
        freeing.retain(|&entity| self.free_reserved(entity, memory).is_err());
        if !freeing.is_empty() {
            let mut returned = shared.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
            returned.handles.splice(0..0, freeing.drain(..));
            shared.0.has_returned.store(true, Ordering::Relaxed);
        }
        self.freeing = freeing;
    }

    /// Frees the slot of a reserved handle. One that is not reserved any more has another owner.
    fn free_reserved(&mut self, entity: Entity, memory: &mut Memory) -> Result<(), MemoryError> {
        if self.prepare_reserved(entity, memory)?.is_some() {
            self.free(entity, memory.now());
        }
        Ok(())
    }

    /// [`Slot::place_of`] the slot of `entity`.
    #[inline]
    pub(crate) fn place_of(&self, entity: Entity) -> Option<(usize, u32)> {
        if entity.index() >= self.len {
            return None;
        }
        self.slots.get::<Slot>(entity.index() as usize).place_of(entity.generation())
    }

    #[inline]
    pub(crate) fn locate(&self, entity: Entity) -> Option<Location> {
        if entity.index() >= self.len {
            return None;
        }
        self.slots.get::<Slot>(entity.index() as usize).locate(entity.generation())
    }

    /// Bytes that the slots of `count` more entities need at the least; an error where there are not
    /// as many.
    pub(crate) fn missing_bytes(&self, count: usize) -> Result<usize, SpawnError> {
        if count > (END - self.alive) as usize {
            return Err(SpawnError::Entities);
        }
        let fresh = self.fresh.load(Ordering::Relaxed) as usize;
        let room = self.slots.capacity().saturating_sub(fresh);
        Ok(count.saturating_sub(room).saturating_mul(size_of::<Slot>()))
    }

    /// Makes room for `count` more entities.
    pub(crate) fn reserve(&mut self, count: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let start = *self.fresh.get_mut();
        let end = u32::try_from(count).ok().and_then(|count| territory::own_after(start, count));
        for run in territory::own_runs(start..end.unwrap_or(END)) {
            let (start, end) = (run.start as usize, run.end as usize);
            let len = self.len as usize;
            self.slots.own_rows(start..end.min(len).max(start), len, memory)?;
            self.slots.reserve_list(end)?;
            self.add_blank_chunks(start, memory)?;
            self.slots.reserve(end, len, memory)?;
        }
        Ok(())
    }

    /// Takes a free slot, or a fresh one, and makes it writable. It is marked as reserved.
    #[inline]
    pub(crate) fn allocate(&mut self, memory: &mut Memory) -> Result<Entity, SpawnError> {
        self.settle(memory)?;
        let index = *self.free_head.get_mut();
        if index == NONE {
            return self.allocate_fresh(memory);
        }
        let slot = self.own_slot(index, memory)?;
        debug_assert_eq!(slot.archetype, FREE, "the free list holds free slots");
        let (generation, next) = (slot.generation, slot.row);
        *slot = Slot::reserved(generation);
        *self.free_head.get_mut() = next;
        Ok(Entity::new(index, generation))
    }

    /// A slot that is in use, made writable.
    #[inline]
    fn own_slot(&mut self, index: u32, memory: &mut Memory) -> Result<&mut Slot, MemoryError> {
        let slot = self.slots.own_row(index as usize, self.len as usize, memory)?;
        Ok(slot.into_mut())
    }

    /// A slot that was made writable in this epoch.
    #[inline]
    fn slot_mut(&mut self, index: u32, now: Now<'_>) -> &mut Slot {
        let slot = self.slots.writable_value(index as usize, now);
        slot.expect("a slot is made writable before it is written")
    }

    /// Slots of one chunk that were made writable in this epoch.
    fn slots_mut(&mut self, slots: Range<usize>, now: Now<'_>) -> &mut [Slot] {
        let slots = self.slots.writable_run(slots, now);
        slots.expect("slots are made writable before they are written").into_slice()
    }

    fn allocate_fresh(&mut self, memory: &mut Memory) -> Result<Entity, SpawnError> {
        let mark = self.mark();
        if let Err(error) = self.prepare_next(memory) {
            self.go_back(&mark);
            return Err(error);
        }
        let (index, recalled) = self.next_fresh();
        *self.slot_mut(index, memory.now()) = Slot::reserved(1);
        self.give_fresh(index, &recalled);
        Ok(Entity::new(index, 1))
    }

    /// Makes the slot of `entity`, which must be reserved, ready for [`EntityIndex::occupy`].
    /// `None` when the handle is stale or its entity is alive.
    pub(crate) fn prepare_reserved(
        &mut self,
        entity: Entity,
        memory: &mut Memory,
    ) -> Result<Option<()>, MemoryError> {
        if !self.check_reserved(entity, memory)? {
            return Ok(None);
        }
        self.ensure(entity.index(), memory)?;
        Ok(Some(()))
    }

    /// Whether the handle is reserved. Makes no slot.
    pub(crate) fn check_reserved(
        &mut self,
        entity: Entity,
        memory: &mut Memory,
    ) -> Result<bool, MemoryError> {
        self.settle(memory)?;
        self.recall_fresh();
        Ok(self.is_reserved(entity))
    }

    /// Whether `entity` is a handle that was given out for an entity that was not spawned yet.
    fn is_reserved(&self, entity: Entity) -> bool {
        let (index, generation) = (entity.index(), entity.generation());
        if index < self.len {
            let is_reserved = self.slots.get::<Slot>(index as usize).is_reserved(generation);
            // A slot of a later generation was given out before.
            return is_reserved && (generation > 1 || self.is_given(index));
        }
        generation == 1 && self.is_given(index)
    }

    /// Whether the index was given out.
    fn is_given(&self, index: u32) -> bool {
        match territory::lane_of(index) {
            Some((lane, ordinal)) => ordinal < self.lanes.used(lane),
            None => {
                // The ends of levels have no owner.
                let is_own = territory::is_own(index);
                let claimed = index < self.fresh.load(Ordering::Relaxed);
                is_own && claimed && !self.is_recalled(index)
            }
        }
    }

    /// Makes the slot of a handle that [`EntityIndex::check_reserved`] has found reserved ready for
    /// [`EntityIndex::occupy`].
    pub(crate) fn prepare_given(
        &mut self,
        entity: Entity,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        self.ensure(entity.index(), memory)
    }

    /// Puts a reserved entity, whose slot is writable, at its first location.
    #[inline]
    pub(crate) fn occupy(&mut self, entity: Entity, location: Location, now: Now<'_>) {
        let slot = self.slot_mut(entity.index(), now);
        slot.archetype = location.archetype.bits();
        slot.row = location.row;
        self.alive += 1;
    }

    /// Makes the slot of a living entity writable.
    #[inline]
    pub(crate) fn prepare_move(
        &mut self,
        entity: Entity,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        self.own_slot(entity.index(), memory).map(drop)
    }

    /// Makes the slot of a living entity ready for [`EntityIndex::free`].
    #[inline]
    pub(crate) fn prepare_free(
        &mut self,
        entity: Entity,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        self.settle(memory)?;
        self.prepare_move(entity, memory)
    }

    /// Changes the locations of living entities, whose slots are writable, to consecutive rows.
    pub(crate) fn relocate_run(&mut self, entities: &[Entity], first: Location, now: Now<'_>) {
        let (archetype, mut row) = (first.archetype.bits(), first.row);
        for entity in entities {
            let slot = self.slot_mut(entity.index(), now);
            (slot.archetype, slot.row) = (archetype, row);
            row += 1;
        }
    }

    /// Puts an entity that leaves its row at `to`, and the one that takes its place, if there is one, where it
    /// was, at `from`. Changes nothing and returns false where a slot is not writable.
    #[inline]
    pub(crate) fn exchange(
        &mut self,
        (entity, to): (Entity, Location),
        (moved, from): (Option<Entity>, Location),
        now: Now<'_>,
    ) -> bool {
        let Some(slot) = self.leave(entity, (moved, from), now) else { return false };
        slot.put(to);
        true
    }

    /// Frees the slot of a living entity, and puts the one that takes its place, if there is one, where it was,
    /// at `from`. Changes nothing and returns false where a slot is not writable, or a reservation is open.
    #[inline(always)]
    pub(crate) fn remove(
        &mut self,
        entity: Entity,
        (moved, from): (Option<Entity>, Location),
        now: Now<'_>,
    ) -> bool {
        if !self.is_settled() {
            return false;
        }
        let head = *self.free_head.get_mut();
        let Some(slot) = self.leave(entity, (moved, from), now) else { return false };
        let is_listed = slot.free(head);
        self.alive -= 1;
        if is_listed {
            *self.free_head.get_mut() = entity.index();
        }
        true
    }

    /// The slot of an entity that leaves its row, for which that of the one that takes its place is written.
    #[inline(always)]
    fn leave(
        &mut self,
        entity: Entity,
        (moved, from): (Option<Entity>, Location),
        now: Now<'_>,
    ) -> Option<&mut Slot> {
        let index = entity.index() as usize;
        let Some(moved) = moved else {
            return self.slots.owned_row::<Slot>(index, now).map(RowMut::into_mut);
        };
        let [slot, other] = self.slots.owned_pair::<Slot>([index, moved.index() as usize], now)?;
        other.put(from);
        Some(slot)
    }

    /// Frees the slot of a living or reserved entity, which [`EntityIndex::prepare_free`] or
    /// [`EntityIndex::prepare_reserved`] made ready.
    pub(crate) fn free(&mut self, entity: Entity, now: Now<'_>) {
        self.assert_settled();
        self.free_slot(entity, now);
    }

    /// Bars changes of the free list while the world does not know where it starts.
    #[inline]
    fn assert_settled(&mut self) {
        let settled = *self.reserved_from.get_mut() == NONE;
        assert!(settled, "reservations are settled before a slot is freed");
    }

    fn free_slot(&mut self, entity: Entity, now: Now<'_>) {
        let next = *self.free_head.get_mut();
        let slot = self.slot_mut(entity.index(), now);
        let is_alive = slot.archetype != RESERVED;
        let is_listed = slot.free(next);
        self.alive -= u32::from(is_alive);
        if is_listed {
            *self.free_head.get_mut() = entity.index();
        }
    }

    /// Makes the slots of all living entities writable.
    pub(crate) fn prepare_all(&mut self, memory: &mut Memory) -> Result<(), MemoryError> {
        self.settle(memory)?;
        let len = self.len as usize;
        for row in (0..len).step_by(self.slots.chunk_rows()) {
            if self.holds_entities(row) {
                self.own_slot(row as u32, memory)?;
            }
        }
        Ok(())
    }

    /// Whether there are entities in the slots of the chunk that begins with `row`.
    fn holds_entities(&self, row: usize) -> bool {
        let chunk = row >> self.slots.rows_log2();
        if self.slots.is_blank(chunk) {
            return false;
        }
        let slots = self.slots().chunk_from::<Slot>(row);
        slots.iter().any(|slot| slot.archetype < RESERVED)
    }

    /// Gives back room in the lists of handles. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        shrink_list(&mut self.freeing)
            + shrink_list(&mut self.recalled)
            + self.adopted.trim_lists()
            + self.lanes.trim_lists()
    }

    /// Frees the slots of all living entities, which are writable, so that the lowest index is
    /// the next one given out. Reserved slots stay reserved.
    pub(crate) fn free_all(&mut self, now: Now<'_>) {
        self.assert_settled();
        let (len, rows) = (self.len as usize, self.slots.chunk_rows());
        for first in (0..len).step_by(rows).rev() {
            if !self.holds_entities(first) {
                continue;
            }
            for index in (first..len.min(first + rows)).rev() {
                let slot = *self.slots.get::<Slot>(index);
                if slot.archetype < RESERVED {
                    self.free_slot(Entity::new(index as u32, slot.generation), now);
                }
            }
        }
        // A replica without slots counts entities all the same.
        self.alive = 0;
    }
}

#[cfg(test)]
mod tests;
