//! Modules that are installed in a host that runs, and removed from it.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy_engine::host::{
    HostConfig, HostError, Mode, ModuleContext, ModuleHost, ModuleSpec, Rate,
};
use convoy_engine::provider::{ProviderKind, SharedSnapshotProvider};
use convoy_engine::{ComponentMask, SnapshotPool, World};

const FRAME: Duration = Duration::from_millis(10);

fn frames(host: &mut ModuleHost, world: &mut World, count: usize) {
    (0..count).for_each(|_| host.run_frame(world, FRAME).unwrap());
}

/// Counts its clones that are alive: modules that own one have been dropped when it is back at one.
fn token() -> Arc<()> {
    Arc::new(())
}

/// The union widens for the next capture, members stay aligned, held views drain, and ticks go on.
#[test]
fn a_module_that_reads_more_widens_its_convoy_and_nobody_misses_a_frame() {
    let mut world = World::new();
    world.spawn((1_u32, 2_u64, 3_i16));
    let mut host = ModuleHost::default();
    let ticks = Arc::new(Mutex::new(Vec::new()));
    let rate = Rate::every_frames(3);
    let adds = |name: &str| ModuleSpec::slow(name, rate);
    let (list, mut kept) = (Arc::clone(&ticks), None);
    host.add(adds("first").reads::<(u32,)>(), move |context| {
        let old = kept.replace(context.view().clone());
        assert!(old.is_none_or(|view| view.tick() + 3 == context.tick()));
        list.lock().unwrap().push((1, context.tick()));
    })
    .unwrap();
    frames(&mut host, &mut world, 4);
    let list = Arc::clone(&ticks);
    let second = host.install(&mut world, adds("second").reads::<(u64, i16)>(), move |context| {
        let sum: i64 = context
            .view()
            .query::<(&u64, &i16)>()
            .iter()
            .map(|(a, b)| *a as i64 + i64::from(*b))
            .sum();
        assert_eq!((sum, context.view().query::<&u64>().count()), (5, 1));
        // Since it was installed on frame 4.
        assert_eq!(context.dt(), FRAME * if context.tick() == 6 { 2 } else { 3 });
        list.lock().unwrap().push((2, context.tick()));
    });
    let second = second.unwrap();
    let convoys = host.statistics(&world).convoys;
    assert_eq!((convoys.len(), convoys[0].members, convoys[0].kind), (1, 2, ProviderKind::Shared));
    assert_eq!(convoys[0].provider.captures, 1, "its counts go on");
    frames(&mut host, &mut world, 5);
    assert_eq!(*ticks.lock().unwrap(), [(1, 3), (1, 6), (2, 6), (1, 9), (2, 9)]);
    let statistics = host.statistics(&world);
    assert_eq!(statistics.convoys[0].provider.captures, 3, "one for both");
    assert!(statistics.modules.iter().all(|module| module.panics + module.refused == 0));
    host.remove(second).unwrap();
    frames(&mut host, &mut world, 3);
    let convoys = host.statistics(&world).convoys;
    assert_eq!((convoys[0].members, convoys[0].mask), (1, world.mask_of::<(u32,)>().unwrap()));
}

#[test]
fn a_convoy_without_members_captures_nothing_and_its_place_is_taken_again() {
    let (mut world, mut host) = (World::new(), ModuleHost::default());
    world.spawn((1_u32,));
    let lives = token();
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let lives = Arc::clone(&lives);
        let run = move |_: &mut ModuleContext<'_>| _ = Arc::strong_count(&lives);
        ids.push(host.add(ModuleSpec::fast(name).reads::<(u32,)>(), run).unwrap());
    }
    frames(&mut host, &mut world, 5);
    ids.iter().for_each(|&id| host.remove(id).unwrap());
    assert_eq!(Arc::strong_count(&lives), 1, "they are dropped");
    frames(&mut host, &mut world, 5);
    let statistics = host.statistics(&world);
    assert_eq!((statistics.convoys[0].provider.captures, statistics.convoys[0].members), (5, 0));
    assert_eq!(world.memory().active_captures, 0, "nor is one kept");
    assert!(statistics.modules.iter().all(|module| module.removed && module.runs == 5));
    for id in &ids {
        assert!(matches!(host.remove(*id), Err(HostError::UnknownModule { .. })));
    }
    // The same names again, in the same places, with other ids.
    for (name, old) in ["one", "two"].into_iter().zip(ids) {
        let spec = ModuleSpec::slow(name, Rate::EVERY_FRAME).reads::<(u32,)>();
        let id = host.install(&mut world, spec, |_| {}).unwrap();
        assert_eq!((id.index(), id == old), (old.index(), false));
        assert!(matches!(host.remove(old), Err(HostError::UnknownModule { .. })));
    }
    frames(&mut host, &mut world, 5);
    let statistics = host.statistics(&world);
    assert_eq!((statistics.convoys.len(), statistics.convoys[0].provider.captures), (1, 5));
    assert!(statistics.modules.iter().all(|module| !module.removed && module.runs == 5));
}

/// Trap 7 with the module removed: the run goes on reading its view, its commands are dropped, and it is dropped
/// when it is back.
#[test]
fn a_module_that_is_removed_while_it_runs_ends_on_its_view() {
    for lock_step in [None, NonZeroU32::new(3)] {
        let mut world = World::new();
        let entity = world.spawn((1_u64,));
        let config = HostConfig::default().workers(1).lock_step(lock_step);
        let mut host = ModuleHost::new(config);
        let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
        let (sums, sum) = channel();
        let lives = token();
        let owned = Arc::clone(&lives);
        let spec = ModuleSpec::slow("away", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
        let id = host.add(spec.reads::<(u64,)>(), move |context| {
            begins.send(()).unwrap();
            opened.recv().unwrap();
            sums.send(context.view().query::<&u64>().iter().sum::<u64>()).unwrap();
            context.commands().spawn((Arc::strong_count(&owned) as u64,));
        });
        let id = id.unwrap();
        frames(&mut host, &mut world, 1);
        begun.recv().unwrap();
        if lock_step.is_some() {
            frames(&mut host, &mut world, 1);
        }
        host.remove(id).unwrap();
        *world.get_mut::<u64>(entity).unwrap() = 7;
        frames(&mut host, &mut world, 1);
        assert_eq!(Arc::strong_count(&lives), 2, "it still runs");
        // In lock step a second one has its view as well.
        let runs = 1 + u64::from(lock_step.is_some());
        (0..runs).for_each(|_| gate.send(()).unwrap());
        assert!(host.wait(Duration::MAX));
        assert_eq!(sum.try_iter().collect::<Vec<_>>(), vec![1; runs as usize]);
        frames(&mut host, &mut world, 3);
        assert_eq!((Arc::strong_count(&lives), world.entity_count()), (1, 1), "{lock_step:?}");
        let module = host.statistics(&world).modules.swap_remove(0);
        assert_eq!((module.runs, module.dropped_commands, module.removed), (runs, runs, true));
        assert_eq!(world.memory().active_captures, 0);
        assert_eq!(begun.try_iter().count() as u64, runs - 1, "and no other");
    }
}

/// The first asynchronous module of a host that runs brings the threads along, and later ones more.
#[test]
fn threads_are_started_for_modules_that_come_later() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().workers(2));
    let started = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&started);
    host.on_worker_start(move |_| _ = count.fetch_add(1, Ordering::Relaxed)).unwrap();
    host.add(ModuleSpec::fast("here").reads::<()>(), |_| {}).unwrap();
    frames(&mut host, &mut world, 1);
    let ((meets, met), mut gates) = (channel(), Vec::new());
    for number in 0..3 {
        let (gate, opened) = channel::<()>();
        gates.push(gate);
        let meets = meets.clone();
        let spec = ModuleSpec::slow(format!("away {number}"), Rate::EVERY_FRAME);
        let spec = spec.mode(Mode::Asynchronous).reads::<()>();
        host.install(&mut world, spec, move |_| {
            meets.send(number).unwrap();
            // The other end is gone with the test.
            _ = opened.recv();
        })
        .unwrap();
    }
    assert_eq!(started.load(Ordering::Relaxed), 2);
    frames(&mut host, &mut world, 1);
    let both = [met.recv().unwrap(), met.recv().unwrap()];
    assert_ne!(both[0], both[1], "two run side by side");
    gates.clear();
    host.finish(&mut world);
    assert!(host.statistics(&world).modules.iter().all(|module| module.runs > 0));
}

#[test]
fn what_cannot_be_installed_leaves_the_host_as_it_was() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().workers(0));
    host.add(ModuleSpec::fast("first").reads::<(u32,)>(), |_| {}).unwrap();
    frames(&mut host, &mut world, 1);
    let lives = token();
    let mut install = |host: &mut ModuleHost, spec: ModuleSpec| {
        let owned = Arc::clone(&lives);
        let run = move |_: &mut ModuleContext<'_>| _ = Arc::strong_count(&owned);
        host.install(&mut world, spec, run)
    };
    let narrow = {
        let mut other = World::new();
        let mask = other.mask_of::<(u8,)>().unwrap();
        let provider = Arc::new(SharedSnapshotProvider::new(mask, SnapshotPool::default()));
        ModuleSpec::fast("narrow").reads::<(u16,)>().provider(&other, provider)
    };
    let results = [
        install(&mut host, ModuleSpec::fast("first").reads::<()>()),
        install(&mut host, ModuleSpec::fast("nothing")),
        install(&mut host, ModuleSpec::triggered("never").reads::<()>()),
        install(&mut host, narrow),
    ];
    assert!(matches!(results[0], Err(HostError::DuplicateName { .. })));
    assert!(matches!(results[1], Err(HostError::NoReads { .. })));
    assert!(matches!(results[2], Err(HostError::NoTrigger { .. })));
    assert!(matches!(results[3], Err(HostError::ProviderMask { .. })));
    assert!(install(&mut host, ModuleSpec::fast("away").reads::<()>()).is_ok(), "the name is free");
    assert_eq!(Arc::strong_count(&lives), 2, "those that were refused are dropped");
    frames(&mut host, &mut world, 5);
    let statistics = host.statistics(&world);
    let runs: Vec<u64> = statistics.modules.iter().map(|module| module.runs).collect();
    assert_eq!(runs, [6, 5]);
    assert_eq!(statistics.convoys[0].provider.captures, 6);
}

/// A provider that was assigned by hand is updated once a frame, whichever of its convoys is left.
#[test]
fn a_provider_of_several_convoys_is_updated_as_long_as_one_is_left() {
    let mut world = World::new();
    world.spawn((1_u32,));
    let pool = SnapshotPool::default();
    let provider: Arc<dyn convoy_engine::provider::SnapshotProvider> =
        Arc::new(convoy_engine::provider::DoubleBufferProvider::new(ComponentMask::ALL, pool));
    let mut host = ModuleHost::default();
    let mut ids = Vec::new();
    for (name, every) in [("one", 1), ("two", 2), ("three", 3)] {
        let spec = ModuleSpec::slow(name, Rate::every_frames(every)).reads::<(u32,)>();
        ids.push(host.add(spec.provider(&world, Arc::clone(&provider)), |_| {}).unwrap());
    }
    for left in [3, 2, 1, 0] {
        let before = provider.statistics().captures;
        frames(&mut host, &mut world, 6);
        let captured = provider.statistics().captures - before;
        assert_eq!(captured, if left > 0 { 6 } else { 0 }, "{left} are left");
        if left > 0 {
            host.remove(ids[3 - left]).unwrap();
        }
    }
}
