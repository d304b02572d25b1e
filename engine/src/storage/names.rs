//! Names of components: those of types as users write them, and those that are described at run
//! time, each kept once per process.
//!
//! Errors carry component names as `&'static str`, whether the compiler knows the name or a file
//! brought it. So a described name is copied once and never freed: memory grows with the number
//! of different names that were ever described, not with worlds, frames or errors.

use std::any::type_name;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The name of a type as its users write it: that of the compiler, in which types of this crate
/// stand by their public path, the crate's root. For errors and registration; not for hot paths.
#[cold]
pub(crate) fn name_of<T: ?Sized>() -> &'static str {
    match public_paths(type_name::<T>()) {
        Cow::Borrowed(name) => name,
        Cow::Owned(name) => intern(&name),
    }
}

/// The root of this crate, where all its public types are.
const ROOT: &str = "convoy_engine::";

/// Takes the private modules out of the paths of this crate's types.
fn public_paths(name: &'static str) -> Cow<'static, str> {
    let in_path = |each: char| each.is_alphanumeric() || each == '_' || each == ':';
    let mut public = Cow::Borrowed("");
    let mut rest = name;
    // A name may hold several paths, as that of an array, a tuple or a generic type does.
    while let Some(at) = rest.find(ROOT) {
        let (before, path) = rest.split_at(at);
        let end = path.find(|each| !in_path(each)).unwrap_or(path.len());
        let (path, after) = path.split_at(end);
        let public = public.to_mut();
        public.push_str(before);
        match path.rsplit_once("::") {
            Some((_, last)) if !before.ends_with(in_path) => {
                public.push_str(ROOT);
                public.push_str(last);
            }
            _ => public.push_str(path),
        }
        rest = after;
    }
    if public.is_empty() { Cow::Borrowed(name) } else { public + rest }
}

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
    fn types_of_this_crate_go_by_their_public_paths() {
        use crate::storage::{ChildOf, Entity};
        assert_eq!(name_of::<Entity>(), "convoy_engine::Entity");
        let pair = "[(convoy_engine::Entity, convoy_engine::ChildOf, u32); 2]";
        assert_eq!(name_of::<[(Entity, ChildOf, u32); 2]>(), pair);
        assert_eq!(name_of::<Option<[f32; 3]>>(), type_name::<Option<[f32; 3]>>());
        assert_eq!(public_paths("not_convoy_engine::a::B"), "not_convoy_engine::a::B");
        assert_eq!(public_paths("x::Y<convoy_engine::a::b::C>"), "x::Y<convoy_engine::C>");
    }

    #[test]
    fn equal_names_are_kept_once() {
        let (first, second) = (intern("wind"), intern(&String::from("wind")));
        assert!(std::ptr::eq(first, second));
        assert_ne!(first, intern("rain"));
    }
}
