//! What a host does about modules that never return, that are late, and that panic; and its pace.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};
use convoy_engine::World;
use convoy_engine::events::EventCursor;
use convoy_engine::host::{HostConfig, HostError, Mode, ModuleHost, ModuleSpec, Rate};

const FRAME: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(transparent)]
struct Ping(u64);

fn asynchronous(name: &str) -> ModuleSpec {
    ModuleSpec::slow(name, Rate::EVERY_FRAME).reads_all().mode(Mode::Asynchronous)
}

/// A module that begins its run, and ends it when it is told to.
fn adds_gated(host: &mut ModuleHost, spec: ModuleSpec) -> (Receiver<()>, Sender<()>) {
    let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
    host.add(spec.reads::<(u64,)>(), move |context| {
        begins.send(()).unwrap();
        // The other end is gone with a test that has ended.
        _ = opened.recv();
        let sum: u64 = context.view().query::<&u64>().iter().sum();
        context.commands().send_event(Ping(sum));
    })
    .unwrap();
    (begun, gate)
}

/// Trap 7 with the host gone: an abandoned module reads its view to the end, and the world and its host
/// are dropped meanwhile.
#[test]
fn a_module_that_does_not_return_is_abandoned_and_keeps_its_view() {
    let mut world = World::new();
    world.spawn_batch((0..1_000_u64).map(|number| (number,))).unwrap();
    let config = HostConfig::default().workers(2).abandon_after(Duration::from_millis(20));
    let mut host = ModuleHost::new(config);
    let (sums, sum) = channel();
    let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
    host.add(asynchronous("stuck").reads::<(u64,)>(), move |context| {
        begins.send(()).unwrap();
        opened.recv().unwrap();
        sums.send(context.view().query::<&u64>().iter().sum::<u64>()).unwrap();
    })
    .unwrap();
    host.add(asynchronous("quick").reads::<()>(), |_| {}).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    begun.recv().unwrap();
    let finished = host.finish_within(&mut world, Duration::from_millis(5));
    let Err(HostError::Unfinished { modules }) = finished else { panic!("one is stuck") };
    assert_eq!(modules, ["stuck"]);
    let statistics = host.statistics(&world);
    assert_eq!((statistics.modules[0].runs, statistics.modules[1].runs), (0, 1));
    // Nothing of the old rows may change under it.
    world.query_mut::<&mut u64>().for_each(|number| *number = 0);
    let began = Instant::now();
    drop(host);
    assert!(began.elapsed() < Duration::from_secs(20), "it is not waited for");
    drop(world);
    gate.send(()).unwrap();
    assert_eq!(sum.recv().unwrap(), (0..1_000).sum::<u64>());
}

/// A host whose threads are idle ends at once, however long it would wait.
#[test]
fn idle_threads_are_joined() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().workers(2).abandon_after(Duration::MAX));
    host.add(asynchronous("quick").reads::<()>(), |_| {}).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    host.finish_within(&mut world, Duration::MAX).unwrap();
    drop(host);
}

/// Runs that have not begun when a host is dropped never do.
#[test]
fn runs_that_wait_are_dropped_with_the_host() {
    let mut world = World::new();
    let config = HostConfig::default().workers(1).abandon_after(Duration::from_millis(10));
    let mut host = ModuleHost::new(config);
    let (begun, gate) = adds_gated(&mut host, asynchronous("first"));
    let waited = Arc::new(Mutex::new(0));
    let count = Arc::clone(&waited);
    host.add(asynchronous("second").reads::<()>(), move |_| *count.lock().unwrap() += 1).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    begun.recv().unwrap();
    drop(host);
    drop(gate);
    // The thread drops what it has when it ends; the second module is gone already.
    assert_eq!(Arc::strong_count(&waited), 1);
    assert_eq!(*waited.lock().unwrap(), 0);
}

/// A module that never returns kept those alive that had ended, with all that they own.
#[test]
fn a_stuck_module_keeps_no_other_alive() {
    let mut world = World::new();
    let config = HostConfig::default().workers(2).abandon_after(Duration::from_millis(10));
    let mut host = ModuleHost::new(config);
    let (begun, gate) = adds_gated(&mut host, asynchronous("stuck"));
    let owned = Arc::new(());
    let owner = Arc::clone(&owned);
    host.add(asynchronous("quick").reads::<()>(), move |_| _ = &owner).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    begun.recv().unwrap();
    assert!(!host.wait(Duration::from_millis(50)), "one is stuck");
    host.run_frame(&mut world, FRAME).unwrap();
    drop(host);
    assert_eq!(Arc::strong_count(&owned), 1);
    drop(gate);
}

#[test]
fn a_late_module_is_told_what_was_dropped() {
    let mut world = World::new();
    world.spawn((1_u64,));
    let mut host = ModuleHost::new(HostConfig::default().workers(1));
    let told = Arc::new(Mutex::new(Vec::new()));
    let ((begins, begun), (gate, opened)) = (channel(), channel::<()>());
    let list = Arc::clone(&told);
    host.add(asynchronous("late").deadline(FRAME).reads::<(u64,)>(), move |context| {
        list.lock().unwrap().push((context.dropped_commands(), context.tick(), context.time()));
        for number in 0..3 {
            context.commands().send_event(Ping(number));
        }
        begins.send(()).unwrap();
        opened.recv().unwrap();
    })
    .unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    begun.recv().unwrap();
    // The deadline passes, and the run that is due next is skipped.
    (0..3).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    gate.send(()).unwrap();
    assert!(host.wait(Duration::MAX));
    for _ in 0..4 {
        gate.send(()).unwrap();
        host.run_frame(&mut world, FRAME).unwrap();
        assert!(host.wait(Duration::MAX));
    }
    host.finish(&mut world);
    let told = told.lock().unwrap();
    let dropped: Vec<_> = told.iter().map(|&(dropped, ..)| dropped).collect();
    assert_eq!(dropped[..2], [0, 3], "told once, on its next run");
    assert!(dropped[2..].iter().all(|&dropped| dropped == 0));
    assert!(told.iter().all(|&(_, tick, time)| time == FRAME * u32::try_from(tick).unwrap()));
    let mut cursor = EventCursor::<Ping>::default();
    assert_eq!(world.events(&mut cursor).count(), 3 * (told.len() - 1), "late ones are dropped");
    assert_eq!(host.statistics(&world).modules[0].dropped_commands, 3);
}

#[test]
fn panics_are_told_with_their_message_and_module() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().workers(1).faults_max(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    host.on_panic(move |panic| {
        list.lock().unwrap().push((
            panic.module.index(),
            panic.name.to_owned(),
            panic.message.to_owned(),
        ));
        panic!("a callback may panic as well");
    });
    for (name, mode) in [("here", Mode::Synchronous), ("there", Mode::Asynchronous)] {
        let mut run = 0;
        host.add(ModuleSpec::slow(name, Rate::EVERY_FRAME).mode(mode).reads::<()>(), move |_| {
            run += 1;
            match run {
                1 => panic!("run {run}"),
                2 => std::panic::panic_any(7_u8),
                _ => {}
            }
        })
        .unwrap();
    }
    for _ in 0..3 {
        host.run_frame(&mut world, FRAME).unwrap();
        host.finish(&mut world);
    }
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    let expected = [
        (0, "here", "a panic without a message"),
        (0, "here", "run 1"),
        (1, "there", "a panic without a message"),
        (1, "there", "run 1"),
    ];
    let expected = expected.map(|(number, name, text)| (number, name.to_owned(), text.to_owned()));
    assert_eq!(*seen, expected);
    let statistics = host.statistics(&world);
    for module in &statistics.modules {
        assert_eq!(module.last_panic.as_deref(), Some("a panic without a message"));
        assert_eq!((module.runs, module.panics), (3, 2));
        assert!(module.run_time_p99 >= module.mean_run_time());
    }
    let text = statistics.to_string();
    assert!(
        text.contains("here") && text.contains("last panic: a panic without a message"),
        "{text}"
    );
}

/// Paused: no ticks, no runs, no time; what is under way and what was sent waits.
#[test]
fn a_paused_host_does_nothing_and_loses_nothing() {
    let mut world = World::new();
    world.spawn((5_u64,));
    let mut host = ModuleHost::new(HostConfig::default().workers(1));
    let (begun, gate) = adds_gated(&mut host, asynchronous("away"));
    let runs = Arc::new(Mutex::new((0, Duration::ZERO, Vec::new())));
    let list = Arc::clone(&runs);
    let mut cursor = EventCursor::<Ping>::default();
    host.add(ModuleSpec::fast("fast").reads_events::<Ping>(), move |context| {
        let mut state = list.lock().unwrap();
        state.0 += 1;
        state.1 += context.dt();
        state.2.extend(context.view().events(&mut cursor).map(|ping| ping.0));
    })
    .unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    begun.recv().unwrap();
    gate.send(()).unwrap();
    assert!(host.wait(Duration::MAX));
    host.pause();
    let hash = world.state_hash();
    for number in 0..10 {
        host.run_frame(&mut world, FRAME).unwrap();
        assert_eq!((world.tick(), host.is_paused()), (1, true));
        if number == 0 {
            assert_eq!(world.state_hash(), hash, "nothing lands in a paused world");
        }
        world.send_event(Ping(100 + number));
    }
    // Two steps, and no third.
    host.step();
    host.step();
    for _ in 0..3 {
        host.run_frame(&mut world, FRAME).unwrap();
        gate.send(()).unwrap();
        assert!(host.wait(Duration::MAX));
    }
    assert_eq!(world.tick(), 3);
    host.resume();
    for _ in 0..3 {
        host.run_frame(&mut world, FRAME).unwrap();
        gate.send(()).unwrap();
        assert!(host.wait(Duration::MAX));
    }
    host.finish(&mut world);
    let state = runs.lock().unwrap();
    assert_eq!((state.0, state.1), (6, 6 * FRAME));
    let sent: Vec<_> = state.2.iter().copied().filter(|&number| number >= 100).collect();
    assert_eq!(sent, (100..110).collect::<Vec<_>>(), "each once");
    let landed = state.2.iter().filter(|&&number| number == 5).count();
    assert!(landed >= 4, "runs land on frames that run: {landed}");
}

/// Rates and times follow simulated time at any scale, and hostile scales are refused.
#[test]
fn time_scales_reach_rates_and_modules() {
    for (scale, due) in [(0.0, 0), (0.5, 50), (1.0, 100), (2.0, 200), (0.1, 10)] {
        let mut world = World::new();
        let mut host = ModuleHost::new(HostConfig::default());
        host.set_time_scale(scale).unwrap();
        let given = Arc::new(Mutex::new((0, Duration::ZERO)));
        let sum = Arc::clone(&given);
        host.add(ModuleSpec::slow("ten", Rate::hz(10)).reads::<()>(), move |context| {
            let mut sum = sum.lock().unwrap();
            sum.0 += 1;
            sum.1 += context.dt();
            assert_eq!(sum.1, context.time());
        })
        .unwrap();
        // 10 s of real time.
        (0..2_000).for_each(|_| host.run_frame(&mut world, Duration::from_millis(5)).unwrap());
        let given = given.lock().unwrap();
        assert_eq!(given.0, due, "at {scale}");
        assert_eq!(world.tick(), 2_000);
        let expected = Duration::from_secs(10).mul_f64(scale);
        assert!(host.time().abs_diff(expected) < Duration::from_micros(10));
        assert_eq!(host.statistics(&world).modules[0].panics, 0);
    }
    let mut host = ModuleHost::new(HostConfig::default());
    for scale in [-1.0, f64::NAN, f64::INFINITY, -0.001, 2.2e9] {
        let refused = host.set_time_scale(scale);
        assert!(matches!(refused, Err(HostError::TimeScale { .. })), "{scale}");
    }
    host.run_frame(&mut World::new(), FRAME).unwrap();
    assert_eq!(host.time(), FRAME, "a refused scale changes nothing");
}
