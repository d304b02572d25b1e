//! The check of links that come from elsewhere: every child is in the list of its parent, once, and nobody is an
//! ancestor of itself.

use crate::storage::Entity;
use crate::storage::links::{ChildOf, Children};

use super::index::Slot;

/// Rows and slots as they are, or as they will be.
pub(crate) trait Families {
    /// How many tables there are.
    fn tables(&self) -> usize;

    /// How many rows a table has.
    fn rows(&self, table: usize) -> usize;

    /// How many slots there are.
    fn slots(&self) -> usize;

    fn slot(&self, index: usize) -> Option<Slot>;

    fn entity(&self, table: usize, row: usize) -> Option<Entity>;

    /// Whether the rows of a table have parents, and whether they have children.
    fn links_of(&self, table: usize) -> (bool, bool);

    /// The link of a row to its parent, if the table has such.
    fn child_of(&self, table: usize, row: usize) -> Option<ChildOf>;

    /// The link of a row to its children, if the table has such.
    fn children(&self, table: usize, row: usize) -> Option<Children>;
}

/// Whether all links are sound. Costs all rows that have some. `seen` is scratch.
pub(crate) fn are_sound_families(families: &impl Families, seen: &mut Vec<u64>) -> bool {
    are_sound_lists(families) && !has_circle(families, seen)
}

fn are_sound_lists(families: &impl Families) -> bool {
    let link = |entity: Entity| {
        let slot = families.slot(entity.index() as usize)?;
        let (table, row) = slot.place().filter(|_| slot.generation() == entity.generation())?;
        families.child_of(table, row)
    };
    let (mut listed, mut linked) = (0, 0);
    for table in 0..families.tables() {
        let (has_parents, has_children) = families.links_of(table);
        linked += if has_parents { families.rows(table) } else { 0 };
        let parents = if has_children { families.rows(table) } else { 0 };
        for row in 0..parents {
            let pair = families.entity(table, row).zip(families.children(table, row));
            let Some((parent, list)) = pair else { return false };
            let (mut previous, mut next) = (Entity::NONE, list.first);
            for _ in 0..list.count {
                let child =
                    link(next).filter(|link| link.parent == parent && link.previous == previous);
                let Some(child) = child else { return false };
                (previous, next) = (next, child.next);
            }
            let is_whole = next == Entity::NONE && previous == list.last && list.count > 0;
            if !is_whole {
                return false;
            }
            listed += list.count as usize;
        }
    }
    listed == linked
}

fn has_circle(families: &impl Families, seen: &mut Vec<u64>) -> bool {
    // Two bits a slot: on the way that is walked now, and known to end at a root.
    let words = families.slots().div_ceil(64);
    seen.clear();
    seen.resize(2 * words, 0);
    let parent_of = |index: usize| {
        let (table, row) = families.slot(index)?.place()?;
        Some(families.child_of(table, row)?.parent.index() as usize)
    };
    for table in (0..families.tables()).filter(|&table| families.links_of(table).0) {
        for row in 0..families.rows(table) {
            let start = families.entity(table, row).unwrap_or(Entity::NONE).index() as usize;
            let mut next = Some(start);
            while let Some(index) = next.filter(|&index| !is_set(seen, words, index)) {
                if is_set(seen, 0, index) {
                    return true;
                }
                set(seen, 0, index);
                next = parent_of(index);
            }
            let mut next = Some(start);
            while let Some(index) = next.filter(|&index| !is_set(seen, words, index)) {
                set(seen, words, index);
                next = parent_of(index);
            }
        }
    }
    false
}

fn is_set(seen: &[u64], start: usize, index: usize) -> bool {
    seen[start + index / 64] >> (index % 64) & 1 == 1
}

fn set(seen: &mut [u64], start: usize, index: usize) {
    seen[start + index / 64] |= 1 << (index % 64);
}
