//! Selection: which rows of a visited table a query hands out.
//!
//! Terms and filters decide by an archetype's components whether a query visits a table at all.
//! Some of them also decide row by row: [`Changed`](super::filter::Changed) by what was written
//! to a chunk. Bound to a table, each of those is a
//! [`Condition`](super::condition::Condition), which tells for any block of 64
//! rows, as bits, which of them it selects. Filters combine the bits, and the loops of queries ask
//! a [`Selection`] for the next run of selected rows inside a run of theirs.
//!
//! Most tables have nothing to decide row by row. They get no selection, and their loops are as
//! plain as if there were none.
//!
//! Blocks are asked for in ascending order, and a block before any of its rows is visited. So a
//! pass that writes what it is filtered by decides on every chunk before it writes to it.

#![allow(unsafe_code, reason = "asks conditions on the rows of borrowed tables")]

use std::ops::Range;

use crate::storage::component::Registry;
use crate::storage::epoch::Epoch;

use super::condition::{BLOCK_ROWS, ones};
use super::filter::Filter;
use super::tables::TableRef;

/// Where a run that starts at `row` ends.
#[inline]
pub(crate) fn run_end(row: usize, run_log2: u8, rows: usize) -> usize {
    let run_rows = 1 << run_log2;
    rows.min((row & !(run_rows - 1)) + run_rows)
}

/// The next rows to visit, from `row` on, of the first `rows` rows of a table: those that lie in one chunk
/// of every column and, where there is a selection, are selected. `None` when there are none.
///
/// # Safety
///
/// The table that the selection was made for is borrowed for as long as it is used.
#[inline]
pub(crate) unsafe fn next_run<F: Filter>(
    row: usize,
    run_log2: u8,
    rows: usize,
    selection: &mut Option<Selection<F>>,
) -> Option<Range<usize>> {
    match selection {
        None => (row < rows).then(|| row..run_end(row, run_log2, rows)),
        // SAFETY: the caller's contract.
        Some(selection) => unsafe { selection.next_run(row, run_log2, rows) },
    }
}

/// The rows of one table that a query visits, where it is not all of them.
pub(crate) struct Selection<F: Filter> {
    filter: F::Bound,
    /// Rows in the table.
    rows: usize,
    /// The block that was asked for last, and which of its rows are selected.
    block: usize,
    bits: u64,
}

impl<F: Filter> Clone for Selection<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Filter> Copy for Selection<F> {}

impl<F: Filter> Selection<F> {
    /// What decides on the rows of `table`, which passes the filter; `None` where nothing does and
    /// all rows are visited.
    #[inline]
    pub(crate) fn bind(table: &TableRef<'_>, registry: &Registry, since: Epoch) -> Option<Self> {
        if F::BY_ARCHETYPE {
            return None;
        }
        Self::bind_filter(table, registry, since)
    }

    #[inline(never)]
    fn bind_filter(table: &TableRef<'_>, registry: &Registry, since: Epoch) -> Option<Self> {
        let filter = F::bind(table, registry, since);
        if F::selects_all(&filter) {
            return None;
        }
        Some(Self { filter, rows: table.rows(), block: usize::MAX, bits: 0 })
    }

    /// The next selected rows from `row` on, below `end`, that lie in one chunk of every column.
    /// Rows are asked for in ascending order.
    ///
    /// # Safety
    ///
    /// As [`next_run`].
    #[inline(never)]
    unsafe fn next_run(
        &mut self,
        mut row: usize,
        run_log2: u8,
        end: usize,
    ) -> Option<Range<usize>> {
        while row < end {
            let run = row..run_end(row, run_log2, end);
            // SAFETY: the caller's contract.
            let selected = unsafe { self.first_in(run) };
            if !selected.is_empty() {
                return Some(selected);
            }
            row = selected.end;
        }
        None
    }

    /// [`Selection::next_run`] on a copy, for iterators that keep theirs out of memory.
    ///
    /// # Safety
    ///
    /// As [`next_run`].
    #[inline(never)]
    pub(crate) unsafe fn stepped(mut self, row: usize, run_log2: u8) -> (Self, Range<usize>) {
        // SAFETY: the caller's contract.
        let run = unsafe { self.next_run(row, run_log2, self.rows) };
        (self, run.unwrap_or(self.rows..self.rows))
    }

    /// The first selected rows of `run` and those right after them; an empty run at its end when
    /// there are none.
    ///
    /// # Safety
    ///
    /// As [`next_run`]; the table has the rows.
    unsafe fn first_in(&mut self, run: Range<usize>) -> Range<usize> {
        let mut row = run.start;
        while row < run.end {
            let block = row / BLOCK_ROWS;
            // SAFETY: the caller's contract.
            let bits = unsafe { self.select(block) } >> (row % BLOCK_ROWS);
            if bits == 0 {
                row = (block + 1) * BLOCK_ROWS;
                continue;
            }
            let start = row + bits.trailing_zeros() as usize;
            let mut end = start + (bits >> bits.trailing_zeros()).trailing_ones() as usize;
            while end < run.end && end.is_multiple_of(BLOCK_ROWS) {
                // SAFETY: the caller's contract.
                let more = unsafe { self.select(end / BLOCK_ROWS) }.trailing_ones() as usize;
                end += more;
                if more < BLOCK_ROWS {
                    break;
                }
            }
            return start.min(run.end)..end.min(run.end);
        }
        run.end..run.end
    }

    /// Whether a row is selected.
    ///
    /// # Safety
    ///
    /// As [`next_run`]; the table has the row.
    pub(crate) unsafe fn selects(mut self, row: usize) -> bool {
        // SAFETY: the caller's contract.
        let bits = unsafe { self.select(row / BLOCK_ROWS) };
        bits >> (row % BLOCK_ROWS) & 1 == 1
    }

    /// How many rows are selected.
    ///
    /// # Safety
    ///
    /// As [`next_run`].
    pub(crate) unsafe fn count(mut self) -> usize {
        let blocks = 0..self.rows.div_ceil(BLOCK_ROWS);
        // SAFETY: the caller's contract.
        blocks.map(|block| unsafe { self.select(block) }.count_ones() as usize).sum()
    }

    /// Which rows of a block are selected.
    ///
    /// # Safety
    ///
    /// As [`next_run`]; the table has rows in the block.
    #[inline]
    unsafe fn select(&mut self, block: usize) -> u64 {
        if self.block != block {
            let first = block * BLOCK_ROWS;
            let rows = first..self.rows.min(first + BLOCK_ROWS);
            // SAFETY: the caller's contract.
            let bits = unsafe { F::select(&mut self.filter, rows.clone()) };
            (self.block, self.bits) = (block, bits & ones(rows.len()));
        }
        self.bits
    }
}
