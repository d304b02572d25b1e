//! [`Access`]: the second axis of a query, how a run of rows opens.
//!
//! * To *read*, a run is where it is.
//! * To write *exclusively*, the chunks of a run are made writable with the world's memory at hand. A
//!   shared chunk is replaced, and copied by the loop that visits its rows.
//! * To write a *shared out* world, the memory is behind a lock, which is taken for shared chunks only.
//!   They are copied before it is given back: the next reclaim of another query may free the source.
//! * *Apart*, for the threads of a parallel pass: all runs are opened and listed first, and their rows
//!   copied by the threads that visit them (`parallel/write.rs`).
//!
//! All of them find owned runs the same way, in a few instructions, and treat others differently. So
//! the access is a value that passes look at once in a while, and not a type.

#![allow(unsafe_code, reason = "makes runs writable by pointers to the memory of their world")]

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use convoy_pool::MemoryError;

use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::world::list_mut::ListMemory;
#[cfg(feature = "rayon")]
use crate::world::run_words::RunWords;
use crate::world::store::WriteParts;

use super::terms::{Rest, Terms};

/// How the runs of a pass open.
#[derive(Clone, Copy)]
pub(super) struct Access<'a> {
    /// The epoch of the memory, which stays the same while a query has the world.
    epoch: Epoch,
    means: Means<'a>,
    world: PhantomData<&'a mut Memory>,
}

#[derive(Clone, Copy)]
enum Means<'a> {
    Read,
    Exclusive(Writes),
    Shared(&'a SharedWrites),
}

/// The memory of a world, for a pass that has it exclusively.
#[derive(Clone, Copy)]
pub(super) struct Writes {
    memory: *mut Memory,
    #[cfg(feature = "rayon")]
    words: *mut RunWords,
}

/// The memory of a world that is shared out, for one query at a time.
pub(super) struct SharedWrites {
    epoch: Epoch,
    writes: Mutex<Writes>,
}

// SAFETY: stands for exclusive references, of things that may go to other threads.
unsafe impl Send for Writes {}

impl From<WriteParts<'_>> for Writes {
    fn from(parts: WriteParts<'_>) -> Self {
        Self {
            memory: parts.memory,
            #[cfg(feature = "rayon")]
            words: parts.words,
        }
    }
}

impl Writes {
    /// The memory of the world.
    ///
    /// # Safety
    ///
    /// The world is borrowed, nothing else refers to its memory while the result is used, and all runs
    /// that were opened before have been copied if they were shared.
    pub(super) unsafe fn memory<'m>(&mut self) -> &'m mut Memory {
        // SAFETY: the caller's contract; the pointer was made of an exclusive reference.
        unsafe { &mut *self.memory }
    }

    /// The room of lists of runs.
    ///
    /// # Safety
    ///
    /// The world is borrowed, and nothing else refers to the room while the result is used.
    #[cfg(feature = "rayon")]
    pub(super) unsafe fn words<'m>(&mut self) -> &'m mut RunWords {
        // SAFETY: as in `memory`.
        unsafe { &mut *self.words }
    }
}

impl SharedWrites {
    pub(super) fn new(parts: WriteParts<'_>) -> Self {
        Self { epoch: parts.memory.epoch(), writes: Mutex::new(Writes::from(parts)) }
    }

    /// A panic under the lock is one of a broken invariant; the memory stays as it was.
    fn lock(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Access<'a> {
    /// For terms that only read, which open in every epoch.
    pub(super) const READ: Self =
        Self { epoch: Epoch::NEVER, means: Means::Read, world: PhantomData };

    #[inline]
    pub(super) fn exclusive(parts: WriteParts<'a>) -> Self {
        let (epoch, means) = (parts.memory.epoch(), Means::Exclusive(Writes::from(parts)));
        Self { epoch, means, world: PhantomData }
    }

    pub(super) fn shared(writes: &'a SharedWrites) -> Self {
        Self { epoch: writes.epoch, means: Means::Shared(writes), world: PhantomData }
    }

    /// The epoch in which chunks can be written as they are: see [`open_owned`].
    #[inline]
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Where a run is that can be written as it is.
    ///
    /// # Safety
    ///
    /// As [`Terms::start_owned`], and the access is that of the bound table.
    #[inline]
    pub(super) unsafe fn open_owned<Q: Terms>(
        &self,
        bound: &Q::Bound,
        row: usize,
    ) -> Option<Q::Run> {
        // SAFETY: the caller's contract.
        unsafe { open_owned::<Q>(bound, row, self.epoch) }
    }

    /// Makes a run writable. Where [`Terms::is_shared`] says so, its rows are still to be copied.
    ///
    /// # Safety
    ///
    /// `bound` is bound to a table with `live` rows of the world that the access is of, exclusively as
    /// far as terms write; `run` lies in one chunk of every column; all runs of this access that were
    /// shared have been copied.
    #[inline]
    pub(super) unsafe fn open<Q: Terms>(
        &self,
        bound: &Q::Bound,
        run: Range<usize>,
        live: usize,
    ) -> Result<Q::Run, MemoryError> {
        // SAFETY: the caller's contract.
        match unsafe { self.open_owned::<Q>(bound, run.start) } {
            Some(run) => Ok(run),
            // The columns by value, so that a loop's own need not be in memory.
            // SAFETY: the caller's contract.
            None => unsafe { self.open_older::<Q>(*bound, run, live) },
        }
    }

    /// Makes a run writable that has chunks of earlier epochs.
    ///
    /// # Safety
    ///
    /// As [`Access::open`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn open_older<Q: Terms>(
        &self,
        bound: Q::Bound,
        run: Range<usize>,
        live: usize,
    ) -> Result<Q::Run, MemoryError> {
        match self.means {
            Means::Read => unreachable!("terms that only read open in every epoch"),
            Means::Exclusive(mut writes) => {
                // The pointer that all others come from, so that it outlives them.
                let root = NonNull::new(writes.memory).expect("it was made of a reference");
                // SAFETY: the caller's contract.
                let memory = unsafe { writes.memory() };
                if Q::WRITES_LISTS {
                    // SAFETY: the query has the memory as long as its items, and refers to it for moments only.
                    let lists = unsafe { ListMemory::exclusive(root) };
                    // SAFETY: the caller's contract.
                    return unsafe { own_with_lists::<Q>(&bound, run, live, (memory, lists)) };
                }
                // SAFETY: the caller's contract.
                unsafe { replace::<Q>(&bound, run, live, memory) }
            }
            Means::Shared(shared) => {
                let mut writes = shared.lock();
                // SAFETY: the lock makes the memory exclusive, and shared runs are copied under it.
                let memory = unsafe { writes.memory() };
                if Q::WRITES_LISTS {
                    // SAFETY: the function takes the lock of these, which outlive the items of the query.
                    let lists =
                        unsafe { ListMemory::new(NonNull::from(shared).cast(), with_shared) };
                    // SAFETY: the caller's contract.
                    return unsafe { own_with_lists::<Q>(&bound, run, live, (memory, lists)) };
                }
                // SAFETY: the caller's contract.
                unsafe { own::<Q>(&bound, run, live, memory) }
            }
        }
    }

    /// Makes a run writable and copies it if it was shared.
    ///
    /// # Safety
    ///
    /// As [`Access::open`].
    #[inline]
    pub(super) unsafe fn open_whole<Q: Terms>(
        &self,
        bound: &Q::Bound,
        run: Range<usize>,
        live: usize,
    ) -> Result<Q::Run, MemoryError> {
        let rows = run.len();
        // SAFETY: the caller's contract.
        let run = unsafe { self.open::<Q>(bound, run, live)? };
        if Q::is_shared(&run) {
            // SAFETY: the run was just opened, and has these rows.
            unsafe { self.copy_timed::<Q>(run, rows) };
        }
        Ok(run)
    }

    /// Whether the world counts the time of copies.
    pub(super) fn is_timing(&self) -> bool {
        match self.means {
            // SAFETY: nothing refers to the memory between two runs.
            Means::Exclusive(mut writes) => unsafe { writes.memory() }.history.timing,
            Means::Read | Means::Shared(_) => false,
        }
    }

    /// Copies a run that was just opened, and counts the time if the world does.
    ///
    /// # Safety
    ///
    /// The run was just opened by this access, was shared, and has these rows.
    pub(super) unsafe fn copy_timed<Q: Terms>(&self, run: Q::Run, rows: usize) {
        let began = self.is_timing().then(Instant::now);
        // SAFETY: the rows are in the run, and no item of them is alive.
        unsafe { Q::copy(run, 0, rows) };
        began.into_iter().for_each(|began| self.add_copy_time(began.elapsed()));
    }

    /// Adds to the time that copies took.
    pub(super) fn add_copy_time(&self, time: Duration) {
        if let Means::Exclusive(mut writes) = self.means {
            // SAFETY: nothing refers to the memory between two runs.
            let memory = unsafe { writes.memory() };
            memory.history.statistics.copy_time += time;
        }
    }

    /// Calls `visit` with the means of writing, which are the caller's alone meanwhile, and tells
    /// whether chunks may be copied after that.
    #[cfg(feature = "rayon")]
    pub(super) fn with_writes<R>(&self, visit: impl FnOnce(&mut Writes, Rest) -> R) -> R {
        match self.means {
            Means::Read => unreachable!("terms that only read need no list of runs"),
            Means::Exclusive(mut writes) => visit(&mut writes, Rest::Later),
            Means::Shared(writes) => visit(&mut writes.lock(), Rest::Now),
        }
    }
}

/// Where a run is that can be written as it is, with the [epoch](Access::epoch) of an access.
///
/// # Safety
///
/// As [`Access::open_owned`].
#[inline]
pub(super) unsafe fn open_owned<Q: Terms>(
    bound: &Q::Bound,
    row: usize,
    epoch: Epoch,
) -> Option<Q::Run> {
    if Q::WRITES_LISTS {
        // There is more to make writable.
        return None;
    }
    // SAFETY: the caller's contract.
    unsafe { Q::start_owned(bound, row, epoch) }
}

/// Calls `each` with the memory of a world that is shared out.
///
/// # Safety
///
/// `shared` points to [`SharedWrites`] whose lock this thread does not hold.
unsafe fn with_shared(shared: NonNull<()>, each: &mut dyn FnMut(&mut Memory)) {
    // SAFETY: the caller's contract.
    let mut writes = unsafe { shared.cast::<SharedWrites>().as_ref() }.lock();
    // SAFETY: the lock makes the memory exclusive, and shared runs are copied under it.
    each(unsafe { writes.memory() });
}

/// [`own`] for terms that lend lists out for writing.
///
/// # Safety
///
/// As [`replace`], and `lists` lead to the memory as long as items of the run are used.
unsafe fn own_with_lists<Q: Terms>(
    bound: &Q::Bound,
    run: Range<usize>,
    live: usize,
    (memory, lists): (&mut Memory, ListMemory),
) -> Result<Q::Run, MemoryError> {
    let rows = run.len();
    // SAFETY: the caller's contract.
    let mut run = unsafe { own::<Q>(bound, run, live, memory)? };
    // SAFETY: the run was just made writable, and copied.
    unsafe { Q::open_lists(&mut run, rows, (memory, lists))? };
    Ok(run)
}

/// Replaces the shared chunks of a run. Its rows are to be copied.
///
/// # Safety
///
/// As [`Access::open`], and `memory` is that of the bound table.
unsafe fn replace<Q: Terms>(
    bound: &Q::Bound,
    run: Range<usize>,
    live: usize,
    memory: &mut Memory,
) -> Result<Q::Run, MemoryError> {
    // SAFETY: the caller's contract.
    let prepared = unsafe { Q::prepare(bound, run.start, Rest::Now, memory) };
    let run = prepared.map(|()| {
        let mut replaced = Q::NONE_REPLACED;
        // SAFETY: the caller's contract, and `prepare` succeeded for this row.
        unsafe { Q::start(bound, run, live, (Rest::Now, &mut replaced), memory) }
    });
    memory.release_spares();
    run
}

/// Makes a run writable: replaces its shared chunks, and copies its rows.
///
/// # Safety
///
/// As [`replace`].
unsafe fn own<Q: Terms>(
    bound: &Q::Bound,
    run: Range<usize>,
    live: usize,
    memory: &mut Memory,
) -> Result<Q::Run, MemoryError> {
    let (row, rows) = (run.start, run.len());
    // SAFETY: the caller's contract.
    if let Some(run) = unsafe { Q::start_owned(bound, row, memory.epoch()) } {
        return Ok(run);
    }
    // SAFETY: the caller's contract.
    let run = unsafe { replace::<Q>(bound, run, live, memory)? };
    // SAFETY: the rows are in the run, and no item of them is alive.
    unsafe { Q::copy(run, 0, rows) };
    // SAFETY: the caller's contract.
    let run = unsafe { Q::start_owned(bound, row, memory.epoch()) };
    Ok(run.expect("the chunks of the run were just replaced"))
}
