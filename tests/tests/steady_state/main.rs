//! The steady state of every operation, of a world that does everything, and of the flights: 1,000 frames
//! allocate, free and map nothing, and touch no memory for the first time.
//!
//! Each scenario has a world of its own. The page that is printed has the counts of each; a failure names
//! the call sites. Exempt are operations whose documentation says that they allocate: `sorted_by_key` returns
//! a list, `trim` gives room back, and the first value of a local type is boxed.
//!
//! Alone in its process, so that mappings and resident memory are its own.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod common;
mod controls;
mod entities;
mod everything;
mod flights;
mod hosts;
mod memory;
mod messages;
mod queries;
mod snapshots;

use common::*;
use controls::*;
use entities::*;
use hosts::*;
use memory::*;
use messages::*;
use queries::*;
use snapshots::*;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::SYSTEM;

/// Makes the world of a phase.
#[derive(Clone, Copy)]
enum SetUp {
    Plain(fn() -> Frame),
    /// With threads of its own, which are to be counted.
    Threads(fn(&Threads) -> Frame),
}

use SetUp::{Plain, Threads as Threaded};

/// Every phase by its name.
const PHASES: [(&str, SetUp); 47] = [
    ("spawn, despawn", Plain(spawn_and_despawn)),
    ("spawn_batch, QueryMut::despawn", Plain(spawn_batch)),
    ("spawn_columns, despawn_many", Plain(spawn_columns)),
    ("spawn_at, reserve_entity, reserve_entities, unreserve_entity", Plain(spawn_at)),
    ("reserve, clear", Plain(reserve_and_clear)),
    ("insert, remove", Plain(insert_and_remove)),
    ("exchange", Plain(exchange)),
    ("insert_many, remove_many", Plain(change_many)),
    ("QueryMut::insert, QueryMut::remove", Plain(change_query)),
    ("run-time components", Plain(described)),
    ("get, get_mut, contains", Plain(look_up)),
    ("query: iter, for_each, for_each_run, count, single", Plain(read_queries)),
    ("query_mut: iter, for_each, for_each_run", Plain(write_queries)),
    ("filters: With, Without, Or, Has", Plain(filtered_queries)),
    ("filters: Changed, Added, since", Plain(changed_rows)),
    ("query_mut over shared chunks", Plain(write_shared)),
    ("query_mut with Changed over shared chunks", Plain(write_changed)),
    ("par_for_each, par_for_each_run", Plain(parallel_queries)),
    ("par_for_each over shared chunks", Plain(parallel_shared)),
    ("resources", Plain(resources)),
    ("local resources", Plain(locals)),
    ("texts that are known", Plain(texts)),
    ("lists that grow, shrink, come and go", Plain(lists)),
    ("set_parent, set_parent_at, remove_parent", Plain(parents)),
    ("despawn_tree, children, descendants", Plain(trees)),
    ("send_event, events", Plain(events)),
    ("commands", Plain(commands)),
    ("Commands::new in every frame", Plain(commands_of_a_frame)),
    ("capture, View, release", Plain(captures)),
    ("captures of several masks that overlap", Plain(overlapping_captures)),
    ("providers", Plain(providers)),
    ("a convoy of three modules on two threads", Threaded(convoy_with_threads)),
    ("a host with twenty modules", Threaded(twenty_modules)),
    ("sync_from", Plain(replicas)),
    ("sync_from, both ways", Plain(mutual_replicas)),
    ("deltas: DeltaEncoder::encode, apply", Plain(deltas)),
    ("checkpoints: Checkpoint::write, ModuleHost::save", Plain(checkpoints)),
    ("restore", Plain(restores)),
    ("a branch and its origin", Plain(branches)),
    ("diff, state_hash", Plain(comparisons)),
    ("toggles: enable, disable, set, queries that skip", Plain(toggles)),
    ("spawn, despawn while views overlap", Plain(churn_under_views)),
    ("compact", Plain(compact)),
    ("compact, with entities that come and go", Plain(compact_churn)),
    ("growth, then a steady state", Plain(growth_then_steady)),
    ("statistics", Plain(statistics)),
    ("errors as answers", Plain(errors)),
];

/// The file of the call sites that the controls are found out by.
const CONTROLS_FILE: &str = "steady_state/controls.rs";

/// Phases that violate the promise, and parts of the report on each.
const CONTROLS: [(&str, SetUp, &[&str]); 4] = [
    (
        "a list in the last frame",
        Plain(control_allocates),
        &["allocation of 4 bytes in frame 999", CONTROLS_FILE],
    ),
    (
        "a block freed",
        Plain(control_frees),
        &["1 frees, where 0 are allowed", "once: free of", CONTROLS_FILE],
    ),
    ("a mapping", Plain(control_maps), &["bytes mapped, where 0 are allowed"]),
    (
        "a chunk lost in every other frame",
        Plain(control_keeps),
        &["bytes mapped, where 0 are allowed"],
    ),
];

fn main() {
    // Parallel passes allocate nothing on a thread of the pool.
    let pool = named_threads().num_threads(2).build().unwrap();
    // Its threads come up, and have stolen work from each other, before anything is counted.
    pool.broadcast(|_| ());
    pool.install(|| {
        let mut frame = parallel_queries();
        (0..WARM_UP_FRAMES).for_each(|number| _ = frame(number));
    });
    let mut page = Page::default();
    for (name, set_up) in PHASES {
        page.add(measure(name, set_up, &pool));
    }
    page.add(everything::measure());
    for threads in [0, 1, 2] {
        page.add(flights::measure(threads));
    }
    for (name, set_up, expected) in CONTROLS {
        let report = measure(name, set_up, &pool);
        let is_found = !report.is_within_budget()
            && expected.iter().all(|part| report.to_string().contains(part));
        assert!(is_found, "the control was not found out: {report}");
    }
    flights::check_control();
    drop(pool);
    check_callers_of_a_pool(&mut page);
    page.end();
}

fn named_threads() -> ThreadPoolBuilder {
    ThreadPoolBuilder::new().thread_name(|number| format!("pool {number}"))
}

/// Runs a phase on a thread of the pool, and counts all of its threads.
fn measure(name: &str, set_up: SetUp, pool: &ThreadPool) -> Report {
    let warm_up = u64::from(WARM_UP_FRAMES);
    let test = SteadyState::new(name).warm_up(warm_up).frames(FRAMES.into()).alone();
    pool.broadcast(|_| test.threads().enroll());
    pool.install(move || run(test, set_up))
}

fn run(test: SteadyState, set_up: SetUp) -> Report {
    let mut frame = match set_up {
        Plain(set_up) => set_up(),
        Threaded(set_up) => set_up(test.threads()),
    };
    let (mut number, mut warm, mut mapped) = (0, 0, 0);
    let report = test.run(|_| {
        mapped = frame(number);
        number += 1;
        if number == WARM_UP_FRAMES {
            warm = mapped;
        }
    });
    // Exact, where the process's mappings are those of others, too.
    assert!(!report.is_within_budget() || mapped == warm, "{} maps {mapped} bytes", report.name());
    report
}

/// A pass allocates nothing where its caller is a thread of the pool, also one that was there
/// before, and one block for every 63 passes where it is not. The block is for rayon's queue of such
/// callers, and is the control of the first case, too.
fn check_callers_of_a_pool(page: &mut Page) {
    let (passes_per_frame, passes_per_block) = (20 * 4, 63);
    let test = SteadyState::new("a caller from outside").warm_up(WARM_UP_FRAMES.into());
    let heap = run(test.frames(FRAMES.into()), Plain(parallel_queries)).heap();
    let blocks_max = u64::from(FRAMES) * passes_per_frame / passes_per_block + 1;
    let blocks = heap.allocations;
    assert!((1..=blocks_max).contains(&blocks), "{blocks} blocks for callers from outside");

    let builder = named_threads().num_threads(3).use_current_thread();
    let pool = builder.build().unwrap();
    for (name, set_up) in [
        ("par_for_each by a caller who is a thread of the pool", Plain(parallel_queries)),
        ("the same over shared chunks", Plain(parallel_shared)),
    ] {
        page.add(measure(name, set_up, &pool));
    }
}

/// The table of all scenarios.
#[derive(Default)]
struct Page {
    failures: Vec<String>,
    is_begun: bool,
}

impl Page {
    fn add(&mut self, report: Report) {
        if !self.is_begun {
            println!(
                "{:<62} {:>6} {:>6} {:>6} {:>8} {:>8} {:>9} {:>7}",
                "scenario", "frames", "allocs", "frees", "reallocs", "mapped", "resident", "peak"
            );
            self.is_begun = true;
        }
        let (heap, process) = (report.heap(), report.process().unwrap_or_default());
        println!(
            "{:<62} {:>6} {:>6} {:>6} {:>8} {:>8} {:>9} {:>7}",
            report.name(),
            report.frames(),
            heap.allocations,
            heap.frees,
            heap.reallocations,
            process.mapped_bytes,
            process.resident_bytes,
            heap.peak_bytes
        );
        if !report.is_within_budget() {
            // At once, as a later scenario may panic.
            eprintln!("{report}");
            self.failures.push(report.name().to_owned());
        }
    }

    fn end(self) {
        assert!(self.failures.is_empty(), "not free of allocations: {}", self.failures.join("; "));
    }
}
