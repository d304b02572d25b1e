//! Differences: which rows of two frozen columns differ, found chunk by chunk.
//!
//! Two snapshots of one world share the chunks that were not written in between, so the same
//! address is the same chunk: rows that both have are equal there. It is the only short cut that is
//! taken. Chunks at different addresses are compared, also those with equal epochs.

use super::rows::Rows;

/// Bytes that are compared at once before single rows are.
const BLOCK_BYTES: usize = 256;

/// The numbers of the rows that both columns have and that differ in a byte, ascending.
pub(crate) struct DifferentRows<'a> {
    older: Rows<'a>,
    newer: Rows<'a>,
    /// Rows that both have.
    end: usize,
    /// The next row that is to be compared.
    row: usize,
    /// Rows before this are in the same chunk as `row`.
    chunk_end: usize,
    /// The bytes of that chunk from `row` on.
    left: (&'a [u8], &'a [u8]),
    /// So many of these bytes are known to differ somewhere.
    suspect: usize,
    /// Whole rows of at least [`BLOCK_BYTES`], and how many.
    block: (usize, usize),
}

impl<'a> DifferentRows<'a> {
    /// Of two columns of one component.
    pub(crate) fn new(older: Rows<'a>, newer: Rows<'a>) -> Self {
        let size = newer.size();
        assert_eq!(older.size(), size, "both columns hold one component");
        let end = if size == 0 { 0 } else { older.len().min(newer.len()) };
        let block_rows = BLOCK_BYTES.div_ceil(size.max(1));
        let block = (block_rows * size, block_rows);
        let left: (&[u8], &[u8]) = (&[], &[]);
        Self { older, newer, end, row: 0, chunk_end: 0, left, suspect: 0, block }
    }

    /// Goes on with the next chunk that is not shared.
    fn enter_chunk(&mut self) -> Option<()> {
        while self.chunk_end < self.end {
            let run = self.chunk_end..self.newer.rest_of_chunk(self.chunk_end).end.min(self.end);
            (self.row, self.chunk_end) = (run.start, run.end);
            if !self.newer.shares_chunk(&self.older, run.start) {
                self.left = (self.older.bytes(run.clone()), self.newer.bytes(run));
                self.suspect = 0;
                return Some(());
            }
        }
        None
    }

    /// Whether the next `bytes` bytes differ.
    #[inline]
    fn differs(&self, bytes: usize) -> bool {
        self.left.0[..bytes] != self.left.1[..bytes]
    }

    /// Goes past `bytes` bytes, which are `rows` rows.
    #[inline]
    fn skip_rows(&mut self, bytes: usize, rows: usize) {
        self.left = (&self.left.0[bytes..], &self.left.1[bytes..]);
        self.row += rows;
    }
}

impl Iterator for DifferentRows<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let (size, (block_bytes, block_rows)) = (self.newer.size(), self.block);
        loop {
            while self.suspect > 0 {
                let (row, differs) = (self.row, self.differs(size));
                self.skip_rows(size, 1);
                self.suspect -= size;
                if differs {
                    return Some(row);
                }
            }
            // Equal blocks are passed over.
            while self.suspect == 0 && !self.left.0.is_empty() {
                let bytes = block_bytes.min(self.left.0.len());
                if self.differs(bytes) {
                    self.suspect = bytes;
                } else {
                    self.skip_rows(bytes, block_rows);
                }
            }
            if self.suspect == 0 {
                self.enter_chunk()?;
            }
        }
    }
}
