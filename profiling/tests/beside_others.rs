//! Tests of the kit inside a test runner: beside other tests, and beside threads that allocate all the time.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use convoy_engine::host::{HostConfig, Mode, ModuleHost, ModuleSpec, Rate};
use convoy_engine::{ComponentMask, SnapshotPool, World};
use convoy_profiling::{Allocator, Budget, HeapCounts, Request, SteadyState, Threads, uncounted};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::SYSTEM;

/// A thread that allocates until it is dropped.
struct Noise(Arc<AtomicBool>, Option<thread::JoinHandle<()>>);

impl Noise {
    fn new() -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&goes_on);
        let thread = thread::spawn(move || {
            while flag.load(Ordering::Relaxed) {
                black_box(vec![0_u8; 100]);
            }
        });
        Self(goes_on, Some(thread))
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
        self.1.take().unwrap().join().unwrap();
    }
}

/// How often [`no_false_alarms`] runs: `CONVOY_KIT_RUNS`, or some times.
fn runs() -> u32 {
    std::env::var("CONVOY_KIT_RUNS").map_or(500, |runs| runs.parse().unwrap())
}

#[test]
fn no_false_alarms() {
    let _noise = Noise::new();
    let mut numbers = vec![0_u64; 100];
    for run in 0..runs() {
        let test = SteadyState::new("steady").warm_up(1).frames(20);
        let threads = test.threads().clone();
        let (goes_on, steps) = (AtomicBool::new(true), AtomicBool::new(false));
        let report = thread::scope(|scope| {
            let (flag, steps) = (&goes_on, &steps);
            let worker = scope.spawn(move || {
                threads.enroll();
                while flag.load(Ordering::Relaxed) {
                    steps.store(true, Ordering::Relaxed);
                    thread::yield_now();
                }
            });
            while !steps.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            let report = test.run(|frame| numbers.iter_mut().for_each(|number| *number += frame));
            flag.store(false, Ordering::Relaxed);
            worker.join().unwrap();
            report
        });
        assert!(report.is_within_budget(), "run {run}: {report}");
        assert_eq!(report.threads().len(), 2);
    }
}

#[test]
fn strangers_are_told_apart() {
    let _noise = Noise::new();
    let report = SteadyState::new("wait").warm_up(0).frames(20).run(|_| {
        thread::sleep(Duration::from_millis(1));
    });
    report.assert();
    assert!(report.strangers().allocations > 0);
    assert!(report.heap().is_zero());
}

#[inline(never)]
fn makes_a_box(number: u64) {
    black_box(Box::new(number));
}

#[test]
fn a_violation_is_named_by_its_call_site() {
    let report = SteadyState::new("boxes").frames(10).run(|frame| {
        if frame == 7 {
            makes_a_box(frame);
        }
    });
    let heap = report.heap();
    assert_eq!((heap.allocations, heap.frees, heap.bytes), (1, 1, 8));
    let [allocation, free] = report.offenders() else { panic!("{report}") };
    assert_eq!((allocation.request(), allocation.frame()), (Request::Allocation { bytes: 8 }, 7));
    assert_eq!((free.request(), free.frame()), (Request::Free { bytes: 8 }, 7));
    for offender in [allocation, free] {
        assert!(offender.site().contains("makes_a_box"), "{report}");
        assert!(offender.site().contains("beside_others.rs"), "{report}");
        assert_eq!(offender.thread(), "a_violation_is_named_by_its_call_site");
    }
    let message = report.to_string();
    for part in [
        "is above its budget",
        "1 allocations, where 0",
        "    once: allocation of 8 bytes in frame 7 on thread",
        "makes_a_box",
        "convoy_profiling::profile",
    ] {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
}

/// Requests of one site with several sizes once read as that many of the first size.
#[test]
fn requests_of_several_sizes_are_told_by_their_first() {
    let report = SteadyState::new("lists").warm_up(0).frames(3).run(|frame| {
        black_box(Vec::<u8>::with_capacity(black_box(10 + frame as usize)));
    });
    assert_eq!(report.heap().bytes, 10 + 11 + 12);
    let message = report.to_string();
    assert!(message.contains("3 times, first: allocation of 10 bytes in frame 0 on"), "{message}");
}

#[inline(never)]
fn grows(numbers: &mut Vec<u64>) {
    numbers.push(1);
}

#[test]
fn reallocations_and_budgets() {
    let run = |budget: Budget| {
        let mut numbers = Vec::with_capacity(1);
        let test = SteadyState::new("list").warm_up(0).frames(3).budget(budget);
        test.run(|_| grows(&mut numbers))
    };
    let report = run(Budget::ZERO);
    let heap = report.heap();
    assert_eq!((heap.allocations, heap.frees, heap.reallocations), (0, 0, 1), "{report}");
    assert!(!report.is_within_budget());
    let [growth] = report.offenders() else { panic!("{report}") };
    assert_eq!(growth.request(), Request::Reallocation { from_bytes: 8, to_bytes: 32 });
    assert!(growth.site().contains("grows"), "{report}");
    run(Budget::ZERO.reallocations(1)).assert();
    run(Budget::ZERO.reallocations(1).bytes(24)).assert();
    assert!(!run(Budget::ZERO.reallocations(1).bytes(23)).is_within_budget());
}

#[test]
fn what_the_test_does_for_itself_can_be_left_out() {
    let report = SteadyState::new("notes").run(|frame| uncounted(|| makes_a_box(frame)));
    report.assert();
    // Also after a panic.
    let report = SteadyState::new("panics").frames(1).run(|frame| {
        let caught =
            std::panic::catch_unwind(|| uncounted(|| std::panic::resume_unwind(Box::new(()))));
        uncounted(|| drop(caught));
        makes_a_box(frame);
    });
    assert!(!report.is_within_budget());
}

#[inline(never)]
fn allocates_in_a_worker() {
    black_box(vec![1_u8; 77]);
}

#[test]
fn threads_of_a_pool_count() {
    let test = SteadyState::new("pool").frames(5);
    let threads = test.threads().clone();
    let pool = rayon_core::ThreadPoolBuilder::new()
        .num_threads(2)
        .thread_name(|number| format!("pool {number}"))
        .start_handler(move |_| threads.enroll())
        .build()
        .unwrap();
    // All threads have started when all have answered.
    pool.broadcast(|_| ());
    let report = test.run(|frame| {
        if frame == 3 {
            pool.install(allocates_in_a_worker);
        }
    });
    let names: Vec<_> = report.threads().iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"pool 0") && names.contains(&"pool 1"), "{names:?}");
    let found = report
        .offenders()
        .iter()
        .find(|offender| offender.site().contains("allocates_in_a_worker"));
    let offender = found.unwrap_or_else(|| panic!("{report}"));
    assert!(offender.thread().starts_with("pool ") && offender.frame() == 3, "{report}");
}

/// A host whose module allocates in every tenth run.
fn host(test: &SteadyState, allocates: bool) -> (World, ModuleHost) {
    let mut world = World::new();
    world.spawn_batch((0..1_000_u32).map(|number| (number,))).unwrap();
    let mut host = ModuleHost::new(HostConfig::default().workers(1));
    let threads = test.threads().clone();
    host.on_worker_start(move |_| threads.enroll()).unwrap();
    let spec =
        ModuleSpec::slow("sum", Rate::EVERY_FRAME).mode(Mode::Asynchronous).reads::<(u32,)>();
    let mut runs = 0;
    host.add(spec, move |context| {
        black_box(context.view().query::<&u32>().iter().sum::<u32>());
        runs += 1;
        if allocates && runs % 10 == 0 {
            allocates_in_a_worker();
        }
    })
    .unwrap();
    (world, host)
}

#[test]
fn workers_of_a_host_count() {
    for allocates in [false, true] {
        let test = SteadyState::new("host").warm_up(100).frames(200);
        let (mut world, mut host) = host(&test, allocates);
        let report = test.run_world(
            &mut world,
            |world| world,
            |world, _| {
                world.query_mut::<&mut u32>().for_each(|number| *number = number.wrapping_add(1));
                host.run_frame(world, Duration::from_millis(16)).unwrap();
                host.wait(Duration::MAX);
            },
        );
        assert_eq!(report.is_within_budget(), !allocates, "{report}");
        assert!(report.world().is_some(), "{report}");
        if allocates {
            assert_eq!(report.offenders()[0].thread(), "convoy worker 0", "{report}");
            assert!(report.offenders()[0].site().contains("allocates_in_a_worker"), "{report}");
        }
    }
}

#[test]
fn a_world_that_maps_memory_is_above_its_budget() {
    let mut world = World::new();
    let run = |world: &mut World, budget| {
        let test = SteadyState::new("growth").warm_up(0).frames(100).budget(budget);
        test.run_world(
            world,
            |world| world,
            |world, frame| {
                uncounted(|| world.spawn_batch((0..1_000).map(|_| ([frame; 16],))).unwrap());
            },
        )
    };
    let report = run(&mut world, Budget::ZERO);
    assert!(!report.is_within_budget() && report.world().unwrap().mapped_bytes > 0, "{report}");
    assert!(report.to_string().contains("bytes mapped by the world"), "{report}");
    run(&mut world, Budget::ZERO.mapped_bytes(1 << 30)).assert();
}

#[test]
fn misses_of_a_pool_are_reported() {
    let mut world = World::new();
    world.spawn((1_u32,));
    let pool = SnapshotPool::for_world(&world);
    let test = SteadyState::new("kept views").warm_up(0).frames(10).pool(&pool);
    let mut kept = Vec::with_capacity(10);
    let report = test.run_world(
        &mut world,
        |world| world,
        |world, _| {
            kept.push(world.capture(ComponentMask::ALL, &pool));
        },
    );
    let world = report.world().unwrap();
    assert!(world.pool_misses > Some(0) && world.active_captures == 10, "{report}");
    assert!(!report.is_within_budget(), "making a cell allocates: {report}");
}

#[test]
#[should_panic(expected = "is above its budget")]
fn asserting_panics() {
    SteadyState::new("boxes").frames(1).run(makes_a_box).assert();
}

/// A thread that is taken away would make a test that can't fail.
#[test]
#[should_panic(expected = "was enrolled by another test")]
fn a_thread_that_another_test_enrols_is_missed() {
    let test = SteadyState::new("one");
    let other = SteadyState::new("other");
    let report = test.frames(10).run(|_| other.threads().enroll());
    report.assert();
}

/// The probe of a thread that comes while frames are measured is not the frames'.
#[test]
fn a_thread_that_is_enrolled_meanwhile_is_no_false_alarm() {
    let test = SteadyState::new("late").frames(10);
    let threads = test.threads().clone();
    let report = test.run(|_| {
        let threads = threads.clone();
        // By a stranger, as the start of a thread allocates.
        uncounted(|| thread::spawn(move || threads.enroll()).join().unwrap());
    });
    assert_eq!(report.threads().len(), 1 + 10 + 100, "{report}");
    // A thread that ends frees its own records, which is its own doing.
    let own = &report.threads()[0].1;
    assert!(own.is_zero(), "{report}");
    assert_eq!(
        report.threads().iter().map(|(_, counts)| counts.allocations).sum::<u64>(),
        0,
        "{report}"
    );
}

#[test]
fn enrolling_leaves_no_peak() {
    let threads = Threads::new();
    threads.enroll();
    assert_eq!(threads.total(), HeapCounts::default());
    drop(std::hint::black_box(Box::new(7_u8)));
    assert_eq!(threads.total().peak_bytes, 1);
}

#[test]
fn tests_inside_of_a_pool_of_rayon_allocate_nothing() {
    let test = SteadyState::new("inside").warm_up(10).frames(runs().into());
    let threads = test.threads().clone();
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(2);
    let pool = pool.start_handler(move |_| threads.enroll()).build().unwrap();
    let work = || std::hint::black_box(7_u64).wrapping_mul(3);
    pool.broadcast(|_| ());
    let report = pool.install(|| test.run(|_| _ = rayon_core::join(work, work)));
    report.assert();
    assert_eq!(report.threads().len(), 2);
}

#[test]
#[should_panic(expected = "a test of no frame can't fail")]
fn no_frame_is_no_test() {
    SteadyState::new("empty").frames(0).run(|_| ()).assert();
}
