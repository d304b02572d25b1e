//! Names of components: those of types as users write them, and those that are described at run
//! time, each kept once per process.
//!
//! Errors carry component names as `&'static str`, whether the compiler knows the name or a file
//! brought it. So a described name is copied once and never freed: memory grows with the number
//! of different names that were ever described, not with worlds, frames or errors.

use std::any::{TypeId, type_name};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::entity::Entity;
use super::links::{ChildOf, Children};

/// The name of a type as its users write it: that of the compiler, in which types of this crate
/// stand by their public path.
///
/// Errors are made also where they are not read, as answers. So the names of this crate's own
/// components are constants, and others cost a look through the name, and no memory.
#[inline]
pub(crate) fn name_of<T: 'static>() -> &'static str {
    let component = TypeId::of::<T>();
    if component == TypeId::of::<Entity>() {
        "convoy_engine::Entity"
    } else if component == TypeId::of::<ChildOf>() {
        "convoy_engine::hierarchy::ChildOf"
    } else if component == TypeId::of::<Children>() {
        "convoy_engine::hierarchy::Children"
    } else {
        public_name(type_name::<T>())
    }
}

/// The root of this crate.
const ROOT: &str = "convoy_engine::";

/// A name that the compiler gave, with types of this crate by their public paths.
pub(crate) fn public_name(name: &'static str) -> &'static str {
    let parts = name.as_bytes().windows(ROOT.len());
    if parts.into_iter().any(|part| part == ROOT.as_bytes()) { kept_public(name) } else { name }
}

/// Keeps the public name of each name that has parts of this crate.
#[cold]
fn kept_public(name: &'static str) -> &'static str {
    static NAMES: Mutex<Option<HashMap<&'static str, &'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.get_or_insert_default().entry(name).or_insert_with(|| intern(&public_paths(name)))
}

/// The public module in which a component type of this crate stands.
fn public_module(component: &str) -> &'static str {
    match component {
        "ChildOf" | "Children" => "hierarchy::",
        "List" | "ListHandle" => "list::",
        _ => "",
    }
}

/// Takes the private modules out of the paths of this crate's components.
fn public_paths(name: &str) -> String {
    let in_path = |each: char| each.is_alphanumeric() || each == '_' || each == ':';
    let mut public = String::with_capacity(name.len());
    let mut rest = name;
    // A name may hold several paths, as that of an array, a tuple or a generic type does.
    while let Some(at) = rest.find(ROOT) {
        let (before, path) = rest.split_at(at);
        let end = path.find(|each| !in_path(each)).unwrap_or(path.len());
        let (path, after) = path.split_at(end);
        public.push_str(before);
        match path.rsplit_once("::") {
            Some((_, last)) if !before.ends_with(in_path) => {
                let public_last = if last == "ListHandle" { "List" } else { last };
                for part in [ROOT, public_module(last), public_last] {
                    public.push_str(part);
                }
            }
            _ => public.push_str(path),
        }
        rest = after;
    }
    public + rest
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
        assert_eq!(name_of::<Entity>(), public_name(type_name::<Entity>()));
        assert_eq!(name_of::<ChildOf>(), public_name(type_name::<ChildOf>()));
        assert_eq!(name_of::<Children>(), public_name(type_name::<Children>()));
        let pair = "[(convoy_engine::Entity, convoy_engine::hierarchy::ChildOf, u32); 2]";
        assert_eq!(name_of::<[(Entity, ChildOf, u32); 2]>(), pair);
        let again = [(); 2].map(|()| name_of::<[(Entity, ChildOf, u32); 2]>());
        assert!(std::ptr::eq(again[0], again[1]), "kept once");
        assert_eq!(name_of::<Option<[f32; 3]>>(), type_name::<Option<[f32; 3]>>());
        assert_eq!(public_paths("not_convoy_engine::a::B"), "not_convoy_engine::a::B");
        assert_eq!(public_name("[u8; 3]"), "[u8; 3]");
        assert_eq!(public_paths("x::Y<convoy_engine::a::b::C>"), "x::Y<convoy_engine::C>");
    }

    #[test]
    fn equal_names_are_kept_once() {
        let (first, second) = (intern("wind"), intern(&String::from("wind")));
        assert!(std::ptr::eq(first, second));
        assert_ne!(first, intern("rain"));
    }
}
