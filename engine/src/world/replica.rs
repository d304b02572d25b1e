//! Physical replicas: [`World::sync_from`] copies what differs since the last sync.
//!
//! A sync closes an epoch of the source, so that whatever is written there afterwards carries a
//! newer `written` mark, and an epoch of the replica, so that chunks that were written in the
//! replica itself can be told and copied again. Marks are compared by order and only against the
//! source that made them, never for equality between two worlds' counters.

use std::fmt;
use std::sync::Arc;

use convoy_pool::MemoryError;

use crate::storage::column::Column;
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::table::Table;
use crate::storage::{ComponentId, ComponentMask};

use super::core::World;
use super::event_log::EventLog;
use super::sync_mark::SyncMark;

/// Why a sync did not happen, or not in full.
#[derive(Debug)]
#[non_exhaustive]
pub enum SyncError {
    /// The replica has types or archetypes of its own that the source doesn't have.
    Schema,
    /// No memory for the copies. The replica holds a mixture of the old and the new state; the
    /// next successful sync copies everything again.
    Memory(MemoryError),
}

impl fmt::Display for SyncError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema => formatter.write_str(
                "the replica has types or archetypes that its source does not have: \
                 sync into a world that is empty or that was only synced before",
            ),
            Self::Memory(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for SyncError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Schema => None,
            Self::Memory(error) => Some(error),
        }
    }
}

impl From<MemoryError> for SyncError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

/// What a sync copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SyncReport {
    /// Chunks looked at.
    pub chunks: u64,
    /// Chunks copied.
    pub chunks_copied: u64,
    /// Bytes of rows copied with them.
    pub bytes_copied: u64,
}

/// One sync under way.
struct Sync<'a> {
    /// What is older than this in the source was copied before; `ZERO` copies everything.
    since: Epoch,
    /// What is newer than this in the replica was written there.
    own_since: Epoch,
    memory: &'a mut Memory,
    report: SyncReport,
}

impl World {
    /// Makes this world a physically separate copy of the columns of `mask` in `source`: the
    /// same entities under the same handles, in the same rows, and the same tick.
    ///
    /// Copies only the chunks that were written since the last sync with that source, on either
    /// side. The bit of [`Entity`](crate::Entity) stands for the handles and the index; without
    /// it the replica can be iterated, but no entity looked up. Afterwards only the columns of
    /// `mask` can be read. The event logs of `mask` keep their sequence numbers, so a cursor that
    /// reads from the source can go on with the replica.
    ///
    /// A replica is for memory that must be separate: other processes, files, devices. For
    /// reading in this process a [`View`](crate::View) costs a fraction.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, World};
    /// let mut source = World::new();
    /// let entity = source.spawn((1_u32,));
    /// let mut replica = World::new();
    /// replica.sync_from(&source, ComponentMask::ALL).unwrap();
    /// *source.get_mut::<u32>(entity).unwrap() = 2;
    /// assert_eq!(*replica.get::<u32>(entity).unwrap(), 1);
    /// let report = replica.sync_from(&source, ComponentMask::ALL).unwrap();
    /// assert_eq!(*replica.get::<u32>(entity).unwrap(), 2);
    /// assert_eq!(report.chunks_copied, 1);
    /// ```
    ///
    /// # Errors
    ///
    /// [`SyncError::Schema`] when this world has types or archetypes of its own, and then it is
    /// unchanged; [`SyncError::Memory`] when memory runs out.
    pub fn sync_from(
        &mut self,
        source: &World,
        mask: ComponentMask,
    ) -> Result<SyncReport, SyncError> {
        if !Arc::ptr_eq(&self.schema, &source.schema) {
            if !self.schema.is_prefix_of(&source.schema) {
                return Err(SyncError::Schema);
            }
            self.schema = Arc::clone(&source.schema);
            for archetype in &self.schema.archetypes()[self.tables.len()..] {
                self.tables.push(Table::new(archetype, &self.schema.registry));
            }
            for log in &source.events[self.events.len()..] {
                let info = self.schema.registry.info(log.component());
                self.events.push(EventLog::new(log.component(), info));
            }
        }
        let mask = mask.intersection(&source.readable);
        let mark = self.synced.take().filter(|mark| mark.source == source.id && mark.mask == mask);
        let mut sync = Sync {
            since: mark.map_or(Epoch::ZERO, |mark| mark.source_epoch),
            own_since: mark.map_or(Epoch::ZERO, |mark| mark.own_epoch),
            memory: &mut self.memory,
            report: SyncReport::default(),
        };
        for (table, from) in self.tables.iter_mut().zip(&source.tables) {
            sync.table(table, from, &mask)?;
        }
        if mask.contains(ComponentId::ENTITY) {
            let (rows, from) = (source.index.len(), source.index.column());
            let held = self.index.len();
            sync.column(self.index.column_mut(), from, (held, rows))?;
            self.index.adopt(&source.index);
        } else {
            self.index.adopt_count(&source.index);
        }
        for (log, from) in self.events.iter_mut().zip(&source.events) {
            if mask.contains(log.component()) {
                sync.log(log, from)?;
            }
        }
        let report = sync.report;
        self.tick = source.tick;
        self.readable = mask;
        self.synced = Some(SyncMark {
            source: source.id,
            mask,
            source_epoch: source.memory.history.close_epoch(),
            own_epoch: self.memory.history.close_epoch(),
        });
        Ok(report)
    }
}

impl Sync<'_> {
    fn table(
        &mut self,
        table: &mut Table,
        source: &Table,
        mask: &ComponentMask,
    ) -> Result<(), MemoryError> {
        let (held, rows) = (table.rows(), source.rows());
        for (column, from) in table.columns_mut().iter_mut().zip(source.columns()) {
            if mask.contains(column.component()) {
                self.column(column, from, (held, rows))?;
            }
        }
        table.set_rows(rows);
        Ok(())
    }

    fn log(&mut self, log: &mut EventLog, source: &EventLog) -> Result<(), MemoryError> {
        log.align(source, self.memory);
        let (held, rows) = (log.rows(), source.rows());
        self.column(log.column_mut(), source.column(), (held, rows))?;
        log.set_rows(rows);
        Ok(())
    }

    /// Brings `column`, which holds `held` rows, to the state of `source` with `rows`.
    fn column(
        &mut self,
        column: &mut Column,
        source: &Column,
        (held, rows): (usize, usize),
    ) -> Result<(), MemoryError> {
        if column.size() == 0 {
            return Ok(());
        }
        column.reserve_list_like(source);
        column.reserve(rows, held.min(rows), self.memory)?;
        let chunk_rows = column.chunk_rows();
        let chunks = rows.div_ceil(chunk_rows);
        for chunk in 0..chunks {
            self.report.chunks += 1;
            let fresh = source.written(chunk) <= self.since
                && column.written(chunk) <= self.own_since
                && self.since != Epoch::ZERO;
            if fresh {
                continue;
            }
            let rows = (rows - chunk * chunk_rows).min(chunk_rows);
            // Nothing of the old rows is kept, so an owned copy needs none of them.
            column.own(chunk, 0, self.memory)?;
            column.copy_chunk_from(chunk, source, rows);
            column.mark_written(chunk, self.memory.epoch());
            self.report.chunks_copied += 1;
            self.report.bytes_copied += (rows * column.size()) as u64;
        }
        column.truncate(chunks, self.memory);
        Ok(())
    }
}
