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

use bytemuck::{Pod, Zeroable};
use convoy_pool::MemoryError;

use crate::storage::archetype::ArchetypeId;
use crate::storage::column::{Column, Surplus};
use crate::storage::component::ComponentInfo;
use crate::storage::component_id::ComponentId;
use crate::storage::entity::Entity;
use crate::storage::frozen::Frozen;
use crate::storage::handle_state::{GivenBack, HandleState, IndexHead};
use crate::storage::history::{Memory, Returns};
use crate::storage::room::shrink_list;
use crate::storage::rows::Rows;

use handles::NONE;
use lanes::Lanes;
use territory::END;

use super::error::SpawnError;

pub(crate) use handles::{Handles, TakenHandles};
pub(crate) use lanes::{LaneCursor, Renewal};

/// Where an entity's components are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Location {
    pub(crate) archetype: ArchetypeId,
    pub(crate) row: u32,
}

/// One slot: 12 bytes, so that 1,024 of them fill a chunk of 12 KiB, if chunks may be as large.
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
    /// Fresh indices that had come back.
    recalled: Range<u32>,
    /// The world's fresh indices in a range: those that belong to no lane.
    fresh: Range<u32>,
}

mod handles;
mod lanes;
pub(crate) mod ready;
mod recall;
mod reserve;
mod restore;
mod territory;
pub(crate) mod vacancy;

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
    /// The world's first index that was never given out; it belongs to no lane.
    fresh: AtomicU32,
    /// Fresh indices that came back while the counter had gone on: what the world claims next.
    recalled: Vec<Range<u32>>,
    handles: Handles,
    lanes: Lanes,
    /// Room for handles that came back, while their slots are freed.
    freeing: Vec<Entity>,
    /// Room for what a sync takes over.
    adopted: HandleState,
    /// Whether chunks may be blank.
    is_sparse: bool,
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
            fresh: AtomicU32::new(0),
            recalled: Vec::new(),
            handles: Handles::new(),
            lanes: Lanes::default(),
            freeing: Vec::new(),
            adopted: HandleState::default(),
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

    pub(crate) fn handles(&self) -> &Handles {
        &self.handles
    }

    /// Frees the slots of the handles that were given back, and of the stocks of lanes that no
    /// buffer draws from.
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
        let shared = self.handles.clone();
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
        // What is short of memory is freed at a later tick, as above.
        freeing.retain(|&entity| self.free_reserved(entity, memory).is_err());
        if !freeing.is_empty() {
            let mut returned = shared.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
            returned.handles.splice(0..0, freeing.drain(..));
            shared.0.has_returned.store(true, Ordering::Relaxed);
        }
        self.freeing = freeing;
    }

    /// Frees the slot of a reserved handle. One that is not reserved any more is somebody else's.
    fn free_reserved(&mut self, entity: Entity, memory: &mut Memory) -> Result<(), MemoryError> {
        if self.prepare_reserved(entity, memory)?.is_some() {
            self.free(entity);
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
        self.slots.own_row(index as usize, self.len as usize, memory)?;
        let slot = self.slots.get_mut::<Slot>(index as usize);
        debug_assert_eq!(slot.archetype, FREE, "the free list holds free slots");
        *self.free_head.get_mut() = slot.row;
        *slot = Slot::reserved(slot.generation);
        Ok(Entity::new(index, slot.generation))
    }

    fn allocate_fresh(&mut self, memory: &mut Memory) -> Result<Entity, SpawnError> {
        let mark = self.mark();
        if let Err(error) = self.prepare_next(memory) {
            self.go_back(&mark);
            return Err(error);
        }
        let (index, recalled) = self.next_fresh();
        self.slots.write(index as usize, Slot::reserved(1));
        self.give_fresh(index, &recalled);
        Ok(Entity::new(index, 1))
    }

    /// Makes `count` slots writable for [`EntityIndex::place_many`]: free ones first, then fresh
    /// ones. On an error no slot was made and no index given out.
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
                let captured = len.max(self.captured as usize);
                self.slots.prepare_append_run(len..end, captured, memory)?;
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

    /// Puts entities into the slots that [`EntityIndex::prepare_many`] made writable: at `first`
    /// and the rows after it. Writes their handles to those rows of `handles`.
    pub(crate) fn place_many(&mut self, slots: ManySlots, first: Location, handles: &mut Column) {
        let ManySlots { free, recalled, fresh } = slots;
        self.forget_recalled(&recalled);
        *self.fresh.get_mut() = fresh.end;
        let mut row = first.row as usize;
        let end = row + free;
        while row < end {
            row += self.place_free_run(Location { row: row as u32, ..first }, end, handles);
        }
        for indices in [recalled, fresh].into_iter().flat_map(territory::own_runs) {
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
    #[inline(never)]
    fn place_free_run(&mut self, first: Location, end: usize, handles: &mut Column) -> usize {
        let (head, row) = (*self.free_head.get_mut() as usize, first.row as usize);
        let count = handles.run_end(row, end) - row;
        let count = self.slots.run_end(head, (head + count).min(self.len as usize)) - head;
        let slots = self.slots.run_mut::<Slot>(head..head + count);
        let handles = handles.run_mut::<Entity>(row..row + count);
        let archetype = first.archetype.bits();
        let (mut filled, mut next) = (0, head as u32);
        for (slot, handle) in slots.iter_mut().zip(handles) {
            let Slot { generation, row, .. } = *slot;
            *handle = Entity::new(head as u32 + filled, generation);
            (slot.archetype, slot.row) = (archetype, first.row + filled);
            (filled, next) = (filled + 1, row);
            if next != head as u32 + filled {
                break;
            }
        }
        *self.free_head.get_mut() = next;
        filled as usize
    }

    /// Makes slots up to `index` exist and `index` writable. New ones are reserved: their handles
    /// belong to whoever is given the indices. On an error none was made.
    ///
    /// Whole chunks of them that lie before that of `index` are *blank*: one chunk that nobody
    /// writes stands for all, and the first write to such a slot copies it. So slots that nobody
    /// has used yet, in lanes and before them, cost an entry in the list for each chunk.
    fn ensure(&mut self, index: u32, memory: &mut Memory) -> Result<(), MemoryError> {
        if index < self.len {
            return self.slots.own_row(index as usize, self.len as usize, memory);
        }
        self.reserve_slot(index, memory)?;
        self.slots.write(index as usize, Slot::reserved(1));
        self.len = index + 1;
        Ok(())
    }

    /// Makes slots before `index`, which has none, exist, and its own row writable. On an error none
    /// was made.
    fn reserve_slot(&mut self, index: u32, memory: &mut Memory) -> Result<(), MemoryError> {
        let captured = self.captured as usize;
        let (mut row, end) = (self.len as usize, index as usize);
        let mask = self.slots.chunk_rows() - 1;
        let lacks_chunk = self.is_sparse && row >= self.slots.capacity();
        if lacks_chunk || end & !mask > row {
            row = self.ensure_far(row, end & !mask, memory)?;
            // Up to its end, so that the rest of it is blank as well.
            self.add_blank_chunks((end | mask) + 1, memory)?;
        }
        while row < end {
            // Nothing can be captured at or past `len`, unless a restore has shortened the index.
            self.slots.prepare_append(row, row.max(captured), memory)?;
            self.slots.write(row, Slot::reserved(1));
            row += 1;
        }
        self.slots.prepare_append(row, row.max(captured), memory)?;
        self.len = index;
        Ok(())
    }

    /// Fills slots from `row` on, with blank chunks where there is no chunk yet, up to `end`, where
    /// one begins. Returns the row to go on with.
    #[cold]
    fn ensure_far(
        &mut self,
        mut row: usize,
        end: usize,
        memory: &mut Memory,
    ) -> Result<usize, MemoryError> {
        let captured = self.captured as usize;
        while row < end {
            let next = (row | (self.slots.chunk_rows() - 1)) + 1;
            let is_start = next - row == self.slots.chunk_rows();
            if is_start && row > 0 && row >= self.slots.capacity() {
                self.add_blank_chunks(end, memory)?;
                return Ok(end);
            }
            if is_start && row > 0 && self.slots.is_blank(row >> self.slots.rows_log2()) {
                // It says of its slots already what would be written.
                row = next;
                continue;
            }
            self.slots.prepare_append_run(row..next, row.max(captured), memory)?;
            self.slots.fill_run(row, next - row, &Slot::reserved(1));
            row = next;
        }
        Ok(row)
    }

    /// Adds blank chunks before that of row `end`, where no chunk is yet. The first chunk is never
    /// blank.
    fn add_blank_chunks(&mut self, end: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let end = end & !(self.slots.chunk_rows() - 1);
        if end <= self.slots.chunk_rows() || end <= self.slots.capacity() {
            return Ok(());
        }
        if self.slots.capacity() < self.slots.chunk_rows() {
            self.slots.reserve(self.slots.chunk_rows(), self.len as usize, memory)?;
        }
        self.is_sparse = true;
        self.slots.push_blank(Slot::reserved(1), end, memory)
    }

    /// Adds blank chunks where another index that has some has more chunks than this one.
    pub(crate) fn prepare_blank_like(
        &mut self,
        source: &Self,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if !source.is_sparse {
            return Ok(());
        }
        // Those that are not blank there are replaced one by one.
        self.slots.reserve_list_like(&source.slots);
        self.add_blank_chunks(source.len().next_multiple_of(self.slots.chunk_rows()), memory)
    }

    /// Makes the slot of `entity`, which must be reserved, ready for [`EntityIndex::place`].
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
                // What is left over of the levels is nobody's.
                let is_own = territory::is_own(index);
                let claimed = index < self.fresh.load(Ordering::Relaxed);
                is_own && claimed && !self.is_recalled(index)
            }
        }
    }

    /// Makes the slot of a handle that [`EntityIndex::check_reserved`] has found reserved ready for
    /// [`EntityIndex::place`].
    pub(crate) fn prepare_given(
        &mut self,
        entity: Entity,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        self.ensure(entity.index(), memory)
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

    /// Makes the slots of all living entities writable.
    pub(crate) fn prepare_all(&mut self, memory: &mut Memory) -> Result<(), MemoryError> {
        self.settle(memory)?;
        let len = self.len as usize;
        for row in (0..len).step_by(self.slots.chunk_rows()) {
            if self.holds_entities(row) {
                self.slots.own_row(row, len, memory)?;
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

    /// Gives back the memory that the slots in use don't need.
    pub(crate) fn compact(&mut self, memory: &mut Memory) -> Surplus {
        self.slots.compact(self.len as usize, memory)
    }

    /// Gives back room in the list of chunks and those of handles. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        self.slots.trim_list()
            + shrink_list(&mut self.freeing)
            + shrink_list(&mut self.recalled)
            + self.adopted.trim_lists()
            + self.lanes.trim_lists()
    }

    /// Frees the slots of all living entities, which are writable, so that the lowest index is
    /// the next one given out. Reserved slots stay reserved.
    pub(crate) fn free_all(&mut self) {
        self.assert_settled();
        let (len, rows) = (self.len as usize, self.slots.chunk_rows());
        for first in (0..len).step_by(rows).rev() {
            if !self.holds_entities(first) {
                continue;
            }
            for index in (first..len.min(first + rows)).rev() {
                let slot = *self.slots.get::<Slot>(index);
                if slot.archetype < RESERVED {
                    self.free_slot(Entity::new(index as u32, slot.generation));
                }
            }
        }
        // A replica without slots counts entities all the same.
        self.alive = 0;
    }
}

#[cfg(test)]
mod tests;
