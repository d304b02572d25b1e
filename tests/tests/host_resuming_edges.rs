//! Hosts that are saved at odd moments: with runs that have ended and not landed, after another world, before the first
//! frame.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use convoy_engine::checkpoint::{Checkpoint, CheckpointReader};
use convoy_engine::commands::Commands;
use convoy_engine::host::{
    HostConfig, HostError, Mode, ModuleContext, ModuleHost, ModuleSpec, Rate,
};
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::text::Text;
use convoy_engine::{ComponentMask, SnapshotPool, View, World, WorldConfig};

const FRAME: Duration = Duration::from_millis(10);

fn config() -> WorldConfig {
    let schema = Schema::builder()
        .component(TypeEntry::<u32>::new())
        .component(TypeEntry::<u64>::new())
        .component(TypeEntry::<Text>::new())
        .event(TypeEntry::<u64>::new());
    WorldConfig::default().schema(schema.build().unwrap())
}

fn capture(world: &mut World) -> View {
    world.capture(ComponentMask::ALL, &SnapshotPool::default())
}

/// Saves a world and its host, and goes on with them in another host.
fn reloaded(world: &mut World, host: &mut ModuleHost, other: &mut ModuleHost) -> World {
    let view = capture(world);
    let mut state = Vec::new();
    host.save(&view, &mut state).unwrap();
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    checkpoint.write_attached(&view, &[("host", &state)]).unwrap();
    let reader = CheckpointReader::new(checkpoint.into_medium()).unwrap();
    let mut world = reader.read(config()).unwrap();
    other.load(&mut world, reader.attachment("host").unwrap()).unwrap();
    world
}

fn frame(world: &mut World, host: &mut ModuleHost) -> u64 {
    host.run_frame(world, FRAME).unwrap();
    assert!(host.wait(Duration::MAX));
    world.state_hash()
}

fn lock_step(frames: u32) -> ModuleHost {
    ModuleHost::new(HostConfig::default().workers(1).lock_step(NonZeroU32::new(frames)))
}

fn spawns(spec: ModuleSpec, host: &mut ModuleHost, count: impl Fn(u64) -> u64 + Send + 'static) {
    let run = move |context: &mut ModuleContext<'_>| {
        for number in 0..count(context.tick()) {
            context.commands().spawn((number as u32,));
        }
    };
    host.add(spec, run).unwrap();
}

/// Compares the frames after a stop with those without one, for each frame on which the host is at rest.
fn compare_stops(frames: u64, new_host: impl Fn() -> ModuleHost) -> usize {
    let mut stops = 0;
    let (mut world, mut host) = (World::with_config(config()), new_host());
    let hashes: Vec<u64> = (0..frames).map(|_| frame(&mut world, &mut host)).collect();
    for stop in 0..frames as usize {
        let (mut world, mut host) = (World::with_config(config()), new_host());
        (0..stop).for_each(|_| _ = frame(&mut world, &mut host));
        if !host.is_at_rest() {
            continue;
        }
        stops += 1;
        let mut other = new_host();
        let mut world = reloaded(&mut world, &mut host, &mut other);
        for (number, &hash) in hashes.iter().enumerate().skip(stop) {
            assert_eq!(frame(&mut world, &mut other), hash, "stop {stop}, frame {number}");
        }
    }
    stops
}

/// A buffer keeps as many handles as its largest recording needed until many recordings in a row needed less, and those
/// of runs that had ended and not landed were not among these after a stop.
#[test]
fn stocks_fall_on_the_same_frame_after_a_stop() {
    let stops = compare_stops(70, || {
        let mut host = lock_step(3);
        let every = |name| ModuleSpec::slow(name, Rate::EVERY_FRAME).mode(Mode::Asynchronous);
        let burst = |tick| if tick == 2 { 2_000 } else { 0 };
        spawns(every("burst").reads::<()>(), &mut host, burst);
        let spec = ModuleSpec::slow("steady", Rate::every_frames(2)).reads::<()>();
        spawns(spec, &mut host, |_| 1);
        host
    });
    assert!(stops > 20, "{stops}");
}

/// A module with more runs under way than buffers are made for beforehand gets one more when all are under way: after a
/// stop, the runs that had ended and not landed counted as idle.
#[test]
fn runs_beyond_the_stock_have_the_same_handles_after_a_stop() {
    let stops = compare_stops(45, || {
        let mut host = lock_step(20);
        let spec = ModuleSpec::slow("far", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
        spawns(spec.reads::<()>(), &mut host, |tick| u64::from(tick > 16));
        host
    });
    assert!(stops > 10, "{stops}");
}

/// A run that asked for a text and recorded nothing else has an effect: the world keeps the text.
#[test]
fn texts_of_runs_that_have_not_landed_are_not_lost() {
    let content = "a text that is too long to lie in itself";
    let stops = compare_stops(8, || {
        let mut host = lock_step(3);
        let spec = ModuleSpec::slow("texts", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
        let run = move |context: &mut ModuleContext<'_>| {
            if context.tick() == 3 {
                _ = context.commands().text(content);
            }
        };
        host.add(spec.reads::<()>(), run).unwrap();
        let name = "resolves";
        host.add_system(convoy_engine::host::Phase::Export, name, move |world, frame| {
            if frame.tick == 7 {
                let is_known = world.resolve(&Text::new(content)).is_ok();
                world.spawn((u32::from(is_known),));
            }
        });
        host
    });
    assert!(stops > 3, "{stops}");
}

/// Another world took the place of the one before while runs were under way. Their buffers stayed those of the earlier
/// world, and the handles of these were saved.
#[test]
fn a_host_that_has_changed_its_world_is_saved_with_buffers_of_the_new_one() {
    for number in 0..4 * 5 * 8 * 8_u32 {
        let (delay, every) = (1 + number % 4, 1 + u64::from(number / 4 % 5));
        let (before, after) = (1 + number / 20 % 8, 1 + number / 160);
        let new_host = || {
            let mut host = lock_step(delay);
            let spec = ModuleSpec::slow("far", Rate::every_frames(every)).mode(Mode::Asynchronous);
            spawns(spec.reads::<()>(), &mut host, |tick| u64::from(tick > 16));
            spawns(ModuleSpec::slow("near", Rate::every_frames(2)).reads::<()>(), &mut host, |_| 1);
            host
        };
        let begin = || {
            let (mut world, mut host) = (World::with_config(config()), new_host());
            (0..before).for_each(|_| _ = frame(&mut world, &mut host));
            let mut world = World::branch(&capture(&mut world)).unwrap();
            (0..after).for_each(|_| _ = frame(&mut world, &mut host));
            (world, host)
        };
        let (mut world, mut host) = begin();
        let hashes: Vec<u64> = (0..20).map(|_| frame(&mut world, &mut host)).collect();
        let (mut world, mut host) = begin();
        if !host.is_at_rest() {
            continue;
        }
        let mut other = new_host();
        let mut world = reloaded(&mut world, &mut host, &mut other);
        for hash in hashes {
            let found = frame(&mut world, &mut other);
            assert_eq!(found, hash, "{delay} {every}, changed after {before}, saved after {after}");
        }
    }
}

/// A state that does not go with a world was found only when the host had gone to that world: back in its own, modules
/// had other buffers than before.
#[test]
fn a_state_that_is_refused_leaves_the_host_with_its_world() {
    let module = |name: &str| ModuleSpec::slow(name, Rate::every_frames(2)).reads::<()>();
    let mut many = ModuleHost::default();
    ["a", "b", "c"].iter().for_each(|name| spawns(module(name), &mut many, |_| 1));
    let mut world = World::with_config(config());
    (0..4).for_each(|_| _ = frame(&mut world, &mut many));
    let mut state = Vec::new();
    many.save(&capture(&mut world), &mut state).unwrap();
    let hashes = [false, true].map(|tries| {
        let (mut world, mut host) = (World::with_config(config()), ModuleHost::default());
        spawns(module("a"), &mut host, |_| 1);
        frame(&mut world, &mut host);
        let early = Commands::new(&mut world);
        let run = |context: &mut ModuleContext<'_>| _ = context.commands().spawn((1_u32,));
        host.install(&mut world, module("c"), run).unwrap();
        drop(early);
        if tries {
            let refused = host.load(&mut World::with_config(config()), &state);
            assert!(matches!(refused, Err(HostError::Handles { .. })), "{refused:?}");
        }
        (0..6).map(|_| frame(&mut world, &mut host)).collect::<Vec<_>>()
    });
    assert_eq!(hashes[0], hashes[1]);
}

/// A removed module keeps the handles of its buffer until its last run has landed.
#[test]
fn a_removed_module_whose_run_has_not_landed_is_busy() {
    let mut host = lock_step(3);
    let spec = ModuleSpec::slow("leaves", Rate::every_frames(2)).mode(Mode::Asynchronous);
    let id = host.add(spec.reads::<()>(), |_| {}).unwrap();
    let mut world = World::with_config(config());
    (0..2).for_each(|_| _ = frame(&mut world, &mut host));
    host.remove(id).unwrap();
    let view = capture(&mut world);
    assert!(!host.is_at_rest());
    let busy = host.save(&view, &mut Vec::new());
    assert!(matches!(busy, Err(HostError::Busy { module }) if module == "leaves"));
    (0..4).for_each(|_| _ = frame(&mut world, &mut host));
    assert!(host.is_at_rest());
}

/// Saved before its first frame, a module that runs on changes ran although there was nothing to change.
#[test]
fn a_module_without_a_cause_does_not_run_after_a_stop() {
    for (rows, frames) in [(0, 0), (0, 1), (3, 0), (3, 1), (3, 4)] {
        let runs = [false, true].map(|stops| {
            let count = Arc::new(AtomicU64::new(0));
            let new_host = || {
                let mut host = ModuleHost::default();
                let count = Arc::clone(&count);
                let spec = ModuleSpec::triggered("watch").on_change::<u64>().reads::<(u64,)>();
                host.add(spec, move |_| _ = count.fetch_add(1, Ordering::Relaxed)).unwrap();
                host
            };
            let (mut world, mut host) = (World::with_config(config()), new_host());
            (0..rows).for_each(|number| _ = world.spawn((number,)));
            (0..frames).for_each(|_| _ = frame(&mut world, &mut host));
            if stops {
                let mut other = new_host();
                world = reloaded(&mut world, &mut host, &mut other);
                host = other;
            }
            (0..5).for_each(|_| _ = frame(&mut world, &mut host));
            count.load(Ordering::Relaxed)
        });
        assert_eq!(runs[0], runs[1], "{rows} rows, {frames} frames");
    }
}
