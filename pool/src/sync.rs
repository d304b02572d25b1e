//! The atomics of this crate, in one place: a model checker replaces them here.

pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
