//! The primitives that the lease cells synchronise by: `tests/loom` puts a model checker's here.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// An [`UnsafeCell`](std::cell::UnsafeCell) whose accesses pass through closures, so that a model
/// checker sees where they are.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// A cell with this value.
    pub(crate) fn new(value: T) -> UnsafeCell<T> {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    /// Lends a pointer for reading.
    #[inline]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Lends a pointer for writing.
    #[inline]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// Runs `destroy`, and lets no panic out. A model checker lets them out: they are its findings.
pub(crate) fn contain(destroy: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(destroy)) {
        // Its drop may panic as well.
        mem::forget(payload);
    }
}
