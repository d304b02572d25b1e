//! [`DeltaNotes`]: what a world remembers of the last delta, and the lists into which one is taken apart.
//!
//! The lists refer to the bytes of a delta by place, and keep their room from one delta to the next.

use std::ops::Range;

use crate::storage::epoch::Epoch;
use crate::storage::index_state::IndexState;
use crate::storage::list::BlockPlace;
use crate::storage::room::{list_bytes, shrink_list};
use crate::storage::{ComponentId, ComponentMask};

/// What a world notes of deltas.
#[derive(Default)]
pub(crate) struct DeltaNotes {
    /// The state that the last delta has made, as long as nothing was written since.
    pub(crate) known: Option<KnownState>,
    pub(crate) parts: DeltaParts,
}

/// A state of the world, and how to tell that it still has it.
#[derive(Clone, Copy)]
pub(crate) struct KnownState {
    /// The hash of the state.
    pub(crate) hash: u64,
    /// The epoch that was closed then: later writes are newer.
    pub(crate) since: Epoch,
    /// A number that follows from how many rows there were in each table, slots, and values of resources.
    pub(crate) rows: u64,
    /// The first free slot, and the first index that was never given out.
    pub(crate) head: (u32, u32),
}

/// Rows that a delta brings, and where their bytes start.
#[derive(Clone, Copy)]
pub(crate) struct DeltaRun {
    pub(crate) rows: (u32, u32),
    pub(crate) at: usize,
}

/// The runs of one column.
#[derive(Clone)]
pub(crate) struct ColumnPart {
    pub(crate) id: ComponentId,
    pub(crate) size: usize,
    pub(crate) runs: Range<usize>,
}

/// The lists of one column that a delta sets.
#[derive(Clone)]
pub(crate) struct ListPart {
    pub(crate) table: usize,
    pub(crate) id: ComponentId,
    /// Some of the rows of lists.
    pub(crate) rows: Range<usize>,
}

/// A list that a delta sets: its row, how many elements it has and where their bytes start, and the block that they
/// are in.
#[derive(Clone, Copy)]
pub(crate) struct ListRow {
    pub(crate) row: u32,
    pub(crate) len: u32,
    pub(crate) at: usize,
    pub(crate) place: BlockPlace,
}

/// A table that a delta changes: its rows, and the columns with other values.
#[derive(Clone)]
pub(crate) struct TablePart {
    pub(crate) number: usize,
    pub(crate) rows: usize,
    pub(crate) columns: Range<usize>,
}

/// An event log that a delta changes.
#[derive(Clone)]
pub(crate) struct LogPart {
    pub(crate) id: ComponentId,
    /// The numbers of the records: of the first that is kept, of the first that the delta brings, and the
    /// one after the last.
    pub(crate) first: u64,
    pub(crate) from: u64,
    pub(crate) end: u64,
    pub(crate) bytes: Range<usize>,
}

/// A resource that a delta sets, or takes out.
#[derive(Clone)]
pub(crate) struct ResourcePart {
    pub(crate) id: ComponentId,
    pub(crate) value: Option<Range<usize>>,
}

/// A delta, taken apart.
#[derive(Default)]
pub(crate) struct DeltaParts {
    /// The archetypes from the first one on that the base lacks.
    pub(crate) masks: Vec<ComponentMask>,
    pub(crate) runs: Vec<DeltaRun>,
    pub(crate) columns: Vec<ColumnPart>,
    /// In ascending order of numbers.
    pub(crate) tables: Vec<TablePart>,
    /// In ascending order of tables and ids.
    pub(crate) lists: Vec<ListPart>,
    pub(crate) list_rows: Vec<ListRow>,
    /// How many blocks there were of each size of each list.
    pub(crate) blocks: Vec<u32>,
    /// How many slots the index has in the base and in the target.
    pub(crate) slots: (usize, usize),
    pub(crate) slot_runs: Range<usize>,
    /// Where the marks of new chunks of slots are: one byte each, 1 where no slot was ever used.
    pub(crate) blanks: Range<usize>,
    pub(crate) index: IndexState,
    /// In ascending order of ids, as the resources.
    pub(crate) logs: Vec<LogPart>,
    pub(crate) resources: Vec<ResourcePart>,
    pub(crate) texts: Vec<Range<usize>>,
    /// Indices and ranges, to find out whether any comes twice.
    pub(crate) numbers: Vec<(u32, u32)>,
    /// A bit for each slot: whether it was looked at.
    pub(crate) seen: Vec<u64>,
}

impl DeltaParts {
    /// Forgets a delta, and keeps the lists' room.
    pub(crate) fn clear(&mut self) {
        let Self {
            masks,
            runs,
            columns,
            tables,
            lists,
            list_rows,
            blocks,
            index,
            logs,
            resources,
            texts,
            numbers,
            seen,
            ..
        } = self;
        lists.clear();
        list_rows.clear();
        blocks.clear();
        masks.clear();
        runs.clear();
        columns.clear();
        tables.clear();
        index.clear();
        logs.clear();
        resources.clear();
        texts.clear();
        numbers.clear();
        seen.clear();
        (self.slots, self.slot_runs, self.blanks) = ((0, 0), 0..0, 0..0);
    }

    /// The runs of a column of a table; none where the delta has none.
    pub(crate) fn runs_of(&self, table: &TablePart, id: ComponentId) -> &[DeltaRun] {
        let mut columns = self.columns[table.columns.clone()].iter();
        let found = columns.find(|column| column.id == id);
        found.map_or(&[], |column| &self.runs[column.runs.clone()])
    }

    /// The lists of a column of a table that the delta sets.
    pub(crate) fn lists_of(&self, table: usize, id: ComponentId) -> &[ListRow] {
        let found = self.lists.binary_search_by_key(&(table, id), |part| (part.table, part.id));
        found.map_or(&[], |found| &self.list_rows[self.lists[found].rows.clone()])
    }

    /// The part of a table, if the delta changes it.
    pub(crate) fn table(&self, number: usize) -> Option<&TablePart> {
        let found = self.tables.binary_search_by_key(&number, |table| table.number).ok()?;
        Some(&self.tables[found])
    }
}

impl DeltaNotes {
    /// Bytes of the lists.
    pub(crate) fn list_bytes(&self) -> usize {
        let DeltaParts {
            masks,
            runs,
            columns,
            tables,
            lists,
            list_rows,
            blocks,
            logs,
            resources,
            texts,
            numbers,
            seen,
            ..
        } = &self.parts;
        list_bytes(masks)
            + list_bytes(lists)
            + list_bytes(list_rows)
            + list_bytes(blocks)
            + list_bytes(runs)
            + list_bytes(columns)
            + list_bytes(tables)
            + list_bytes(logs)
            + list_bytes(resources)
            + list_bytes(texts)
            + list_bytes(numbers)
            + list_bytes(seen)
    }

    /// Gives back room in the lists. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        self.parts.clear();
        let DeltaParts {
            masks,
            runs,
            columns,
            tables,
            lists,
            list_rows,
            blocks,
            index,
            logs,
            resources,
            texts,
            numbers,
            seen,
            ..
        } = &mut self.parts;
        shrink_list(masks)
            + shrink_list(lists)
            + shrink_list(list_rows)
            + shrink_list(blocks)
            + shrink_list(runs)
            + shrink_list(columns)
            + shrink_list(tables)
            + index.trim_lists()
            + shrink_list(logs)
            + shrink_list(resources)
            + shrink_list(texts)
            + shrink_list(numbers)
            + shrink_list(seen)
    }
}
