//! Handles follow from operations: from the order in which buffers and modules are made, recorded to
//! and played back, and never from which thread comes first.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::num::NonZeroU32;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use convoy_engine::commands::Commands;
use convoy_engine::host::{HostConfig, Mode, ModuleContext, ModuleHost, ModuleSpec, Rate};
use convoy_engine::memory::ArenaConfig;
use convoy_engine::provider::{SharedSnapshotProvider, WhenBusy};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World};
use convoy_tests::Mixer;

const FRAME: Duration = Duration::from_millis(10);
const FRAMES: u64 = 8;
const SPAWNS_MAX: usize = 2000;

/// The component of a spawned entity: its module, and the handle that the module got before.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
struct Mark {
    module: u32,
    step: u32,
    previous: Entity,
}

/// The handles of a module's runs.
type Handles = Arc<Mutex<Vec<Vec<Entity>>>>;

/// Sleeps or yields by a number that has nothing to do with the module's work.
fn dawdle(noise: &Mutex<Mixer>) {
    match noise.lock().unwrap().below(8) {
        0 => thread::sleep(Duration::from_micros(300)),
        1..=4 => thread::yield_now(),
        _ => {}
    }
}

/// A module that despawns some of the entities that it sees and spawns up to `spawns_max` entities, all of it by
/// its number and the tick, so that it does the same again after a restore.
fn module(
    number: u32,
    spawns_max: usize,
    noise: &Arc<Mutex<Mixer>>,
    handles: &Handles,
) -> impl FnMut(&mut ModuleContext<'_>) + Send + use<> {
    let (noise, handles) = (Arc::clone(noise), Arc::clone(handles));
    move |context| {
        let tick = context.view().tick();
        let mut mixer = Mixer::new(tick * 100 + u64::from(number));
        let divisor = 2 + mixer.below(4);
        for (place, (entity, mark)) in context.view().query::<(Entity, &Mark)>().iter().enumerate()
        {
            if mark.module == number && place % divisor == 0 {
                context.commands().despawn(entity);
            }
        }
        let (mut spawned, mut previous) = (Vec::new(), Entity::default());
        let count = if mixer.below(4) == 0 { 0 } else { mixer.below(spawns_max + 1) };
        for step in 0..count as u32 {
            if step % 256 == 0 {
                dawdle(&noise);
            }
            previous = context.commands().spawn((Mark { module: number, step, previous },));
            spawned.push(previous);
        }
        handles.lock().unwrap().push(spawned);
    }
}

/// A module that is added to those of a game.
#[derive(Clone, Copy, PartialEq)]
enum Extra {
    None,
    /// One that declares that it spawns nothing, before all others.
    SpawnsNothing,
    /// One that does nothing, after all others.
    IdleLast,
    /// One that spawns, after all others.
    SpawnsLast,
}

const MODES: [(Mode, u64); 6] = [
    (Mode::FrameSynced, 1),
    (Mode::Synchronous, 1),
    (Mode::Asynchronous, 1),
    (Mode::FrameSynced, 2),
    (Mode::Asynchronous, 3),
    (Mode::Synchronous, 2),
];

fn host(workers: usize, seed: u64, extra: Extra) -> (ModuleHost, Vec<Handles>) {
    let config = HostConfig::default().workers(workers).lock_step(NonZeroU32::new(2));
    let mut host = ModuleHost::new(config);
    let noise = Arc::new(Mutex::new(Mixer::new(seed)));
    if extra == Extra::SpawnsNothing {
        let spec = ModuleSpec::slow("idle", Rate::EVERY_FRAME).reads_all().spawns_nothing();
        host.add(spec.mode(Mode::FrameSynced), |_| {}).unwrap();
    }
    let mut handles = Vec::new();
    for (number, (mode, frames)) in (0..).zip(MODES) {
        handles.push(Handles::default());
        let spec =
            ModuleSpec::slow(format!("module {number}"), Rate::every_frames(frames)).reads_all();
        let run = module(number, SPAWNS_MAX, &noise, handles.last().unwrap());
        host.add(spec.mode(mode), run).unwrap();
    }
    let last = ModuleSpec::slow("last", Rate::EVERY_FRAME).reads_all().mode(Mode::Asynchronous);
    match extra {
        Extra::None | Extra::SpawnsNothing => {}
        Extra::IdleLast => _ = host.add(last, |_| {}).unwrap(),
        Extra::SpawnsLast => {
            let run = module(77, SPAWNS_MAX, &noise, &Handles::default());
            _ = host.add(last, run).unwrap();
        }
    }
    (host, handles)
}

/// Runs `frames` frames, between which the simulation spawns and despawns. Returns the state hashes.
fn play(world: &mut World, host: &mut ModuleHost, frames: u64) -> Vec<u64> {
    let hashes = (0..frames).map(|_| {
        let mut mixer = Mixer::new(world.tick());
        let found: Vec<Entity> = world.query::<(Entity, &u32)>().iter().map(|(e, _)| e).collect();
        for entity in found.into_iter().skip(mixer.below(40)).step_by(3) {
            world.despawn(entity).unwrap();
        }
        (0..mixer.below(300)).for_each(|each| _ = world.spawn((each as u32,)));
        host.run_frame(world, FRAME).unwrap();
        world.state_hash()
    });
    let mut hashes: Vec<u64> = hashes.collect();
    host.finish(world);
    hashes.push(world.state_hash());
    hashes
}

fn whole_game(workers: usize, seed: u64, extra: Extra) -> (Vec<u64>, Vec<Vec<Vec<Entity>>>) {
    let mut world = World::new();
    let (mut host, handles) = host(workers, seed, extra);
    let hashes = play(&mut world, &mut host, FRAMES);
    let panics = host.statistics(&world).modules.iter().map(|module| module.panics).sum::<u64>();
    assert_eq!(panics, 0);
    (hashes, handles.iter().map(|handles| handles.lock().unwrap().clone()).collect())
}

/// When the runs of a module end that is away for two frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    /// Before the next frame.
    AtOnce,
    /// When they have to land.
    Later,
}

/// Runs two modules with one provider in lock step: one that is away every so many frames, whose
/// runs end as told and may panic at that, and `other` beside it. Returns the state hashes, and how
/// often either was run and refused.
fn beside_one_that_is_away(
    (every, ends, panics): (u64, Ends, bool),
    (rate, mode): (Rate, Mode),
    provider: SharedSnapshotProvider,
    other: impl FnMut(&mut ModuleContext<'_>) + Send + 'static,
) -> (Vec<u64>, Vec<(u64, u64)>) {
    let config = HostConfig::default().workers(2).lock_step(NonZeroU32::new(2)).faults_max(0);
    let (mut world, mut host) = (World::new(), ModuleHost::new(config));
    let provider = Arc::new(provider);
    let spec = |name, rate| {
        let provider = Arc::<SharedSnapshotProvider>::clone(&provider);
        ModuleSpec::slow(name, rate).reads_all().provider(&world, provider)
    };
    let (may_end, gate) = channel::<()>();
    let away = spec("away", Rate::every_frames(every)).mode(Mode::Asynchronous);
    host.add(away, move |_| {
        gate.recv().unwrap();
        if panics {
            std::panic::resume_unwind(Box::new("at the end of the run"));
        }
    })
    .unwrap();
    host.add(spec("other", rate).mode(mode), other).unwrap();
    let mut hashes = Vec::new();
    for frame in 1..=24 {
        if ends == Ends::Later && frame > 2 && (frame - 2) % every == 0 {
            may_end.send(()).unwrap();
        }
        host.run_frame(&mut world, FRAME).unwrap();
        if ends == Ends::AtOnce && frame % every == 0 {
            may_end.send(()).unwrap();
            assert!(host.wait(Duration::MAX));
        }
        hashes.push(world.state_hash());
    }
    if ends == Ends::Later {
        may_end.send(()).unwrap();
    }
    host.finish(&mut world);
    let modules = host.statistics(&world).modules;
    (hashes, modules.iter().map(|module| (module.runs, module.refused)).collect())
}

/// A worker dropped the view as the run ended. So whether a snapshot was still there to join in a
/// later frame, and with that the entities that a module saw and spawned, depended on the clock.
#[test]
fn what_is_joined_does_not_follow_from_when_workers_end() {
    let play = |ends, panics| {
        let pool = SnapshotPool::default();
        let provider = SharedSnapshotProvider::new(ComponentMask::ALL, pool).with_max_age(1);
        let ticks = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ticks);
        let (away, other) = ((2, ends, panics), (Rate::every_frames(3), Mode::Asynchronous));
        let played = beside_one_that_is_away(away, other, provider, move |context| {
            let tick = context.view().tick();
            seen.lock().unwrap().push(tick);
            (0..tick as u32 % 5).for_each(|number| _ = context.commands().spawn((number,)));
        });
        let ticks = ticks.lock().unwrap().clone();
        (ticks, played)
    };
    for panics in [false, true] {
        let (ticks, expected) = play(Ends::Later, panics);
        assert_eq!(ticks, [2, 6, 8, 12, 14, 18, 20, 24], "it joins what is up to one tick old");
        assert_eq!((ticks, expected), play(Ends::AtOnce, panics), "panics: {panics}");
    }
}

/// The same for the bound on snapshots, which decides which members are refused.
#[test]
fn who_is_refused_does_not_follow_from_when_workers_end() {
    let play = |ends, panics| {
        let provider = SharedSnapshotProvider::new(ComponentMask::ALL, SnapshotPool::default())
            .with_generations_max(3, WhenBusy::Refuse);
        let mut kept: Vec<View> = Vec::new();
        let (away, other) = ((3, ends, panics), (Rate::EVERY_FRAME, Mode::Synchronous));
        beside_one_that_is_away(away, other, provider, move |context| {
            if kept.len() < 2 {
                kept.push(context.view().clone());
            }
            let tick = context.view().tick();
            context.commands().spawn((tick,));
        })
    };
    for panics in [false, true] {
        let (hashes, counts) = play(Ends::Later, panics);
        // It keeps its share, and the snapshot of the one that is away is the third, for a frame.
        assert_eq!(counts[1], (24 - 7, 7));
        assert_eq!((hashes, counts), play(Ends::AtOnce, panics), "panics: {panics}");
    }
}

/// Beyond the 64 handles of their stock, buffers drew from one counter that all threads shared. So
/// two modules that spawned more in one frame got other handles from run to run.
#[test]
fn same_frames_give_the_same_handles_whatever_workers_do() {
    let expected = whole_game(1, 0, Extra::None);
    assert!(expected.1.iter().flatten().any(|run| run.len() > 1000));
    for (workers, seed) in [(2, 1), (4, 2), (4, 3)] {
        assert!(whole_game(workers, seed, Extra::None) == expected, "{workers} workers, {seed}");
    }
}

/// The buffer of every module took 64 handles when it was made, also of one that never spawned.
#[test]
fn modules_that_spawn_nothing_leave_the_handles_of_others_as_they_are() {
    let expected = whole_game(2, 4, Extra::None);
    for extra in [Extra::SpawnsNothing, Extra::IdleLast] {
        assert!(whole_game(2, 5, extra) == expected);
    }
    // One that spawns leaves the others' alone until its entities are there.
    let (_, handles) = whole_game(2, 6, Extra::SpawnsLast);
    for (with, without) in handles.iter().zip(&expected.1) {
        assert_eq!(with[0], without[0]);
    }
}

#[test]
fn the_same_frames_after_a_restore_and_in_a_branch_give_the_same_handles() {
    let mut world = World::new();
    let (mut first, _) = host(2, 7, Extra::None);
    play(&mut world, &mut first, 4);
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    // The rates of a host count its own frames, so those that are compared begin with theirs.
    let (mut other, handles) = host(4, 8, Extra::None);
    drop(first);
    let expected = play(&mut world, &mut other, 4);
    let taken = |handles: &[Handles]| -> Vec<_> {
        handles.iter().map(|handles| std::mem::take(&mut *handles.lock().unwrap())).collect()
    };
    let expected = (expected, taken(&handles));
    drop(other);
    for workers in [1, 4] {
        world.restore(&view).unwrap();
        let (mut again, handles) = host(workers, 9, Extra::None);
        assert!((play(&mut world, &mut again, 4), taken(&handles)) == expected, "restored");
        let mut branch = World::branch(&view).unwrap();
        let (mut ahead, handles) = host(workers, 10, Extra::None);
        assert!((play(&mut branch, &mut ahead, 4), taken(&handles)) == expected, "in a branch");
    }
}

#[test]
fn replicas_of_one_world_give_the_same_handles_to_the_same_frames() {
    let mut world = World::new();
    let (mut source, _) = host(2, 11, Extra::None);
    play(&mut world, &mut source, 3);
    let replicas = [1, 4].map(|workers| {
        let mut replica = World::new();
        replica.sync_from(&world, ComponentMask::ALL).unwrap();
        assert_eq!(replica.state_hash(), world.state_hash());
        play(&mut replica, &mut host(workers, 12, Extra::None).0, 4)
    });
    assert_eq!(replicas[0], replicas[1]);
}

/// Two buffers of more than 64 spawns got handles by which of them was recorded to first.
#[test]
fn buffers_of_many_spawns_have_the_same_handles_in_any_order_of_recording() {
    let record = |commands: &mut Commands, count: u32| -> Vec<Entity> {
        (0..count).map(|number| commands.spawn((number,))).collect()
    };
    let games = [0, 1, 2].map(|order| {
        let mut world = World::new();
        let mut buffers = [(); 2].map(|()| Commands::new(&mut world));
        let mut rounds = Vec::new();
        for round in 0..4_u32 {
            let [one, two] = &mut buffers;
            let (many, more) = (65 + 100 * round, 700 * round + 65);
            let (first, second) = match order {
                0 => (record(one, many), record(two, more)),
                1 => {
                    let second = record(two, more);
                    (record(one, many), second)
                }
                _ => thread::scope(|scope| {
                    let second = scope.spawn(move || record(two, more));
                    (record(one, many), second.join().unwrap())
                }),
            };
            buffers.iter_mut().for_each(|buffer| _ = world.play_back(buffer));
            assert!(first.iter().chain(&second).all(|&entity| world.contains(entity)));
            for &entity in first.iter().step_by(2).chain(second.iter().step_by(3)) {
                world.despawn(entity).unwrap();
            }
            rounds.push((first, second, world.spawn(()), world.state_hash()));
        }
        rounds
    });
    assert!(games[1] == games[0] && games[2] == games[0]);
}

/// Entities that a buffer spawns beyond its stock get indices far away. Every slot before them took memory.
#[test]
fn indices_far_away_take_no_memory_for_the_slots_before_them() {
    let mut world = World::new();
    let mut buffers: Vec<_> = (0..70).map(|_| Commands::new(&mut world)).collect();
    let before = world.memory().live_bytes;
    let commands = buffers.last_mut().unwrap();
    let spawned: Vec<Entity> = (0..6_000_u32).map(|number| commands.spawn((number,))).collect();
    assert!(spawned.iter().all(|entity| !world.contains(*entity)));
    assert_eq!(world.play_back(commands).applied, 6_000);
    assert!(spawned.iter().any(|entity| entity.index() > 1_000_000));
    // Handles, numbers, and chunks of 48 KiB for the slots of some levels, of the next stock, and
    // the one that stands for all others.
    let taken = world.memory().live_bytes - before;
    assert!(taken < 6_000 * 12 + 14 * 48 * 1024, "{taken} bytes");
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    let mut replica = World::new();
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    assert!(replica.memory().live_bytes < 2 * taken + before);
    assert_eq!((replica.state_hash(), view.state_hash()), (world.state_hash(), world.state_hash()));
    let branch = World::branch(&view).unwrap();
    for world in [&mut world, &mut replica] {
        world.clear().unwrap();
        assert!(world.memory().live_bytes < before + 4 * taken);
        world.spawn_batch((0..40_000_u32).map(|number| (number,))).unwrap();
    }
    world.restore(&view).unwrap();
    for entity in spawned {
        assert!(world.contains(entity) && branch.contains(entity));
    }
    assert_eq!(world.query::<&u32>().count(), 6_000);
    assert_eq!((world.state_hash(), view.state_hash()), (view.state_hash(), world.state_hash()));
}

/// A replica that spawned between syncs went on from its own counter, so that each sync left as many
/// slots behind as were spawned.
#[test]
fn replicas_that_spawn_ahead_use_the_same_indices_again() {
    let mut source = World::new();
    (0..100_u32).for_each(|number| _ = source.spawn((number,)));
    let mut replica = World::new();
    let mut commands = Commands::new(&mut replica);
    let mut first = None;
    for frame in 0..400_u32 {
        *source.query_mut::<&mut u32>().into_iter().next().unwrap() = frame;
        replica.sync_from(&source, ComponentMask::ALL).unwrap();
        let mut handles: Vec<Entity> =
            replica.spawn_batch((0..200_u32).map(|number| (number,))).unwrap().collect();
        handles.push(replica.spawn((1_u32,)));
        handles.extend(replica.reserve_entities(10).unwrap());
        handles.extend((0..150_u32).map(|number| commands.spawn((number,))));
        assert_eq!(replica.play_back(&mut commands).applied, 150);
        let state = (handles, replica.memory().live_bytes);
        match &first {
            // By the second frame the stock fits the need of the buffer.
            _ if frame < 2 => {}
            None => first = Some(state),
            Some(first) => assert!(*first == state, "frame {frame}"),
        }
    }
}

/// A reservation that failed kept a part of its handles.
#[test]
fn reservation_that_fails_reserves_nothing() {
    let mut world = World::new();
    let old: Vec<_> = world.spawn_batch((0..9_u32).map(|number| (number,))).unwrap().collect();
    old.iter().for_each(|&entity| world.despawn(entity).unwrap());
    let (hash, view) =
        (world.state_hash(), world.capture(ComponentMask::ALL, &SnapshotPool::default()));
    let expected = World::branch(&view).unwrap().spawn(());
    for count in [usize::MAX, 1 << 32, u32::MAX as usize - 3] {
        assert!(world.reserve_entities(count).is_err());
        assert_eq!(world.state_hash(), hash);
    }
    assert_eq!(world.spawn(()), expected);
}

/// A replica gave out handles that its source had reserved, unless another operation had marked them
/// in the meantime.
#[test]
fn replicas_restores_and_branches_know_reserved_handles_at_once() {
    for between in [true, false] {
        let mut world = World::new();
        let old: Vec<_> = world.spawn_batch((0..9_u32).map(|number| (number,))).unwrap().collect();
        old.iter().for_each(|&entity| world.despawn(entity).unwrap());
        let reserved: Vec<_> = (0..12).map(|_| world.reserve_entity()).collect();
        if between {
            let entity = world.spawn(());
            world.despawn(entity).unwrap();
        }
        let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
        let mut replica = World::new();
        replica.sync_from(&world, ComponentMask::ALL).unwrap();
        let branch = World::branch(&view).unwrap();
        reserved.iter().for_each(|&handle| world.spawn_at(handle, ()).unwrap());
        world.restore(&view).unwrap();
        let hash = view.state_hash();
        for mut world in [world, replica, branch] {
            assert_eq!(world.state_hash(), hash, "an operation between: {between}");
            let spawned: Vec<_> = (0..20).map(|_| world.spawn(())).collect();
            assert!(spawned.iter().all(|entity| !reserved.contains(entity)), "{between}");
            reserved.iter().for_each(|&handle| world.spawn_at(handle, ()).unwrap());
        }
    }
}

/// A batch that ran out of memory on the way left slots behind, and so another state hash.
#[test]
fn batch_that_fails_leaves_the_hash_and_the_next_handles_as_they_were() {
    use convoy_engine::WorldConfig;
    let mut failed = 0;
    for pages in 1..20 {
        let config = WorldConfig::default()
            .memory(ArenaConfig::default().limit_bytes(pages * 4096).first_slab_bytes(4096))
            .chunk_bytes_max(1024);
        let mut world = World::with_config(config);
        loop {
            let before = world.state_hash();
            if let Err(error) = world.spawn_batch((0..300_u32).map(|number| (number,))) {
                assert_eq!(world.state_hash(), before, "{pages} pages: {error}");
                failed += 1;
                break;
            }
        }
    }
    assert_eq!(failed, 19);
    // Nor does a spawn under a reserved handle that has no slot yet.
    let mut world = World::new();
    let handle = world.reserve_entity();
    let before = world.state_hash();
    assert!(world.spawn_at(handle, (1_u8, 2_u8)).is_err());
    assert_eq!(world.state_hash(), before);
}

/// The handle of a recorded spawn is the buffer's, and not one that was reserved for anybody.
#[test]
fn handles_that_a_lane_has_not_given_are_not_reserved() {
    let mut world = World::new();
    let mut commands = Commands::new(&mut world);
    let handles: Vec<_> = (0..70).map(|_| commands.spawn(())).collect();
    let beyond = *handles.last().unwrap();
    let forged = Entity::from_bits(beyond.to_bits() + 1);
    for handle in [beyond, forged] {
        assert!(world.spawn_at(handle, ()).is_err(), "{handle}");
    }
    assert_eq!(world.play_back(&mut commands).applied, 70);
    assert!(world.contains(beyond) && world.spawn_at(forged, ()).is_err());
}

/// Spawns `count` entities by a recording.
fn spawn_recorded(world: &mut World, commands: &mut Commands, count: u32) -> Vec<Entity> {
    let spawned = (0..count).map(|number| commands.spawn((number,))).collect();
    assert_eq!(world.play_back(commands).applied, u64::from(count));
    spawned
}

/// A replica knew which handles were given out, but not whose they are: the slots of stocks, and of
/// handles that had come back and were not free yet, stayed reserved for ever.
#[test]
fn replicas_give_the_handles_that_a_restore_and_a_branch_give() {
    let mut world = World::new();
    let mut commands = [(); 3].map(|()| Commands::new(&mut world));
    let old = spawn_recorded(&mut world, &mut commands[1], 300);
    old.iter().step_by(2).for_each(|&entity| world.despawn(entity).unwrap());
    let [dropped, taken, _kept] = commands;
    drop(dropped);
    let first = world.reserve_entities(200).unwrap();
    let second = world.reserve_entities(50).unwrap();
    drop((first, world.reserve_entity(), second));
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    let mut replica = World::new();
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    let branch = World::branch(&view).unwrap();
    drop(taken);
    world.restore(&view).unwrap();
    let games = [branch, replica].map(|mut world| {
        // The buffers of the world go on with the handles that they hold, and others have lanes of their own.
        let mut commands = [(); 2].map(|()| Commands::new(&mut world));
        world.advance_tick();
        let mut handles = spawn_recorded(&mut world, &mut commands[0], 100);
        handles.extend(spawn_recorded(&mut world, &mut commands[1], 900));
        handles.extend((0..500_u32).map(|number| world.spawn((number,))));
        drop(commands);
        world.advance_tick();
        handles.extend((0..1200_u32).map(|number| world.spawn((number,))));
        (handles, world.state_hash())
    });
    assert!(games[0] == games[1]);
}

/// The slots of a stock whose buffer is the source's are free in a replica, and used first.
#[test]
fn replicas_use_the_slots_of_stocks_that_nobody_draws_from() {
    let mut source = World::new();
    let _commands = Commands::new(&mut source);
    let mut replica = World::new();
    replica.sync_from(&source, ComponentMask::ALL).unwrap();
    replica.advance_tick();
    let spawned: Vec<Entity> = (0..64).map(|_| replica.spawn(())).collect();
    assert!(spawned.iter().all(|entity| entity.index() < 64));
}

/// The stock of a buffer stayed as large as its largest recording had needed.
#[test]
fn a_stock_becomes_smaller_after_recordings_that_need_less() {
    let mut world = World::new();
    let mut commands = Commands::new(&mut world);
    let spawned = spawn_recorded(&mut world, &mut commands, 100_000);
    spawned.into_iter().for_each(|entity| world.despawn(entity).unwrap());
    (0..8).for_each(|_| _ = spawn_recorded(&mut world, &mut commands, 2));
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    let mut branch = World::branch(&view).unwrap();
    let mut replica = World::new();
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    let end = |world: &mut World, commands: &mut Commands| {
        let mut handles = Vec::new();
        for round in 0..8 {
            handles.extend(spawn_recorded(world, commands, 3 + round));
        }
        handles.extend(spawn_recorded(world, commands, 60));
        let spawned = world.spawn_batch((0..131_000_u32).map(|number| (number,))).unwrap();
        handles.extend(spawned);
        let is_reused = handles.iter().skip(200).all(|entity| entity.generation() > 1);
        assert!(is_reused, "the surplus has become free slots");
        (handles, world.state_hash())
    };
    let expected = end(&mut world, &mut commands);
    for other in [&mut branch, &mut replica] {
        let mut commands = Commands::new(other);
        assert!(end(other, &mut commands) == expected);
    }
    world.restore(&view).unwrap();
    assert!(end(&mut world, &mut commands) == expected);
}

/// The 253rd module of a host could not spawn anything, and a buffer that had spawned all that its
/// lane had could not do so again.
#[test]
fn thousands_of_buffers_can_spawn_and_one_that_runs_out_goes_on() {
    let mut world = World::new();
    let mut buffers: Vec<_> = (0..2000).map(|_| Commands::new(&mut world)).collect();
    let mut all = Vec::new();
    for commands in &mut buffers {
        all.extend(spawn_recorded(&mut world, commands, 80));
    }
    all.sort_unstable_by_key(|entity| entity.index());
    all.dedup_by_key(|entity| entity.index());
    assert_eq!(all.len(), 2000 * 80);
    let commands = &mut buffers[1999];
    let run = |commands: &mut Commands| {
        let spawned = std::panic::AssertUnwindSafe(|| {
            (0..10_000_u32).map(|number| commands.spawn((number,))).collect::<Vec<_>>()
        });
        std::panic::catch_unwind(spawned)
    };
    let mut failures = 0;
    let spawned = loop {
        match run(commands) {
            Ok(spawned) => break spawned,
            Err(_) => failures += 1,
        }
        // As a host does after a panic.
        commands.clear();
        assert_eq!(world.play_back(commands).total(), 0);
    };
    // The stock at least doubles each time.
    assert!((1..=3).contains(&failures), "{failures}");
    assert_eq!(world.play_back(commands).applied, 10_000);
    assert!(spawned.iter().all(|&entity| world.contains(entity)));
}

/// A restore forgot the lanes of buffers that another thread dropped at that moment.
#[test]
fn a_lane_that_is_given_back_during_a_restore_is_free_at_the_next_tick() {
    let mut world = World::new();
    for round in 0..300 {
        let commands = Commands::new(&mut world);
        let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..round % 16).for_each(|_| std::hint::spin_loop());
                drop(commands);
            });
            world.restore(&view).unwrap();
        });
        world.advance_tick();
        assert!((0..64).all(|_| world.reserve_entity().index() < 64), "round {round}");
        world = World::new();
    }
}
