//! Systems of the live world: their phases, their order, and their faults.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy_engine::host::{HostConfig, Mode, ModuleHost, ModuleSpec, Phase, Rate};
use convoy_engine::{ComponentMask, SnapshotPool, World};

const FRAME: Duration = Duration::from_millis(10);

/// The order is that of the phases, and in a phase that of the calls; results of asynchronous modules land between
/// input and simulation, those of synchronous ones before the phase after.
#[test]
fn phases_come_in_order_and_modules_between_them() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().lock_step(std::num::NonZeroU32::MIN));
    let notes = |phase, name: &'static str, host: &mut ModuleHost| {
        let log = Arc::clone(&log);
        host.add_system(phase, name, move |world, frame| {
            let time = FRAME * u32::try_from(frame.tick).unwrap();
            assert_eq!((frame.tick, frame.dt, frame.time), (world.tick(), FRAME, time));
            log.lock().unwrap().push((name, world.query::<&u8>().count()));
        });
    };
    notes(Phase::Export, "export", &mut host);
    notes(Phase::Simulation, "first", &mut host);
    notes(Phase::Input, "input", &mut host);
    notes(Phase::After, "after", &mut host);
    notes(Phase::Simulation, "second", &mut host);
    let here = Arc::clone(&log);
    host.add(ModuleSpec::fast("here").reads::<(u8,)>(), move |context| {
        here.lock().unwrap().push(("module", context.view().query::<&u8>().count()));
        context.commands().spawn((1_u8,));
    })
    .unwrap();
    let away = ModuleSpec::slow("away", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
    host.add(away.reads::<()>(), |context| _ = context.commands().spawn((2_u8,))).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    assert!(host.wait(Duration::MAX));
    host.run_frame(&mut world, FRAME).unwrap();
    let names = ["input", "first", "second", "module", "after", "export"];
    let seen = log.lock().unwrap().clone();
    assert!(seen.iter().map(|entry| entry.0).eq(names.into_iter().chain(names)));
    let counts: Vec<usize> = seen.iter().map(|entry| entry.1).collect();
    assert_eq!(counts, [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]);
    let statistics = host.statistics(&world);
    let order: Vec<&str> = statistics.systems.iter().map(|system| system.name.as_str()).collect();
    assert_eq!(order, ["input", "first", "second", "after", "export"]);
    assert!(statistics.systems.iter().all(|system| system.runs == 2));
    host.pause();
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(log.lock().unwrap().len(), 12, "a paused host runs none");
}

/// A run was given a view of the restored world as one of the state before, and lost its commands.
#[test]
fn a_system_may_restore_the_world_and_runs_on_it_take_effect() {
    let (mut world, mut host) = (World::new(), ModuleHost::default());
    world.spawn((0_u64,));
    let pool = SnapshotPool::default();
    let mut past = None;
    host.add_system(Phase::Simulation, "rollback", move |world, _| {
        let view = past.take().unwrap_or_else(|| world.capture(ComponentMask::ALL, &pool));
        world.restore(&view).unwrap();
        past = Some(view);
    });
    let spec = ModuleSpec::slow("away", Rate::every_frames(4)).mode(Mode::Asynchronous);
    host.add(spec.reads_all(), |context| _ = context.commands().spawn((1_u8,))).unwrap();
    for frame in 1..=40_u64 {
        host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
        assert!(host.wait(Duration::MAX));
        if frame % 4 == 0 {
            host.finish(&mut world);
            assert_eq!(
                world.query::<&u8>().count(),
                1,
                "the run is of the state after the restore"
            );
        }
    }
    let module = host.statistics(&world).modules.swap_remove(0);
    assert_eq!((module.runs, module.dropped_commands, module.playback.applied), (10, 0, 10));
}

/// The host goes on with a world that a system puts in the place of its own, in the same frame.
#[test]
fn a_system_may_replace_the_world() {
    for phase in [Phase::Input, Phase::Simulation, Phase::After] {
        let (mut world, mut host) = (World::new(), ModuleHost::default());
        world.spawn((0_u64,));
        let pool = SnapshotPool::default();
        host.add_system(phase, "look ahead", move |world, _| {
            let view = world.capture(ComponentMask::ALL, &pool);
            *world = World::branch(&view).unwrap();
        });
        for mode in [Mode::Synchronous, Mode::FrameSynced] {
            let spec = ModuleSpec::slow(format!("{mode:?}"), Rate::EVERY_FRAME).mode(mode);
            host.add(spec.reads_all(), |context| _ = context.commands().spawn((1_u8,))).unwrap();
        }
        (0..5).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
        assert_eq!(world.query::<&u8>().count(), 10, "{phase:?}");
        let modules = host.statistics(&world).modules;
        assert!(modules.iter().all(|module| (module.runs, module.dropped_commands) == (5, 0)));
    }
}

#[test]
fn a_system_that_panics_ends_its_frame_and_the_next_one_is_whole() {
    let (mut world, mut host) = (World::new(), ModuleHost::default());
    host.add_system(Phase::Simulation, "careless", |world, frame| {
        assert_ne!(frame.tick, 2, "by plan");
        world.spawn((frame.tick,));
    });
    host.add(ModuleSpec::fast("counts").reads::<(u64,)>(), |context| {
        let sum: u64 = context.view().query::<&u64>().iter().sum();
        context.commands().send_event(sum);
    })
    .unwrap();
    let mut sums = world.event_cursor::<u64>();
    for frame in 1..=4 {
        let run = || host.run_frame(&mut world, FRAME).unwrap();
        assert_eq!(catch_unwind(AssertUnwindSafe(run)).is_err(), frame == 2);
    }
    assert!(world.events(&mut sums).eq([1, 4, 8]));
    let module = host.statistics(&world).modules.swap_remove(0);
    assert_eq!((module.runs, module.panics), (3, 0));
}
