//! A host whose world is replaced by another one, whose providers panic, and whose frames are as
//! long as can be: it goes on, or returns an error that names the fault.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::mem;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use convoy_engine::commands::Commands;
use convoy_engine::events::EventCursor;
use convoy_engine::host::{
    HostConfig, HostError, Mode, ModuleContext, ModuleHost, ModuleSpec, ModuleStatistics, Rate,
};
use convoy_engine::provider::{
    AcquireError, Member, ProviderKind, ProviderStatistics, ReplicaProvider,
    SharedSnapshotProvider, SlowReaderLimits, SnapshotProvider,
};
use convoy_engine::snapshot::SnapshotUse;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};

const ALL: ComponentMask = ComponentMask::ALL;
const FRAME: Duration = Duration::from_millis(10);
const MODES: [Mode; 3] = [Mode::Synchronous, Mode::FrameSynced, Mode::Asynchronous];

/// The component of entities that a module spawns.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(transparent)]
struct Mark(u64);

fn lock_step(frames: u32) -> HostConfig {
    HostConfig::default().workers(1).lock_step(NonZeroU32::new(frames))
}

fn world_of(number: u64) -> World {
    let mut world = World::new();
    world.spawn((number,));
    world
}

fn branch_of(world: &mut World) -> World {
    World::branch(&world.capture(ALL, &SnapshotPool::default())).unwrap()
}

fn marks(world: &World) -> Vec<u64> {
    world.query::<&Mark>().iter().map(|mark| mark.0).collect()
}

/// A module that spawns the numbers it sees.
fn marking() -> impl FnMut(&mut ModuleContext<'_>) + Send + 'static {
    |context: &mut ModuleContext<'_>| {
        let view = context.view();
        let number = *view.query::<&u64>().iter().next().unwrap();
        context.commands().spawn((Mark(number),));
    }
}

fn module(host: &ModuleHost, world: &World, index: usize) -> ModuleStatistics {
    host.statistics(world).modules[index].clone()
}

/// The frame panicked in the playback of a buffer that had been made for the world before. (As
/// cBournhonesque/lightyear#988, where requests to a replaced world were lost.)
#[test]
fn a_host_goes_on_with_the_branch_that_replaced_its_world() {
    for mode in MODES {
        let mut world = world_of(1);
        let mut host = ModuleHost::new(lock_step(1));
        let spec = ModuleSpec::slow("marking", Rate::EVERY_FRAME).mode(mode);
        host.add(spec.reads::<(u64,)>(), marking()).unwrap();
        host.run_frame(&mut world, FRAME).unwrap();
        host.finish(&mut world);
        let mut branch = branch_of(&mut world);
        branch.query_mut::<&mut u64>().for_each(|number| *number = 7);
        world = branch;
        for _ in 0..3 {
            host.run_frame(&mut world, FRAME).unwrap();
        }
        host.finish(&mut world);
        assert_eq!(marks(&world), [1, 7, 7, 7], "{mode:?}");
        let module = module(&host, &world, 0);
        assert_eq!((module.runs, module.playback.applied, module.dropped_commands), (4, 4, 0));
        assert_eq!((module.refused, module.panics, module.overruns), (0, 0, 0));
    }
}

/// Commands under way when the world was replaced name entities of the old one.
#[test]
fn commands_for_a_world_that_is_gone_are_dropped_and_counted() {
    let mut world = world_of(1);
    let mut host = ModuleHost::new(lock_step(3));
    let (began, has_begun) = channel();
    let (may_end, ends) = channel();
    let spec = ModuleSpec::slow("slow", Rate::every_frames(3)).mode(Mode::Asynchronous);
    let mut mark = marking();
    host.add(spec.reads::<(u64,)>(), move |context| {
        began.send(()).unwrap();
        ends.recv().unwrap();
        mark(context);
        mark(context);
    })
    .unwrap();
    let three = |host: &mut ModuleHost, world: &mut World| {
        (0..3).for_each(|_| host.run_frame(world, FRAME).unwrap());
    };
    three(&mut host, &mut world);
    has_begun.recv().unwrap();
    world = branch_of(&mut world);
    may_end.send(()).unwrap();
    // It lands on the sixth frame, and runs again on that.
    three(&mut host, &mut world);
    let after = module(&host, &world, 0);
    assert_eq!((after.runs, after.dropped_commands, after.playback.total()), (1, 2, 0));
    assert_eq!(marks(&world), []);
    may_end.send(()).unwrap();
    host.finish(&mut world);
    let after = module(&host, &world, 0);
    assert_eq!((after.runs, after.dropped_commands, after.playback.applied), (2, 2, 2));
    assert_eq!(marks(&world), [1, 1]);

    // The same when the host is finished with another world than it ran with.
    three(&mut host, &mut world);
    may_end.send(()).unwrap();
    let mut other = world_of(5);
    host.finish(&mut other);
    assert_eq!((module(&host, &other, 0).dropped_commands, marks(&other).len()), (4, 0));
    may_end.send(()).unwrap();
    three(&mut host, &mut other);
    host.finish(&mut other);
    assert_eq!(marks(&other), [5, 5]);
}

/// A buffer of the world that a host was finished with stayed, and the commands of the next run were
/// dropped whole.
#[test]
fn a_host_that_was_finished_with_another_world_goes_on_with_its_own() {
    let config = lock_step(1).lock_step(None);
    let (mut world, mut other) = (world_of(1), world_of(2));
    let mut host = ModuleHost::new(config);
    let (may_end, ends) = channel();
    let spec = ModuleSpec::slow("module", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
    let mut mark = marking();
    host.add(spec.reads::<(u64,)>(), move |context| {
        ends.recv().unwrap();
        mark(context);
    })
    .unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    may_end.send(()).unwrap();
    host.finish(&mut other);
    host.run_frame(&mut world, FRAME).unwrap();
    may_end.send(()).unwrap();
    host.finish(&mut world);
    let after = module(&host, &world, 0);
    assert_eq!((after.runs, after.dropped_commands, after.playback.applied), (2, 1, 1));
    assert_eq!((marks(&world), marks(&other)), (vec![1], vec![]));

    // Away while another world comes, and finished with that of before.
    host.run_frame(&mut world, FRAME).unwrap();
    host.run_frame(&mut other, FRAME).unwrap();
    may_end.send(()).unwrap();
    host.finish(&mut world);
    assert_eq!((marks(&world), marks(&other)), (vec![1], vec![]), "its era has ended");
    host.run_frame(&mut other, FRAME).unwrap();
    may_end.send(()).unwrap();
    host.finish(&mut other);
    assert_eq!((marks(&world), marks(&other)), (vec![1], vec![2]));
    assert_eq!(module(&host, &other, 0).dropped_commands, 2);
}

/// A module that was away while its world was gone and came back had two buffers of it from then
/// on, and with that the indices of two.
#[test]
fn a_detour_while_a_module_is_away_leaves_the_handles_of_others_as_they_are() {
    let handles = [false, true].map(|detour| {
        let (mut world, mut other) = (world_of(1), world_of(2));
        let mut host = ModuleHost::new(lock_step(3));
        let spec = ModuleSpec::slow("away", Rate::every_frames(3)).mode(Mode::Asynchronous);
        host.add(spec.reads::<(u64,)>(), marking()).unwrap();
        (0..3).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
        host.run_frame(if detour { &mut other } else { &mut world }, FRAME).unwrap();
        host.run_frame(&mut world, FRAME).unwrap();
        host.finish(&mut world);
        let dropped = module(&host, &world, 0).dropped_commands;
        assert_eq!((marks(&world), dropped > 0), (vec![1; usize::from(!detour)], detour));
        let mut commands = Commands::new(&mut world);
        (0..500).map(|_| commands.spawn((Mark(0),))).collect::<Vec<Entity>>()
    });
    // After the stock, where the one that was dropped on the detour is free again.
    assert_eq!(handles[0][64..], handles[1][64..]);
}

/// Types have other ids in a world that registered them in another order: a module read the wrong
/// columns, or none.
#[test]
fn a_host_goes_on_with_a_world_of_other_ids() {
    for mode in MODES {
        let mut worlds = [world_of(1), World::new()];
        worlds[1].spawn((Mark(100), 1_u8));
        worlds[1].send_event(3_u16);
        worlds[1].spawn((2_u64, 2_u8));
        let mut host = ModuleHost::new(lock_step(1));
        for number in 0..2 {
            let spec = ModuleSpec::slow(format!("module {number}"), Rate::EVERY_FRAME).mode(mode);
            let spec = spec.reads::<(u64,)>().reads_events::<u16>();
            host.add(spec, marking()).unwrap();
        }
        host.add(ModuleSpec::fast("fast").mode(mode).reads::<(u64,)>(), marking()).unwrap();
        for frame in 0..20 {
            let world = &mut worlds[frame % 2];
            host.run_frame(world, FRAME).unwrap();
            host.finish(world);
        }
        assert_eq!(marks(&worlds[0]), [1; 30], "{mode:?}");
        assert_eq!(marks(&worlds[1])[1..], [2; 30], "{mode:?}");
        let statistics = host.statistics(&worlds[0]);
        for module in &statistics.modules {
            assert_eq!((module.runs, module.playback.applied, module.refused), (20, 20, 0));
        }
        let provider = statistics.convoys[0].provider;
        assert_eq!((provider.captures, provider.joins), (20, 20), "it is the same provider");
    }
}

#[test]
fn a_provider_that_captures_something_else_in_another_world_is_an_error() {
    let mut world = world_of(1);
    let mask = world.mask_of::<(u64,)>().unwrap();
    let provider = Arc::new(SharedSnapshotProvider::new(mask, SnapshotPool::default()));
    let mut host = ModuleHost::default();
    let spec = ModuleSpec::slow("manual", Rate::EVERY_FRAME).reads::<(u64,)>();
    host.add(spec.provider(&world, provider), marking()).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    let mut other = World::new();
    other.spawn((1_u8, 2_u16));
    other.spawn((2_u64,));
    let error = host.run_frame(&mut other, FRAME).unwrap_err();
    let HostError::ProviderMask { module, component } = &error else { panic!("{error}") };
    assert_eq!((module.as_str(), *component), ("manual", "u64"));
    assert_eq!((other.tick(), host.statistics(&world).frames), (0, 1), "nothing has happened");
    host.run_frame(&mut world, FRAME).unwrap();
    let mut same = world_of(3);
    host.run_frame(&mut same, FRAME).unwrap();
    assert_eq!((marks(&world), marks(&same)), (vec![1, 1], vec![3]));
}

/// More bytes than the largest chunk has.
type Enormous = [[[u8; 1024]; 1024]; 512];

#[test]
fn a_type_that_another_world_cannot_register_is_an_error() {
    let config = WorldConfig::default().chunk_bytes_max(1 << 30);
    let mut world = World::with_config(config);
    world.spawn((1_u64,));
    let mut host = ModuleHost::default();
    let spec = ModuleSpec::slow("greedy", Rate::EVERY_FRAME).reads::<(u64,)>();
    host.add(spec.reads_resource::<Enormous>(), marking()).unwrap();
    if host.run_frame(&mut world, FRAME).is_err() {
        // No world has chunks of that size.
        return;
    }
    let error = host.run_frame(&mut world_of(2), FRAME).unwrap_err();
    assert!(matches!(&error, HostError::Register { module, .. } if module == "greedy"), "{error}");
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(marks(&world), [1, 1]);
}

/// A rollback that looks ahead in a branch with the same host, and comes back.
#[test]
fn a_host_comes_back_to_the_world_that_it_had_before() {
    for mode in MODES {
        let mut world = world_of(1);
        let mut host = ModuleHost::new(lock_step(1));
        let spec = ModuleSpec::slow("marking", Rate::EVERY_FRAME).mode(mode);
        host.add(spec.reads::<(u64,)>(), marking()).unwrap();
        for round in 1..=5 {
            host.run_frame(&mut world, FRAME).unwrap();
            host.finish(&mut world);
            let mut ahead = branch_of(&mut world);
            for _ in 0..3 {
                host.run_frame(&mut ahead, FRAME).unwrap();
                host.finish(&mut ahead);
            }
            assert_eq!((marks(&world).len(), marks(&ahead).len()), (round, round + 3));
        }
        assert_eq!(module(&host, &world, 0).runs, 20);
    }
}

/// A world that is synced from another one is a new state at every sync.
#[test]
fn a_host_goes_on_with_a_world_that_is_synced_or_restored() {
    for mode in MODES {
        let (mut source, mut world) = (world_of(1), World::new());
        let mark = source.spawn((Mark(0),));
        source.despawn(mark).unwrap();
        let mut host = ModuleHost::new(lock_step(1));
        let spec = ModuleSpec::slow("marking", Rate::EVERY_FRAME).mode(mode);
        host.add(spec.reads::<(u64,)>(), marking()).unwrap();
        for round in 1..=5 {
            source.query_mut::<&mut u64>().for_each(|number| *number = round);
            world.sync_from(&source, ALL).unwrap();
            host.run_frame(&mut world, FRAME).unwrap();
            host.finish(&mut world);
            assert_eq!(marks(&world), [round], "{mode:?}");
            let view = world.capture(ALL, &SnapshotPool::default());
            host.run_frame(&mut world, FRAME).unwrap();
            world.restore(&view).unwrap();
            host.run_frame(&mut world, FRAME).unwrap();
            host.finish(&mut world);
            assert_eq!(marks(&world), [round; 2], "{mode:?}");
        }
    }
}

#[test]
fn a_replica_provider_goes_on_with_a_world_that_it_cannot_follow() {
    let config = WorldConfig::default().chunk_rows_max(4);
    let mut small = World::with_config(config);
    small.spawn((1_u8, 3_u64));
    let provider = ReplicaProvider::new(ALL);
    for world in [&mut world_of(1), &mut small, &mut world_of(2)] {
        let view = provider.acquire(world).unwrap();
        let mut numbers = world.query::<&u64>().iter().copied().collect::<Vec<_>>();
        assert!(view.query::<&u64>().iter().eq(&numbers));
        numbers.clear();
    }
}

/// Where a provider panics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Enroll,
    Acquire,
    Update,
    Kind,
    Statistics,
    Held,
    Retained,
    Copied,
    Drop,
}

/// A provider that panics at one place, on every second call.
struct Panicking {
    at: At,
    inner: SharedSnapshotProvider,
    calls: AtomicU64,
}

impl Panicking {
    fn new(at: At) -> Self {
        let inner = SharedSnapshotProvider::new(ALL, SnapshotPool::default());
        Self { at, inner, calls: AtomicU64::new(0) }
    }

    fn at(&self, at: At) {
        if at == self.at && self.calls.fetch_add(1, Ordering::Relaxed) & 1 == 0 {
            std::panic::resume_unwind(Box::new("a provider's fault"));
        }
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        self.at(At::Drop);
    }
}

impl SnapshotProvider for Panicking {
    fn kind(&self) -> ProviderKind {
        self.at(At::Kind);
        ProviderKind::Shared
    }

    fn mask(&self) -> ComponentMask {
        ALL
    }

    fn acquire(&self, world: &mut World) -> Result<View, AcquireError> {
        self.inner.acquire(world)
    }

    fn enroll(&self) -> Member {
        self.at(At::Enroll);
        self.inner.enroll()
    }

    fn acquire_for(&self, world: &mut World, member: &mut Member) -> Result<View, AcquireError> {
        self.at(At::Acquire);
        self.inner.acquire_for(world, member)
    }

    fn update(&self, world: &mut World) -> Result<(), AcquireError> {
        self.at(At::Update);
        self.inner.update(world)
    }

    fn statistics(&self) -> ProviderStatistics {
        self.at(At::Statistics);
        self.inner.statistics()
    }

    fn held(&self, world: &World) -> Vec<SnapshotUse> {
        self.at(At::Held);
        self.inner.held(world)
    }

    fn retained_bytes(&self, world: &World) -> usize {
        self.at(At::Retained);
        self.inner.retained_bytes(world)
    }

    fn copied_bytes(&self) -> usize {
        self.at(At::Copied);
        self.inner.copied_bytes()
    }
}

/// A panic of a provider unwound through the frame: modules that had their views by then never ran
/// and were never due again.
#[test]
fn a_provider_that_panics_costs_nobody_else_a_frame() {
    for at in [
        At::Enroll,
        At::Acquire,
        At::Update,
        At::Kind,
        At::Statistics,
        At::Held,
        At::Retained,
        At::Copied,
        At::Drop,
    ] {
        let mut world = world_of(1);
        let mut host = ModuleHost::default();
        let spec = |name| ModuleSpec::slow(name, Rate::EVERY_FRAME).reads::<(u64,)>();
        host.add(spec("first"), marking()).unwrap();
        let provider = Arc::new(Panicking::new(at));
        host.add(spec("faulty").provider(&world, provider), marking()).unwrap();
        host.add(spec("last"), marking()).unwrap();
        for _ in 0..10 {
            host.run_frame(&mut world, FRAME).unwrap();
        }
        let statistics = host.statistics(&world);
        let runs: Vec<_> =
            statistics.modules.iter().map(|module| (module.runs, module.refused)).collect();
        let faulty = if at == At::Acquire { (5, 5) } else { (10, 0) };
        assert_eq!(runs, [(10, 0), faulty, (10, 0)], "{at:?}");
        let convoy = &statistics.convoys[1];
        assert_eq!(
            convoy.kind,
            [ProviderKind::Shared, ProviderKind::Other][usize::from(at == At::Kind)]
        );
        let expected = match at {
            At::Acquire | At::Update => 5,
            At::Drop => 0,
            _ => 1,
        };
        assert_eq!(convoy.provider_panics, expected, "{at:?}");
        drop(host);
    }
}

/// Counts its drops and panics in each.
struct Bomb(Arc<AtomicU64>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::panic::resume_unwind(Box::new("a drop's fault"));
    }
}

/// Refused and replaced modules were dropped bare, as was the callback for slow readers.
#[test]
fn what_a_host_is_given_and_drops_panics_nobody() {
    let dropped = Arc::new(AtomicU64::new(0));
    for frames in 0..2 {
        let mut world = world_of(1);
        let mut host = ModuleHost::new(lock_step(1));
        for tier in [
            ModuleSpec::fast("fast").reads_all(),
            ModuleSpec::slow("slow", Rate::EVERY_FRAME).reads_all(),
        ] {
            host.add(tier, |_| ()).unwrap();
        }
        for replaced in 0..2 {
            let bomb = Bomb(Arc::clone(&dropped));
            host.on_slow_reader(SlowReaderLimits::default(), move |_| _ = &bomb).unwrap();
            assert_eq!(dropped.load(Ordering::Relaxed), replaced);
        }
        (0..frames).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
        drop(host);
        assert_eq!(dropped.swap(0, Ordering::Relaxed), 2);
    }
    let mut world = world_of(1);
    let mut host = ModuleHost::new(lock_step(1));
    host.run_frame(&mut world, FRAME).unwrap();
    let bomb = Bomb(Arc::clone(&dropped));
    let refused = host.on_slow_reader(SlowReaderLimits::default(), move |_| _ = &bomb);
    assert!(matches!(refused, Err(HostError::Running)));
    let bomb = Bomb(Arc::clone(&dropped));
    let provider = Arc::new(Panicking::new(At::Drop));
    let refused = host
        .add(ModuleSpec::fast("late").reads_all().provider(&world, provider), move |_| _ = &bomb);
    assert!(matches!(refused, Err(HostError::Running)));
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

/// Printing a module's declarations asks its provider.
#[test]
fn a_spec_is_printed_whatever_its_provider_does() {
    let provider = Arc::new(Panicking::new(At::Kind));
    let spec = ModuleSpec::fast("module").reads_all().provider(&World::new(), provider);
    assert!(format!("{spec:?}").contains("Other"), "it panics on every second call");
    assert!(format!("{spec:?}").contains("Shared"));
}

/// The drop of a module that panics is its own fault only.
#[test]
fn a_module_whose_drop_panics_takes_nothing_along() {
    let dropped = Arc::new(AtomicU64::new(0));
    for frames in 0..2 {
        let mut world = world_of(1);
        let mut host = ModuleHost::new(lock_step(1));
        for mode in MODES {
            let bomb = Bomb(Arc::clone(&dropped));
            let spec = ModuleSpec::slow(format!("bomb {mode:?}"), Rate::EVERY_FRAME)
                .reads_all()
                .mode(mode);
            host.add(spec, move |_| _ = &bomb).unwrap();
        }
        (0..frames).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
        drop(host);
        assert_eq!(dropped.swap(0, Ordering::Relaxed), 3);
    }
}

/// The second frame of `Duration::MAX` panicked, as did waiting that long (bevyengine/bevy#2361,
/// crossbeam-rs/crossbeam#795: the longest duration there is, for "all that is left").
#[test]
fn frames_and_waits_of_any_length_are_fine_and_dt_adds_up() {
    let mut world = world_of(1);
    let mut host = ModuleHost::new(lock_step(1));
    let given = Arc::new(Mutex::new(vec![Vec::<Duration>::new(); 5]));
    let rates = [
        Rate::hz(10),
        Rate::hz(u32::MAX),
        Rate::millihertz(u64::MAX),
        Rate::millihertz(1),
        Rate::every_frames(5),
    ];
    for (number, rate) in rates.into_iter().enumerate() {
        let given = Arc::clone(&given);
        let mode = MODES[number % 3];
        let spec = ModuleSpec::slow(format!("timed {number}"), rate)
            .reads_all()
            .mode(mode)
            .deadline(Duration::MAX);
        host.add(spec, move |context| {
            given.lock().unwrap()[number].push(context.dt());
        })
        .unwrap();
    }
    let usual = Duration::from_millis(100);
    let century = Duration::from_secs(36_525 * 24 * 60 * 60);
    let longest = [Duration::MAX, Duration::MAX, Duration::ZERO, usual, century, Duration::MAX];
    for frame in longest.into_iter().chain([usual; 34]) {
        host.run_frame(&mut world, frame).unwrap();
        assert!(host.wait(Duration::MAX));
    }
    host.finish(&mut world);
    world.compact(Duration::MAX);
    world.trim(Duration::MAX);
    let runs: Vec<_> = host.statistics(&world).modules.iter().map(|each| each.runs).collect();
    // All frames have a length but one; the slowest is due on the long ones.
    assert_eq!(runs, [39, 39, 39, 4, 8]);
    let nanos = |durations: &[Duration]| durations.iter().map(Duration::as_nanos).sum::<u128>();
    let elapsed = nanos(&longest) + nanos(&[usual; 34]);
    for (number, given) in given.lock().unwrap().iter().enumerate() {
        // The rate of a run in 1,000 seconds was last due on the last long frame.
        let since = if number == 3 { nanos(&[usual; 34]) } else { 0 };
        assert_eq!(nanos(given), elapsed - since, "module {number}");
    }
}

/// With no bound on panics a module was off from the start.
#[test]
fn no_bound_on_panics_means_that_no_module_is_switched_off() {
    let config = lock_step(1).faults_max(0);
    let (mut world, mut host) = (world_of(1), ModuleHost::new(config));
    host.add(ModuleSpec::fast("failing").reads_all(), |_| {
        std::panic::resume_unwind(Box::new("again"));
    })
    .unwrap();
    host.initialize(&mut world).unwrap();
    assert!(!module(&host, &world, 0).switched_off);
    (0..10).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    let failing = module(&host, &world, 0);
    assert_eq!((failing.runs, failing.panics, failing.switched_off), (10, 10, false));
}

/// In lock step a module is due while its runs wait to land: each lands as many frames later. It lost three of four.
#[test]
fn in_lock_step_a_module_runs_whenever_it_is_due() {
    let (mut world, mut host) = (world_of(1), ModuleHost::new(lock_step(3)));
    let spec = ModuleSpec::slow("module", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
    host.add(spec.reads::<(u64,)>(), marking()).unwrap();
    for _ in 0..9 {
        host.run_frame(&mut world, FRAME).unwrap();
        assert!(host.wait(Duration::MAX));
    }
    let after = module(&host, &world, 0);
    assert_eq!((after.runs, after.overruns, after.playback.applied), (6, 0, 6));
    host.finish(&mut world);
    assert_eq!(module(&host, &world, 0).runs, 9);
}

/// Numbers of events that a module has read, by the worlds that sent them.
#[test]
fn a_modules_cursor_goes_on_in_whatever_world_comes() {
    let mut host = ModuleHost::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (reads, mut cursor) = (Arc::clone(&seen), EventCursor::<u32>::default());
    let spec = ModuleSpec::fast("listening").reads_events::<u32>();
    host.add(spec, move |context| {
        reads.lock().unwrap().extend(context.view().events(&mut cursor));
    })
    .unwrap();
    let mut frame = |world: &mut World, events: &[u32]| {
        events.iter().for_each(|&event| world.send_event(event));
        host.run_frame(world, FRAME).unwrap();
        mem::take(&mut *seen.lock().unwrap())
    };
    // Two worlds; one is older than the last event of the cursor, whichever that is.
    let (mut first, mut second) = (World::new(), World::new());
    assert_eq!(frame(&mut second, &[1, 2, 3]), [1, 2, 3]);
    assert_eq!(frame(&mut first, &[4]), [4], "another world has sent its own");
    assert_eq!(frame(&mut first, &[5]), [5]);
    // Ahead in a branch and back.
    let mut ahead = branch_of(&mut first);
    assert_eq!(frame(&mut ahead, &[6, 7]), [6, 7]);
    assert_eq!(frame(&mut ahead, &[8]), [8]);
    assert_eq!(frame(&mut first, &[9]), [9], "what the branch sent is not among its events");
    // From one branch to another of the same world.
    let (mut left, mut right) = (branch_of(&mut first), branch_of(&mut first));
    assert_eq!(frame(&mut left, &[10, 11, 12]), [10, 11, 12]);
    assert_eq!(frame(&mut right, &[13]), [13]);
    assert_eq!(frame(&mut right, &[]), []);
}
