//! The parts of a world that are not its [`State`](super::state::State): each with a rule of its own.

use std::any::TypeId;
use std::sync::atomic::AtomicI32;
use std::sync::{Mutex, PoisonError};

use crate::storage::Entity;
use crate::storage::room::{list_bytes, shrink_list};
use crate::storage::run::RowRuns;

use super::bundle::Bundles;
use super::edges::Edges;
use super::list_order::ListOrder;
use super::moves::Moves;
#[cfg(feature = "rayon")]
use super::run_words::RunWords;

/// The results that operations on bundles work out once. They hold for one order of archetypes and
/// types: where that changes, or some of them are taken back, plans start anew.
#[derive(Default)]
pub(crate) struct Plans {
    pub(crate) bundles: Bundles,
    pub(crate) edges: Edges,
    pub(crate) recent_log: RecentLog,
}

/// The event type that was sent last, and the number of its log: loops send one type many times.
pub(crate) struct RecentLog(TypeId, usize);

impl Default for RecentLog {
    fn default() -> Self {
        // No event has the type of this; the number is never used.
        Self(TypeId::of::<Self>(), usize::MAX)
    }
}

impl RecentLog {
    /// The number of the log, if `event` is the type.
    #[inline]
    pub(crate) fn find(&self, event: TypeId) -> Option<usize> {
        (self.0 == event).then_some(self.1)
    }

    pub(crate) fn set(&mut self, event: TypeId, number: usize) {
        *self = Self(event, number);
    }
}

/// Lists that one operation fills and the next one fills again: kept for their memory only.
#[derive(Default)]
pub(crate) struct ScratchLists {
    /// The rows of a list of entities.
    pub(crate) runs: RowRuns,
    pub(crate) moves: Moves,
    /// Scratch for operations that collect entities before changing them.
    pub(crate) entity_list: Vec<Entity>,
    /// The types that queries of a shared world use and no component has.
    pub(crate) strangers: Mutex<Vec<(TypeId, i32)>>,
    /// How many queries of a shared world borrow each of its types.
    pub(crate) borrows: Vec<AtomicI32>,
    #[cfg(feature = "rayon")]
    pub(crate) run_words: RunWords,
}

impl ScratchLists {
    /// Bytes of the lists. Those of a shared world, some bytes for each type, are left out.
    pub(crate) fn list_bytes(&self) -> usize {
        self.runs.list_bytes() + self.moves.list_bytes() + list_bytes(&self.entity_list)
    }

    /// Gives back room that the last operations did not need. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        let Self {
            runs,
            moves,
            entity_list,
            strangers,
            borrows,
            #[cfg(feature = "rayon")]
            run_words,
        } = self;
        let bytes = runs.trim_lists() + moves.trim_lists();
        #[cfg(feature = "rayon")]
        let bytes = bytes + shrink_list(run_words);
        let strangers = strangers.get_mut().unwrap_or_else(PoisonError::into_inner);
        bytes + shrink_list(entity_list) + shrink_list(strangers) + shrink_list(borrows)
    }
}

/// Where operations with a time budget go on: hints, good for any order of tables.
#[derive(Default)]
pub(crate) struct Progress {
    /// The table with which the next compaction goes on.
    pub(crate) compact_next: usize,
    /// The size of blocks of lists with which the next compaction goes on.
    pub(crate) lists_next: usize,
    /// Where lists are put in the order of rows, if a compaction has begun to.
    pub(crate) list_order: Option<ListOrder>,
    /// The holder of columns with which the next gathering of scattered chunks goes on.
    pub(crate) gather_next: usize,
    /// In a branch: the holder of columns with which the next detaching goes on.
    pub(crate) detach_next: usize,
}
