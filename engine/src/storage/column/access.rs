//! Reading and writing rows: [`RowMut`] and [`RunMut`] stand for rows that may be written now.
//!
//! The typed methods check the size of `T` against the column's, and the row against its capacity.
//! Chunk memory is always initialised (it comes zeroed from the system), and a chunk's address is
//! aligned to [`convoy_pool::CHUNK_ALIGN`], which the registry checked against `T`.

#![allow(unsafe_code, reason = "reads and writes rows of raw chunks")]

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::slice;

use bytemuck::AnyBitPattern;
use convoy_pool::CHUNK_ALIGN;

use super::*;
use crate::storage::component::{ValueBytes, ValuesBytes};
use crate::storage::recorded::RecordedValue;
use crate::storage::row_size::with_row_size;
use crate::storage::rows::{Rows, no_bytes};

/// A row that is in its column and that no snapshot sees, for as long as this borrows the column.
pub(crate) struct RowMut<'c> {
    column: &'c mut Column,
    row: usize,
}

/// Rows that are in their column and that no snapshot sees, for as long as this borrows the column.
pub struct RunMut<'c> {
    column: &'c mut Column,
    rows: Range<usize>,
}

impl Column {
    /// The first `rows` rows, which must be below the capacity.
    pub(crate) fn rows(&self, rows: usize) -> Rows<'_> {
        assert!(rows <= self.capacity(), "the column holds the rows");
        // SAFETY: the chunks hold the rows, which the borrow of the column keeps unwritten.
        unsafe { Rows::new(self.chunks_of(rows), rows, self.size(), self.rows_log2()) }
    }

    /// The value at `row`.
    #[inline]
    pub(crate) fn get<T: Component>(&self, row: usize) -> &T {
        self.assert_holds::<T>();
        // SAFETY: the pointer is aligned, the row holds a value (`valued`), and the borrow of the
        // column bars writers.
        unsafe { self.row_ptr(row).cast().as_ref() }
    }

    /// The address of `row`, which is below the capacity. A caller that writes there makes sure that no snapshot sees
    /// the row.
    #[inline]
    pub(crate) fn address(&self, row: usize) -> NonNull<u8> {
        self.row_ptr(row)
    }

    /// The bytes of the value at `row`.
    pub(crate) fn bytes(&self, row: usize) -> &[u8] {
        // SAFETY: chunk memory is initialised, and the borrow of the column bars writers.
        unsafe { slice::from_raw_parts(self.row_ptr(row).as_ptr(), self.size()) }
    }

    /// Makes `row` writable, one of `rows` rows in use: in place, taken back, or in a copy.
    #[inline]
    pub(crate) fn own_row(
        &mut self,
        row: usize,
        rows: usize,
        memory: &mut Memory,
    ) -> Result<RowMut<'_>, MemoryError> {
        if !self.is_row_owned(row, memory.epoch()) {
            self.own_chunk_of(row, rows, memory)?;
            assert!(row < self.capacity(), "the row is inside the column");
        }
        // SAFETY: the row is below the capacity, and its chunk was born in the current epoch: now, or
        // as it was made the world's own. No snapshot is captured while the column is borrowed.
        Ok(unsafe { self.row_mut(row) })
    }

    /// Makes `row`, the first free one, exist and writable.
    pub(crate) fn append_row(
        &mut self,
        row: usize,
        memory: &mut Memory,
    ) -> Result<RowMut<'_>, MemoryError> {
        self.prepare_append(row, memory)?;
        // SAFETY: the row was just made room for, in a chunk that is the world's own now, or that
        // snapshots share and see no such row of.
        Ok(unsafe { self.row_mut(row) })
    }

    /// `row` of values of `T`, if its chunk is the world's own now.
    #[inline]
    pub(crate) fn owned_row<T: Component>(
        &mut self,
        row: usize,
        now: Now<'_>,
    ) -> Option<RowMut<'_>> {
        // First, so that the check of the row knows whether rows have bytes.
        self.assert_holds::<T>();
        // SAFETY: the row is below the capacity, and its chunk was born in the epoch that lasts.
        self.is_row_owned(row, now.epoch()).then(|| unsafe { self.row_mut(row) })
    }

    /// The value at `row`, one in use, if the row can be written now: [`Column::writable_row`].
    #[inline]
    pub(crate) fn writable_value<T: Component>(
        &mut self,
        row: usize,
        now: Now<'_>,
    ) -> Option<&mut T> {
        // First, as in `owned_row`.
        self.assert_holds::<T>();
        self.writable_row(row, now).map(RowMut::into_mut)
    }

    /// `row`, if it can be written now: its chunk is the world's own, or an append was prepared there
    /// in this epoch.
    #[inline]
    pub(crate) fn writable_row(&mut self, row: usize, now: Now<'_>) -> Option<RowMut<'_>> {
        // SAFETY: the row is below the capacity, and no snapshot sees it.
        self.is_writable(row, now).then(|| unsafe { self.row_mut(row) })
    }

    /// Exchanges two rows that were made writable.
    pub(crate) fn swap_rows(&mut self, rows: [usize; 2], now: Now<'_>) {
        assert!(rows[0] != rows[1], "the rows are different ones");
        let [one, other] = rows.map(|row| {
            let row = self.writable_row(row, now);
            row.expect("a row is made writable before it is written").ptr()
        });
        // SAFETY: both rows are inside chunks of this column, and have no byte in common.
        unsafe { ptr::swap_nonoverlapping(one.as_ptr(), other.as_ptr(), self.size()) };
    }

    /// `rows`, if each of them can be written now.
    #[inline]
    pub(crate) fn writable_run(&mut self, rows: Range<usize>, now: Now<'_>) -> Option<RunMut<'_>> {
        // SAFETY: the rows are below the capacity, and no snapshot sees them.
        self.is_run_writable(rows.clone(), now).then(|| unsafe { self.run_mut(rows) })
    }

    /// Whether `row` can be written now: its chunk is the world's own, or an append was prepared there
    /// in this epoch.
    #[inline]
    pub(crate) fn is_writable(&self, row: usize, now: Now<'_>) -> bool {
        self.is_row_owned(row, now.epoch())
            || (row < self.capacity() && self.is_open(row >> self.rows_log2(), row, now))
    }

    /// Whether the column has `row`, in a chunk that was born in `epoch`.
    #[inline]
    pub(crate) fn is_row_owned(&self, row: usize, epoch: Epoch) -> bool {
        if row >= self.capacity() {
            return false;
        }
        // SAFETY: the row is below the capacity, which counts the rows of the chunks listed.
        self.size() == 0 || unsafe { self.entry(row) }.born == epoch
    }

    /// `row`, for writing.
    ///
    /// # Safety
    ///
    /// The row is below the capacity. No active snapshot sees it, and none is captured while the
    /// result lives.
    #[inline]
    pub(in crate::storage) unsafe fn row_mut(&mut self, row: usize) -> RowMut<'_> {
        RowMut { column: self, row }
    }

    /// `rows`, for writing.
    ///
    /// # Safety
    ///
    /// The rows are below the capacity. No active snapshot sees one of them, and none is captured while
    /// the result lives.
    #[inline]
    pub(in crate::storage) unsafe fn run_mut(&mut self, rows: Range<usize>) -> RunMut<'_> {
        RunMut { column: self, rows }
    }

    /// Whether all chunks were born in `epoch`.
    pub(in crate::storage) fn owns_all(&self, epoch: Epoch) -> bool {
        self.chunks.iter().all(|entry| entry.born == epoch)
    }

    /// Two rows as values of `T`, if the chunks of both are the world's own now.
    #[inline]
    pub(crate) fn owned_pair<T: Component>(
        &mut self,
        rows: [usize; 2],
        now: Now<'_>,
    ) -> Option<[&mut T; 2]> {
        // First, as in `owned_row`.
        self.assert_holds::<T>();
        assert!(rows[0] != rows[1], "the rows are different ones");
        let are_owned = rows.iter().all(|&row| self.is_row_owned(row, now.epoch()));
        are_owned.then(|| {
            rows.map(|row| {
                // SAFETY: the row is below the capacity.
                let mut row = unsafe { self.row_ptr_unchecked(row).cast() };
                // SAFETY: the rows differ, and their chunks were born in the epoch that lasts. The rest as in
                // `RowMut::into_mut`.
                unsafe { row.as_mut() }
            })
        })
    }

    /// Copies the value at `from` to row `to`.
    ///
    /// # Safety
    ///
    /// Both rows are below the capacity, and no active snapshot sees `to`.
    #[inline(always)]
    pub(in crate::storage) unsafe fn copy_row_to(&mut self, from: usize, to: usize) {
        with_row_size!(self, |bytes| {
            // SAFETY: the caller's contract, and rows have as many bytes.
            let source = unsafe { self.row_ptr_of(from, bytes) };
            // SAFETY: as above.
            let target = unsafe { self.row_ptr_of(to, bytes) };
            // SAFETY: both rows are inside chunks of this column; `copy` allows equal pointers.
            unsafe { ptr::copy(source.as_ptr(), target.as_ptr(), bytes) };
        });
    }

    /// Moves the value at `row` to row `to` of `target`, and the value at `last` into its place.
    ///
    /// # Safety
    ///
    /// `row` and `last` are two rows below the capacity, and `to` is below that of `target`. No active snapshot
    /// sees `row` here or `to` in the target.
    #[inline]
    pub(in crate::storage) unsafe fn move_row(
        &mut self,
        row: usize,
        last: usize,
        target: &mut Self,
        to: usize,
    ) {
        assert_eq!(target.size(), self.size(), "both columns hold the same component");
        with_row_size!(self, |bytes| {
            // SAFETY: the caller's contract, and rows have as many bytes.
            let row = unsafe { self.row_ptr_of(row, bytes) }.as_ptr();
            // SAFETY: as above.
            let last = unsafe { self.row_ptr_of(last, bytes) }.as_ptr();
            // SAFETY: as above.
            let to = unsafe { target.row_ptr_of(to, bytes) }.as_ptr();
            // SAFETY: both rows are inside chunks, `to` in one that is not this column's.
            unsafe { ptr::copy_nonoverlapping(row, to, bytes) };
            // SAFETY: both rows are inside chunks of this column, and they differ.
            unsafe { ptr::copy_nonoverlapping(last, row, bytes) };
        });
    }

    /// Checks that a value of `T` is as large as a row.
    #[inline]
    fn assert_holds<T: Component>(&self) {
        #[cfg(debug_assertions)]
        assert!(self.chunks.may_hold::<T>(), "the column holds values of this type");
        assert!(size_of::<T>() == self.size(), "the column holds values of this size");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
    }

    /// The entry of the chunk of a row.
    ///
    /// # Safety
    ///
    /// The row is below the capacity, and has bytes.
    #[inline]
    unsafe fn entry(&self, row: usize) -> &ChunkEntry {
        // SAFETY: the caller's contract: the capacity counts the rows of the chunks listed.
        unsafe { self.chunks.get_unchecked(row >> self.rows_log2()) }
    }

    /// The address of `row`, which must be below the capacity.
    #[inline]
    fn row_ptr(&self, row: usize) -> NonNull<u8> {
        assert!(row < self.capacity(), "the row is inside the column");
        // SAFETY: it is.
        unsafe { self.row_ptr_unchecked(row) }
    }

    /// The address of `row`.
    ///
    /// # Safety
    ///
    /// The row is below the capacity.
    #[inline]
    unsafe fn row_ptr_unchecked(&self, row: usize) -> NonNull<u8> {
        if self.size() == 0 {
            return no_bytes();
        }
        // SAFETY: the caller's contract, and rows have as many bytes.
        unsafe { self.row_ptr_of(row, self.size()) }
    }

    /// [`Column::row_ptr_unchecked`] of a row of `bytes` bytes.
    ///
    /// # Safety
    ///
    /// The row is below the capacity. `bytes` is the size of rows, and not zero.
    #[inline]
    unsafe fn row_ptr_of(&self, row: usize, bytes: usize) -> NonNull<u8> {
        // SAFETY: the caller's contract.
        let chunk = unsafe { self.entry(row) }.chunk;
        let offset = (row & self.row_mask()) * bytes;
        // SAFETY: the row is in the chunk, and so is the offset.
        let row = unsafe { chunk.as_ptr().add(offset) };
        // SAFETY: a chunk is not at address zero.
        unsafe { NonNull::new_unchecked(row) }
    }
}

impl<'c> RowMut<'c> {
    /// The address of the row.
    #[inline]
    fn ptr(&self) -> NonNull<u8> {
        // SAFETY: the row of a `RowMut` is below the capacity.
        unsafe { self.column.row_ptr_unchecked(self.row) }
    }

    /// The value, of a row in use.
    #[inline]
    pub(crate) fn into_mut<T: Component>(self) -> &'c mut T {
        self.column.assert_holds::<T>();
        // SAFETY: the pointer is aligned, and the row holds a value (`valued`). The exclusive borrow
        // bars other access through the world, and no snapshot sees the row.
        unsafe { self.ptr().cast().as_mut() }
    }

    /// Writes the row.
    #[inline]
    pub(crate) fn write<T: Component>(self, value: T) {
        self.column.assert_holds::<T>();
        // SAFETY: the pointer is aligned, and the rest as in `into_mut`.
        unsafe { self.ptr().cast().write(value) };
    }

    /// Writes a copy of `value`. However large it is, it takes no place on the stack.
    #[inline]
    pub(crate) fn write_copy<T: Component>(self, value: &T) {
        self.column.assert_holds::<T>();
        // SAFETY: as in `write`; `value` is not in the row, which is borrowed with the column.
        unsafe { ptr::copy_nonoverlapping(value, self.ptr().cast().as_ptr(), 1) };
    }

    /// Writes a value given by its bytes.
    pub(crate) fn write_bytes(self, value: ValueBytes<'_>) {
        assert_eq!(value.component(), self.column.component(), "a value of the column's type");
        let bytes = value.bytes();
        assert_eq!(bytes.len(), self.column.size(), "the bytes are of one value");
        // SAFETY: the row has this many bytes, and the rest as in `write_copy`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.ptr().as_ptr(), bytes.len()) };
    }

    /// Writes the first bytes of a row.
    ///
    /// # Safety
    ///
    /// All bytes are values of the column's component.
    pub(in crate::storage) unsafe fn write_first_bytes(self, bytes: &[u8]) {
        assert!(bytes.len() <= self.column.size(), "the bytes are in the row");
        // SAFETY: the row has as many bytes at the least, and the rest as in `write_copy`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.ptr().as_ptr(), bytes.len()) };
    }

    /// Writes a value that was recorded.
    #[inline]
    pub(crate) fn write_recorded<T: Component>(self, value: RecordedValue<'_, T>) {
        self.column.assert_holds::<T>();
        let source = value.bytes().as_ptr();
        // SAFETY: there are as many bytes as a `T` has, and so has the row. The rest as in `write_copy`.
        unsafe { ptr::copy_nonoverlapping(source, self.ptr().as_ptr(), size_of::<T>()) };
    }

    /// Copies the value at `from` in the same column over this one.
    #[inline]
    pub(crate) fn copy_within(self, from: usize) {
        let (source, target) = (self.column.row_ptr(from).as_ptr(), self.ptr().as_ptr());
        // SAFETY: both rows are inside chunks of this column; `copy` allows equal pointers.
        with_row_size!(self.column, |bytes| unsafe { ptr::copy(source, target, bytes) });
    }

    /// Copies the value at `from` of another column of the component over this one.
    #[inline]
    pub(crate) fn copy_from(self, source: &Column, from: usize) {
        assert_eq!(source.size(), self.column.size(), "both columns hold the same component");
        let (source, target) = (source.row_ptr(from).as_ptr(), self.ptr().as_ptr());
        with_row_size!(self.column, |bytes| {
            // SAFETY: both rows are inside chunks, of two columns with this size of row.
            unsafe { ptr::copy_nonoverlapping(source, target, bytes) };
        });
    }
}

impl<'c> RunMut<'c> {
    /// The pieces of the rows that lie in one chunk each, and how many rows come before each.
    fn pieces(&self) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let (first, end, mask) = (self.rows.start, self.rows.end, self.column.row_mask());
        let mut next = first;
        std::iter::from_fn(move || {
            let piece = next..end.min((next | mask) + 1);
            next = piece.end;
            (!piece.is_empty()).then_some((piece.start - first, piece))
        })
    }

    /// The address of one of the rows.
    fn ptr(&self, row: usize) -> NonNull<u8> {
        // SAFETY: the rows of a `RunMut` are below the capacity.
        unsafe { self.column.row_ptr_unchecked(row) }
    }

    /// Writes as many `values` as there are rows: one copy a chunk.
    pub(crate) fn write_run<T: Component>(self, values: &[T]) {
        self.column.assert_holds::<T>();
        assert_eq!(values.len(), self.rows.len(), "there is a value for each row");
        for (before, piece) in self.pieces() {
            let source = values[before..before + piece.len()].as_ptr();
            let target = self.ptr(piece.start).cast::<T>().as_ptr();
            // SAFETY: the rows are inside one chunk. `values` does not overlap them: they are
            // borrowed with the column, and no snapshot sees them.
            unsafe { ptr::copy_nonoverlapping(source, target, piece.len()) };
        }
    }

    /// Writes values given by their bytes, one for each row: one copy a chunk.
    pub(crate) fn write_values(self, values: ValuesBytes<'_>) {
        let (size, bytes) = (self.column.size(), values.bytes());
        assert_eq!(values.component(), self.column.component(), "values of the column's type");
        assert_eq!(bytes.len(), self.rows.len() * size, "there is a value for each row");
        self.write_checked(bytes);
    }

    /// [`RunMut::write_values`] of a column that no registered type stands for, and that takes any bytes.
    pub(crate) fn write_plain<T: AnyBitPattern + Component>(self, values: &[u8]) {
        self.column.assert_holds::<T>();
        assert_eq!(values.len(), self.rows.len() * size_of::<T>(), "there is a value for each row");
        self.write_checked(values);
    }

    /// Copies bytes over the rows: as many as the rows have.
    fn write_checked(self, bytes: &[u8]) {
        let size = self.column.size();
        for (before, piece) in self.pieces() {
            let source = bytes[before * size..][..piece.len() * size].as_ptr();
            let target = self.ptr(piece.start).as_ptr();
            // SAFETY: the rows are inside one chunk and have as many bytes. The bytes do not overlap them:
            // they are borrowed with the column, and no snapshot sees them.
            unsafe { ptr::copy_nonoverlapping(source, target, piece.len() * size) };
        }
    }

    /// Writes `value` into every row.
    pub(crate) fn fill<T: Component>(self, value: &T) {
        self.column.assert_holds::<T>();
        for (_, piece) in self.pieces() {
            // The place may hold no value of `T` yet.
            // SAFETY: the rows are inside one chunk; the exclusive borrow bars other access through
            // the world, and no snapshot sees the rows.
            let run = unsafe { spare_rows::<T>(self.ptr(piece.start), piece.len()) };
            // Not by `fill`, which takes the value, however large it is.
            run.iter_mut().for_each(|row| _ = row.write(*value));
        }
    }

    /// Copies the rows from `from` on of another column of the component.
    pub(crate) fn copy_from(self, source: &Column, from: usize) {
        let size = self.column.size();
        assert_eq!(source.size(), size, "both columns hold the same component");
        for (before, piece) in self.pieces() {
            let (mut to, mut from) = (piece.start, from + before);
            while to < piece.end {
                let rows = source.run_end(from, from + piece.end - to) - from;
                let (start, _) = (source.row_ptr(from), source.row_ptr(from + rows - 1));
                let target = self.ptr(to);
                // SAFETY: on either side the rows are inside one chunk, and the columns differ.
                unsafe { ptr::copy_nonoverlapping(start.as_ptr(), target.as_ptr(), rows * size) };
                (to, from) = (to + rows, from + rows);
            }
        }
    }

    /// Copies the rows from `from` on of the same column, which are none of these.
    pub(crate) fn copy_within(self, from: usize) {
        let (to, count, size) = (self.rows.start, self.rows.len(), self.column.size());
        assert!(from + count <= to || to + count <= from, "the runs have no row in common");
        for (before, piece) in self.pieces() {
            let (mut to, mut from) = (piece.start, from + before);
            while to < piece.end {
                let rows = self.column.run_end(from, from + piece.end - to) - from;
                let last = from + rows - 1;
                let (start, _) = (self.column.row_ptr(from), self.column.row_ptr(last));
                let target = self.ptr(to);
                // SAFETY: on either side the rows are inside one chunk, and they are different rows.
                unsafe { ptr::copy_nonoverlapping(start.as_ptr(), target.as_ptr(), rows * size) };
                (to, from) = (to + rows, from + rows);
            }
        }
    }

    /// The bytes of the rows, which lie in one chunk.
    ///
    /// # Safety
    ///
    /// Values are left in them before anybody reads a row, which a component ensures that takes any bytes.
    pub(crate) unsafe fn into_bytes(self) -> &'c mut [u8] {
        let (start, bytes) = (self.first_of_one(), self.rows.len() * self.column.size());
        // SAFETY: the rows are in one chunk, whose memory is initialised, and otherwise as in
        // `RowMut::into_mut`.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), bytes) }
    }

    /// The address of the first row, where all lie in one chunk.
    fn first_of_one(&self) -> NonNull<u8> {
        let (log2, Range { start, end }) = (self.column.rows_log2(), self.rows.clone());
        if start == end {
            return no_bytes();
        }
        assert!(start >> log2 == (end - 1) >> log2, "the rows lie in one chunk");
        self.ptr(start)
    }

    /// The values of the rows, which lie in one chunk. New rows have the bits of their memory: all
    /// bits are a `T`.
    pub(crate) fn into_slice<T: Component + AnyBitPattern>(self) -> &'c mut [T] {
        let run = self.into_places::<T>();
        // SAFETY: chunk memory is initialised, and the type has no invalid bit patterns.
        unsafe { slice::from_raw_parts_mut(run.as_mut_ptr().cast(), run.len()) }
    }

    /// The places of the rows, which lie in one chunk, to write values to: the bytes there may be
    /// no value of `T`.
    pub(crate) fn into_places<T: Component>(self) -> &'c mut [MaybeUninit<T>] {
        self.column.assert_holds::<T>();
        // SAFETY: the rows are inside one chunk, and otherwise as in `RowMut::into_mut`.
        unsafe { spare_rows(self.first_of_one(), self.rows.len()) }
    }
}

/// Rows as places for values.
///
/// # Safety
///
/// `start` is aligned for `T` and points to `rows` rows of its size, which only the result reaches
/// for its lifetime.
unsafe fn spare_rows<'a, T>(start: NonNull<u8>, rows: usize) -> &'a mut [MaybeUninit<T>] {
    // SAFETY: the caller's contract; a place may hold any bytes.
    unsafe { slice::from_raw_parts_mut(start.as_ptr().cast(), rows) }
}
