//! A column: the values of one component in one table, cut into chunks that snapshots can share.
//!
//! Every chunk has two epochs. `born` is when the world came to own it: a write is in place when
//! `born` is the current epoch, and otherwise goes through [`Column::own`], which takes the chunk
//! back or copies it. `written` is when a row of it last changed: it tells replicas which chunks to
//! copy. The two differ for a chunk that was appended to while a snapshot shares it: no reader
//! looks past the length that it captured, so that append needs no copy.
//!
//! A column of zero-sized values has no chunks at all. The first chunk of a column starts small
//! and grows to full size before a second one is added, so that a table of a few rows is cheap.
//!
//! Rows are written through [`RowMut`](access::RowMut) and [`RunMut`](access::RunMut), which a column
//! makes only for rows that no snapshot sees: when it makes them writable, or when it is asked again
//! in the same epoch. It knows itself which rows snapshots see, because they get their chunks from
//! [`Column::capture`] and nowhere else.
//!
//! * `valued`: every row below a table's length holds a value of the type that the registry has for the
//!   column's component. Rows come into being by a write of a value or a copy of a row; bytes from
//!   outside are checked where they come in; and a type that takes over a described component has all
//!   rows checked before. Rows past the end may hold anything, and no `T` is made of them. Typed access
//!   checks the size of a `T`, and with assertions on its identity: a check of 16 bytes in every build
//!   makes `World::get` 28 % longer, and a spawn 20 %.

use std::iter::Sum;
use std::ops::Range;

use convoy_pool::{ChunkPtr, ChunkRun, MemoryError, SizeClass};

use super::captured::Captured;
use super::chunk_entry::ChunkEntry;
use super::chunk_list::{ChunkList, LooseChunk};
use super::component::{Component, ComponentInfo};
use super::component_id::ComponentId;
use super::epoch::{Epoch, Now};
use super::history::{Memory, NewCapture, Returns, Step};
use super::row_size::RowSize;

pub(crate) mod access;
mod append;
mod blank;
mod deferred;
mod gather;
mod give_back;
mod grow;
mod own;
mod restore;

pub(crate) struct Column {
    chunks: ChunkList,
    captured: Captured,
}

/// The part of a column that a query reads by, live or frozen.
#[derive(Clone, Copy)]
pub struct RawColumn {
    pub(crate) chunks: *const ChunkEntry,
    pub(crate) rows_log2: u8,
}

/// Bytes of the neighbours that a column keeps at the most. The hardware prefetcher loses about a
/// microsecond at every chunk that is not the neighbour of the last one: the time of 48 KiB, and so
/// little of the time of 1 MiB.
const RUN_BYTES: usize = 1 << 20;

impl Column {
    pub(crate) fn new(component: ComponentId, info: &ComponentInfo) -> Self {
        let chunks = ChunkList::new(component, info);
        Self { chunks, captured: Captured::NONE }
    }

    #[inline]
    pub(crate) fn component(&self) -> ComponentId {
        self.chunks.component()
    }

    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.chunks.size()
    }

    #[inline]
    fn row_size(&self) -> RowSize {
        self.chunks.row_size()
    }

    /// Rows in a full chunk, less one.
    #[inline]
    fn row_mask(&self) -> usize {
        self.chunks.row_mask()
    }

    #[inline]
    pub(crate) fn chunk_rows(&self) -> usize {
        self.row_mask() + 1
    }

    #[inline]
    pub(crate) fn rows_log2(&self) -> u8 {
        self.chunks.rows_log2()
    }

    /// The chunks that hold the first `rows` rows.
    #[inline]
    pub(crate) fn chunks_of(&self, rows: usize) -> &[ChunkEntry] {
        &self.chunks[..self.chunks_for(rows)]
    }

    /// The chunks that hold the first `rows` rows, for the snapshot that is being captured: from now
    /// on it sees these rows.
    #[inline]
    pub(crate) fn capture(&mut self, rows: usize, capture: &NewCapture<'_>) -> &[ChunkEntry] {
        self.captured.note(rows, capture.joins_others());
        self.chunks_of(rows)
    }

    /// The chunks from which a table of `rows` rows is read.
    #[inline]
    pub(crate) fn raw(&self, rows: usize) -> RawColumn {
        assert!(rows <= self.capacity(), "the column holds the rows of its table");
        self.list()
    }

    /// The chunks, for a caller that knows how many rows are in them.
    #[inline]
    pub(crate) fn list(&self) -> RawColumn {
        RawColumn { chunks: self.chunks.as_ptr(), rows_log2: self.rows_log2() }
    }

    /// How many rows fit into the chunks that the column has.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.chunks.rows()
    }

    pub(crate) fn chunk_capacity(&self) -> usize {
        self.chunks.room()
    }

    /// How many chunks the column has.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// How many chunks hold `rows` rows.
    #[inline]
    pub(crate) fn chunks_for(&self, rows: usize) -> usize {
        if self.size() == 0 { 0 } else { (rows + self.row_mask()) >> self.rows_log2() }
    }

    pub(crate) fn written(&self, chunk: usize) -> Epoch {
        self.chunks[chunk].written()
    }

    /// Where the chunk of `row` ends, or `end` where that is before.
    pub(crate) fn run_end(&self, row: usize, end: usize) -> usize {
        end.min((row | self.row_mask()) + 1)
    }

    /// Bytes of the chunks that are the world's own: neither blank nor of the world that a branch came from.
    pub(crate) fn own_bytes(&self) -> usize {
        let own = self.chunks.iter().filter(|entry| !entry.born.is_foreign());
        own.map(|entry| entry.class().bytes()).sum()
    }

    /// Bytes of all chunks that are not blank.
    pub(crate) fn reserved_bytes(&self) -> usize {
        let blank = self.chunks.iter().filter(|entry| entry.born == Epoch::BLANK).count();
        match *self.chunks {
            [lone] => lone.class().bytes(),
            [..] => (self.chunks.len() - blank) * self.chunks.full().bytes(),
        }
    }
}

/// The memory that a compaction gave back.
#[derive(Clone, Copy, Default)]
pub(crate) struct Surplus {
    pub(crate) bytes: usize,
    pub(crate) chunks: usize,
}

impl Sum for Surplus {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            bytes: sum.bytes + part.bytes,
            chunks: sum.chunks + part.chunks,
        })
    }
}

#[cfg(test)]
mod tests;
