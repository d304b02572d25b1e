//! Random schedules of a host: modules of every mode and rate that keep views, are slow, panic,
//! spawn and despawn, run on events and changes, come and go, under providers of every kind, in a world that is
//! paused, restored and replaced by branches and by other worlds. Whatever happens, no frame is lost, every run
//! and command is accounted for, views are whole, and unused memory is given back. With results that land on
//! fixed frames, the same schedule gives the same worlds and counts again, on another number of workers.
//!
//! `CONVOY_SCHEDULES=10000 cargo test -p convoy-tests --test host_schedules` takes minutes.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use convoy_engine::events::EventCursor;
use convoy_engine::host::{
    HostConfig, Mode, ModuleContext, ModuleHost, ModuleId, ModuleSpec, ModuleStatistics, Rate,
};
use convoy_engine::provider::{
    DoubleBufferProvider, OnDemandProvider, ReplicaProvider, SharedSnapshotProvider,
    SnapshotProvider, WhenBusy,
};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Mixer;

const ALL: ComponentMask = ComponentMask::ALL;
const FRAMES: u64 = 60;
const ROWS: usize = 6;

/// Counts of a module's commands, panics and events.
#[derive(Default)]
struct Counts {
    recorded: AtomicU64,
    panicked: AtomicU64,
    events: AtomicU64,
}

/// Small chunks, so that their boundaries are crossed, and slabs of one page.
fn config_of_worlds() -> WorldConfig {
    WorldConfig::default().chunk_rows_max(256)
}

fn world_of(number: u64) -> World {
    let mut world = World::with_config(config_of_worlds());
    for _ in 0..ROWS {
        world.spawn((number, number as u32));
    }
    world
}

/// The tick that every row of a snapshot carries.
fn check(view: &View) {
    let rows = view.query::<(&u64, &u32)>();
    let all = rows.iter().filter(|(number, _)| **number == view.tick()).count();
    assert_eq!(all, ROWS, "a snapshot is of one tick");
    assert!(rows.iter().all(|(number, half)| *number as u32 == *half));
}

/// A module that keeps views. One that never drops a view in its runs keeps the first.
fn module(
    mut mixer: Mixer,
    lets_go: bool,
    counts: Arc<Counts>,
) -> impl FnMut(&mut ModuleContext<'_>) + Send {
    let (keeps, slow, fails) = (mixer.below(14), mixer.below(3), mixer.below(3));
    let mut kept: VecDeque<View> = VecDeque::new();
    let mut cursor = EventCursor::<u16>::default();
    move |context: &mut ModuleContext<'_>| {
        let view = context.view();
        check(view);
        kept.iter().for_each(check);
        if keeps > 0 && !lets_go {
            if kept.len() < keeps {
                kept.push_back(view.clone());
            }
        } else if keeps > 0 {
            kept.push_back(view.clone());
            (kept.len() > keeps || mixer.below(16) == 0).then(|| kept.pop_front());
        }
        (0..slow * mixer.below(40)).for_each(|_| thread::yield_now());
        let events = view.events(&mut cursor).count() as u64;
        counts.events.fetch_add(events, Ordering::Relaxed);
        let all: Vec<Entity> = view.query::<(Entity, &u8)>().iter().map(|row| row.0).collect();
        let mut recorded = 0;
        for _ in 0..mixer.below(4) {
            let new = context.commands().spawn((7_u8,));
            context.commands().insert(new, (1_u16,));
            recorded += 2;
        }
        if !all.is_empty() && mixer.below(2) == 0 {
            context.commands().despawn(all[mixer.below(all.len())]);
            recorded += 1;
        }
        if fails > 0 && mixer.below(6) == 0 {
            counts.panicked.fetch_add(recorded, Ordering::Relaxed);
            counts.recorded.fetch_add(recorded, Ordering::Relaxed);
            std::panic::resume_unwind(Box::new("now and then"));
        }
        counts.recorded.fetch_add(recorded, Ordering::Relaxed);
    }
}

fn provider(mixer: &mut Mixer) -> Arc<dyn SnapshotProvider> {
    let (pool, bound) = (SnapshotPool::default(), 1 + mixer.below(4));
    let age = mixer.below(4) as u64;
    match mixer.below(4) {
        0 => {
            let busy = [WhenBusy::Refuse, WhenBusy::Newest][mixer.below(2)];
            let provider = SharedSnapshotProvider::new(ALL, pool).with_max_age(age);
            Arc::new(provider.with_generations_max(bound, busy))
        }
        1 => Arc::new(OnDemandProvider::new(ALL, pool).with_generations_max(bound)),
        2 => {
            let provider = DoubleBufferProvider::new(ALL, pool).with_max_age(age);
            Arc::new(provider.with_generations_max(bound))
        }
        _ => Arc::new(ReplicaProvider::new(ALL)),
    }
}

/// The declarations of module `number`, at random.
fn spec(
    mixer: &mut Mixer,
    number: usize,
    shared: (&World, &Arc<dyn SnapshotProvider>),
) -> (ModuleSpec, Mode) {
    let frames = 1 + mixer.below(3) as u64;
    let mut spec = match mixer.below(6) {
        0 => ModuleSpec::fast(format!("fast {number}")).reads_all(),
        1 => ModuleSpec::slow(format!("in time {number}"), Rate::hz(100)).reads_all(),
        2 => ModuleSpec::triggered(format!("on events {number}")).on_event::<u16>().reads_all(),
        3 => ModuleSpec::triggered(format!("on changes {number}")).on_change::<u64>().reads_all(),
        _ => {
            ModuleSpec::slow(format!("in frames {number}"), Rate::every_frames(frames)).reads_all()
        }
    };
    if mixer.below(3) == 0 {
        spec = spec.provider(shared.0, Arc::clone(shared.1));
    }
    if mixer.below(4) == 0 {
        spec = spec.deadline(Duration::from_millis(mixer.below(30) as u64));
    }
    let mode = [Mode::Synchronous, Mode::FrameSynced, Mode::Asynchronous][mixer.below(3)];
    (spec.mode(mode), mode)
}

/// Every run and command of a module is accounted for.
fn account(module: &ModuleStatistics, counts: &Counts, seed: u64) {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let landed = module.playback.total() + module.dropped_commands + load(&counts.panicked);
    assert_eq!(landed, load(&counts.recorded), "seed {seed}: {module:?}");
    assert_eq!(module.playback.failed, 0, "seed {seed}: {module:?}");
    let due = module.runs + module.overruns + module.refused + module.skipped;
    assert!(due <= FRAMES + module.skipped, "seed {seed}: {module:?}");
}

/// Runs the schedule `seed`; returns the values that must be the same again where results land on fixed
/// frames, as text.
fn run(seed: u64, workers: usize) -> Option<String> {
    let mixer = &mut Mixer::new(seed);
    let config = HostConfig::default().workers(workers);
    let fixed = mixer.below(3) > 0;
    let lock_step = NonZeroU32::new(u32::from(fixed) * (1 + mixer.below(3) as u32));
    let (faults_max, probe_after) = (mixer.below(4) as u32, mixer.below(6) as u32);
    let config = config.lock_step(lock_step).faults_max(faults_max).probe_after(probe_after);
    let mut host = ModuleHost::new(config);
    let mut worlds = [world_of(0), world_of(0)];
    let shared = provider(mixer);
    // The modules that are there, and the counts of those that have had each place last.
    let (mut ids, mut modules): (Vec<ModuleId>, Vec<Arc<Counts>>) = (Vec::new(), Vec::new());
    // A worker that is away for longer drops its views by the clock.
    let may_let_go = lock_step.is_none_or(|delay| delay.get() < 2);
    for number in 0..1 + mixer.below(5) {
        let (spec, mode) = spec(mixer, number, (&worlds[0], &shared));
        let counts = Arc::<Counts>::default();
        let lets_go = may_let_go || mode != Mode::Asynchronous;
        let module = module(Mixer::new(mixer.next_number()), lets_go, Arc::clone(&counts));
        ids.push(host.add(spec, module).unwrap());
        modules.push(counts);
    }
    // Registered in another order, so that types have other ids. Those of the providers that were
    // assigned by hand capture everything all the same.
    worlds[1] = World::with_config(config_of_worlds());
    worlds[1].register_event::<u16>().unwrap();
    (0..ROWS).for_each(|_| _ = worlds[1].spawn((0_u32, 0_u64)));
    let pool = SnapshotPool::default();
    let mut past = None;
    let mut hashes = Vec::new();
    for frame in 1..=FRAMES {
        match mixer.below(16) {
            5 if !ids.is_empty() => {
                host.remove(ids.swap_remove(mixer.below(ids.len()))).unwrap();
            }
            6 if ids.len() < 6 => {
                let name = 100 + frame as usize;
                let (spec, mode) = spec(mixer, name, (&worlds[0], &shared));
                let counts = Arc::<Counts>::default();
                let lets_go = may_let_go || mode != Mode::Asynchronous;
                let new = module(Mixer::new(mixer.next_number()), lets_go, Arc::clone(&counts));
                let before = host.statistics(&worlds[0]).modules;
                let id = host.install(&mut worlds[0], spec, new).unwrap();
                ids.push(id);
                if let Some(old) = modules.get_mut(id.index()) {
                    account(&before[id.index()], old, seed);
                    *old = counts;
                } else {
                    modules.push(counts);
                }
            }
            7 => {
                host.pause();
                let before = (worlds[0].tick(), worlds[0].state_hash());
                host.run_frame(&mut worlds[0], Duration::from_millis(10)).unwrap();
                assert_eq!((worlds[0].tick(), worlds[0].state_hash()), before, "seed {seed}");
                host.resume();
            }
            0 => past = Some(worlds[0].capture(ALL, &pool)),
            1 => _ = past.as_ref().map(|view| worlds[0].restore(view).map(drop)),
            2 => worlds[0] = World::branch(&worlds[0].capture(ALL, &pool)).unwrap(),
            3 => worlds.swap(0, 1),
            4 => worlds[0].send_event(frame as u16),
            _ => {}
        }
        let world = &mut worlds[0];
        let next = world.tick() + 1;
        world.query_mut::<(&mut u64, &mut u32)>().for_each(|(number, half)| {
            (*number, *half) = (next, next as u32);
        });
        host.run_frame(world, Duration::from_millis(10)).unwrap();
        assert_eq!(world.tick(), next, "seed {seed}: no frame is lost");
        hashes.push(world.state_hash());
    }
    host.finish(&mut worlds[0]);
    let statistics = host.statistics(&worlds[0]);
    assert_eq!(statistics.frames, FRAMES);
    for (module, counts) in statistics.modules.iter().zip(&modules) {
        account(module, counts, seed);
    }
    let again = fixed.then(|| {
        let modules: Vec<_> = statistics
            .modules
            .iter()
            .map(|each| {
                let counts = (each.runs, each.refused, each.overruns, each.panics, each.playback);
                (counts, each.dropped_commands, each.snapshots_held)
            })
            .collect();
        let providers: Vec<_> = statistics.convoys.iter().map(|each| each.provider).collect();
        format!("{hashes:?} {modules:?} {providers:?}")
    });
    let pools = host.pool().unwrap().clone();
    drop((host, past, statistics, shared));
    for world in &mut worlds {
        world.advance_tick();
        let memory = world.memory();
        assert_eq!((memory.active_captures, memory.retained_bytes), (0, 0), "seed {seed}");
    }
    drop(worlds);
    let cells = pools.statistics();
    assert_eq!(cells.pooled as u64 + cells.discarded, cells.created, "seed {seed}");
    again
}

#[test]
fn random_schedules_lose_nothing_and_are_the_same_again() {
    let count = std::env::var("CONVOY_SCHEDULES").map_or(120, |count| count.parse().unwrap());
    for seed in 0..count {
        let (first, second) = (run(seed, 1), run(seed, 2 + seed as usize % 3));
        assert_eq!(first, second, "seed {seed}");
    }
}
