//! Lists whose elements are migrated: blocks of the file as they were, and new ones that take their place.
//!
//! Only elements that a handle names are values, so a block is migrated by its handle. Elements of another size lie in
//! blocks of other sizes, so each list gets a new block, and those of the file that no list uses go.

use crate::storage::component::Registry;
use crate::storage::heap::{BlockError, Heap};
use crate::storage::history::Memory;
use crate::storage::list::{BlockPlace, Handle, ListShape};
use crate::storage::{ComponentId, Entity};
use crate::world::state::State;

use super::error::{CheckpointError, CheckpointPart};
use super::manifest::grow;
use super::migration::Migration;

/// The blocks of one size in a file.
pub(super) struct OldBlocks {
    pub(super) class: usize,
    pub(super) elements: Vec<u8>,
    pub(super) owners: Vec<Entity>,
}

/// Lists of a file whose elements are migrated.
pub(super) struct OldLists<'p> {
    pub(super) id: ComponentId,
    /// The name in the world.
    pub(super) name: &'static str,
    pub(super) migration: &'p Migration,
    /// That of the file.
    pub(super) shape: ListShape,
    /// By ascending size.
    pub(super) classes: Vec<OldBlocks>,
}

impl OldLists<'_> {
    /// Gives each list of a world whose handles are those of the file a block of its own, with new elements.
    pub(super) fn migrate(
        mut self,
        state: &mut State,
        registry: &Registry,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        let id = self.id;
        let heap = state.heaps.get_mut(id).expect("lists have heaps");
        let mut made = Vec::new();
        for table in state.tables.iter_mut().filter(|table| table.mask().contains(id)) {
            for row in 0..table.rows() {
                let owner = table.entity(row);
                let column = table.column_mut(id).expect("the table has lists");
                let old = *column.rows(row + 1).get::<Handle>(row);
                self.make_elements((old, owner), heap.shape(), &mut made)?;
                let place = match old.len {
                    0 => BlockPlace::NONE,
                    len => self.take_block(heap, (len as usize, owner), memory)?,
                };
                if place != BlockPlace::NONE {
                    heap.fill(place, &made, memory.now());
                }
                let new = Handle { place, ..old };
                let new = registry.value(id, bytemuck::bytes_of(&new)).expect("a handle");
                let row = column.writable_row(row, memory.now());
                row.expect("new chunks are writable").write_bytes(new);
            }
        }
        Ok(())
    }

    /// Fills `made` with the new elements of a list. The checks of the world find whether they are values.
    fn make_elements(
        &mut self,
        (list, owner): (Handle, Entity),
        shape: ListShape,
        made: &mut Vec<u8>,
    ) -> Result<(), CheckpointError> {
        let (migration, name, len) = (self.migration, self.name, list.len as usize);
        let Some(elements) = self.take_elements(list, owner) else {
            return Err(CheckpointError::Malformed { part: CheckpointPart::Lists });
        };
        made.clear();
        grow(made, (len as u64).saturating_mul(shape.size as u64))?;
        migration.apply(name, len, elements, made)
    }

    /// The elements of a list of the file, whose block no other list gets.
    fn take_elements(&mut self, list: Handle, owner: Entity) -> Option<&[u8]> {
        let Some((class, block)) = list.place.get() else {
            return (list.len == 0).then_some(&[]);
        };
        let found = self.classes.binary_search_by_key(&class, |blocks| blocks.class).ok()?;
        let blocks = &mut self.classes[found];
        let known = blocks.owners.get_mut(block)?;
        let is_owner = *known == owner && owner.some().is_some();
        if !is_owner || list.len as usize > self.shape.capacity(class) {
            return None;
        }
        *known = Entity::NONE;
        let start = block * self.shape.block_bytes(class);
        Some(&blocks.elements[start..][..list.len as usize * self.shape.size])
    }

    fn take_block(
        &self,
        heap: &mut Heap,
        (len, owner): (usize, Entity),
        memory: &mut Memory,
    ) -> Result<BlockPlace, CheckpointError> {
        heap.take(len, owner, memory).map_err(|error| match error {
            BlockError::Memory(error) => CheckpointError::Memory(error),
            BlockError::TooLong => {
                let error = format!("no list has {len} of the new elements").into();
                CheckpointError::Migration { component: self.name, error }
            }
        })
    }
}
