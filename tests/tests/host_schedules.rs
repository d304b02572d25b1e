//! Random schedules of a host: modules of every mode and rate that keep views, are slow, panic,
//! spawn and despawn, run on events and changes, come and go, under providers of every kind, in a world that is
//! paused, restored and replaced by branches and by other worlds. Whatever happens, no frame is lost, every run
//! and command is accounted for, views are whole, and unused memory is given back. With results that land on
//! fixed frames, the same schedule gives the same worlds and counts again, on another number of workers.
//!
//! `CONVOY_SCHEDULES=10000 cargo test -p convoy-tests --test host_schedules` takes minutes.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::{HashSet, VecDeque};
use std::env;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use convoy_engine::host::{
    HostConfig, Mode, ModuleContext, ModuleHost, ModuleId, ModuleSpec, ModuleStatistics, Rate,
};
use convoy_engine::memory::ArenaConfig;
use convoy_engine::provider::{
    DoubleBufferProvider, OnDemandProvider, ReplicaProvider, SharedSnapshotProvider,
    SnapshotProvider, WhenBusy,
};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Mixer;

const ALL: ComponentMask = ComponentMask::ALL;
const FRAMES: u64 = 60;
const FRAME: Duration = Duration::from_millis(10);
const ROWS: usize = 6;

/// What may happen to the world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Course {
    /// It goes on.
    Straight,
    /// It is restored, and replaced by branches of it.
    Restored,
    /// Another one takes its place as well, and it comes back.
    Swapped,
}

/// One random schedule, but for its modules.
#[derive(Clone, Copy)]
struct Schedule {
    seed: u64,
    course: Course,
    /// After how many frames results land, where these are fixed.
    delay: Option<NonZeroU32>,
    faults_max: u32,
}

/// What a module was given and did, and must have been.
#[derive(Default)]
struct Counts {
    recorded: AtomicU64,
    /// Of these, those of runs that then panicked.
    panicked: AtomicU64,
    /// Panics on purpose. A check that fails in a module is one more.
    failures: AtomicU64,
    /// Events that were read by runs that took effect, and numbers between these that were not.
    read: AtomicU64,
    missed: AtomicU64,
}

/// How a module was declared.
#[derive(Clone, Debug)]
struct Plan {
    /// Times that it is due in a frame; `None` where it has triggers alone.
    rate: Option<f64>,
    is_on_event: bool,
    mode: Mode,
    has_deadline: bool,
    has_own_provider: bool,
    fails: bool,
    records: bool,
    /// Runs are judged by the frame on which they land, and their results dropped.
    may_be_late: bool,
    /// The frames on which it was there.
    frames: Range<u64>,
}

impl Plan {
    /// Whether every run takes effect.
    fn is_sound(&self) -> bool {
        !self.fails && !self.may_be_late
    }
}

/// A module that is there, or was.
struct Entry {
    plan: Plan,
    counts: Arc<Counts>,
}

/// A large index in few chunks, or small chunks everywhere, so that their boundaries are crossed.
fn world_config(seed: u64) -> WorldConfig {
    let memory = ArenaConfig::default().first_slab_bytes(256 * 1024).slab_bytes_max(1024 * 1024);
    WorldConfig::default().memory(memory).chunk_rows_max(if seed.is_multiple_of(16) {
        4
    } else {
        256
    })
}

fn world_of(number: u64, seed: u64) -> World {
    let mut world = World::with_config(world_config(seed));
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

/// The events that a module has read, which are numbered throughout a schedule.
#[derive(Default)]
struct Reading {
    next: Option<u16>,
    all: HashSet<u16>,
}

impl Reading {
    /// Checks the events of a run, and takes them if it is to end well.
    fn read(&mut self, numbers: &[u16], ends_well: bool, (course, plan): (Course, &Plan)) -> u64 {
        assert!(numbers.is_sorted_by(|one, next| one < next), "in order: {numbers:?}");
        if plan.is_sound() && plan.is_on_event && course == Course::Straight {
            assert!(!numbers.is_empty(), "no run without a cause");
        }
        if !ends_well {
            return 0;
        }
        let takes_effect = !plan.may_be_late && (course == Course::Straight || !plan.records);
        if takes_effect && course < Course::Swapped {
            for &number in numbers {
                assert!(self.all.insert(number), "event {number} once");
            }
        }
        let mut missed = 0;
        if course == Course::Straight && !plan.may_be_late {
            for &number in numbers {
                missed += u64::from(number - self.next.unwrap_or(number));
                self.next = Some(number + 1);
            }
            assert!(plan.fails || missed == 0, "none is left out");
        }
        missed
    }
}

/// A module that keeps views. One that never drops a view in its runs keeps the first.
fn module(
    mut mixer: Mixer,
    (schedule, plan, lets_go): (Schedule, Plan, bool),
    (counts, now): (Arc<Counts>, Arc<AtomicU64>),
) -> impl FnMut(&mut ModuleContext<'_>) + Send {
    let (keeps, slow) = (mixer.below(14), mixer.below(3));
    let mut kept: VecDeque<View> = VecDeque::new();
    let mut time = FRAME * plan.frames.start as u32;
    let mut reading = Reading::default();
    move |context: &mut ModuleContext<'_>| {
        let add = |count: &AtomicU64, by: u64| _ = count.fetch_add(by, Ordering::Relaxed);
        let view = context.view().clone();
        check(&view);
        kept.iter().for_each(check);
        time += context.dt();
        assert_eq!(time, context.time(), "the parts make up the time");
        if plan.has_own_provider && plan.mode != Mode::Asynchronous {
            assert_eq!(context.tick(), now.load(Ordering::Relaxed), "the view is of this frame");
        }
        let fails = plan.fails && mixer.below(6) == 0;
        let numbers: Vec<u16> = context.events::<u16>().collect();
        let missed = reading.read(&numbers, !fails, (schedule.course, &plan));
        add(&counts.missed, missed);
        if keeps > 0 && !lets_go {
            if kept.len() < keeps {
                kept.push_back(view.clone());
            }
        } else if keeps > 0 {
            kept.push_back(view.clone());
            (kept.len() > keeps || mixer.below(16) == 0).then(|| kept.pop_front());
        }
        (0..slow * mixer.below(40)).for_each(|_| thread::yield_now());
        let all: Vec<Entity> = view.query::<(Entity, &u8)>().iter().map(|row| row.0).collect();
        let mut recorded = 0;
        for _ in 0..if plan.records { mixer.below(4) } else { 0 } {
            let new = context.commands().spawn((7_u8,));
            context.commands().insert(new, (1_u16,));
            recorded += 2;
        }
        if !all.is_empty() && plan.records && mixer.below(2) == 0 {
            context.commands().despawn(all[mixer.below(all.len())]);
            recorded += 1;
        }
        add(&counts.recorded, recorded);
        if fails {
            add(&counts.panicked, recorded);
            add(&counts.failures, 1);
            std::panic::resume_unwind(Box::new("now and then"));
        }
        add(&counts.read, numbers.len() as u64);
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
fn declare(
    mixer: &mut Mixer,
    (schedule, number, frame): (Schedule, usize, u64),
    shared: (&World, &Arc<dyn SnapshotProvider>),
) -> (ModuleSpec, Plan) {
    let frames = 1 + mixer.below(3) as u64;
    let (spec, rate) = match mixer.below(6) {
        0 => (ModuleSpec::fast(format!("fast {number}")), Some(1.0)),
        1 => {
            let hz = [100, 60, 31][mixer.below(3)];
            let spec = ModuleSpec::slow(format!("in time {number}"), Rate::hz(hz));
            (spec, Some(f64::from(hz) * FRAME.as_secs_f64()))
        }
        2 => (ModuleSpec::triggered(format!("on events {number}")).on_event::<u16>(), None),
        3 => (ModuleSpec::triggered(format!("on changes {number}")).on_change::<u64>(), None),
        _ => {
            let spec = ModuleSpec::slow(format!("in frames {number}"), Rate::every_frames(frames));
            (spec, Some(1.0 / frames as f64))
        }
    };
    let mut spec = spec.reads_all();
    let mode = [Mode::Synchronous, Mode::FrameSynced, Mode::Asynchronous][mixer.below(3)];
    let [has_own_provider, has_deadline] = [mixer.below(3) > 0, mixer.below(4) == 0];
    if !has_own_provider {
        spec = spec.provider(shared.0, Arc::clone(shared.1));
    }
    if has_deadline {
        spec = spec.deadline(Duration::from_millis(mixer.below(30) as u64));
    }
    let plan = Plan {
        rate,
        is_on_event: spec.name().starts_with("on events"),
        mode,
        has_deadline,
        has_own_provider,
        fails: mixer.below(3) == 0,
        records: mixer.below(3) > 0,
        may_be_late: has_deadline && mode == Mode::Asynchronous && schedule.delay.is_none(),
        frames: frame..FRAMES,
    };
    (spec.mode(mode), plan)
}

/// Every run, command and event of a module is accounted for.
fn account(module: &ModuleStatistics, Entry { plan, counts }: &Entry, schedule: Schedule) {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let told = || format!("seed {}: {plan:?} {module:?}", schedule.seed);
    let landed = module.playback.total() + module.dropped_commands + load(&counts.panicked);
    assert_eq!(landed, load(&counts.recorded), "{}", told());
    assert_eq!(module.playback.failed, 0, "{}", told());
    assert_eq!(module.panics, load(&counts.failures), "{}", told());
    assert!(load(&counts.missed) <= module.dropped_events, "{}", told());
    assert_eq!(module.lost_events, 0, "{}", told());
    let due = module.runs + module.overruns + module.refused + module.skipped;
    let frames = plan.frames.end - plan.frames.start;
    let expected = plan.rate.map_or(frames as f64, |rate| frames as f64 * rate);
    assert!(due as f64 <= expected.ceil() + 1.0, "{}", told());
    let is_always_on = schedule.faults_max == 0 || !plan.fails && !plan.has_deadline;
    if plan.rate.is_some() && is_always_on {
        assert!(due as f64 >= expected.floor() - 1.0, "{}", told());
    }
    if let Some(delay) = schedule.delay
        && schedule.course == Course::Straight
        && plan.has_own_provider
    {
        let most = if plan.mode == Mode::Asynchronous { delay.get() } else { 0 };
        assert!(module.view_age_max <= u64::from(most), "{}", told());
    }
}

/// Tells how a schedule that failed is run again.
struct TellOnPanic(u64);

impl Drop for TellOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("CONVOY_SCHEDULE={} runs this schedule alone", self.0);
        }
    }
}

/// Runs the schedule `seed`; returns what must be the same again where results land on fixed frames, in lines.
fn run(seed: u64, workers: usize) -> Option<Vec<String>> {
    let _tell = TellOnPanic(seed);
    let mixer = &mut Mixer::new(seed);
    let fixed = mixer.below(3) > 0;
    let schedule = Schedule {
        seed,
        course: [Course::Straight, Course::Restored, Course::Swapped][mixer.below(3)],
        delay: NonZeroU32::new(u32::from(fixed) * (1 + mixer.below(4) as u32)),
        faults_max: mixer.below(4) as u32,
    };
    let config = HostConfig::default().workers(workers).lock_step(schedule.delay);
    let config = config.faults_max(schedule.faults_max).probe_after(mixer.below(6) as u32);
    let mut host = ModuleHost::new(config);
    host.on_panic(|_| {});
    let mut worlds = [world_of(0, seed), World::with_config(world_config(seed))];
    let shared = provider(mixer);
    let now = Arc::new(AtomicU64::new(0));
    // The modules that are there, and those that have had each place last.
    let (mut ids, mut entries): (Vec<ModuleId>, Vec<Entry>) = (Vec::new(), Vec::new());
    let make = |mixer: &mut Mixer, number: usize, frame: u64, world: &World| {
        let (spec, plan) = declare(mixer, (schedule, number, frame), (world, &shared));
        // A worker that is away for longer drops its views by the clock.
        let may_let_go = schedule.delay.is_none_or(|delay| delay.get() < 2);
        let lets_go = may_let_go || plan.mode != Mode::Asynchronous;
        let counts = Arc::<Counts>::default();
        let given = (schedule, plan.clone(), lets_go);
        let tools = (Arc::clone(&counts), Arc::clone(&now));
        let module = module(Mixer::new(mixer.next_number()), given, tools);
        (spec, module, Entry { plan, counts })
    };
    for number in 0..1 + mixer.below(5) {
        let (spec, module, entry) = make(mixer, number, 0, &worlds[0]);
        ids.push(host.add(spec, module).unwrap());
        entries.push(entry);
    }
    // Registered in another order, so that types have other ids. Those of the providers that were
    // assigned by hand capture everything all the same.
    worlds[1].register_event::<u16>().unwrap();
    (0..ROWS).for_each(|_| _ = worlds[1].spawn((0_u32, 0_u64)));
    let pool = SnapshotPool::default();
    let (mut past, mut sent) = (None, 0);
    let mut hashes = Vec::new();
    for frame in 1..=FRAMES {
        match mixer.below(16) {
            5 if !ids.is_empty() => {
                let id = ids.swap_remove(mixer.below(ids.len()));
                host.remove(id).unwrap();
                entries[id.index()].plan.frames.end = frame - 1;
            }
            6 if ids.len() < 6 => {
                let name = 100 + frame as usize;
                let (spec, new, entry) = make(mixer, name, frame - 1, &worlds[0]);
                let before = host.statistics(&worlds[0]).modules;
                let id = host.install(&mut worlds[0], spec, new).unwrap();
                ids.push(id);
                if let Some(old) = entries.get_mut(id.index()) {
                    account(&before[id.index()], old, schedule);
                    *old = entry;
                } else {
                    entries.push(entry);
                }
            }
            7 => {
                host.pause();
                let before = (worlds[0].tick(), worlds[0].state_hash());
                host.run_frame(&mut worlds[0], FRAME).unwrap();
                assert_eq!((worlds[0].tick(), worlds[0].state_hash()), before, "seed {seed}");
                host.resume();
            }
            0 if schedule.course >= Course::Restored => {
                past = Some(worlds[0].capture(ALL, &pool));
            }
            1 => _ = past.as_ref().map(|view| worlds[0].restore(view).map(drop)),
            2 if schedule.course >= Course::Restored => {
                worlds[0] = World::branch(&worlds[0].capture(ALL, &pool)).unwrap();
            }
            3 if schedule.course == Course::Swapped => worlds.swap(0, 1),
            4 | 8 | 9 => {
                for _ in 0..1 + mixer.below(3) {
                    worlds[0].send_event::<u16>(sent);
                    sent += 1;
                }
            }
            _ => {}
        }
        let world = &mut worlds[0];
        let next = world.tick() + 1;
        world.query_mut::<(&mut u64, &mut u32)>().for_each(|(number, half)| {
            (*number, *half) = (next, next as u32);
        });
        now.store(next, Ordering::Relaxed);
        host.run_frame(world, FRAME).unwrap();
        assert_eq!(world.tick(), next, "seed {seed}: no frame is lost");
        hashes.push(world.state_hash());
    }
    host.finish(&mut worlds[0]);
    let statistics = host.statistics(&worlds[0]);
    assert_eq!(statistics.frames, FRAMES);
    for (module, entry) in statistics.modules.iter().zip(&entries) {
        account(module, entry, schedule);
    }
    let again = fixed.then(|| {
        let modules: Vec<_> = statistics
            .modules
            .iter()
            .zip(&entries)
            .map(|(each, entry)| {
                let counts = (each.runs, each.refused, each.overruns, each.panics, each.playback);
                let read = entry.counts.read.load(Ordering::Relaxed);
                (counts, each.dropped_commands, each.snapshots_held, each.view_age_max, read)
            })
            .collect();
        let providers: Vec<_> = statistics.convoys.iter().map(|each| each.provider).collect();
        let hashes = hashes.iter().enumerate().map(|(frame, hash)| format!("{frame}: {hash}"));
        let modules = modules.iter().map(|module| format!("{module:?}"));
        let providers = providers.iter().map(|provider| format!("{provider:?}"));
        hashes.chain(modules).chain(providers).collect()
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
    let number = |name: &str| env::var(name).ok().map(|count| count.parse::<u64>().unwrap());
    let seeds = match number("CONVOY_SCHEDULE") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CONVOY_SCHEDULES").unwrap_or(10_000),
    };
    let next = AtomicU64::new(seeds.start);
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    let _tell = TellOnPanic(seed);
                    let again = (seed % 4) as usize;
                    let (first, second) = (run(seed, 1), run(seed, again + usize::from(again > 0)));
                    if let (Some(first), Some(second)) = (first, second) {
                        for (one, other) in first.iter().zip(&second) {
                            assert_eq!(one, other, "seed {seed}");
                        }
                    }
                }
            });
        }
    });
}
