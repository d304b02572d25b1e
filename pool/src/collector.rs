//! Deferred destruction: the project's own crossbeam-epoch collector.
//!
//! A thread that looks at a published cell is *pinned* meanwhile, and a cell that leaves its pool
//! for good is destroyed only when every thread pinned at that moment has unpinned (`pinned`).
//! Pinning does not allocate once a thread is registered. Deferring does, now and then, which
//! is why cells that stay in their pool never come here.
//!
//! Nothing tells whose garbage the collector holds: leftovers are freed by whichever thread pins
//! next, in the middle of a frame that has nothing to do with it. So a thread that defers collects as
//! well, until all is gone ([`collect`]), for a bounded number of rounds. Something is left only
//! where a thread stays pinned for as long as that, because the system takes the processor away from
//! it between two instructions of a join, or where others defer more meanwhile.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_epoch::{Collector, Guard, LocalHandle};

/// The collector of all pools. Its own, so that pins elsewhere in the process do not delay it.
static COLLECTOR: OnceLock<Collector> = OnceLock::new();

/// The cells that were deferred and are not destroyed yet.
static PENDING: AtomicUsize = AtomicUsize::new(0);

/// How often a thread pins until the collector looks for garbage by itself.
///
/// That is the way to collect to the end. A flush collects as well, but first it hands on the nodes
/// that the last one took out of the queue: it never leaves the queue empty.
const PINS_PER_ROUND: usize = 128;

/// Rounds that free the garbage that no thread looks at: it is destroyed at an age of two epochs,
/// and a round advances the epoch by one. One more, as the first may have begun already.
const ROUNDS_MIN: usize = 4;

/// Rounds after which the rest is left to others, however many of them defer something meanwhile.
const ROUNDS_MAX: usize = 64;

thread_local! {
    /// This thread's registration.
    static HANDLE: LocalHandle = register();
}

/// Registers the calling thread.
fn register() -> LocalHandle {
    COLLECTOR.get_or_init(Collector::new).register()
}

/// Pins the calling thread: until the guard drops, no cell that it can see is destroyed.
pub(crate) fn pin() -> Guard {
    // A thread that is shutting down has lost its registration and gets a passing one.
    HANDLE.try_with(LocalHandle::pin).unwrap_or_else(|_| register().pin())
}

/// Registers the calling thread, so that pinning it later does not allocate.
pub(crate) fn register_thread() {
    drop(pin());
}

/// Drops `value` when no thread pinned now is pinned any more. Allocates. [`collect`] comes next.
pub(crate) fn defer_drop(value: impl Send + 'static) {
    let guard = pin();
    // Relaxed: a count that only tells whether it is worth going on.
    PENDING.fetch_add(1, Ordering::Relaxed);
    guard.defer(move || {
        // Counted out first, as the drop may panic.
        PENDING.fetch_sub(1, Ordering::Relaxed);
        drop(value);
    });
    guard.flush();
}

/// Destroys the values that are due, those of just now included, and forgets the threads that have
/// ended. Yields to pinned threads a bounded number of times, even if they stay pinned: the drop of
/// a reader may end here.
///
/// Within a destruction it does nothing: values that are deferred there wait for its end, and so
/// for the outer call, which goes on with them.
pub(crate) fn collect() {
    // A thread that is shutting down has lost its registration: others go on.
    if HANDLE.try_with(LocalHandle::is_pinned).unwrap_or(true) {
        return;
    }
    pin().flush();
    go_on(|| {
        (0..PINS_PER_ROUND).for_each(|_| drop(pin()));
        PENDING.load(Ordering::Relaxed)
    });
}

/// Does rounds until nothing is left: each returns how many values it has left.
fn go_on(mut round: impl FnMut() -> usize) {
    for rounds in 1..=ROUNDS_MAX {
        let left = round();
        if rounds >= ROUNDS_MIN {
            if left == 0 {
                return;
            }
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that others defer count as left, and those that they free as progress: a drop of one
    /// reader went on for as long as others were at it.
    #[test]
    fn collecting_ends_however_much_others_free_and_defer() {
        let mut rounds = 0;
        go_on(|| {
            rounds += 1;
            1000 - rounds % 7
        });
        assert_eq!(rounds, ROUNDS_MAX);
        let mut rounds = 0;
        go_on(|| {
            rounds += 1;
            0
        });
        assert_eq!(rounds, ROUNDS_MIN);
    }
}
