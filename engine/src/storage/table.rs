//! A table: the rows of one archetype, as columns of equal length.

#![allow(unsafe_code, reason = "points to columns that several queries share out")]

use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use convoy_pool::MemoryError;

use super::archetype::Archetype;
use super::column::{Column, RawColumn, Surplus};
use super::component::{ENABLED, Registry};
use super::component_id::{COMPONENTS_MAX, ComponentId};
use super::entity::Entity;
use super::epoch::Epoch;
use super::history::{Memory, Returns};
use super::mask::ComponentMask;
use super::rows::Rows;

mod restore;

pub(crate) struct Table {
    /// In the order of component ids; the entity column is the first.
    columns: Box<[Column]>,
    mask: Arc<ComponentMask>,
    /// Where the column of each component id stands in `columns`, or `ABSENT`; no longer than the
    /// largest id needs.
    positions: Box<[u16]>,
    rows: u32,
    /// The most rows that a capture took of this table while others were active, so never less
    /// than what any active capture sees.
    captured_rows: u32,
    /// Rows below this can be appended in `open_epoch` without preparing the columns again.
    open_until: u32,
    /// Rows in the smallest full chunk of a column, less one: only where a length has none of
    /// these bits can a chunk have become empty.
    chunk_mask: u32,
    open_epoch: Epoch,
    /// Whether rows hold links of the hierarchy, which have counterparts in other rows.
    linked: bool,
    /// Where the columns stand that tell which rows have a component switched off.
    toggles: Box<[u16]>,
}

/// Why rows can't be appended.
#[derive(Debug)]
pub(crate) enum SpawnRowsError {
    /// A table has fewer than 2^32 rows.
    TooMany,
    Memory(MemoryError),
}

impl From<MemoryError> for SpawnRowsError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

/// Stands in a list of target positions for a column that the target lacks, or whose value is
/// replaced.
pub(crate) const DROPPED: u16 = u16::MAX;

/// Marks an id without a column.
const ABSENT: u16 = u16::MAX;

const _: () = assert!(COMPONENTS_MAX <= ABSENT as usize, "no column stands at `ABSENT`");

/// Where the columns of a table stand.
#[derive(Clone, Copy)]
pub(crate) struct Positions<'a>(&'a [u16]);

impl<'a> Positions<'a> {
    #[inline]
    pub(crate) fn find(&self, id: ComponentId) -> Option<usize> {
        let position = *self.0.get(id.index())?;
        (position != ABSENT).then_some(usize::from(position))
    }
}

/// Switches components on in some rows, which are writable in the columns of their toggles, those
/// at `toggles`.
#[inline]
pub(crate) fn enable_rows(columns: &mut [Column], toggles: &[u16], rows: Range<usize>) {
    if !toggles.is_empty() {
        enable_toggles(columns, toggles, rows);
    }
}

#[inline(never)]
fn enable_toggles(columns: &mut [Column], toggles: &[u16], rows: Range<usize>) {
    for &position in toggles {
        columns[usize::from(position)].fill_run(rows.start, rows.len(), &ENABLED);
    }
}

impl Table {
    pub(crate) fn new(archetype: &Archetype, registry: &Registry) -> Self {
        let mask = archetype.shared_mask();
        let columns = mask.iter().map(|id| Column::new(id, registry.info(id))).collect();
        let mut positions = Vec::new();
        for (position, id) in (0..).zip(mask.iter()) {
            positions.resize(id.index(), ABSENT);
            positions.push(position);
        }
        let positions = positions.into_boxed_slice();
        let chunk_rows = mask.iter().map(|id| registry.info(id).chunk_rows()).min();
        let chunk_mask = chunk_rows.map_or(0, |rows| rows as u32 - 1);
        let toggles = mask.intersection(registry.toggles());
        let toggles = toggles.iter().map(|id| mask.rank(id) as u16).collect();
        let linked = mask.iter().any(|id| registry.info(id).is_engine_owned());
        Self {
            columns,
            mask,
            positions,
            rows: 0,
            captured_rows: 0,
            open_until: 0,
            chunk_mask,
            open_epoch: Epoch::ZERO,
            linked,
            toggles,
        }
    }

    /// Whether rows hold links of the hierarchy: they are never removed without mending those of
    /// other rows.
    #[inline]
    pub(crate) fn is_linked(&self) -> bool {
        self.linked
    }

    /// Switches everything on in rows that are new, and writable.
    #[inline]
    pub(crate) fn enable_rows(&mut self, rows: Range<usize>) {
        enable_rows(&mut self.columns, &self.toggles, rows);
    }

    pub(crate) fn mask(&self) -> &ComponentMask {
        &self.mask
    }

    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.rows as usize
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(crate) fn columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    #[inline]
    fn positions(&self) -> Positions<'_> {
        Positions(&self.positions)
    }

    /// Where the column of `id` stands in [`Table::columns`].
    #[inline]
    pub(crate) fn position(&self, id: ComponentId) -> Option<usize> {
        self.positions().find(id)
    }

    #[inline]
    pub(crate) fn column(&self, id: ComponentId) -> Option<&Column> {
        self.position(id).map(|position| self.column_at(position))
    }

    /// The column at a position. Borrows no other one.
    #[inline]
    pub(crate) fn column_at(&self, position: usize) -> &Column {
        &self.columns[position]
    }

    #[inline]
    pub(crate) fn column_mut(&mut self, id: ComponentId) -> Option<&mut Column> {
        self.position(id).map(|position| &mut self.columns[position])
    }

    /// The column at a position, for a query that has it exclusively while the table is only borrowed
    /// shared: queries share the columns of a table out among each other. Makes no reference to a
    /// column.
    #[inline]
    pub(crate) fn column_ptr(&self, position: usize) -> *mut Column {
        let table = ptr::from_ref(self).cast_mut();
        // SAFETY: the place is read, not written: the pointer to the columns, which keeps the
        // rights that their owner has.
        let columns = unsafe { &raw mut *(*table).columns };
        assert!(position < columns.len(), "the table has the column");
        // SAFETY: the position was checked.
        unsafe { columns.cast::<Column>().add(position) }
    }

    /// The chunks of the column at a position. Refers to no other column, and to this one for the
    /// moment only.
    #[inline]
    pub(crate) fn raw_column(&self, position: usize) -> RawColumn {
        // SAFETY: the table has the column. Queries that have it exclusively refer to it for moments
        // in which nothing else of theirs runs, and other queries don't look at it then.
        unsafe { &*self.column_ptr(position) }.raw(self.rows())
    }

    /// log2 of the rows in a chunk of the column at a position, and the bytes of a row.
    #[inline]
    pub(crate) fn column_shape(&self, position: usize) -> (u8, usize) {
        // SAFETY: as in `raw_column`.
        let column = unsafe { &*self.column_ptr(position) };
        (column.rows_log2(), column.size())
    }

    /// The bytes of a run of rows of one column, which lie in one chunk, for writing; `None` where the
    /// table has no such column. A chunk that a snapshot shares is copied first.
    ///
    /// # Panics
    ///
    /// When not all bytes are values of the component, or only the engine writes it.
    pub(crate) fn own_bytes(
        &mut self,
        id: ComponentId,
        run: Range<usize>,
        (registry, memory): (&Registry, &mut Memory),
    ) -> Result<Option<&mut [u8]>, MemoryError> {
        let (info, rows) = (registry.info(id), self.rows());
        let takes_any = info.accepts_any_bytes() && !info.is_engine_owned();
        assert!(takes_any && id != ComponentId::ENTITY, "a component that takes any bytes");
        self.column_mut(id).map(|column| column.own_bytes(run, rows, memory)).transpose()
    }

    /// The handles of all rows.
    pub(crate) fn entities(&self) -> Rows<'_> {
        self.columns[0].rows(self.rows())
    }

    #[inline]
    pub(crate) fn entity(&self, row: usize) -> Entity {
        *self.columns[0].get(row)
    }

    /// Bytes of the chunks that `rows` more rows need.
    pub(crate) fn missing_bytes(&self, rows: usize) -> usize {
        let rows = self.rows() + rows;
        let columns = self.columns.iter().map(|column| column.missing_bytes(rows));
        columns.fold(0, usize::saturating_add)
    }

    /// Makes room for `rows` more rows.
    pub(crate) fn reserve(&mut self, rows: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let live = self.rows();
        for column in &mut self.columns {
            column.reserve_list(live + rows)?;
            column.reserve(live + rows, live, memory)?;
        }
        Ok(())
    }

    /// Makes room for the lists of `rows` rows' chunks, without making the chunks.
    pub(crate) fn reserve_lists(&mut self, rows: usize) -> Result<(), MemoryError> {
        self.columns.iter_mut().try_for_each(|column| column.reserve_list(rows))
    }

    /// Makes the row after the last one writable in every column. Nothing is added yet: the
    /// caller writes the columns and then calls [`Table::commit_append`].
    #[cold]
    pub(crate) fn prepare_append(&mut self, memory: &mut Memory) -> Result<(), MemoryError> {
        let row = self.rows();
        let mut open = usize::MAX;
        for column in &mut self.columns {
            let limit = column.prepare_append(row, self.captured_rows as usize, memory)?;
            open = open.min(limit);
        }
        self.open_until = u32::try_from(open).unwrap_or(u32::MAX);
        self.open_epoch = memory.epoch();
        Ok(())
    }

    /// Whether [`Table::prepare_append`] has come to the row after the last one in `epoch`, the
    /// current one.
    #[inline]
    pub(crate) fn is_open(&self, epoch: Epoch) -> bool {
        self.rows < self.open_until && self.open_epoch == epoch
    }

    /// Whether every column says of the row after the last one what the table notes of them all.
    fn is_writable_at_end(&self) -> bool {
        let (row, captured) = (self.rows(), self.captured_rows as usize);
        let mut columns = self.columns.iter().filter(|column| column.size() > 0);
        columns.all(|column| column.is_open(row, captured, self.open_epoch))
    }

    /// Forgets what was made writable.
    pub(crate) fn close(&mut self) {
        self.open_until = 0;
    }

    /// Makes `count` rows after the last one writable in every column, as
    /// [`Table::prepare_append`] does for one. The caller writes them and then calls
    /// [`Table::commit_append_run`].
    pub(crate) fn prepare_append_run(
        &mut self,
        count: usize,
        memory: &mut Memory,
    ) -> Result<(), SpawnRowsError> {
        self.prepare_append_rest(0, count, memory)
    }

    /// As [`Table::prepare_append_run`] for `count` rows, of which the first `filled` were prepared
    /// and written before: they are part of what a chunk that has to grow takes along.
    pub(crate) fn prepare_append_rest(
        &mut self,
        filled: usize,
        count: usize,
        memory: &mut Memory,
    ) -> Result<(), SpawnRowsError> {
        let (rows, captured) = (self.rows(), self.captured_rows as usize);
        let end = rows.checked_add(count).filter(|&end| end < u32::MAX as usize);
        let end = end.ok_or(SpawnRowsError::TooMany)?;
        for column in &mut self.columns {
            column.prepare_append_run(rows + filled..end, captured, memory)?;
        }
        Ok(())
    }

    /// Makes `row` writable in every column.
    pub(crate) fn own_row(&mut self, row: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let rows = self.rows();
        Column::own_row_of_all(&mut self.columns, row, rows, memory)
    }

    /// Makes the end of the table ready for `leaving` removals and `arriving` appends in any
    /// order: each writes a row that is writable then, and needs no memory that the others did not
    /// give back. Rows that removals fill are made writable by [`Table::own_row`].
    pub(crate) fn prepare_end(
        &mut self,
        leaving: usize,
        arriving: usize,
        memory: &mut Memory,
    ) -> Result<(), SpawnRowsError> {
        if arriving == 0 {
            return Ok(());
        }
        self.prepare_append_run(arriving, memory)?;
        let rows = self.rows();
        if leaving > 0 {
            // Removals may give a chunk back before an append asks for it again. It goes to the
            // arena, and not to a dead list, if it was born in this epoch.
            for column in &mut self.columns {
                column.own_rows(rows - leaving..rows + arriving, rows, memory)?;
            }
        }
        Ok(())
    }

    /// Gives back the memory that the present rows don't need. Returns the bytes and the chunks.
    pub(crate) fn compact(&mut self, memory: &mut Memory) -> Surplus {
        let rows = self.rows();
        self.open_until = 0;
        self.columns.iter_mut().map(|column| column.compact(rows, memory)).sum()
    }

    /// Gives back room in the lists of chunks. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        self.columns.iter_mut().map(Column::trim_list).sum()
    }

    /// Makes every chunk of one column writable.
    pub(crate) fn own_column(
        &mut self,
        position: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let rows = self.rows();
        let column = &mut self.columns[position];
        column.own_rows(0..rows, rows, memory)
    }

    /// Adds the rows that [`Table::prepare_append_run`] made writable.
    pub(crate) fn commit_append_run(&mut self, count: usize) {
        self.rows += count as u32;
        self.open_until = 0;
    }

    /// Adds the row that [`Table::prepare_append`] made writable.
    #[inline]
    pub(crate) fn commit_append(&mut self) {
        debug_assert!(self.rows < self.open_until, "an append is prepared first");
        debug_assert!(self.is_writable_at_end(), "an append is prepared in its own chunk");
        self.rows += 1;
    }

    /// Makes `row` writable where a removal will move the last row into it. Changes no row.
    pub(crate) fn prepare_remove(
        &mut self,
        row: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let rows = self.rows();
        assert!(row < rows, "the row is in the table");
        if row + 1 < rows {
            Column::own_row_of_all(&mut self.columns, row, rows, memory)?;
        }
        Ok(())
    }

    /// Whether `row` can be removed in `epoch`, the current one: it is writable, or the last one.
    #[inline]
    pub(crate) fn can_remove(&self, row: usize, epoch: Epoch) -> bool {
        row + 1 == self.rows() || self.owns_row(row, epoch)
    }

    #[inline]
    fn owns_row(&self, row: usize, epoch: Epoch) -> bool {
        self.columns.iter().all(|column| column.is_owned(row >> column.rows_log2(), epoch))
    }

    /// Removes the `row` that [`Table::prepare_remove`] made writable, by moving the last row into
    /// its place. Returns the entity that moved. Chunks stay, for [`Table::release_empty`].
    #[inline]
    pub(crate) fn commit_remove(&mut self, row: usize) -> Option<Entity> {
        let last = self.rows() - 1;
        if row != last {
            for column in &mut self.columns {
                column.copy_within(last, row);
            }
        }
        self.finish_remove(row, last)
    }

    /// Moves `row` to the row of `target` that [`Table::prepare_append`] made writable, and the
    /// last row into its place, which [`Table::prepare_remove`] made writable. `positions` tells
    /// for each column where its component stands in `target`, or [`DROPPED`]. Returns the entity
    /// that took the place of the one that left. Chunks stay, for [`Table::release_empty`].
    #[inline]
    pub(crate) fn commit_move(
        &mut self,
        row: usize,
        target: &mut Self,
        positions: &[u16],
    ) -> Option<Entity> {
        let (last, to) = (self.rows() - 1, target.rows());
        for (column, &position) in self.columns.iter_mut().zip(positions) {
            let target = (position != DROPPED).then(|| &mut target.columns[usize::from(position)]);
            match target {
                Some(target) if row != last => column.move_row(row, last, target, to),
                // The last row is not written, not even with what it holds: its chunk may be
                // shared.
                Some(target) => target.copy_from(to, column, row),
                None if row != last => column.copy_within(last, row),
                None => {}
            }
        }
        target.rows += 1;
        self.finish_remove(row, last)
    }

    /// Forgets the last row after it was copied to `row`.
    #[inline]
    fn finish_remove(&mut self, row: usize, last: usize) -> Option<Entity> {
        let moved = (row != last).then(|| self.entity(row));
        self.rows = last as u32;
        // The next append may land below what a capture sees, or in a chunk before the one that was
        // made writable.
        if self.rows < self.captured_rows || (self.rows + 1) & self.chunk_mask == 0 {
            self.open_until = 0;
        }
        moved
    }

    /// After one row was removed: chunks beyond one empty spare go back.
    #[inline]
    pub(crate) fn release_empty(&mut self, memory: &mut Returns) {
        if self.rows & self.chunk_mask == 0 {
            self.release_chunks(memory);
        }
    }

    #[cold]
    fn release_chunks(&mut self, memory: &mut Returns) {
        let rows = self.rows();
        self.open_until = 0;
        for column in &mut self.columns {
            if column.size() > 0 && rows & (column.chunk_rows() - 1) == 0 {
                column.truncate((rows >> column.rows_log2()) + 1, memory);
                column.release_foreign_spares(rows, memory);
            }
        }
    }

    /// After any number of rows was removed: chunks beyond one empty spare go back.
    pub(crate) fn release_surplus(&mut self, memory: &mut Returns) {
        let rows = self.rows();
        for column in self.columns.iter_mut().filter(|column| column.size() > 0) {
            let held = column.chunk_count();
            column.truncate(rows.div_ceil(column.chunk_rows()) + 1, memory);
            column.release_foreign_spares(rows, memory);
            if column.chunk_count() < held {
                self.open_until = 0;
            }
        }
    }

    /// Removes all rows and gives their chunks back in bulk, last to first, so that they come out
    /// of the arena in ascending order. The lists of chunks keep their capacity.
    pub(crate) fn clear(&mut self, memory: &mut Returns) {
        self.rows = 0;
        self.open_until = 0;
        for column in &mut self.columns {
            column.truncate(0, memory);
        }
    }

    /// Forgets all rows from `rows` on, whose values were moved elsewhere. Where that empties
    /// whole chunks, those beyond the one that is appended to next go back.
    pub(crate) fn shrink(&mut self, rows: usize, memory: &mut Returns) {
        let old = self.rows();
        assert!(rows <= old, "a table shrinks to what it holds");
        self.rows = rows as u32;
        self.open_until = 0;
        for column in &mut self.columns {
            let (keep, log2) = (rows >> column.rows_log2(), column.rows_log2());
            if column.size() > 0 && keep < old >> log2 {
                column.truncate(keep + 1, memory);
            }
            column.release_foreign_spares(rows, memory);
        }
    }

    /// Notes that a capture takes the present rows. `others` tells whether older captures are
    /// still active.
    pub(crate) fn note_capture(&mut self, others: bool) {
        self.captured_rows = if others { self.captured_rows.max(self.rows) } else { self.rows };
    }

    /// Sets the number of rows after a replica's columns were filled.
    pub(crate) fn set_rows(&mut self, rows: usize) {
        self.rows = rows as u32;
        self.open_until = 0;
    }
}
