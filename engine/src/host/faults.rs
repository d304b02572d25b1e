//! Panics of modules, as their host tells of them.

use std::io::{self, Write as _};
use std::sync::Arc;

use crate::provider::contain::{Contained, contain};

use super::module::ModuleId;

/// A run of a module that ended in a panic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ModulePanic<'a> {
    /// The module.
    pub module: ModuleId,
    /// Its name.
    pub name: &'a str,
    /// The message of the panic.
    pub message: &'a str,
}

/// What is called on a panic.
pub(super) type PanicCallback = Contained<Arc<dyn Fn(&ModulePanic<'_>) + Send + Sync>>;

/// Tells of a panic, on stderr and to the callback, whose own panics end here.
pub(super) fn tell(panic: &ModulePanic<'_>, callback: Option<&PanicCallback>) {
    // Where nobody reads it there is nobody to tell.
    _ = writeln!(io::stderr(), "convoy: module {} panicked: {}", panic.name, panic.message);
    if let Some(callback) = callback {
        contain(|| callback(panic));
    }
}
