//! [`Pass`]: one pass over the rows of a query. All queries make one, and so have the same methods.
//!
//! Where a snapshot shared the rows of a run, they are copied in the same pass, if that is possible row
//! by row: the loop reads a row from the old chunk, lends it out as a local, and stores it to the new
//! chunk. Such a loop is *fused*: the copy costs no pass of its own.

#![allow(unsafe_code, reason = "runs the loops over fetched rows")]

use convoy_pool::MemoryError;

use crate::storage::epoch::Epoch;

use super::access::Access;
use super::cursor::{Ahead, Cursor, TABLES_NEAR, open_small};
use super::filter::Filter;
use super::iter::QueryIter;
use super::plan::Plan;
use super::terms::{ReadOnly, Terms};

/// A pass that has not begun: a plan, an access, and a store. It stands for the reference that lets the
/// query reach the rows, and can't be copied.
pub(super) struct Pass<'p, 'a, Q: Terms, F: Filter> {
    pub(super) plan: Plan<'p, 'a, Q>,
    pub(super) cursor: Cursor<Q, F>,
    pub(super) access: Access<'a>,
    since: Epoch,
}

impl<'p, 'a, Q: Terms, F: Filter> Pass<'p, 'a, Q, F> {
    /// # Safety
    ///
    /// As [`Cursor::new`], for this plan; the access is that of its store.
    #[inline]
    pub(super) unsafe fn new(plan: Plan<'p, 'a, Q>, since: Epoch, access: Access<'a>) -> Self {
        // SAFETY: the caller's contract.
        Self { plan, cursor: unsafe { Cursor::new(since) }, access, since }
    }

    pub(super) fn iter(self) -> QueryIter<'a, Q, F> {
        QueryIter::new(self.plan, self.since, self.cursor, self.access)
    }

    #[inline]
    pub(super) fn for_each(self, mut each: impl FnMut(Q::Item<'_>)) -> Result<(), MemoryError> {
        let access = self.access;
        self.visit_runs(|run, rows| {
            // SAFETY: the run was just opened, and has these rows.
            unsafe { visit_items::<Q>(run, rows, &access, &mut each) };
        })
    }

    #[inline]
    pub(super) fn for_each_run(
        self,
        mut each: impl FnMut(Q::Slices<'_>),
    ) -> Result<(), MemoryError> {
        let access = self.access;
        self.visit_runs(|run, rows| {
            // SAFETY: the run was just opened, and has these rows.
            unsafe { visit_slices::<Q>(run, rows, &access, &mut each) };
        })
    }

    pub(super) fn single(self) -> Result<Option<Q::Item<'a>>, MemoryError> {
        let mut iter = self.iter();
        if iter.len() == 1 { iter.try_next() } else { Ok(None) }
    }

    pub(super) fn sorted_by_key<K: Ord>(
        self,
        key: impl FnMut(&Q::Item<'a>) -> K,
    ) -> Result<Vec<Q::Item<'a>>, MemoryError> {
        let mut iter = self.iter();
        let mut items = Vec::with_capacity(iter.len());
        while let Some(item) = iter.try_next()? {
            items.push(item);
        }
        items.sort_by_key(key);
        Ok(items)
    }

    /// Opens every run and hands it to `visit`, with its number of rows.
    #[inline]
    fn visit_runs(mut self, mut visit: impl FnMut(Q::Run, usize)) -> Result<(), MemoryError> {
        let (tables, mut ahead) = (self.plan.tables(), Ahead::new());
        let are_near = tables.len() <= TABLES_NEAR && !self.plan.may_select::<F>();
        loop {
            if are_near && let Some(next) = self.cursor.next_table() {
                // In a register, which writes to rows don't change.
                let mut position = *next;
                while let Some((run, rows)) =
                    // SAFETY: the access is the store's, and the runs before have been visited.
                    unsafe {
                        open_small::<Q, F>(&mut position, &tables, self.access.epoch())
                    }
                {
                    visit(run, rows);
                }
                if position == tables.len() {
                    return Ok(());
                }
                *next = position;
            }
            // SAFETY: as above.
            unsafe { self.cursor.open_ahead(&self.plan, &self.access, &mut ahead)? };
            if ahead.is_empty() {
                return Ok(());
            }
            for &(run, rows) in ahead.runs() {
                visit(run, rows);
            }
        }
    }
}

impl<'p, 'a, Q: ReadOnly, F: Filter> Pass<'p, 'a, Q, F> {
    #[inline]
    pub(super) fn reading(plan: Plan<'p, 'a, Q>, since: Epoch) -> Self {
        // SAFETY: the terms only read.
        unsafe { Self::new(plan, since, Access::READ) }
    }

    /// [`Pass::for_each`] with items that stay.
    #[inline]
    pub(super) fn read_each(self, mut each: impl FnMut(Q::Item<'a>)) {
        let visited = self.visit_runs(|run, rows| {
            for index in 0..rows {
                // SAFETY: the index is in the run, and terms that only read may coexist.
                each(unsafe { Q::item(run, index) });
            }
        });
        visited.expect("reading takes no memory");
    }

    /// [`Pass::for_each_run`] with slices that stay.
    #[inline]
    pub(super) fn read_each_run(self, mut each: impl FnMut(Q::Slices<'a>)) {
        let visited = self.visit_runs(|run, rows| {
            // SAFETY: the run has these rows, and terms that only read may coexist.
            each(unsafe { Q::slices(run, rows) });
        });
        visited.expect("reading takes no memory");
    }
}

/// Bytes of a row beyond which a loop is not fused. A row in flight is on the stack of whichever
/// thread runs the loop; and a large row that is copied twice on its way costs more than a second pass.
const LOCAL_BYTES_MAX: usize = 1024;

/// Hands the items of a run to `each`, one by one.
///
/// # Safety
///
/// `run` has `rows` rows and was just opened by `access`.
#[inline]
pub(super) unsafe fn visit_items<Q: Terms>(
    run: Q::Run,
    rows: usize,
    access: &Access<'_>,
    each: &mut impl FnMut(Q::Item<'_>),
) {
    if Q::is_shared(&run) {
        // SAFETY: the caller's contract.
        unsafe { visit_shared::<Q>(run, rows, access, each) };
        return;
    }
    for index in 0..rows {
        // SAFETY: the index is in the run, and the last item was dropped.
        each(unsafe { Q::item(run, index) });
    }
}

/// Hands the slices of a run to `each`.
///
/// # Safety
///
/// As [`visit_items`].
#[inline]
pub(super) unsafe fn visit_slices<Q: Terms>(
    run: Q::Run,
    rows: usize,
    access: &Access<'_>,
    each: &mut impl FnMut(Q::Slices<'_>),
) {
    if Q::is_shared(&run) {
        // SAFETY: the caller's contract.
        unsafe { access.copy_timed::<Q>(run, rows) };
    }
    // SAFETY: the run has these rows, they were copied, and the last slices were dropped.
    each(unsafe { Q::slices(run, rows) });
}

/// Visits a run with a replaced chunk, and counts the time of the copy if that is wanted.
///
/// # Safety
///
/// As [`visit_items`].
#[inline(never)]
unsafe fn visit_shared<Q: Terms>(
    run: Q::Run,
    rows: usize,
    access: &Access<'_>,
    each: &mut impl FnMut(Q::Item<'_>),
) {
    if access.is_timing() {
        // SAFETY: the caller's contract.
        unsafe { access.copy_timed::<Q>(run, rows) };
        // SAFETY: the rows were copied, and nothing is reclaimed before the pass goes on.
        unsafe { visit_copied::<Q>(run, rows, each) };
        return;
    }
    // SAFETY: the caller's contract.
    unsafe { visit_fused::<Q>(run, rows, each) };
}

/// Visits a run with a replaced chunk. Also when `each` panics, all rows of the run are
/// copied afterwards, and the row that it had is as it was.
///
/// # Safety
///
/// `run` has `rows` rows. None has been copied or visited, and the replaced chunks hold them until
/// the loop ends.
#[inline]
pub(super) unsafe fn visit_fused<Q: Terms>(
    run: Q::Run,
    rows: usize,
    each: &mut impl FnMut(Q::Item<'_>),
) {
    if const { size_of::<Q::Local>() > LOCAL_BYTES_MAX } {
        // SAFETY: the rows are in the run, and no item of them is alive.
        unsafe { Q::copy(run, 0, rows) };
        // SAFETY: the caller's contract, and the rows were copied.
        unsafe { visit_copied::<Q>(run, rows, each) };
    } else {
        // SAFETY: the caller's contract.
        unsafe { visit_local::<Q>(run, rows, each) };
    }
}

/// Visits a run in place after its rows were copied from a replaced chunk. When `each` panics, the
/// row that it had is copied once more.
///
/// # Safety
///
/// `run` has `rows` rows that were copied and not visited, and the replaced chunks hold them until
/// the loop ends.
#[inline]
pub(super) unsafe fn visit_copied<Q: Terms>(
    run: Q::Run,
    rows: usize,
    each: &mut impl FnMut(Q::Item<'_>),
) {
    let mut undo = CopyRest::<Q> { run, next: 0, rows: 0 };
    for index in 0..rows {
        (undo.next, undo.rows) = (index, index + 1);
        // SAFETY: the index is in the run, its rows were copied, and the last item is gone.
        each(unsafe { Q::item(run, index) });
        undo.rows = 0;
    }
}

/// Reads each row of a run from the replaced chunk, lends it out and writes it to the new one.
///
/// # Safety
///
/// As [`visit_fused`]. A row fits the stack.
#[inline]
unsafe fn visit_local<Q: Terms>(run: Q::Run, rows: usize, each: &mut impl FnMut(Q::Item<'_>)) {
    let mut rest = CopyRest::<Q> { run, next: 0, rows };
    while rest.next < rows {
        let index = rest.next;
        // SAFETY: the index is in the run.
        let mut local = unsafe { Q::load(run, index) };
        // SAFETY: the item is dropped when `each` returns.
        each(unsafe { Q::lend(&raw mut local) });
        // SAFETY: the index is in the run, and its item was dropped.
        unsafe { Q::store(run, index, local) };
        rest.next += 1;
    }
}

/// Completes the copy of a run when its loop ends early by a panic: the rows from `next` on, and
/// before `rows`, keep their old values.
struct CopyRest<Q: Terms> {
    run: Q::Run,
    next: usize,
    rows: usize,
}

impl<Q: Terms> Drop for CopyRest<Q> {
    fn drop(&mut self) {
        if self.next < self.rows {
            // SAFETY: the rows are in the run, and the panic dropped the item of the last one.
            unsafe { Q::copy(self.run, self.next, self.rows) };
        }
    }
}
