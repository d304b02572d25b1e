//! Snapshots, the providers that take them, replicas and branches.

use std::io;
use std::time::Duration;

use convoy_engine::checkpoint::{Checkpoint, Medium};
use convoy_engine::host::{ModuleHost, ModuleSpec, Rate};

use crate::common::*;

pub(crate) fn captures() -> Frame {
    let (world, entities) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        let view = snapshots.take(world, frame);
        let mut sum = 0;
        view.query::<&u32>().for_each(|number| sum += number);
        view.query::<(Entity, &u32)>().iter().for_each(|(_, number)| sum += number);
        sum += view.get::<u32>(entities[frame as usize % entities.len()]).unwrap();
        let narrow = view.clone().narrow(ComponentMask::NONE);
        assert!(view.contains(entities[0]) && narrow.shares_with(view));
        black_box((sum, view.lag(world), view.readers()));
    })
}

pub(crate) fn overlapping_captures() -> Frame {
    let (mut world, entities) = filled();
    let masks = [
        ComponentMask::ALL,
        world.mask_of::<(u32,)>().unwrap(),
        world.mask_of::<(Entity, Position)>().unwrap(),
    ];
    let pool = SnapshotPool::for_world(&world);
    pool.warm_up(12);
    world.reserve_captures(12).unwrap();
    let mut views: [Option<View>; 9] = Default::default();
    on(world, move |world, frame| {
        world.advance_tick();
        for (number, mask) in masks.into_iter().enumerate() {
            // Views of three lengths of life.
            let place = 3 * number + (frame as usize >> number) % 3;
            views[place] = Some(world.capture(mask, &pool));
            let entity = entities[(frame as usize % 100 * 7 + number) % entities.len()];
            *world.get_mut::<u32>(entity).unwrap() += 1;
            world.get_mut::<Position>(entity).unwrap()[0] += 1.0;
        }
    })
}

pub(crate) fn providers() -> Frame {
    let (mut world, _) = filled();
    let mask = world.mask_of::<Row>().unwrap();
    let pool = |world| {
        let pool = SnapshotPool::for_world(world);
        pool.warm_up(4);
        pool
    };
    let double = DoubleBufferProvider::new(mask, pool(&world));
    let demand = OnDemandProvider::new(mask, pool(&world));
    let shared = SharedSnapshotProvider::new(mask, pool(&world));
    let mut held: [Option<View>; 3] = Default::default();
    on(world, move |world, frame| {
        world.advance_tick();
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        let all: [&dyn SnapshotProvider; 3] = [&double, &demand, &shared];
        for (provider, held) in all.into_iter().zip(&mut held) {
            provider.update(world).unwrap();
            let view = provider.acquire(world).unwrap();
            let joined = provider.acquire(world).unwrap();
            black_box((joined.tick(), frame));
            *held = Some(view);
        }
    })
}

pub(crate) fn replicas() -> Frame {
    let (mut world, entities) = filled();
    let mut replica = World::with_config(config());
    Box::new(move |frame| {
        let entity = entities[frame as usize % entities.len()];
        *world.get_mut::<u32>(entity).unwrap() += 1;
        replica.sync_from(&world, ComponentMask::ALL).unwrap();
        assert_eq!(replica.get::<u32>(entity).unwrap(), world.get::<u32>(entity).unwrap());
        world.memory().mapped_bytes + replica.memory().mapped_bytes
    })
}

pub(crate) fn deltas() -> Frame {
    let (mut world, mut entities) = filled();
    // The follower has to know the type.
    world.send_event(0_u32);
    let (pool, mut encoder, mut bytes) =
        (SnapshotPool::for_world(&world), DeltaEncoder::new(), Vec::new());
    let mut older = world.capture(ComponentMask::ALL, &pool);
    let mut follower = World::branch(&older).unwrap();
    Box::new(move |frame| {
        let number = frame as usize % entities.len();
        *world.get_mut::<u32>(entities[number]).unwrap() += 1;
        world.despawn(entities[number]).unwrap();
        entities[number] = world.spawn((frame, [0.5_f32; 3]));
        world.send_event(frame);
        world.advance_tick();
        let newer = world.capture(ComponentMask::ALL, &pool);
        encoder.encode(&older, &newer, &mut bytes).unwrap();
        follower.apply(&Delta::parse(&bytes).unwrap()).unwrap();
        assert_eq!(follower.get::<u32>(entities[number]), Ok(&frame));
        older = newer;
        world.memory().mapped_bytes + follower.memory().mapped_bytes
    })
}

/// Saves the world and its host in every frame.
pub(crate) fn checkpoints() -> Frame {
    let (mut world, mut entities) = filled();
    let (mut host, mut state) = (ModuleHost::default(), Vec::new());
    let spec = ModuleSpec::slow("numbers", Rate::hz(10)).reads::<(u32,)>();
    host.add(spec.reads_events::<u32>(), |context| _ = context.events::<u32>().count()).unwrap();
    let spec = ModuleSpec::triggered("spawns").on_event::<u32>();
    host.add(spec, |context| _ = context.commands().spawn((7_u8,))).unwrap();
    let pool = SnapshotPool::for_world(&world);
    let mut checkpoint = Checkpoint::on(Sink::default()).unwrap();
    Box::new(move |frame| {
        let number = frame as usize % entities.len();
        *world.get_mut::<u32>(entities[number]).unwrap() += 1;
        world.despawn(entities[number]).unwrap();
        entities[number] = world.spawn((frame, [0.5_f32; 3]));
        world.send_event(frame);
        host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
        let spawned = world.query::<(Entity, &u8)>().iter().next().unwrap().0;
        world.despawn(spawned).unwrap();
        let view = world.capture(ComponentMask::ALL, &pool);
        state.clear();
        host.save(&view, &mut state).unwrap();
        let report = checkpoint.write_attached(&view, &[("host", &state)]).unwrap();
        assert!(report.chunks_written > 0);
        world.memory().mapped_bytes
    })
}

/// A medium that keeps nothing: what a file is written to is the system's affair.
#[derive(Default)]
struct Sink {
    end: u64,
}

impl Medium for Sink {
    fn len(&self) -> io::Result<u64> {
        Ok(self.end)
    }

    fn read_at(&self, _: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        Ok(())
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.end = self.end.max(at + black_box(bytes).len() as u64);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two worlds that took each other's room for lists, and added to it, would grow with every sync.
pub(crate) fn mutual_replicas() -> Frame {
    let (mut world, entities) = filled();
    let mut other = World::with_config(config());
    Box::new(move |frame| {
        let entity = entities[frame as usize % entities.len()];
        *world.get_mut::<u32>(entity).unwrap() += 1;
        other.sync_from(&world, ComponentMask::ALL).unwrap();
        *other.get_mut::<u32>(entity).unwrap() += 1;
        world.sync_from(&other, ComponentMask::ALL).unwrap();
        assert_eq!(world.get::<u32>(entity).unwrap(), other.get::<u32>(entity).unwrap());
        world.memory().mapped_bytes + other.memory().mapped_bytes
    })
}

pub(crate) fn restores() -> Frame {
    let (mut world, mut entities) = filled();
    world.insert_resource(7_u64).unwrap();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ComponentMask::ALL, &pool);
    let kept = entities.clone();
    let mut mixer = Mixer::new(3);
    on(world, move |world, frame| {
        for _ in 0..20 {
            let index = mixer.below(entities.len());
            world.despawn(entities.swap_remove(index)).unwrap();
            world.spawn((frame, [0.5_f32; 3]));
        }
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        world.send_event(frame);
        world.restore(&view).unwrap();
        assert_eq!(world.entity_count(), kept.len());
        entities.clear();
        entities.extend_from_slice(&kept);
    })
}

pub(crate) fn comparisons() -> Frame {
    let (world, entities) = filled();
    let pool = SnapshotPool::for_world(&world);
    let mut older = None;
    on(world, move |world, frame| {
        let entity = entities[frame as usize % entities.len()];
        *world.get_mut::<u32>(entity).unwrap() += 1;
        let newer = world.capture(ComponentMask::ALL, &pool);
        if let Some(older) = &older {
            let diff = diff(older, &newer).unwrap();
            assert_eq!(diff.changed::<u32>().unwrap().count(), 1);
            assert!(!diff.is_empty());
        }
        assert_eq!(world.state_hash(), newer.state_hash());
        older = Some(newer);
    })
}

pub(crate) fn churn_under_views() -> Frame {
    let (world, mut entities) = filled_with_room();
    let mut snapshots = Snapshots::new(&world);
    let mut mixer = Mixer::new(9);
    on(world, move |world, frame| {
        snapshots.take(world, frame);
        for _ in 0..50 {
            let index = mixer.below(entities.len());
            world.despawn(entities.swap_remove(index)).unwrap();
            entities.push(world.spawn((frame, [0.5_f32; 3])));
            world.query_mut::<&mut u32>().iter().take(3).for_each(|number| *number += 1);
        }
    })
}

/// A branch and the world that it comes from: both write, take snapshots, and go back now and then.
pub(crate) fn branches() -> Frame {
    let (mut world, _) = filled_with_room();
    let pool = SnapshotPool::for_world(&world);
    let origin = world.capture(ComponentMask::ALL, &pool);
    let mut branch = World::branch_with(&origin, memory()).unwrap();
    let mut snapshots = [Snapshots::new(&world), Snapshots::new(&branch)];
    Box::new(move |frame| {
        for (world, snapshots) in [&mut world, &mut branch].into_iter().zip(&mut snapshots) {
            let view = snapshots.take(world, frame).clone();
            world.query_mut::<&mut Position>().for_each(|position| position[0] += 1.0);
            if frame.is_multiple_of(10) {
                world.restore(&view).unwrap();
            }
        }
        assert!(branch.detach(Duration::MAX).unwrap().complete);
        world.memory().mapped_bytes + branch.memory().mapped_bytes
    })
}
