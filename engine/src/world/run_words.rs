//! [`RunWords`]: room for the runs of a parallel pass.

use std::mem::MaybeUninit;

/// The room of the list of runs that the last parallel pass left. The type of a run depends on the
/// query, so it is kept as plain words.
pub(crate) type RunWords = Vec<MaybeUninit<u64>>;
