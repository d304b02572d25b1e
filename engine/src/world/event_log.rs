//! [`EventLog`]: the records of one event type.
//!
//! A log is a column of its own: chunks of records, of which the oldest are dropped whole once
//! more than the retention is kept. Appending never disturbs a snapshot, which looks no further
//! than the length it captured.

use convoy_pool::MemoryError;

use crate::storage::ComponentId;
use crate::storage::column::{Column, Surplus};
use crate::storage::component::{Component, ComponentInfo};
use crate::storage::history::Memory;

/// Records beyond which the list of a log's chunks is left to grow: a retention without bound is
/// not a size. At 1,024 records a chunk the list then takes 24 KiB.
const LISTED_MAX: usize = 1 << 20;

/// The log of one event type.
pub(crate) struct EventLog {
    column: Column,
    /// The sequence number of the first record kept.
    first: u64,
    rows: usize,
}

impl EventLog {
    pub(crate) fn new(id: ComponentId, info: &ComponentInfo) -> Self {
        Self { column: Column::new(id, info), first: 0, rows: 0 }
    }

    /// Makes room to list the chunks of `retention` records and of those that come before the
    /// oldest are dropped, unless that is more than anybody will send.
    pub(crate) fn reserve_list(&mut self, retention: usize) {
        if retention <= LISTED_MAX {
            self.column.reserve_list(retention + 2 * self.column.chunk_rows());
        }
    }

    pub(crate) fn component(&self) -> ComponentId {
        self.column.component()
    }

    pub(crate) fn column(&self) -> &Column {
        &self.column
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The number that the next record gets.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.rows as u64
    }

    /// Appends a record, after dropping the oldest chunk of records where `retention` allows it.
    pub(crate) fn push<T: Component>(
        &mut self,
        event: T,
        retention: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        // Records are never rewritten, so no capture can see the row past the last one.
        self.column.prepare_append(self.rows, self.rows, memory)?;
        if self.column.size() > 0 && self.rows > retention.saturating_add(self.column.chunk_rows())
        {
            self.column.drop_first(memory);
            self.first += self.column.chunk_rows() as u64;
            self.rows -= self.column.chunk_rows();
        }
        self.column.write(self.rows, event);
        self.rows += 1;
        Ok(())
    }

    /// Drops all records. Their numbers are not given again.
    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.first += self.rows as u64;
        self.rows = 0;
        self.column.truncate(0, memory);
    }

    /// Gives back the memory that the records don't need.
    pub(crate) fn compact(&mut self, memory: &mut Memory) -> Surplus {
        self.column.compact(self.rows, memory)
    }

    /// Gives back room in the list of chunks. Returns its bytes.
    pub(crate) fn trim_list(&mut self) -> usize {
        self.column.trim_list()
    }

    /// How many chunks at the front of a replica's log have to go so that the rest holds the
    /// records that `source` still has, under the same numbers. What was dropped from the front
    /// of both is not copied again, because records are never rewritten.
    pub(crate) fn outdated_chunks(&self, source: &Self) -> usize {
        let chunk_rows = self.column.chunk_rows();
        let held = if self.column.size() == 0 { 0 } else { self.rows.div_ceil(chunk_rows) };
        let dropped = source.first.checked_sub(self.first).map(|rows| rows as usize);
        match dropped {
            Some(rows) if rows % chunk_rows == 0 => held.min(rows / chunk_rows),
            _ => held,
        }
    }

    /// Drops `outdated` chunks from the front and takes over the numbers of `source`, whose
    /// records the caller copies.
    pub(crate) fn align(&mut self, outdated: usize, source: &Self, memory: &mut Memory) {
        if source.rows == 0 {
            self.column.truncate(0, memory);
        } else {
            (0..outdated).for_each(|_| self.column.drop_first(memory));
        }
        (self.first, self.rows) = (source.first, source.rows);
    }

    pub(crate) fn column_mut(&mut self) -> &mut Column {
        &mut self.column
    }
}
