//! A table: the rows of one archetype, as columns of equal length.

use convoy_pool::MemoryError;

use super::archetype::Archetype;
use super::column::{Column, RawColumn};
use super::component::Registry;
use super::component_id::ComponentId;
use super::entity::Entity;
use super::epoch::Epoch;
use super::history::Memory;
use super::mask::ComponentMask;

pub(crate) struct Table {
    /// In the order of component ids; the entity column is the first.
    columns: Box<[Column]>,
    mask: ComponentMask,
    rows: u32,
    /// The most rows that a capture took of this table while others were active, so never less
    /// than what any active capture sees.
    captured_rows: u32,
    /// Rows below this can be appended in `open_epoch` without preparing the columns again.
    open_until: u32,
    open_epoch: Epoch,
}

impl Table {
    pub(crate) fn new(archetype: &Archetype, registry: &Registry) -> Self {
        let mask = *archetype.mask();
        let columns = mask.iter().map(|id| Column::new(id, registry.info(id))).collect();
        Self { columns, mask, rows: 0, captured_rows: 0, open_until: 0, open_epoch: Epoch::ZERO }
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

    pub(crate) fn mask_and_columns_mut(&mut self) -> (&ComponentMask, &mut [Column]) {
        (&self.mask, &mut self.columns)
    }

    /// Where the column of `id` stands in [`Table::columns`].
    #[inline]
    pub(crate) fn position(&self, id: ComponentId) -> Option<usize> {
        self.mask.contains(id).then(|| self.mask.rank(id))
    }

    #[inline]
    pub(crate) fn column(&self, id: ComponentId) -> Option<&Column> {
        self.position(id).map(|position| &self.columns[position])
    }

    #[inline]
    pub(crate) fn column_mut(&mut self, id: ComponentId) -> Option<&mut Column> {
        self.position(id).map(|position| &mut self.columns[position])
    }

    pub(crate) fn raw_column(&self, id: ComponentId) -> Option<RawColumn> {
        self.column(id).map(|column| column.raw(self.rows()))
    }

    #[inline]
    pub(crate) fn entity(&self, row: usize) -> Entity {
        *self.columns[0].get(row)
    }

    /// Makes room for `rows` more rows.
    pub(crate) fn reserve(&mut self, rows: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let live = self.rows();
        for column in &mut self.columns {
            column.reserve_list(live + rows);
            column.reserve(live + rows, live, memory)?;
        }
        Ok(())
    }

    /// Makes room for the lists of `rows` rows' chunks, without making the chunks.
    pub(crate) fn reserve_lists(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.reserve_list(rows);
        }
    }

    /// Makes the row after the last one writable in every column. Nothing is added yet: the
    /// caller writes the columns and then calls [`Table::commit_append`].
    #[inline]
    pub(crate) fn prepare_append(&mut self, memory: &mut Memory) -> Result<usize, MemoryError> {
        if self.rows < self.open_until && self.open_epoch == memory.epoch() {
            return Ok(self.rows());
        }
        self.open_rows(memory)
    }

    #[cold]
    fn open_rows(&mut self, memory: &mut Memory) -> Result<usize, MemoryError> {
        let row = self.rows();
        let mut open = usize::MAX;
        for column in &mut self.columns {
            let limit = column.prepare_append(row, self.captured_rows as usize, memory)?;
            open = open.min(limit);
        }
        self.open_until = u32::try_from(open).unwrap_or(u32::MAX);
        self.open_epoch = memory.epoch();
        Ok(row)
    }

    /// Adds the row that [`Table::prepare_append`] made writable.
    #[inline]
    pub(crate) fn commit_append(&mut self) {
        debug_assert!(self.rows < self.open_until, "an append is prepared first");
        self.rows += 1;
    }

    /// Makes `row` writable where a removal will move the last row into it. Changes no row.
    #[inline]
    pub(crate) fn prepare_remove(
        &mut self,
        row: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let rows = self.rows();
        assert!(row < rows, "the row is in the table");
        if row + 1 < rows {
            for column in &mut self.columns {
                column.own_row(row, rows, memory)?;
            }
        }
        Ok(())
    }

    /// Removes the `row` that [`Table::prepare_remove`] made writable, by moving the last row into
    /// its place. Returns the entity that moved.
    #[inline]
    pub(crate) fn commit_remove(&mut self, row: usize, memory: &mut Memory) -> Option<Entity> {
        let last = self.rows() - 1;
        let moved = (row != last).then(|| {
            for column in &mut self.columns {
                column.copy_within(last, row);
            }
            self.entity(row)
        });
        self.shrink(last, memory);
        moved
    }

    /// Forgets the rows from `rows` on; chunks beyond one empty spare go back.
    fn shrink(&mut self, rows: usize, memory: &mut Memory) {
        self.rows = rows as u32;
        if self.rows < self.captured_rows {
            // The next append may land below what a capture sees.
            self.open_until = 0;
        }
        for column in &mut self.columns {
            if column.size() > 0 && rows & (column.chunk_rows() - 1) == 0 {
                column.truncate((rows >> column.rows_log2()) + 1, memory);
                self.open_until = 0;
            }
        }
    }

    /// Removes all rows and gives their chunks back in bulk, last to first, so that they come out
    /// of the arena in ascending order. The lists of chunks keep their capacity.
    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.rows = 0;
        self.open_until = 0;
        for column in &mut self.columns {
            column.truncate(0, memory);
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
