//! The order of lists: blocks that were given out in any order are exchanged to lie in the order of rows again, as
//! passes over lists are faster then.
//!
//! Where a sample of a heap's rows says that many lists lie in another chunk than the one before, its small blocks are
//! put in order, row by row: the first list with a block of a class gets block 0 of it, and so on. Each exchange is
//! complete by itself, so a pass can stop anywhere, and the next call goes on even if the world has changed.

use convoy_pool::MemoryError;

use crate::storage::ComponentId;
use crate::storage::component::Registry;
use crate::storage::heap::Blocks;
use crate::storage::history::Memory;
use crate::storage::list::{BlockPlace, CLASSES_MAX, Handle};
use crate::storage::table::Table;

use super::state::{State, names};

/// Blocks in a chunk of a class that is put in order, at the least: the last row of each chunk lies apart anyway.
const CHUNK_BLOCKS_MIN: usize = 16;
/// Rows that are looked at in each so many, to tell whether lists lie apart.
const SAMPLED: usize = 64;
const SAMPLED_IN: usize = 1024;
/// One of so many lists may lie in another chunk than the one before.
const SHARE_APART: usize = 8;
/// An exchange takes the time of so many looks at a row.
const EXCHANGE_LOOKS: usize = 16;

/// Where the pass that puts the lists of a heap in order goes on.
#[derive(Default)]
pub(crate) struct ListOrder {
    /// The number of the heap.
    pub(super) heap: usize,
    table: usize,
    row: usize,
    /// The block of each class that the next list with one of it gets.
    next: [u32; CLASSES_MAX],
}

impl ListOrder {
    /// Before the first row.
    pub(super) fn of(heap: usize) -> Self {
        Self { heap, ..Self::default() }
    }

    /// Goes on with the rows that have a list of the heap, as long as there `is_time` for so many looks. Tells whether
    /// it came to the end.
    pub(super) fn put(
        &mut self,
        state: &mut State,
        registry: &Registry,
        is_time: &mut impl FnMut(usize) -> bool,
        memory: &mut Memory,
    ) -> Result<bool, MemoryError> {
        let list = state.heaps.iter().nth(self.heap).expect("the heap is one of them").component();
        let mut looks = 1;
        while let Some(table) = state.tables.get(self.table) {
            let handles = table.column(list).map(|column| column.rows(table.rows()));
            let Some(handles) = handles.filter(|handles| self.row < handles.len()) else {
                (self.table, self.row) = (self.table + 1, 0);
                continue;
            };
            if !is_time(looks) {
                return Ok(false);
            }
            looks = 1;
            let (handle, at) = (*handles.get::<Handle>(self.row), (self.table, self.row));
            self.row += 1;
            let Some((class, block)) = handle.place.get() else { continue };
            let target = self.next[class] as usize;
            self.next[class] += 1;
            let blocks = &state.heaps.get(list).expect("a list has a heap").classes()[class];
            if has_many(blocks) && block != target && target < blocks.rows() {
                exchange(state, registry, (list, at), target, memory)?;
                looks = EXCHANGE_LOOKS;
            }
        }
        Ok(true)
    }
}

/// Moves the list at a row of a table to block `target` of its class, and the list that lies there to its block.
/// Changes nothing without memory.
fn exchange(
    state: &mut State,
    registry: &Registry,
    (list, at): (ComponentId, (usize, usize)),
    target: usize,
    memory: &mut Memory,
) -> Result<(), MemoryError> {
    let State { tables, index, heaps, .. } = state;
    let handle_of = |tables: &[Table], (table, row): (usize, usize)| {
        let handles = tables[table].column(list).map(|column| column.rows(row + 1));
        *handles.expect("the table has the list").get::<Handle>(row)
    };
    let (class, block) = handle_of(tables, at).place.get().expect("the list has a block");
    let blocks = &mut heaps.get_mut(list).expect("a list has a heap").classes_mut()[class];
    let owner = blocks.owner(target);
    let is_in_use = names(tables, index, (owner, list), BlockPlace::new(class, target));
    let other = index.locate(owner).filter(|_| is_in_use);
    let other = other.map(|other| ((other.archetype.index(), other.row as usize), block));
    let moves = || [Some((at, target)), other].into_iter().flatten();
    for ((table, row), _) in moves() {
        let table = &mut tables[table];
        let position = table.position(list).expect("the table has the list");
        table.own_value(position, row, memory)?;
    }
    blocks.exchange(block, target, memory)?;
    for (at, block) in moves() {
        let Handle { len, .. } = handle_of(tables, at);
        let handle = Handle { len, place: BlockPlace::new(class, block) };
        let value = registry.value(list, bytemuck::bytes_of(&handle));
        let value = value.expect("all bytes of a handle are values");
        let (table, row) = (&mut tables[at.0], at.1);
        let position = table.position(list).expect("the table has the list");
        table.row_mut(position, row, memory.now()).write_bytes(value);
    }
    Ok(())
}

/// Whether a chunk has so many blocks that their order counts.
fn has_many(blocks: &Blocks) -> bool {
    blocks.columns()[0].chunk_rows() >= CHUNK_BLOCKS_MIN
}

/// Whether many lists of a heap, in a sample of the rows, lie in another chunk than the one of the same class before.
pub(super) fn is_scattered(state: &State, heap: usize) -> bool {
    let heap = state.heaps.iter().nth(heap).expect("the heap is one of them");
    let (mut looks, mut apart) = (0, 0);
    for table in &state.tables {
        let Some(column) = table.column(heap.component()) else { continue };
        let handles = column.rows(table.rows());
        for start in (0..handles.len()).step_by(SAMPLED_IN) {
            let mut before = [None; CLASSES_MAX];
            for row in start..handles.len().min(start + SAMPLED) {
                let Some((class, block)) = handles.get::<Handle>(row).place.get() else { continue };
                let blocks = &heap.classes()[class];
                if has_many(blocks) {
                    let chunk = block / blocks.columns()[0].chunk_rows();
                    looks += 1;
                    apart += usize::from(before[class].is_some_and(|before| before != chunk));
                    before[class] = Some(chunk);
                }
            }
        }
    }
    apart * SHARE_APART > looks
}
