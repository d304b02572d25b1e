//! [`Condition`]: what decides row by row whether a query visits the rows of a table, as bits.

#![allow(unsafe_code, reason = "reads the chunk lists of bound columns")]

use std::ops::Range;

use crate::storage::ComponentId;
use crate::storage::column::RawColumn;
use crate::storage::component::Registry;
use crate::storage::epoch::Epoch;

use super::tables::TableRef;

/// Rows that are decided on at once.
pub(super) const BLOCK_ROWS: usize = u64::BITS as usize;

/// What decides on the rows of one table.
#[derive(Clone, Copy)]
pub struct Condition(Rule);

#[derive(Clone, Copy)]
enum Rule {
    Every,
    None,
    /// The rows of chunks that were written after `since`.
    Written {
        column: RawColumn,
        since: Epoch,
        /// The chunk that was asked for last, and the answer. A pass may write to a chunk whose
        /// rows it has only begun to visit.
        asked: Option<(usize, bool)>,
    },
}

impl Condition {
    /// Selects every row, or none.
    pub(crate) fn constant(selects: bool) -> Self {
        Self(if selects { Rule::Every } else { Rule::None })
    }

    /// Selects the rows of the chunks of a component that were written after `since`; none where
    /// the table lacks the component.
    pub(crate) fn written(
        table: &TableRef<'_>,
        registry: &Registry,
        id: ComponentId,
        since: Epoch,
    ) -> Self {
        // What has no chunks is written where a row comes or goes, and so is the entity column.
        let id = if registry.info(id).size() == 0 { ComponentId::ENTITY } else { id };
        match table.place(id).map(|place| table.column(place)) {
            None => Self(Rule::None),
            Some(_) if since == Epoch::ZERO => Self(Rule::Every),
            Some(column) => Self(Rule::Written { column, since, asked: None }),
        }
    }

    pub(crate) fn selects_all(&self) -> bool {
        matches!(self.0, Rule::Every)
    }

    /// Which of `rows` are selected, the first in the lowest bit.
    ///
    /// # Safety
    ///
    /// The table that the condition was made for is borrowed and has the rows, which are not more
    /// than a block.
    pub(crate) unsafe fn select(&mut self, rows: Range<usize>) -> u64 {
        match &mut self.0 {
            Rule::Every => u64::MAX,
            Rule::None => 0,
            Rule::Written { column, since, asked } => {
                let mut bits = 0;
                let mut row = rows.start;
                while row < rows.end {
                    let chunk = row >> column.rows_log2;
                    let end = rows.end.min((chunk + 1) << column.rows_log2);
                    let written = match *asked {
                        Some((known, answer)) if known == chunk => answer,
                        // SAFETY: the table has the row, so the list has its chunk; no reference to
                        // the list is alive while a selection looks for rows.
                        _ => unsafe { is_newer(*column, chunk, *since) },
                    };
                    *asked = Some((chunk, written));
                    if written {
                        bits |= ones(end - row) << (row - rows.start);
                    }
                    row = end;
                }
                bits
            }
        }
    }
}

/// Whether a chunk was written after `since`.
///
/// # Safety
///
/// The list of the column has the chunk, and nobody holds the list exclusively.
unsafe fn is_newer(column: RawColumn, chunk: usize, since: Epoch) -> bool {
    // SAFETY: the caller's contract.
    let entry = unsafe { column.chunks.add(chunk) };
    // SAFETY: the caller's contract.
    unsafe { (*entry).written > since }
}

/// As many of the lowest bits as there are rows.
pub(super) fn ones(rows: usize) -> u64 {
    debug_assert!(0 < rows && rows <= BLOCK_ROWS, "a block has up to 64 rows");
    u64::MAX >> (BLOCK_ROWS - rows)
}
