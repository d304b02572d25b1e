//! [`Report`]: the outcome of a test, to be asserted or printed.

use std::fmt;

use crate::budget::Budget;
use crate::counts::{HeapCounts, plural};
use crate::offender::Offender;
use crate::process::ProcessCounts;
use crate::world::WorldCounts;

/// Different call sites of which a failure prints the call stack.
const SITES_MAX: usize = 5;

/// The outcome of a [`SteadyState`](crate::SteadyState): counts of the measured frames.
///
/// ```
/// use convoy_profiling::{Allocator, Request, SteadyState};
///
/// #[global_allocator]
/// static ALLOCATOR: Allocator = Allocator::SYSTEM;
///
/// let report = SteadyState::new("boxes").frames(10).run(|frame| {
///     std::hint::black_box(Box::new(frame));
/// });
/// assert!(!report.is_within_budget());
/// let heap = report.heap();
/// assert_eq!((heap.allocations, heap.frees, heap.bytes, heap.peak_bytes), (10, 10, 80, 8));
/// let first = &report.offenders()[0];
/// assert_eq!((first.frame(), first.request()), (0, Request::Allocation { bytes: 8 }));
/// println!("{report}");
/// ```
#[derive(Debug)]
#[must_use = "a report says whether the budget was kept, and asserts it when it is asked to"]
pub struct Report(Measured);

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) warm_up: u64,
    pub(crate) frames: u64,
    pub(crate) budget: Budget,
    pub(crate) is_alone: bool,
    pub(crate) threads: Vec<(String, HeapCounts)>,
    pub(crate) strangers: HeapCounts,
    pub(crate) process: Option<ProcessCounts>,
    pub(crate) offenders: Vec<Offender>,
    pub(crate) requests: u64,
    pub(crate) world: Option<WorldCounts>,
}

impl Report {
    pub(crate) fn new(mut measured: Measured) -> Self {
        measured.offenders.iter_mut().for_each(Offender::resolve);
        Self(measured)
    }

    /// The name of the test.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The frames that were measured.
    pub fn frames(&self) -> u64 {
        self.0.frames
    }

    /// The counts of all enrolled threads.
    pub fn heap(&self) -> HeapCounts {
        self.threads().iter().fold(HeapCounts::default(), |sum, (_, counts)| sum + *counts)
    }

    /// The enrolled threads by name, and their counts, in the order in which they were enrolled.
    pub fn threads(&self) -> &[(String, HeapCounts)] {
        &self.0.threads
    }

    /// The counts of all other threads of the process. They are not asserted.
    pub fn strangers(&self) -> HeapCounts {
        self.0.strangers
    }

    /// The system's counts of the process; `None` where it has none. Asserted by tests that are
    /// [alone](crate::SteadyState::alone).
    pub fn process(&self) -> Option<ProcessCounts> {
        self.0.process
    }

    /// The counts of the world, where one was given.
    pub fn world(&self) -> Option<WorldCounts> {
        self.0.world
    }

    /// The first requests to the heap in measured frames: 64 at the most, and of each kind and size 8.
    pub fn offenders(&self) -> &[Offender] {
        &self.0.offenders
    }

    /// Whether the frames kept to the budget.
    pub fn is_within_budget(&self) -> bool {
        self.exceeded().is_empty()
    }

    /// Asserts that the frames kept to the budget.
    ///
    /// # Panics
    ///
    /// When they did not: the message has all counts, the first requests with their call sites, and the way
    /// to a heap profile of these frames.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.is_within_budget(), "{self}");
    }

    /// Each number that is above the budget: its name, itself, and the limit.
    fn exceeded(&self) -> Vec<(&'static str, u64, u64)> {
        let process = self.0.process.filter(|_| self.0.is_alone);
        let mut exceeded = self.0.budget.exceeded(self.heap(), process);
        if let Some(world) = self.0.world {
            exceeded.extend(self.0.budget.exceeded_by_world(world.mapped_bytes));
        }
        exceeded
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { name, warm_up, frames, threads, strangers, process, is_alone, .. } = &self.0;
        let exceeded = self.exceeded();
        let verdict =
            if exceeded.is_empty() { "keeps to its budget" } else { "is above its budget" };
        let measured = plural(*frames, "frame");
        writeln!(formatter, "{name:?} {verdict}: {measured} after a warm-up of {warm_up}")?;
        for (what, number, limit) in &exceeded {
            writeln!(formatter, "  {number} {what}, where {limit} are allowed")?;
        }
        for (thread, counts) in threads {
            writeln!(formatter, "  thread {thread:?}: {counts}")?;
        }
        write!(formatter, "  other threads, not asserted: {strangers}")?;
        if let Some(process) = process {
            let asserted = if *is_alone { "" } else { ", not asserted" };
            write!(
                formatter,
                "\n  process{asserted}: {} bytes mapped, {} bytes of resident growth, {} minor and {} major \
                 page faults",
                process.mapped_bytes,
                process.resident_bytes,
                process.minor_faults,
                process.major_faults
            )?;
        }
        if let Some(world) = &self.0.world {
            write!(formatter, "\n  world: {world}")?;
        }
        self.list_offenders(formatter)
    }
}

impl Report {
    fn list_offenders(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { offenders, requests, frames, warm_up, .. } = &self.0;
        if offenders.is_empty() {
            return Ok(());
        }
        let mut sites: Vec<(&Offender, usize)> = Vec::new();
        for offender in offenders {
            let is_same = |other: &&mut (&Offender, usize)| {
                other.0.site() == offender.site()
                    && std::mem::discriminant(&other.0.request())
                        == std::mem::discriminant(&offender.request())
            };
            match sites.iter_mut().find(is_same) {
                Some((_, count)) => *count += 1,
                None => sites.push((offender, 1)),
            }
        }
        writeln!(
            formatter,
            "\n  {} in measured frames, of which {} were looked at; by call site:",
            plural(*requests, "request"),
            offenders.len()
        )?;
        for (offender, count) in sites.iter().take(SITES_MAX) {
            // Others of the site may have other sizes, and come in later frames.
            match count {
                1 => writeln!(formatter, "    once: {offender}")?,
                _ => writeln!(formatter, "    {count} times, first: {offender}")?,
            }
        }
        if sites.len() > SITES_MAX {
            let more = (sites.len() - SITES_MAX) as u64;
            writeln!(formatter, "    and {}", plural(more, "more call site"))?;
        }
        write!(
            formatter,
            "  For a heap profile of just these frames: run {warm_up} frames, then {frames} inside \
             `convoy_profiling::profile(name, || ...)`, with the feature `dhat` and its allocator."
        )
    }
}
