//! The primitives that the lease cells synchronise by, as the model checker provides them.

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::Arc;
pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The checker's pointer, but stored to by exchange. When a store and another thread's exchange
/// meet, loom 0.7 lets the storing thread read the exchanged value afterwards, although the
/// exchange saw a value older than the store and so comes before it. Exchanges have one order.
pub(crate) struct AtomicPtr<T>(loom::sync::atomic::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    #[track_caller]
    pub(crate) fn new(pointer: *mut T) -> AtomicPtr<T> {
        AtomicPtr(loom::sync::atomic::AtomicPtr::new(pointer))
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        self.0.load(order)
    }

    #[track_caller]
    pub(crate) fn store(&self, pointer: *mut T, order: Ordering) {
        self.0.swap(pointer, order);
    }

    #[track_caller]
    pub(crate) fn swap(&self, pointer: *mut T, order: Ordering) -> *mut T {
        self.0.swap(pointer, order)
    }

    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        self.0.compare_exchange(current, new, success, failure)
    }
}

/// Runs `destroy`. Panics are the checker's findings.
pub(crate) fn contain(destroy: impl FnOnce()) {
    destroy();
}
