//! [`Condition`]: decides row by row whether a query visits the rows of a table, as bits.

#![allow(unsafe_code, reason = "reads the chunk lists of bound columns")]

use std::ops::Range;
use std::slice;

use crate::storage::ComponentId;
use crate::storage::column::RawColumn;
use crate::storage::component::Registry;
use crate::storage::epoch::Epoch;
use crate::world::store::TableRef;

use super::terms::row_ptr;

/// Rows that are decided on at once.
pub(super) const BLOCK_ROWS: usize = u64::BITS as usize;

/// A condition on the rows of one table.
#[derive(Clone, Copy)]
pub struct Condition(Rule);

#[derive(Clone, Copy)]
enum Rule {
    Every,
    None,
    /// The rows that have a toggle on, or off.
    Toggled {
        toggle: RawColumn,
        on: bool,
    },
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
        // A column without chunks is written where a row comes or goes, as is the entity column.
        let id = if registry.info(id).size() == 0 { ComponentId::ENTITY } else { id };
        match table.place(id).map(|place| table.column(place)) {
            None => Self(Rule::None),
            Some(_) if since == Epoch::BEFORE_ALL => Self(Rule::Every),
            Some(column) => Self(Rule::Written { column, since, asked: None }),
        }
    }

    /// Selects the rows that have a component of the table and have it switched on, or those that
    /// lack it or have it switched off.
    pub(crate) fn has(
        table: &TableRef<'_>,
        registry: &Registry,
        id: ComponentId,
        on: bool,
    ) -> Self {
        if !table.mask().contains(id) {
            return Self::constant(!on);
        }
        let Some(toggle) = registry.info(id).toggle() else { return Self::constant(on) };
        let place = table.place(toggle).expect("a filter was checked to be readable");
        Self(Rule::Toggled { toggle: table.column(place), on })
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
            Rule::Toggled { toggle, on } => {
                // SAFETY: the caller's contract, and the column is a toggle's.
                let off = unsafe { switched_off(*toggle, rows) };
                if *on { !off } else { off }
            }
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
/// The list of the column has the chunk, and the list is not borrowed exclusively.
unsafe fn is_newer(column: RawColumn, chunk: usize, since: Epoch) -> bool {
    // SAFETY: the caller's contract.
    let entry = unsafe { column.chunks.add(chunk) };
    // SAFETY: the caller's contract.
    unsafe { (*entry).written() > since }
}

/// Which of `rows` have a toggle off, the first in the lowest bit.
///
/// # Safety
///
/// `toggle` is the column of a toggle in a table that is borrowed and has the rows, which are not
/// more than a block.
pub(super) unsafe fn switched_off(toggle: RawColumn, rows: Range<usize>) -> u64 {
    let mut bits = 0;
    let mut row = rows.start;
    while row < rows.end {
        let end = rows.end.min(((row >> toggle.rows_log2) + 1) << toggle.rows_log2);
        // SAFETY: the column holds the rows, which lie in one chunk.
        let start = unsafe { row_ptr::<u8>(toggle, row) };
        // SAFETY: as above; no toggle is written while a query borrows the table.
        let bytes = unsafe { slice::from_raw_parts(start, end - row) };
        bits |= low_bits(bytes) << (row - rows.start);
        row = end;
    }
    bits
}

/// The lowest bit of each of up to 64 bytes, whose other bits are zero.
fn low_bits(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut bits = 0;
    // Most blocks have everything on.
    let any = words.iter().fold(0, |any, word| any | u64::from_le_bytes(*word)) != 0;
    for (index, word) in words.iter().enumerate().take(if any { words.len() } else { 0 }) {
        // The factor moves bit 8 k of the word to bit 56 + k, and no two bits to the same place.
        let word = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= word << (8 * index);
    }
    for (index, byte) in rest.iter().enumerate() {
        bits |= u64::from(*byte) << (8 * words.len() + index);
    }
    bits
}

/// As many of the lowest bits as there are rows.
pub(super) fn ones(rows: usize) -> u64 {
    debug_assert!(0 < rows && rows <= BLOCK_ROWS, "a block has up to 64 rows");
    u64::MAX >> (BLOCK_ROWS - rows)
}
