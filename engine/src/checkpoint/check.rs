//! The checks of a world that was read, before anybody has it: rows and slots name each other, free slots form one
//! chain, links form families, and blocks of lists have one owner.

use crate::storage::component::Kind;
use crate::storage::index_state::IndexState;
use crate::storage::links::{ChildOf, Children};
use crate::storage::list::Handle;
use crate::storage::rows::Rows;
use crate::storage::{ComponentId, Entity};
use crate::world::World;
use crate::world::families::{Families, are_sound_families};
use crate::world::index::Slot;
use crate::world::index::delta::{Slots, is_sound_head, may_hold};

use super::error::{CheckpointError, CheckpointPart};

fn malformed<T>(part: CheckpointPart) -> Result<T, CheckpointError> {
    Err(CheckpointError::Malformed { part })
}

/// Checks a world whose index has `slots` slots and goes on with `state`. Returns how many entities there are.
pub(super) fn check_world(
    world: &World,
    slots: usize,
    state: &IndexState,
) -> Result<u32, CheckpointError> {
    let slots = world.state.index.column().rows(slots);
    let alive = check_entities(world, &slots, state)?;
    let all = Slots {
        lens: (slots.len(), slots.len()),
        slot: |index: u32| *slots.get::<Slot>(index as usize),
        brought: std::iter::empty(),
    };
    if !is_sound_head(state, &all, &mut Vec::new()) {
        return malformed(CheckpointPart::Index);
    }
    check_links(world, slots)?;
    check_lists(world)?;
    Ok(alive)
}

/// Each slot with an entity names a row that has its handle, and there are as many as rows: so each row is named, too.
fn check_entities(
    world: &World,
    slots: &Rows<'_>,
    state: &IndexState,
) -> Result<u32, CheckpointError> {
    let tables = world.state.tables.iter();
    let tables: Vec<Rows<'_>> = tables.map(|table| table.entities()).collect();
    let (mut alive, mut known) = (0, 0..0);
    // The handles of one chunk: slots that follow each other mostly name rows that do.
    let (mut table, mut start, mut near) = (0, 0, &[][..]);
    let all = slots.runs::<Slot>(0..slots.len()).flatten();
    for (index, &slot) in all.enumerate() {
        let is_sound = may_hold(state, &mut known, index as u32, slot)
            && slot.occupant(index).is_none_or(|(entity, at)| {
                alive += 1;
                let (number, row) = (at.archetype.index(), at.row as usize);
                if number != table || row.wrapping_sub(start) >= near.len() {
                    let rows = tables.get(number).filter(|rows| row < rows.len());
                    let Some(rows) = rows else { return false };
                    (table, start) = (number, rows.start_of_chunk(row));
                    near = rows.chunk_from::<Entity>(start);
                }
                near[row - start] == entity
            });
        if !is_sound {
            return malformed(CheckpointPart::Index);
        }
    }
    let rows: usize = tables.iter().map(Rows::len).sum();
    match u32::try_from(alive) {
        Ok(count) if alive == rows => Ok(count),
        _ => malformed(CheckpointPart::Index),
    }
}

fn check_links(world: &World, slots: Rows<'_>) -> Result<(), CheckpointError> {
    let registry = &world.catalog.registry;
    let child_of = registry.id_of::<ChildOf>(Kind::Component);
    let children = registry.id_of::<Children>(Kind::Component);
    if child_of.is_none() && children.is_none() {
        return Ok(());
    }
    match are_sound_families(&Links { world, slots, child_of, children }, &mut Vec::new()) {
        true => Ok(()),
        false => malformed(CheckpointPart::Hierarchy),
    }
}

/// The links of a world.
struct Links<'w> {
    world: &'w World,
    slots: Rows<'w>,
    child_of: Option<ComponentId>,
    children: Option<ComponentId>,
}

impl<'w> Links<'w> {
    /// The column of a component, if rows of a table have it.
    fn column(&self, table: usize, id: Option<ComponentId>) -> Option<Rows<'w>> {
        let table = &self.world.state.tables[table];
        Some(table.column(id?)?.rows(table.rows()))
    }
}

impl Families for Links<'_> {
    fn tables(&self) -> usize {
        self.world.state.tables.len()
    }

    fn rows(&self, table: usize) -> usize {
        self.world.state.tables[table].rows()
    }

    fn slots(&self) -> usize {
        self.slots.len()
    }

    fn slot(&self, index: usize) -> Option<Slot> {
        (index < self.slots.len()).then(|| *self.slots.get::<Slot>(index))
    }

    fn entity(&self, table: usize, row: usize) -> Option<Entity> {
        Some(self.world.state.tables[table].entity(row))
    }

    fn links_of(&self, table: usize) -> (bool, bool) {
        let has = |id: Option<ComponentId>| {
            id.is_some_and(|id| self.world.state.tables[table].mask().contains(id))
        };
        (has(self.child_of), has(self.children))
    }

    fn child_of(&self, table: usize, row: usize) -> Option<ChildOf> {
        Some(*self.column(table, self.child_of)?.get::<ChildOf>(row))
    }

    fn children(&self, table: usize, row: usize) -> Option<Children> {
        Some(*self.column(table, self.children)?.get::<Children>(row))
    }
}

/// A handle of a list names a block of its entity that is large enough, or none, and the elements are values.
fn check_lists(world: &World) -> Result<(), CheckpointError> {
    let registry = &world.catalog.registry;
    for heap in world.state.heaps.iter() {
        let info = registry.info(heap.component());
        let (check, size) = (info.element_check(), heap.shape().size);
        for table in &world.state.tables {
            let Some(column) = table.column(heap.component()) else { continue };
            let handles = column.rows(table.rows());
            for row in 0..table.rows() {
                let handle = *handles.get::<Handle>(row);
                let is_sound = match handle.place.get() {
                    None => handle.len == 0,
                    Some((class, block)) => heap.classes().get(class).is_some_and(|blocks| {
                        block < blocks.rows()
                            && handle.len as usize <= heap.shape().capacity(class)
                            && *blocks.owners().get::<Entity>(block) == table.entity(row)
                    }),
                };
                if !is_sound {
                    return malformed(CheckpointPart::Lists);
                }
                let are_values = check.is_none()
                    || heap.bytes(handle).chunks_exact(size).all(|element| check.passes(element));
                if !are_values {
                    return Err(CheckpointError::Value { component: info.name() });
                }
            }
        }
    }
    Ok(())
}
