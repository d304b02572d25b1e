//! Publications: where any thread joins the readers of the newest shared value.
//!
//! Joining pins the thread, looks up the shown cell and its state, checks that the cell is still
//! shown, and exchanges the very state that it saw for one with a reader more. The check ties the
//! state to the cell that this publication shows: a cell is taken down before its next generation
//! opens, so a state read from a later generation, of another publication perhaps, comes with a
//! board that no longer shows the cell. The guard ends with the join; the lease alone keeps the
//! value.
#![allow(unsafe_code, reason = "looks at a cell through the pointer that a board shows")]

use std::fmt;

use crate::cell::{Board, Held, Recycle};
use crate::collector;
use crate::lease::{Lease, VacantCell};
use crate::sync::Arc;

/// Shows at most one shared value for any thread to join. Clones show the same.
///
/// ```
/// # use convoy_pool::{CellPool, CellPoolConfig, Publication, Recycle};
/// # struct Text(String);
/// # impl Recycle for Text {
/// #     fn recycle(&mut self) { self.0.clear() }
/// #     fn retained_bytes(&self) -> usize { self.0.capacity() }
/// # }
/// let pool = CellPool::new(CellPoolConfig::default(), || Text(String::from("north")));
/// let publication = Publication::new();
/// let first = pool.take().publish(&publication);
/// let second = publication.join().expect("somebody reads it");
/// assert!(first.same_cell(&second));
/// drop((first, second));
/// assert!(publication.join().is_none());
/// ```
pub struct Publication<T: Recycle> {
    board: Arc<Board<T>>,
}

impl<T: Recycle> Publication<T> {
    /// A publication that shows nothing.
    #[must_use]
    pub fn new() -> Publication<T> {
        Publication { board: Arc::new(Board::new()) }
    }

    /// One more reader of the value shown now, or `None` if none is shown or its last reader has
    /// left. Lock-free and without allocation on a registered thread.
    ///
    /// # Panics
    /// When the cell has 2^23 readers.
    #[must_use]
    #[track_caller]
    pub fn join(&self) -> Option<Lease<T>> {
        // Declared first, so that it outlives every look at a cell.
        let _guard = collector::pin();
        loop {
            let shown = self.board.shown()?;
            // SAFETY: `pinned`: a cell found on a board is not destroyed while the guard lives.
            let cell = unsafe { shown.as_ref() };
            let seen = cell.state.load();
            if self.board.shown() != Some(shown) {
                continue;
            }
            if seen.is_closed() {
                // Unchanged means that the cell was not used again before the second look at the
                // board: at that moment the board showed a closed cell and no other.
                if cell.state.load() == seen {
                    return None;
                }
            } else if cell.state.try_join(seen) {
                // SAFETY: the exchange made us a reader, and the pointer came from a holder.
                let cell = unsafe { Held::from_raw(shown) };
                // SAFETY: the exchange counted this reader.
                return Some(unsafe { Lease::new(cell) });
            }
        }
    }

    /// Shows nothing from now on. Current readers keep their leases.
    pub fn withdraw(&self) {
        self.board.clear();
    }

    /// Frees the registrations of threads that have ended. Otherwise that is done by whichever
    /// thread joins next, in the middle of its work. Call it where such threads were waited for;
    /// pools that are dropped do so as well. Allocates.
    pub fn forget_ended_threads() {
        collector::collect();
    }

    /// Registers the calling thread with the collector, so that joining later does not allocate.
    pub fn register_thread() {
        collector::register_thread();
    }
}

impl<T: Recycle> Clone for Publication<T> {
    fn clone(&self) -> Publication<T> {
        Publication { board: Arc::clone(&self.board) }
    }
}

impl<T: Recycle> Default for Publication<T> {
    fn default() -> Publication<T> {
        Publication::new()
    }
}

impl<T: Recycle> fmt::Debug for Publication<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shows = self.board.shown().is_some();
        formatter.debug_struct("Publication").field("shows", &shows).finish()
    }
}

impl<T: Recycle> VacantCell<T> {
    /// Opens the cell with one reader and shows it in place of the one that was shown before, whose
    /// readers keep it. Neither locks nor allocates.
    pub fn publish(self, publication: &Publication<T>) -> Lease<T> {
        self.open(Some(&publication.board))
    }
}
