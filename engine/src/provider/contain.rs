//! Containing panics of code that is not the engine's.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `run` and tells whether it ended well. A panic ends here.
///
/// Unwind safety is the caller's affair: what `run` may leave half done must be its own.
pub(crate) fn contain(run: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(()) => true,
        Err(payload) => {
            // Dropping what it panicked with may panic in turn, and what it panics with then is
            // leaked, because dropping it might never come to an end.
            if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                mem::forget(next);
            }
            false
        }
    }
}
