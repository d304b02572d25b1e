//! Tasks: how the threads of a parallel pass share its runs out among them.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// log2 of the rows that a task has at the least, where there are as many: enough that taking a
/// task is cheap beside the loop over its rows, also when that does little.
pub(super) const TASK_ROWS_LOG2: u8 = 8;

/// Tasks into which the share of a thread of what is left is cut.
const TASKS_OF_SHARE: usize = 4;

/// log2 of the rows that a run has at the most: a part of a chunk, so that the threads come to the
/// end together also where there are few chunks. It is a whole number of cache lines in every
/// column, and large enough that listing a run is cheap beside the loop over its rows.
pub(super) const RUN_ROWS_LOG2: u8 = 11;

/// Calls `work` for consecutive ranges of `0..end`, each on the thread of the current rayon pool
/// that is free first. The range that begins at a position ends at `end_of` it.
///
/// When a call panics, no further range is handed out, and the panic goes on here after all
/// threads have come back.
pub(super) fn share_out(
    end: u64,
    end_of: impl Fn(u64) -> u64 + Sync,
    work: impl Fn(Range<u64>) + Sync,
) {
    let next = AtomicU64::new(0);
    let threads = thread_count(end, &end_of);
    on_threads(threads, &|| {
        let stop = StopOthers(&next);
        while let Some(task) = take(stop.0, end, &end_of) {
            work(task);
        }
    });
}

/// How much of what is left a task takes: large tasks first, so that few are taken and the rows of a thread
/// are neighbours, and the smallest in the end, so that the threads end together (guided self-scheduling:
/// C. D. Polychronopoulos and D. J. Kuck, 1987).
pub(super) fn share_of(left: usize) -> usize {
    left / (rayon_core::current_num_threads() * TASKS_OF_SHARE)
}

/// How many threads are worth asking: no more than there are tasks.
fn thread_count(end: u64, end_of: &impl Fn(u64) -> u64) -> usize {
    let threads = rayon_core::current_num_threads();
    let (mut tasks, mut at) = (0, 0);
    while at < end && tasks < threads {
        at = end_of(at);
        tasks += 1;
    }
    tasks
}

/// Calls `work` on so many threads at once, if they are free. Never waits for a thread that hasn't
/// started; another makes its call.
fn on_threads(count: usize, work: &(impl Fn() + Sync)) {
    if count < 2 {
        return work();
    }
    let half = count / 2;
    rayon_core::join(|| on_threads(count - half, work), || on_threads(half, work));
}

/// Takes the next task.
///
/// The exchange is relaxed: the rows that a task reads were written before the threads were started,
/// and those that it writes are read after they were joined.
fn take(next: &AtomicU64, end: u64, end_of: &impl Fn(u64) -> u64) -> Option<Range<u64>> {
    let mut start = next.load(Ordering::Relaxed);
    while start < end {
        let task_end = end_of(start);
        debug_assert!(start < task_end && task_end <= end, "tasks have work, and end");
        match next.compare_exchange_weak(start, task_end, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Some(start..task_end),
            Err(now) => start = now,
        }
    }
    None
}

/// Leaves the others nothing to take once a thread is done, as no task is left, or unwinds.
struct StopOthers<'a>(&'a AtomicU64);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }
}
