//! The entity index: from a handle to the table and row of its entity.
//!
//! Slots lie in a chunked, copy-on-write column of their own, so that a snapshot can look entities
//! up for the price of the chunk pointers. A free slot holds the next free one in place of its
//! row: the free list needs no memory, and travels with the chunks.
//!
//! Command buffers on other threads take ids from a stock that the world filled, and from the
//! shared counter of fresh indices when that runs out. The world itself takes fresh indices in
//! blocks, so that its own spawns touch no atomic.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::{Pod, Zeroable};
use convoy_pool::MemoryError;

use crate::storage::archetype::ArchetypeId;
use crate::storage::column::Column;
use crate::storage::component::ComponentInfo;
use crate::storage::component_id::ComponentId;
use crate::storage::entity::Entity;
use crate::storage::history::Memory;

use super::error::SpawnError;

/// Where an entity's components are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Location {
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
/// Ends the free list.
const NONE: u32 = u32::MAX;
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

    fn reserved(generation: u32) -> Self {
        Self { generation, archetype: RESERVED, row: 0 }
    }
}

/// Where handles come from and go to outside the world: the counter of indices that were never
/// used, and the reserved handles that dropped command buffers gave back.
#[derive(Clone)]
pub(crate) struct Handles(Arc<SharedHandles>);

struct SharedHandles {
    /// Indices from here on were never used.
    fresh: AtomicU32,
    /// Whether `returned` may hold something, so that the world need not look.
    has_returned: AtomicBool,
    returned: Mutex<Returned>,
}

/// Handles that were given back, all of one lineage.
#[derive(Default)]
struct Returned {
    /// The replica's state that the handles are for: a sync replaces all slots, and with them who
    /// holds which handle.
    lineage: u64,
    handles: Vec<Entity>,
}

impl Handles {
    fn new() -> Self {
        Self(Arc::new(SharedHandles {
            fresh: AtomicU32::new(0),
            has_returned: AtomicBool::new(false),
            returned: Mutex::default(),
        }))
    }

    /// Gives reserved handles back, on any thread. Called when a command buffer is dropped. Those
    /// of an earlier lineage are forgotten: their slots belong to others now.
    pub(crate) fn give_back(&self, lineage: u64, handles: impl Iterator<Item = Entity>) {
        let mut returned = self.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        if returned.lineage != lineage {
            return;
        }
        returned.handles.extend(handles);
        // Relaxed: the lock orders the list; the flag only saves the world from taking it.
        self.0.has_returned.store(true, Ordering::Relaxed);
    }

    /// Forgets the handles of earlier lineages, now and when they are given back.
    fn begin_lineage(&self, lineage: u64) {
        let mut returned = self.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.handles.clear();
        returned.lineage = lineage;
    }

    /// Whether both are those of one world.
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Claims up to `count` indices; an empty range when all are taken.
    pub(crate) fn claim(&self, count: u32) -> Range<u32> {
        // Relaxed: the count itself is all that is shared.
        let claimed = self.0.fresh.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            Some(next.saturating_add(count).min(NONE - 1))
        });
        let start = claimed.unwrap_or(NONE - 1);
        start..start.saturating_add(count).min(NONE - 1)
    }
}

/// Slots that are ready to take entities, in this order.
pub(crate) struct ManySlots {
    /// How many come from the free list.
    free: usize,
    /// The rest of the world's block.
    block: Range<u32>,
    /// Fresh indices claimed for the purpose.
    claimed: Range<u32>,
}

pub(crate) struct EntityIndex {
    slots: Column,
    /// Slots in use, free or reserved.
    len: u32,
    alive: u32,
    free_head: u32,
    block: Range<u32>,
    handles: Handles,
}

impl EntityIndex {
    pub(crate) fn new(info: &ComponentInfo) -> Self {
        Self {
            slots: Column::new(ComponentId::ENTITY, info),
            len: 0,
            alive: 0,
            free_head: NONE,
            block: 0..0,
            handles: Handles::new(),
        }
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
        if !self.handles.0.has_returned.swap(false, Ordering::Relaxed) {
            return;
        }
        let handles = self.handles.clone();
        let mut returned = handles.0.returned.lock().unwrap_or_else(PoisonError::into_inner);
        for entity in returned.handles.drain(..) {
            // A handle that can't be freed for want of memory stays reserved.
            if let Ok(Some(())) = self.prepare_reserved(entity, memory) {
                self.free(entity);
            }
        }
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
        if self.free_head == NONE {
            return self.allocate_fresh(memory);
        }
        let index = self.free_head;
        self.slots.own_row(index as usize, self.len as usize, memory)?;
        let slot = self.slots.get_mut::<Slot>(index as usize);
        debug_assert_eq!(slot.archetype, FREE, "the free list holds free slots");
        self.free_head = slot.row;
        *slot = Slot::reserved(slot.generation);
        Ok(Entity::new(index, slot.generation))
    }

    fn allocate_fresh(&mut self, memory: &mut Memory) -> Result<Entity, SpawnError> {
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
        let (mut free, mut next) = (0, self.free_head);
        while free < count && next != NONE {
            self.slots.own_row(next as usize, self.len as usize, memory)?;
            next = self.slots.get::<Slot>(next as usize).row;
            free += 1;
        }
        let wanted = u32::try_from(count - free).map_err(|_| SpawnError::Entities)?;
        let block = self.block.start..self.block.end.min(self.block.start.saturating_add(wanted));
        let claim = wanted - block.len() as u32;
        let claimed = if claim == 0 { 0..0 } else { self.handles.claim(claim) };
        if claimed.len() < claim as usize {
            return Err(SpawnError::Entities);
        }
        for range in [&block, &claimed] {
            self.prepare_fresh(range, memory)?;
        }
        Ok(ManySlots { free, block, claimed })
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

    /// Puts entities into the slots that [`EntityIndex::prepare_many`] made writable: at `first`
    /// and the rows after it. Calls `place` for each, in the order of rows.
    pub(crate) fn place_many(
        &mut self,
        slots: ManySlots,
        first: Location,
        mut place: impl FnMut(usize, Entity),
    ) {
        let ManySlots { free, block, claimed } = slots;
        self.block.start = block.end;
        let mut location = first;
        let archetype = first.archetype.bits();
        for number in 0..free {
            let index = self.free_head;
            let slot = self.slots.get_mut::<Slot>(index as usize);
            self.free_head = slot.row;
            *slot = Slot { generation: slot.generation, archetype, row: location.row };
            place(number, Entity::new(index, slot.generation));
            location.row += 1;
        }
        for (number, index) in block.chain(claimed).enumerate() {
            let slot = Slot { generation: 1, archetype, row: location.row };
            self.slots.write(index as usize, slot);
            place(free + number, Entity::new(index, 1));
            location.row += 1;
        }
        self.alive += location.row - first.row;
    }

    /// Makes slots up to `index` exist and `index` writable. New ones are reserved: their handles
    /// belong to whoever claimed the indices.
    fn ensure(&mut self, index: u32, memory: &mut Memory) -> Result<(), MemoryError> {
        if index < self.len {
            return self.slots.own_row(index as usize, self.len as usize, memory);
        }
        while self.len <= index {
            let row = self.len as usize;
            // Nothing can be captured at or past `len`, so the length itself is the bound.
            self.slots.prepare_append(row, row, memory)?;
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
        if entity.index() >= self.len {
            let claimed = entity.index() < self.handles.0.fresh.load(Ordering::Relaxed);
            if !claimed || entity.generation() != 1 {
                return Ok(None);
            }
        }
        self.ensure(entity.index(), memory)?;
        let slot = self.slots.get::<Slot>(entity.index() as usize);
        let reserved = slot.archetype == RESERVED && slot.generation == entity.generation();
        Ok(reserved.then_some(()))
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

    /// Changes the location of a living entity whose slot is writable.
    #[inline]
    pub(crate) fn relocate(&mut self, entity: Entity, location: Location) {
        let slot = self.slots.get_mut::<Slot>(entity.index() as usize);
        slot.archetype = location.archetype.bits();
        slot.row = location.row;
    }

    /// Frees the slot of a living or reserved entity, which must be writable.
    pub(crate) fn free(&mut self, entity: Entity) {
        let next = self.free_head;
        let slot = self.slots.get_mut::<Slot>(entity.index() as usize);
        self.alive -= u32::from(slot.archetype != RESERVED);
        let Some(generation) = slot.generation.checked_add(1) else {
            // The slot has used up its generations. Zero belongs to the default handle and is
            // never given out, so that no stale handle of this slot can come alive.
            *slot = Slot { generation: 0, archetype: FREE, row: NONE };
            return;
        };
        *slot = Slot { generation, archetype: FREE, row: next };
        self.free_head = entity.index();
    }

    /// Makes every slot writable.
    pub(crate) fn prepare_all(&mut self, memory: &mut Memory) -> Result<(), MemoryError> {
        let len = self.len as usize;
        for row in (0..len).step_by(self.slots.chunk_rows()) {
            self.slots.own_row(row, len, memory)?;
        }
        Ok(())
    }

    /// Frees the slots of all living entities, which are writable, so that the lowest index is
    /// the next one given out. Reserved slots stay reserved.
    pub(crate) fn free_all(&mut self) {
        for index in (0..self.len).rev() {
            let slot = *self.slots.get::<Slot>(index as usize);
            if slot.archetype < RESERVED {
                self.free(Entity::new(index, slot.generation));
            }
        }
        // A replica without slots counts entities all the same.
        self.alive = 0;
    }

    /// Takes over the scalar part of another index, after its slots were copied.
    pub(crate) fn adopt(&mut self, source: &Self, lineage: u64) {
        self.handles.begin_lineage(lineage);
        self.len = source.len;
        self.alive = source.alive;
        self.free_head = source.free_head;
        self.block = source.block.clone();
        let fresh = source.handles.0.fresh.load(Ordering::Relaxed);
        self.handles.0.fresh.fetch_max(fresh, Ordering::Relaxed);
    }

    /// Forgets all slots and takes over only the number of living entities, for a replica that
    /// can't look entities up.
    pub(crate) fn adopt_count(&mut self, source: &Self, lineage: u64, memory: &mut Memory) {
        self.handles.begin_lineage(lineage);
        self.slots.truncate(0, memory);
        self.len = 0;
        self.free_head = NONE;
        self.block = 0..0;
        self.alive = source.alive;
    }
}
