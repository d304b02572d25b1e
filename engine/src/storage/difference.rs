//! Differences: which rows of two frozen columns differ, found chunk by chunk.
//!
//! Two pictures of one world share the chunks that were not written in between, so the same
//! address is the same chunk: rows that both have are equal there. It is the only short cut that
//! is taken. Chunks at different addresses are compared, whatever their epochs were.

use std::ops::Range;

use super::rows::Rows;

/// Bytes that are compared at once before single rows are.
const BLOCK_BYTES: usize = 256;

/// The numbers of the rows that both columns have and that differ in a byte, ascending.
pub(crate) struct DifferentRows<'a> {
    older: Rows<'a>,
    newer: Rows<'a>,
    /// Rows of the present chunk that are to be compared.
    left: Range<usize>,
    /// Rows that both have.
    end: usize,
}

impl<'a> DifferentRows<'a> {
    /// Of two columns of one component.
    pub(crate) fn new(older: Rows<'a>, newer: Rows<'a>) -> Self {
        assert_eq!(older.size(), newer.size(), "both columns hold one component");
        let end = if newer.size() == 0 { 0 } else { older.len().min(newer.len()) };
        Self { older, newer, left: 0..0, end }
    }

    /// The rows of the next chunk that is not shared.
    fn next_chunk(&mut self) -> Option<Range<usize>> {
        let mut next = self.left.end;
        while next < self.end {
            let chunk = next..self.newer.rest_of_chunk(next).end.min(self.end);
            if !self.newer.shares_chunk(&self.older, next) {
                return Some(chunk);
            }
            next = chunk.end;
        }
        self.left = self.end..self.end;
        None
    }

    /// The first of the rows left that differs.
    fn first_different(&self) -> Option<usize> {
        let size = self.newer.size();
        let block = BLOCK_BYTES.next_multiple_of(size);
        let (older, newer) =
            (self.older.bytes(self.left.clone()), self.newer.bytes(self.left.clone()));
        let mut blocks = older.chunks(block).zip(newer.chunks(block)).enumerate();
        let (number, (older, newer)) = blocks.find(|(_, (older, newer))| older != newer)?;
        let mut rows = older.chunks_exact(size).zip(newer.chunks_exact(size));
        let row = rows.position(|(older, newer)| older != newer);
        row.map(|row| self.left.start + number * (block / size) + row)
    }
}

impl Iterator for DifferentRows<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            if !self.left.is_empty()
                && let Some(row) = self.first_different()
            {
                self.left.start = row + 1;
                return Some(row);
            }
            self.left = self.next_chunk()?;
        }
    }
}
