//! Lock step of several frames: every run that is due, its results exactly as many frames later.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use convoy_engine::events::EventCursor;
use convoy_engine::host::{HostConfig, Mode, ModuleHost, ModuleSpec, Rate};
use convoy_engine::{ComponentMask, SnapshotPool, World};
use convoy_tests::Mixer;

const FRAME: Duration = Duration::from_millis(10);

/// The tick that a run read, and the events that it read.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
struct Read {
    tick: u64,
    events: u64,
    sum: u64,
}

fn lock_step(frames: u32, workers: usize) -> HostConfig {
    HostConfig::default().lock_step(NonZeroU32::new(frames)).workers(workers).faults_max(0)
}

/// A module that tells what it has read, and takes as long as it likes.
fn reporting(host: &mut ModuleHost, rate: Rate, seed: u64) {
    let mut mixer = Mixer::new(seed);
    let spec = ModuleSpec::slow(format!("module {seed}"), rate).mode(Mode::Asynchronous);
    host.add(spec.reads_events::<u64>(), move |context| {
        thread::sleep(Duration::from_micros(mixer.below(300) as u64));
        let tick = context.tick();
        let (events, sum) =
            context.events::<u64>().fold((0, 0), |(n, sum), event| (n + 1, sum + event));
        context.commands().send_event(Read { tick, events, sum });
    })
    .unwrap();
}

#[test]
fn a_run_lands_exactly_as_many_frames_later_with_any_number_of_workers() {
    for (frames, workers) in [(1, 1), (2, 0), (2, 3), (4, 1), (4, 4), (7, 2)] {
        let (mut world, mut host) = (World::new(), ModuleHost::new(lock_step(frames, workers)));
        for (seed, every) in [1, 1, 2, 3].into_iter().enumerate() {
            reporting(&mut host, Rate::every_frames(every), seed as u64);
        }
        let mut cursor = EventCursor::<Read>::default();
        for frame in 1..=60_u64 {
            world.send_event(frame);
            host.run_frame(&mut world, FRAME).unwrap();
            let landed: Vec<u64> = world.events(&mut cursor).map(|read| read.tick).collect();
            let began = frame.saturating_sub(frames.into());
            let due = |every: u64| began > 0 && began.is_multiple_of(every);
            let expected = [1, 1, 2, 3].into_iter().filter(|&every| due(every)).count();
            assert_eq!(landed, vec![began; expected], "{frames} frames, {workers} workers");
        }
        host.finish(&mut world);
        let modules = host.statistics(&world).modules;
        let runs: Vec<u64> = modules.iter().map(|module| module.runs).collect();
        assert_eq!(runs, [60, 60, 30, 20], "{frames} frames, {workers} workers");
        assert!(modules.iter().all(|module| module.overruns + module.refused == 0));
        let ages: Vec<u64> = modules.iter().map(|module| module.view_age_max).collect();
        assert_eq!(ages, [u64::from(frames); 4]);
    }
}

/// Each event is read by one run that takes effect, whatever panics and restores come in between, and the same
/// run with any number of workers.
#[test]
fn queued_runs_read_each_event_once_over_panics_and_restores() {
    let play = |seed: u64, workers: usize| {
        let mut mixer = Mixer::new(seed);
        let (frames, restores) = (1 + mixer.below(5) as u32, mixer.below(2) > 0);
        let config = lock_step(frames, workers).event_tries(u32::MAX);
        let (mut world, mut host) = (World::new(), ModuleHost::new(config));
        let mut fails = Mixer::new(seed + 1);
        let spec = ModuleSpec::slow("module", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
        host.add(spec.reads_events::<u64>(), move |context| {
            thread::sleep(Duration::from_micros(fails.below(100) as u64));
            let tick = context.tick();
            let (events, sum) =
                context.events::<u64>().fold((0, 0), |(n, sum), event| (n + 1, sum + event));
            if fails.below(5) == 0 {
                std::panic::resume_unwind(Box::new("by plan"));
            }
            context.commands().send_event(Read { tick, events, sum });
        })
        .unwrap();
        let (pool, mut log, mut cursor) =
            (SnapshotPool::default(), Vec::new(), EventCursor::default());
        let mut past = None;
        let mut next = 1_u64;
        for _ in 0..80 {
            match mixer.below(12) {
                0 => past = Some((world.capture(ComponentMask::ALL, &pool), log.clone(), next)),
                1 if restores => {
                    if let Some((view, earlier, first)) = &past {
                        world.restore(view).unwrap();
                        (log, next) = (earlier.clone(), *first);
                    }
                }
                _ => {}
            }
            for _ in 0..mixer.below(3) {
                world.send_event(next);
                next += 1;
            }
            host.run_frame(&mut world, FRAME).unwrap();
            log.extend(world.events::<Read>(&mut cursor));
        }
        // Quiet frames, so that what is given back is read in the end.
        for _ in 0..40 {
            host.run_frame(&mut world, FRAME).unwrap();
            log.extend(world.events::<Read>(&mut cursor));
        }
        host.finish(&mut world);
        log.extend(world.events::<Read>(&mut cursor));
        if !restores {
            let read: u64 = log.iter().map(|read| read.sum).sum();
            assert_eq!(read, (1..next).sum(), "seed {seed}: each event once");
        }
        let module = host.statistics(&world).modules.swap_remove(0);
        (log, next, world.state_hash(), module.dropped_events, module.lost_events, module.runs)
    };
    for seed in 0..40 {
        let expected = play(seed, 1);
        for workers in [2, 4] {
            assert_eq!(play(seed, workers), expected, "seed {seed}");
        }
        assert_eq!(expected.4, 0, "seed {seed}");
    }
}
