//! The kit in a process of its own, where mappings and resident memory are asserted, too.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::hint::black_box;

use convoy_engine::{ComponentMask, SnapshotPool, World};
use convoy_profiling::{Allocator, Budget, SteadyState};
use memmap2::MmapMut;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::SYSTEM;

/// A mapping without the heap.
#[inline(never)]
fn map(pages: usize) -> MmapMut {
    let mut map = MmapMut::map_anon(pages * 4096).unwrap();
    map.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    map
}

/// The call stack of the one request that was allowed once counted as resident growth.
fn requests_within_the_budget_are_no_resident_growth() {
    let test = SteadyState::new("one box").alone().budget(Budget::ZERO.allocations(1));
    test.run(|frame| {
        if frame == 500 {
            black_box(Box::new(frame));
        }
    })
    .assert();
}

fn main() {
    requests_within_the_budget_are_no_resident_growth();
    let mut numbers = vec![0_u64; 10_000];
    let test = SteadyState::new("numbers").alone();
    let report = test.run(|frame| numbers.iter_mut().for_each(|number| *number += frame));
    report.assert();
    println!("{report}");

    // A mapping that is kept, and one that comes and goes.
    let mut kept = Vec::with_capacity(300);
    let report = SteadyState::new("kept").alone().frames(100).run(|_| kept.push(map(4)));
    assert!(report.heap().is_zero(), "{report}");
    if let Some(process) = report.process() {
        assert!(!report.is_within_budget(), "{report}");
        assert!(process.mapped_bytes >= 100 * 4 * 4096, "{report}");
        assert!(
            process.resident_bytes >= 100 * 4 * 4096 && process.minor_faults >= 400,
            "{report}"
        );
        let test = SteadyState::new("kept").alone().warm_up(0).frames(1);
        let budget = Budget::ZERO.mapped_bytes(1 << 20).resident_bytes(1 << 20);
        test.budget(budget).run(|_| kept[0] = map(8)).assert();
    }

    let mut world = World::new();
    world.spawn_batch((0..10_000_u32).map(|number| (number, [0.0_f32; 3]))).unwrap();
    let pool = SnapshotPool::for_world(&world);
    let mut view = None;
    let test = SteadyState::new("capture and write").alone().pool(&pool);
    let report = test.run_world(
        &mut world,
        |world| world,
        |world, _| {
            view = Some(world.capture(ComponentMask::ALL, &pool));
            world.query_mut::<&mut [f32; 3]>().for_each(|position| position[0] += 1.0);
        },
    );
    report.assert();
    assert!(report.world().unwrap().chunks_copied > 1_000, "{report}");
    println!("{report}");
    black_box((numbers, kept, view));
}
