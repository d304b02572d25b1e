//! Physical replicas: [`World::sync_from`] copies what differs since the last sync.
//!
//! A sync closes an epoch of the source, so that whatever is written there afterwards carries a
//! newer `written` mark, and an epoch of the replica, so that chunks that were written in the
//! replica itself can be told and copied again. Marks are compared by order and only against the
//! source that made them, never for equality between two worlds' counters.

use std::fmt;
use std::sync::Arc;

use convoy_pool::MemoryError;

use crate::storage::archetype::Schema;
use crate::storage::column::Column;
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::table::Table;
use crate::storage::{ComponentId, ComponentMask};

use super::core::World;
use super::event_log::EventLog;
use super::resource::Resource;
use super::sync_mark::SyncMark;

/// Why a sync did not happen. What the replica holds is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum SyncError {
    /// The replica has types or archetypes of its own that the source doesn't have.
    Schema,
    /// No memory for the copies. What the replica holds is unchanged.
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
    /// `mask` can be read, and unless that is [`ComponentMask::ALL`], entities can't be spawned,
    /// despawned or moved until a sync of everything or a [`World::clear`]. The event logs of
    /// `mask` keep their sequence numbers, so a cursor that reads from the source can go on with
    /// the replica, unless that has sent events itself or was restored. Logs outside of `mask` stay
    /// as they are in the replica.
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
    /// [`SyncError::Schema`] when this world has types or archetypes of its own;
    /// [`SyncError::Memory`] when memory runs out. What the replica holds is unchanged.
    pub fn sync_from(
        &mut self,
        source: &World,
        mask: ComponentMask,
    ) -> Result<SyncReport, SyncError> {
        self.adopt_schema(source)?;
        let mask = source.schema.registry.closed(&mask).intersection(&source.readable);
        let mark = self.synced.filter(|mark| mark.source == source.id && mark.mask == mask);
        let mut sync = Sync {
            since: mark.map_or(Epoch::ZERO, |mark| mark.source_epoch),
            own_since: mark.map_or(Epoch::ZERO, |mark| mark.own_epoch),
            memory: &mut self.memory,
            report: SyncReport::default(),
        };
        let with_index = mask.contains(ComponentId::ENTITY);
        let index_rows = (self.index.len(), source.index.len());
        // Everything that can fail comes first and changes nothing that can be read.
        for (table, from) in self.tables.iter_mut().zip(&source.tables) {
            sync.prepare_table(table, from, &mask)?;
        }
        if with_index {
            sync.prepare_column(self.index.column_mut(), source.index.column(), index_rows, 0)?;
        }
        let logs = || source.events.iter().filter(|log| mask.contains(log.component()));
        for (log, from) in events(&mut self.events, &mask).zip(logs()) {
            let (rows, outdated) = ((log.rows(), from.rows()), log.outdated_chunks(from));
            sync.prepare_column(log.column_mut(), from.column(), rows, outdated)?;
        }
        let values = || source.resources.iter().filter(|each| mask.contains(each.component()));
        for (resource, from) in resources(&mut self.resources, &mask).zip(values()) {
            let rows = (resource.rows(), from.rows());
            sync.prepare_column(resource.column_mut(), from.column(), rows, 0)?;
        }
        for (table, from) in self.tables.iter_mut().zip(&source.tables) {
            sync.copy_table(table, from, &mask);
        }
        let lineage = self.lineage.advance();
        if with_index {
            sync.copy_column(self.index.column_mut(), source.index.column(), index_rows.1);
            self.index.adopt(&source.index, lineage);
        } else {
            self.index.adopt_count(&source.index, lineage, sync.memory);
        }
        for (log, from) in events(&mut self.events, &mask).zip(logs()) {
            log.align(from, source.id, sync.memory);
            sync.copy_column(log.column_mut(), from.column(), from.rows());
        }
        for (resource, from) in resources(&mut self.resources, &mask).zip(values()) {
            sync.copy_column(resource.column_mut(), from.column(), from.rows());
            resource.set_rows(from.rows());
        }
        for resource in self.resources.iter_mut().filter(|each| !mask.contains(each.component())) {
            resource.clear(sync.memory);
        }
        let report = sync.report;
        self.tick = source.tick;
        (self.readable, self.partial) = (mask, mask != ComponentMask::ALL);
        self.synced = Some(SyncMark {
            source: source.id,
            mask,
            source_epoch: source.memory.history.close_epoch(),
            own_epoch: self.memory.history.close_epoch(),
        });
        Ok(report)
    }

    /// Takes over the types and archetypes of a source that has at least those of this world.
    fn adopt_schema(&mut self, source: &World) -> Result<(), SyncError> {
        if Arc::ptr_eq(&self.schema, &source.schema) {
            return Ok(());
        }
        if !self.schema.is_prefix_of(&source.schema) {
            return Err(SyncError::Schema);
        }
        self.take_schema(&source.schema);
        Ok(())
    }

    /// Takes over a schema that has at least the types and archetypes of this world.
    pub(crate) fn take_schema(&mut self, schema: &Arc<Schema>) {
        self.schema = Arc::clone(schema);
        self.bundles.close(&self.schema.registry);
        for archetype in &self.schema.archetypes()[self.tables.len()..] {
            self.tables.push(Table::new(archetype, &self.schema.registry));
        }
        self.add_logs();
        self.add_resources();
    }
}

impl Sync<'_> {
    /// Makes every chunk that the sync will copy exist and writable.
    fn prepare_table(
        &mut self,
        table: &mut Table,
        source: &Table,
        mask: &ComponentMask,
    ) -> Result<(), MemoryError> {
        let rows = (table.rows(), source.rows());
        for (column, from) in table.columns_mut().iter_mut().zip(source.columns()) {
            if mask.contains(column.component()) {
                self.prepare_column(column, from, rows, 0)?;
            }
        }
        Ok(())
    }

    /// Makes room in `column`, which holds `held` rows, for the `rows` of `source` after its first
    /// `outdated` chunks, which will be dropped.
    fn prepare_column(
        &mut self,
        column: &mut Column,
        source: &Column,
        (held, rows): (usize, usize),
        outdated: usize,
    ) -> Result<(), MemoryError> {
        if column.size() == 0 {
            return Ok(());
        }
        column.reserve_list_like(source);
        let chunk_rows = column.chunk_rows();
        column.reserve(outdated * chunk_rows + rows, held, self.memory)?;
        for chunk in 0..rows.div_ceil(chunk_rows) {
            let own = outdated + chunk;
            if self.differs((column, own), (source, chunk)) {
                column.own(own, held.saturating_sub(own * chunk_rows), self.memory)?;
            }
        }
        Ok(())
    }

    /// Copies what a preparation made room for, and gives back what the mask leaves out.
    fn copy_table(&mut self, table: &mut Table, source: &Table, mask: &ComponentMask) {
        let rows = source.rows();
        for (column, from) in table.columns_mut().iter_mut().zip(source.columns()) {
            if mask.contains(column.component()) {
                self.copy_column(column, from, rows);
            } else {
                column.truncate(0, self.memory);
            }
        }
        table.set_rows(rows);
    }

    fn copy_column(&mut self, column: &mut Column, source: &Column, rows: usize) {
        if column.size() == 0 {
            return;
        }
        let chunk_rows = column.chunk_rows();
        let chunks = rows.div_ceil(chunk_rows);
        for chunk in 0..chunks {
            self.report.chunks += 1;
            // Owning a chunk marked it as written, so this finds what was prepared.
            if self.differs((column, chunk), (source, chunk)) {
                let rows = (rows - chunk * chunk_rows).min(chunk_rows);
                column.copy_chunk_from(chunk, source, rows);
                self.report.chunks_copied += 1;
                self.report.bytes_copied += (rows * column.size()) as u64;
            }
        }
        column.truncate(chunks, self.memory);
    }

    /// Whether a chunk was written on either side since the last sync.
    fn differs(&self, (column, own): (&Column, usize), (source, chunk): (&Column, usize)) -> bool {
        self.since == Epoch::ZERO
            || source.written(chunk) > self.since
            || column.written(own) > self.own_since
    }
}

/// The logs of `mask`.
fn events<'a>(
    logs: &'a mut [EventLog],
    mask: &'a ComponentMask,
) -> impl Iterator<Item = &'a mut EventLog> {
    logs.iter_mut().filter(|log| mask.contains(log.component()))
}

/// The resources of `mask`.
fn resources<'a>(
    resources: &'a mut [Resource],
    mask: &'a ComponentMask,
) -> impl Iterator<Item = &'a mut Resource> {
    resources.iter_mut().filter(|resource| mask.contains(resource.component()))
}
