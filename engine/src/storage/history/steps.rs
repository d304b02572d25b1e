//! Steps: the chunks that a preparation has taken, to be taken back when the rest of it fails.
//!
//! A preparation makes chunks writable and adds chunks, one column after the other, until it has all
//! that an operation needs, or finds no memory. While it is open, a chunk that it replaces is kept
//! with the step that replaced it: at the end either the new ones stay and the old ones are
//! released, or the old ones come back and the new ones go.

use std::mem;

use convoy_pool::ChunkPtr;

use crate::storage::chunk_list::LooseChunk;
use crate::storage::component_id::ComponentId;
use crate::storage::room::shrink_list;

/// A chunk that a preparation put into a column of `component`.
pub(crate) struct Step {
    pub(crate) component: ComponentId,
    /// The chunk, and its place in the column.
    pub(crate) new: ChunkPtr,
    pub(crate) number: usize,
    /// The chunk that was in its place, if there was one.
    pub(crate) old: Option<LooseChunk>,
}

/// The steps of a preparation, while one is open.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) open: bool,
    list: Vec<Step>,
}

impl Steps {
    /// Begins to note steps, until [`Steps::end`].
    pub(super) fn begin(&mut self) {
        assert!(!self.open, "preparations don't nest");
        self.open = true;
    }

    /// Notes no more steps, and hands those out that were noted, oldest first.
    pub(super) fn end(&mut self) -> Vec<Step> {
        self.open = false;
        mem::take(&mut self.list)
    }

    /// Keeps an empty list for its room.
    pub(super) fn keep_list(&mut self, steps: Vec<Step>) {
        debug_assert!(steps.is_empty(), "all steps were taken");
        self.list = steps;
    }

    pub(super) fn note(&mut self, step: Step) {
        self.list.push(step);
    }

    /// Gives back room of the list. Returns its bytes.
    pub(super) fn trim_list(&mut self) -> usize {
        shrink_list(&mut self.list)
    }
}
