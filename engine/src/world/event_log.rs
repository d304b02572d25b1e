//! [`EventLog`]: the records of one event type.
//!
//! A log is a column of its own: chunks of records. The oldest are dropped whole once more than the
//! retention is kept. Appending never disturbs a snapshot, which looks no further than the length
//! it captured.

#![allow(unsafe_code, reason = "takes the word of a sync for records that it copies")]

use convoy_pool::MemoryError;

use crate::storage::ComponentId;
use crate::storage::column::Column;
use crate::storage::column::access::RowMut;
use crate::storage::component::{Component, ComponentInfo, ValueBytes};
use crate::storage::epoch::Now;
use crate::storage::forks::Forks;
use crate::storage::frozen::restore::LogEntries;
use crate::storage::history::restore::{Revival, SnapshotOf};
use crate::storage::history::{Memory, Returns};
use crate::storage::recorded::RecordedValue;
use crate::storage::world_id::WorldId;

/// Records beyond which the list of a log's chunks is left to grow: a retention without bound is
/// not a size. At 1,024 records a chunk the list then takes 24 KiB.
const LISTED_MAX: usize = 1 << 20;

/// The log of one event type.
pub(crate) struct EventLog {
    column: Column,
    /// The sequence number of the first record kept.
    first: u64,
    rows: usize,
    forks: Forks,
    followed: Followed,
    /// Whether the log has changed by itself since it last followed another one.
    changed: bool,
}

/// Where a replica's log and its source's were when a sync last made them equal.
struct Followed {
    /// The source, or `NONE` before the first sync.
    world: WorldId,
    /// The timeline of this log.
    own: u64,
    /// The timeline of the source's log.
    theirs: u64,
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
            forks: Forks::new(),
            followed: Followed {
                world: WorldId::NONE,
                own: 0,
                theirs: 0,
                end: 0,
                out_of_step: false,
            },
            changed: false,
        }
    }

    /// Makes room to list the chunks of `retention` records and of those that come before the
    /// oldest are dropped, unless that is more than anybody will send.
    pub(crate) fn reserve_list(&mut self, retention: usize) {
        if retention <= LISTED_MAX {
            // Short of memory the list grows later.
            _ = self.column.reserve_list(retention + 2 * self.column.chunk_rows());
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

    /// Appends the record of type `T` that `write` writes, in place, where that takes neither a chunk nor a
    /// drop of older records. Tells whether it did. Always inlined, so that a record goes from registers to
    /// its row: reading it back from the stack, where it was just put together, costs more than all the rest.
    #[inline(always)]
    pub(crate) fn push_now<T: Component>(
        &mut self,
        write: impl FnOnce(RowMut<'_>),
        retention: usize,
        now: Now<'_>,
    ) -> bool {
        let is_within = self.rows <= retention.saturating_add(self.column.chunk_rows());
        if is_within && let Some(row) = self.column.owned_row::<T>(self.rows, now) {
            write(row);
            self.rows += 1;
            self.changed = true;
            return true;
        }
        false
    }

    /// Appends a record by its bytes, after dropping the oldest chunk of records where `retention`
    /// allows it.
    #[inline]
    pub(crate) fn push<T: Component>(
        &mut self,
        event: RecordedValue<'_, T>,
        retention: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let write = |row: RowMut<'_>| row.write_recorded(event);
        if self.push_now::<T>(write, retention, memory.now()) {
            return Ok(());
        }
        self.push_with(write, retention, memory)
    }

    /// [`EventLog::push`] of a record given by its bytes.
    pub(crate) fn push_bytes(
        &mut self,
        event: ValueBytes<'_>,
        retention: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        self.push_with(|row| row.write_bytes(event), retention, memory)
    }

    /// Appends the record that `write` writes, also one that needs a chunk, a chunk of one's own, or
    /// that older ones are dropped.
    #[cold]
    #[inline(never)]
    fn push_with(
        &mut self,
        write: impl FnOnce(RowMut<'_>),
        retention: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        write(self.column.append_row(self.rows, memory)?);
        self.rows += 1;
        if self.column.size() > 0
            && self.rows > retention.saturating_add(self.column.chunk_rows() + 1)
        {
            self.column.drop_first(memory);
            self.first += self.column.chunk_rows() as u64;
            self.rows -= self.column.chunk_rows();
        }
        self.changed = true;
        Ok(())
    }

    /// Appends the records that `events` gives, run by run, with the drops of single sends. Where memory runs
    /// out, those that were taken are in the log, and no other was.
    pub(crate) fn extend<T: Component>(
        &mut self,
        mut events: impl Iterator<Item = T>,
        retention: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        // A row is prepared before the event is taken that it is for, unless none is to come.
        while events.size_hint().1 != Some(0) {
            let writable = self.column.prepare_append(self.rows, memory)?.end;
            let Some(first) = events.next() else { return Ok(()) };
            // Also drops what is too old, and so may take a chunk away from the front.
            self.push(RecordedValue::from(&first), retention, memory)?;
            let kept = retention.saturating_add(self.column.chunk_rows() + 1);
            let end = writable.min(kept).min(self.column.run_end(self.rows, usize::MAX));
            let rows = self.rows..end.max(self.rows);
            let Some(run) = self.column.writable_run(rows, memory.now()) else { continue };
            for place in run.into_places::<T>() {
                let Some(event) = events.next() else { return Ok(()) };
                place.write(event);
                self.rows += 1;
            }
        }
        Ok(())
    }

    /// The bytes of a record that is kept, of a type with bytes.
    fn record(&self, number: u64) -> &[u8] {
        self.column.bytes((number - self.first) as usize)
    }

    /// Counts `rows` more records, of a type without bytes, as if they were sent.
    #[cfg(test)]
    pub(crate) fn push_many(&mut self, rows: usize) {
        assert_eq!(self.column.size(), 0, "the records have no bytes");
        self.rows += rows;
        self.changed = true;
    }

    /// Drops all records. Their numbers are not given again.
    pub(crate) fn clear(&mut self, memory: &mut Returns) {
        self.first += self.rows as u64;
        self.rows = 0;
        self.changed = true;
        self.column.truncate(0, memory);
    }

    /// Takes the records of a capture back, under the numbers that they had. The next event gets
    /// the number after the last of them, as it did after the capture; cursors that have come
    /// further learn of it by the fork. A branch forks the captured log where that ended. Returns
    /// how many chunks were taken back.
    pub(crate) fn restore(&mut self, captured: LogEntries<'_>, revival: &mut Revival<'_>) -> u64 {
        let LogEntries { first, forks, entries, rows } = captured;
        let end = self.end();
        let held = (end.saturating_sub(first) as usize).min(rows);
        let numbers = (self.first, first);
        let taken = self.column.restore_log(entries, numbers, (held, rows), revival);
        (self.first, self.rows) = (first, rows);
        self.changed = true;
        // Events read since the capture, and since every fork after it, are not in the log.
        let common = if revival.of() == SnapshotOf::AnotherWorld {
            self.forks = forks;
            self.end()
        } else {
            let common = self.forks.common_since(forks.timeline()).unwrap_or(u64::MAX);
            common.min(self.end()).min(end)
        };
        self.forks.fork(common);
        taken
    }

    /// How many chunks at the front of a replica's log have to go so that the rest holds the
    /// records that `source` still has, under the same numbers. Where both have dropped the same,
    /// the rest is not copied again, because records are never rewritten.
    pub(crate) fn outdated_chunks(&self, source: &Self) -> usize {
        let chunk_rows = self.column.chunk_rows();
        let held = if self.column.size() == 0 { 0 } else { self.rows.div_ceil(chunk_rows) };
        let dropped = source.first.checked_sub(self.first).map(|rows| rows as usize);
        match dropped {
            Some(rows) if rows % chunk_rows == 0 => held.min(rows / chunk_rows),
            _ => held,
        }
    }

    /// Drops the records that `source` does not have any more from the front and takes over its
    /// numbers. `world` is the source's.
    ///
    /// # Safety
    ///
    /// The caller copies the records before anything reads them: those in chunks that `source` has
    /// written since the last sync, and all where there was none.
    pub(crate) unsafe fn align(&mut self, source: &Self, world: WorldId, memory: &mut Returns) {
        let outdated = self.outdated_chunks(source);
        self.follow(source, world);
        if source.rows == 0 {
            self.column.truncate(0, memory);
        } else {
            (0..outdated).for_each(|_| self.column.drop_first(memory));
        }
        (self.first, self.rows) = (source.first, source.rows);
    }

    /// Lets cursors of this log, which is about to become that of `source`, go on where the records
    /// that they have read and those of the source differ.
    ///
    /// A replica that has only ever followed one source takes its forks over, and counts the same
    /// timelines. Timelines never count backwards in one log; so one that has changed by itself
    /// counts its own from then on, and forks where its records are not those of the source.
    fn follow(&mut self, source: &Self, world: WorldId) {
        let another = self.followed.world != world && self.followed.world != WorldId::NONE;
        self.followed.out_of_step |= self.changed || another;
        if self.followed.out_of_step {
            let common = self.common_with(source, another);
            if common < self.end() {
                self.forks.fork(common);
            }
        } else {
            self.forks = source.forks;
        }
        let (own, theirs) = (self.forks.timeline(), source.forks.timeline());
        let (end, out_of_step) = (source.end(), self.followed.out_of_step);
        self.followed = Followed { world, own, theirs, end, out_of_step };
        self.changed = false;
    }

    /// Up to which number the records are those of `source`, as far as that can be told, and have
    /// not been sent anew there. Compares the records sent since the two were last equal.
    fn common_with(&self, source: &Self, another: bool) -> u64 {
        let Followed { own, theirs, end, .. } = self.followed;
        let sent_anew = if another { None } else { source.forks.common_since(theirs) };
        let sent_anew = sent_anew.unwrap_or(u64::MAX);
        let changed = if self.changed { end } else { u64::MAX };
        let own = self.forks.common_since(own).unwrap_or(u64::MAX);
        let equal = if another { 0 } else { changed.min(own).min(sent_anew) };
        let ends = self.end().min(source.end());
        // Where both have a record, they agree on those before that one of them has dropped.
        let start = equal.max(source.first);
        if start < self.first {
            return equal;
        }
        // Records without bytes are equal, and may be more than can be looked at.
        let mut next = if self.column.size() == 0 { ends.max(start) } else { start };
        while next < ends && self.record(next) == source.record(next) {
            next += 1;
        }
        if next == start {
            return equal;
        }
        // Beyond the end of the source nothing is its own.
        next.min(sent_anew).min(source.end())
    }

    /// Sets the numbers of the records after the column was filled by itself. Those before number `common`
    /// are the records that were there.
    ///
    /// # Safety
    ///
    /// The column has values in its first `rows` rows.
    pub(crate) unsafe fn set_records(&mut self, first: u64, rows: usize, common: u64) {
        if common < self.end() {
            self.forks.fork(common);
        }
        (self.first, self.rows) = (first, rows);
        self.changed = true;
    }

    /// Has the timelines of a log that was saved.
    pub(crate) fn take_forks(&mut self, forks: Forks) {
        self.forks = forks;
    }

    pub(crate) fn column_mut(&mut self) -> &mut Column {
        &mut self.column
    }
}
