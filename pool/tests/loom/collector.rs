//! The collector as the model checker sees it: the promises of crossbeam-epoch, and nothing beyond.
//!
//! The real collector takes the checker too many steps, and has been checked by its authors. This
//! one stands on two promises of theirs:
//!
//! * A thread that pins after a deferral sees everything that came before the deferral.
//! * A deferred destruction runs when all guards are gone that were there at the deferral: after
//!   the deferral, and after all that was done under those guards.
//!
//! It destroys at the first moment that these allow, so that a thread that looks too late is
//! caught. A pin orders nothing else: the two counters pass on exactly the promised order, and the
//! registry belongs to the checker, whose threads take turns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sync::{AtomicUsize, Ordering};

/// Something to be destroyed, and the guards that it waits for.
struct Deferred {
    waits_for: Vec<usize>,
    destroy: Box<dyn FnOnce() + Send>,
}

/// The guards that are pinned, and the destructions that wait.
#[derive(Default)]
struct Registry {
    guards_made: usize,
    pinned: Vec<usize>,
    deferred: Vec<Deferred>,
}

/// The collector of one execution.
struct Collector {
    deferrals: AtomicUsize,
    unpins: AtomicUsize,
    registry: Mutex<Registry>,
}

loom::lazy_static! {
    static ref COLLECTOR: Collector = Collector {
        deferrals: AtomicUsize::new(0),
        unpins: AtomicUsize::new(0),
        registry: Mutex::default(),
    };
}

impl Collector {
    /// The registry. No step of the checker happens while it is locked.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the destructions that wait for no guard any more.
    fn destroy_due(&self) {
        let due: Vec<Deferred> =
            self.registry().deferred.extract_if(.., |each| each.waits_for.is_empty()).collect();
        if !due.is_empty() {
            // Acquire: pairs with the Release in the drop of the guards that were waited for, and
            // below with the one in `defer_drop`.
            self.unpins.fetch_add(0, Ordering::Acquire);
            self.deferrals.fetch_add(0, Ordering::Acquire);
            due.into_iter().for_each(|each| (each.destroy)());
        }
    }
}

/// A pinned thread.
pub(crate) struct Guard(usize);

impl Drop for Guard {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `destroy_due`.
        COLLECTOR.unpins.fetch_add(1, Ordering::Release);
        {
            let mut registry = COLLECTOR.registry();
            registry.pinned.retain(|&guard| guard != self.0);
            for each in &mut registry.deferred {
                each.waits_for.retain(|&guard| guard != self.0);
            }
        }
        COLLECTOR.destroy_due();
    }
}

/// Pins the calling thread.
pub(crate) fn pin() -> Guard {
    // Acquire: pairs with the Release in `defer_drop`.
    COLLECTOR.deferrals.fetch_add(0, Ordering::Acquire);
    let mut registry = COLLECTOR.registry();
    registry.guards_made += 1;
    let guard = registry.guards_made;
    registry.pinned.push(guard);
    Guard(guard)
}

/// Makes the collector, so that doing so later does not order two threads.
pub(crate) fn register_thread() {
    COLLECTOR.deferrals.load(Ordering::Relaxed);
}

/// Drops `value` when no thread pinned now is pinned any more.
pub(crate) fn defer_drop(value: impl Send + 'static) {
    // Release: pairs with the Acquire in `pin` and `destroy_due`.
    COLLECTOR.deferrals.fetch_add(1, Ordering::Release);
    {
        let mut registry = COLLECTOR.registry();
        let waits_for = registry.pinned.clone();
        registry.deferred.push(Deferred { waits_for, destroy: Box::new(move || drop(value)) });
    }
    COLLECTOR.destroy_due();
}

/// Nothing is overdue in the model.
pub(crate) fn collect() {}
