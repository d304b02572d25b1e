//! The baseline: a struct of `Vec`s and an entity map, as one writes them by hand.
//!
//! It does the duties of an engine and no more: rows stay packed, handles carry a generation,
//! and the map follows every row that moves.

use super::columns::Columns;
use super::rows::Row;

/// A handle: which slot, and how often the slot was used before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RawEntity {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Where an entity is.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) generation: u32,
    pub(crate) row: u32,
}

/// One table with its entities, and the map to them.
pub(crate) struct RawWorld<R: Row> {
    pub(crate) columns: R::Columns,
    pub(crate) entities: Vec<RawEntity>,
    pub(crate) slots: Vec<Slot>,
    free: Vec<u32>,
}

impl<R: Row> Default for RawWorld<R> {
    fn default() -> Self {
        Self {
            columns: R::Columns::default(),
            entities: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<R: Row> RawWorld<R> {
    /// A world of `count` rows.
    pub(crate) fn filled(count: usize) -> Self {
        let mut world = Self::default();
        for number in 0..count {
            world.spawn(R::numbered(number));
        }
        world
    }

    #[inline]
    pub(crate) fn spawn(&mut self, row: R) -> RawEntity {
        let slot = Slot { generation: 0, row: self.entities.len() as u32 };
        let entity = match self.free.pop() {
            Some(free) => {
                let reused = &mut self.slots[free as usize];
                reused.row = slot.row;
                RawEntity { slot: free, generation: reused.generation }
            }
            None => {
                self.slots.push(slot);
                RawEntity { slot: self.slots.len() as u32 - 1, generation: 0 }
            }
        };
        self.columns.push(row);
        self.entities.push(entity);
        entity
    }

    /// The row of a living entity.
    #[inline]
    pub(crate) fn locate(&self, entity: RawEntity) -> Option<usize> {
        let slot = self.slots.get(entity.slot as usize)?;
        (slot.generation == entity.generation).then_some(slot.row as usize)
    }

    #[inline]
    pub(crate) fn despawn(&mut self, entity: RawEntity) -> bool {
        let Some(row) = self.locate(entity) else { return false };
        self.columns.swap_remove(row);
        self.entities.swap_remove(row);
        if let Some(moved) = self.entities.get(row) {
            self.slots[moved.slot as usize].row = row as u32;
        }
        self.slots[entity.slot as usize].generation += 1;
        self.free.push(entity.slot);
        true
    }

    /// Makes this a copy of `other`, in the memory that it has.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.columns.copy_from(&other.columns);
        self.entities.clone_from(&other.entities);
        self.slots.clone_from(&other.slots);
        self.free.clone_from(&other.free);
    }

    /// Forgets everything but the capacity.
    pub(crate) fn clear(&mut self) {
        self.columns.clear();
        self.entities.clear();
        self.slots.clear();
        self.free.clear();
    }
}
