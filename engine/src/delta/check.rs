//! The checks of a delta against the world that it is applied to, before anything is written.
//!
//! A sound world has one slot for each row and one row for each slot with an entity. A delta keeps that if
//! every row that it brings is named by its slot, no slot that it changes leaves a row behind, and in the
//! end there are as many slots with entities as rows. So the checks look at rows and slots of the delta
//! only. Links of the hierarchy are checked all together, where one of them may have changed.

use std::ops::Range;

use crate::storage::component::Kind;
use crate::storage::links::{ChildOf, Children};
use crate::storage::rows::Rows;
use crate::storage::{ComponentId, Entity};
use crate::world::World;
use crate::world::delta_notes::{DeltaParts, ListPart};
use crate::world::families::{Families, are_sound_families};
use crate::world::index::Slot;
use crate::world::index::delta::{Slots, is_sound_head, may_hold};

use super::error::{DeltaError, DeltaPart};
use super::format::Head;
use super::lists::check_lists;
use super::overlay::Overlay;

/// A delta that was taken apart, and the world it is for, whose archetypes are in the order of the delta.
pub(super) struct Checking<'a> {
    pub(super) world: &'a World,
    pub(super) head: &'a Head,
    pub(super) bytes: &'a [u8],
    pub(super) parts: &'a DeltaParts,
}

/// What the check has found.
pub(super) struct Found {
    /// How many entities there will be.
    pub(super) alive: u32,
}

fn malformed<T>(part: DeltaPart) -> Result<T, DeltaError> {
    Err(DeltaError::Malformed { part })
}

impl<'a> Checking<'a> {
    /// How many rows of a table stay, but for those that the delta changes.
    pub(super) fn held(&self, table: usize) -> usize {
        let is_kept = !self.head.is_whole && table < self.head.common as usize;
        if is_kept { self.world.state.tables[table].rows() } else { 0 }
    }

    /// How many rows a table will have.
    fn rows(&self, table: usize) -> usize {
        match self.parts.table(table) {
            Some(part) => part.rows,
            None => self.held(table),
        }
    }

    /// The rows of a column that stay.
    fn kept(&self, table: usize, id: ComponentId) -> Rows<'a> {
        let column = self.world.state.tables[table].column(id);
        let held = self.held(table);
        column.filter(|_| held > 0).map_or(Rows::EMPTY, |column| column.rows(held))
    }

    fn column(&self, table: usize, id: ComponentId) -> Overlay<'a> {
        let runs = self.parts.table(table).map_or(&[][..], |part| self.parts.runs_of(part, id));
        Overlay::new(self.bytes, runs, self.kept(table, id), self.rows(table))
    }

    fn slots(&self) -> Overlay<'a> {
        let (held, len) = self.parts.slots;
        let rows = if held > 0 { self.world.state.index.slots() } else { Rows::EMPTY };
        Overlay::new(self.bytes, &self.parts.runs[self.parts.slot_runs.clone()], rows, len)
    }

    /// All checks but those of events, resources and texts. `numbers` and `seen` are scratch.
    pub(super) fn check(
        &self,
        numbers: &mut Vec<(u32, u32)>,
        seen: &mut Vec<u64>,
    ) -> Result<Found, DeltaError> {
        self.check_tables()?;
        let found = self.check_entities()?;
        let slots = self.slots();
        let all = Slots {
            lens: self.parts.slots,
            slot: |index: u32| slots.get::<Slot>(index as usize).unwrap_or(Slot::UNUSED),
            brought: slots.brought::<Slot>(),
        };
        if !is_sound_head(&self.parts.index, &all, numbers) {
            return malformed(DeltaPart::Index);
        }
        self.check_links(seen)?;
        self.check_all_lists()?;
        self.check_values()?;
        Ok(found)
    }

    /// Columns are those of their tables, and have all new rows.
    fn check_tables(&self) -> Result<(), DeltaError> {
        let tables = &self.world.state.tables;
        for part in &self.parts.tables {
            let (table, held) = (&tables[part.number], self.held(part.number));
            let columns = &self.parts.columns[part.columns.clone()];
            if columns.iter().any(|column| !table.mask().contains(column.id)) {
                return malformed(DeltaPart::Tables);
            }
            // Runs ascend, so those of new rows follow each other without a gap.
            let has_all = |id: ComponentId| {
                let runs = self.parts.runs_of(part, id).iter();
                let new = runs.filter(|run| run.rows.1 as usize > held);
                let mut next = held;
                for run in new {
                    if run.rows.0 as usize > next {
                        return false;
                    }
                    next = run.rows.1 as usize;
                }
                next >= part.rows
            };
            let registry = &self.world.catalog.registry;
            let is_list = |id: ComponentId| registry.info(id).list().is_some();
            let filled = table.columns().iter().filter(|column| column.size() > 0);
            let mut filled = filled.filter(|column| !is_list(column.component()));
            if !filled.all(|column| has_all(column.component())) {
                return malformed(DeltaPart::Tables);
            }
        }
        Ok(())
    }

    /// Lists are those of their tables, and all new rows have theirs.
    fn check_all_lists(&self) -> Result<(), DeltaError> {
        let (tables, registry) = (&self.world.state.tables, &self.world.catalog.registry);
        let known = |part: &ListPart| {
            tables.get(part.table).is_some_and(|table| table.mask().contains(part.id))
        };
        if !self.parts.lists.iter().all(known) {
            return malformed(DeltaPart::Lists);
        }
        for (table, known) in tables.iter().enumerate().take(self.head.archetypes as usize) {
            let (mask, rows) = (known.mask(), (self.held(table), self.rows(table)));
            let (entities, kept) =
                (self.column(table, ComponentId::ENTITY), self.kept(table, ComponentId::ENTITY));
            let end = rows.0.min(rows.1);
            let changes_hands =
                |&(row, entity): &(usize, Entity)| row < end && *kept.get::<Entity>(row) != entity;
            for id in mask.iter().filter(|&id| registry.info(id).list().is_some()) {
                let lists = self.parts.lists_of(table, id);
                check_lists((self.bytes, registry), (id, lists), rows)?;
                let is_listed = |(row, _): (usize, Entity)| {
                    lists.binary_search_by_key(&(row as u32), |list| list.row).is_ok()
                };
                if !entities.brought().filter(changes_hands).all(is_listed) {
                    return malformed(DeltaPart::Lists);
                }
            }
        }
        Ok(())
    }

    /// Rows and slots name each other.
    fn check_entities(&self) -> Result<Found, DeltaError> {
        let slots = self.slots();
        for part in &self.parts.tables {
            let entities = self.column(part.number, ComponentId::ENTITY);
            for (row, entity) in entities.brought::<Entity>() {
                let slot = slots.get::<Slot>(entity.index() as usize);
                let at = slot.and_then(|slot| slot.locate(entity.generation()));
                let is_here = at.is_some_and(|at| {
                    at.archetype.index() == part.number && at.row as usize == row
                });
                if !is_here {
                    return malformed(DeltaPart::Index);
                }
            }
        }
        let (held, len) = self.parts.slots;
        let before = slots.before();
        let mut alive = if held > 0 { u64::from(self.world.state.index.alive()) } else { 0 };
        let mut known = 0..0;
        for (index, slot) in slots.brought::<Slot>() {
            let old = (index < held).then(|| *before.get::<Slot>(index));
            if !may_hold(&self.parts.index, &mut known, index as u32, slot) {
                return malformed(DeltaPart::Index);
            }
            if old == Some(slot) {
                continue;
            }
            if old.is_some_and(|old| self.leaves_row(old)) {
                return malformed(DeltaPart::Index);
            }
            alive += u64::from(slot.place().is_some());
            alive -= u64::from(old.is_some_and(|old| old.place().is_some()));
        }
        for index in len..held {
            let old = *before.get::<Slot>(index);
            if self.leaves_row(old) {
                return malformed(DeltaPart::Index);
            }
            alive -= u64::from(old.place().is_some());
        }
        // Where a counter has gone back, indices past it are unused: others were before.
        let end = len.min(held);
        let mut are_unused = |back: Range<u32>| {
            (back.start as usize..end.min(back.end as usize)).all(|index| {
                let slot = slots.get::<Slot>(index).unwrap_or(Slot::UNUSED);
                may_hold(&self.parts.index, &mut known, index as u32, slot)
            })
        };
        if !self.world.state.index.taken_back(&self.parts.index).all(&mut are_unused) {
            return malformed(DeltaPart::Index);
        }
        debug_assert!(
            are_unused(self.parts.index.head.fresh..u32::MAX),
            "no slot of an index that was never given out is in use"
        );
        let rows: u64 =
            (0..self.head.archetypes as usize).map(|table| self.rows(table) as u64).sum();
        if alive != rows {
            return malformed(DeltaPart::Index);
        }
        Ok(Found { alive: alive as u32 })
    }

    /// Whether a slot that is about to change named a row that stays as it is.
    fn leaves_row(&self, old: Slot) -> bool {
        let Some((table, row)) = old.place() else { return false };
        let stays =
            table < self.head.common as usize && row < self.held(table).min(self.rows(table));
        stays && self.column(table, ComponentId::ENTITY).run_of(row).is_none()
    }

    /// The bytes of each column are values of its type.
    fn check_values(&self) -> Result<(), DeltaError> {
        let registry = &self.world.catalog.registry;
        for column in &self.parts.columns {
            let info = registry.info(column.id);
            if info.check().is_none() && info.kind() != Kind::Toggle {
                continue;
            }
            for run in &self.parts.runs[column.runs.clone()] {
                let bytes = (run.rows.1 - run.rows.0) as usize * column.size;
                if registry.values(column.id, &self.bytes[run.at..run.at + bytes]).is_none() {
                    return Err(DeltaError::Value { component: info.name() });
                }
            }
        }
        Ok(())
    }

    /// Whether a link may have come, gone or changed.
    fn changes_links(&self, links: [Option<ComponentId>; 2]) -> bool {
        let tables = self.world.state.tables.iter().enumerate();
        tables.filter(|(_, table)| table.is_linked()).any(|(number, table)| {
            let is_dropped = self.held(number) < table.rows();
            let is_changed = self.parts.table(number).is_some_and(|part| {
                let mut ids = links.into_iter().flatten().chain([ComponentId::ENTITY]);
                part.rows != table.rows() || ids.any(|id| !self.parts.runs_of(part, id).is_empty())
            });
            is_dropped || is_changed
        })
    }

    /// Every child is in the list of its parent, once, and nobody is an ancestor of itself.
    fn check_links(&self, seen: &mut Vec<u64>) -> Result<(), DeltaError> {
        let registry = &self.world.catalog.registry;
        let child_of = registry.id_of::<ChildOf>(Kind::Component);
        let children = registry.id_of::<Children>(Kind::Component);
        if !self.changes_links([child_of, children]) {
            return Ok(());
        }
        let links = Links { checking: self, slots: self.slots(), child_of, children };
        match are_sound_families(&links, seen) {
            true => Ok(()),
            false => malformed(DeltaPart::Hierarchy),
        }
    }
}

/// The links as they will be.
struct Links<'c, 'a> {
    checking: &'c Checking<'a>,
    slots: Overlay<'a>,
    child_of: Option<ComponentId>,
    children: Option<ComponentId>,
}

impl Links<'_, '_> {
    /// A component, if rows of a table have it.
    fn of(&self, table: usize, id: Option<ComponentId>) -> Option<ComponentId> {
        id.filter(|&id| self.checking.world.state.tables[table].mask().contains(id))
    }
}

impl Families for Links<'_, '_> {
    fn tables(&self) -> usize {
        self.checking.head.archetypes as usize
    }

    fn rows(&self, table: usize) -> usize {
        self.checking.rows(table)
    }

    fn slots(&self) -> usize {
        self.slots.len()
    }

    fn slot(&self, index: usize) -> Option<Slot> {
        self.slots.get::<Slot>(index)
    }

    fn entity(&self, table: usize, row: usize) -> Option<Entity> {
        self.checking.column(table, ComponentId::ENTITY).get::<Entity>(row)
    }

    fn links_of(&self, table: usize) -> (bool, bool) {
        (self.of(table, self.child_of).is_some(), self.of(table, self.children).is_some())
    }

    fn child_of(&self, table: usize, row: usize) -> Option<ChildOf> {
        self.checking.column(table, self.of(table, self.child_of)?).get::<ChildOf>(row)
    }

    fn children(&self, table: usize, row: usize) -> Option<Children> {
        self.checking.column(table, self.of(table, self.children)?).get::<Children>(row)
    }
}
