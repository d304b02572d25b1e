//! Restore: a table takes the rows of a snapshot back.

#![allow(unsafe_code, reason = "counts the rows of restored columns")]

use super::*;
use crate::storage::frozen::Frozen;
use crate::storage::history::restore::Revival;

impl Table {
    /// Makes the rows that `frozen`, a complete snapshot of this world, has of table `number` the
    /// table's own again: none where it knows no such table. Returns how many chunks were taken
    /// back.
    pub(crate) fn restore(
        &mut self,
        frozen: &Frozen,
        number: usize,
        revival: &mut Revival<'_>,
    ) -> u64 {
        let known = number < frozen.table_count();
        let rows = if known { frozen.table(number).0 } else { 0 };
        let mut taken = 0;
        for (position, column) in self.columns.iter_mut().enumerate() {
            let chunks = column.chunks_for(rows);
            let entries = if known { frozen.entries(number, position, chunks) } else { &[] };
            taken += column.restore(entries, (self.rows as usize, rows), revival);
        }
        // SAFETY: all columns were restored, to the rows that were captured.
        unsafe { self.set_rows(rows) };
        taken
    }

    /// Sets the number of rows after columns were filled one by one.
    ///
    /// # Safety
    ///
    /// Every column that the world may read has values in this many rows.
    pub(crate) unsafe fn set_rows(&mut self, rows: usize) {
        self.rows = rows as u32;
        self.forget_notes();
    }
}
