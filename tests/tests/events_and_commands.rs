//! Events and commands of modules: events reach each of them once, commands are played back once and
//! in order.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use convoy_engine::events::EventCursor;
use convoy_engine::host::{HostConfig, Mode, ModuleHost, ModuleSpec, Rate};
use convoy_engine::provider::{ProviderKind, ReplicaProvider};
use convoy_engine::query::ReadError;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World, WorldConfig};

const FRAME: Duration = Duration::from_millis(10);

/// An event with a number.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(transparent)]
struct Ping(u64);

/// The last writer of a component.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(transparent)]
struct Writer(u32);

/// The record of one command of a module.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
struct Step {
    module: u32,
    run: u32,
    step: u32,
}

fn config(workers: usize, lock_step: u32) -> HostConfig {
    HostConfig::default().workers(workers).lock_step(NonZeroU32::new(lock_step))
}

/// A world that keeps at least `events` events of a type, in chunks of four.
fn world_keeping(events: usize) -> World {
    let config = WorldConfig::default().event_retention(events).chunk_rows_max(4);
    World::with_config(config)
}

/// The events that a subscriber has read, and how many it knows to have missed.
#[derive(Default)]
struct Inbox {
    events: Vec<u64>,
    lost: u64,
}

/// Adds a module that reads pings.
fn subscribe(host: &mut ModuleHost, spec: ModuleSpec) -> Arc<Mutex<Inbox>> {
    let inbox = Arc::new(Mutex::new(Inbox::default()));
    let (written, mut cursor) = (Arc::clone(&inbox), EventCursor::<Ping>::default());
    host.add(spec.reads_events::<Ping>(), move |context| {
        let mut inbox = written.lock().unwrap();
        let events = context.view().events(&mut cursor);
        inbox.events.extend(events.map(|ping| ping.0));
        inbox.lost = cursor.lost();
    })
    .unwrap();
    inbox
}

/// Trap 5 of the design: a lone slow module gets no events, a replica that persists gets the same
/// ones for ever, and a late joiner gets them twice.
#[test]
fn trap_5_each_event_reaches_each_subscriber_once_and_in_order_at_any_rate() {
    const FRAMES: u64 = 120;
    let mut world = World::new();
    let mut host = ModuleHost::new(config(2, 1));
    let mut number = 0;
    let mut slow = |rate| {
        number += 1;
        ModuleSpec::slow(format!("subscriber {number}"), rate)
    };
    let mut inboxes = vec![
        subscribe(&mut host, ModuleSpec::fast("fast")),
        subscribe(&mut host, slow(Rate::hz(3))),
        subscribe(&mut host, slow(Rate::every_frames(10)).mode(Mode::Asynchronous)),
    ];
    for _ in 0..3 {
        inboxes.push(subscribe(&mut host, slow(Rate::every_frames(5))));
        inboxes.push(subscribe(&mut host, slow(Rate::EVERY_FRAME).mode(Mode::Asynchronous)));
    }
    let mask = [world.register_event::<Ping>().unwrap()].into_iter().collect();
    let replica = Arc::new(ReplicaProvider::new(mask));
    inboxes.push(subscribe(&mut host, slow(Rate::every_frames(4)).provider(&world, replica)));

    let mut sent = 0;
    for frame in 1..=FRAMES {
        // Also frames without events, and many at once.
        for _ in 0..frame * 7 % 11 {
            world.send_event(Ping(sent));
            sent += 1;
        }
        host.run_frame(&mut world, FRAME).unwrap();
        // The cells of views that have ended are used again for the next snapshots.
        if frame % 40 == 0 {
            host.finish(&mut world);
        }
    }
    host.finish(&mut world);
    let kinds: Vec<ProviderKind> =
        host.statistics(&world).convoys.iter().map(|convoy| convoy.kind).collect();
    assert!(kinds.contains(&ProviderKind::OnDemand) && kinds.contains(&ProviderKind::Replica));
    assert!(kinds.contains(&ProviderKind::Shared) && kinds.contains(&ProviderKind::DoubleBuffer));
    // Rates divide 120 frames, and 3 Hz is due on frame 100 last.
    let heard = |frames: u64| (1..=frames).map(|frame| frame * 7 % 11).sum::<u64>();
    for (number, inbox) in inboxes.iter().enumerate() {
        let inbox = inbox.lock().unwrap();
        let expected: Vec<u64> = (0..if number == 1 { heard(100) } else { sent }).collect();
        assert_eq!(inbox.events, expected, "subscriber {number}");
        assert_eq!(inbox.lost, 0);
    }
    assert!(host.statistics(&world).modules.iter().all(|module| module.overruns == 0));
}

/// Trap 5 again: a module that overruns reads the missed events in its next run, once.
#[test]
fn trap_5_a_module_that_ran_late_gets_what_it_missed_once() {
    let mut world = World::new();
    let config = HostConfig::default().workers(1);
    let mut host = ModuleHost::new(config);
    let (started, has_started) = channel();
    let (may_go_on, go_on) = channel::<()>();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (written, mut cursor) = (Arc::clone(&seen), EventCursor::<Ping>::default());
    let spec = ModuleSpec::slow("late", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
    host.add(spec.reads_events::<Ping>(), move |context| {
        started.send(()).unwrap();
        go_on.recv().unwrap();
        let events = context.view().events(&mut cursor);
        written.lock().unwrap().push(events.map(|ping| ping.0).collect::<Vec<_>>());
    })
    .unwrap();
    for run in 0..3 {
        for event in 0..10 {
            world.send_event(Ping(run * 10 + event));
            host.run_frame(&mut world, FRAME).unwrap();
            if event == 0 {
                has_started.recv().unwrap();
            }
        }
        may_go_on.send(()).unwrap();
        host.finish(&mut world);
    }
    let expected = [vec![0], (1..=10).collect(), (11..=20).collect::<Vec<u64>>()];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(host.statistics(&world).modules[0].overruns, 27);
}

/// Trap 5 again: a late joiner starts with the next event or with the oldest that is kept, as
/// its cursor says, and gets none twice, also when it joins a snapshot that others share.
#[test]
fn trap_5_a_late_joiner_gets_no_event_twice() {
    let mut world = World::new();
    for event in 0..10 {
        world.send_event(Ping(event));
    }
    let mut host = ModuleHost::default();
    let early = subscribe(&mut host, ModuleSpec::slow("early", Rate::EVERY_FRAME));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (written, mut cursor) = (Arc::clone(&seen), world.event_cursor::<Ping>());
    let spec = ModuleSpec::slow("late", Rate::EVERY_FRAME).reads_events::<Ping>();
    host.add(spec, move |context| {
        let view = context.view();
        let events = view.events(&mut cursor);
        written.lock().unwrap().extend(events.map(|ping| ping.0));
        assert_eq!(view.events(&mut cursor).count(), 0, "nor twice from one snapshot");
    })
    .unwrap();
    for event in 10..20 {
        world.send_event(Ping(event));
        host.run_frame(&mut world, FRAME).unwrap();
    }
    assert_eq!(early.lock().unwrap().events, (0..20).collect::<Vec<_>>());
    assert_eq!(*seen.lock().unwrap(), (10..20).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_older_than_the_cursor_repeats_nothing() {
    let mut world = World::new();
    let pool = SnapshotPool::default();
    world.send_event(Ping(0));
    let old = world.capture(ComponentMask::ALL, &pool);
    world.send_event(Ping(1));
    let new = world.capture(ComponentMask::ALL, &pool);
    let mut cursor = EventCursor::<Ping>::default();
    assert_eq!(new.events(&mut cursor).count(), 2);
    assert_eq!(old.events(&mut cursor).count(), 0);
    assert_eq!((cursor.next_sequence(), cursor.lost()), (2, 0));
}

#[test]
fn loss_is_counted_when_more_events_come_than_are_kept() {
    let mut world = world_keeping(8);
    let mut host = ModuleHost::default();
    let often = subscribe(&mut host, ModuleSpec::slow("often", Rate::EVERY_FRAME));
    let seldom = subscribe(&mut host, ModuleSpec::slow("seldom", Rate::every_frames(50)));
    for event in 0..100 {
        world.send_event(Ping(event));
        host.run_frame(&mut world, FRAME).unwrap();
    }
    let (often, seldom) = (often.lock().unwrap(), seldom.lock().unwrap());
    assert_eq!((often.events.len(), often.lost), (100, 0));
    assert!(seldom.lost > 0 && seldom.events.len() >= 2 * 8, "{} lost", seldom.lost);
    assert_eq!(seldom.events.len() as u64 + seldom.lost, 100, "every event is read or lost");
    assert!(seldom.events.is_sorted() && seldom.events.ends_with(&[98, 99]));
}

#[test]
fn events_that_were_not_declared_are_an_error_and_not_silence() {
    let mut world = World::new();
    world.send_event(Ping(0));
    let mut host = ModuleHost::default();
    let subscriber = subscribe(&mut host, ModuleSpec::slow("subscriber", Rate::EVERY_FRAME));
    let spec = ModuleSpec::slow("deaf", Rate::EVERY_FRAME).reads::<(Entity,)>();
    host.add(spec, |context| {
        let mut cursor = EventCursor::<Ping>::default();
        let component = std::any::type_name::<Ping>();
        let expected = Some(ReadError::NotReadable { component });
        assert_eq!(context.view().try_events(&mut cursor).err(), expected);
    })
    .unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(subscriber.lock().unwrap().events, [0]);
    assert_eq!(host.statistics(&world).modules[1].panics, 0);
}

#[test]
fn events_that_modules_send_reach_the_others_in_playback_order() {
    let mut world = World::new();
    let mut host = ModuleHost::default();
    for number in 0..3 {
        let spec = ModuleSpec::slow(format!("sender {number}"), Rate::EVERY_FRAME).reads::<()>();
        host.add(spec, move |context| {
            let tick = context.view().tick();
            for part in 0..2 {
                context.commands().send_event(Ping(tick * 100 + number * 10 + part));
            }
        })
        .unwrap();
    }
    let inbox = subscribe(&mut host, ModuleSpec::fast("reader"));
    for _ in 0..3 {
        host.run_frame(&mut world, FRAME).unwrap();
    }
    // The last frame's events are sent after its capture.
    let expected = [100, 101, 110, 111, 120, 121, 200, 201, 210, 211, 220, 221];
    assert_eq!(inbox.lock().unwrap().events, expected);
}

#[test]
fn commands_are_played_back_by_registration_and_then_by_recording() {
    for mode in [Mode::Synchronous, Mode::Asynchronous] {
        let mut world = World::new();
        let entity = world.spawn((Writer(99),));
        let mut host = ModuleHost::new(config(3, 1));
        let turn = Arc::new((Mutex::new(5_u32), Condvar::new()));
        for module in 0..5_u32 {
            let turn = Arc::clone(&turn);
            let mut run = 0;
            let spec = ModuleSpec::slow(format!("module {module}"), Rate::EVERY_FRAME).reads_all();
            host.add(spec.mode(mode), move |context| {
                for step in 0..4 {
                    context.commands().spawn((Step { module, run, step },));
                }
                context.commands().insert(entity, (Writer(module),));
                run += 1;
                // Asynchronous modules 0 to 2 end in the order 2, 1, 0.
                if mode == Mode::Asynchronous && module < 3 {
                    let (left, changed) = &*turn;
                    let left = left.lock().unwrap();
                    let not_mine = |left: &mut u32| *left != module + 3;
                    let mut left = changed.wait_while(left, not_mine).unwrap();
                    *left = if module == 0 { 5 } else { *left - 1 };
                    changed.notify_all();
                }
            })
            .unwrap();
        }
        for _ in 0..3 {
            host.run_frame(&mut world, FRAME).unwrap();
        }
        host.finish(&mut world);
        let steps: Vec<Step> = world.query::<&Step>().iter().copied().collect();
        let expected: Vec<Step> = (0..3)
            .flat_map(|run| (0..5).map(move |module| (run, module)))
            .flat_map(|(run, module)| (0..4).map(move |step| Step { module, run, step }))
            .collect();
        assert_eq!(steps, expected);
        assert_eq!(*world.get::<Writer>(entity).unwrap(), Writer(4), "the last one registered");
    }
}

#[test]
fn commands_on_dead_entities_are_skipped_and_counted() {
    let mut world = World::new();
    let victim = world.spawn((Writer(0),));
    let other = world.spawn((Writer(0),));
    let mut host = ModuleHost::default();
    host.add(ModuleSpec::slow("first", Rate::EVERY_FRAME).reads_all(), move |context| {
        context.commands().despawn(victim);
        context.commands().insert(other, (Writer(1),));
    })
    .unwrap();
    let spec = ModuleSpec::slow("second", Rate::EVERY_FRAME).reads_all();
    host.add(spec, move |context| {
        let commands = context.commands();
        commands.insert(victim, (Writer(2),));
        commands.remove::<(Writer,)>(victim);
        commands.despawn(victim);
        commands.remove::<(Step,)>(other);
        commands.insert(other, (Writer(2),));
    })
    .unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    assert!(!world.contains(victim));
    assert_eq!(*world.get::<Writer>(other).unwrap(), Writer(2), "the commands after go on");
    let playback = |host: &ModuleHost, world: &World, module: usize| {
        let playback = host.statistics(world).modules[module].playback;
        (playback.applied, playback.dead, playback.failed)
    };
    assert_eq!(playback(&host, &world, 0), (2, 0, 0));
    assert_eq!(playback(&host, &world, 1), (1, 3, 1), "one removes what is not there");
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(playback(&host, &world, 0), (3, 1, 0), "counts add up over runs");
    assert_eq!(world.entity_count(), 1);
}

/// Trap 6 of the design: the commands of a convoy are harvested when its first member ends, while
/// another one still records.
#[test]
fn trap_6_commands_of_one_member_never_land_while_another_still_records() {
    const STEPS: u32 = 100;
    let mut world = World::new();
    let config = HostConfig::default().workers(3);
    let mut host = ModuleHost::new(config);
    let mut gates = Vec::new();
    let (reached, has_reached) = channel();
    for module in 0..3_u32 {
        let (may_go_on, go_on) = channel::<()>();
        gates.push(may_go_on);
        let (reached, mut run) = (reached.clone(), 0);
        let spec = ModuleSpec::slow(format!("module {module}"), Rate::EVERY_FRAME).reads_all();
        host.add(spec.mode(Mode::Asynchronous), move |context| {
            for step in 0..STEPS {
                context.commands().spawn((Step { module, run, step },));
                if step == STEPS / 2 {
                    reached.send(module).unwrap();
                    go_on.recv().unwrap();
                }
            }
            run += 1;
        })
        .unwrap();
    }
    let landed = |world: &World, module: u32| {
        world.query::<&Step>().iter().filter(|step| step.module == module).count() as u32
    };
    host.run_frame(&mut world, FRAME).unwrap();
    for _ in 0..3 {
        has_reached.recv().unwrap();
    }
    // Module 2 ends first, then 0; module 1 stands in the middle of its recording all the time.
    for ending in [2, 0] {
        gates[ending as usize].send(()).unwrap();
        while landed(&world, ending) == 0 {
            host.run_frame(&mut world, FRAME).unwrap();
            std::thread::yield_now();
            assert_eq!(landed(&world, 1), 0, "half a buffer is never applied");
        }
        // It is sent out again in the frame in which it landed, and waits in the middle.
        assert_eq!(has_reached.recv().unwrap(), ending);
        assert_eq!(landed(&world, ending), STEPS, "a buffer is applied whole");
    }
    for _ in 0..5 {
        host.run_frame(&mut world, FRAME).unwrap();
        assert_eq!([0, 1, 2].map(|module| landed(&world, module)), [STEPS, 0, STEPS]);
    }
    for gate in &gates {
        gate.send(()).unwrap();
    }
    host.finish(&mut world);
    assert_eq!([0, 1, 2].map(|module| landed(&world, module)), [2 * STEPS, STEPS, 2 * STEPS]);
    for module in 0..3 {
        let steps = world.query::<&Step>();
        let own: Vec<(u32, u32)> = steps
            .iter()
            .filter(|step| step.module == module)
            .map(|step| (step.run, step.step))
            .collect();
        let runs = own.len() as u32 / STEPS;
        let expected: Vec<_> =
            (0..runs).flat_map(|run| (0..STEPS).map(move |step| (run, step))).collect();
        assert_eq!(own, expected, "once and in order");
    }
    let statistics = host.statistics(&world);
    assert_eq!(statistics.modules.iter().map(|module| module.runs).sum::<u64>(), 5);
    assert_eq!(statistics.convoys.len(), 1, "they are members of one convoy");
}

#[test]
fn commands_of_members_that_record_at_the_same_time_stay_apart() {
    let mut world = World::new();
    let mut host = ModuleHost::new(config(3, 1));
    let together = Arc::new(Barrier::new(3));
    for module in 0..3_u32 {
        let (together, mut run) = (Arc::clone(&together), 0);
        let spec = ModuleSpec::slow(format!("module {module}"), Rate::EVERY_FRAME)
            .reads_all()
            .mode(Mode::Asynchronous);
        host.add(spec, move |context| {
            together.wait();
            let mut spawned = Vec::new();
            for step in 0..200 {
                let entity = context.commands().spawn((Step { module, run, step },));
                assert!(!spawned.contains(&entity));
                spawned.push(entity);
            }
            // A command may name an entity that is only going to be spawned.
            for &entity in &spawned {
                context.commands().insert(entity, (Writer(module),));
            }
            run += 1;
        })
        .unwrap();
    }
    for _ in 0..10 {
        host.run_frame(&mut world, FRAME).unwrap();
    }
    host.finish(&mut world);
    let pairs = world.query::<(&Step, &Writer)>();
    assert_eq!(pairs.iter().len(), 3 * 200 * 10);
    assert!(pairs.iter().all(|(step, writer)| step.module == writer.0));
    assert!(host.statistics(&world).modules.iter().all(|module| module.playback.applied == 4_000));
}

/// Events sent together are those sent one by one: in order, with the same drops, and read once.
#[test]
fn events_sent_together_are_those_sent_one_by_one() {
    let config = WorldConfig::default().event_retention(3_000);
    let mut together = World::with_config(config.clone());
    let mut single = World::with_config(config);
    let (mut ours, mut theirs) = (EventCursor::<Ping>::default(), EventCursor::<Ping>::default());
    let pool = SnapshotPool::default();
    let mut views = Vec::new();
    for (round, count) in [0, 1, 2, 900, 5_000, 1, 20_000, 3].into_iter().enumerate() {
        let events = (0..count).map(|number| Ping(round as u64 * 100_000 + number));
        together.send_events(events.clone());
        events.for_each(|event| single.send_event(event));
        // Some rounds leave the events for later, and some share the last chunk with a snapshot.
        if round % 3 > 0 {
            let read: Vec<_> = together.events(&mut ours).collect();
            assert_eq!(read, single.events(&mut theirs).collect::<Vec<_>>());
            assert_eq!(ours.lost(), theirs.lost());
            views.push((together.capture(ComponentMask::ALL, &pool), read.last().copied()));
        }
    }
    for (view, read_last) in views {
        let last = view.events(&mut EventCursor::<Ping>::default()).last();
        assert_eq!(last, read_last, "a view keeps its events");
    }
}

/// An iterator that panics loses the events that it has not given, and no others.
#[test]
fn events_before_a_panic_are_sent() {
    let mut world = World::new();
    let events = (0..).map(|number| {
        assert!(number < 2_000, "no more of them");
        Ping(number)
    });
    let caught = catch_unwind(AssertUnwindSafe(|| world.send_events(events)));
    assert!(caught.is_err());
    world.send_event(Ping(7));
    let mut cursor = EventCursor::<Ping>::default();
    let read = world.events(&mut cursor).map(|ping| ping.0);
    assert!(read.eq((0..2_000).chain([7])));
}
