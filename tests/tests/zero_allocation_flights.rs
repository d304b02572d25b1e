//! The flights in their steady state allocate nothing: 1,000 frames with synchronous and with
//! asynchronous modules leave the number of heap blocks and the mapped bytes as they are.
//!
//! dhat counts every block of the process, so this file is alone in it, without a test harness. A
//! negative control adds one module that pushes to a fresh `Vec`, and must be noticed.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::hint::black_box;
use std::sync::Arc;

use convoy_engine::host::{HostError, ModuleContext, ModuleHost, ModuleSpec, Rate};
use profiling::input::{
    EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS, LoadOptions, load_airports, load_flights,
};
use profiling::scenario::{Scenario, ScenarioConfig, Sharing};
use profiling::traffic::Timetable;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Eleven hours: the steady frames then cover the busiest time of the day.
const WARM_UP_FRAMES: u32 = 4_000;
const FRAMES: u32 = 1_000;

/// How much of the process's memory may become resident while nothing is mapped: pages of slabs,
/// and of thread stacks, that are touched for the first time.
const RESIDENT_GROWTH_MAX: usize = 1 << 20;

/// The memory that a run of steady frames has added.
#[derive(Debug)]
struct Growth {
    blocks: u64,
    mapped_bytes: usize,
    resident_bytes: usize,
}

fn main() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let airports = load_airports(&EMBEDDED_AIRPORTS, LoadOptions::default()).unwrap().data;
    let flights = load_flights(&EMBEDDED_FLIGHTS, &airports, LoadOptions::default()).unwrap().data;
    let timetable = Arc::new(Timetable::new(&flights, &airports));
    for threads in [0, 1, 2] {
        let growth = steady_growth(&timetable, threads, |_| Ok(()));
        assert_eq!(growth.blocks, 0, "{threads} threads: heap blocks");
        assert_eq!(growth.mapped_bytes, 0, "{threads} threads: mapped bytes");
        assert!(
            growth.resident_bytes <= RESIDENT_GROWTH_MAX,
            "{threads} threads: {} bytes became resident",
            growth.resident_bytes
        );
        println!("{threads} threads, {FRAMES} steady frames: {growth:?}");
    }
    let growth = steady_growth(&timetable, 0, add_a_module_that_allocates);
    assert!(growth.blocks >= 150, "a fresh Vec in every run of a module is noticed: {growth:?}");
    println!("with a module that pushes to a fresh Vec: {growth:?}");
}

fn add_a_module_that_allocates(host: &mut ModuleHost) -> Result<(), HostError> {
    let spec = ModuleSpec::slow("allocates", Rate::hz(10)).reads::<()>();
    let module = |context: &mut ModuleContext<'_>| {
        let mut fresh = Vec::new();
        fresh.extend([context.view().tick()]);
        black_box(&fresh);
    };
    host.add(spec, module).map(|_| ())
}

/// The memory that the steady frames of one scenario add, after it has warmed up.
fn steady_growth(
    timetable: &Arc<Timetable>,
    threads: usize,
    add: impl FnOnce(&mut ModuleHost) -> Result<(), HostError>,
) -> Growth {
    let config =
        ScenarioConfig { sharing: Sharing::Convoy, threads, overlap: true, frame_s: 10.0, seed: 1 };
    let mut scenario = Scenario::with_modules(Arc::clone(timetable), config, add).unwrap();
    for _ in 0..WARM_UP_FRAMES {
        scenario.step().unwrap();
    }
    let mapped_bytes = scenario.world().memory().mapped_bytes;
    let resident_bytes = resident();
    let blocks = dhat::HeapStats::get().total_blocks;
    for _ in 0..FRAMES {
        scenario.step().unwrap();
    }
    let blocks = dhat::HeapStats::get().total_blocks - blocks;
    assert!(scenario.simulation().airborne() > 100, "the frames have traffic");
    Growth {
        blocks,
        mapped_bytes: scenario.world().memory().mapped_bytes - mapped_bytes,
        resident_bytes: resident().saturating_sub(resident_bytes),
    }
}

/// Resident bytes of this process, where the system tells; zero elsewhere.
fn resident() -> usize {
    let Ok(pages) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    pages.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0) * 4096
}
