//! Physical replicas: [`World::sync_from`] copies the chunks that differ since the last sync.
//!
//! A sync closes an epoch of the source, so that later writes there carry a newer `written` mark,
//! and an epoch of the replica, so that chunks that were written in the replica itself can be told
//! and copied again. Marks are compared by order and only against the source that made them, never
//! for equality between two worlds' counters.
//!
//! The two worlds need not have registered the same types in the same order, nor have chunks of the
//! same sizes: [`SourceIds`] tells which type of the replica is which one of the source, and rows are
//! copied by the pieces that lie in one chunk on either side.

#![allow(unsafe_code, reason = "counts rows after columns were made equal to others")]

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use convoy_pool::MemoryError;

use crate::storage::column::Column;
use crate::storage::component::Kind;
use crate::storage::component::registry::adopt::AdoptError;
use crate::storage::epoch::Epoch;
use crate::storage::heap::Blocks;
use crate::storage::history::{Memory, Returns};
use crate::storage::table::Table;
use crate::storage::{ComponentMask, RegisterError};
use crate::trace::span;

use super::core::World;
use super::role::{Role, SyncMark};
use super::source_ids::SourceIds;
use super::state::{HolderMut, Pair};
use super::types::rows_pass;

/// Why a sync did not happen. The replica is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum SyncError {
    /// The replica can't know a type of the source beside its own: it has too many, or a component
    /// of that name and another shape.
    Register(RegisterError),
    /// The component can be switched off in one of the two worlds only, and has rows that tell so:
    /// make it a toggle in both, with [`World::register_toggle`].
    Toggle {
        /// The component at fault.
        component: &'static str,
    },
    /// No memory for the copies.
    Memory(MemoryError),
}

impl fmt::Display for SyncError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(error) => error.fmt(formatter),
            Self::Toggle { component } => write!(
                formatter,
                "{component} can be switched off in one of the two worlds only: \
                 register it as a toggle in both, before the first entity that has it"
            ),
            Self::Memory(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for SyncError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Register(error) => Some(error),
            Self::Toggle { .. } => None,
            Self::Memory(error) => Some(error),
        }
    }
}

impl From<AdoptError> for SyncError {
    fn from(error: AdoptError) -> Self {
        match error {
            AdoptError::Register(error) => Self::Register(error),
            AdoptError::Toggle { component } => Self::Toggle { component },
        }
    }
}

impl From<MemoryError> for SyncError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

/// The amount that a sync copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SyncReport {
    /// Chunks looked at; where the two worlds have chunks of other sizes, the pieces that lie in
    /// one chunk of either.
    pub chunks: u64,
    /// Chunks, or such pieces, that were copied.
    pub chunks_copied: u64,
    /// Bytes of rows copied with them.
    pub bytes_copied: u64,
}

/// One sync under way: with the world's memory while it is prepared, with no more than may be given
/// back once it is.
struct Sync<'a, M> {
    /// The columns of the source that are copied, and which ones those are here.
    mask: ComponentMask,
    ids: &'a SourceIds,
    /// Chunks older than this in the source were copied before; `BEFORE_ALL` copies everything.
    since: Epoch,
    /// Chunks newer than this in the replica were written there.
    own_since: Epoch,
    memory: &'a mut M,
    report: SyncReport,
}

/// # Replicas
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
    /// `mask` names ids of the source. The types of the source become types of the replica,
    /// independent of those that it has already: one that both know keeps its id here, the others
    /// get new ones, and no id of the replica ever changes. Archetypes come to stand in the order
    /// of the source, so that the replica is iterated as the source is; archetypes that only the
    /// replica has follow, without rows. Chunks may be of other sizes here than there.
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
    /// [`SyncError::Register`] when a type of the source can't be registered here, or shares its name with a
    /// component of another shape, or when a component is described by its bytes in one of the two worlds and
    /// some of them are no value of the type that it has in the other; [`SyncError::Toggle`] when a component
    /// is a toggle in one of the two worlds only; [`SyncError::Memory`] when memory runs out. The replica's
    /// types and state are unchanged.
    pub fn sync_from(
        &mut self,
        source: &World,
        mask: ComponentMask,
    ) -> Result<SyncReport, SyncError> {
        span!("sync", tick = source.tick);
        let before = Arc::clone(&self.catalog);
        let is_rearranged = self.follow_catalog(source)?;
        let copied = match self.find_refused_of(source, &mask) {
            Some(component) => Err(SyncError::Register(RegisterError::Values { component })),
            None => self.copy_columns(source, mask).map_err(SyncError::from),
        };
        match copied {
            Ok(_) => self.close_catalog(is_rearranged),
            Err(_) => self.go_back_to_catalog(before),
        }
        copied
    }

    /// A component that the source knows by its description and the replica by a type, with bytes in
    /// the source that are no value of it.
    fn find_refused_of(&self, source: &World, mask: &ComponentMask) -> Option<&'static str> {
        let (own, theirs) = (&self.catalog.registry, &source.catalog.registry);
        if !own.has_checks() {
            return None;
        }
        let mut described =
            theirs.ids_of(Kind::Component).filter(|&id| theirs.info(id).is_described());
        let refused = described.find(|&id| {
            let check = own.info(self.source_ids.of(id)).check();
            let is_read = mask.contains(id) && source.role.may_read(id);
            is_read && !rows_pass(&source.state.tables, id, check)
        });
        refused.map(|id| theirs.info(id).name())
    }

    /// Copies the columns of `mask` from a source whose types and archetypes are known here.
    fn copy_columns(
        &mut self,
        source: &World,
        mask: ComponentMask,
    ) -> Result<SyncReport, MemoryError> {
        let mask = source.catalog.registry.with_toggles(&mask).intersection(source.role.readable());
        let mark = self.role.mark(source.id, &mask);
        let since = mark.map_or(Epoch::BEFORE_ALL, |mark| mark.source_epoch);
        let own_since = mark.map_or(Epoch::BEFORE_ALL, |mark| mark.own_epoch);
        // Everything that can fail comes first and changes nothing that can be read.
        self.attempt(|world| world.prepare_sync(source, mask, (since, own_since)))?;
        let (ids, memory) = (&self.source_ids, &mut *self.memory);
        let mut sync = Sync { mask, ids, since, own_since, memory, report: SyncReport::default() };
        let lineage = self.lineage.next();
        let Ok(()) = self.state.for_each_pair(&source.state, ids, |pair| {
            match pair {
                Pair::Table(table, from) => sync.copy_table(table, from),
                Pair::Index(index, from) if sync.copies(from.column()) => {
                    sync.copy_column(index.column_mut(), from.column(), from.len());
                    index.adopt(from, lineage);
                }
                Pair::Index(index, from) => index.adopt_count(from, lineage, sync.memory),
                Pair::Log(log, from) if sync.copies(from.column()) => {
                    // SAFETY: the next line copies the records.
                    unsafe { log.align(from, source.id, sync.memory) };
                    sync.copy_column(log.column_mut(), from.column(), from.rows());
                }
                Pair::Resource(resource, from) if sync.copies(from.column()) => {
                    sync.copy_column(resource.column_mut(), from.column(), from.rows());
                    // SAFETY: the column was just made equal to that of the source.
                    unsafe { resource.set_rows(from.rows()) };
                }
                Pair::Blocks(blocks, from) => sync.copy_blocks(blocks, from),
                // Other logs keep their events; other resources are cleared below.
                Pair::Log(..) | Pair::Resource(..) => {}
            }
            Ok::<_, Infallible>(())
        });
        self.lineage.begin_next();
        let synced = ids.known(&mask.intersection(&source.catalog.registry.ids()));
        for holder in self.state.holders_mut().skip(source.state.tables.len()) {
            match holder {
                HolderMut::Table(table) => table.clear(sync.memory),
                HolderMut::Resource(resource) if !synced.contains(resource.component()) => {
                    resource.clear(sync.memory);
                }
                HolderMut::Blocks(blocks) if !synced.contains(blocks.list()) => {
                    blocks.clear(sync.memory);
                }
                HolderMut::Index(_)
                | HolderMut::Log(_)
                | HolderMut::Resource(_)
                | HolderMut::Blocks(_) => {}
            }
        }
        let report = sync.report;
        self.tick = source.tick;
        self.texts.absorb(&source.texts);
        let (readable, source_epoch) = (ids.mask(&mask), source.memory.history.close_epoch());
        let own_epoch = self.memory.history.close_epoch();
        let mark = Some(SyncMark { source: source.id, mask, source_epoch, own_epoch });
        self.role = Role::Replica { readable, mark };
        Ok(report)
    }

    /// Makes every chunk that a sync will copy exist and writable.
    fn prepare_sync(
        &mut self,
        source: &World,
        mask: ComponentMask,
        (since, own_since): (Epoch, Epoch),
    ) -> Result<(), MemoryError> {
        let Self { state, source_ids: ids, memory, .. } = self;
        let mut sync = Sync { mask, ids, since, own_since, memory, report: SyncReport::default() };
        state.for_each_pair(&source.state, ids, |pair| match pair {
            Pair::Table(table, from) => sync.prepare_table(table, from),
            Pair::Index(index, from) if sync.copies(from.column()) => {
                index.prepare_blank_like(from, sync.memory)?;
                let rows = (index.len(), from.len());
                sync.prepare_column(index.column_mut(), from.column(), rows, 0)
            }
            Pair::Log(log, from) if sync.copies(from.column()) => {
                let (rows, outdated) = ((log.rows(), from.rows()), log.outdated_chunks(from));
                sync.prepare_column(log.column_mut(), from.column(), rows, outdated)
            }
            Pair::Resource(resource, from) if sync.copies(from.column()) => {
                let rows = (resource.rows(), from.rows());
                sync.prepare_column(resource.column_mut(), from.column(), rows, 0)
            }
            Pair::Blocks(blocks, from) => sync.prepare_blocks(blocks, from),
            Pair::Index(..) | Pair::Log(..) | Pair::Resource(..) => Ok(()),
        })
    }
}

impl Sync<'_, Memory> {
    /// Makes every chunk that the sync will copy exist and writable.
    fn prepare_table(&mut self, table: &mut Table, source: &Table) -> Result<(), MemoryError> {
        let rows = (table.rows(), source.rows());
        for from in source.columns() {
            if self.copies(from) {
                self.prepare_column(own_column(table, self.ids, from), from, rows, 0)?;
            }
        }
        Ok(())
    }

    /// Makes every chunk of the elements of lists that the sync will copy exist and writable.
    fn prepare_blocks(&mut self, blocks: &mut Blocks, source: &Blocks) -> Result<(), MemoryError> {
        let rows = (blocks.rows(), source.rows());
        if rows.1 == 0 || !self.mask.contains(source.list()) {
            return Ok(());
        }
        for (column, from) in blocks.columns_mut().iter_mut().zip(source.columns()) {
            self.prepare_column(column, from, rows, 0)?;
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
        let (chunk_rows, log2) = (column.chunk_rows(), column.rows_log2());
        let first = outdated * chunk_rows;
        column.reserve(first + rows, held, self.memory)?;
        let mut at = 0;
        while at < rows {
            let end = piece_end((column, first), source, at..rows);
            if self.differs((column, first), source, at) {
                let own = (first + at) >> log2;
                column.own(own, held.saturating_sub(own * chunk_rows), self.memory)?;
            }
            at = end;
        }
        Ok(())
    }
}

impl Sync<'_, Returns> {
    /// Copies the columns that a preparation made room for, and empties those outside the mask.
    fn copy_table(&mut self, table: &mut Table, source: &Table) {
        let rows = source.rows();
        for from in source.columns() {
            let column = own_column(table, self.ids, from);
            if self.copies(from) {
                self.copy_column(column, from, rows);
            } else {
                column.truncate(0, self.memory);
            }
        }
        // SAFETY: the columns that were copied equal those of the source, and the role of this world,
        // which says as much, lets no others be read.
        unsafe { table.set_rows(rows) };
    }

    /// Copies the elements of lists, which a preparation made room for.
    fn copy_blocks(&mut self, blocks: &mut Blocks, source: &Blocks) {
        if !self.mask.contains(source.list()) {
            return;
        }
        if source.rows() == 0 {
            blocks.clear(self.memory);
            return;
        }
        for (column, from) in blocks.columns_mut().iter_mut().zip(source.columns()) {
            self.copy_column(column, from, source.rows());
        }
        blocks.set_rows(source.rows());
    }

    fn copy_column(&mut self, column: &mut Column, source: &Column, rows: usize) {
        if column.size() == 0 {
            return;
        }
        let mut at = 0;
        while at < rows {
            let end = piece_end((column, 0), source, at..rows);
            self.report.chunks += 1;
            // Owning a chunk marked it as written, so this finds the prepared chunks.
            if self.differs((column, 0), source, at) {
                let rows = column.writable_run(at..end, self.memory.now());
                rows.expect("what differs was made writable").copy_from(source, at);
                self.report.chunks_copied += 1;
                self.report.bytes_copied += ((end - at) * column.size()) as u64;
            }
            at = end;
        }
        column.truncate(rows.div_ceil(column.chunk_rows()), self.memory);
    }
}

impl<M> Sync<'_, M> {
    /// Whether a column of the source is among those that are copied.
    fn copies(&self, source: &Column) -> bool {
        self.mask.contains(source.component())
    }

    /// Whether the chunk of row `at` was written on either side since the last sync. Here the rows
    /// of the source stand from `first` on.
    fn differs(&self, (column, first): (&Column, usize), source: &Column, at: usize) -> bool {
        let own = (first + at) >> column.rows_log2();
        let chunk = at >> source.rows_log2();
        if source.is_blank(chunk) && column.is_blank(own) {
            return false;
        }
        self.since == Epoch::BEFORE_ALL
            || source.written(chunk) > self.since
            || column.written(own) > self.own_since
    }
}

/// Where the rows that lie in one chunk with the first of `rows`, here as well as in `source`, end.
/// Here the rows of the source stand from `first` on.
fn piece_end((column, first): (&Column, usize), source: &Column, rows: Range<usize>) -> usize {
    let end = column.run_end(first + rows.start, first + rows.end) - first;
    source.run_end(rows.start, end)
}

/// The column of a table in which the rows of a column of the source's table are.
fn own_column<'a>(table: &'a mut Table, ids: &SourceIds, source: &Column) -> &'a mut Column {
    let column = table.column_mut(ids.of(source.component()));
    column.expect("both tables are of one archetype")
}
