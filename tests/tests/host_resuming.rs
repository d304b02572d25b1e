//! Hosts that are saved with their worlds and go on in other ones: as if nothing had happened.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::any::type_name;
use std::num::NonZeroU32;
use std::time::Duration;

use convoy_engine::checkpoint::{Checkpoint, CheckpointReader, ReadPlan, TypeName};
use convoy_engine::commands::Commands;
use convoy_engine::host::{
    Declared, HostConfig, HostError, LoadError, Mode, Module, ModuleContext, ModuleHost,
    ModuleSpec, Phase, Rate,
};
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Mixer;

const FRAME: Duration = Duration::from_micros(16_667);

fn config() -> WorldConfig {
    let schema = Schema::builder()
        .component(TypeEntry::<u32>::new())
        .component(TypeEntry::<u64>::new())
        .event(TypeEntry::<u64>::new())
        .event(TypeEntry::<[u64; 3]>::new());
    WorldConfig::default().event_retention(64).schema(schema.build().unwrap())
}

/// A module that tells by an event what it has read so far, spawns, despawns, and panics now and then.
struct Busy {
    spec: ModuleSpec,
    seed: u64,
    /// Runs, events and the sum of all that was read.
    total: [u64; 3],
}

impl Declared for Busy {
    fn spec(&self) -> ModuleSpec {
        self.spec.clone()
    }
}

impl Module for Busy {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        let (tick, dt) = (context.tick(), context.dt().as_nanos() as u64);
        let mut mixer = Mixer::new(self.seed ^ tick);
        let [runs, events, sum] = &mut self.total;
        *runs += 1;
        *sum += dt + context.dropped_commands() + context.time().as_nanos() as u64;
        let numbers = context.view().query::<&u32>();
        *sum += numbers.iter().map(|&number| u64::from(number)).sum::<u64>();
        let read: Vec<u64> = context.events::<u64>().collect();
        let fails = mixer.below(9) == 0;
        if !fails {
            *events += read.len() as u64;
            *sum += read.iter().sum::<u64>();
        }
        let all: Vec<Entity> = context.view().query::<Entity>().iter().collect();
        let commands = context.commands();
        for _ in 0..mixer.below(6) {
            let new = commands.spawn((tick as u32,));
            commands.insert(new, (self.seed,));
        }
        for _ in 0..mixer.below(4).min(all.len()) {
            commands.despawn(all[mixer.below(all.len())]);
        }
        commands.send_event(self.total);
        assert!(!fails, "by plan");
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(self.total.iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let numbers =
            bytes.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        self.total = numbers.collect::<Vec<_>>().try_into().map_err(|_| "not three numbers")?;
        Ok(())
    }
}

/// A host whose modules, modes and rates follow from a seed.
fn host(seed: u64) -> ModuleHost {
    let mut mixer = Mixer::new(seed);
    let lock_step = NonZeroU32::new(mixer.below(5) as u32);
    let config = HostConfig::default().workers(mixer.below(3)).faults_max(2).probe_after(3);
    let mut host = ModuleHost::new(config.lock_step(lock_step).event_tries(2));
    let modes: &[Mode] = match lock_step {
        Some(_) => &[Mode::Synchronous, Mode::FrameSynced, Mode::Asynchronous],
        None => &[Mode::Synchronous, Mode::FrameSynced],
    };
    for number in 0..3 + mixer.below(4) as u64 {
        let name = format!("module {number}");
        let spec = match mixer.below(6) {
            0 => ModuleSpec::fast(name),
            1 => ModuleSpec::slow(name, Rate::hz(7)),
            2 => ModuleSpec::slow(name, Rate::every_frames(3)),
            3 => ModuleSpec::slow(name, Rate::millihertz(21_000)),
            4 => ModuleSpec::triggered(name).on_event::<[u64; 3]>(),
            _ => ModuleSpec::triggered(name).on_change::<u64>(),
        };
        let spec = spec.mode(modes[mixer.below(modes.len())]);
        let spec = spec.reads::<(Entity, u32)>().reads_events::<u64>();
        host.add_declared(Busy { spec, seed: seed ^ number, total: [0; 3] }).unwrap();
    }
    for (name, mode) in [("reads", Mode::Synchronous), ("always reads", modes[modes.len() - 1])] {
        let spec = ModuleSpec::slow(name, Rate::EVERY_FRAME).spawns_nothing().mode(mode);
        let spec = spec.deadline(Duration::ZERO).reads_events::<u64>();
        host.add(spec, |context| _ = context.events::<u64>().count()).unwrap();
    }
    host.add_system(Phase::Simulation, "growth", move |world, frame| {
        let mut mixer = Mixer::new(seed ^ frame.tick ^ 77);
        (0..mixer.below(4)).for_each(|_| world.send_event(frame.tick));
        let all: Vec<Entity> = world.query::<Entity>().iter().collect();
        if !all.is_empty() && mixer.below(3) == 0 {
            world.despawn(all[mixer.below(all.len())]).unwrap();
        }
        world.spawn((frame.tick as u32,));
        match mixer.below(8) {
            0 => _ = world.spawn((frame.tick as u32, frame.tick)),
            1 => world.query_mut::<&mut u64>().for_each(|number| *number += 1),
            _ => {}
        }
    });
    host
}

/// A view to which the world will be restored.
type Before = Option<View>;

/// The user's part of a frame: time that runs faster or slower, commands of a buffer that comes and goes, and a
/// restore now and then.
fn frame(
    world: &mut World,
    (host, before): (&mut ModuleHost, &mut Before),
    (seed, number): (u64, u64),
) -> u64 {
    let mut mixer = Mixer::new(seed ^ number ^ 7_777);
    match mixer.below(12) {
        0 => host.set_time_scale(0.3 + mixer.below(10) as f64).unwrap(),
        1 => host.set_time_scale(1.0).unwrap(),
        2 => {
            let mut commands = Commands::new(world);
            commands.spawn((number as u32,));
            world.play_back(&mut commands);
        }
        3 | 4 if before.is_none() => {
            *before = Some(world.capture(ComponentMask::ALL, &SnapshotPool::default()));
        }
        5 | 6 => before.take().iter().for_each(|view| _ = world.restore(view).unwrap()),
        _ => {}
    }
    host.run_frame(world, FRAME).unwrap();
    if mixer.below(4) > 0 {
        host.wait(Duration::MAX);
    }
    world.state_hash()
}

/// All that is counted, but for times.
fn counts(world: &World, host: &ModuleHost) -> String {
    let statistics = host.statistics(world);
    let modules = statistics.modules.iter().map(|module| {
        let mut module = module.clone();
        (module.run_time, module.run_time_p99) = Default::default();
        module.snapshots_held = 0;
        format!("{module:?}\n")
    });
    let systems = statistics.systems.iter().map(|system| (&system.name, system.runs));
    let systems = systems.map(|system| format!("{system:?}\n"));
    let own = host.time().as_nanos();
    modules.chain(systems).chain([format!("{own} {}", statistics.frames)]).collect()
}

fn save(world: &mut World, host: &mut ModuleHost) -> Vec<u8> {
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    let mut state = Vec::new();
    host.save(&view, &mut state).unwrap();
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    checkpoint.write_attached(&view, &[("host", &state)]).unwrap();
    checkpoint.into_medium()
}

fn load(file: &[u8], host: &mut ModuleHost) -> World {
    let reader = CheckpointReader::new(file.to_vec()).unwrap();
    let mut world = reader.read(config()).unwrap();
    let report = host.load(&mut world, reader.attachment("host").unwrap()).unwrap();
    assert_eq!(report, Default::default());
    world
}

/// The same frames, with and without a stop in between, on any frame without runs under way.
#[test]
fn a_world_and_its_host_go_on_as_if_they_had_not_been_saved() {
    let (mut stops, mut in_lock_step) = (0, 0);
    for seed in 0..250 {
        let mut mixer = Mixer::new(seed);
        let frames = 30 + mixer.below(60) as u64;
        let (mut world, mut one) = (World::with_config(config()), host(seed));
        let mut before = None;
        let hashes = (1..=frames)
            .map(|number| frame(&mut world, (&mut one, &mut before), (seed, number)))
            .collect::<Vec<u64>>();
        one.finish(&mut world);
        let expected = (world.state_hash(), counts(&world, &one));

        let (mut world, mut other) = (World::with_config(config()), host(seed));
        before = None;
        let mut next_stop = mixer.below(20) as u64;
        for number in 1..=frames {
            let hash = frame(&mut world, (&mut other, &mut before), (seed, number));
            assert_eq!(hash, hashes[number as usize - 1], "seed {seed}, frame {number}");
            if number >= next_stop && before.is_none() && other.is_at_rest() {
                let file = save(&mut world, &mut other);
                other = host(seed);
                world = load(&file, &mut other);
                assert_eq!(world.state_hash(), hash, "seed {seed}, frame {number}");
                next_stop = number + mixer.below(20) as u64;
                stops += 1;
            }
        }
        in_lock_step += usize::from(!other.is_at_rest());
        other.finish(&mut world);
        let found = (world.state_hash(), counts(&world, &other));
        assert_eq!(found, expected, "seed {seed}");
    }
    assert!(stops > 500 && in_lock_step > 10, "{stops} stops, {in_lock_step} with runs under way");
}

/// A rollback of the world and of its host: the same host loads what it has saved before.
#[test]
fn a_host_goes_back_with_its_world() {
    for seed in 0..60 {
        let (mut world, mut host) = (World::with_config(config()), host(seed));
        let (pool, mut state) = (SnapshotPool::default(), Vec::new());
        (1..20).for_each(|number| _ = frame(&mut world, (&mut host, &mut None), (seed, number)));
        host.finish(&mut world);
        let view = world.capture(ComponentMask::ALL, &pool);
        host.save(&view, &mut state).unwrap();
        let play = |world: &mut World, host: &mut ModuleHost| {
            let hashes: Vec<u64> =
                (20..60).map(|number| frame(world, (host, &mut None), (seed, number))).collect();
            host.finish(world);
            (hashes, counts(world, host))
        };
        let first = play(&mut world, &mut host);
        world.restore(&view).unwrap();
        host.load(&mut world, &state).unwrap();
        assert_eq!(play(&mut world, &mut host), first, "seed {seed}");
    }
}

fn small_host(names: &[&str]) -> ModuleHost {
    let mut host = ModuleHost::default();
    for name in names {
        let spec = ModuleSpec::slow(*name, Rate::every_frames(2)).reads::<(Entity, u32)>();
        host.add_declared(Busy { spec: spec.reads_events::<u64>(), seed: 5, total: [0; 3] })
            .unwrap();
    }
    host
}

#[test]
fn modules_that_come_and_go_between_two_programs_are_reported() {
    let (mut world, mut host) = (World::with_config(config()), small_host(&["stays", "goes"]));
    world.send_events([1_u64, 2]);
    (1..8).for_each(|number| _ = frame(&mut world, (&mut host, &mut None), (3, number)));
    let file = save(&mut world, &mut host);
    let runs = host.statistics(&world).modules[0].runs;
    let reader = CheckpointReader::new(file).unwrap();
    let mut world = reader.read(config()).unwrap();
    let mut other = small_host(&["new", "stays"]);
    let report = other.load(&mut world, reader.attachment("host").unwrap()).unwrap();
    assert_eq!((report.unknown, report.new), (vec!["goes".to_owned()], vec!["new".to_owned()]));
    let modules = other.statistics(&world).modules;
    assert_eq!((modules[0].runs, modules[1].runs), (0, runs));
    (8..20).for_each(|number| _ = frame(&mut world, (&mut other, &mut None), (3, number)));
    assert_eq!(other.statistics(&world).modules[1].runs, 9);

    // A type of events with another name.
    let schema = Schema::builder()
        .component(TypeEntry::<u32>::new())
        .component(TypeEntry::<u64>::new())
        .event(TypeEntry::<u64>::new().named("numbers", 1))
        .event(TypeEntry::<[u64; 3]>::new());
    let config = WorldConfig::default().schema(schema.build().unwrap());
    let plan = ReadPlan::new().alias(TypeName::event(type_name::<u64>()), "numbers");
    let plan = plan.migrate("numbers", 0, |number: &u64| *number);
    let (mut world, _) = reader.read_with(config, &plan).unwrap();
    let mut renamed = small_host(&["stays"]);
    let report = renamed.load(&mut world, reader.attachment("host").unwrap()).unwrap();
    assert_eq!(report.unknown_events, [type_name::<u64>()]);
}

#[test]
fn what_cannot_be_saved_or_loaded_is_an_error_and_changes_nothing() {
    let (mut world, mut host) = (World::with_config(config()), small_host(&["a", "b"]));
    (1..8).for_each(|number| _ = frame(&mut world, (&mut host, &mut None), (3, number)));
    let pool = SnapshotPool::default();
    let view = world.capture(ComponentMask::ALL, &pool);
    let mut state = Vec::new();
    host.save(&view, &mut state).unwrap();

    // A view of another world.
    let mut other_world = World::with_config(config());
    let other_view = other_world.capture(ComponentMask::ALL, &pool);
    let mut bytes = vec![1, 2, 3];
    assert!(matches!(host.save(&other_view, &mut bytes), Err(HostError::OtherWorld)));
    assert_eq!(bytes, [1, 2, 3]);

    // Bytes of something else.
    let load =
        |bytes: &[u8]| small_host(&["a", "b"]).load(&mut World::branch(&view).unwrap(), bytes);
    assert!(matches!(load(&[]), Err(HostError::Malformed)));
    assert!(matches!(load(&[9]), Err(HostError::StateVersion { found: 9 })));
    assert!((0..state.len()).all(|end| matches!(load(&state[..end]), Err(HostError::Malformed))));
    let longer = [&state[..], &[0]].concat();
    assert!(matches!(load(&longer), Err(HostError::Malformed)));

    // A world that does not go with the state, and buffers that were made too early.
    for names in [&["a", "b"][..], &["b"]] {
        let fresh = small_host(names).load(&mut World::with_config(config()), &state);
        assert!(matches!(fresh, Err(HostError::Handles { module }) if module == names[0]));
    }
    let mut branch = World::branch(&view).unwrap();
    let _early = Commands::new(&mut branch);
    let mut late = small_host(&["a", "b"]);
    assert!(matches!(late.load(&mut branch, &state), Err(HostError::Handles { .. })));
    (1..8).for_each(|number| _ = frame(&mut branch, (&mut late, &mut None), (3, number)));

    // A module that does not take its state: the others have theirs back.
    let mut picky = small_host(&["a"]);
    let spec = ModuleSpec::slow("b", Rate::every_frames(2)).reads::<(u32,)>();
    let id = picky.add(spec, |_| {}).unwrap();
    let mut branch = World::branch(&view).unwrap();
    picky.run_frame(&mut branch, FRAME).unwrap();
    let before = counts(&branch, &picky);
    let refused = picky.load(&mut branch, &state);
    assert!(matches!(refused, Err(HostError::State { module, .. }) if module == "b"));
    assert_eq!(counts(&branch, &picky), before);
    picky.remove(id).unwrap();
    assert_eq!(picky.load(&mut World::branch(&view).unwrap(), &state).unwrap().unknown, ["b"]);
}

#[test]
fn a_host_with_runs_under_way_is_busy() {
    let step = HostConfig::default().lock_step(NonZeroU32::new(2));
    let (mut world, mut host) = (World::with_config(config()), ModuleHost::new(step));
    let spec = ModuleSpec::slow("away", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
    host.add(spec.reads::<()>(), |_| {}).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    assert!(!host.is_at_rest());
    let busy = host.save(&view, &mut Vec::new());
    assert!(matches!(busy, Err(HostError::Busy { module }) if module == "away"));
    assert!(matches!(host.load(&mut world, &[1, 0]), Err(HostError::Malformed)));
    // The run has ended without a command, and will land later.
    assert!(host.wait(Duration::MAX) && host.is_at_rest());
    let mut state = Vec::new();
    host.save(&view, &mut state).unwrap();
    assert!(matches!(host.load(&mut world, &state), Err(HostError::Busy { .. })));
    host.finish(&mut world);
    host.load(&mut world, &state).unwrap();
    assert!(host.is_at_rest(), "it can be saved again");
    host.finish(&mut world);
    assert_eq!(host.statistics(&world).modules[0].runs, 1);
}

/// Bytes that nobody saved are an error, or lead to a host that runs.
#[test]
fn changed_states_of_hosts_are_errors_or_run() {
    let (mut world, mut one) = (World::with_config(config()), host(4));
    (1..30).for_each(|number| _ = frame(&mut world, (&mut one, &mut None), (4, number)));
    one.finish(&mut world);
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    let mut state = Vec::new();
    one.save(&view, &mut state).unwrap();
    let (mut taken, mut mixer) = (0, Mixer::new(1));
    for round in 0..3_000 {
        let mut changed = state.clone();
        for _ in 0..=round % 3 {
            let at = mixer.below(changed.len());
            match mixer.below(3) {
                0 => changed[at] = mixer.below(256) as u8,
                1 => changed[at] ^= 1 << mixer.below(8),
                _ => _ = changed.splice(at..at, [0xff; 9]).count(),
            }
        }
        let (mut world, mut host) = (World::branch(&view).unwrap(), host(4));
        if host.load(&mut world, &changed).is_ok() {
            (30..36).for_each(|number| _ = frame(&mut world, (&mut host, &mut None), (4, number)));
            host.finish(&mut world);
            taken += 1;
        }
    }
    assert!(taken > 100, "{taken} of 3,000");
}
