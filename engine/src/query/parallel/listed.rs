//! Parallel passes that write: their runs are opened apart from being visited, and listed meanwhile.

#![allow(unsafe_code, reason = "lists raw runs and visits them on several threads")]

use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use convoy_pool::MemoryError;

use crate::query::access::Access;
use crate::query::cursor::Cursor;
use crate::query::filter::Filter;
use crate::query::pass::{Pass, visit_copied, visit_fused};
use crate::query::plan::Plan;
use crate::query::terms::{Rest, Terms};
use crate::storage::history::Memory;

use super::tasks::{RUN_ROWS_LOG2, TASK_ROWS_LOG2, share_of, share_out};

impl<Q: Terms, F: Filter> Pass<'_, '_, Q, F> {
    /// Calls `each` for every row, on the threads of the current rayon pool.
    pub(in crate::query) fn par_for_each(
        self,
        each: impl Fn(Q::Item<'_>) + Send + Sync,
    ) -> Result<(), MemoryError> {
        const { assert!(!Q::WRITES_LISTS, "lists are written by one thread: `for_each`") }
        Listed::<Q>::new(self)?.visit(|listed, copying| {
            let (run, rows) = (listed.run, listed.rows);
            if Q::is_shared(&run) {
                if copying.copy_timed::<Q>(listed) {
                    // SAFETY: the run has these rows, which were copied and not visited, and
                    // nothing is reclaimed before the pass ends.
                    unsafe { visit_copied::<Q>(run, rows, &mut &each) };
                } else {
                    // SAFETY: the run has these rows, which were not copied or visited; for the
                    // rest as above.
                    unsafe { visit_fused::<Q>(run, rows, &mut &each) };
                }
                return;
            }
            for index in 0..rows {
                // SAFETY: the index is in the run, its rows were copied, and the last item is gone.
                each(unsafe { Q::item(run, index) });
            }
        });
        Ok(())
    }

    /// Calls `each` for every run, on the threads of the current rayon pool.
    pub(in crate::query) fn par_for_each_run(
        self,
        each: impl Fn(Q::Slices<'_>) + Send + Sync,
    ) -> Result<(), MemoryError> {
        const { assert!(!Q::WRITES_LISTS, "lists are written by one thread: `for_each_run`") }
        Listed::<Q>::new(self)?.visit(|listed, copying| {
            if !copying.copy_timed::<Q>(listed) {
                // SAFETY: the rows are in the run, and no item of them is alive.
                unsafe { Q::copy(listed.run, 0, listed.rows) };
            }
            // SAFETY: the run has these rows, they were copied, and no item of them is alive.
            each(unsafe { Q::slices(listed.run, listed.rows) });
        });
        Ok(())
    }
}

/// A run that was opened and waits to be visited.
struct ListedRun<R> {
    run: R,
    rows: usize,
    /// Whether a thread visits the run or has done so. From then on that thread sees to it that
    /// its rows are copied, also when it unwinds.
    begun: AtomicBool,
}

/// The runs of a pass, for all its threads.
struct ListedRuns<'a, R>(&'a [ListedRun<R>]);

// SAFETY: a run is only addresses, which each thread gets a copy of. Their rows are reached by
// the one thread that took the run from the counter of `share_out` (`Listed::visit`), and two runs
// of a pass have no written row in common: they are of different tables or of different rows
// (`Terms`), and terms of one query that touch the same column of a row conflict when they
// are resolved, unless all only read. Components are `Send + Sync`, so other threads may have
// references to their values. Old and new chunks stay mapped (`resident`), as the world is
// borrowed exclusively until the pass ends, and nothing is reclaimed meanwhile.
unsafe impl<R> Sync for ListedRuns<'_, R> {}

impl<R> ListedRuns<'_, R> {
    fn get(&self, index: u64) -> &ListedRun<R> {
        &self.0[index as usize]
    }

    /// Where the task that begins at `start` ends: after a part of the runs that are left, and enough rows.
    fn task_end(&self, start: u64) -> u64 {
        let left = &self.0[start as usize..];
        let mut rows = 0;
        let small = left.iter().take_while(|listed| {
            let wants_more = rows < 1 << TASK_ROWS_LOG2;
            rows += listed.rows;
            wants_more
        });
        start + small.count().max(share_of(left.len())) as u64
    }
}

/// Counts the time of copies, if the world does.
struct Copying {
    timing: bool,
    nanoseconds: AtomicU64,
}

impl Copying {
    /// Copies a run apart from its visit, if times are counted. Returns whether it did.
    fn copy_timed<Q: Terms>(&self, listed: &ListedRun<Q::Run>) -> bool {
        if self.timing && Q::is_shared(&listed.run) {
            let began = Instant::now();
            // SAFETY: the rows are in the run, and no item of them is alive.
            unsafe { Q::copy(listed.run, 0, listed.rows) };
            let nanoseconds = began.elapsed().as_nanos() as u64;
            self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        }
        self.timing
    }
}

/// A pass over all runs of a query, which are writable and listed. When it is dropped, every
/// chunk that was replaced has been copied in full, visited or not.
struct Listed<'a, Q: Terms> {
    access: Access<'a>,
    list: RunList<Q::Run>,
    terms: PhantomData<fn() -> Q>,
}

impl<'a, Q: Terms> Listed<'a, Q> {
    /// Makes everything writable that a pass is going to write. On an error no row has changed.
    fn new<F: Filter>(pass: Pass<'_, 'a, Q, F>) -> Result<Self, MemoryError> {
        let Pass { plan, cursor, access, .. } = pass;
        let mut cursor = cursor.with_runs_of(RUN_ROWS_LOG2);
        // Outside of the lock, as its drop takes it.
        let mut listed = Self { access, list: RunList::new(Vec::new()), terms: PhantomData };
        access.with_writes(|writes, rest| {
            // SAFETY: nothing else refers to the room.
            listed.list = RunList::new(mem::take(unsafe { writes.words() }));
            // SAFETY: nothing else refers to the memory, and no run is open.
            let memory = unsafe { writes.memory() };
            let result = listed.list_runs(&plan, &mut cursor, rest, memory);
            memory.release_spares();
            result
        })?;
        Ok(listed)
    }

    /// Opens all runs and lists them. Chunks of tables that are visited in part are copied here, as
    /// no visit would copy the rest of them.
    fn list_runs<F: Filter>(
        &mut self,
        plan: &Plan<'_, '_, Q>,
        cursor: &mut Cursor<Q, F>,
        rest: Rest,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        // Captures that have ended make copies unnecessary.
        memory.reclaim();
        let rest = |cursor: &Cursor<Q, F>| if cursor.selects_rows() { Rest::Now } else { rest };
        let mut runs = 0;
        cursor.for_each_run(plan, |cursor, run| {
            runs += 1;
            // SAFETY: the memory is the world's, and a run begins here.
            unsafe { Q::prepare(cursor.bound(), run.start, rest(cursor), memory) }
        })?;
        // From here on nothing fails, and nothing is reclaimed.
        self.list.reserve(runs);
        let mut replaced = Q::NONE_REPLACED;
        cursor.for_each_run(plan, |cursor, run| {
            if run.start == 0 {
                replaced = Q::NONE_REPLACED;
            }
            let (row, rows, live, rest) = (run.start, run.len(), cursor.rows(), rest(cursor));
            // SAFETY: spare chunks were allocated for all runs of the table, which start in their order,
            // and they are copied before the pass ends, and anything is reclaimed.
            let mut run =
                unsafe { Q::start(cursor.bound(), run, live, (rest, &mut replaced), memory) };
            if rest == Rest::Now && Q::is_shared(&run) {
                // SAFETY: the rows are in the run, and no item of them is alive.
                unsafe { Q::copy(run, 0, rows) };
                // SAFETY: a run begins at the row.
                let owned = unsafe { Q::start_owned(cursor.bound(), row, memory.epoch()) };
                run = owned.expect("the chunks of the run were just replaced");
            }
            self.list.push(ListedRun { run, rows, begun: AtomicBool::new(false) });
            Ok(())
        })
    }

    /// Calls `each` for every run, on whichever thread took its task.
    fn visit(&mut self, each: impl Fn(&ListedRun<Q::Run>, &Copying) + Sync) {
        let timing = self.access.is_timing();
        let copying = Copying { timing, nanoseconds: AtomicU64::new(0) };
        let runs = ListedRuns(self.list.runs());
        let end_of = |start| runs.task_end(start);
        share_out(runs.0.len() as u64, end_of, |task| {
            for index in task {
                let listed = runs.get(index);
                listed.begun.store(true, Ordering::Relaxed);
                each(listed, &copying);
            }
        });
        self.access.add_copy_time(Duration::from_nanos(copying.nanoseconds.into_inner()));
    }
}

impl<Q: Terms> Drop for Listed<'_, Q> {
    fn drop(&mut self) {
        // After a panic, runs are left that no thread has begun. All threads have come back, and
        // their writes to the flags came before that.
        for listed in self.list.runs() {
            if !listed.begun.load(Ordering::Relaxed) {
                // SAFETY: the rows are in the run, and no item of them is or was alive.
                unsafe { Q::copy(listed.run, 0, listed.rows) };
            }
        }
        let room = mem::take(&mut self.list.words);
        self.access.with_writes(|writes, _| {
            // SAFETY: nothing else refers to the room.
            let kept = unsafe { writes.words() };
            // Another pass of a shared world may have brought its own back.
            if kept.capacity() < room.capacity() {
                *kept = room;
            }
        });
    }
}

/// A list of runs in memory that lists of other types have used before.
struct RunList<R> {
    words: Vec<MaybeUninit<u64>>,
    len: usize,
    runs: PhantomData<ListedRun<R>>,
}

impl<R> RunList<R> {
    /// How many words a listed run takes.
    const WORDS: usize = {
        assert!(align_of::<ListedRun<R>>() == align_of::<u64>(), "words are aligned for runs");
        size_of::<ListedRun<R>>() / size_of::<u64>()
    };

    fn new(mut words: Vec<MaybeUninit<u64>>) -> Self {
        words.clear();
        Self { words, len: 0, runs: PhantomData }
    }

    /// Makes room for so many runs in all.
    fn reserve(&mut self, runs: usize) {
        self.words.reserve(runs * Self::WORDS);
    }

    fn push(&mut self, run: ListedRun<R>) {
        assert!((self.len + 1) * Self::WORDS <= self.words.capacity(), "room was reserved");
        let runs = self.words.as_mut_ptr().cast::<ListedRun<R>>();
        // SAFETY: there is room for one more run, and words are aligned for it.
        let end = unsafe { runs.add(self.len) };
        // SAFETY: as above; runs need no drop.
        unsafe { end.write(run) };
        self.len += 1;
    }

    fn runs(&self) -> &[ListedRun<R>] {
        // SAFETY: `push` wrote so many runs, and nothing else changes the words.
        unsafe { slice::from_raw_parts(self.words.as_ptr().cast(), self.len) }
    }
}
