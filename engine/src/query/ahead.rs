//! [`Ahead`]: runs that are started before the first of them is visited.
//!
//! To reach the rows of a small table the processor follows a chain of loads, each of which waits
//! for the one before: table, columns, list of chunks, chunk. A loop that visits each run as soon
//! as it is found has little else to do meanwhile, and where tables have a few rows that wait is
//! most of its time. So runs are found by the dozen, which lets the processor follow many chains at
//! once, and visited then, in a loop that is as plain as one over slices.
//!
//! A run that has to be copied is not started ahead: it comes alone, so that it is complete before
//! anything else is asked of the world's memory.

#![allow(unsafe_code, reason = "starts runs and keeps them for a moment")]

use std::mem::MaybeUninit;
use std::slice;

use convoy_pool::MemoryError;

use crate::storage::archetype::ArchetypeId;
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::table::Table;

use super::fetch::{ReadOnly, Terms, Visit, WriteTable};
use super::tables::Tables;
use super::write::start_older;

/// How many runs are started ahead: enough for the loads of one to hide behind those of others.
/// With two terms that write, they take a kilobyte of stack.
const RUNS: usize = 32;

/// One archetype that a query visits, and where it finds its columns.
#[derive(Clone, Copy)]
pub(super) struct Match<P> {
    pub(super) archetype: ArchetypeId,
    pub(super) place: P,
}

/// Some runs that were started and wait to be visited, each with its number of rows.
pub(super) struct Ahead<R> {
    runs: [MaybeUninit<(R, usize)>; RUNS],
    len: usize,
}

impl<R: Copy> Ahead<R> {
    #[inline]
    pub(super) fn new() -> Self {
        Self { runs: [const { MaybeUninit::uninit() }; RUNS], len: 0 }
    }

    #[inline]
    fn put(&mut self, index: usize, run: R, rows: usize) {
        self.runs[index].write((run, rows));
    }

    #[inline]
    pub(super) fn runs(&self) -> &[(R, usize)] {
        // SAFETY: so many were put, from the first on.
        unsafe { slice::from_raw_parts(self.runs.as_ptr().cast(), self.len) }
    }
}

/// Which runs of a prepared query come next.
pub(super) struct Pending<'q, P> {
    /// The archetypes from the one on that has the next run.
    matches: &'q [Match<P>],
    row: usize,
}

impl<'q, P: Copy> Pending<'q, P> {
    #[inline]
    pub(super) fn new(matches: &'q [Match<P>]) -> Self {
        Self { matches, row: 0 }
    }

    /// Starts the next runs that read. There are none left when `ahead` is empty then.
    ///
    /// # Safety
    ///
    /// The places were found in tables of the same archetypes, in a store of the same layout.
    #[inline(never)]
    pub(super) unsafe fn read<Q, S>(&mut self, tables: &S, ahead: &mut Ahead<Q::Run>)
    where
        Q: ReadOnly<Place = P>,
        S: Tables + ?Sized,
    {
        // All that changes is in locals: what is written to the list may not be taken for them.
        let (mut len, mut row, mut matches) = (0, self.row, self.matches);
        'find: while let Some((each, later)) = matches.split_first() {
            let table = tables.table(each.archetype.index());
            // SAFETY: the caller's contract.
            let bound = unsafe { Q::bind(each.place, &Visit::Read(table)) };
            let run_rows = 1 << Q::run_log2(&bound);
            while row < table.rows() {
                if len >= RUNS {
                    break 'find;
                }
                let end = table.rows().min(row + run_rows);
                // SAFETY: a run begins at the row; reading is possible in every epoch.
                let run = unsafe { Q::start_owned(&bound, row, Epoch::ZERO) };
                ahead.put(len, run.expect("a run to read has nothing to wait for"), end - row);
                (len, row) = (len + 1, end);
            }
            (matches, row) = (later, 0);
        }
        (ahead.len, self.row, self.matches) = (len, row, matches);
    }

    /// Starts the next runs that are writable as they are, or one that has to be copied. There are
    /// none left when `ahead` is empty then.
    ///
    /// # Safety
    ///
    /// The places were found in live tables of the same archetypes, and `memory` is the one of the
    /// tables and exclusive. All runs that were started before have been visited.
    #[inline(never)]
    pub(super) unsafe fn write<Q: Terms<Place = P>>(
        &mut self,
        tables: &mut [Table],
        memory: *mut Memory,
        ahead: &mut Ahead<Q::Run>,
    ) -> Result<(), MemoryError> {
        // SAFETY: the caller's contract.
        let epoch = unsafe { (*memory).epoch() };
        // All that changes is in locals: what is written to the list may not be taken for them.
        let (mut len, mut row, mut matches) = (0, self.row, self.matches);
        let mut result = Ok(());
        'find: while let Some((each, later)) = matches.split_first() {
            let table = &mut tables[each.archetype.index()];
            let rows = table.rows();
            // SAFETY: the caller's contract, and the table is borrowed exclusively.
            let bound = unsafe { Q::bind(each.place, &Visit::Write(WriteTable::new(table))) };
            let run_rows = 1 << Q::run_log2(&bound);
            if row == 0 && rows.wrapping_sub(1) < run_rows && len < RUNS {
                // The usual small table, of one run: there is nothing to work out.
                // SAFETY: the caller's contract; a run begins at the first row.
                if let Some(run) = unsafe { Q::start_owned(&bound, 0, epoch) } {
                    ahead.put(len, run, rows);
                    (len, matches) = (len + 1, later);
                    continue;
                }
            }
            while row < rows {
                let end = rows.min(row + run_rows);
                // SAFETY: the caller's contract; a run begins at the row.
                match unsafe { Q::start_owned(&bound, row, epoch) } {
                    _ if len >= RUNS => break 'find,
                    Some(run) => ahead.put(len, run, end - row),
                    None if len > 0 => break 'find,
                    None => {
                        // SAFETY: as above, and the run lies in one chunk of every column.
                        match unsafe { start_older::<Q>(bound, row..end, rows, memory) } {
                            Ok(run) => {
                                ahead.put(0, run, end - row);
                                (len, row) = (1, end);
                            }
                            Err(error) => result = Err(error),
                        }
                        break 'find;
                    }
                }
                (len, row) = (len + 1, end);
            }
            (matches, row) = (later, 0);
        }
        (ahead.len, self.row, self.matches) = (len, row, matches);
        result
    }
}
