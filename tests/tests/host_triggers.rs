//! Modules that run on events and on changes, the changes that runs are told, and threads that ask for views.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use convoy_engine::host::{HostConfig, HostError, Mode, ModuleHost, ModuleSpec, Phase, Rate};
use convoy_engine::provider::{SharedSnapshotProvider, SnapshotProvider};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World};
use convoy_tests::Mixer;

const FRAME: Duration = Duration::from_millis(10);
const MODES: [Mode; 3] = [Mode::Synchronous, Mode::FrameSynced, Mode::Asynchronous];

fn frames(host: &mut ModuleHost, world: &mut World, count: usize) {
    (0..count).for_each(|_| host.run_frame(world, FRAME).unwrap());
}

/// Whatever the mode, and however long runs take: every event is read by one run, no run has none, and what comes
/// while a run is under way is not lost.
#[test]
fn each_event_leads_to_one_run_whatever_the_mode_and_however_busy() {
    for seed in 0..60 {
        let mut mixer = Mixer::new(seed);
        let lock_step = NonZeroU32::new(mixer.below(4) as u32);
        let config = HostConfig::default().workers(2).lock_step(lock_step).faults_max(0);
        let mut host = ModuleHost::new(config.event_tries(u32::MAX));
        let mut world = World::new();
        let seen = Arc::new(Mutex::new((Vec::new(), 0)));
        for mode in MODES {
            let (list, mut mixer) = (Arc::clone(&seen), Mixer::new(seed));
            let spec = ModuleSpec::triggered(format!("{mode:?}")).mode(mode).on_event::<u64>();
            host.add(spec, move |context| {
                let events: Vec<u64> = context.events::<u64>().collect();
                (0..mixer.below(60)).for_each(|_| thread::yield_now());
                if mixer.below(4) == 0 {
                    std::panic::resume_unwind(Box::new("by plan"));
                }
                let mut list = list.lock().unwrap();
                list.1 += u64::from(events.is_empty());
                list.0.extend(events);
            })
            .unwrap();
        }
        let (mut sent, mut sent_on) = (0, 0);
        for _ in 0..60 {
            let count = mixer.below(4) * mixer.below(2);
            (0..count).for_each(|_| {
                world.send_event(sent);
                sent += 1;
            });
            sent_on += u64::from(count > 0);
            host.run_frame(&mut world, FRAME).unwrap();
        }
        // Quiet frames, for what came while runs were under way.
        for _ in 0..60 {
            assert!(host.wait(Duration::MAX));
            host.run_frame(&mut world, FRAME).unwrap();
        }
        host.finish(&mut world);
        let (mut events, empty) = std::mem::take(&mut *seen.lock().unwrap());
        events.sort_unstable();
        let expected: Vec<u64> = (0..sent).flat_map(|number| [number; 3]).collect();
        assert_eq!((events, empty), (expected, 0), "seed {seed}");
        let modules = host.statistics(&world).modules;
        assert!(modules.iter().all(|module| module.runs - module.panics <= sent_on), "seed {seed}");
        assert_eq!(modules[0].overruns + modules[1].overruns, 0, "seed {seed}");
    }
}

/// A run for what changed, and none for what did not: compared with a model, over spawns, despawns, inserts, removals,
/// writes of equal values, restores and branches.
#[test]
fn a_module_runs_on_exactly_the_changes_of_its_component() {
    for seed in 0..60 {
        let mut mixer = Mixer::new(seed);
        let (mut world, mut host) = (World::new(), ModuleHost::default());
        let (told, pool) = (Arc::new(Mutex::new(None)), SnapshotPool::default());
        let list = Arc::clone(&told);
        let spec = ModuleSpec::triggered("mirror").on_change::<u32>();
        let mut mirror: BTreeMap<Entity, u32> = BTreeMap::new();
        host.add(spec, move |context| {
            let view = context.view();
            match context.changes() {
                None => {
                    mirror = view.query::<(Entity, &u32)>().iter().map(|(e, n)| (e, *n)).collect()
                }
                Some(changes) => {
                    let gone =
                        changes.despawned().chain(changes.removed().map(|(entity, _)| entity));
                    gone.for_each(|entity| _ = mirror.remove(&entity));
                    let came =
                        changes.spawned().chain(changes.inserted().map(|(entity, _)| entity));
                    for entity in came {
                        if let Ok(number) = view.get::<u32>(entity) {
                            mirror.insert(entity, *number);
                        }
                    }
                    for change in changes.changed::<u32>().unwrap() {
                        mirror.insert(change.entity, *change.newer);
                    }
                }
            }
            *list.lock().unwrap() = Some(mirror.clone());
        })
        .unwrap();
        let (mut past, mut before) = (None, BTreeMap::new());
        for frame in 0..80 {
            let all: Vec<Entity> = world.query::<Entity>().iter().collect();
            let any = (!all.is_empty()).then(|| all[mixer.below(all.len())]);
            match (mixer.below(14), any) {
                (0 | 1, _) => _ = world.spawn((mixer.below(3) as u32,)),
                (2, _) => _ = world.spawn((1_u64,)),
                (3, Some(entity)) => world.despawn(entity).unwrap(),
                (4, Some(entity)) => world.insert(entity, (mixer.below(3) as u32,)).unwrap(),
                (5, Some(entity)) => _ = world.remove::<(u32,)>(entity),
                (6, Some(entity)) => world.insert(entity, (frame as u64,)).unwrap(),
                (7, _) => world.query_mut::<&mut u32>().for_each(|_| {}),
                (8, _) => world.query_mut::<&mut u32>().for_each(|number| *number = 2),
                (9, _) => past = Some(world.capture(ComponentMask::ALL, &pool)),
                (10, _) => _ = past.as_ref().map(|view| world.restore(view).map(drop)),
                _ => {}
            }
            host.run_frame(&mut world, FRAME).unwrap();
            let now: BTreeMap<Entity, u32> = world
                .query::<(Entity, &u32)>()
                .iter()
                .map(|(entity, number)| (entity, *number))
                .collect();
            let run = told.lock().unwrap().take();
            let expected = (now != before).then(|| now.clone());
            assert_eq!(run, expected, "seed {seed}, frame {frame}");
            before = now;
        }
    }
}

/// A snapshot of the tick that somebody else took lacks what was written after it: that is looked for again.
#[test]
fn what_is_written_after_somebody_elses_capture_is_not_lost() {
    let mut world = World::new();
    let entity = world.spawn((0_u32,));
    let pool = SnapshotPool::default();
    let provider = Arc::new(SharedSnapshotProvider::new(ComponentMask::ALL, pool));
    let (mut host, early) = (ModuleHost::default(), Arc::clone(&provider));
    host.add_system(Phase::Input, "looks", move |world, _| drop(early.acquire(world)));
    host.add_system(Phase::Simulation, "writes", move |world, frame| {
        if frame.tick == 3 {
            *world.get_mut::<u32>(entity).unwrap() = 7;
        }
    });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    let spec = ModuleSpec::triggered("mirror").on_change::<u32>().provider(&world, provider);
    host.add(spec, move |context| {
        list.lock().unwrap().push(*context.view().query::<&u32>().single().unwrap());
    })
    .unwrap();
    frames(&mut host, &mut world, 6);
    assert_eq!(*seen.lock().unwrap(), [0, 7]);
}

/// Nine modules that compare views, of which nobody drops one by itself, refuse each other none.
#[test]
fn many_modules_that_track_changes_are_refused_nothing() {
    let (mut world, mut host) = (World::new(), ModuleHost::default());
    let entities: Vec<Entity> = (0..12_u32).map(|number| world.spawn((number,))).collect();
    for number in 0..12 {
        let spec = ModuleSpec::triggered(format!("module {number}"));
        let spec = match number % 3 {
            0 => spec.on_change::<u32>(),
            1 => spec.on_change::<u16>(),
            _ => spec.on_change::<u8>(),
        };
        host.add(spec, |_| {}).unwrap();
    }
    for frame in 0..200 {
        let entity = entities[frame % 12];
        match frame % 7 {
            0 => world.insert(entity, (frame as u32,)).unwrap(),
            1 => world.insert(entity, (frame as u16,)).unwrap(),
            2 => world.insert(entity, (frame as u8,)).unwrap(),
            3 => world.query_mut::<&mut u32>().for_each(|_| {}),
            4 => world.query_mut::<&mut u16>().for_each(|_| {}),
            5 => world.query_mut::<&mut u8>().for_each(|_| {}),
            _ => {}
        }
        host.run_frame(&mut world, FRAME).unwrap();
    }
    let modules = host.statistics(&world).modules;
    assert!(modules.iter().all(|module| module.refused == 0 && module.runs > 20), "{modules:?}");
}

/// A host that goes from one world to another and back drops the commands of runs between them; their events are read
/// again, each time.
#[test]
fn runs_that_land_on_another_world_have_read_nothing() {
    let (mut world, mut other) = (World::new(), World::new());
    let mut host = ModuleHost::new(HostConfig::default().workers(1).event_tries(u32::MAX));
    let spec = ModuleSpec::slow("away", Rate::every_frames(2)).mode(Mode::Asynchronous);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    host.add(spec.reads_events::<u32>(), move |context| {
        list.lock().unwrap().push(context.events::<u32>().collect::<Vec<_>>());
        context.commands().spawn((1_u8,));
    })
    .unwrap();
    host.run_frame(&mut other, FRAME).unwrap();
    world.send_event(1_u32);
    for _ in 0..5 {
        host.run_frame(&mut world, FRAME).unwrap();
        assert!(host.wait(Duration::MAX));
        host.run_frame(&mut other, FRAME).unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), vec![vec![1]; 5], "none of them took effect");
    assert_eq!(world.entity_count() + other.entity_count(), 0);
    frames(&mut host, &mut world, 1);
    host.finish(&mut world);
    frames(&mut host, &mut world, 2);
    host.finish(&mut world);
    assert_eq!(seen.lock().unwrap()[5..], [vec![1], vec![]]);
    assert_eq!(world.entity_count(), 2);
}

/// What a failed run was told comes again, so often and no more.
#[test]
fn changes_of_a_failed_run_come_again_and_are_dropped_in_the_end() {
    let mut world = World::new();
    let entity = world.spawn((0_u32,));
    let mut host = ModuleHost::new(HostConfig::default().faults_max(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    host.add(ModuleSpec::triggered("poisoned").on_change::<u32>(), move |context| {
        let old = context.changes().map(|changes| {
            changes.changed::<u32>().unwrap().map(|change| *change.older).collect::<Vec<u32>>()
        });
        list.lock().unwrap().push(old);
        assert_ne!(*context.view().get::<u32>(entity).unwrap(), 5, "by plan");
    })
    .unwrap();
    for value in [0, 5, 5, 5, 5, 5, 6, 6] {
        *world.get_mut::<u32>(entity).unwrap() = value;
        host.run_frame(&mut world, FRAME).unwrap();
    }
    let expected = [None, Some(vec![0]), Some(vec![0]), Some(vec![0]), Some(vec![5])];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(host.statistics(&world).modules[0].panics, 3);
}

/// A module with a rate and a trigger runs at either, and once where both are up.
#[test]
fn a_trigger_adds_to_a_rate() {
    let (mut world, mut host) = (World::new(), ModuleHost::default());
    let ticks = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&ticks);
    let spec = ModuleSpec::slow("both", Rate::every_frames(4)).on_event::<u32>();
    host.add(spec, move |context| list.lock().unwrap().push(context.tick())).unwrap();
    for frame in 1..=12_u32 {
        if [2, 3, 8].contains(&frame) {
            world.send_event(frame);
        }
        host.run_frame(&mut world, FRAME).unwrap();
    }
    assert_eq!(*ticks.lock().unwrap(), [2, 3, 4, 8, 12]);
}

#[test]
fn a_module_that_would_never_run_is_refused() {
    let mut host = ModuleHost::default();
    let refused = host.add(ModuleSpec::triggered("idle").reads_all(), |_| {});
    let Err(HostError::NoTrigger { module }) = refused else { panic!("it never runs") };
    assert_eq!(module, "idle");
}

/// Nobody asks, nothing is captured; who asks gets the next frame, and who waits when the host goes is told.
#[test]
fn threads_that_ask_get_the_next_frame_and_no_others_cost_anything() {
    let (mut world, mut host) = (World::new(), ModuleHost::default());
    let entity = world.spawn((0_u64,));
    let feed = host.feed(ModuleSpec::triggered("tool").reads::<(Entity, u64)>()).unwrap();
    frames(&mut host, &mut world, 100);
    assert_eq!(host.statistics(&world).convoys[0].provider.captures, 0);
    assert!(feed.next_within(Duration::from_millis(1)).is_none(), "no frame comes");
    let (asks, asked) = channel();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (feed, asks) = (feed.clone(), asks.clone());
            thread::spawn(move || {
                let mut last = 0;
                while let Some(view) = feed.next() {
                    let tick = view.tick();
                    assert!(tick > last, "a newer one each time");
                    assert_eq!(*view.get::<u64>(entity).unwrap(), tick);
                    last = tick;
                    // The test may have ended.
                    _ = asks.send(());
                }
                last
            })
        })
        .collect();
    let mut given = 0;
    while given < 200 {
        *world.get_mut::<u64>(entity).unwrap() = world.tick() + 1;
        host.run_frame(&mut world, FRAME).unwrap();
        given += asked.try_iter().count();
    }
    drop(host);
    threads.into_iter().for_each(|thread| _ = thread.join().unwrap());
    assert!(feed.next().is_none());
}

/// What a run takes from its scratch is there again for the next one.
#[test]
fn scratch_is_as_large_as_the_largest_run_needed() {
    let (mut world, mut host) = (World::new(), ModuleHost::default());
    let places = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&places);
    host.add(ModuleSpec::fast("module").reads::<()>(), move |context| {
        let mut first = None;
        for number in 0..100_u64 {
            let part = context.scratch().alloc_slice_fill_copy(1_000, number);
            assert!(part.iter().all(|each| *each == number));
            first = first.or(Some(part.as_ptr().addr()));
        }
        list.lock().unwrap().push((first.unwrap(), context.scratch().allocated_bytes()));
    })
    .unwrap();
    frames(&mut host, &mut world, 10);
    let places = places.lock().unwrap();
    assert!(places[2..].windows(2).all(|pair| pair[0] == pair[1]), "{places:?}");
}
