//! Names of components that are described at run time, each kept once per process.
//!
//! Errors carry component names as `&'static str`, whether the compiler knows the name or a file
//! brought it. So a described name is copied once and never freed: memory grows with the number
//! of different names that were ever described, not with worlds, frames or errors.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The one copy of `name` in this process.
pub(crate) fn intern(name: &str) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(Box::from(name));
    names.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_kept_once() {
        let (first, second) = (intern("wind"), intern(&String::from("wind")));
        assert!(std::ptr::eq(first, second));
        assert_ne!(first, intern("rain"));
    }
}
