//! The three ways to hold a cell: as its one writer, as one of its readers, or only watching.
//!
//! A [`VacantCell`] is written by one owner, which then shares it and becomes the first reader. A
//! [`Lease`] reads; cloning it adds a reader and dropping it is the release, which cannot happen
//! twice. A [`Watch`] learns that the last reader of one generation has left, after everything that
//! the readers did, so that memory that was lent to the value may be used again.
#![allow(unsafe_code, reason = "turns ownership of a cell into references to its value")]

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::cell::{Board, Cell, Held, Recycle};
use crate::state::Generation;
use crate::sync::Arc;

/// A cell with one owner, which fills it. Dropping it recycles it into its pool.
pub struct VacantCell<T: Recycle> {
    /// Sole owner and holder of the travelling count.
    cell: Held<T>,
}

impl<T: Recycle> VacantCell<T> {
    /// The owner of a cell that was just taken or made.
    ///
    /// # Safety
    /// The caller is the sole owner, passes on the travelling count, and has set the home.
    pub(crate) unsafe fn new(cell: Held<T>) -> VacantCell<T> {
        VacantCell { cell }
    }

    /// Watches for the end of the generation that begins when this cell is shared. It counts as
    /// ended also when the cell is dropped unshared.
    #[must_use]
    pub fn watch(&self) -> Watch<T> {
        let generation = self.cell.state.load().generation().next();
        Watch { cell: self.cell.watch(), generation }
    }

    /// Opens the cell with one reader, which others can only join by cloning the lease. Neither
    /// locks nor allocates.
    pub fn share(self) -> Lease<T> {
        self.open(None)
    }

    /// Opens the cell with one reader, and shows it on the board if there is one.
    pub(crate) fn open(self, board: Option<&Arc<Board<T>>>) -> Lease<T> {
        let vacant = ManuallyDrop::new(self);
        // SAFETY: the vacant cell is forgotten, and its count passes to the leases.
        let cell = unsafe { vacant.cell.again() };
        if let Some(board) = board {
            // SAFETY: `sole-owner`: the cell is not yet open.
            unsafe { cell.set_board(Arc::clone(board)) };
        }
        cell.state.open();
        if let Some(board) = board {
            board.show(cell.as_raw());
        }
        Lease { cell }
    }
}

impl<T: Recycle> Deref for VacantCell<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `sole-owner`, and `&self` bars `deref_mut` meanwhile.
        unsafe { self.cell.value() }
    }
}

impl<T: Recycle> DerefMut for VacantCell<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `sole-owner`, and `&mut self` bars every other reference.
        unsafe { self.cell.value_mut() }
    }
}

impl<T: Recycle> Drop for VacantCell<T> {
    fn drop(&mut self) {
        self.cell.state.give_up();
        // SAFETY: the vacant cell ends here and passes its count on.
        let cell = unsafe { self.cell.again() };
        // SAFETY: `sole-owner`, and the count is the one above.
        unsafe { cell.retire() };
    }
}

impl<T: Recycle> fmt::Debug for VacantCell<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VacantCell").finish_non_exhaustive()
    }
}

/// One reader of a shared value. Cloning it is one more reader, dropping it is the release.
///
/// ```
/// # use convoy_pool::{CellPool, CellPoolConfig, Recycle};
/// # struct Text(String);
/// # impl Recycle for Text {
/// #     fn recycle(&mut self) { self.0.clear() }
/// #     fn retained_bytes(&self) -> usize { self.0.capacity() }
/// # }
/// let pool = CellPool::new(CellPoolConfig::default(), || Text(String::new()));
/// let mut vacant = pool.take();
/// vacant.0.push_str("north");
/// let watch = vacant.watch();
/// let lease = vacant.share();
/// let reader = std::thread::spawn({
///     let lease = lease.clone();
///     move || lease.0.len()
/// });
/// assert_eq!(reader.join().expect("no panic"), 5);
/// assert!(!watch.ended());
/// drop(lease);
/// assert!(watch.ended());
/// ```
pub struct Lease<T: Recycle> {
    /// A reader of the open cell and holder of a share of the travelling count.
    cell: Held<T>,
}

impl<T: Recycle> Lease<T> {
    /// The lease of a reader that was just counted.
    ///
    /// # Safety
    /// The caller was added to the readers of the open cell and is not yet a lease.
    pub(crate) unsafe fn new(cell: Held<T>) -> Lease<T> {
        Lease { cell }
    }

    /// How many readers there are now, this one included.
    #[must_use]
    pub fn readers(&self) -> u32 {
        self.cell.state.load().readers()
    }

    /// How often the cell was used before, wrapping at 2^40. Together with the cell it identifies
    /// the value that is read.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.cell.state.load().generation().number()
    }

    /// Whether both read the same value.
    #[must_use]
    pub fn same_cell(&self, other: &Lease<T>) -> bool {
        self.cell.as_raw() == other.cell.as_raw()
    }
}

impl<T: Recycle> Clone for Lease<T> {
    /// One more reader. Neither locks nor allocates.
    ///
    /// # Panics
    /// When the cell has 2^23 readers.
    #[track_caller]
    fn clone(&self) -> Lease<T> {
        self.cell.state.add_reader();
        // SAFETY: the new reader was counted, and so shares the travelling count.
        Lease { cell: unsafe { self.cell.again() } }
    }
}

impl<T: Recycle> Deref for Lease<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this reader keeps the cell open (`leased`).
        unsafe { self.cell.value() }
    }
}

impl<T: Recycle> Drop for Lease<T> {
    fn drop(&mut self) {
        // A reader that is not the last must not touch the cell again: it may be gone.
        if self.cell.state.leave() {
            // SAFETY: the last reader has the whole of the travelling count.
            let cell = unsafe { self.cell.again() };
            // SAFETY: `closed`: no reader joins any more, so the last reader is the sole owner.
            unsafe { cell.retire() };
        }
    }
}

impl<T: Recycle> fmt::Debug for Lease<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.cell.state.load();
        formatter
            .debug_struct("Lease")
            .field("generation", &word.generation().number())
            .field("readers", &word.readers())
            .finish_non_exhaustive()
    }
}

/// Knows whether one generation of a cell has ended. It keeps the cell's memory, not its contents.
pub struct Watch<T: Recycle> {
    cell: Arc<Cell<T>>,
    /// The generation that begins when the vacant cell is opened.
    generation: Generation,
}

impl<T: Recycle> Watch<T> {
    /// Whether the last reader of the generation has left. Once true it stays true, and the
    /// caller's next steps come after everything that the readers did.
    #[must_use]
    pub fn ended(&self) -> bool {
        let word = self.cell.state.load();
        if word.generation() == self.generation {
            return word.is_closed();
        }
        // One generation earlier the cell is vacant and waits to be opened.
        word.generation().next() != self.generation
    }

    /// One more reader of that generation, unless its last one has left. Lock-free and without
    /// allocation.
    ///
    /// # Panics
    /// When the cell has 2^23 readers.
    #[must_use]
    #[track_caller]
    pub fn join(&self) -> Option<Lease<T>> {
        loop {
            let seen = self.cell.state.load();
            if seen.generation() != self.generation || seen.is_closed() {
                return None;
            }
            if self.cell.state.try_join(seen) {
                let raw = NonNull::new(Arc::as_ptr(&self.cell).cast_mut());
                let raw = raw.expect("an Arc is not at null");
                // SAFETY: the exchange made us a reader of the open cell, which shares the
                // travelling count, and the pointer is that of the `Arc` which the count is of.
                let cell = unsafe { Held::from_raw(raw) };
                // SAFETY: the exchange counted this reader.
                return Some(unsafe { Lease::new(cell) });
            }
        }
    }

    /// How many read that generation now.
    #[must_use]
    pub fn readers(&self) -> u32 {
        let word = self.cell.state.load();
        if word.generation() == self.generation { word.readers() } else { 0 }
    }

    /// The generation that is watched; see [`Lease::generation`].
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.number()
    }
}

impl<T: Recycle> fmt::Debug for Watch<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Watch")
            .field("generation", &self.generation())
            .field("ended", &self.ended())
            .finish_non_exhaustive()
    }
}
