//! Containing panics of code that is not the engine's.

use std::any::Any;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `run` and returns its result; `None` when it panics. The panic ends here.
///
/// The caller sees to unwind safety: state that `run` may leave half done must be its own.
pub(crate) fn contain<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(drop_payload).ok()
}

/// [`contain`], with the message of the panic.
pub(crate) fn contain_with_message<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        drop_payload(payload);
        text.unwrap_or_else(|| "a panic without a message".to_owned())
    })
}

/// Drops the payload of a panic, which may panic in turn. The second payload is leaked, because dropping
/// payloads might never come to an end.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(next);
    }
}

/// A value of the user's, whose drop may panic. The panic ends here.
pub(crate) struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Deref for Contained<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("the value is there until it is dropped")
    }
}

impl<T> DerefMut for Contained<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("the value is there until it is dropped")
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        contain(|| drop(value));
    }
}
