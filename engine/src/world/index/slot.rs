//! [`Slot`]: the record of one handle in the index.

use bytemuck::{Pod, Zeroable};

use crate::storage::archetype::ArchetypeId;
use crate::storage::entity::Entity;

use super::returned::NONE;

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
    pub(super) generation: u32,
    /// The archetype's number, or `FREE` or `RESERVED`.
    pub(super) archetype: u32,
    /// The row; in a free slot, the next free one.
    pub(super) row: u32,
}

/// Marks a slot on the free list.
pub(super) const FREE: u32 = u32::MAX;
/// Marks a slot whose handle has been given out and that holds no entity yet.
pub(super) const RESERVED: u32 = u32::MAX - 1;

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

    /// Notes where its entity is now.
    #[inline]
    pub(super) fn put(&mut self, Location { archetype, row }: Location) {
        (self.archetype, self.row) = (archetype.bits(), row);
    }

    /// Makes the slot a free one, before `next` on the free list. Returns false where it can't be listed, as it
    /// has used up its generations. Zero belongs to the default handle and is never given out, so that no
    /// stale handle of this slot can come alive.
    #[inline]
    pub(super) fn free(&mut self, next: u32) -> bool {
        let generation = self.generation.checked_add(1);
        let row = if generation.is_some() { next } else { NONE };
        *self = Self { generation: generation.unwrap_or(0), archetype: FREE, row };
        generation.is_some()
    }

    /// The entity that this slot, of number `index`, holds, and where it is.
    #[inline]
    pub(crate) fn occupant(self, index: usize) -> Option<(Entity, Location)> {
        let at = self.locate(self.generation)?;
        Some((Entity::new(index as u32, self.generation), at))
    }

    /// The slot without its entity's location.
    pub(crate) fn without_location(self) -> Self {
        let alive = self.archetype < RESERVED;
        if alive { Self { archetype: 0, row: 0, ..self } } else { self }
    }

    /// The slot with its entity where `place` says that it goes, if it has one; `None` where it goes nowhere.
    pub(crate) fn relocated(
        self,
        place: impl FnOnce(Location) -> Option<Location>,
    ) -> Option<Self> {
        let Some(at) = self.locate(self.generation) else { return Some(self) };
        let Location { archetype, row } = place(at)?;
        Some(Self { archetype: archetype.bits(), row, ..self })
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

    pub(super) fn reserved(generation: u32) -> Self {
        Self { generation, archetype: RESERVED, row: 0 }
    }

    /// Whether the handle of `generation` was given out and its entity was not spawned yet.
    pub(super) fn is_reserved(self, generation: u32) -> bool {
        self.archetype == RESERVED && self.generation == generation
    }
}
