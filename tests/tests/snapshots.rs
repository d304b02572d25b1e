//! The promises of snapshots: they never change, are captured without a copy, keep only changed
//! chunks, and may be held by any thread for any time.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use convoy_engine::events::EventCursor;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Mixer;

const ALL: ComponentMask = ComponentMask::ALL;

fn world_with_chunk_rows(rows: usize) -> World {
    let config = WorldConfig::default().chunk_rows_max(rows);
    World::with_config(config)
}

fn numbers_of(view: &View) -> BTreeMap<Entity, (u32, u64)> {
    let query = view.query::<(Entity, &u32, &u64)>();
    query.iter().map(|(entity, number, wide)| (entity, (*number, *wide))).collect()
}

#[test]
fn view_is_unchanged_by_ten_frames_and_the_end_of_its_world() {
    let mut world = world_with_chunk_rows(16);
    let mut entities: Vec<Entity> =
        (0..500_u32).map(|number| world.spawn((number, u64::from(number)))).collect();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ALL, &pool);
    let expected = numbers_of(&view);
    assert_eq!(expected.len(), 500);
    // Each reader looks again and again while the world changes, and after it is gone.
    let gone = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (view, expected, gone) = (view.clone(), expected.clone(), Arc::clone(&gone));
            thread::spawn(move || {
                let mut last = false;
                while !last {
                    // Acquire: pairs with the Release after the world is dropped.
                    last = gone.load(Ordering::Acquire) == 1;
                    assert_eq!(numbers_of(&view), expected);
                    for (&entity, &(number, _)) in expected.iter().step_by(37) {
                        assert_eq!(*view.get::<u32>(entity).unwrap(), number);
                    }
                }
            })
        })
        .collect();
    let mut mixer = Mixer::new(1);
    for frame in 0..10_u32 {
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        for _ in 0..50 {
            world.despawn(entities.swap_remove(mixer.below(entities.len()))).unwrap();
            let entity = entities[mixer.below(entities.len())];
            world.insert(entity, (frame, 9_u8)).unwrap();
            entities.push(world.spawn((frame, 0_u64)));
        }
        world.advance_tick();
        assert_eq!(numbers_of(&view), expected, "frame {frame}");
    }
    world.clear().unwrap();
    drop(world);
    // Release: pairs with the Acquire of the readers.
    gone.store(1, Ordering::Release);
    for reader in readers {
        reader.join().unwrap();
    }
    drop(pool);
    assert_eq!(numbers_of(&view), expected);
    assert_eq!(view.tick(), 0);
}

#[test]
fn append_past_the_captured_length_copies_no_chunk() {
    let mut world = World::new();
    for number in 0..10_u32 {
        world.spawn((number, 1_u64));
    }
    world.reserve::<(u32, u64)>(1_000).unwrap();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ALL, &pool);
    let before = world.copy_statistics();
    let retained_bytes = world.memory().retained_bytes;
    for number in 10..1_000_u32 {
        world.spawn((number, 1_u64));
        world.send_event(number);
    }
    assert_eq!(world.copy_statistics().chunks_copied, before.chunks_copied);
    assert_eq!(world.memory().retained_bytes, retained_bytes);
    assert_eq!(view.query::<&u32>().iter().copied().sum::<u32>(), 45);
    assert_eq!(view.entity_count(), 10);
    assert_eq!(view.events::<u32>(&mut EventCursor::default()).len(), 0);
}

#[test]
fn columns_outside_the_mask_are_never_copied() {
    let mut world = world_with_chunk_rows(64);
    for number in 0..1_000_u32 {
        world.spawn((number, 1_u64));
    }
    let numbers = world.mask_of::<(Entity, u32)>().unwrap();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(numbers, &pool);
    world.query_mut::<&mut u64>().for_each(|wide| *wide += 1);
    assert_eq!(world.copy_statistics().chunks_copied, 0);
    assert_eq!(world.memory().retained_bytes, 0);
    world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    assert_eq!(world.copy_statistics().chunks_copied, 1_000_u64.div_ceil(64));
    drop(view);
}

#[test]
fn capture_copies_no_component_and_its_lists_grow_with_chunks() {
    let pool = SnapshotPool::default();
    let mut lists = Vec::new();
    for rows in [64, 128, 256] {
        let mut world = world_with_chunk_rows(rows);
        for number in 0..64 * 1_024_u32 {
            world.spawn((number, 1_u64));
        }
        let (copied, memory) = (world.copy_statistics(), world.memory());
        let view = world.capture(ALL, &pool);
        assert_eq!(world.copy_statistics(), copied);
        let after = world.memory();
        assert_eq!(
            (after.live_bytes, after.mapped_bytes),
            (memory.live_bytes, memory.mapped_bytes)
        );
        // Entities, two columns and the index: four entries, each of a pointer and two epochs, for
        // as many rows as a chunk. The index also has entries for the 32 * 1,024 slots of lanes that
        // lie between those of the world.
        let chunks = (4 * 64 + 32) * 1_024 / rows;
        let list_bytes = view.list_bytes();
        assert!((chunks * 24..chunks * 24 + 200).contains(&list_bytes), "{list_bytes} bytes");
        lists.push(list_bytes);
    }
    assert!(lists[0] > 3 * lists[2]);
}

#[test]
fn snapshot_retains_exactly_the_chunks_that_changed_in_its_columns() {
    let mut world = world_with_chunk_rows(64);
    let entities: Vec<Entity> =
        (0..64 * 100_u32).map(|number| world.spawn((number, u64::from(number)))).collect();
    let everything = world.capture(ALL, &SnapshotPool::for_world(&world));
    drop(everything);
    world.advance_tick();
    let numbers = world.mask_of::<(Entity, u32)>().unwrap();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(numbers, &pool);
    // A chunk of 64 numbers has 256 bytes, which is a class of its own.
    for touched in 1..=100_usize {
        let entity = entities[64 * (touched - 1) + touched % 64];
        *world.get_mut::<u32>(entity).unwrap() += 1;
        *world.get_mut::<u32>(entity).unwrap() += 1;
        *world.get_mut::<u64>(entity).unwrap() += 1;
        let memory = world.memory();
        assert_eq!(memory.retained_bytes, 256 * touched);
        assert_eq!(memory.retained_chunks, touched);
    }
    // A second snapshot shares the unchanged chunks, and keeps none of its own yet.
    let second = world.capture(numbers, &pool);
    assert_eq!(world.memory().retained_bytes, 256 * 100);
    drop(view);
    world.advance_tick();
    assert_eq!(world.memory().retained_bytes, 0);
    *world.get_mut::<u32>(entities[0]).unwrap() += 1;
    assert_eq!(world.memory().retained_bytes, 256);
    drop(second);
    world.advance_tick();
    let memory = world.memory();
    assert_eq!((memory.retained_bytes, memory.active_captures), (0, 0));
}

#[test]
fn chunk_that_two_snapshots_see_is_retained_until_both_are_gone() {
    for drop_older_first in [true, false] {
        let mut world = world_with_chunk_rows(64);
        let entity = world.spawn((1_u32, 1_u64));
        let pool = SnapshotPool::for_world(&world);
        let numbers = world.mask_of::<(u32,)>().unwrap();
        let (older, newer) = (world.capture(numbers, &pool), world.capture(numbers, &pool));
        *world.get_mut::<u32>(entity).unwrap() = 2;
        assert_eq!(world.memory().retained_chunks, 1);
        let (first, last) = if drop_older_first { (older, newer) } else { (newer, older) };
        drop(first);
        world.advance_tick();
        assert_eq!(world.memory().retained_chunks, 1);
        assert_eq!(last.query::<&u32>().iter().copied().collect::<Vec<_>>(), [1]);
        drop(last);
        world.advance_tick();
        assert_eq!(world.memory().retained_chunks, 0);
    }
}

/// Checks that a snapshot is of one frame: both columns of every row carry its number.
fn assert_one_frame(view: &View) {
    let frame = view.tick();
    let mut rows = 0;
    view.query::<(&u32, &u64)>().for_each(|(small, wide)| {
        assert_eq!((u64::from(*small), *wide), (frame, frame));
        rows += 1;
    });
    assert_eq!(rows, view.entity_count());
}

#[test]
fn readers_on_four_threads_see_whole_frames_while_the_world_runs() {
    let mut world = world_with_chunk_rows(32);
    let mut entities: Vec<Entity> = (0..2_000).map(|_| world.spawn((0_u32, 0_u64))).collect();
    let pool = SnapshotPool::for_world(&world);
    let checked = Arc::new(AtomicU64::new(0));
    let mut senders = Vec::new();
    let mut readers = Vec::new();
    for seed in 0..4 {
        let (sender, receiver) = mpsc::sync_channel::<View>(4);
        senders.push(sender);
        let checked = Arc::clone(&checked);
        readers.push(thread::spawn(move || {
            let mut mixer = Mixer::new(seed);
            let mut held: Vec<View> = Vec::new();
            while let Ok(view) = receiver.recv() {
                if mixer.below(64) == 0 {
                    // A thread that dies with a view leaves its snapshot like any other.
                    let view = view.clone();
                    let reader = thread::spawn(move || {
                        assert_one_frame(&view);
                        std::panic::resume_unwind(Box::new("dies while it holds a view"));
                    });
                    assert!(reader.join().is_err());
                }
                held.push(view.clone());
                held.push(view);
                for _ in 0..1 + mixer.below(3) {
                    assert_one_frame(&held[mixer.below(held.len())]);
                    // Relaxed: a count.
                    checked.fetch_add(1, Ordering::Relaxed);
                    if mixer.below(3) > 0 || held.len() > 6 {
                        held.swap_remove(mixer.below(held.len()));
                    }
                    if held.is_empty() {
                        break;
                    }
                }
            }
            held.iter().for_each(assert_one_frame);
        }));
    }
    let mut mixer = Mixer::new(99);
    let started = Instant::now();
    let mut frame = 0_u64;
    while started.elapsed() < Duration::from_secs(5) {
        world.advance_tick();
        frame += 1;
        for _ in 0..20 {
            world.despawn(entities.swap_remove(mixer.below(entities.len()))).unwrap();
            entities.push(world.spawn((frame as u32, frame)));
            let entity = entities[mixer.below(entities.len())];
            if world.remove::<(u8,)>(entity).is_err() {
                world.insert(entity, (1_u8,)).unwrap();
            }
        }
        let mut query = world.query_mut::<(&mut u32, &mut u64)>();
        query.for_each(|(small, wide)| (*small, *wide) = (frame as u32, frame));
        let view = world.capture(ALL, &pool);
        // The world never waits: a reader that is busy misses the frame.
        let _ = senders[frame as usize % 4].try_send(view);
    }
    drop(senders);
    for reader in readers {
        reader.join().unwrap();
    }
    assert!(checked.load(Ordering::Relaxed) > 100);
    world.advance_tick();
    let memory = world.memory();
    assert_eq!((memory.retained_bytes, memory.active_captures), (0, 0));
    assert!(frame > 50, "{frame} frames");
}

#[test]
fn views_go_to_any_thread_and_outlive_what_they_came_from() {
    fn is_shared_and_owned<T: Clone + Send + Sync + 'static>(value: T) -> T {
        value
    }
    let view = {
        let (mut world, pool) = (World::new(), SnapshotPool::default());
        world.spawn((1_u32,));
        is_shared_and_owned(world.capture(ComponentMask::ALL, &pool))
    };
    let readers = [view.clone(), view]
        .map(|view| std::thread::spawn(move || view.query::<&u32>().iter().sum::<u32>()));
    assert_eq!(readers.map(|reader| reader.join().unwrap()), [1, 1]);
}
