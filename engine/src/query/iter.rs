//! [`QueryIter`]: iterates over the entities of a query, of whichever kind. Items may outlive the step
//! that made them, so that a shared chunk is copied whole before its rows are handed out.

#![allow(unsafe_code, reason = "hands out fetched rows")]

use std::mem::MaybeUninit;
use std::{mem, ptr};

use convoy_pool::MemoryError;

use crate::storage::epoch::Epoch;

use super::access::Access;
use super::cursor::{Cursor, count, next_small};
use super::filter::Filter;
use super::plan::{Plan, Planned, Tables};
use super::terms::Terms;

/// Iterates over the entities of a query, in the order of archetypes and rows. Of known length; to tell it
/// takes a look at the tables that are left.
///
/// # Panics
///
/// In queries that write, when memory runs out for copying a chunk that a snapshot shares.
pub struct QueryIter<'a, Q: Terms, F: Filter = ()> {
    /// The tables, where all their rows are visited and it takes little to find those that match. How many rows are
    /// left is counted when somebody asks.
    tables: Option<Tables<'a, 'a, Q>>,
    between: BetweenRuns<'a, Q, F>,
    run: MaybeUninit<Q::Run>,
    /// The next row of the run, and how many it has.
    index: usize,
    len: usize,
}

/// The part of an iterator that changes between runs only.
struct BetweenRuns<'a, Q: Terms, F: Filter> {
    planned: Planned<'a, Q>,
    cursor: Cursor<Q, F>,
    access: Access<'a>,
    /// Rows after the run that are visited, in this table and in those that follow; `None` where the tables are at
    /// hand.
    later: Option<usize>,
}

/// A run that has rows, and how many; `None` after the last one.
type Opened<R> = Result<Option<(R, usize)>, MemoryError>;

impl<Q: Terms, F: Filter> BetweenRuns<'_, Q, F> {
    /// Opens the next run.
    #[inline(always)]
    fn open_next(&mut self) -> Opened<Q::Run> {
        let run = loop {
            if let Some(run) = self.cursor.step() {
                break run;
            }
            if !self.cursor.enter(&self.planned.plan()) {
                return Ok(None);
            }
        };
        let (rows, live) = (run.len(), self.cursor.rows());
        self.later = self.later.map(|later| later - rows);
        // SAFETY: the run lies in one chunk of every column of the cursor's table, and all runs that
        // were opened before are copied.
        let run = unsafe { self.access.open_whole::<Q>(self.cursor.bound(), run, live)? };
        Ok(Some((run, rows)))
    }

    /// [`BetweenRuns::open_next`], and the quick ways first where `tables` are at hand.
    #[inline(always)]
    fn open_next_of(&mut self, tables: Option<&Tables<'_, '_, Q>>) -> Opened<Q::Run> {
        if let Some(tables) = tables {
            // SAFETY: the tables are the plan's, the access is that of the store, and all runs that were opened before
            // are copied.
            if let Some(opened) = unsafe { self.cursor.at.open_next::<F>(tables, &self.access) } {
                return Ok(Some(opened));
            }
        }
        self.open_next()
    }

    #[inline(never)]
    fn with_next(mut self, tables: Option<Tables<'_, '_, Q>>) -> (Self, Opened<Q::Run>) {
        let opened = self.open_next_of(tables.as_ref());
        (self, opened)
    }
}

impl<'a, Q: Terms, F: Filter> QueryIter<'a, Q, F> {
    pub(super) fn new(
        plan: Plan<'_, 'a, Q>,
        since: Epoch,
        cursor: Cursor<Q, F>,
        access: Access<'a>,
    ) -> Self {
        let tables = if plan.may_select::<F>() { None } else { plan.tables_by_value() };
        let later = tables.is_none().then(|| count::<Q, F>(&plan, since));
        let between = BetweenRuns { planned: plan.keep(), cursor, access, later };
        Self { tables, between, run: MaybeUninit::uninit(), index: 0, len: 0 }
    }

    /// Goes to the next run that has rows; `false` when there is none.
    ///
    /// The parts that change go by value, and little where the next table is small. A reference to them would
    /// keep the whole iterator in memory, and a loop that calls `next` would load and store the index, and the
    /// addresses of the rows, with every item: two times as long for a row of 12 bytes.
    #[inline(always)]
    fn advance(&mut self) -> Result<bool, MemoryError> {
        let BetweenRuns { cursor, access, .. } = &mut self.between;
        if let (Some(tables), Some(position)) = (self.tables, cursor.at.next_position()) {
            // SAFETY: the tables are the plan's, the epoch is that of the store, and all runs that were opened before
            // are copied.
            let (next, opened) = unsafe { next_small::<Q, F>(*position, tables, access.epoch()) };
            *position = next;
            if self.begin(opened) {
                return Ok(true);
            }
            if next == tables.len() {
                return Ok(false);
            }
        }
        const { assert!(!mem::needs_drop::<BetweenRuns<'_, Q, F>>(), "it may be copied") };
        // SAFETY: nothing is dropped with it, and the original is not used before it is replaced. A panic
        // leaves it as it was.
        let between = unsafe { ptr::read(&self.between) };
        let (between, opened) = between.with_next(self.tables);
        self.between = between;
        Ok(self.begin(opened?))
    }

    /// Begins a run. Not before it is open: where memory ran out, the iterator has no rows of a run that
    /// never began.
    #[inline(always)]
    fn begin(&mut self, opened: Option<(Q::Run, usize)>) -> bool {
        let Some((run, rows)) = opened else { return false };
        (self.run, self.index, self.len) = (MaybeUninit::new(run), 0, rows);
        true
    }

    /// The next item.
    pub(super) fn try_next(&mut self) -> Result<Option<Q::Item<'a>>, MemoryError> {
        if self.index == self.len && !self.advance()? {
            return Ok(None);
        }
        // SAFETY: an iterator with rows left in its run has one.
        let run = unsafe { self.run.assume_init() };
        // SAFETY: the index is in the run, which was copied if it was shared, and each index is
        // handed out once.
        let item = unsafe { Q::item(run, self.index) };
        self.index += 1;
        Ok(Some(item))
    }
}

/// Whether an iterator could go on.
#[inline]
#[track_caller]
fn went_on(advanced: Result<bool, MemoryError>) -> bool {
    match advanced {
        Ok(has_rows) => has_rows,
        Err(error) => panic!("{error}"),
    }
}

impl<'a, Q: Terms, F: Filter> Iterator for QueryIter<'a, Q, F> {
    type Item = Q::Item<'a>;

    // In the loop, so that the index and the addresses of rows are in registers.
    #[inline(always)]
    #[track_caller]
    fn next(&mut self) -> Option<Q::Item<'a>> {
        if self.index == self.len && !went_on(self.advance()) {
            return None;
        }
        // SAFETY: an iterator with rows left in its run has one.
        let run = unsafe { self.run.assume_init() };
        // SAFETY: the index is in the run, which was copied if it was shared, and each index is
        // handed out once.
        let item = unsafe { Q::item(run, self.index) };
        self.index += 1;
        Some(item)
    }

    /// Goes run by run, so `for_each`, `sum` and the like are as fast as the loops of a query.
    #[inline]
    fn fold<B, G: FnMut(B, Self::Item) -> B>(mut self, start: B, mut each: G) -> B {
        let mut folded = start;
        loop {
            if self.index < self.len {
                // SAFETY: rows are left, so there is a run.
                let run = unsafe { self.run.assume_init() };
                for index in self.index..self.len {
                    // SAFETY: the index is in the run, which was copied if it was shared, and each
                    // index is handed out once.
                    folded = each(folded, unsafe { Q::item(run, index) });
                }
                self.index = self.len;
            }
            let opened = self.between.open_next_of(self.tables.as_ref());
            let opened = opened.map(|opened| self.begin(opened));
            if !went_on(opened) {
                return folded;
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let BetweenRuns { cursor, later, .. } = &self.between;
        let uncounted = self.tables.as_ref().map_or(0, |tables| cursor.at.rows_left::<F>(tables));
        let left = self.len - self.index + later.unwrap_or(0) + uncounted;
        (left, Some(left))
    }
}

impl<Q: Terms, F: Filter> ExactSizeIterator for QueryIter<'_, Q, F> {}
