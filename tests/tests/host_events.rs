//! Events of modules: each once per run that took effect, in order, at any rate and under any fault.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use convoy_engine::host::{HostConfig, Mode, ModuleHost, ModuleSpec, Rate};
use convoy_engine::query::ReadError;
use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
use proptest::prelude::*;

const FRAME: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(transparent)]
struct Ping(u64);

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(transparent)]
struct Pong(u32);

/// An event that a module can't cope with is given to it three times, and then it goes on without.
#[test]
fn a_poisonous_event_does_not_stop_a_module_for_good() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().faults_max(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    host.add(ModuleSpec::fast("fragile").reads_events::<Ping>(), move |context| {
        let events: Vec<u64> = context.events::<Ping>().map(|ping| ping.0).collect();
        list.lock().unwrap().push(events.clone());
        assert!(!events.contains(&13), "unlucky");
    })
    .unwrap();
    for number in 11..19 {
        world.send_event(Ping(number));
        host.run_frame(&mut world, FRAME).unwrap();
    }
    let seen = seen.lock().unwrap();
    let expected: [&[u64]; 8] =
        [&[11], &[12], &[13], &[13, 14], &[13, 14, 15], &[16], &[17], &[18]];
    assert_eq!(*seen, expected);
    let module = &host.statistics(&world).modules[0];
    assert_eq!((module.panics, module.dropped_events, module.lost_events), (3, 3, 0));
}

/// The events of a late run come again, as its commands were dropped.
#[test]
fn events_of_a_late_run_come_again() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().workers(1));
    let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    let spec = ModuleSpec::slow("late", Rate::EVERY_FRAME).mode(Mode::Asynchronous).deadline(FRAME);
    host.add(spec.reads_events::<Ping>(), move |context| {
        let events: Vec<u64> = context.events::<Ping>().map(|ping| ping.0).collect();
        list.lock().unwrap().push(events);
        context.commands().send_event(Pong(1));
        begins.send(()).unwrap();
        opened.recv().unwrap();
    })
    .unwrap();
    world.send_event(Ping(1));
    host.run_frame(&mut world, FRAME).unwrap();
    begun.recv().unwrap();
    world.send_event(Ping(2));
    (0..3).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    for _ in 0..3 {
        gate.send(()).unwrap();
        assert!(host.wait(Duration::MAX));
        host.run_frame(&mut world, FRAME).unwrap();
        gate.send(()).unwrap();
        assert!(host.wait(Duration::MAX));
    }
    gate.send(()).unwrap();
    host.finish(&mut world);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[..2], [vec![1], vec![1, 2]]);
    assert!(seen[2..].iter().all(Vec::is_empty), "and then never again: {seen:?}");
    let module = &host.statistics(&world).modules[0];
    assert_eq!(
        (module.missed_deadlines, module.dropped_events, module.dropped_commands),
        (1, 0, 1)
    );
}

/// Also those of a run that recorded nothing, in a world that was restored before it ended.
#[test]
fn events_of_a_late_run_without_commands_come_again_over_a_restore() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let mut host = ModuleHost::new(HostConfig::default().workers(1));
    let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    let spec = ModuleSpec::slow("late", Rate::EVERY_FRAME).mode(Mode::Asynchronous).deadline(FRAME);
    host.add(spec.reads_events::<Ping>(), move |context| {
        list.lock().unwrap().extend(context.events::<Ping>().map(|ping| ping.0));
        begins.send(()).unwrap();
        opened.recv().unwrap();
    })
    .unwrap();
    world.send_event(Ping(1));
    let before = world.capture(ComponentMask::ALL, &pool);
    host.run_frame(&mut world, FRAME).unwrap();
    begun.recv().unwrap();
    // One that sees that it has begun, and two on which it is late.
    (0..3).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    world.restore(&before).unwrap();
    gate.send(()).unwrap();
    assert!(host.wait(Duration::MAX));
    for _ in 0..3 {
        host.run_frame(&mut world, FRAME).unwrap();
        gate.send(()).unwrap();
        assert!(host.wait(Duration::MAX));
    }
    assert_eq!(*seen.lock().unwrap(), [1, 1], "once without effect, and once with it");
}

/// A restore takes cursors back. Events that were sent again under old numbers were not counted as read, so a
/// module that panicked on one got it for ever.
#[test]
fn a_poisonous_event_is_dropped_after_a_restore_as_well() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let mut host = ModuleHost::new(HostConfig::default().faults_max(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    host.add(ModuleSpec::fast("fragile").reads_events::<Ping>(), move |context| {
        let events: Vec<u64> = context.events::<Ping>().map(|ping| ping.0).collect();
        list.lock().unwrap().extend(events.clone());
        assert!(!events.contains(&13), "unlucky");
    })
    .unwrap();
    world.send_events((0..5).map(Ping));
    host.run_frame(&mut world, FRAME).unwrap();
    let view = world.capture(ComponentMask::ALL, &pool);
    world.send_events((5..10).map(Ping));
    host.run_frame(&mut world, FRAME).unwrap();
    world.restore(&view).unwrap();
    world.send_event(Ping(13));
    (0..6).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    world.send_event(Ping(14));
    host.run_frame(&mut world, FRAME).unwrap();
    let expected: Vec<u64> = (0..10).chain([13, 13, 13, 14]).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
    let module = &host.statistics(&world).modules[0];
    assert_eq!((module.panics, module.dropped_events, module.lost_events), (3, 1, 0));
}

/// A run that a restore overtakes has its commands dropped: the module is told, and reads its events again.
#[test]
fn a_run_that_a_restore_overtakes_takes_no_effect() {
    for records in [true, false] {
        let (mut world, pool) = (World::new(), SnapshotPool::default());
        let mut host = ModuleHost::new(HostConfig::default().workers(1));
        let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&seen);
        let spec = ModuleSpec::slow("away", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
        host.add(spec.reads_events::<Ping>(), move |context| {
            let events: Vec<u64> = context.events::<Ping>().map(|ping| ping.0).collect();
            list.lock().unwrap().push((events, context.dropped_commands()));
            if records {
                context.commands().send_event(Pong(1));
            }
            begins.send(()).unwrap();
            opened.recv().unwrap();
        })
        .unwrap();
        world.send_event(Ping(1));
        let view = world.capture(ComponentMask::ALL, &pool);
        host.run_frame(&mut world, FRAME).unwrap();
        begun.recv().unwrap();
        world.restore(&view).unwrap();
        for _ in 0..2 {
            gate.send(()).unwrap();
            assert!(host.wait(Duration::MAX));
            host.run_frame(&mut world, FRAME).unwrap();
            begun.recv().unwrap();
        }
        gate.send(()).unwrap();
        host.finish(&mut world);
        let again = if records { (vec![1], 1) } else { (vec![], 0) };
        assert_eq!(*seen.lock().unwrap(), [(vec![1], 0), again, (vec![], 0)]);
        let module = &host.statistics(&world).modules[0];
        assert_eq!((module.playback.dead, module.dropped_commands), (u64::from(records), 0));
    }
}

#[test]
fn nothing_is_no_event_and_needs_no_memory() {
    let mut world = World::with_config(WorldConfig::default().memory_limit_bytes(0));
    world.try_send_events([Ping(1); 0]).unwrap();
    let mut rest = [Ping(1), Ping(2)].into_iter();
    assert!(world.try_send_events(rest.by_ref()).is_err());
    assert_eq!(rest.len(), 2, "none was taken");
}

#[test]
fn undeclared_events_are_an_error_and_events_left_over_come_next_time() {
    let mut world = World::with_config(WorldConfig::default().event_retention(10));
    world.register_event::<Pong>().unwrap();
    let mut host = ModuleHost::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    host.add(ModuleSpec::fast("slow reader").reads_events::<Ping>(), move |context| {
        assert!(matches!(context.try_events::<Pong>(), Err(ReadError::NotReadable { .. })));
        list.lock().unwrap().extend(context.events::<Ping>().take(2).map(|ping| ping.0));
    })
    .unwrap();
    world.send_events((0..5).map(Ping));
    (0..4).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 4]);
    // More than are kept: the loss is counted, once.
    world.send_events((5..20_000).map(Ping));
    (0..3).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    let first = seen.lock().unwrap()[5];
    let module = &host.statistics(&world).modules[0];
    assert_eq!((module.panics, module.lost_events), (0, first - 5));
    assert!(first > 5);
}

/// How a module fails: on every so manieth of its runs, or never.
#[derive(Clone, Debug)]
struct Plan {
    frames: u64,
    mode: usize,
    fails_every: u64,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (1_u64..5, 0_usize..3, 0_u64..5).prop_map(|(frames, mode, fails_every)| Plan {
        frames,
        mode,
        fails_every,
    });
    proptest::collection::vec(plan, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Runs that take effect see all events in order and none twice, but for those that were dropped.
    #[test]
    fn events_take_effect_exactly_once(
        plans in plans(),
        bursts in proptest::collection::vec(0_u64..6, 20..60),
        tries in 1_u32..4,
    ) {
        let mut world = World::new();
        let config = HostConfig::default().workers(2).faults_max(0).event_tries(tries);
        let mut host = ModuleHost::new(config);
        let mut lists = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            let mode = [Mode::Synchronous, Mode::FrameSynced, Mode::Asynchronous][plan.mode];
            let spec = ModuleSpec::slow(format!("module {number}"), Rate::every_frames(plan.frames));
            let list = Arc::new(Mutex::new(Vec::new()));
            lists.push(Arc::clone(&list));
            let (mut run, fails_every) = (0, plan.fails_every);
            host.add(spec.mode(mode).reads_events::<Ping>(), move |context| {
                let events: Vec<u64> = context.events::<Ping>().map(|ping| ping.0).collect();
                run += 1;
                if fails_every > 0 && run % fails_every == 0 {
                    std::panic::resume_unwind(Box::new("it fails by plan"));
                }
                list.lock().unwrap().extend(events);
            })
            .unwrap();
        }
        let mut sent = 0;
        for burst in &bursts {
            world.send_events((sent..sent + burst).map(Ping));
            sent += burst;
            host.run_frame(&mut world, FRAME).unwrap();
            host.finish(&mut world);
        }
        // All are due once more, and once again where that fails.
        for _ in 0..60 {
            host.run_frame(&mut world, FRAME).unwrap();
            host.finish(&mut world);
        }
        let statistics = host.statistics(&world);
        for (module, list) in statistics.modules.iter().zip(&lists) {
            let list = list.lock().unwrap();
            prop_assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice: {:?}", list);
            prop_assert_eq!(list.len() as u64 + module.dropped_events, sent);
            prop_assert_eq!(module.lost_events, 0);
            if module.panics == 0 {
                prop_assert_eq!(module.dropped_events, 0);
            }
        }
    }
}
