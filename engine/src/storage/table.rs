//! A table: the rows of one archetype, as columns of equal length.

use std::ops::Range;
use std::sync::Arc;

use convoy_pool::MemoryError;

use super::archetype::{Archetype, ColumnPositions};
use super::column::Column;
use super::column::access::{RowMut, RunMut};
use super::component::{Component, ENABLED, Registry};
use super::component_id::ComponentId;
use super::entity::Entity;
use super::epoch::{Epoch, Now};
use super::history::{Memory, Returns};
use super::mask::ComponentMask;
use super::rows::Rows;

mod restore;
pub(crate) mod rows_mut;
mod share;

pub(crate) struct Table {
    /// In the order of component ids; the entity column is the first.
    columns: Box<[Column]>,
    mask: Arc<ComponentMask>,
    /// The archetype's.
    positions: Arc<[u16]>,
    rows: u32,
    open: Open,
    look: Look,
    /// Rows in the smallest full chunk of a column, less one: a chunk can only become empty
    /// when `rows & chunk_mask == 0`.
    chunk_mask: u32,
    /// Whether rows hold links of the hierarchy, which have counterparts in other rows.
    linked: bool,
    /// Where the columns stand that tell which rows have a component switched off.
    toggles: Box<[u16]>,
}

/// Rows of a table: in this epoch each of them can be written in every column, once it comes after
/// the last one. Anything that might change that for the next row ends the range.
#[derive(Clone, Copy)]
struct Open {
    start: u32,
    count: u32,
    epoch: Epoch,
}

/// A look at all chunks of a table: whether they were the world's own in this epoch. Then they are until it
/// ends, unless something is done with a column by itself, which ends the look.
#[derive(Clone, Copy)]
struct Look {
    owned: bool,
    epoch: Epoch,
}

impl Look {
    const NONE: Self = Self { owned: false, epoch: Epoch::NEVER };
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

impl Table {
    pub(crate) fn new(archetype: &Archetype, registry: &Registry) -> Self {
        let mask = archetype.shared_mask();
        let columns = mask.iter().map(|id| Column::new(id, registry.info(id))).collect();
        let chunk_rows = mask.iter().map(|id| registry.info(id).chunk_rows()).min();
        let chunk_mask = chunk_rows.map_or(0, |rows| rows as u32 - 1);
        let toggles = mask.intersection(registry.toggles());
        let toggles = toggles.iter().map(|id| mask.rank(id) as u16).collect();
        let linked = mask.iter().any(|id| registry.info(id).is_link());
        Self {
            columns,
            mask,
            positions: archetype.shared_positions(),
            rows: 0,
            open: Open { start: 0, count: 0, epoch: Epoch::NEVER },
            look: Look::NONE,
            chunk_mask,
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

    /// Switches components on in some rows, in the columns of their toggles, which are at `toggles`
    /// and were made writable there.
    #[inline]
    pub(crate) fn enable(&mut self, toggles: &[u16], rows: Range<usize>, now: Now<'_>) {
        if !toggles.is_empty() {
            self.enable_toggles(toggles, rows, now);
        }
    }

    #[inline(never)]
    fn enable_toggles(&mut self, toggles: &[u16], rows: Range<usize>, now: Now<'_>) {
        for &position in toggles {
            self.run_mut(usize::from(position), rows.clone(), now).fill(&ENABLED);
        }
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

    /// All columns, with which anything may be done: `open` and `look` end.
    pub(crate) fn columns_mut(&mut self) -> &mut [Column] {
        self.forget_notes();
        &mut self.columns
    }

    #[inline]
    fn positions(&self) -> ColumnPositions<'_> {
        ColumnPositions(&self.positions)
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

    /// One column, with which anything may be done: `open` and `look` end.
    pub(crate) fn column_mut(&mut self, id: ComponentId) -> Option<&mut Column> {
        self.forget_notes();
        self.position(id).map(|position| &mut self.columns[position])
    }

    /// `row` of the column at a position, made writable.
    #[inline]
    pub(crate) fn own_value(
        &mut self,
        position: usize,
        row: usize,
        memory: &mut Memory,
    ) -> Result<RowMut<'_>, MemoryError> {
        let rows = self.rows();
        self.columns[position].own_row(row, rows, memory)
    }

    /// Makes `rows` of the column at a position writable.
    pub(crate) fn own_values(
        &mut self,
        position: usize,
        rows: Range<usize>,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let live = self.rows();
        self.columns[position].own_rows(rows, live, memory)
    }

    /// Whether `row` of the column at a position can be written as it is.
    #[inline]
    pub(crate) fn owns_value(&self, position: usize, row: usize, now: Now<'_>) -> bool {
        self.columns[position].is_row_owned(row, now.epoch())
    }

    /// The value at `row` of the column at a position, if it can be written as it is.
    #[inline]
    pub(crate) fn owned_value<T: Component>(
        &mut self,
        position: usize,
        row: usize,
        now: Now<'_>,
    ) -> Option<&mut T> {
        self.columns[position].owned_row::<T>(row, now).map(RowMut::into_mut)
    }

    /// `row` of the column at a position, which was made writable in this epoch.
    #[inline]
    pub(crate) fn row_mut(&mut self, position: usize, row: usize, now: Now<'_>) -> RowMut<'_> {
        let row = self.columns[position].writable_row(row, now);
        row.expect("a row is made writable before it is written")
    }

    /// `rows` of the column at a position, which were made writable in this epoch.
    #[inline]
    pub(crate) fn run_mut(
        &mut self,
        position: usize,
        rows: Range<usize>,
        now: Now<'_>,
    ) -> RunMut<'_> {
        let rows = self.columns[position].writable_run(rows, now);
        rows.expect("rows are made writable before they are written")
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

    /// Makes the row after the last one writable in every column, for [`Table::next_row`].
    #[cold]
    pub(crate) fn prepare_append(&mut self, memory: &mut Memory) -> Result<(), MemoryError> {
        let row = self.rows();
        self.close();
        let mut open = 0..usize::MAX;
        for column in &mut self.columns {
            let rows = column.prepare_append(row, memory)?;
            open = open.start.max(rows.start)..open.end.min(rows.end);
        }
        // A table has fewer than 2^32 rows.
        let count = u32::try_from(open.end - open.start).unwrap_or(u32::MAX);
        self.open = Open { start: open.start as u32, count, epoch: memory.epoch() };
        Ok(())
    }

    /// Forgets the rows that were made writable: `open` ends.
    pub(crate) fn close(&mut self) {
        self.open.count = 0;
    }

    /// Forgets what was noted about all columns: `open` and `look` end.
    pub(crate) fn forget_notes(&mut self) {
        self.close();
        self.look = Look::NONE;
    }

    /// Makes `count` rows after the last one writable in every column, for [`Table::append`].
    pub(crate) fn prepare_append_run(
        &mut self,
        count: usize,
        memory: &mut Memory,
    ) -> Result<(), SpawnRowsError> {
        self.prepare_append_rest(0, count, memory)
    }

    /// As [`Table::prepare_append_run`] for `count` rows. The first `filled` rows were prepared and
    /// written before: a chunk that has to grow takes them along.
    pub(crate) fn prepare_append_rest(
        &mut self,
        filled: usize,
        count: usize,
        memory: &mut Memory,
    ) -> Result<(), SpawnRowsError> {
        let rows = self.rows();
        let end = rows.checked_add(count).filter(|&end| end < u32::MAX as usize);
        let end = end.ok_or(SpawnRowsError::TooMany)?;
        assert!(filled == 0 || self.is_open(filled, memory.now()), "what is filled was prepared");
        self.close();
        for column in &mut self.columns {
            column.prepare_append_run(rows + filled..end, memory)?;
        }
        self.open = Open { start: self.rows, count: count as u32, epoch: memory.epoch() };
        Ok(())
    }

    /// Makes `row` writable in every column.
    pub(crate) fn own_row(&mut self, row: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let rows = self.rows();
        self.columns.iter_mut().try_for_each(|column| column.own_row(row, rows, memory).map(drop))
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

    /// Makes `row` writable where a removal will move the last row into it. Changes no row.
    pub(crate) fn prepare_remove(
        &mut self,
        row: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let rows = self.rows();
        assert!(row < rows, "the row is in the table");
        if row + 1 < rows {
            self.own_row(row, memory)?;
        }
        Ok(())
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
        self.close();
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
                self.open.count = 0;
            }
        }
    }

    /// Removes all rows and gives their chunks back in bulk, last to first, so that they come out
    /// of the arena in ascending order. The lists of chunks keep their capacity.
    pub(crate) fn clear(&mut self, memory: &mut Returns) {
        self.rows = 0;
        self.close();
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
        self.close();
        for column in &mut self.columns {
            let (keep, log2) = (rows >> column.rows_log2(), column.rows_log2());
            if column.size() > 0 && keep < old >> log2 {
                column.truncate(keep + 1, memory);
            }
            column.release_foreign_spares(rows, memory);
        }
    }
}
