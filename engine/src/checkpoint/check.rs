//! The checks of a world that was read, or of columns of a file that is mapped, before anybody has them: rows and slots
//! name each other, free slots form one chain, links form families, and blocks of lists have one owner.

use std::ops::Range;

use crate::storage::component::{Kind, Registry};
use crate::storage::frozen::Frozen;
use crate::storage::heap::Blocks;
use crate::storage::index_state::IndexState;
use crate::storage::links::{ChildOf, Children};
use crate::storage::list::Handle;
use crate::storage::rows::Rows;
use crate::storage::{ComponentId, Entity};
use crate::world::World;
use crate::world::families::{Families, are_sound_families};
use crate::world::index::Slot;
use crate::world::index::delta::{Slots, count_in_order, is_sound_head, may_hold};

use super::columns::runs;
use super::error::{CheckpointError, CheckpointPart};

/// Columns that come from a file.
#[derive(Clone, Copy)]
pub(super) enum Contents<'c> {
    /// Of a world, whose index has these slots.
    World(&'c World, Rows<'c>),
    /// Of a snapshot that has all that a check needs.
    Snapshot(&'c Frozen),
}

fn malformed<T>(part: CheckpointPart) -> Result<T, CheckpointError> {
    Err(CheckpointError::Malformed { part })
}

impl<'c> Contents<'c> {
    fn registry(self) -> &'c Registry {
        match self {
            Self::World(world, _) => &world.catalog.registry,
            Self::Snapshot(frozen) => &frozen.catalog().registry,
        }
    }

    fn tables(self) -> usize {
        match self {
            Self::World(world, _) => world.state.tables.len(),
            Self::Snapshot(frozen) => frozen.table_count(),
        }
    }

    fn rows(self, table: usize) -> usize {
        match self {
            Self::World(world, _) => world.state.tables[table].rows(),
            Self::Snapshot(frozen) => frozen.table(table).0,
        }
    }

    /// A column, if the rows of a table have it.
    fn column(self, table: usize, id: ComponentId) -> Option<Rows<'c>> {
        match self {
            Self::World(world, _) => {
                let table = &world.state.tables[table];
                Some(table.column(id)?.rows(table.rows()))
            }
            Self::Snapshot(frozen) => frozen.column(table, id),
        }
    }

    fn entities(self, table: usize) -> Rows<'c> {
        self.column(table, ComponentId::ENTITY).unwrap_or(Rows::EMPTY)
    }

    fn slots(self) -> Rows<'c> {
        match self {
            Self::World(_, slots) => slots,
            Self::Snapshot(frozen) => frozen.index().unwrap_or(Rows::EMPTY),
        }
    }

    /// The elements and the owners of the blocks of a list, by size.
    fn blocks(self, list: ComponentId) -> Vec<[Rows<'c>; 2]> {
        match self {
            Self::World(world, _) => {
                let classes =
                    world.state.heaps.get(list).into_iter().flat_map(|heap| heap.classes());
                let rows = |blocks: &'c Blocks| [blocks.elements(), blocks.owners()];
                classes.map(rows).collect()
            }
            Self::Snapshot(frozen) => {
                let shape = frozen.catalog().registry.info(list).list();
                let classes = shape.into_iter().flat_map(|shape| {
                    let classes = frozen.heap(list).iter().enumerate();
                    classes.map(move |(class, blocks)| (shape.block_bytes(class), blocks))
                });
                let rows = classes
                    .map(|(bytes, blocks)| [frozen.elements(blocks, bytes), frozen.owners(blocks)]);
                rows.collect()
            }
        }
    }

    /// All checks, of contents whose index goes on with `state`.
    pub(super) fn check(self, state: &IndexState) -> Result<(), CheckpointError> {
        self.check_entities(state, |_| Ok(()))?;
        self.check_links()?;
        self.registry().lists().try_for_each(|(list, _)| self.check_lists(list))
    }

    /// Each slot with an entity names a row that has its handle, and there are as many as rows: so each row is named,
    /// too. Free slots and counters are sound. Each chunk of slots is handed to `before` before it is looked at.
    pub(super) fn check_entities(
        self,
        state: &IndexState,
        mut before: impl FnMut(Range<usize>) -> Result<(), CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let slots = self.slots();
        let tables: Vec<Rows<'_>> = (0..self.tables()).map(|table| self.entities(table)).collect();
        let (mut alive, mut known) = (0, 0..0);
        // The handles of one chunk: slots that follow each other mostly name rows that do.
        let (mut table, mut start, mut near) = (0, 0, &[][..]);
        for run in runs(&slots) {
            before(run.clone())?;
            let (first, chunk) = (run.start, slots.run::<Slot>(run));
            let mut next = 0;
            while let Some(&slot) = chunk.get(next) {
                let index = first + next;
                // Those of lanes that nobody has used yet lie in long rows.
                if slot == Slot::UNUSED {
                    next += 1;
                    continue;
                }
                if !may_hold(state, &mut known, index as u32, slot) {
                    return malformed(CheckpointPart::Index);
                }
                let Some((_, at)) = slot.occupant(index) else {
                    next += 1;
                    continue;
                };
                let (number, row) = (at.archetype.index(), at.row as usize);
                if number != table || row.wrapping_sub(start) >= near.len() {
                    let rows = tables.get(number).filter(|rows| row < rows.len());
                    let Some(rows) = rows else { return malformed(CheckpointPart::Index) };
                    (table, start) = (number, rows.start_of_chunk(row));
                    near = rows.chunk_from::<Entity>(start);
                }
                // This slot, and those behind it that may hold an entity as well.
                let end = (known.end as usize).saturating_sub(first).clamp(next + 1, chunk.len());
                let entities = &near[row - start..];
                let count = count_in_order(&chunk[next..end], index as u32, entities, at);
                if count == 0 {
                    return malformed(CheckpointPart::Index);
                }
                (alive, next) = (alive + count, next + count);
            }
        }
        let rows: usize = (0..self.tables()).map(|table| self.rows(table)).sum();
        let all = Slots {
            lens: (slots.len(), slots.len()),
            slot: |index: u32| *slots.get::<Slot>(index as usize),
            brought: std::iter::empty(),
        };
        match alive == rows && is_sound_head(state, &all, &mut Vec::new()) {
            true => Ok(()),
            false => malformed(CheckpointPart::Index),
        }
    }

    /// Links form families. Entities were checked.
    pub(super) fn check_links(self) -> Result<(), CheckpointError> {
        let registry = self.registry();
        let child_of = registry.id_of::<ChildOf>(Kind::Component);
        let children = registry.id_of::<Children>(Kind::Component);
        if child_of.is_none() && children.is_none() {
            return Ok(());
        }
        match are_sound_families(&Links { contents: self, child_of, children }, &mut Vec::new()) {
            true => Ok(()),
            false => malformed(CheckpointPart::Hierarchy),
        }
    }

    /// A handle of a list names a block of its entity that is large enough, or none, and the elements are values.
    pub(super) fn check_lists(self, list: ComponentId) -> Result<(), CheckpointError> {
        let info = self.registry().info(list);
        let Some(shape) = info.list() else { return Ok(()) };
        let (check, classes) = (info.element_check(), self.blocks(list));
        for table in 0..self.tables() {
            let (rows, entities) = (self.rows(table), self.entities(table));
            let Some(handles) = self.column(table, list).filter(|_| rows > 0) else { continue };
            for row in 0..rows {
                let Handle { len, place } = *handles.get::<Handle>(row);
                let Some((class, block)) = place.get() else {
                    if len > 0 {
                        return malformed(CheckpointPart::Lists);
                    }
                    continue;
                };
                let found = classes.get(class).filter(|[_, owners]| {
                    block < owners.len()
                        && len as usize <= shape.capacity(class)
                        && *owners.get::<Entity>(block) == *entities.get::<Entity>(row)
                });
                let Some([elements, _]) = found else { return malformed(CheckpointPart::Lists) };
                let bytes = &elements.bytes(block..block + 1)[..len as usize * shape.size];
                let are_values = check.is_none()
                    || bytes.chunks_exact(shape.size).all(|element| check.passes(element));
                if !are_values {
                    return Err(CheckpointError::Value { component: info.name() });
                }
            }
        }
        Ok(())
    }
}

/// The links of rows.
struct Links<'c> {
    contents: Contents<'c>,
    child_of: Option<ComponentId>,
    children: Option<ComponentId>,
}

impl Families for Links<'_> {
    fn tables(&self) -> usize {
        self.contents.tables()
    }

    fn rows(&self, table: usize) -> usize {
        self.contents.rows(table)
    }

    fn slots(&self) -> usize {
        self.contents.slots().len()
    }

    fn slot(&self, index: usize) -> Option<Slot> {
        let slots = self.contents.slots();
        (index < slots.len()).then(|| *slots.get::<Slot>(index))
    }

    fn entity(&self, table: usize, row: usize) -> Option<Entity> {
        Some(*self.contents.entities(table).get::<Entity>(row))
    }

    fn links_of(&self, table: usize) -> (bool, bool) {
        let has =
            |id: Option<ComponentId>| id.and_then(|id| self.contents.column(table, id)).is_some();
        (has(self.child_of), has(self.children))
    }

    fn child_of(&self, table: usize, row: usize) -> Option<ChildOf> {
        Some(*self.contents.column(table, self.child_of?)?.get::<ChildOf>(row))
    }

    fn children(&self, table: usize, row: usize) -> Option<Children> {
        Some(*self.contents.column(table, self.children?)?.get::<Children>(row))
    }
}
