//! Lists of parallel passes, kept by the world so that a pass finds them as large as the last one
//! left them.

use std::mem::MaybeUninit;

use crate::storage::room::shrink_list;
use crate::storage::spares::Spares;

/// What the last parallel pass left: empty lists, with their capacity.
#[derive(Default)]
pub(crate) struct PassMemory {
    pub(crate) spares: Spares,
    /// Room for a list of runs. Their type depends on the query, so it is kept as plain words.
    pub(crate) runs: Vec<MaybeUninit<u64>>,
}

impl PassMemory {
    /// Gives back room of the last passes. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        self.spares.trim_list() + shrink_list(&mut self.runs)
    }
}
