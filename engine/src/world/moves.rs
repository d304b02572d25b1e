//! [`Moves`]: several rows that leave their tables in one operation, prepared together.
//!
//! A single move or removal makes the rows that it writes writable first, and fails before it
//! changes anything. An operation of several must not stop halfway either, so it lists all entities
//! that will leave their row, and [`Moves::prepare`] makes everything writable that the steps
//! write, in any order. Until the next capture none of them can fail.
//!
//! At any time between two steps a table holds at least `rows - leaving` and at most
//! `rows + arriving` rows. So an append lands in that span, the last row, which a removal moves,
//! comes from it, and the row that it moves into belongs to an entity that leaves. The span and
//! those rows are all there is to prepare. The steps give no chunk back, as the next one may fill a
//! chunk that the last one has emptied: [`Moves::finish`] does when all are taken.

use crate::storage::Entity;
use crate::storage::archetype::ArchetypeId;
use crate::storage::history::{Memory, Returns};
use crate::storage::room::{list_bytes, shrink_list};
use crate::storage::table::{SpawnRowsError, Table};

use super::index::EntityIndex;

/// An entity that leaves its row: for a table, or for good.
#[derive(Clone, Copy)]
struct Move {
    entity: Entity,
    target: Option<ArchetypeId>,
}

/// Rows that leave and enter one table.
#[derive(Clone, Copy, Default)]
struct Traffic {
    leaving: u32,
    arriving: u32,
}

/// The entities that an operation takes out of their rows. Kept by the world from one operation to
/// the next, so that its lists need no new memory.
#[derive(Default)]
pub(crate) struct Moves {
    list: Vec<Move>,
    /// By archetype; all zero between two preparations.
    traffic: Vec<Traffic>,
    /// The tables that rows leave.
    left: Vec<ArchetypeId>,
}

impl Moves {
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.left.clear();
    }

    /// Adds a living entity that is not listed yet. Without a target it is despawned.
    pub(crate) fn add(&mut self, entity: Entity, target: Option<ArchetypeId>) {
        self.list.push(Move { entity, target });
    }

    /// The entities that are despawned, in the order of their listing.
    pub(crate) fn despawned(&self) -> impl DoubleEndedIterator<Item = Entity> {
        self.list.iter().filter(|each| each.target.is_none()).map(|each| each.entity)
    }

    /// Makes everything writable that the listed moves write. Changes nothing that can be seen.
    pub(crate) fn prepare(
        &mut self,
        tables: &mut [Table],
        index: &mut EntityIndex,
        memory: &mut Memory,
    ) -> Result<(), SpawnRowsError> {
        if self.traffic.len() < tables.len() {
            self.traffic.resize(tables.len(), Traffic::default());
        }
        let Self { list, traffic, left } = self;
        for each in list.iter() {
            let at = index.locate(each.entity).expect("a listed entity is alive");
            let Traffic { leaving, .. } = &mut traffic[at.archetype.index()];
            if *leaving == 0 {
                left.push(at.archetype);
            }
            *leaving += 1;
            if let Some(target) = each.target {
                traffic[target.index()].arriving += 1;
            }
        }
        let prepared = prepare_rows(list, traffic, tables, index, memory);
        for each in list.iter() {
            let at = index.locate(each.entity).expect("a listed entity is alive");
            traffic[at.archetype.index()] = Traffic::default();
            if let Some(target) = each.target {
                traffic[target.index()] = Traffic::default();
            }
        }
        prepared
    }

    /// Gives back the chunks that the moves have emptied, after the last of them.
    pub(crate) fn finish(&mut self, tables: &mut [Table], memory: &mut Returns) {
        for archetype in self.left.drain(..) {
            tables[archetype.index()].release_surplus(memory);
        }
    }

    /// Bytes of the lists.
    pub(crate) fn list_bytes(&self) -> usize {
        list_bytes(&self.list) + list_bytes(&self.left)
    }

    /// Gives room back that the last operation did not need by far. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        shrink_list(&mut self.list) + shrink_list(&mut self.left)
    }
}

fn prepare_rows(
    list: &[Move],
    traffic: &mut [Traffic],
    tables: &mut [Table],
    index: &mut EntityIndex,
    memory: &mut Memory,
) -> Result<(), SpawnRowsError> {
    // Slots are freed only where no reservation is open.
    index.settle(memory)?;
    for each in list {
        let at = index.locate(each.entity).expect("a listed entity is alive");
        index.prepare_free(each.entity, memory)?;
        tables[at.archetype.index()].own_row(at.row as usize, memory)?;
        for archetype in [Some(at.archetype), each.target].into_iter().flatten() {
            // The first entity of a table prepares its end for all of them.
            let Traffic { leaving, arriving } = std::mem::take(&mut traffic[archetype.index()]);
            let table = &mut tables[archetype.index()];
            for row in table.rows() - leaving as usize..table.rows() {
                index.prepare_move(table.entity(row), memory)?;
            }
            table.prepare_end(leaving as usize, arriving as usize, memory)?;
        }
    }
    Ok(())
}
