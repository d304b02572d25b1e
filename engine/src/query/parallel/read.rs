//! Parallel queries that only read.

#![allow(unsafe_code, reason = "runs the loops over fetched rows")]

use std::ops::Range;

use crate::query::access::Access;
use crate::query::cursor::Cursor;
use crate::query::filter::Filter;
use crate::query::query::Query;
use crate::query::selection::run_end;
use crate::query::terms::ReadOnly;

use super::tasks::{RUN_ROWS_LOG2, TASK_ROWS_LOG2, share_of, share_out};

/// Tables that a thread looks at for one task: where few match, the next thread looks further.
const TASK_TABLES: usize = 64;

/// A row of a table of the plan, as one number that grows in the order of iteration.
#[derive(Clone, Copy)]
struct Place {
    position: usize,
    row: usize,
}

impl Place {
    fn from_number(number: u64) -> Self {
        Self { position: (number >> 32) as usize, row: number as u32 as usize }
    }

    /// Tables and rows of a table are fewer than 2^32.
    fn number(self) -> u64 {
        (self.position as u64) << 32 | self.row as u64
    }
}

impl<'a, Q: ReadOnly, F: Filter> Query<'a, Q, F> {
    /// Calls `each` for every entity, on all threads of the current rayon pool: that of
    /// `ThreadPool::install`, or the global one. The order is open; with two threads or more, calls
    /// overlap in time. Returns when all are made.
    ///
    /// Threads take runs of up to 2,048 rows that lie in one chunk of every column, and several
    /// runs at once, also of several tables, where these are small.
    ///
    /// Allocates nothing on the threads of the pool; a caller from outside does once in 63 passes,
    /// as for [`QueryMut::par_for_each`](crate::query::QueryMut::par_for_each).
    ///
    /// # Panics
    ///
    /// When `each` does, after all threads have come back. Which entities were visited is open.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use std::sync::atomic::{AtomicU32, Ordering};
    /// let mut world = World::new();
    /// world.spawn_columns((&[2_u32; 5000][..],)).unwrap();
    /// let sum = AtomicU32::new(0);
    /// world.query::<&u32>().par_for_each(|number| _ = sum.fetch_add(*number, Ordering::Relaxed));
    /// assert_eq!(sum.into_inner(), 10_000);
    /// ```
    pub fn par_for_each(&self, each: impl Fn(Q::Item<'a>) + Send + Sync) {
        self.par_visit_runs(|run, rows| {
            for index in 0..rows {
                // SAFETY: the index is in the run, and terms that only read may coexist.
                each(unsafe { Q::item(run, index) });
            }
        });
    }

    /// Calls `each` for every run of up to 2,048 rows, as [`Query::for_each_run`] does, on all
    /// threads of the current rayon pool, as [`Query::par_for_each`] does.
    ///
    /// # Panics
    ///
    /// As [`Query::par_for_each`].
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use std::sync::atomic::{AtomicU32, Ordering};
    /// let mut world = World::new();
    /// world.spawn_columns((&[2_u32; 5000][..],)).unwrap();
    /// let sum = AtomicU32::new(0);
    /// world.query::<&u32>().par_for_each_run(|numbers| {
    ///     sum.fetch_add(numbers.iter().sum(), Ordering::Relaxed);
    /// });
    /// assert_eq!(sum.into_inner(), 10_000);
    /// ```
    pub fn par_for_each_run(&self, each: impl Fn(Q::Slices<'a>) + Send + Sync) {
        // SAFETY: the run has these rows, and terms that only read may coexist.
        self.par_visit_runs(|run, rows| each(unsafe { Q::slices(run, rows) }));
    }

    /// Calls `visit` for every run, on whichever thread took its task.
    fn par_visit_runs(&self, visit: impl Fn(Q::Run, usize) + Sync) {
        let end = Place { position: self.plan().len(), row: 0 };
        let end_of = |start| self.task_end(Place::from_number(start)).number();
        share_out(end.number(), end_of, |task| self.visit_task(task, &visit));
    }

    fn cursor(&self) -> Cursor<Q, F> {
        // SAFETY: the terms only read.
        let cursor = unsafe { Cursor::new(self.since) };
        cursor.with_runs_of(RUN_ROWS_LOG2)
    }

    /// Where the task that begins at `start` ends: after enough tables, with enough rows, or, in a
    /// table of more rows than enough, after a part of those left, in whole runs.
    fn task_end(&self, start: Place) -> Place {
        let end = self.plan().len().min(start.position + TASK_TABLES);
        let mut taken = 0;
        for position in start.position..end {
            let Some(table) = self.plan().table::<F>(position) else { continue };
            let row = if position == start.position { start.row } else { 0 };
            if taken + table.rows() - row <= 1 << TASK_ROWS_LOG2 {
                taken += table.rows() - row;
                continue;
            }
            let first_rows_end = if taken > 0 { row } else { self.rows_end(position, row) };
            if first_rows_end < table.rows() {
                return Place { position, row: first_rows_end };
            }
            return Place { position: position + 1, row: 0 };
        }
        Place { position: end, row: 0 }
    }

    /// Where the whole runs of one task that begin at `row` of a large table end.
    fn rows_end(&self, position: usize, row: usize) -> usize {
        let mut cursor = self.cursor();
        cursor.enter_at(&self.plan(), position);
        let share = share_of(cursor.rows() - row);
        run_end(row + share, cursor.run_log2().max(TASK_ROWS_LOG2), cursor.rows())
    }

    fn visit_task(&self, task: Range<u64>, visit: &impl Fn(Q::Run, usize)) {
        let (start, end) = (Place::from_number(task.start), Place::from_number(task.end));
        let mut cursor = self.cursor();
        for position in start.position..self.plan().len().min(end.position + 1) {
            let row = if position == start.position { start.row } else { 0 };
            let rows = if position == end.position { end.row } else { usize::MAX };
            if row >= rows || !cursor.enter_at(&self.plan(), position) {
                continue;
            }
            cursor.narrow(row..rows);
            while let Some(run) = cursor.step() {
                let rows = run.len();
                // SAFETY: the run lies in one chunk of every column.
                let run = unsafe { Access::READ.open_owned::<Q>(cursor.bound(), run.start) };
                visit(run.expect("a run to read has nothing to wait for"), rows);
            }
        }
    }
}
