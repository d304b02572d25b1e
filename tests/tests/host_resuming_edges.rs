//! Hosts that are saved at odd moments: with runs that have ended and not landed, after another world, before the first
//! frame.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::num::NonZeroU32;
use std::time::Duration;

use convoy_engine::checkpoint::{Checkpoint, CheckpointReader};
use convoy_engine::host::{HostConfig, Mode, ModuleContext, ModuleHost, ModuleSpec, Rate};
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::{ComponentMask, SnapshotPool, View, World, WorldConfig};

const FRAME: Duration = Duration::from_millis(10);

fn config() -> WorldConfig {
    let schema =
        Schema::builder().component(TypeEntry::<u32>::new()).event(TypeEntry::<u64>::new());
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
