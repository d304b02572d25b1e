//! The module host as a whole: convoys, rates, faults, overruns, and its end.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use convoy_engine::host::{
    HostConfig, HostError, Mode, ModuleContext, ModuleHost, ModuleSpec, ModuleStatistics, Rate,
};
use convoy_engine::provider::{
    ProviderKind, SharedSnapshotProvider, SlowReaderLimits, SnapshotProvider,
};
use convoy_engine::query::{QueryError, ReadError};
use convoy_engine::{ComponentMask, SnapshotPool, View, World};

const FRAME: Duration = Duration::from_millis(10);

/// The component that a module adds by command.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
struct Mark {
    module: u32,
    run: u32,
}

/// A host configuration with `workers` threads whose results land `lock_step` frames later, or
/// whenever they are ready.
fn config(workers: usize, lock_step: Option<u32>) -> HostConfig {
    HostConfig::default()
        .workers(workers)
        .lock_step(lock_step.map(|frames| NonZeroU32::new(frames).unwrap()))
}

/// A world with 500 numbers, all `number`.
fn world_of(number: u64) -> World {
    let mut world = World::new();
    for _ in 0..500 {
        world.spawn((number,));
    }
    world
}

fn write(world: &mut World, number: u64) {
    world.query_mut::<&mut u64>().for_each(|value| *value = number);
}

/// The number that every row of the snapshot carries.
fn number_of(view: &View) -> u64 {
    let query = view.query::<&u64>();
    let number = *query.iter().next().unwrap();
    assert!(query.iter().len() == 500 && query.iter().all(|&each| each == number), "one snapshot");
    number
}

fn module(host: &ModuleHost, world: &World, index: usize) -> ModuleStatistics {
    host.statistics(world).modules[index].clone()
}

#[test]
fn five_modules_share_one_snapshot_and_all_their_commands_are_applied() {
    let mut world = world_of(0);
    let mut host = ModuleHost::default();
    let views = Arc::new(Mutex::new(Vec::<View>::new()));
    for number in 0..5 {
        let (views, mut run) = (Arc::clone(&views), 0);
        let spec = ModuleSpec::slow(format!("module {number}"), Rate::every_frames(3));
        host.add(spec.reads::<(u64,)>(), move |context| {
            views.lock().unwrap().push(context.view().clone());
            run += 1;
            context.commands().spawn((Mark { module: number, run },));
        })
        .unwrap();
    }
    for frame in 1..=30_u64 {
        write(&mut world, frame);
        host.run_frame(&mut world, FRAME).unwrap();
        let held = std::mem::take(&mut *views.lock().unwrap());
        if frame % 3 != 0 {
            assert!(held.is_empty(), "nobody is due on frame {frame}");
            continue;
        }
        assert_eq!((held.len(), held[0].readers()), (5, 5));
        assert!(held.iter().all(|view| view.shares_with(&held[0])), "one snapshot for all five");
        assert_eq!((held[0].tick(), number_of(&held[0])), (frame, frame));
    }
    let statistics = host.statistics(&world);
    assert_eq!((statistics.frames, statistics.convoys.len()), (30, 1));
    let provider = statistics.convoys[0].provider;
    assert_eq!((provider.captures, provider.joins, provider.refused), (10, 40, 0));
    assert_eq!(world.query::<&Mark>().iter().len(), 50, "every command of every member");
    for (number, module) in statistics.modules.iter().enumerate() {
        assert_eq!((module.runs, module.playback.applied), (10, 10));
        let own = world.query::<&Mark>();
        assert_eq!(own.iter().filter(|mark| mark.module == number as u32).count(), 10);
    }
    let pool = host.pool().unwrap().statistics();
    assert_eq!((pool.missed, pool.discarded), (0, 0), "the warmed-up cells were enough");
}

#[test]
fn twenty_modules_in_many_convoys_all_run_the_right_number_of_times() {
    // Five seconds at 60 frames per second.
    const FRAMES: u64 = 300;
    let rates = [
        (Rate::hz(10), 50),
        (Rate::hz(7), 35),
        (Rate::hz(1), 5),
        (Rate::every_frames(3), 100),
        (Rate::EVERY_FRAME, FRAMES),
    ];
    let mut world = world_of(0);
    let mut host = ModuleHost::new(config(2, Some(1)));
    let mut expected = Vec::new();
    for number in 0..20_u32 {
        let (rate, runs) = rates[number as usize % 5];
        let mode = [Mode::Synchronous, Mode::Asynchronous][number as usize / 5 % 2];
        let spec = ModuleSpec::slow(format!("module {number}"), rate).mode(mode);
        let mut run = 0;
        host.add(spec.reads::<(u64,)>(), move |context| {
            assert_eq!(number_of(context.view()), context.view().tick());
            run += 1;
            context.commands().spawn((Mark { module: number, run },));
        })
        .unwrap();
        expected.push(runs);
    }
    for frame in 1..=FRAMES {
        write(&mut world, frame);
        host.run_frame(&mut world, Duration::from_nanos(16_666_667)).unwrap();
    }
    host.finish(&mut world);
    let statistics = host.statistics(&world);
    assert_eq!(statistics.convoys.len(), 10, "five rates in two modes");
    for (number, (module, runs)) in statistics.modules.iter().zip(expected).enumerate() {
        assert_eq!((module.runs, module.playback.applied), (runs, runs), "{}", module.name);
        assert_eq!((module.panics, module.overruns, module.refused), (0, 0, 0), "{}", module.name);
        let marks = world.query::<&Mark>();
        let own = marks.iter().filter(|mark| mark.module == number as u32);
        let seen: Vec<u32> = own.map(|mark| mark.run).collect();
        let all: Vec<u32> = (1..=runs as u32).collect();
        assert_eq!(seen, all, "the commands of {}, each once and in order", module.name);
    }
    for convoy in &statistics.convoys {
        let index = rates.iter().position(|&(rate, _)| rate == convoy.rate).unwrap();
        assert_eq!((convoy.kind, convoy.members), (ProviderKind::Shared, 2));
        assert_eq!(
            (convoy.provider.captures, convoy.provider.joins),
            (rates[index].1, rates[index].1)
        );
    }
}

#[test]
fn dt_adds_up_to_the_elapsed_time_at_every_frame_rate() {
    for frames_per_second in [30, 60, 144] {
        let rates = [Rate::hz(7), Rate::hz(10), Rate::millihertz(500), Rate::every_frames(4)];
        let mut world = World::new();
        let mut host = ModuleHost::new(config(1, Some(1)));
        let sums = Arc::new(Mutex::new(vec![(Duration::ZERO, 0); 2 * rates.len()]));
        for number in 0..2 * rates.len() {
            let mode = [Mode::Synchronous, Mode::Asynchronous][number / rates.len()];
            let rate = rates[number % rates.len()];
            let spec = ModuleSpec::slow(format!("module {number}"), rate).reads_all().mode(mode);
            let sums = Arc::clone(&sums);
            host.add(spec, move |context| {
                let mut sums = sums.lock().unwrap();
                sums[number].0 += context.dt();
                // The tick is the number of the frame on which the module was due.
                sums[number].1 = context.view().tick();
            })
            .unwrap();
        }
        let dt = Duration::from_nanos(1_000_000_000 / frames_per_second);
        for _ in 0..10 * frames_per_second {
            host.run_frame(&mut world, dt).unwrap();
        }
        host.finish(&mut world);
        for &(sum, last_frame) in &*sums.lock().unwrap() {
            assert_eq!(sum, dt * last_frame as u32, "at {frames_per_second} frames per second");
            assert!(last_frame > 0);
        }
        let runs: Vec<u64> = host.statistics(&world).modules.iter().map(|each| each.runs).collect();
        let every_fourth = 10 * frames_per_second / 4;
        assert_eq!(runs, [70, 100, 5, every_fourth, 70, 100, 5, every_fourth]);
    }
}

/// A payload of a panic that panics itself when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("also the payload panics");
    }
}

#[test]
fn a_panicking_module_is_contained_switched_off_and_tried_again() {
    for mode in [Mode::Synchronous, Mode::Asynchronous] {
        let mut world = world_of(0);
        let config = config(1, Some(1)).faults_max(3).probe_after(5);
        let mut host = ModuleHost::new(config);
        let healthy = Arc::new(AtomicBool::new(false));
        let is_healthy = Arc::clone(&healthy);
        let spec = |name| ModuleSpec::slow(name, Rate::EVERY_FRAME).reads_all().mode(mode);
        host.add(spec("failing"), move |context| {
            context.commands().spawn((Mark { module: 0, run: 0 },));
            if !is_healthy.load(Ordering::Relaxed) {
                std::panic::panic_any(Bomb);
            }
        })
        .unwrap();
        host.add(spec("sound"), move |context| {
            context.commands().spawn((Mark { module: 1, run: 0 },));
        })
        .unwrap();
        let frames = |host: &mut ModuleHost, world: &mut World, count: u32| {
            for _ in 0..count {
                host.run_frame(world, FRAME).unwrap();
            }
            host.finish(world);
            module(host, world, 0)
        };
        let marks = |world: &World, module: u32| {
            world.query::<&Mark>().iter().filter(|mark| mark.module == module).count()
        };

        let failing = frames(&mut host, &mut world, 2);
        assert_eq!((failing.runs, failing.panics, failing.switched_off), (2, 2, false));
        let failing = frames(&mut host, &mut world, 1);
        assert_eq!((failing.runs, failing.panics, failing.switched_off), (3, 3, true));
        let failing = frames(&mut host, &mut world, 4);
        assert_eq!((failing.runs, failing.overruns), (3, 0), "it is left alone while it is off");
        let failing = frames(&mut host, &mut world, 1);
        assert_eq!((failing.runs, failing.panics), (4, 4), "one probe, which fails");
        let failing = frames(&mut host, &mut world, 4);
        assert_eq!((failing.runs, failing.switched_off), (4, true));
        assert_eq!(failing.playback.total(), 0, "the commands of a failed run are discarded whole");
        assert_eq!(marks(&world, 0), 0);

        healthy.store(true, Ordering::Relaxed);
        let failing = frames(&mut host, &mut world, 1);
        assert_eq!((failing.runs, failing.switched_off), (5, false), "the next probe succeeds");
        let failing = frames(&mut host, &mut world, 10);
        assert_eq!((failing.runs, failing.panics, failing.playback.applied), (15, 4, 11));
        assert_eq!(marks(&world, 0), 11);

        let sound = module(&host, &world, 1);
        assert_eq!((sound.runs, sound.panics, sound.playback.applied), (23, 0, 23));
        assert_eq!(marks(&world, 1), 23, "the other module never noticed");
    }
}

/// A module that reports when it starts and goes on when it is told to.
fn gated(
    started: Sender<View>,
    go_on: Receiver<()>,
    ended: Arc<AtomicU64>,
) -> impl FnMut(&mut ModuleContext<'_>) + Send + 'static {
    move |context: &mut ModuleContext<'_>| {
        let before = number_of(context.view());
        started.send(context.view().clone()).unwrap();
        go_on.recv().unwrap();
        assert_eq!(number_of(context.view()), before, "the snapshot is still the same");
        let run = ended.fetch_add(1, Ordering::Relaxed) as u32;
        context.commands().spawn((Mark { module: 0, run },));
    }
}

/// Trap 7 of the design: a snapshot is recycled under a module that timed out and still reads it.
#[test]
fn trap_7_an_overrunning_module_keeps_its_snapshot_and_the_others_go_on() {
    let mut world = world_of(0);
    let mut host = ModuleHost::new(config(2, None));
    let (started, has_started) = channel();
    let (may_go_on, go_on) = channel();
    let ended = Arc::new(AtomicU64::new(0));
    let rate = Rate::EVERY_FRAME;
    let slow = ModuleSpec::slow("slow", rate).reads_all().mode(Mode::Asynchronous);
    host.add(slow, gated(started, go_on, Arc::clone(&ended))).unwrap();
    let (ran, has_run) = channel();
    let quick = ModuleSpec::slow("quick", rate).reads_all().mode(Mode::Asynchronous);
    host.add(quick, move |context| {
        ran.send((context.view().tick(), number_of(context.view()))).unwrap();
    })
    .unwrap();
    let prompt = ModuleSpec::slow("prompt", rate).reads_all();
    host.add(prompt, |context| {
        assert_eq!(number_of(context.view()), context.view().tick());
    })
    .unwrap();

    write(&mut world, 1);
    host.run_frame(&mut world, FRAME).unwrap();
    let kept = has_started.recv().unwrap();
    assert_eq!(has_run.recv().unwrap(), (1, 1));
    for frame in 2..=50 {
        write(&mut world, frame);
        host.run_frame(&mut world, FRAME).unwrap();
        // The quick module may land a frame late; whenever it runs, it reads the newest snapshot.
        while let Ok((tick, number)) = has_run.try_recv() {
            assert_eq!(tick, number);
        }
    }
    let statistics = host.statistics(&world);
    let [slow, quick, prompt] = &statistics.modules[..] else { panic!("three modules") };
    assert_eq!((slow.runs, slow.overruns), (0, 49));
    assert_eq!((prompt.runs, prompt.overruns), (50, 0), "the frame never waited");
    // Due 50 times: run or overrun each time, and the last run may still be under way.
    assert!(matches!(quick.runs + quick.overruns, 49 | 50), "{quick:?}");
    assert_eq!((kept.tick(), number_of(&kept)), (1, 1));
    assert!(world.memory().retained_bytes > 0, "the old snapshot is paid for while it is read");

    drop(kept);
    may_go_on.send(()).unwrap();
    host.finish(&mut world);
    assert_eq!(module(&host, &world, 0).runs, 1);
    assert_eq!(world.query::<&Mark>().iter().len(), 1, "its commands land once, when it has ended");
    world.advance_tick();
    assert_eq!((world.memory().active_captures, world.memory().retained_bytes), (0, 0));

    let frame = world.tick() + 1;
    write(&mut world, frame);
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(has_started.recv().unwrap().tick(), frame, "the next run reads the newest");
    may_go_on.send(()).unwrap();
    host.finish(&mut world);
    assert!(host.statistics(&world).modules.iter().all(|module| module.panics == 0));
    assert_eq!((module(&host, &world, 0).runs, module(&host, &world, 0).overruns), (2, 49));
}

#[test]
fn dropping_the_host_while_a_module_runs_ends_it_and_returns_all_snapshots() {
    for world_first in [false, true] {
        let mut world = world_of(3);
        // One worker for three modules: two of them may still wait for it when the host is dropped, and never run.
        let mut host = ModuleHost::new(config(1, None));
        let (started, has_started) = channel();
        let ended = Arc::new(AtomicU64::new(0));
        let mut gates = Vec::new();
        for name in ["a", "b", "c"] {
            let (may_go_on, go_on) = channel();
            gates.push(may_go_on);
            let spec =
                ModuleSpec::slow(name, Rate::EVERY_FRAME).reads_all().mode(Mode::Asynchronous);
            host.add(spec, gated(started.clone(), go_on, Arc::clone(&ended))).unwrap();
        }
        host.run_frame(&mut world, FRAME).unwrap();
        let pool = host.pool().unwrap().clone();
        let view = has_started.recv().unwrap();
        assert_eq!(view.readers(), 4, "three modules and this one");
        write(&mut world, 4);
        let releaser = thread::spawn(move || {
            gates.into_iter().for_each(|gate| _ = gate.send(()));
        });
        if world_first {
            drop(world);
            drop(host);
        } else {
            drop(host);
            drop(world);
        }
        releaser.join().unwrap();
        let began = 1 + has_started.try_iter().count() as u64;
        assert_eq!(ended.load(Ordering::Relaxed), began, "runs that had begun came to their ends");
        assert_eq!(number_of(&view), 3);
        drop((view, has_started));
        let statistics = pool.statistics();
        assert_eq!(statistics.pooled as u64 + statistics.discarded, statistics.created);
    }
}

#[test]
fn dropping_a_host_that_never_ran_drops_its_modules() {
    let held = Arc::new(());
    let kept = Arc::clone(&held);
    let mut host = ModuleHost::default();
    host.add(ModuleSpec::fast("module").reads_all(), move |_| {
        let _ = &kept;
    })
    .unwrap();
    drop(host);
    assert_eq!(Arc::strong_count(&held), 1);
}

/// Without threads modules run on the host's, and what they record lands on the frame on which it always does.
#[test]
fn a_host_without_workers_runs_modules_of_every_mode_on_its_own_thread() {
    let (mut world, here) = (World::new(), thread::current().id());
    let mut host = ModuleHost::new(config(0, None));
    for (name, mode) in [("synced", Mode::FrameSynced), ("remote", Mode::Asynchronous)] {
        let spec = ModuleSpec::fast(name).reads_all().mode(mode);
        host.add(spec, move |context| {
            assert_eq!(thread::current().id(), here);
            context.commands().spawn((1_u8,));
        })
        .unwrap();
    }
    for frame in 1..5 {
        host.run_frame(&mut world, FRAME).unwrap();
        assert_eq!(world.entity_count(), 2 * frame - 1, "one landed at once, one a frame later");
    }
    host.finish(&mut world);
    assert_eq!(world.entity_count(), 8);
    let modules = host.statistics(&world).modules;
    assert!(modules.iter().all(|module| (module.runs, module.panics) == (4, 0)));
    assert_eq!((modules[0].view_age_max, modules[1].view_age_max), (0, 1));
}

#[test]
fn a_synchronous_host_needs_no_workers() {
    let mut world = World::new();
    let mut host = ModuleHost::new(config(0, None));
    host.add(ModuleSpec::fast("prompt").reads_all(), |_| {}).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(module(&host, &world, 0).runs, 1);
}

#[test]
fn modules_are_added_before_the_first_frame() {
    let mut world = World::new();
    let mut host = ModuleHost::default();
    host.add(ModuleSpec::fast("early").reads_all(), |_| {}).unwrap();
    host.initialize(&mut world).unwrap();
    let late = host.add(ModuleSpec::fast("late").reads_all(), |_| {});
    assert!(matches!(late, Err(HostError::Running)));
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(host.statistics(&world).modules.len(), 1);
}

/// More bytes than the largest chunk has.
type Enormous = [[[u8; 1024]; 1024]; 512];

#[test]
fn a_type_that_cannot_be_registered_is_named_with_its_module() {
    let mut world = World::new();
    let mut host = ModuleHost::default();
    // `(T,)` of half a gigabyte is never built here: only its type is declared.
    let spec = ModuleSpec::fast("greedy").reads_events::<Enormous>();
    host.add(spec, |_| {}).unwrap();
    let error = host.initialize(&mut world).unwrap_err();
    let HostError::Register { module, error: reason } = &error else { panic!("{error}") };
    assert_eq!(module, "greedy");
    let component = std::any::type_name::<Enormous>();
    assert!(reason.to_string().contains(component), "{reason}");
    assert!(error.to_string().contains("greedy"));
    assert!(std::error::Error::source(&error).is_some());
    assert!(host.pool().is_none(), "the host has not started");
}

/// The answers that a module got for a number and a mark.
type Reading = (Option<QueryError>, Option<QueryError>);

#[test]
fn reading_what_was_not_declared_names_the_component_also_when_a_partner_declared_it() {
    let mut world = world_of(1);
    let entity = world.spawn((Mark { module: 0, run: 0 }, 1_u64));
    let mut host = ModuleHost::default();
    let seen = Arc::new(Mutex::new(Vec::<Reading>::new()));
    let rate = Rate::EVERY_FRAME;
    let specs = [
        ModuleSpec::slow("numbers", rate).reads::<(u64,)>(),
        ModuleSpec::slow("marks", rate).reads::<(Mark,)>(),
        ModuleSpec::slow("both", rate).reads::<(u64,)>().reads::<(Mark,)>(),
        ModuleSpec::slow("all", rate).reads_all(),
    ];
    for spec in specs {
        let seen = Arc::clone(&seen);
        host.add(spec, move |context| {
            let view = context.view();
            let reading = (view.try_query::<&u64>().err(), view.try_query::<&Mark>().err());
            seen.lock().unwrap().push(reading);
            let looked_up = view.get::<u64>(entity);
            if view.mask() == ComponentMask::ALL {
                assert_eq!(looked_up, Ok(&1));
            } else {
                // Only the last module declared the handles.
                assert!(matches!(looked_up, Err(ReadError::NotReadable { .. })), "{looked_up:?}");
            }
        })
        .unwrap();
    }
    host.run_frame(&mut world, FRAME).unwrap();
    let number = Some(QueryError::NotReadable { component: "u64" });
    let mark = Some(QueryError::NotReadable { component: std::any::type_name::<Mark>() });
    let expected = [(None, mark), (number, None), (None, None), (None, None)];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(host.statistics(&world).convoys.len(), 1, "they all shared one snapshot");
    assert!(host.statistics(&world).modules.iter().all(|module| module.panics == 0));
}

/// Trap 9 of the design: a component that is registered after the masks were made is silently
/// absent. A module with declarations gets an error, one that reads everything gets the component.
#[test]
fn trap_9_a_component_registered_late_is_not_silently_absent() {
    let mut world = world_of(1);
    let mut host = ModuleHost::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let specs = [
        ModuleSpec::slow("numbers", Rate::EVERY_FRAME).reads::<(u64,)>(),
        ModuleSpec::slow("all", Rate::EVERY_FRAME).reads_all(),
    ];
    for spec in specs {
        let seen = Arc::clone(&seen);
        host.add(spec, move |context| {
            let found = context.view().try_query::<&Mark>().map(|query| query.iter().len());
            seen.lock().unwrap().push(found);
        })
        .unwrap();
    }
    let not_captured = QueryError::NotReadable { component: std::any::type_name::<Mark>() };
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [Err(not_captured), Ok(0)]);
    for run in 0..7 {
        world.spawn((Mark { module: 0, run }, u64::from(run)));
    }
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(*seen.lock().unwrap(), [Err(not_captured), Ok(7)]);
}

/// Convoys were updated and leased one after the other, so that the callback of a later provider's
/// update found the frame half begun.
#[test]
fn all_providers_are_updated_before_anybody_is_given_a_view() {
    let (mut world, mut host) = (world_of(0), ModuleHost::new(config(1, None)));
    let pool = SnapshotPool::default();
    let first = Arc::new(SharedSnapshotProvider::new(ComponentMask::ALL, pool.clone()));
    let captured = Arc::new(AtomicU64::new(u64::MAX));
    let limits = SlowReaderLimits::default().lag_max(0);
    let second = SharedSnapshotProvider::new(ComponentMask::ALL, pool);
    let second = second.with_slow_readers(limits, {
        let (first, captured) = (Arc::clone(&first), Arc::clone(&captured));
        move |_| captured.store(first.statistics().captures, Ordering::Relaxed)
    });
    let spec = |name| ModuleSpec::slow(name, Rate::EVERY_FRAME).reads_all();
    host.add(spec("first").provider(&world, first), |_| {}).unwrap();
    let mut kept = None;
    let keeping = move |context: &mut ModuleContext<'_>| {
        kept.get_or_insert_with(|| context.view().clone());
    };
    host.add(spec("second").provider(&world, Arc::new(second)), keeping).unwrap();
    (0..2).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    assert_eq!(captured.load(Ordering::Relaxed), 1, "none of the second frame");
}

#[test]
fn frame_synced_modules_end_within_the_frame_even_when_all_workers_are_busy() {
    let mut world = world_of(0);
    let mut host = ModuleHost::new(config(1, None));
    let (started, has_started) = channel();
    let (may_go_on, go_on) = channel();
    let slow =
        ModuleSpec::slow("slow", Rate::every_frames(100)).reads_all().mode(Mode::Asynchronous);
    host.add(slow, gated(started, go_on, Arc::new(AtomicU64::new(0)))).unwrap();
    for module in 1..=4 {
        let mode = if module == 2 { Mode::Synchronous } else { Mode::FrameSynced };
        let spec =
            ModuleSpec::slow(format!("module {module}"), Rate::EVERY_FRAME).reads_all().mode(mode);
        host.add(spec, move |context| {
            let run = context.view().tick() as u32;
            assert_eq!(number_of(context.view()), u64::from(run));
            context.commands().spawn((Mark { module, run },));
            assert!(module != 4, "the last one always fails");
        })
        .unwrap();
    }
    for frame in 1..=150 {
        write(&mut world, frame);
        host.run_frame(&mut world, FRAME).unwrap();
        if frame == 100 {
            // From here on the only worker is busy, and the frame runs the jobs that it waits for.
            has_started.recv().unwrap();
        }
        let marks = world.query::<&Mark>();
        assert_eq!(marks.iter().len(), 3 * frame as usize, "all commands, in their frame");
    }
    let order: Vec<_> = world.query::<&Mark>().iter().map(|mark| mark.module).collect();
    assert!(order.chunks(3).all(|frame| frame == [1, 2, 3]), "in the order of registration");
    let statistics = host.statistics(&world);
    assert!(statistics.modules[1..4].iter().all(|module| module.runs == 150));
    assert!(statistics.modules.iter().all(|module| module.overruns == 0));
    assert!(statistics.modules[4].panics > 3 && statistics.modules[4].switched_off);
    may_go_on.send(()).unwrap();
    host.finish(&mut world);
}

#[test]
fn a_run_that_ends_before_its_deadline_lands_and_a_late_one_is_skipped_once() {
    let mut world = world_of(0);
    let mut host = ModuleHost::new(config(1, None));
    let (started, has_started) = channel();
    let (may_go_on, go_on) = channel();
    let spec = ModuleSpec::slow("late", Rate::EVERY_FRAME).reads_all().mode(Mode::Asynchronous);
    let spec = spec.deadline(2 * FRAME);
    host.add(spec, gated(started, go_on, Arc::new(AtomicU64::new(0)))).unwrap();
    let mut frames = |world: &mut World, count: usize| {
        (0..count).for_each(|_| host.run_frame(world, FRAME).unwrap());
        module(&host, world, 0)
    };
    // Begun on frame 1; on frame 3 the deadline is reached and not passed.
    frames(&mut world, 1);
    drop(has_started.recv().unwrap());
    let before = frames(&mut world, 2);
    assert_eq!((before.missed_deadlines, before.overruns, before.skipped), (0, 2, 0));
    let late = frames(&mut world, 3);
    assert_eq!((late.missed_deadlines, late.overruns, late.skipped), (1, 4, 1));
    may_go_on.send(()).unwrap();
    host.finish(&mut world);
    let ended = module(&host, &world, 0);
    assert_eq!((ended.runs, ended.dropped_commands, ended.playback.applied), (1, 1, 0));
    assert_eq!(world.query::<&Mark>().iter().len(), 0, "late commands are dropped");
    host.run_frame(&mut world, FRAME).unwrap();
    drop(has_started.recv().unwrap());
    may_go_on.send(()).unwrap();
    host.finish(&mut world);
    let landed = module(&host, &world, 0);
    assert_eq!((landed.runs, landed.missed_deadlines, landed.playback.applied), (2, 1, 1));
}

#[test]
fn commands_of_the_first_run_after_a_restore_are_applied() {
    let mut world = world_of(1);
    let mut host = ModuleHost::new(config(0, None));
    let spec = ModuleSpec::fast("spawner").reads::<(u64,)>();
    let run = |context: &mut ModuleContext<'_>| {
        context.commands().spawn((Mark { module: 0, run: 0 },));
    };
    host.add(spec, run).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    for frame in 1..4 {
        world.restore(&view).unwrap();
        assert_eq!(world.query::<&Mark>().count(), 1);
        host.run_frame(&mut world, FRAME).unwrap();
        assert_eq!(world.query::<&Mark>().count(), 2, "frame {frame}");
    }
    assert_eq!(module(&host, &world, 0).playback.dead, 0);
}

/// In lock step a run keeps its view until it lands, also when the host had waited for it. The next
/// writes of the simulation were copied for snapshots without readers, and nothing could prevent it.
#[test]
fn what_is_written_after_a_wait_is_not_copied() {
    let mut world = World::new();
    world.spawn_batch((0..10_000_u64).map(|number| (number,))).unwrap();
    let config = HostConfig::default().lock_step(std::num::NonZeroU32::new(2));
    let mut host = ModuleHost::new(config);
    let spec = ModuleSpec::slow("reader", Rate::every_frames(1)).mode(Mode::Asynchronous);
    host.add(spec.reads::<(u64,)>(), |context| {
        assert_eq!(context.view().query::<&u64>().count(), 10_000);
    })
    .unwrap();
    for _ in 0..20 {
        host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
        assert!(host.wait(Duration::MAX));
        host.release_views();
        world.query_mut::<&mut u64>().for_each(|number| *number += 1);
    }
    assert_eq!(world.copy_statistics().chunks_copied, 0);
    assert!(host.statistics(&world).modules[0].runs >= 9);
}

#[test]
fn a_host_whose_worker_callback_panics_does_not_start_and_can_be_tried_again() {
    let (mut world, mut host) = (world_of(1), ModuleHost::new(HostConfig::default().workers(2)));
    let calls = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&calls);
    host.on_worker_start(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            std::panic::resume_unwind(Box::new("the first start"));
        }
    })
    .unwrap();
    for name in ["one", "two"] {
        let spec = ModuleSpec::slow(name, Rate::EVERY_FRAME).mode(Mode::Asynchronous);
        host.add(spec.reads::<()>(), |_| {}).unwrap();
    }
    let error = host.initialize(&mut world).unwrap_err();
    assert!(
        matches!(error, HostError::Threads(_)) && error.to_string().contains("panicked"),
        "{error}"
    );
    host.run_frame(&mut world, FRAME).unwrap();
    host.finish(&mut world);
    assert_eq!(calls.load(Ordering::Relaxed), 4, "two threads at each try");
    assert_eq!(host.statistics(&world).modules[1].runs, 1);
    assert!(matches!(host.on_worker_start(|_| {}), Err(HostError::Running)));
}
