//! Rows: the values of one column, live or frozen, for reading one at a time.
//!
//! Nothing here knows where the chunks come from. A live column lends them for as long as it is
//! borrowed, a frozen one for as long as its cell is leased; either vouches for them once, when
//! it makes the [`Rows`], and every access after that is checked against their number and size.

#![allow(unsafe_code, reason = "reads rows of raw chunks")]

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::slice;

use convoy_pool::CHUNK_ALIGN;

use super::chunk_entry::ChunkEntry;
use super::component::Component;
use super::epoch::Epoch;

/// The address of every value without bytes.
pub(crate) const fn no_bytes() -> NonNull<u8> {
    // Well aligned for every component, and never read: zero-sized values have no bytes.
    match NonNull::new(ptr::without_provenance_mut(CHUNK_ALIGN)) {
        Some(address) => address,
        None => unreachable!(),
    }
}

/// The first rows of a column, live or frozen, for reading one at a time.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    chunks: &'a [ChunkEntry],
    len: usize,
    size: usize,
    rows_log2: u8,
}

impl<'a> Rows<'a> {
    pub(crate) const EMPTY: Rows<'static> = Rows { chunks: &[], len: 0, size: 0, rows_log2: 0 };

    /// No bytes, at an address that is aligned for every value.
    pub(crate) const NO_BYTES: &'static [u8] =
        // SAFETY: there are none, and the address is not zero.
        unsafe { slice::from_raw_parts(no_bytes().as_ptr(), 0) };

    /// Rows in the chunks of a column that is not at hand any more.
    ///
    /// # Safety
    ///
    /// `chunks` hold `len` rows of `size` bytes, `1 << rows_log2` in each, that are mapped and not
    /// written for the lifetime of the result.
    pub(crate) unsafe fn new(
        chunks: &'a [ChunkEntry],
        len: usize,
        size: usize,
        rows_log2: u8,
    ) -> Self {
        assert!(size == 0 || chunks.len() == len.div_ceil(1 << rows_log2), "the chunks hold `len`");
        Self { chunks, len, size, rows_log2 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How many chunks there are, and their bytes.
    pub(crate) fn chunk_use(&self) -> (usize, usize) {
        (self.chunks.len(), self.chunks.iter().map(|entry| entry.class().bytes()).sum())
    }

    /// The rows of the chunk of `row`, from `row` on.
    pub(crate) fn rest_of_chunk(&self, row: usize) -> Range<usize> {
        row..self.len.min(((row >> self.rows_log2) + 1) << self.rows_log2)
    }

    /// Whether `row`, which has bytes, lies in the same memory here and there.
    pub(crate) fn shares_chunk(&self, other: &Rows<'_>, row: usize) -> bool {
        let chunk = row >> self.rows_log2;
        self.rows_log2 == other.rows_log2 && self.chunks[chunk].chunk == other.chunks[chunk].chunk
    }

    /// The first row of the chunk of `row`.
    pub(crate) fn start_of_chunk(&self, row: usize) -> usize {
        row >> self.rows_log2 << self.rows_log2
    }

    /// How many chunks there are from the one that begins with `row` to where `end` is one's beginning, or
    /// the end of the rows.
    pub(crate) fn chunks_between(&self, row: usize, end: usize) -> usize {
        end.div_ceil(1 << self.rows_log2) - (row >> self.rows_log2)
    }

    /// The first row from `row` on, where a chunk begins, that lies in other memory there, in chunks that both
    /// have: the end of these where there is none.
    pub(crate) fn next_unshared(&self, other: &Rows<'_>, row: usize) -> usize {
        let end = self.len.min(other.len);
        if self.rows_log2 != other.rows_log2 || row >= end {
            return row;
        }
        let chunk = row >> self.rows_log2;
        let pairs = self.chunks[chunk..].iter().zip(&other.chunks[chunk..]);
        let shared = pairs.take_while(|(own, theirs)| own.chunk == theirs.chunk).count();
        ((chunk + shared) << self.rows_log2).min(end).max(row)
    }

    /// Whether two rows, which have bytes, lie in the same memory.
    pub(crate) fn is_same_chunk(&self, row: usize, other: usize) -> bool {
        self.chunks[row >> self.rows_log2].chunk == self.chunks[other >> self.rows_log2].chunk
    }

    /// log2 of the rows of a chunk.
    pub(crate) fn rows_log2(&self) -> u8 {
        self.rows_log2
    }

    /// The epoch in which a row of the chunk of `row` last changed, in a column with bytes.
    pub(crate) fn written(&self, row: usize) -> Epoch {
        self.chunks[row >> self.rows_log2].written()
    }

    /// The values from `row` on that lie in its chunk.
    pub(crate) fn chunk_from<T: Component>(&self, row: usize) -> &'a [T] {
        self.run(self.rest_of_chunk(row))
    }

    /// The values of `rows`, chunk by chunk.
    pub(crate) fn runs<T: Component>(
        self,
        rows: Range<usize>,
    ) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        let mut next = rows.start;
        std::iter::from_fn(move || {
            if next >= rows.end {
                return None;
            }
            let end = rows.end.min(((next >> self.rows_log2) + 1) << self.rows_log2);
            let run = self.run(next..end);
            next = end;
            Some(run)
        })
    }

    /// The values of a run of rows that lie in one chunk.
    pub(crate) fn run<T: Component>(&self, run: Range<usize>) -> &'a [T] {
        assert!(size_of::<T>() == self.size, "the rows are of this type");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
        let start = self.run_start(&run);
        // SAFETY: the rows are in one chunk; the contract of `new`, or the borrow of a live column,
        // keeps them mapped and unwritten; they hold values (`valued`).
        unsafe { slice::from_raw_parts(start.as_ptr().cast::<T>(), run.len()) }
    }

    /// The first `count` values in `row`, which is a block of them.
    ///
    /// # Safety
    ///
    /// They were written as values of `T`.
    #[inline]
    pub(crate) unsafe fn block<T: Component>(&self, row: usize, count: usize) -> &'a [T] {
        assert!(row < self.len, "the row is one of them");
        assert!(count * size_of::<T>() <= self.size, "the values are in the row");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
        let offset = (row & ((1 << self.rows_log2) - 1)) * self.size;
        // SAFETY: the row is in the chunk.
        let start = unsafe { self.chunks[row >> self.rows_log2].chunk.as_ptr().add(offset) };
        // SAFETY: blocks are as aligned as their values; the rest as in `run`, and the caller's contract.
        unsafe { slice::from_raw_parts(start.cast::<T>(), count) }
    }

    /// The bytes of a run of rows that lie in one chunk.
    pub(crate) fn bytes(&self, run: Range<usize>) -> &'a [u8] {
        let start = self.run_start(&run);
        // SAFETY: as in `run`.
        unsafe { slice::from_raw_parts(start.as_ptr(), run.len() * self.size) }
    }

    /// The address of the first of a run of rows, which are checked to lie in one chunk.
    fn run_start(&self, run: &Range<usize>) -> NonNull<u8> {
        assert!(run.start <= run.end && run.end <= self.len, "the rows are some of these");
        if self.size == 0 || run.is_empty() {
            return no_bytes();
        }
        let chunk = run.start >> self.rows_log2;
        assert_eq!(chunk, (run.end - 1) >> self.rows_log2, "the rows lie in one chunk");
        let offset = (run.start & ((1 << self.rows_log2) - 1)) * self.size;
        // SAFETY: the row is in the chunk.
        let start = unsafe { self.chunks[chunk].chunk.as_ptr().add(offset) };
        // SAFETY: a chunk is not at address zero.
        unsafe { NonNull::new_unchecked(start) }
    }

    /// The value at `row`.
    #[inline]
    pub(crate) fn get<T: Component>(&self, row: usize) -> &'a T {
        assert!(row < self.len, "the row is one of them");
        assert!(size_of::<T>() == self.size, "the rows are of this type");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
        if self.size == 0 {
            // SAFETY: a zero-sized value has no bytes, and the address is aligned.
            return unsafe { no_bytes().cast().as_ref() };
        }
        let offset = (row & ((1 << self.rows_log2) - 1)) * self.size;
        let chunk = self.chunks[row >> self.rows_log2].chunk;
        // SAFETY: the row is in the chunk.
        let row = unsafe { chunk.as_ptr().add(offset) }.cast::<T>();
        // SAFETY: the contract of `new`, or the borrow of a live column; the row holds a value
        // (`valued`).
        unsafe { &*row }
    }
}

/// The value at `row` of the column whose chunks begin at `start` in a list, `1 << rows_log2` rows in each.
///
/// # Safety
///
/// The column has values of `T`, and the row. The chunks from `start` on hold it, are mapped, and are not
/// written while `chunks` is borrowed.
#[inline]
pub(super) unsafe fn value_in<T: Component>(
    chunks: &[ChunkEntry],
    (start, rows_log2): (usize, u8),
    row: usize,
) -> &T {
    assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
    let chunks = if size_of::<T>() == 0 { &[] } else { &chunks[start..] };
    // SAFETY: the caller's contract.
    let row = unsafe { row_in(chunks, rows_log2, row) };
    // SAFETY: the caller's contract; the row holds a value (`valued`).
    unsafe { row.as_ref() }
}

/// Where `row` is in `chunks` of values of `T`, `1 << rows_log2` in each.
///
/// # Safety
///
/// The chunks hold the row.
#[inline]
unsafe fn row_in<T: Component>(chunks: &[ChunkEntry], rows_log2: u8, row: usize) -> NonNull<T> {
    if size_of::<T>() == 0 {
        return no_bytes().cast();
    }
    // SAFETY: the caller's contract.
    let chunk = unsafe { chunks.get_unchecked(row >> rows_log2) }.chunk;
    let row = row & ((1 << rows_log2) - 1);
    // SAFETY: the row is in the chunk.
    let value = unsafe { chunk.as_ptr().cast::<T>().add(row) };
    // SAFETY: a chunk is not at address zero.
    unsafe { NonNull::new_unchecked(value) }
}

/// [`Rows`] of a type that was checked once: reading one checks its number and no more.
#[derive(Clone, Copy)]
pub(crate) struct TypedRows<'a, T> {
    chunks: &'a [ChunkEntry],
    len: usize,
    rows_log2: u8,
    values: PhantomData<&'a [T]>,
}

impl<'a> Rows<'a> {
    /// The rows as values of `T`.
    pub(crate) fn typed<T: Component>(self) -> TypedRows<'a, T> {
        assert!(size_of::<T>() == self.size, "the rows are of this type");
        assert!(align_of::<T>() <= CHUNK_ALIGN, "a chunk is aligned for every component");
        let Self { chunks, len, rows_log2, .. } = self;
        TypedRows { chunks, len, rows_log2, values: PhantomData }
    }
}

impl<'a, T: Component> TypedRows<'a, T> {
    /// The value at `row`, if there is that row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<&'a T> {
        if row >= self.len {
            return None;
        }
        // SAFETY: by the contract of `Rows::new` the chunks hold `len` rows.
        let value = unsafe { row_in(self.chunks, self.rows_log2, row) };
        // SAFETY: the same contract, or the borrow of a live column; the row holds a value
        // (`valued`).
        Some(unsafe { value.as_ref() })
    }
}

/// How many tables [`TableRows`] covers: 24 bytes each, so 1.5 KiB.
const TABLES_MAX: usize = 64;

/// The rows of one component in the first tables of a store, side by side: a look-up by table and
/// row together takes no more than two checks.
pub(crate) struct TableRows<'a, T> {
    tables: [(&'a [ChunkEntry], u32); TABLES_MAX],
    rows_log2: u8,
    values: PhantomData<&'a [T]>,
}

impl<'a, T: Component> TableRows<'a, T> {
    /// Rows of as many of `tables`, in this order, as fit. Those without rows count as empty.
    pub(crate) fn new(tables: impl Iterator<Item = Option<TypedRows<'a, T>>>) -> Self {
        let mut all = Self { tables: [(&[], 0); TABLES_MAX], rows_log2: 0, values: PhantomData };
        for (place, rows) in all.tables.iter_mut().zip(tables) {
            let Some(rows) = rows.filter(|rows| rows.len > 0) else { continue };
            *place = (rows.chunks, rows.len as u32);
            assert!(
                all.rows_log2 == 0 || all.rows_log2 == rows.rows_log2,
                "chunks of one component have one shape in all tables"
            );
            all.rows_log2 = rows.rows_log2;
        }
        all
    }

    /// Whether the rows of `table` are known here.
    #[inline]
    pub(crate) fn covers(&self, table: usize) -> bool {
        table < TABLES_MAX
    }

    /// The value at `row` of `table`, if the table is covered and has that row.
    #[inline]
    pub(crate) fn get(&self, table: usize, row: u32) -> Option<&'a T> {
        let &(chunks, rows) = self.tables.get(table)?;
        if row >= rows {
            return None;
        }
        // SAFETY: by the contract of `Rows::new` the chunks hold these rows.
        let value = unsafe { row_in(chunks, self.rows_log2, row as usize) };
        // SAFETY: the same contract, or the borrow of a live column; the row holds a value
        // (`valued`).
        Some(unsafe { value.as_ref() })
    }
}
