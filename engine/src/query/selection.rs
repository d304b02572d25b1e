//! Selection: which rows of a visited table a query hands out.
//!
//! Terms and filters decide by an archetype's components whether a query visits a table at all.
//! Some of them also decide row by row: terms and [`With`](super::filter::With) where a component
//! can be switched off, [`Changed`](super::filter::Changed) by the last write to a chunk. Bound to
//! a table, each of those is a [`Condition`](super::condition::Condition), which tells for any
//! block of 64 rows, as bits, which of them it selects. Filters combine the bits, and the loops of
//! queries ask a [`Selection`] for the next run of selected rows inside a run of theirs.
//!
//! Most tables have nothing to decide row by row. They get no selection, and their loops are as
//! plain as if there were none.
//!
//! Blocks are asked for in ascending order, and a block before any of its rows is visited. So a
//! pass that writes the component of its filter decides on every chunk before it writes to it.

#![allow(unsafe_code, reason = "asks conditions on the rows of borrowed tables")]

use std::ops::Range;

use crate::storage::ComponentId;
use crate::storage::column::RawColumn;
use crate::storage::component::Registry;
use crate::storage::epoch::Epoch;
use crate::world::store::TableRef;

use super::condition::{BLOCK_ROWS, ones, switched_off};
use super::error::TOGGLES_MAX;
use super::filter::Filter;
use super::requirements::Requirements;

/// Where a run that starts at `row` ends.
#[inline]
pub(crate) fn run_end(row: usize, run_log2: u8, rows: usize) -> usize {
    let run_rows = 1 << run_log2;
    rows.min((row & !(run_rows - 1)) + run_rows)
}

/// The next rows to visit, from `row` on, of the first `rows` rows of a table: those that lie in
/// one chunk of every column and, where there is a selection, are selected. `None` when there are
/// none.
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
    terms: TermToggles,
    /// Rows in the table.
    rows: usize,
    /// The block that was asked for last, and which of its rows are selected.
    block: usize,
    bits: u64,
    /// The rest of the selected rows that were found last, where a toggle parts them.
    found: (usize, usize),
}

/// The toggles that the terms of a query look at, in one table.
#[derive(Clone, Copy)]
struct TermToggles {
    columns: [Option<RawColumn>; TOGGLES_MAX],
    /// How many of them must be on.
    enabled: usize,
    /// How many there are.
    count: usize,
}

impl TermToggles {
    fn bind(table: &TableRef<'_>, requirements: &Requirements) -> Self {
        let mut toggles = Self { columns: [None; TOGGLES_MAX], enabled: 0, count: 0 };
        for &id in requirements.enabled() {
            toggles.add(table, id);
        }
        toggles.enabled = toggles.count;
        for &id in requirements.uniform().iter().filter(|id| table.mask().contains(**id)) {
            toggles.add(table, id);
        }
        toggles
    }

    fn add(&mut self, table: &TableRef<'_>, id: ComponentId) {
        let place = table.place(id).expect("a toggle is captured with its component");
        self.columns[self.count] = Some(table.column(place));
        self.count += 1;
    }

    fn enabled(&self) -> impl Iterator<Item = RawColumn> {
        self.columns[..self.enabled].iter().copied().flatten()
    }

    fn uniform(&self) -> impl Iterator<Item = RawColumn> {
        self.columns[self.enabled..self.count].iter().copied().flatten()
    }
}

impl<F: Filter> Clone for Selection<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Filter> Copy for Selection<F> {}

impl<F: Filter> Selection<F> {
    /// The selection of the rows of `table`, which passes the filter; `None` where all rows are
    /// visited.
    #[inline]
    pub(crate) fn bind(
        table: &TableRef<'_>,
        registry: &Registry,
        requirements: &Requirements,
        since: Epoch,
    ) -> Option<Self> {
        if !Self::is_needed(registry) {
            return None;
        }
        Self::bind_rows(table, registry, requirements, since)
    }

    /// Whether there can be tables where something decides row by row.
    #[inline]
    pub(crate) fn is_needed(registry: &Registry) -> bool {
        !F::BY_ARCHETYPE || registry.has_toggles()
    }

    #[inline(never)]
    fn bind_rows(
        table: &TableRef<'_>,
        registry: &Registry,
        requirements: &Requirements,
        since: Epoch,
    ) -> Option<Self> {
        let filter = F::bind(table, registry, since);
        let terms = TermToggles::bind(table, requirements);
        if terms.count == 0 && F::selects_all(&filter) {
            return None;
        }
        let (rows, found) = (table.rows(), (0, 0));
        Some(Self { filter, terms, rows, block: usize::MAX, bits: 0, found })
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
        if self.found.0 < self.found.1 {
            // SAFETY: the caller's contract.
            return Some(unsafe { self.uniform_part() });
        }
        while row < end {
            let run = row..run_end(row, run_log2, end);
            // SAFETY: the caller's contract.
            let selected = unsafe { self.first_in(run) };
            if !selected.is_empty() {
                self.found = (selected.start, selected.end);
                // SAFETY: the caller's contract.
                return Some(unsafe { self.uniform_part() });
            }
            row = selected.end;
        }
        None
    }

    /// The first of the rows that were found in which the toggles of optional terms don't change.
    ///
    /// # Safety
    ///
    /// As [`next_run`].
    unsafe fn uniform_part(&mut self) -> Range<usize> {
        let (start, mut end) = self.found;
        for toggle in self.terms.uniform() {
            let mut row = start;
            // SAFETY: the caller's contract, and the column is a toggle's.
            let first = unsafe { switched_off(toggle, start..start + 1) } & 1;
            while row < end {
                let block = row..end.min(row + BLOCK_ROWS);
                // SAFETY: as above.
                let off = unsafe { switched_off(toggle, block.clone()) };
                let other = if first == 1 { !off } else { off } & ones(block.len());
                if other != 0 {
                    end = row + other.trailing_zeros() as usize;
                }
                row = block.end;
            }
        }
        self.found.0 = end;
        start..end
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
    #[inline(never)]
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
            let mut bits = unsafe { F::select(&mut self.filter, rows.clone()) };
            for toggle in self.terms.enabled() {
                // SAFETY: the caller's contract, and the column is a toggle's.
                bits &= !unsafe { switched_off(toggle, rows.clone()) };
            }
            (self.block, self.bits) = (block, bits & ones(rows.len()));
        }
        self.bits
    }
}
