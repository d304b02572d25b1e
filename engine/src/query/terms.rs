//! [`Terms`]: how the terms of a query reach the rows of a run. Implemented for single terms in
//! `term_read.rs`, `term_write.rs`, `term_option.rs` and `has.rs`, and for tuples in `tuples.rs`.
//!
//! The types of the terms are checked first (`claims.rs`): which queries conflict does not depend on
//! the types that a store knows. A term is then resolved once per query ([`Terms::resolve`]), placed
//! once per archetype ([`Terms::place`]), bound once per table ([`Terms::bind`]) and started once per
//! run. In the inner loop it hands out rows. A [`Plan`](super::plan::Plan) keeps the results of the
//! first two steps.
//!
//! A run is a range of rows that lie in one chunk of every bound column. Starting a run makes its
//! written chunks writable. Mostly they are ([`Terms::start_owned`]). Where a snapshot shares one,
//! there is one protocol for all passes: [`Terms::prepare`] allocates spare chunks, which may fail
//! and changes nothing; [`Terms::start`] puts them in place; and the rows are copied by the pass that
//! visits them ([`Terms::copy`]), or row by row in its loop: [`Terms::load`], [`Terms::lend`],
//! [`Terms::store`].

#![allow(unsafe_code, reason = "hands out rows of raw chunks")]

use std::ops::Range;
use std::ptr;

use convoy_pool::{CHUNK_ALIGN, ChunkPtr, MemoryError};

use crate::storage::chunk_entry::ChunkEntry;
use crate::storage::column::RawColumn;
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::world::list_mut::ListMemory;
use crate::world::store::{Store, TableRef};

use super::error::QueryError;
use super::requirements::{Claim, Requirements};
use super::sealed::{SealedReadOnly, SealedTerms};

/// When the rows of a replaced chunk are copied that lie outside the run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// When the run starts: nothing else copies them.
    #[doc(hidden)]
    Now,
    /// With other runs of the pass, which starts all runs of the chunk, in order.
    #[doc(hidden)]
    Later,
}

/// The terms of a query: `&T`, `&mut T`, `Option<&T>`, `Option<&mut T>`, [`Has<T>`](crate::query::Has) and
/// [`Entity`](crate::Entity), where `T` is a [component](crate::Component), and tuples of up to
/// sixteen terms.
///
/// # Safety
///
/// Sealed: implemented in this crate only. An implementation hands out only rows of the run that was
/// started, writes only chunks that `start` made writable, reports every component that it touches as
/// a claim, and lets runs of different rows be used on different threads.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a term of a query",
    label = "not a term",
    note = "terms are `&T`, `&mut T`, `Option<&T>`, `Option<&mut T>`, `Has<T>` and `Entity`, and tuples of \
            up to sixteen terms; `T` is a component, which the page of `convoy_engine::Component` explains",
    note = "conditions go into `filter`: `query::<&T>().filter::<With<U>>()`"
)]
pub unsafe trait Terms: SealedTerms {
    /// The item that the loop receives for each row.
    type Item<'a>;
    /// The slices, all of one length, that the loop receives for each run.
    type Slices<'a>;
    /// The component ids.
    #[doc(hidden)]
    type Resolved: Copy + Send + Sync;
    /// Where the columns are in every table of one archetype, in stores of one layout.
    #[doc(hidden)]
    type Place: Copy + Send + Sync;
    /// The columns of one table.
    #[doc(hidden)]
    type Bound: Copy;
    /// Where the rows of one run are.
    #[doc(hidden)]
    type Run: Copy;
    /// The chunks that were replaced where the last run was started, and that hold its old values.
    #[doc(hidden)]
    type Replaced: Copy;
    /// A row in flight in a fused loop.
    #[doc(hidden)]
    type Local;

    /// Whether a term lends lists out for writing: then runs are copied before they are visited, one after the
    /// other, and on one thread.
    #[doc(hidden)]
    const WRITES_LISTS: bool = false;

    /// Before the first run of a table.
    #[doc(hidden)]
    const NONE_REPLACED: Self::Replaced;

    /// Calls `each` for every component whose rows a term reaches. Where the terms are known the
    /// types are, so that comparing them costs nothing at run time.
    #[doc(hidden)]
    fn claims(each: &mut impl FnMut(Claim));

    /// Finds the components, of terms that don't conflict.
    #[doc(hidden)]
    fn resolve(
        store: &Store<'_>,
        requirements: &mut Requirements,
    ) -> Result<Self::Resolved, QueryError>;

    /// Finds the columns in a table that has the components that `resolve` required.
    ///
    /// # Panics
    ///
    /// When the table has not.
    #[doc(hidden)]
    fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place;

    /// # Safety
    ///
    /// `place` was found in a table of the same archetype, in a store of the same layout, which is live
    /// if the terms write. As long as the result is used the table is borrowed, and the columns of the
    /// terms exclusively if they write.
    #[doc(hidden)]
    unsafe fn bind(place: Self::Place, table: &TableRef<'_>) -> Self::Bound;

    /// log2 of the rows that a run has at the most.
    #[doc(hidden)]
    fn run_log2(bound: &Self::Bound) -> u8;

    /// Where the run at `row` is, if it can be written without more ado: the common case, in a
    /// few instructions. `None` sends the pass on to `prepare` and `start`; never for terms that only
    /// read, for which the epoch doesn't matter.
    ///
    /// # Safety
    ///
    /// `row` is in the bound table, whose memory is at `epoch`, and starts a run that lies in one
    /// chunk of every bound column.
    #[doc(hidden)]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, epoch: Epoch) -> Option<Self::Run>;

    /// Allocates spare chunks for those that the run at `row` must copy. Changes no chunk.
    ///
    /// # Safety
    ///
    /// `memory` is the one of the bound table, and exclusive; `row` is where a run begins.
    #[doc(hidden)]
    unsafe fn prepare(
        bound: &Self::Bound,
        row: usize,
        rest: Rest,
        memory: *mut Memory,
    ) -> Result<(), MemoryError>;

    /// Makes a run writable and returns where it is.
    ///
    /// # Safety
    ///
    /// `prepare` succeeded for `run.start` in the same manner of `rest`, and the run lies in one chunk
    /// of every bound column and in the table's `live` rows. With [`Rest::Later`] all runs of the table
    /// are started in order, and the replaced chunks are as the start of the run before left them. Shared
    /// rows are copied before the next reclaim.
    #[doc(hidden)]
    unsafe fn start(
        bound: &Self::Bound,
        run: Range<usize>,
        live: usize,
        rest: (Rest, &mut Self::Replaced),
        memory: *mut Memory,
    ) -> Self::Run;

    /// Makes the elements of the lists of a run writable, and notes how lists get at more memory.
    ///
    /// # Safety
    ///
    /// The run has `rows` rows, is writable and was copied; the memory is that of the bound table, exclusive for
    /// the moment, and `lists` lead to it as long as items of the run are used.
    #[doc(hidden)]
    unsafe fn open_lists(
        _run: &mut Self::Run,
        _rows: usize,
        _memory: (&mut Memory, ListMemory),
    ) -> Result<(), MemoryError> {
        Ok(())
    }

    /// Whether a chunk of the run was replaced and its rows must be copied.
    #[doc(hidden)]
    fn is_shared(run: &Self::Run) -> bool;

    /// Copies rows `from..to` of the run from the replaced chunks.
    ///
    /// # Safety
    ///
    /// The rows are in the run, and no item of them is alive.
    #[doc(hidden)]
    unsafe fn copy(run: Self::Run, from: usize, to: usize);

    /// # Safety
    ///
    /// `index` is in the run, its rows have been copied if `is_shared`, and no other item of this
    /// row is alive if the terms write.
    #[doc(hidden)]
    unsafe fn item<'a>(run: Self::Run, index: usize) -> Self::Item<'a>;

    /// # Safety
    ///
    /// `rows` rows are in the run and have been copied if `is_shared`, and no item or slice of
    /// them is alive if the terms write.
    #[doc(hidden)]
    unsafe fn slices<'a>(run: Self::Run, rows: usize) -> Self::Slices<'a>;

    /// # Safety
    ///
    /// `index` is in the run.
    #[doc(hidden)]
    unsafe fn load(run: Self::Run, index: usize) -> Self::Local;

    /// The item that stands for a row in flight.
    ///
    /// # Safety
    ///
    /// The item is dropped before `local` is used again.
    #[doc(hidden)]
    unsafe fn lend<'a>(local: *mut Self::Local) -> Self::Item<'a>;

    /// # Safety
    ///
    /// `index` is in the run, and no item of this row is alive.
    #[doc(hidden)]
    unsafe fn store(run: Self::Run, index: usize, local: Self::Local);
}

/// Terms that only read, and so may run on a shared world or a snapshot.
///
/// # Safety
///
/// No claim writes, and items may coexist.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a term that only reads",
    label = "not a term that only reads",
    note = "terms that only read are `&T`, `Option<&T>`, `Has<T>` and `Entity`, and tuples of them; \
            `T` is a component, which the page of `convoy_engine::Component` explains",
    note = "`&mut T` takes `query_mut` on an exclusive world; views are read-only"
)]
pub unsafe trait ReadOnly: Terms + SealedReadOnly {}

/// The part of [`Terms`] that is alike for all terms that only read: nothing is ever shared.
macro_rules! reads_only {
    () => {
        type Replaced = ();

        const NONE_REPLACED: () = ();

        unsafe fn prepare(
            _: &Self::Bound,
            _: usize,
            _: Rest,
            _: *mut Memory,
        ) -> Result<(), MemoryError> {
            Ok(())
        }

        #[inline]
        unsafe fn start(
            bound: &Self::Bound,
            run: Range<usize>,
            _: usize,
            _: (Rest, &mut ()),
            _: *mut Memory,
        ) -> Self::Run {
            // SAFETY: the caller's contract; the epoch doesn't matter.
            let run = unsafe { Self::start_owned(bound, run.start, Epoch::NEVER) };
            run.expect("a run to read has nothing to wait for")
        }

        #[inline]
        fn is_shared(_: &Self::Run) -> bool {
            false
        }

        #[inline]
        unsafe fn copy(_: Self::Run, _: usize, _: usize) {}

        #[inline]
        unsafe fn store(_: Self::Run, _: usize, _: Self::Local) {}
    };
}

pub(super) use reads_only;

/// The chunk that holds row `row`.
///
/// # Safety
///
/// `column` is of a type with bytes and holds `row`.
#[inline]
pub(super) unsafe fn chunk_entry(column: RawColumn, row: usize) -> ChunkEntry {
    // SAFETY: the column holds the row, so its list holds the chunk.
    let entry = unsafe { column.chunks.add(row >> column.rows_log2) };
    // SAFETY: as above; the list does not change while the query borrows the tables.
    unsafe { *entry }
}

/// The address of row `row`, and of those after it in the same chunk.
///
/// # Safety
///
/// `column` is of `T` and holds `row`.
#[inline]
pub(super) unsafe fn row_ptr<T>(column: RawColumn, row: usize) -> *const T {
    if size_of::<T>() == 0 {
        return ptr::without_provenance(CHUNK_ALIGN);
    }
    // SAFETY: the caller's contract.
    let ChunkEntry { chunk, .. } = unsafe { chunk_entry(column, row) };
    // SAFETY: the row is in the chunk, for the same reason.
    unsafe { row_in_chunk(chunk, row, column.rows_log2) }
}

/// The address of row `row` of a column in its chunk.
///
/// # Safety
///
/// `chunk` is of a column of `T` in chunks of so many rows, and holds `row`.
#[inline]
pub(super) unsafe fn row_in_chunk<T>(chunk: ChunkPtr, row: usize, rows_log2: u8) -> *const T {
    let offset = row & ((1 << rows_log2) - 1);
    // SAFETY: the chunk holds the row, so the offset stays inside.
    unsafe { chunk.as_ptr().cast::<T>().add(offset) }
}

/// Stands for "no limit" in [`Terms::run_log2`]: more rows than a table can have.
pub(super) const RUN_LOG2_MAX: u8 = 32;
