//! The entity index: from a handle to the table and row of its entity.
//!
//! Slots lie in a chunked, copy-on-write column of their own, so that a snapshot can look entities
//! up for the price of the chunk pointers. A free slot holds the next free one in place of its
//! row: the free list needs no memory, and travels with the chunks.
//!
//! Command buffers on other threads take ids from a stock that the world filled, and from the
//! shared counter of fresh indices when that runs out. The world itself takes fresh indices in
//! blocks, so that its own spawns exchange no atomic.
//!
//! **Reserving through `&World`.** While the world is borrowed shared, the links of the free list
//! don't change, so any thread may take slots off it by moving `free_head` along: a
//! compare-exchange, and no reservation can see a link twice. Whoever moves it notes first where
//! it stood, in `reserved_from`. The next exclusive operation that gives or takes a slot *settles*
//! first: it walks from there to where the head is now, and marks those slots as reserved. That is
//! one comparison when nothing was reserved.

use std::mem;
use std::ops::Range;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

use bytemuck::{Pod, Zeroable};
use convoy_pool::MemoryError;

use crate::storage::archetype::ArchetypeId;
use crate::storage::column::{Column, Surplus};
use crate::storage::component::ComponentInfo;
use crate::storage::component_id::ComponentId;
use crate::storage::entity::Entity;
use crate::storage::frozen::{Frozen, GivenBack, IndexHead};
use crate::storage::history::Memory;
use crate::storage::rows::Rows;

use handles::{NONE, Returned};
use stocks::Stocks;

use super::error::SpawnError;

pub(crate) use handles::Handles;

/// Where an entity's components are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Location {
    pub(crate) archetype: ArchetypeId,
    pub(crate) row: u32,
}

/// One slot: 12 bytes, so that 1,024 of them fill a chunk.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Slot {
    generation: u32,
    /// The archetype's number, or `FREE` or `RESERVED`.
    archetype: u32,
    /// The row; in a free slot, the next free one.
    row: u32,
}

/// Marks a slot on the free list.
const FREE: u32 = u32::MAX;
/// Marks a slot whose handle has been given out and that holds no entity yet.
const RESERVED: u32 = u32::MAX - 1;
/// How many fresh indices are claimed from the shared counter at once.
const BLOCK: u32 = 64;

impl Slot {
    /// Where the entity of `generation` is, if this slot holds it.
    #[inline]
    pub(crate) fn locate(self, generation: u32) -> Option<Location> {
        let alive = self.generation == generation && self.archetype < RESERVED;
        alive.then(|| Location {
            archetype: ArchetypeId::new(self.archetype as usize),
            row: self.row,
        })
    }

    /// The entity that this slot, of number `index`, holds, and where it is.
    #[inline]
    pub(crate) fn occupant(self, index: usize) -> Option<(Entity, Location)> {
        let at = self.locate(self.generation)?;
        Some((Entity::new(index as u32, self.generation), at))
    }

    /// The slot without where its entity is.
    pub(crate) fn without_place(self) -> Self {
        let alive = self.archetype < RESERVED;
        if alive { Self { archetype: 0, row: 0, ..self } } else { self }
    }

    /// The slot once its reservation is settled.
    pub(crate) fn settled(self) -> Self {
        Self::reserved(self.generation)
    }

    /// The number of the table and the row that this slot names for `generation`; nothing when its
    /// generation is another. A slot without an entity names a table past all others.
    #[inline]
    pub(crate) fn place_of(self, generation: u32) -> Option<(usize, u32)> {
        (self.generation == generation).then_some((self.archetype as usize, self.row))
    }

    fn reserved(generation: u32) -> Self {
        Self { generation, archetype: RESERVED, row: 0 }
    }

    /// Whether the handle of `generation` was given out and its entity was not spawned yet.
    fn is_reserved(self, generation: u32) -> bool {
        self.archetype == RESERVED && self.generation == generation
    }
}

/// Slots that are ready to take entities, in this order.
pub(crate) struct ManySlots {
    /// How many come from the free list.
    free: usize,
    /// The rest of the world's block.
    block: Range<u32>,
    /// Fresh indices that had come back.
    recalled: Range<u32>,
    /// Fresh indices claimed for the purpose.
    claimed: Range<u32>,
}

mod handles;
mod recall;
mod restore;
mod stocks;

pub(crate) struct EntityIndex {
    slots: Column,
    /// Slots in use, free or reserved.
    len: u32,
    alive: u32,
    /// Slots before this may have been captured, also where there are fewer now.
    captured: u32,
    /// The first free slot.
    free_head: AtomicU32,
    /// Where the head stood before `&World` reserved what is not settled yet, or `NONE`.
    reserved_from: AtomicU32,
    block: Range<u32>,
    /// Fresh indices that came back while the counter had gone on: what the world claims next.
    recalled: Vec<Range<u32>>,
    handles: Handles,
    stocks: Stocks,
}

/// Handles that were taken off the index at once: free slots first, then fresh indices.
pub(crate) struct TakenHandles {
    /// The next free slot, and how many follow its links.
    next: u32,
    free: usize,
    fresh: Range<u32>,
}

impl TakenHandles {
    pub(crate) fn len(&self) -> usize {
        self.free + self.fresh.len()
    }

    /// Takes the fresh indices away.
    pub(crate) fn take_fresh(&mut self) -> Range<u32> {
        mem::replace(&mut self.fresh, 0..0)
    }
}

impl EntityIndex {
    pub(crate) fn new(info: &ComponentInfo) -> Self {
        Self {
            slots: Column::new(ComponentId::ENTITY, info),
            len: 0,
            alive: 0,
            captured: 0,
            free_head: AtomicU32::new(NONE),
            reserved_from: AtomicU32::new(NONE),
            block: 0..0,
            recalled: Vec::new(),
            handles: Handles::new(),
            stocks: Stocks::default(),
        }
    }

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
        let claimed = self.handles.claim_exact(1).ok_or(SpawnError::Entities)?;
        Ok(Entity::new(claimed.start, 1))
    }

    /// Takes `count` handles, or fewer when there are not as many: one exchange for the free slots
    /// and one for the fresh indices, of which it takes all that are missing or none.
    pub(crate) fn take_handles(&self, count: usize) -> TakenHandles {
        // Acquire: as in `move_head`, with which it pairs.
        let mut head = self.free_head.load(Ordering::Acquire);
        let free = loop {
            let (mut free, mut next) = (0, head);
            while free < count && next != NONE {
                next = self.slots.get::<Slot>(next as usize).row;
                free += 1;
            }
            if free == 0 {
                break free;
            }
            match self.move_head(head, next) {
                Ok(()) => break free,
                Err(now) => head = now,
            }
        };
        let fresh = u32::try_from(count - free).ok();
        let fresh = fresh.and_then(|wanted| self.handles.claim_exact(wanted)).unwrap_or(0..0);
        TakenHandles { next: head, free, fresh }
    }

    /// Moves the head of the free list along through a shared reference. Fails with where it is.
    fn move_head(&self, head: u32, next: u32) -> Result<(), u32> {
        if self.reserved_from.load(Ordering::Relaxed) == NONE {
            let (ordering, from) = (Ordering::Relaxed, &self.reserved_from);
            // Relaxed: only who finds the head where the exclusive operations left it can succeed.
            // Who finds it moved has seen, by the exchange below, that this is set.
            _ = from.compare_exchange(NONE, head, ordering, ordering);
        }
        // Release: pairs with the acquiring loads of the head here, in `take_handle`, in
        // `take_handles` and in `first_free`, for what was just noted.
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.free_head.compare_exchange_weak(head, next, success, failure).map(drop)
    }

    /// Where the free list starts when what is not settled yet counts as free.
    fn first_free(&self) -> u32 {
        // Acquire: pairs with the exchange in `move_head`. If the head has moved, what it moved
        // from is seen.
        let head = self.free_head.load(Ordering::Acquire);
        match self.reserved_from.load(Ordering::Relaxed) {
            NONE => head,
            from => from,
        }
    }

    /// The next one of the handles that were taken at once. The world must have stayed shared.
    pub(crate) fn next_taken(&self, taken: &mut TakenHandles) -> Option<Entity> {
        if taken.free > 0 {
            let (index, slot) = (taken.next, self.slots.get::<Slot>(taken.next as usize));
            taken.next = slot.row;
            taken.free -= 1;
            return Some(Entity::new(index, slot.generation));
        }
        taken.fresh.next().map(|index| Entity::new(index, 1))
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
            let index = *from as usize;
            self.slots.own_row(index, self.len as usize, memory)?;
            let slot = self.slots.get_mut::<Slot>(index);
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

    pub(crate) fn handles(&self) -> &Handles {
        &self.handles
    }

    /// Frees the slots of the handles that dropped command buffers gave back.
    pub(crate) fn take_returned(&mut self, memory: &mut Memory) {
        self.recall_fresh();
        if !self.handles.0.has_returned.swap(false, Ordering::Relaxed) {
            return;
        }
        if self.settle(memory).is_err() {
            // Short of memory: they are freed at a later tick.
            self.handles.0.has_returned.store(true, Ordering::Relaxed);
            return;
        }
        let handles = self.handles.clone();
        let mut returned = handles.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        let Returned { buffers, handles, .. } = &mut *returned;
        for buffer in buffers.drain(..) {
            // Of a buffer that was dropped after a restore nobody else gives back what is noted.
            handles.extend(self.stocks.remove(buffer));
        }
        handles.retain(|&entity| match self.prepare_reserved(entity, memory) {
            Ok(Some(())) => {
                self.free(entity);
                false
            }
            Ok(None) => false,
            // Short of memory, as above.
            Err(_) => true,
        });
        if !handles.is_empty() {
            self.handles.0.has_returned.store(true, Ordering::Relaxed);
        }
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

    /// Makes room for `count` more entities.
    pub(crate) fn reserve(&mut self, count: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let len = self.len as usize;
        let wanted = len + count + BLOCK as usize;
        self.slots.reserve_list(wanted);
        self.slots.reserve(wanted, len, memory)
    }

    /// Takes a free slot, or a fresh one, and makes it writable. It is marked as reserved.
    #[inline]
    pub(crate) fn allocate(&mut self, memory: &mut Memory) -> Result<Entity, SpawnError> {
        self.settle(memory)?;
        let index = *self.free_head.get_mut();
        if index == NONE {
            return self.allocate_fresh(memory);
        }
        self.slots.own_row(index as usize, self.len as usize, memory)?;
        let slot = self.slots.get_mut::<Slot>(index as usize);
        debug_assert_eq!(slot.archetype, FREE, "the free list holds free slots");
        *self.free_head.get_mut() = slot.row;
        *slot = Slot::reserved(slot.generation);
        Ok(Entity::new(index, slot.generation))
    }

    /// [`EntityIndex::allocate`] and [`EntityIndex::place`] in one step.
    #[inline]
    pub(crate) fn allocate_at(
        &mut self,
        location: Location,
        memory: &mut Memory,
    ) -> Result<Entity, SpawnError> {
        self.settle(memory)?;
        let index = *self.free_head.get_mut();
        if index == NONE {
            let entity = self.allocate_fresh(memory)?;
            self.place(entity, location);
            return Ok(entity);
        }
        self.slots.own_row(index as usize, self.len as usize, memory)?;
        let slot = self.slots.get_mut::<Slot>(index as usize);
        debug_assert_eq!(slot.archetype, FREE, "the free list holds free slots");
        *self.free_head.get_mut() = slot.row;
        (slot.archetype, slot.row) = (location.archetype.bits(), location.row);
        self.alive += 1;
        Ok(Entity::new(index, slot.generation))
    }

    fn allocate_fresh(&mut self, memory: &mut Memory) -> Result<Entity, SpawnError> {
        if self.block.is_empty() {
            self.recall_fresh();
            self.block = self.first_recalled(BLOCK);
            self.forget_recalled(&self.block.clone());
        }
        if self.block.is_empty() {
            self.block = self.handles.claim(BLOCK);
        }
        let index = self.block.start;
        if self.block.is_empty() {
            return Err(SpawnError::Entities);
        }
        self.ensure(index, memory)?;
        self.block.start += 1;
        Ok(Entity::new(index, 1))
    }

    /// Makes `count` slots writable for [`EntityIndex::place_many`]: free ones first, then fresh
    /// ones.
    pub(crate) fn prepare_many(
        &mut self,
        count: usize,
        memory: &mut Memory,
    ) -> Result<ManySlots, SpawnError> {
        self.settle(memory)?;
        let (mut free, mut next) = (0, *self.free_head.get_mut());
        while free < count && next != NONE {
            self.slots.own_row(next as usize, self.len as usize, memory)?;
            let run = self.free_run(next, count - free);
            next = self.slots.get::<Slot>(next as usize + run - 1).row;
            free += run;
        }
        let wanted = u32::try_from(count - free).map_err(|_| SpawnError::Entities)?;
        self.recall_fresh();
        let block = self.block.start..self.block.end.min(self.block.start.saturating_add(wanted));
        let recalled = self.first_recalled(wanted - block.len() as u32);
        let claim = wanted - (block.len() + recalled.len()) as u32;
        let claimed = self.handles.claim_exact(claim).ok_or(SpawnError::Entities)?;
        for range in [&block, &recalled, &claimed] {
            if let Err(error) = self.prepare_fresh(range, memory) {
                self.handles.unclaim(&claimed);
                return Err(error.into());
            }
        }
        Ok(ManySlots { free, block, recalled, claimed })
    }

    /// Makes the slots of a range of claimed indices exist and writable.
    fn prepare_fresh(
        &mut self,
        range: &Range<u32>,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let known = self.len;
        if let Some(last) = range.clone().last() {
            self.ensure(last, memory)?;
        }
        for index in range.clone().take_while(|&index| index < known) {
            self.slots.own_row(index as usize, self.len as usize, memory)?;
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

    /// Puts entities into the slots that [`EntityIndex::prepare_many`] made writable: at `first`
    /// and the rows after it. Writes their handles to those rows of `handles`.
    pub(crate) fn place_many(&mut self, slots: ManySlots, first: Location, handles: &mut Column) {
        let ManySlots { free, block, recalled, claimed } = slots;
        self.block.start = block.end;
        self.forget_recalled(&recalled);
        let mut row = first.row as usize;
        let end = row + free;
        while row < end {
            row += self.place_free_run(Location { row: row as u32, ..first }, end, handles);
        }
        for indices in [block, recalled, claimed] {
            let (mut index, end) = (indices.start as usize, indices.end as usize);
            while index < end {
                let count = self.slots.run_end(index, end) - index;
                let count = handles.run_end(row, row + count) - row;
                let slots = self.slots.run_mut::<Slot>(index..index + count);
                let handles = handles.run_mut::<Entity>(row..row + count);
                for (number, (slot, handle)) in (0..).zip(slots.iter_mut().zip(handles)) {
                    let (archetype, row) = (first.archetype.bits(), row as u32 + number);
                    *slot = Slot { generation: 1, archetype, row };
                    *handle = Entity::new(index as u32 + number, 1);
                }
                (index, row) = (index + count, row + count);
            }
        }
        self.alive += row as u32 - first.row;
    }

    /// Fills free slots that lie side by side from the head of the list on, for rows from `first`
    /// on and before `end`. Returns how many.
    fn place_free_run(&mut self, first: Location, end: usize, handles: &mut Column) -> usize {
        let (head, row) = (*self.free_head.get_mut() as usize, first.row as usize);
        let count = handles.run_end(row, end) - row;
        let count = self.slots.run_end(head, (head + count).min(self.len as usize)) - head;
        let slots = self.slots.run_mut::<Slot>(head..head + count);
        let handles = handles.run_mut::<Entity>(row..row + count);
        let archetype = first.archetype.bits();
        let (mut index, mut row, mut next) = (head as u32, first.row, head as u32);
        for (slot, handle) in slots.iter_mut().zip(handles) {
            if next != index {
                break;
            }
            next = slot.row;
            *handle = Entity::new(index, slot.generation);
            (slot.archetype, slot.row) = (archetype, row);
            (index, row) = (index + 1, row + 1);
        }
        *self.free_head.get_mut() = next;
        (row - first.row) as usize
    }

    /// Makes slots up to `index` exist and `index` writable. New ones are reserved: their handles
    /// belong to whoever claimed the indices.
    fn ensure(&mut self, index: u32, memory: &mut Memory) -> Result<(), MemoryError> {
        if index < self.len {
            return self.slots.own_row(index as usize, self.len as usize, memory);
        }
        while self.len <= index {
            let row = self.len as usize;
            // Nothing can be captured at or past `len`, unless a restore has shortened the index.
            self.slots.prepare_append(row, row.max(self.captured as usize), memory)?;
            self.slots.write(row, Slot::reserved(1));
            self.len += 1;
        }
        Ok(())
    }

    /// Makes the slot of `entity`, which must be reserved, ready for [`EntityIndex::place`].
    /// `None` when the handle is stale or its entity is alive.
    pub(crate) fn prepare_reserved(
        &mut self,
        entity: Entity,
        memory: &mut Memory,
    ) -> Result<Option<()>, MemoryError> {
        self.settle(memory)?;
        self.recall_fresh();
        if !self.is_reserved(entity) {
            return Ok(None);
        }
        self.ensure(entity.index(), memory)?;
        Ok(Some(()))
    }

    /// Whether `entity` is a handle that was given out for an entity that was not spawned yet.
    fn is_reserved(&self, entity: Entity) -> bool {
        let (index, generation) = (entity.index(), entity.generation());
        let claimed = index < self.handles.0.fresh.load(Ordering::Relaxed);
        if !claimed || self.block.contains(&index) {
            return false;
        }
        if self.recalled.iter().any(|range| range.contains(&index)) {
            return false;
        }
        if index < self.len {
            self.slots.get::<Slot>(index as usize).is_reserved(generation)
        } else {
            generation == 1
        }
    }

    /// Puts a reserved entity, whose slot is writable, at its first location.
    #[inline]
    pub(crate) fn place(&mut self, entity: Entity, location: Location) {
        let slot = self.slots.get_mut::<Slot>(entity.index() as usize);
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
        self.slots.own_row(entity.index() as usize, self.len as usize, memory)
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

    /// Changes the location of a living entity whose slot is writable.
    #[inline]
    pub(crate) fn relocate(&mut self, entity: Entity, location: Location) {
        let slot = self.slots.get_mut::<Slot>(entity.index() as usize);
        slot.archetype = location.archetype.bits();
        slot.row = location.row;
    }

    /// Changes the locations of living entities, whose slots are writable, to consecutive rows.
    pub(crate) fn relocate_run(&mut self, entities: &[Entity], first: Location) {
        let (archetype, mut row) = (first.archetype.bits(), first.row);
        for entity in entities {
            let slot = self.slots.get_mut::<Slot>(entity.index() as usize);
            (slot.archetype, slot.row) = (archetype, row);
            row += 1;
        }
    }

    /// Frees the slot of a living or reserved entity, which [`EntityIndex::prepare_free`] or
    /// [`EntityIndex::prepare_reserved`] made ready.
    pub(crate) fn free(&mut self, entity: Entity) {
        self.assert_settled();
        self.free_slot(entity);
    }

    /// Bars changes of the free list while the world does not know where it starts.
    #[inline]
    fn assert_settled(&mut self) {
        let settled = *self.reserved_from.get_mut() == NONE;
        assert!(settled, "reservations are settled before a slot is freed");
    }

    fn free_slot(&mut self, entity: Entity) {
        let next = *self.free_head.get_mut();
        let slot = self.slots.get_mut::<Slot>(entity.index() as usize);
        self.alive -= u32::from(slot.archetype != RESERVED);
        let Some(generation) = slot.generation.checked_add(1) else {
            // The slot has used up its generations. Zero belongs to the default handle and is
            // never given out, so that no stale handle of this slot can come alive.
            *slot = Slot { generation: 0, archetype: FREE, row: NONE };
            return;
        };
        *slot = Slot { generation, archetype: FREE, row: next };
        *self.free_head.get_mut() = entity.index();
    }

    /// Makes every slot writable.
    pub(crate) fn prepare_all(&mut self, memory: &mut Memory) -> Result<(), MemoryError> {
        self.settle(memory)?;
        let len = self.len as usize;
        for row in (0..len).step_by(self.slots.chunk_rows()) {
            self.slots.own_row(row, len, memory)?;
        }
        Ok(())
    }

    /// Gives back the memory that the slots in use don't need.
    pub(crate) fn compact(&mut self, memory: &mut Memory) -> Surplus {
        self.slots.compact(self.len as usize, memory)
    }

    /// Gives back room in the list of chunks. Returns its bytes.
    pub(crate) fn trim_list(&mut self) -> usize {
        self.slots.trim_list()
    }

    /// Frees the slots of all living entities, which are writable, so that the lowest index is
    /// the next one given out. Reserved slots stay reserved.
    pub(crate) fn free_all(&mut self) {
        self.assert_settled();
        for index in (0..self.len).rev() {
            let slot = *self.slots.get::<Slot>(index as usize);
            if slot.archetype < RESERVED {
                self.free_slot(Entity::new(index, slot.generation));
            }
        }
        // A replica without slots counts entities all the same.
        self.alive = 0;
    }

    /// Takes over the scalar part of another index, after its slots were copied.
    pub(crate) fn adopt(&mut self, source: &Self, lineage: u64) {
        self.handles.begin_lineage(lineage);
        self.stocks.clear();
        self.recalled.clone_from(&source.recalled);
        self.captured = self.captured.max(self.len);
        self.len = source.len;
        self.alive = source.alive;
        *self.free_head.get_mut() = source.first_free();
        *self.reserved_from.get_mut() = NONE;
        self.block = source.block.clone();
        let fresh = source.handles.0.fresh.load(Ordering::Relaxed);
        self.handles.0.fresh.fetch_max(fresh, Ordering::Relaxed);
    }

    /// Forgets all slots and takes over only the number of living entities, for a replica that
    /// can't look entities up.
    pub(crate) fn adopt_count(&mut self, source: &Self, lineage: u64, memory: &mut Memory) {
        self.handles.begin_lineage(lineage);
        self.stocks.clear();
        self.recalled.clear();
        self.captured = self.captured.max(self.len);
        self.slots.truncate(0, memory);
        self.len = 0;
        *self.free_head.get_mut() = NONE;
        *self.reserved_from.get_mut() = NONE;
        self.block = 0..0;
        self.alive = source.alive;
    }
}

#[cfg(test)]
mod tests;
