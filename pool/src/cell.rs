//! Cells: where a shared value lives, and the two places that can point to one.
//!
//! A cell is made once and used for ever: it waits *idle* in the slots of its [`Home`], is taken
//! and filled as a *vacant* cell with one owner, *opened* for any number of readers, perhaps shown
//! on a [`Board`] where others can join, and *closed* by the last reader, which recycles it home.
//!
//! One strong count travels along: from the idle slot to the vacant cell, from there to all leases
//! together, and back. Nothing is counted or allocated on the way. The count is only ever given
//! up through deferred destruction, so a thread that is pinned may look at the state of any cell
//! that it found on a board (`pinned`), however stale.
//!
//! This file upholds `sole-owner` (a vacant or closed cell has one owner) and `held`.
#![allow(unsafe_code, reason = "moves ownership of cells through raw pointers")]

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use crate::collector;
use crate::state::State;
use crate::sync::{Arc, AtomicPtr, AtomicU64, AtomicUsize, Ordering, UnsafeCell, contain};

/// A value that is used again and again.
pub trait Recycle: Send + Sync + 'static {
    /// Empties the value and keeps its capacity. It runs on the thread of the last reader, after
    /// the end of the generation could be noticed: it must not touch memory that the value only
    /// pointed to. If it panics, the value is destroyed instead of used again.
    ///
    /// A value is destroyed on whichever thread happens to look at cells at that time, which has
    /// nothing to do with it. So a panic of its `Drop` ends there: only the panic hook tells of it.
    fn recycle(&mut self);

    /// How much memory the value keeps while it is empty.
    fn retained_bytes(&self) -> usize;
}

/// A value, its state, and where it belongs.
pub(crate) struct Cell<T: Recycle> {
    pub(crate) state: State,
    /// Written by the sole owner of a vacant or closed cell, read by the readers of an open one.
    value: UnsafeCell<ManuallyDrop<T>>,
    /// The pool it goes back to; none while idle, so that the two do not keep each other alive.
    /// Touched only by the sole owner.
    home: UnsafeCell<Option<Arc<Home<T>>>>,
    /// Where it was published; none while idle. Touched only by the sole owner.
    board: UnsafeCell<Option<Arc<Board<T>>>>,
    /// The bytes that the value retains while idle.
    retained_bytes: AtomicUsize,
}

// SAFETY: the value is `Send` and `Sync`; `sole-owner` and `leased` keep writers from readers.
unsafe impl<T: Recycle> Sync for Cell<T> {}

impl<T: Recycle> Cell<T> {
    /// The value, for reading.
    ///
    /// # Safety
    /// The caller is a reader of the open cell or its sole owner while the reference lives.
    #[inline]
    pub(crate) unsafe fn value(&self) -> &T {
        // SAFETY: there is no writer beside a reader, or a sole owner that only reads.
        self.value.with(|value| unsafe { &**value })
    }

    /// The value, for writing.
    ///
    /// # Safety
    /// The caller is the sole owner and holds no other reference to the value.
    #[expect(clippy::mut_from_ref, reason = "the cell's state grants the access, not a borrow")]
    pub(crate) unsafe fn value_mut(&self) -> &mut T {
        // SAFETY: the sole owner is the only one to touch the value.
        self.value.with_mut(|value| unsafe { &mut **value })
    }

    /// Notes where the cell is about to be shown.
    ///
    /// # Safety
    /// The caller is the sole owner.
    pub(crate) unsafe fn set_board(&self, board: Arc<Board<T>>) {
        // SAFETY: only the sole owner touches the field.
        self.board.with_mut(|field| unsafe { *field = Some(board) });
    }

    /// Forgets where the cell was shown.
    ///
    /// # Safety
    /// The caller is the sole owner.
    unsafe fn take_board(&self) -> Option<Arc<Board<T>>> {
        // SAFETY: only the sole owner touches the field.
        self.board.with_mut(|field| unsafe { (*field).take() })
    }

    /// Notes where the cell belongs.
    ///
    /// # Safety
    /// The caller is the sole owner.
    pub(crate) unsafe fn set_home(&self, home: Arc<Home<T>>) {
        // SAFETY: only the sole owner touches the field.
        self.home.with_mut(|field| unsafe { *field = Some(home) });
    }

    /// Forgets where the cell belongs.
    ///
    /// # Safety
    /// The caller is the sole owner.
    unsafe fn take_home(&self) -> Option<Arc<Home<T>>> {
        // SAFETY: only the sole owner touches the field.
        self.home.with_mut(|field| unsafe { (*field).take() })
    }
}

impl<T: Recycle> Drop for Cell<T> {
    fn drop(&mut self) {
        contain(|| {
            self.value.with_mut(|value| {
                // SAFETY: nothing else has the cell any more.
                let value = unsafe { &mut *value };
                // SAFETY: the cell ends here, so the value is not touched again.
                unsafe { ManuallyDrop::drop(value) };
            });
        });
    }
}

/// A pointer to a cell that stays in memory meanwhile: it stands for the travelling strong count
/// or for a reader's share of it (`held`).
pub(crate) struct Held<T: Recycle>(NonNull<Cell<T>>);

// SAFETY: as good as an `Arc<Cell<T>>`, which is `Send` because the cell is `Send` and `Sync`.
unsafe impl<T: Recycle> Send for Held<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Recycle> Sync for Held<T> {}

impl<T: Recycle> Held<T> {
    /// Makes a cell, vacant, whose one strong count begins to travel.
    pub(crate) fn make(value: T) -> Held<T> {
        let cell = Arc::new(Cell {
            state: State::new(),
            value: UnsafeCell::new(ManuallyDrop::new(value)),
            home: UnsafeCell::new(None),
            board: UnsafeCell::new(None),
            retained_bytes: AtomicUsize::new(0),
        });
        let raw = NonNull::new(Arc::into_raw(cell).cast_mut());
        Held(raw.expect("an Arc is not at null"))
    }

    /// Holds the cell behind a raw pointer.
    ///
    /// # Safety
    /// The pointer came from [`Held::as_raw`], and the caller passes on the travelling count or a
    /// reader's share of it.
    pub(crate) unsafe fn from_raw(raw: NonNull<Cell<T>>) -> Held<T> {
        Held(raw)
    }

    /// The address of the cell.
    pub(crate) fn as_raw(&self) -> NonNull<Cell<T>> {
        self.0
    }

    /// A second `Held` for the same share; the caller forgets one or is a new reader.
    ///
    /// # Safety
    /// As for [`Held::from_raw`].
    pub(crate) unsafe fn again(&self) -> Held<T> {
        Held(self.0)
    }

    /// A strong count beside the travelling one, for a watch.
    pub(crate) fn watch(&self) -> Arc<Cell<T>> {
        let raw = self.0.as_ptr().cast_const();
        // SAFETY: `held`: the pointer came from an `Arc`, which the travelling count keeps alive.
        unsafe { Arc::increment_strong_count(raw) };
        // SAFETY: the count just added is ours.
        unsafe { Arc::from_raw(raw) }
    }

    /// Closes the books on a generation that has ended: takes the cell off its board, empties it,
    /// and gives it back to its home. Never allocates unless the home is full.
    ///
    /// # Safety
    /// The caller is the sole owner and passes on the travelling count.
    pub(crate) unsafe fn retire(self) {
        // SAFETY: the caller is the sole owner.
        if let Some(board) = unsafe { self.take_board() } {
            board.take_down(self.as_raw());
        }
        let mut retirement = Retirement { cell: self, retained_bytes: None };
        // SAFETY: the caller is the sole owner; the reference ends before the retirement does.
        let value = unsafe { retirement.cell.value_mut() };
        value.recycle();
        retirement.retained_bytes = Some(value.retained_bytes());
    }

    /// Gives up the travelling count: the cell is destroyed when no pinned thread can see it and no
    /// watch is left.
    ///
    /// # Safety
    /// The caller passes on the travelling count.
    unsafe fn discard(self) {
        // SAFETY: `held`: the pointer came from an `Arc` and the travelling count is ours.
        let cell = unsafe { Arc::from_raw(self.0.as_ptr().cast_const()) };
        collector::defer_drop(cell);
    }
}

impl<T: Recycle> Deref for Held<T> {
    type Target = Cell<T>;

    #[inline]
    fn deref(&self) -> &Cell<T> {
        // SAFETY: `held`: the maker of this vouched that the cell stays in memory meanwhile.
        unsafe { self.0.as_ref() }
    }
}

/// A cell on its way home. It arrives also when emptying it panics, but then only to be discarded.
struct Retirement<T: Recycle> {
    cell: Held<T>,
    /// The bytes that the emptied value retains; none if it was not emptied.
    retained_bytes: Option<usize>,
}

impl<T: Recycle> Drop for Retirement<T> {
    fn drop(&mut self) {
        // SAFETY: `retire` is given the sole ownership.
        let home = unsafe { self.cell.take_home() };
        let home = home.expect("a cell knows its home while it is away");
        // SAFETY: the retirement ends here and passes its count on.
        let cell = unsafe { self.cell.again() };
        match self.retained_bytes {
            // SAFETY: sole ownership and the travelling count go to the home.
            Some(retained_bytes) => unsafe { home.give(cell, retained_bytes) },
            None => {
                // SAFETY: as above.
                unsafe { home.discard(cell) };
                collector::collect();
            }
        }
    }
}

/// Where cells wait while idle: a fixed number of slots, each empty or with one cell.
pub(crate) struct Home<T: Recycle> {
    slots: Box<[AtomicPtr<Cell<T>>]>,
    idle_cells: AtomicUsize,
    idle_bytes: AtomicUsize,
    discarded: AtomicU64,
}

impl<T: Recycle> Home<T> {
    /// A home with this many empty slots.
    pub(crate) fn new(idle_max: usize) -> Home<T> {
        Home {
            slots: (0..idle_max).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
            idle_cells: AtomicUsize::new(0),
            idle_bytes: AtomicUsize::new(0),
            discarded: AtomicU64::new(0),
        }
    }

    /// How many slots there are.
    pub(crate) fn idle_max(&self) -> usize {
        self.slots.len()
    }

    /// How many cells are idle, how many bytes they retain, and how many cells left for good. The
    /// three belong to about the same moment.
    pub(crate) fn statistics(&self) -> (usize, usize, u64) {
        // Relaxed: statistics that order nothing.
        let idle_cells = self.idle_cells.load(Ordering::Relaxed);
        let idle_bytes = self.idle_bytes.load(Ordering::Relaxed);
        (idle_cells, idle_bytes, self.discarded.load(Ordering::Relaxed))
    }

    /// Takes an idle cell; the caller becomes its sole owner and gets the travelling count.
    pub(crate) fn take(&self) -> Option<Held<T>> {
        self.slots.iter().find_map(|slot| self.take_from(slot))
    }

    /// Takes the cell of one slot.
    fn take_from(&self, slot: &AtomicPtr<Cell<T>>) -> Option<Held<T>> {
        // Relaxed: only a hint, the swap decides.
        if slot.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // Acquire: pairs with the Release in `give`, so that the next owner comes after the last.
        let raw = NonNull::new(slot.swap(ptr::null_mut(), Ordering::Acquire))?;
        // SAFETY: the slot held the travelling count, and the swap gave it to this thread alone.
        let cell = unsafe { Held::from_raw(raw) };
        // Relaxed: the owner before wrote it, and the swap comes after that.
        self.count_out(cell.retained_bytes.load(Ordering::Relaxed));
        Some(cell)
    }

    /// Puts an empty cell into a free slot, or discards it when there is none.
    ///
    /// # Safety
    /// The caller is the sole owner and passes on the travelling count.
    pub(crate) unsafe fn give(&self, cell: Held<T>, retained_bytes: usize) {
        // Relaxed: the exchange below publishes it to the next owner.
        cell.retained_bytes.store(retained_bytes, Ordering::Relaxed);
        // Counted before the cell can be taken, so that the counts never fall below zero.
        // Relaxed: statistics; the exchange below orders them before the take that undoes them.
        self.idle_cells.fetch_add(1, Ordering::Relaxed);
        self.idle_bytes.fetch_add(retained_bytes, Ordering::Relaxed);
        let raw = cell.as_raw().as_ptr();
        for slot in &self.slots {
            // Relaxed: only a hint, the exchange decides.
            if !slot.load(Ordering::Relaxed).is_null() {
                continue;
            }
            // Release: pairs with the Acquire in `take_from`; this owner comes before the next.
            let (free, order) = (ptr::null_mut(), Ordering::Release);
            if slot.compare_exchange(free, raw, order, Ordering::Relaxed).is_ok() {
                return;
            }
        }
        self.count_out(retained_bytes);
        // SAFETY: no slot took the cell, so the count is still the caller's to pass on.
        unsafe { self.discard(cell) };
        collector::collect();
    }

    /// Lets a cell leave for good.
    ///
    /// # Safety
    /// The caller is the sole owner and passes on the travelling count.
    pub(crate) unsafe fn discard(&self, cell: Held<T>) {
        // Relaxed: a statistic that orders nothing.
        self.discarded.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller passes on the count.
        unsafe { cell.discard() };
    }

    /// Discards all idle cells.
    pub(crate) fn discard_idle(&self) {
        for cell in self.slots.iter().filter_map(|slot| self.take_from(slot)) {
            // SAFETY: the cell was just taken, with its count.
            unsafe { self.discard(cell) };
        }
        collector::collect();
    }

    /// Counts one idle cell less.
    fn count_out(&self, retained_bytes: usize) {
        // Relaxed: statistics that order nothing.
        self.idle_cells.fetch_sub(1, Ordering::Relaxed);
        self.idle_bytes.fetch_sub(retained_bytes, Ordering::Relaxed);
    }
}

impl<T: Recycle> Drop for Home<T> {
    fn drop(&mut self) {
        // A thread may still look at the state of an idle cell that it found on a board.
        self.discard_idle();
    }
}

/// Where at most one open cell is shown for others to join. Showing holds no count.
pub(crate) struct Board<T: Recycle> {
    shown: AtomicPtr<Cell<T>>,
}

impl<T: Recycle> Board<T> {
    /// A board that shows nothing.
    pub(crate) fn new() -> Board<T> {
        Board { shown: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The cell shown now.
    pub(crate) fn shown(&self) -> Option<NonNull<Cell<T>>> {
        // Acquire: pairs with the Release in `show`, so that the thread sees the cell open.
        NonNull::new(self.shown.load(Ordering::Acquire))
    }

    /// Shows an open cell in place of the one that was shown.
    pub(crate) fn show(&self, cell: NonNull<Cell<T>>) {
        // Release: pairs with the Acquire in `shown`.
        self.shown.store(cell.as_ptr(), Ordering::Release);
    }

    /// Shows nothing.
    pub(crate) fn clear(&self) {
        // Release: pairs with the Acquire in `take_down`.
        self.shown.store(ptr::null_mut(), Ordering::Release);
    }

    /// Shows nothing if `cell` is shown. Its sole owner calls this, so it is not shown anew
    /// meanwhile.
    fn take_down(&self, cell: NonNull<Cell<T>>) {
        // Release: comes before the cell's next generation for every later reader of the board.
        // Acquire on failure: pairs with the Release in `show` and `clear`; the cell was
        // taken down before this owner discards or reuses it.
        let (shown, order) = (cell.as_ptr(), Ordering::AcqRel);
        let _taken_down_before =
            self.shown.compare_exchange(shown, ptr::null_mut(), order, Ordering::Acquire);
    }
}
