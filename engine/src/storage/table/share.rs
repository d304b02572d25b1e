//! Columns that queries share out among each other: each may have some of them exclusively while the
//! table itself is only borrowed shared.

#![allow(unsafe_code, reason = "points to columns that queries share out")]

use std::ptr;

use super::*;
use crate::storage::column::RawColumn;

impl Table {
    /// The column at a position, for a query that has it exclusively while the table is only borrowed
    /// shared. Makes no reference to a column.
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

    /// The component of the column at a position.
    pub(crate) fn component_at(&self, position: usize) -> ComponentId {
        // SAFETY: as in `raw_column`.
        unsafe { &*self.column_ptr(position) }.component()
    }

    /// log2 of the rows in a chunk of the column at a position, and the bytes of a row.
    #[inline]
    pub(crate) fn column_shape(&self, position: usize) -> (u8, usize) {
        // SAFETY: as in `raw_column`.
        let column = unsafe { &*self.column_ptr(position) };
        (column.rows_log2(), column.size())
    }
}
