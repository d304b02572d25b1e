//! Parallel queries that write.

#![allow(unsafe_code, reason = "lists raw runs and visits them on several threads")]

use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::ops::Range;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use convoy_pool::MemoryError;

use crate::query::filter::Filter;
use crate::query::selection::{Selection, next_run, run_end};
use crate::query::tables::TableRef;
use crate::query::write::{QueryMut, start, visit_copied, visit_fused};
use crate::query::write_iter::{bind, visits};
use crate::storage::history::Memory;
use crate::storage::spares::Spares;
use crate::storage::table::Table;
use crate::world::World;

use super::crew::{TASK_ROWS_LOG2, run_log2, share_out};
use super::terms::ParallelTerms;

impl<Q: ParallelTerms, F: Filter> QueryMut<'_, Q, F> {
    /// Calls `each` for every entity, on all threads of the current rayon pool: that of
    /// `ThreadPool::install`, or the global one. The order is open; with two threads or more, calls
    /// overlap in time. Returns when all are made. As every call has a row of its own, the world
    /// is the same afterwards as after [`QueryMut::for_each`], unless the calls share something
    /// else.
    ///
    /// Chunks that a snapshot shares are copied in the same pass, by all threads. Threads take runs
    /// of up to 2,048 rows that lie in one chunk of every column, and several runs at once, also of
    /// several tables, where these are small.
    ///
    /// The lists of a pass are kept by the world, so a pass like the last one allocates nothing, on
    /// none of the threads, if the caller is a thread of the pool: run the frames under
    /// `ThreadPool::install`, or make the thread that runs them one of the pool's by
    /// `ThreadPoolBuilder::use_current_thread`. A caller from outside passes through rayon's queue
    /// for such callers, which takes a block of memory for every 63 passes and frees it after them;
    /// no other way into its threads takes less.
    ///
    /// # Panics
    ///
    /// When `each` does, after all threads have come back: which entities were visited is open,
    /// the row of the call is left as it was if a snapshot shared its chunk and the query visits
    /// all rows of its table, all others are whole, and nothing leaks. When memory runs out; see
    /// [`QueryMut::try_par_for_each`].
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn_columns((&[[1.0_f32, 2.0]; 5000][..],)).unwrap();
    /// world.query_mut::<&mut [f32; 2]>().par_for_each(|[x, y]| *x += *y);
    /// assert!(world.query::<&[f32; 2]>().iter().all(|value| *value == [3.0, 2.0]));
    /// ```
    #[track_caller]
    pub fn par_for_each(self, each: impl Fn(Q::Item<'_>) + Send + Sync) {
        if let Err(error) = self.try_par_for_each(each) {
            panic!("{error}");
        }
    }

    /// Calls `each` for every entity, as [`QueryMut::par_for_each`] does.
    ///
    /// # Errors
    ///
    /// When memory runs out for copying the chunks that snapshots share, of which all are
    /// allocated before the first call. The world is unchanged.
    pub fn try_par_for_each(
        self,
        each: impl Fn(Q::Item<'_>) + Send + Sync,
    ) -> Result<(), MemoryError> {
        let mut pass = Pass::<Q>::new(self)?;
        pass.visit(|listed, copying| {
            let (run, rows) = (listed.run, listed.rows);
            if Q::is_shared(&run) {
                if copying.copy_timed::<Q>(listed) {
                    // SAFETY: the run has these rows, which were copied and nobody has visited,
                    // and nothing is reclaimed before the pass ends.
                    unsafe { visit_copied::<Q>(run, rows, &mut &each) };
                } else {
                    // SAFETY: the run has these rows, which nobody has copied or visited; for the
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

    /// Calls `each` for every run of up to 2,048 rows, as [`QueryMut::for_each_run`] does, on all
    /// threads of the current rayon pool, as [`QueryMut::par_for_each`] does. What a snapshot
    /// shares is copied by the thread that visits it, before its rows are handed out.
    ///
    /// # Errors
    ///
    /// As [`QueryMut::try_par_for_each`].
    ///
    /// # Panics
    ///
    /// When `each` does, after all threads have come back.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn_columns((&[1_u32; 5000][..],)).unwrap();
    /// world.query_mut::<&mut u32>().par_for_each_run(|numbers| numbers.fill(7)).unwrap();
    /// assert!(world.query::<&u32>().iter().all(|number| *number == 7));
    /// ```
    pub fn par_for_each_run(
        self,
        each: impl Fn(Q::Slices<'_>) + Send + Sync,
    ) -> Result<(), MemoryError> {
        let mut pass = Pass::<Q>::new(self)?;
        pass.visit(|listed, copying| {
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

/// A run that was started and waits to be visited.
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
// the one thread that took the run from the counter of `share_out` (`Pass::visit`), and two runs
// of a pass have no written row in common: they are of different tables or of different rows
// (`ParallelTerms`), and terms of one query that touch the same column of a row conflict when they
// are resolved, unless all only read. Components are `Send + Sync`, so other threads may have
// references to their values. Old and new chunks stay mapped (`resident`), as the world is
// borrowed exclusively until the pass ends, and nothing is reclaimed meanwhile.
unsafe impl<R> Sync for ListedRuns<'_, R> {}

impl<R> ListedRuns<'_, R> {
    fn get(&self, index: u64) -> &ListedRun<R> {
        &self.0[index as usize]
    }

    /// Where the task that begins at `start` ends: after enough rows.
    fn task_end(&self, start: u64) -> u64 {
        let mut rows = 0;
        let runs = self.0[start as usize..].iter();
        let runs = runs.take_while(|listed| {
            let wants_more = rows < 1 << TASK_ROWS_LOG2;
            rows += listed.rows;
            wants_more
        });
        start + runs.count() as u64
    }
}

/// Counts the time of copies, if the world does.
struct Copying {
    timing: bool,
    nanoseconds: AtomicU64,
}

impl Copying {
    /// Copies a run apart from its visit, if times are counted. Returns whether it did.
    fn copy_timed<Q: ParallelTerms>(&self, listed: &ListedRun<Q::Run>) -> bool {
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
struct Pass<'w, Q: ParallelTerms> {
    world: &'w mut World,
    list: RunList<Q::Run>,
    terms: PhantomData<fn() -> Q>,
}

impl<'w, Q: ParallelTerms> Pass<'w, Q> {
    /// Makes everything writable that `query` is going to write. On an error nothing has changed.
    fn new<F: Filter>(query: QueryMut<'w, Q, F>) -> Result<Self, MemoryError> {
        let QueryMut { world, resolved, access, since, .. } = query;
        let list = RunList::new(mem::take(&mut world.pass_memory.runs));
        let mut pass = Pass { world, list, terms: PhantomData };
        let World { tables, memory, catalog, pass_memory, .. } = &mut *pass.world;
        let (catalog, spares) = (&**catalog, &mut pass_memory.spares);
        let select = |table: &Table| -> Option<Selection<F>> {
            Selection::bind(&TableRef::live(table), &catalog.registry, &access, since)
        };
        // Captures that have ended make copies unnecessary.
        memory.reclaim();
        let mut runs = 0;
        for table in tables.iter_mut().filter(|table| visits::<F>(table, &access, catalog)) {
            runs += match select(table) {
                Some(selection) => count_selected::<Q, F>(resolved, table, selection),
                None => match allocate_apart::<Q>(resolved, table, memory, spares) {
                    Ok(count) => count,
                    Err(error) => {
                        spares.give_back(memory);
                        return Err(error);
                    }
                },
            };
        }
        pass.list.reserve(runs);
        // First those that may reclaim what is retired: later, listed runs read from it.
        for table in tables.iter_mut().filter(|table| visits::<F>(table, &access, catalog)) {
            if let Some(selection) = select(table)
                && let Err(error) =
                    start_selected::<Q, F>(resolved, table, memory, selection, &mut pass.list)
            {
                spares.give_back(memory);
                return Err(error);
            }
        }
        for table in tables.iter_mut().filter(|table| visits::<F>(table, &access, catalog)) {
            if select(table).is_none() {
                start_apart::<Q>(resolved, table, memory, spares, &mut pass.list);
            }
        }
        spares.give_back(memory);
        Ok(pass)
    }

    /// Calls `each` for every run, on whichever thread took its task.
    fn visit(&mut self, each: impl Fn(&ListedRun<Q::Run>, &Copying) + Sync) {
        let timing = self.world.memory.history.timing;
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
        let nanoseconds = copying.nanoseconds.into_inner();
        self.world.memory.history.statistics.copy_time += Duration::from_nanos(nanoseconds);
    }
}

impl<Q: ParallelTerms> Drop for Pass<'_, Q> {
    fn drop(&mut self) {
        // After a panic, runs are left that nobody has begun. All threads have come back, and what
        // they wrote to the flags came before that.
        for listed in self.list.runs() {
            if !listed.begun.load(Ordering::Relaxed) {
                // SAFETY: the rows are in the run, and no item of them is or was alive.
                unsafe { Q::copy(listed.run, 0, listed.rows) };
            }
        }
        self.world.pass_memory.runs = mem::take(&mut self.list.words);
    }
}

/// The rows of each run of a table, where a run has at most as many rows as `log2` says.
fn runs_of(rows: usize, log2: u8) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(1 << log2).map(move |row| row..run_end(row, log2, rows))
}

/// Allocates spare chunks for a table that matches the query, and counts its runs.
fn allocate_apart<Q: ParallelTerms>(
    resolved: Q::Resolved,
    table: &mut Table,
    memory: &mut Memory,
    spares: &mut Spares,
) -> Result<usize, MemoryError> {
    let rows = table.rows();
    // SAFETY: the table matches, and is borrowed exclusively.
    let bound = unsafe { bind::<Q>(resolved, table) };
    let mut runs = 0;
    for run in runs_of(rows, run_log2::<Q>(&bound)) {
        // SAFETY: the memory is the table's and borrowed exclusively, and a run begins here.
        unsafe { Q::allocate_apart(&bound, run.start, memory, spares)? };
        runs += 1;
    }
    Ok(runs)
}

/// Makes a table that matches the query writable and lists its runs.
fn start_apart<Q: ParallelTerms>(
    resolved: Q::Resolved,
    table: &mut Table,
    memory: &mut Memory,
    spares: &mut Spares,
    list: &mut RunList<Q::Run>,
) {
    let live = table.rows();
    // SAFETY: the table matches, and is borrowed exclusively.
    let bound = unsafe { bind::<Q>(resolved, table) };
    let mut replaced = Q::NONE_REPLACED;
    for run in runs_of(live, run_log2::<Q>(&bound)) {
        let (rows, memory) = (run.len(), ptr::from_mut(memory));
        // SAFETY: spare chunks were allocated for all runs of the table, which start in their
        // order, and the pass copies them before it gives the memory free to be reclaimed.
        let run = unsafe { Q::start_apart(&bound, &mut replaced, run, live, memory, spares) };
        list.push(ListedRun { run, rows, begun: AtomicBool::new(false) });
    }
}

/// Counts the runs of a table that is visited in part.
fn count_selected<Q: ParallelTerms, F: Filter>(
    resolved: Q::Resolved,
    table: &mut Table,
    selection: Selection<F>,
) -> usize {
    let (rows, mut selection) = (table.rows(), Some(selection));
    // SAFETY: the table matches, and is borrowed exclusively.
    let bound = unsafe { bind::<Q>(resolved, table) };
    let (log2, mut row, mut runs) = (run_log2::<Q>(&bound), 0, 0);
    // SAFETY: the table is borrowed.
    while let Some(run) = unsafe { next_run(row, log2, rows, &mut selection) } {
        row = run.end;
        runs += 1;
    }
    runs
}

/// Makes the selected rows of a table writable and lists their runs. What is shared is copied
/// here: with a chunk that is visited in part nobody else would copy the rest.
fn start_selected<Q: ParallelTerms, F: Filter>(
    resolved: Q::Resolved,
    table: &mut Table,
    memory: &mut Memory,
    selection: Selection<F>,
    list: &mut RunList<Q::Run>,
) -> Result<(), MemoryError> {
    let (live, mut selection) = (table.rows(), Some(selection));
    // SAFETY: the table matches, and is borrowed exclusively.
    let bound = unsafe { bind::<Q>(resolved, table) };
    let (log2, mut row) = (run_log2::<Q>(&bound), 0);
    // SAFETY: the table is borrowed.
    while let Some(rows) = unsafe { next_run(row, log2, live, &mut selection) } {
        row = rows.end;
        let (count, memory) = (rows.len(), ptr::from_mut(memory));
        // SAFETY: the run lies in one chunk of every column, and the memory is the table's and
        // borrowed exclusively.
        let mut run = unsafe { start::<Q>(&bound, rows.clone(), live, memory)? };
        if Q::is_shared(&run) {
            // SAFETY: the rows are in the run, and no item of them is alive.
            unsafe { Q::copy(run, 0, count) };
            // SAFETY: its chunks are writable now and need no spare ones.
            run = unsafe { Q::start(&bound, rows, live, Q::NO_SPARES, memory) };
        }
        list.push(ListedRun { run, rows: count, begun: AtomicBool::new(false) });
    }
    Ok(())
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
