//! Deferred destruction: the project's own crossbeam-epoch collector.
//!
//! A thread that looks at a published cell is *pinned* meanwhile, and a cell that leaves its pool
//! for good is destroyed only when every thread pinned at that moment has unpinned (`pinned`).
//! Pinning does not allocate once a thread is registered. Deferring does, now and then, which
//! is why cells that stay in their pool never come here.

use std::sync::OnceLock;

use crossbeam_epoch::{Collector, Guard, LocalHandle};

/// The collector of all pools. Its own, so that pins elsewhere in the process do not delay it.
static COLLECTOR: OnceLock<Collector> = OnceLock::new();

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

/// Drops `value` when no thread pinned now is pinned any more. Allocates.
pub(crate) fn defer_drop(value: impl Send + 'static) {
    let guard = pin();
    guard.defer(move || drop(value));
    guard.flush();
}

/// Destroys what is due. What was deferred just now is due after a few calls, unless a thread stays
/// pinned.
pub(crate) fn collect() {
    pin().flush();
}
