//! [`EventLog`]: the records of one event type.
//!
//! A log is a column of its own: chunks of records, of which the oldest are dropped whole once
//! more than the retention is kept. Appending never disturbs a snapshot, which looks no further
//! than the length it captured.

use convoy_pool::MemoryError;

use crate::storage::ComponentId;
use crate::storage::column::{Column, Surplus};
use crate::storage::component::{Component, ComponentInfo};
use crate::storage::forks::Forks;
use crate::storage::frozen::restore::LogEntries;
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
    /// Records before this number may have been captured, also where the log ends earlier now.
    captured_end: u64,
    forks: Forks,
    followed: Followed,
    /// Whether the log has changed by itself since it last followed another one.
    changed: bool,
}

/// Where a replica's log and its source's were when a sync last made them equal.
#[derive(Default)]
struct Followed {
    /// The timeline of this log.
    own: u64,
    /// The timeline of the source's log.
    source: u64,
    /// The number after the last record.
    end: u64,
    /// Whether this log counts timelines of its own, which are not those of the source.
    out_of_step: bool,
}

impl EventLog {
    pub(crate) fn new(id: ComponentId, info: &ComponentInfo) -> Self {
        Self {
            column: Column::new(id, info),
            first: 0,
            rows: 0,
            captured_end: 0,
            forks: Forks::default(),
            followed: Followed::default(),
            changed: false,
        }
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

    pub(crate) fn forks(&self) -> &Forks {
        &self.forks
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
        // Records are never rewritten, so no capture can see the row past the last one, unless a
        // restore has cut the log.
        let captured = self.rows + usize::from(self.end() < self.captured_end);
        self.column.prepare_append(self.rows, captured, memory)?;
        if self.column.size() > 0 && self.rows > retention.saturating_add(self.column.chunk_rows())
        {
            self.column.drop_first(memory);
            self.first += self.column.chunk_rows() as u64;
            self.rows -= self.column.chunk_rows();
        }
        self.column.write(self.rows, event);
        self.rows += 1;
        self.changed = true;
        Ok(())
    }

    /// Drops all records. Their numbers are not given again.
    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.first += self.rows as u64;
        self.rows = 0;
        self.changed = true;
        self.column.truncate(0, memory);
    }

    /// Takes the records of a capture back, under the numbers that they had. What is sent next
    /// gets the number after the last of them, as it did after the capture; cursors that have come
    /// further learn of it by the fork. In a branch the log begins as the captured one, and cursors
    /// go on as they would there. Returns how many chunks were taken back.
    pub(crate) fn restore(&mut self, captured: LogEntries<'_>, memory: &mut Memory) -> u64 {
        let LogEntries { first, forks, entries, rows } = captured;
        let end = self.end();
        let held = (end.saturating_sub(first) as usize).min(rows);
        let numbers = (self.first, first);
        let taken = self.column.restore_log(entries, numbers, (held, rows), memory);
        self.captured_end = self.captured_end.max(end);
        (self.first, self.rows) = (first, rows);
        self.changed = true;
        if memory.history.branching {
            self.forks = forks;
        } else {
            // What was read since the capture, and since every fork after it, is not in the log.
            let common = self.forks.common_since(forks.timeline()).unwrap_or(u64::MAX);
            self.forks.fork(common.min(self.end()).min(end));
        }
        taken
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
        self.captured_end = self.captured_end.max(self.end());
        (self.first, self.rows) = (source.first, source.rows);
        self.follow(&source.forks);
    }

    /// Takes over where the log of a source was cut: cursors go back to where what they have read
    /// and what the source has differ. Timelines never count backwards in one log, so a log that
    /// has counted its own goes on with that.
    fn follow(&mut self, source: &Forks) {
        let Followed { own, source: theirs, end, .. } = self.followed;
        self.followed.out_of_step |= self.changed || source.timeline() < self.forks.timeline();
        if self.followed.out_of_step {
            let changed = if self.changed { end } else { u64::MAX };
            let own = self.forks.common_since(own).unwrap_or(u64::MAX);
            let theirs = match source.timeline() < theirs {
                true => 0, // Another source than the last one.
                false => source.common_since(theirs).unwrap_or(u64::MAX),
            };
            let common = changed.min(own).min(theirs);
            if common < u64::MAX {
                self.forks.fork(common);
            }
        } else {
            self.forks = *source;
        }
        (self.followed.own, self.followed.source) = (self.forks.timeline(), source.timeline());
        (self.followed.end, self.changed) = (self.end(), false);
    }

    pub(crate) fn column_mut(&mut self) -> &mut Column {
        &mut self.column
    }
}
