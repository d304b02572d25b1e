//! Rows that come and go: [`Append`] stands for rows after the last one that can be written, and
//! [`Removal`] for a row that can leave.
//!
//! Either is made after one look at the table's note on all its columns, or at the columns
//! themselves, and is borrowed from the table. So filling a row asks nothing more.

#![allow(unsafe_code, reason = "writes rows that were found writable in all columns at once")]

use super::*;

/// Rows after the last one of a table, which no snapshot sees in any column. They become part of
/// the table with [`Append::finish`].
pub struct Append<'t> {
    table: &'t mut Table,
    /// The first of them: the one after the last of the table.
    first: usize,
    count: usize,
}

/// [`Append`] of one row.
pub(crate) struct NextRow<'t> {
    table: &'t mut Table,
    row: usize,
}

/// A row that is appended, in every column.
pub(crate) struct NewRow<'a> {
    columns: &'a mut [Column],
    row: usize,
}

/// A row of a table that is the last one, or that no snapshot sees in any column, so that the last one,
/// which is in all columns then, can take its place.
pub(crate) struct Removal<'t> {
    table: &'t mut Table,
    row: usize,
}

impl Table {
    /// Whether the `count` rows after the last one are `open`.
    #[inline]
    pub(super) fn is_open(&self, count: usize, now: Now<'_>) -> bool {
        let Open { start, count: open, epoch } = self.open;
        // A row before the first one wraps around to one after the last one.
        let before = self.rows.wrapping_sub(start) as usize;
        let open = open as usize;
        before < open && count <= open - before && epoch == now.epoch()
    }

    /// The row after the last one, where [`Table::prepare_append`] has come to it, or to one near it,
    /// in this epoch.
    #[inline]
    pub(crate) fn next_row(&mut self, now: Now<'_>) -> Option<NextRow<'_>> {
        let (row, is_open) = (self.rows(), self.is_open(1, now));
        is_open.then_some(NextRow { table: self, row })
    }

    /// The row after the last one, which was made writable in this epoch.
    pub(crate) fn append_row(&mut self, now: Now<'_>) -> NextRow<'_> {
        let Append { table, first, .. } = self.append(1, now);
        NextRow { table, row: first }
    }

    /// The `count` rows after the last one, which were made writable in this epoch.
    pub(crate) fn append(&mut self, count: usize, now: Now<'_>) -> Append<'_> {
        let first = self.rows();
        let rows = first..first.checked_add(count).expect("a table has fewer than 2^32 rows");
        // Others may have closed the table since: then each column knows.
        let is_writable = |column: &Column| column.is_run_writable(rows.clone(), now);
        let is_prepared = self.is_open(count, now) || self.columns.iter().all(is_writable);
        assert!(is_prepared, "rows are made room for before they are appended");
        Append { table: self, first, count }
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
        assert!(run.end <= rows, "the run has rows of the table");
        let Some(position) = self.position(id) else { return Ok(None) };
        let column = &mut self.columns[position];
        column.own_rows(run.clone(), rows, memory)?;
        let run = self.run_mut(position, run, memory.now());
        // SAFETY: all bytes are values of the component.
        Ok(Some(unsafe { run.into_bytes() }))
    }

    /// `row`, if it can be removed as it is: it is the last one, or writable in every column, all of which
    /// hold the last one.
    #[inline]
    pub(crate) fn removal(&mut self, row: usize, now: Now<'_>) -> Option<Removal<'_>> {
        let can_remove = match self.rows().checked_sub(row + 1) {
            None => false,
            Some(0) => true,
            Some(_) if self.look.epoch != now.epoch() => self.look_at_all(row, now),
            Some(_) => self.look.owned || self.owns_row(row, now),
        };
        can_remove.then_some(Removal { table: self, row })
    }

    /// Whether `row` is writable in every column, and the last row is in all of them.
    #[inline]
    fn owns_row(&self, row: usize, now: Now<'_>) -> bool {
        let (last, epoch) = (self.rows() - 1, now.epoch());
        let owns_it = |column: &Column| last < column.capacity() && column.is_row_owned(row, epoch);
        self.columns.iter().all(owns_it)
    }

    /// [`Table::owns_row`] after a look at all chunks, the first one in this epoch. Where all are owned, nothing
    /// has to be asked again until it ends. Where a capture began it, the first chunk tells.
    #[cold]
    fn look_at_all(&mut self, row: usize, now: Now<'_>) -> bool {
        let (rows, epoch) = (self.rows(), now.epoch());
        let is_owned = |column: &Column| rows <= column.capacity() && column.owns_all(epoch);
        self.look = Look { owned: self.columns.iter().all(is_owned), epoch };
        self.look.owned || self.owns_row(row, now)
    }
}

impl Append<'_> {
    /// The row of the first one.
    #[inline]
    pub(crate) fn first(&self) -> usize {
        self.first
    }

    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The row at `number` among these.
    #[inline]
    pub(crate) fn row(&mut self, number: usize) -> NewRow<'_> {
        assert!(number < self.count, "the row is one of those that are appended");
        NewRow { columns: &mut self.table.columns, row: self.first + number }
    }

    /// Some of the rows, by their numbers among these, in the column at a position.
    pub(crate) fn run_mut(&mut self, position: usize, numbers: Range<usize>) -> RunMut<'_> {
        let rows = self.numbered(numbers);
        // SAFETY: the rows are writable in every column, and the table is borrowed since.
        unsafe { self.table.columns[position].run_mut(rows) }
    }

    /// Some of the rows in the columns at several positions, in this order.
    pub(crate) fn runs_mut<'a>(
        &'a mut self,
        positions: &[u16],
        numbers: Range<usize>,
        runs: &mut [Option<RunMut<'a>>],
    ) {
        let rows = self.numbered(numbers);
        for (number, column) in self.table.columns.iter_mut().enumerate() {
            let place = positions.iter().position(|&position| usize::from(position) == number);
            if let Some(place) = place {
                // SAFETY: as in `run_mut`.
                runs[place] = Some(unsafe { column.run_mut(rows.clone()) });
            }
        }
    }

    /// The rows of these numbers.
    fn numbered(&self, numbers: Range<usize>) -> Range<usize> {
        let are_some = numbers.start <= numbers.end && numbers.end <= self.count;
        assert!(are_some, "the rows are some of those that are appended");
        self.first + numbers.start..self.first + numbers.end
    }

    /// Where the rows from number `number` on that lie in one chunk of every column end, or where
    /// `end` is before.
    pub(crate) fn run_end(&self, number: usize, end: usize) -> usize {
        let (row, end) = (self.first + number, self.first + end);
        self.table.columns.iter().fold(end, |end, one| one.run_end(row, end)) - self.first
    }

    /// [`Append::run_end`] for the column at a position alone.
    pub(crate) fn run_end_at(&self, position: usize, number: usize, end: usize) -> usize {
        let column = &self.table.columns[position];
        column.run_end(self.first + number, self.first + end) - self.first
    }

    /// Copies the rows of some runs of `source` to the first of these. `positions` tells for each column
    /// of the source where its component stands here, or [`DROPPED`].
    pub(crate) fn copy_runs(
        &mut self,
        source: &Table,
        runs: impl Iterator<Item = Range<usize>> + Clone,
        positions: &[u16],
    ) {
        for (column, &position) in source.columns().iter().zip(positions) {
            if position == DROPPED {
                continue;
            }
            let (position, mut to) = (usize::from(position), 0);
            for rows in runs.clone() {
                match rows.len() {
                    1 => self.row(to).column_mut(position).copy_from(column, rows.start),
                    count => self.run_mut(position, to..to + count).copy_from(column, rows.start),
                }
                to += rows.len();
            }
        }
    }

    /// Switches components on, in the columns of their toggles.
    #[inline]
    pub(crate) fn enable(&mut self, toggles: &[u16]) {
        if !toggles.is_empty() {
            self.enable_toggles(toggles);
        }
    }

    #[inline(never)]
    fn enable_toggles(&mut self, toggles: &[u16]) {
        for &position in toggles {
            self.run_mut(usize::from(position), 0..self.count).fill(&ENABLED);
        }
    }

    /// Makes the rows part of the table.
    ///
    /// # Safety
    ///
    /// Every row was written in every column since it was prepared.
    #[inline]
    pub(crate) unsafe fn finish(self) {
        self.table.rows += self.count as u32;
    }

    /// [`Append::finish`] of rows of new entities: components that can be switched off are on.
    ///
    /// # Safety
    ///
    /// Every row was written in every column since it was prepared, but for the toggles.
    #[inline]
    pub(crate) unsafe fn finish_new(mut self) {
        if !self.table.toggles.is_empty() {
            self.switch_on();
        }
        // SAFETY: the caller's contract, and the toggles are written.
        unsafe { self.finish() };
    }

    #[inline(never)]
    fn switch_on(&mut self) {
        let mut number = 0;
        while let Some(&position) = self.table.toggles.get(number) {
            self.run_mut(usize::from(position), 0..self.count).fill(&ENABLED);
            number += 1;
        }
    }
}

impl<'t> NextRow<'t> {
    /// Which row it is.
    #[inline]
    pub(crate) fn row(&self) -> usize {
        self.row
    }

    /// The row in every column.
    #[inline]
    pub(crate) fn columns(&mut self) -> NewRow<'_> {
        NewRow { columns: &mut self.table.columns, row: self.row }
    }

    /// The table that gets the row.
    pub(crate) fn table(&self) -> &Table {
        self.table
    }

    /// [`Append::enable`].
    #[inline]
    pub(crate) fn enable(&mut self, toggles: &[u16]) {
        for &position in toggles {
            self.columns().column_mut(usize::from(position)).write(ENABLED);
        }
    }

    /// [`Append::finish_new`].
    ///
    /// # Safety
    ///
    /// The row was written in every column since it was prepared, but for the toggles.
    #[inline]
    pub(crate) unsafe fn finish_new(self) {
        // SAFETY: the caller's contract.
        unsafe { Append::from(self).finish_new() };
    }
}

impl<'t> From<NextRow<'t>> for Append<'t> {
    #[inline]
    fn from(next: NextRow<'t>) -> Self {
        Self { table: next.table, first: next.row, count: 1 }
    }
}

impl NewRow<'_> {
    /// The row in the column at a position.
    #[inline]
    pub(crate) fn column_mut(&mut self, position: usize) -> RowMut<'_> {
        // SAFETY: the row is writable in every column, and the table is borrowed since.
        unsafe { self.columns[position].row_mut(self.row) }
    }
}

impl Removal<'_> {
    /// The entity of the last row, which takes the place of the row; `None` where that is the last one.
    #[inline]
    pub(crate) fn moved(&self) -> Option<Entity> {
        let last = self.table.rows() - 1;
        (self.row != last).then(|| self.table.entity(last))
    }

    /// Removes the row by moving the last one into its place. Chunks stay, for [`Table::release_empty`].
    #[inline(always)]
    pub(crate) fn finish(self) {
        let (last, row) = (self.table.rows() - 1, self.row);
        if row != last {
            for column in &mut self.table.columns {
                // SAFETY: the row is not the last one, so it is writable in every column, which have the
                // last row as well.
                unsafe { column.copy_row_to(last, row) };
            }
        }
        self.table.rows = last as u32;
    }

    /// Moves the row to `to`, the next one of another table, and the last one into its place. `positions` tells
    /// for each column where its component stands in the other table, or [`DROPPED`]. Chunks
    /// stay, for [`Table::release_empty`].
    ///
    /// # Safety
    ///
    /// `to` was written in every column of its table that `positions` does not name.
    // Not inlined: it is the same for all types, and its arguments fit the registers.
    #[inline(never)]
    pub(crate) unsafe fn finish_move(self, to: NextRow<'_>, positions: &[u16]) {
        let (last, row) = (self.table.rows() - 1, self.row);
        let (target, to) = (to.table, to.row);
        let moves = self.table.columns.iter_mut().zip(positions);
        if row == last {
            // The last row is not written, not even with its own values: its chunk may be shared.
            for (column, &position) in moves.filter(|&(_, &position)| position != DROPPED) {
                // SAFETY: `to` is writable in every column.
                unsafe { target.columns[usize::from(position)].row_mut(to) }.copy_from(column, row);
            }
        } else {
            for (column, &position) in moves {
                if position == DROPPED {
                    // SAFETY: `row` is not the last one, and so it is writable in every column, and the
                    // column has the last row.
                    unsafe { column.copy_row_to(last, row) };
                } else {
                    let target = &mut target.columns[usize::from(position)];
                    // SAFETY: as above, and `to` is writable in every column of its table.
                    unsafe { column.move_row(row, last, target, to) };
                }
            }
        }
        target.rows += 1;
        self.table.rows = last as u32;
    }
}
