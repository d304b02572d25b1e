//! Deadlines of every mode, the modules that are switched off for them, and which runs go first.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::num::NonZeroU32;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use convoy_engine::host::{
    HostConfig, Mode, ModuleContext, ModuleHost, ModuleSpec, ModuleStatistics, Rate,
};
use convoy_engine::{Entity, World};

const FRAME: Duration = Duration::from_millis(10);
const INSTANT: Duration = Duration::from_nanos(1);

fn spec(name: &str, mode: Mode) -> ModuleSpec {
    ModuleSpec::slow(name, Rate::EVERY_FRAME).mode(mode).reads::<(u64,)>()
}

fn frames(host: &mut ModuleHost, world: &mut World, count: usize) {
    (0..count).for_each(|_| host.run_frame(world, FRAME).unwrap());
}

fn module(host: &ModuleHost, world: &World, number: usize) -> ModuleStatistics {
    host.statistics(world).modules.swap_remove(number)
}

/// A module that waits for its worker has not begun: a blocked worker is not its fault.
#[test]
fn a_deadline_counts_from_the_start_of_execution() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().workers(1));
    let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
    let blocks = ModuleSpec::slow("blocks", Rate::every_frames(2)).mode(Mode::Asynchronous);
    let waits = ModuleSpec::slow("waits", Rate::every_frames(3)).mode(Mode::Asynchronous);
    host.add(waits.reads::<()>().deadline(2 * FRAME), |context| {
        context.commands().spawn((1_u64,));
    })
    .unwrap();
    host.add(blocks.reads::<()>(), move |_| {
        begins.send(()).unwrap();
        opened.recv().unwrap();
    })
    .unwrap();
    frames(&mut host, &mut world, 1);
    assert!(host.wait(Duration::MAX));
    // The one worker is blocked from here on.
    host.run_frame(&mut world, FRAME).unwrap();
    begun.recv().unwrap();
    frames(&mut host, &mut world, 20);
    assert_eq!(module(&host, &world, 0).missed_deadlines, 0);
    gate.send(()).unwrap();
    host.finish(&mut world);
    let waits = module(&host, &world, 0);
    assert_eq!((waits.missed_deadlines, waits.dropped_commands), (0, 0));
    assert_eq!(world.entity_count() as u64, waits.runs);
}

/// Each time that a module is due is counted once: as a run, an overrun or a skip.
#[test]
fn a_time_that_a_module_is_due_is_counted_once() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().workers(1).faults_max(0));
    let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
    host.add(spec("late", Mode::Asynchronous).deadline(FRAME), move |_| {
        begins.send(()).unwrap();
        opened.recv().unwrap();
    })
    .unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    begun.recv().unwrap();
    frames(&mut host, &mut world, 9);
    let late = module(&host, &world, 0);
    assert_eq!((late.missed_deadlines, late.skipped, late.overruns), (1, 1, 8));
    gate.send(()).unwrap();
    assert!(host.wait(Duration::MAX));
    host.run_frame(&mut world, FRAME).unwrap();
    let late = module(&host, &world, 0);
    assert_eq!((late.runs, late.skipped, late.overruns), (1, 1, 8), "and the second has begun");
    gate.send(()).unwrap();
}

/// Three runs in a row that miss their deadline switch a module off, in whatever mode it runs.
#[test]
fn missed_deadlines_switch_a_module_off() {
    for mode in [Mode::Synchronous, Mode::FrameSynced, Mode::Asynchronous] {
        let mut world = World::new();
        let mut host = ModuleHost::new(HostConfig::default().workers(1));
        let deadline = if mode == Mode::Asynchronous { Duration::ZERO } else { INSTANT };
        let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
        host.add(spec("late", mode).deadline(deadline), move |context| {
            begins.send(()).unwrap();
            opened.recv().unwrap();
            context.commands().spawn((1_u64,));
        })
        .unwrap();
        for run in 1..=3 {
            if mode != Mode::Asynchronous {
                gate.send(()).unwrap();
            }
            host.run_frame(&mut world, FRAME).unwrap();
            begun.recv().unwrap();
            if mode == Mode::Asynchronous {
                // One that sees that it has begun, one on which it is late, and the skipped one.
                frames(&mut host, &mut world, 2);
                gate.send(()).unwrap();
                assert!(host.wait(Duration::MAX));
                host.finish(&mut world);
            }
            let late = module(&host, &world, 0);
            assert_eq!((late.missed_deadlines, late.switched_off), (run, run == 3), "{mode:?}");
        }
        let runs = module(&host, &world, 0).runs;
        frames(&mut host, &mut world, 50);
        assert_eq!((runs, module(&host, &world, 0).runs), (3, 3), "{mode:?}: it is off");
        let kept = if mode == Mode::Asynchronous { 0 } else { 3 };
        assert_eq!(world.entity_count(), kept, "{mode:?}: those that were waited for count");
    }
}

/// Without threads every run is one that the frame waits for.
#[test]
fn deadlines_of_a_host_without_threads_are_counted() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().workers(0));
    let run = |context: &mut ModuleContext<'_>| {
        thread::sleep(Duration::from_millis(1));
        context.commands().spawn((1_u64,));
    };
    host.add(spec("late", Mode::Asynchronous).deadline(INSTANT), run).unwrap();
    frames(&mut host, &mut world, 2);
    host.finish(&mut world);
    let late = module(&host, &world, 0);
    assert_eq!((late.missed_deadlines, late.dropped_commands), (2, 0));
    assert_eq!(world.entity_count(), 2, "and what it recorded lands");
}

/// In lock step the clock decides nothing: late runs are counted, and that is all.
#[test]
fn in_lock_step_deadlines_are_only_counted() {
    for mode in [Mode::Synchronous, Mode::FrameSynced, Mode::Asynchronous] {
        let mut world = World::new();
        let config = HostConfig::default().workers(1).lock_step(NonZeroU32::MIN);
        let mut host = ModuleHost::new(config);
        host.add(spec("late", mode).deadline(INSTANT), |context| {
            thread::sleep(Duration::from_millis(1));
            context.commands().spawn((1_u64,));
        })
        .unwrap();
        frames(&mut host, &mut world, 10);
        host.finish(&mut world);
        let late = module(&host, &world, 0);
        assert_eq!((late.runs, late.missed_deadlines, late.skipped), (10, 10, 0), "{mode:?}");
        assert_eq!((late.switched_off, late.dropped_commands), (false, 0), "{mode:?}");
        assert_eq!(world.entity_count(), 10, "{mode:?}");
    }
}

/// Of the runs that wait for a worker, short ones begin before long ones.
#[test]
fn a_long_run_never_begins_before_a_short_one_that_is_due() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().workers(1));
    let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
    let order = Arc::new(Mutex::new(Vec::new()));
    let (long, short) = (Arc::clone(&order), Arc::clone(&order));
    // It goes first on the frames in which it blocks the worker, as the others are not due on them.
    let blocks = ModuleSpec::slow("blocks", Rate::every_frames(3)).mode(Mode::Asynchronous);
    host.add(blocks.reads::<()>(), move |_| {
        begins.send(()).unwrap();
        opened.recv().unwrap();
    })
    .unwrap();
    let rate = Rate::every_frames(2);
    let away = |name| ModuleSpec::slow(name, rate).mode(Mode::Asynchronous).reads::<()>();
    host.add(away("long"), move |_| {
        thread::sleep(Duration::from_millis(5));
        long.lock().unwrap().push("long");
    })
    .unwrap();
    host.add(away("short"), move |_| short.lock().unwrap().push("short")).unwrap();
    frames(&mut host, &mut world, 2);
    assert!(host.wait(Duration::MAX));
    host.run_frame(&mut world, FRAME).unwrap();
    begun.recv().unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    gate.send(()).unwrap();
    assert!(host.wait(Duration::MAX));
    assert_eq!(order.lock().unwrap()[2..], ["short", "long"]);
}

/// A convoy that has lost its last active member costs nothing but a look.
#[test]
fn a_convoy_whose_members_are_switched_off_captures_nothing() {
    let mut world = World::new();
    let entity = world.spawn((0_u64,));
    let mut host = ModuleHost::new(HostConfig::default().probe_after(50));
    for name in ["one", "two"] {
        let spec = ModuleSpec::fast(name).reads::<(u64,)>();
        host.add(spec, |context| assert!(context.tick() > 100, "too early")).unwrap();
    }
    let (mut captures, mut live) = (Vec::new(), Vec::new());
    for _ in 0..120 {
        *world.get_mut::<u64>(entity).unwrap() += 1;
        host.run_frame(&mut world, FRAME).unwrap();
        let statistics = host.statistics(&world);
        captures.push(statistics.convoys[0].provider.captures);
        live.push(statistics.convoys[0].provider.live_generations);
    }
    assert_eq!(captures[..6], [1, 2, 3, 3, 3, 3], "three failures in a row");
    assert_eq!(captures[51..54], [3, 4, 4], "both are tried on one frame");
    assert_eq!(captures[101..105], [4, 5, 6, 7], "and go on once that ends well");
    assert_eq!(live[2..5], [1, 0, 0], "nothing is kept for members that are off");
}

/// Fast modules share one capture a frame, whatever their modes.
#[test]
fn fast_modules_of_all_modes_share_one_capture_a_frame() {
    let mut world = World::new();
    let entity = world.spawn((0_u64,));
    let mut host = ModuleHost::new(HostConfig::default().workers(2));
    for mode in [Mode::Synchronous, Mode::FrameSynced, Mode::Asynchronous, Mode::Synchronous] {
        let name = format!("{mode:?} {}", host.statistics(&world).modules.len());
        let spec = ModuleSpec::fast(name).mode(mode).reads::<(Entity, u64)>();
        host.add(spec, move |context| {
            let number = *context.view().get::<u64>(entity).unwrap();
            assert_eq!(number, context.tick());
        })
        .unwrap();
    }
    for frame in 1..=100 {
        *world.get_mut::<u64>(entity).unwrap() += 1;
        host.run_frame(&mut world, FRAME).unwrap();
        assert!(host.wait(Duration::MAX));
        let convoys = host.statistics(&world).convoys;
        assert_eq!((convoys.len(), convoys[0].members, convoys[0].mode), (1, 4, None));
        assert_eq!(convoys[0].provider.captures, frame);
    }
    host.finish(&mut world);
    let modules = host.statistics(&world).modules;
    assert!(modules.iter().all(|module| (module.runs, module.panics) == (100, 0)));
}
