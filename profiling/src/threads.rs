//! [`Threads`]: the threads whose use of the heap counts, each with counts of its own.
//!
//! A thread that is not enrolled is a *stranger*: the test runner's, another test's, the runtime's. All
//! strangers share one set of counts. Thread-locals are initialised by constants and have no destructors,
//! so that reading one never allocates, and works while a thread ends.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fmt, thread};

use crate::counts::{HeapCounts, Request};
use crate::offender::{Offender, Offenders};

/// Requests for whose records there is memory before the first.
const RECORDS_AHEAD: usize = 16;

/// Threads whose requests to the heap count as those of one measurement.
///
/// Allocations that dhat makes for itself while it profiles count as those of the thread.
///
/// Clones stand for the same threads. Enrol a thread from itself: in the `start_handler` of a thread
/// pool, or as the first thing that a thread does. A thread belongs to the last measurement that
/// enrolled it.
///
/// ```
/// use convoy_profiling::{Allocator, SteadyState};
///
/// #[global_allocator]
/// static ALLOCATOR: Allocator = Allocator::SYSTEM;
///
/// let test = SteadyState::new("pool");
/// let threads = test.threads().clone();
/// let pool = rayon_core::ThreadPoolBuilder::new()
///     .num_threads(2)
///     .start_handler(move |_| threads.enroll())
///     .build()
///     .unwrap();
/// pool.broadcast(|_| ()); // all threads have started when all have answered
/// let report = test.run(|_| pool.broadcast(|_| ()).clear());
/// assert_eq!(report.threads().len(), 3);
/// ```
///
/// Work that a pool of rayon gets from a thread outside of it goes through a queue that allocates now and
/// then. Run the whole test inside of the pool: `pool.install(|| test.run(...))`.
///
/// A thread that ends in a measured frame frees what the standard library keeps for it, once or twice.
#[derive(Clone)]
pub struct Threads(&'static Group);

/// The threads of a measurement. Threads refer to it for as long as they live, so it is never freed:
/// some hundred bytes a measurement.
pub(crate) struct Group {
    /// Whether requests are to be recorded with their call sites.
    armed: AtomicBool,
    /// The frame that runs.
    frame: AtomicU64,
    offenders: Offenders,
    members: Mutex<Vec<&'static Member>>,
}

/// An enrolled thread.
pub(crate) struct Member {
    name: String,
    group: &'static Group,
    tally: Tally,
    /// Whether another group has enrolled the thread since.
    has_left: AtomicBool,
}

/// Counts that one thread writes and others read.
struct Tally {
    allocations: AtomicU64,
    frees: AtomicU64,
    reallocations: AtomicU64,
    bytes: AtomicU64,
    /// Bytes allocated less bytes freed, modulo 2^64.
    live: AtomicU64,
    /// The largest value that `live` has had since it was last set back, above `base`.
    peak: AtomicU64,
    base: AtomicU64,
}

impl Tally {
    const fn new() -> Self {
        Self {
            allocations: AtomicU64::new(0),
            frees: AtomicU64::new(0),
            reallocations: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            live: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            base: AtomicU64::new(0),
        }
    }

    /// Relaxed, as all accesses: counts order nothing.
    fn count(&self, request: Request) {
        let add = |counter: &AtomicU64, number: usize| {
            counter.fetch_add(number as u64, Ordering::Relaxed).wrapping_add(number as u64)
        };
        match request {
            Request::Allocation { bytes } => {
                add(&self.allocations, 1);
                add(&self.bytes, bytes);
                self.rise(add(&self.live, bytes));
            }
            Request::Free { bytes } => {
                add(&self.frees, 1);
                self.live.fetch_sub(bytes as u64, Ordering::Relaxed);
            }
            Request::Reallocation { from_bytes, to_bytes } => {
                add(&self.reallocations, 1);
                add(&self.bytes, to_bytes.saturating_sub(from_bytes));
                self.live.fetch_sub(from_bytes as u64, Ordering::Relaxed);
                self.rise(add(&self.live, to_bytes));
            }
        }
    }

    fn rise(&self, live: u64) {
        let above = live.wrapping_sub(self.base.load(Ordering::Relaxed)) as i64;
        self.peak.fetch_max(above.max(0) as u64, Ordering::Relaxed);
    }

    /// Takes requests back that were made to see whether they are counted, and the peak that they made: by
    /// the thread whose counts these are.
    fn take_back(&self, counts: HeapCounts, peak_bytes: u64) {
        self.allocations.fetch_sub(counts.allocations, Ordering::Relaxed);
        self.frees.fetch_sub(counts.frees, Ordering::Relaxed);
        self.reallocations.fetch_sub(counts.reallocations, Ordering::Relaxed);
        self.bytes.fetch_sub(counts.bytes, Ordering::Relaxed);
        self.peak.store(peak_bytes, Ordering::Relaxed);
    }

    /// Begins a new peak from here.
    fn rebase(&self) {
        self.base.store(self.live.load(Ordering::Relaxed), Ordering::Relaxed);
        self.peak.store(0, Ordering::Relaxed);
    }

    fn counts(&self) -> HeapCounts {
        HeapCounts {
            allocations: self.allocations.load(Ordering::Relaxed),
            frees: self.frees.load(Ordering::Relaxed),
            reallocations: self.reallocations.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            peak_bytes: self.peak.load(Ordering::Relaxed),
        }
    }
}

static STRANGERS: Tally = Tally::new();

thread_local! {
    static MEMBER: Cell<Option<&'static Member>> = const { Cell::new(None) };
    /// Whether this thread's use of the heap is left out: that of the kit itself.
    static PAUSED: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread's requests are those of a probe, which are counted and not recorded.
    static PROBES: Cell<bool> = const { Cell::new(false) };
}

/// Counts a request of this thread.
#[inline]
pub(crate) fn count(request: Request) {
    if PAUSED.get() {
        return;
    }
    match MEMBER.get() {
        Some(member) => {
            member.tally.count(request);
            if member.group.armed.load(Ordering::Relaxed) && !PROBES.get() {
                member.note(request);
            }
        }
        None => STRANGERS.count(request),
    }
}

/// Runs `action` without counting what this thread asks of the heap: for drawing a progress bar or
/// printing while frames are measured.
///
/// ```
/// use convoy_profiling::{Allocator, SteadyState, uncounted};
///
/// #[global_allocator]
/// static ALLOCATOR: Allocator = Allocator::SYSTEM;
///
/// let report = SteadyState::new("printing").run(|frame| uncounted(|| println!("frame {frame}")));
/// report.assert();
/// ```
pub fn uncounted<R>(action: impl FnOnce() -> R) -> R {
    /// Goes on as before, also after a panic.
    struct Resume(bool);

    impl Drop for Resume {
        fn drop(&mut self) {
            PAUSED.set(self.0);
        }
    }

    let _resume = Resume(PAUSED.replace(true));
    action()
}

/// Whether an [`Allocator`](crate::Allocator) counts in this program.
///
/// ```
/// use convoy_profiling::{Allocator, is_counting};
///
/// #[global_allocator]
/// static ALLOCATOR: Allocator = Allocator::SYSTEM;
///
/// assert!(is_counting());
/// ```
pub fn is_counting() -> bool {
    // A program allocates before it reaches `main`, on a thread that nobody has enrolled yet.
    strangers().allocations > 0
}

/// The counts of all threads that are not enrolled.
pub(crate) fn strangers() -> HeapCounts {
    STRANGERS.counts()
}

/// Begins a new peak of all threads that are not enrolled.
pub(crate) fn rebase_strangers() {
    STRANGERS.rebase();
}

impl Member {
    #[cold]
    fn note(&self, request: Request) {
        let frame = self.group.frame.load(Ordering::Relaxed);
        uncounted(|| self.group.offenders.note(request, frame, &self.name));
    }
}

impl Threads {
    /// A group without threads: that of a measurement that is not a test.
    ///
    /// ```
    /// use convoy_profiling::{Allocator, Threads};
    ///
    /// #[global_allocator]
    /// static ALLOCATOR: Allocator = Allocator::SYSTEM;
    ///
    /// let threads = Threads::new();
    /// threads.enroll();
    /// let before = threads.total();
    /// drop(Box::new(7));
    /// let spent = threads.total() - before;
    /// assert_eq!((spent.allocations, spent.frees), (1, 1));
    /// ```
    pub fn new() -> Self {
        uncounted(|| {
            Self(Box::leak(Box::new(Group {
                armed: AtomicBool::new(false),
                frame: AtomicU64::new(0),
                offenders: Offenders::new(),
                members: Mutex::default(),
            })))
        })
    }

    /// Counts the requests of this thread among those of the group from now on.
    ///
    /// # Panics
    ///
    /// When no [`Allocator`](crate::Allocator) counts: an allocation is made here to see that one does.
    /// A panic in a thread pool's start handler ends the program, or fails the pool.
    #[track_caller]
    pub fn enroll(&self) {
        let is_member = MEMBER.get().is_some_and(|member| std::ptr::eq(member.group, self.0));
        if !is_member {
            uncounted(|| {
                let current = thread::current();
                let name =
                    current.name().map_or_else(|| format!("{:?}", current.id()), str::to_owned);
                let tally = Tally::new();
                let has_left = AtomicBool::new(false);
                let member: &'static Member =
                    Box::leak(Box::new(Member { name, group: self.0, tally, has_left }));
                self.members().push(member);
                if let Some(other) = MEMBER.replace(Some(member)) {
                    other.has_left.store(true, Ordering::Relaxed);
                }
            });
        }
        let member = MEMBER.get().expect("the thread was just enrolled");
        let before = member.tally.counts();
        PROBES.set(true);
        std::hint::black_box(Box::new(0_u64));
        PROBES.set(false);
        let spent = member.tally.counts() - before;
        // The group may be measured now.
        member.tally.take_back(spent, before.peak_bytes);
        // While dhat profiles, its own allocations come on top.
        assert!(
            spent.allocations >= 1 && spent.frees >= 1,
            "nothing counts the allocations of thread {:?}: make an allocator that does the global one, by \
             `#[global_allocator] static ALLOCATOR: convoy_profiling::Allocator = \
             convoy_profiling::Allocator::SYSTEM;`",
            member.name,
        );
    }

    /// Sets the frame to which requests are charged.
    pub(crate) fn begin_frame(&self, frame: u64) {
        self.0.frame.store(frame, Ordering::Relaxed);
    }

    /// Begins or ends the recording of requests.
    pub(crate) fn arm(&self, armed: bool) {
        self.0.armed.store(armed, Ordering::Relaxed);
    }

    /// The name of a thread that another group has enrolled since, so that it isn't counted here any more.
    pub(crate) fn lost(&self) -> Option<String> {
        let members = self.members();
        let lost = members.iter().find(|member| member.has_left.load(Ordering::Relaxed));
        lost.map(|member| member.name.clone())
    }

    /// Records some requests that nobody made, so that the memory for records is there. The next
    /// [`Threads::rebase`] forgets them.
    pub(crate) fn make_room_for_records(&self) {
        uncounted(|| {
            (0..RECORDS_AHEAD).for_each(|bytes| {
                self.0.offenders.note(Request::Allocation { bytes }, 0, "");
            });
        });
    }

    /// Begins new peaks, and forgets the requests that were recorded.
    pub(crate) fn rebase(&self) {
        self.members().iter().for_each(|member| member.tally.rebase());
        self.0.offenders.clear();
    }

    /// The counts of all threads together, since each was enrolled.
    pub fn total(&self) -> HeapCounts {
        let members = self.members();
        let counts = members.iter().map(|member| member.tally.counts());
        counts.fold(HeapCounts::default(), |sum, counts| sum + counts)
    }

    /// The threads by name, and the counts of each since it was enrolled. The list is not counted.
    pub fn counts(&self) -> Vec<(String, HeapCounts)> {
        uncounted(|| {
            let members = self.members();
            members.iter().map(|member| (member.name.clone(), member.tally.counts())).collect()
        })
    }

    /// The requests that were recorded.
    pub(crate) fn take_offenders(&self) -> (Vec<Offender>, u64) {
        self.0.offenders.take()
    }

    fn members(&self) -> MutexGuard<'_, Vec<&'static Member>> {
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.members();
        formatter.debug_list().entries(members.iter().map(|member| &member.name)).finish()
    }
}
