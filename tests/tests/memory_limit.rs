//! At the memory limit: errors are typed, and nothing is lost.
//!
//! The story behind the first three tests: a chunk counted as shared, finding memory for its copy
//! ended the very capture that shared it, and so retiring the chunk put it on the arena's free
//! list, whose link overwrote its first row, before the copy was made.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use convoy_engine::commands::Commands;
use convoy_engine::memory::{ArenaConfig, MemoryError};
use convoy_engine::query::PreparedQuery;
use convoy_engine::world::SpawnError;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::run_alone;

const ROWS: u64 = 8192;

fn value(row: u64) -> u64 {
    row | 0xABCD << 32
}

/// A full world under a limit of `bytes`, and `None` when it doesn't fit.
fn full_world(bytes: usize) -> Option<(World, Vec<Entity>)> {
    let config = WorldConfig::default().memory(
        ArenaConfig::default().first_slab_bytes(4096).slab_bytes_max(4096).limit_bytes(bytes),
    );
    let mut world = World::with_config(config);
    let spawned: Result<Vec<_>, _> = (0..ROWS).map(|row| world.try_spawn((value(row),))).collect();
    spawned.ok().map(|entities| (world, entities))
}

/// Copies one chunk for a view, drops the view, and then lets `write` find no memory but that of
/// the view that has just ended. Every row must keep its value.
fn ended_view_serves_the_next_copy(write: impl Fn(&mut World, Entity)) {
    let mut tried = 0;
    for bytes in (8..200).map(|pages| pages * 4096) {
        let Some((mut world, entities)) = full_world(bytes) else { continue };
        let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
        if world.get_mut::<u64>(entities[0]).is_err() {
            continue;
        }
        drop(view);
        write(&mut world, entities[3000]);
        for (row, &entity) in (0..).zip(&entities) {
            assert_eq!(*world.get::<u64>(entity).unwrap(), value(row), "limit {bytes}, row {row}");
        }
        tried += 1;
    }
    assert!(tried > 0, "some limit leaves room for one copy");
}

#[test]
fn get_mut_survives_the_end_of_the_capture_that_it_copies_for() {
    ended_view_serves_the_next_copy(|world, entity| {
        let _ = world.get_mut::<u64>(entity);
    });
}

#[test]
fn for_each_survives_the_end_of_the_capture_that_it_copies_for() {
    ended_view_serves_the_next_copy(|world, _| {
        let _ = world.query_mut::<&mut u64>().try_for_each(|number| *number ^= 0);
    });
}

#[test]
fn iteration_survives_the_end_of_the_capture_that_it_copies_for() {
    ended_view_serves_the_next_copy(|world, _| {
        assert_eq!(world.query_mut::<&mut u64>().into_iter().count(), ROWS as usize);
    });
}

#[test]
fn dropped_command_buffers_give_their_handles_back() {
    let mut world = World::new();
    for _ in 0..1000 {
        let mut commands = Commands::new(&mut world);
        for _ in 0..60 {
            commands.spawn((1_u32,));
        }
        drop(commands);
        world.advance_tick();
    }
    let entity = world.spawn((1_u32,));
    assert!(entity.index() < 1000, "slots are used again: {entity}");
}

#[test]
fn a_buffer_that_spawns_much_every_frame_settles_on_recycled_slots() {
    let mut world = World::new();
    let mut commands = Commands::new(&mut world);
    for _ in 0..1000 {
        let spawned: Vec<_> = (0..200).map(|_| commands.spawn((1_u32,))).collect();
        assert_eq!(world.play_back(&mut commands).applied, 200);
        for entity in spawned {
            world.despawn(entity).unwrap();
        }
    }
    let entity = world.spawn((1_u32,));
    assert!(entity.index() < 2000, "slots are used again: {entity}");
}

#[test]
fn memory_that_was_cut_small_serves_large_chunks_once_all_is_free() {
    let config = WorldConfig::default().memory_limit_bytes(2 << 20);
    let mut world = World::with_config(config);
    let fill = |world: &mut World| {
        let mut spawned = 0_usize;
        while world.try_spawn(([spawned as u64; 4],)).is_ok() {
            spawned += 1;
        }
        spawned
    };
    let first = fill(&mut world);
    world.clear().unwrap();
    assert!(fill(&mut world) >= first * 9 / 10, "a cleared world holds as much again");
}

/// Handles that a dropped buffer gave back were forgotten where memory was too short to free them.
#[test]
fn handles_that_come_back_while_memory_is_short_are_freed_later() {
    let config = WorldConfig::default().chunk_rows_max(4).memory(
        ArenaConfig::default().first_slab_bytes(4096).slab_bytes_max(4096).limit_bytes(10 * 4096),
    );
    let (mut world, pool) = (World::with_config(config), SnapshotPool::default());
    let commands = Commands::new(&mut world);
    let view = world.capture(ComponentMask::ALL, &pool);
    while world.try_send_event(0_u64).is_ok() {}
    drop(commands);
    world.advance_tick();
    drop(view);
    world.clear().unwrap();
    world.advance_tick();
    assert!((0..64).all(|_| world.spawn((2_u64,)).index() < 64), "slots are used again");
}

/// A world without memory to copy the rows that a snapshot shares, and a view of the snapshot. The
/// first row is the world's own; `u32` has one row a chunk.
fn exhausted_world() -> (World, View) {
    let config = WorldConfig::default().chunk_rows_max(1).memory(
        ArenaConfig::default().first_slab_bytes(4096).slab_bytes_max(4096).limit_bytes(16 * 4096),
    );
    let mut world = World::with_config(config);
    let first = world.spawn((0_u32,));
    world.spawn_batch((1..4_u32).map(|number| (number, 0_u8))).unwrap();
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    *world.get_mut::<u32>(first).unwrap() += 10;
    while world.try_spawn((7_u64,)).is_ok() {}
    while world.try_send_event([0_u8; 256]).is_ok() {}
    while world.try_send_event(0_u8).is_ok() {}
    (world, view)
}

/// An iterator that had run out of memory and was asked again gave rows of a run that it had not
/// begun: those that it had given before.
#[test]
fn an_iterator_that_ran_out_of_memory_gives_no_row_twice() {
    let (mut world, view) = exhausted_world();
    let mut query = world.query_mut::<&mut u32>();
    let mut rows = query.iter();
    let first = rows.next().unwrap();
    for _ in 1..4 {
        assert!(catch_unwind(AssertUnwindSafe(|| rows.next().is_some())).is_err());
    }
    assert!(rows.next().is_none());
    *first += 1;
    assert!(world.query::<&u32>().iter().copied().eq([11, 1, 2, 3]));

    let mut prepared = PreparedQuery::<&mut u32>::new();
    let mut query = prepared.query_mut(&mut world);
    let mut rows = query.iter();
    let first = rows.next().unwrap();
    for _ in 1..4 {
        assert!(catch_unwind(AssertUnwindSafe(|| rows.next().is_some())).is_err());
    }
    assert!(rows.next().is_none());
    *first += 1;
    assert!(world.query::<&u32>().iter().copied().eq([12, 1, 2, 3]));
    assert!(view.query::<&u32>().iter().copied().eq([0, 1, 2, 3]));
}

/// The system, and not the world, has a limit: `ulimit -v`. The arena tried slabs of one size, and
/// gave up while the system would still have mapped half of that.
#[test]
fn all_that_the_system_maps_is_used_before_memory_runs_out() {
    for address_space_kib in [120_000, 200_000, 300_000] {
        run_alone("fill_the_address_space", Some(address_space_kib)).unwrap();
    }
}

#[test]
#[ignore = "run by another one"]
fn fill_the_address_space() {
    let mut world = World::new();
    let mut rows = 0_u64;
    let error = loop {
        match world.spawn_batch((0..10_000_u64).map(|number| (number, [number; 4]))) {
            Ok(_) => rows += 10_000,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpawnError::Memory(MemoryError::Map { .. })), "{error}");
    // One small slab and its alignment.
    let config = ArenaConfig::default().first_slab_bytes(4096).slab_bytes_max(4096);
    let left = convoy_pool::Arena::new(config).reserve(4 << 20);
    assert!(left.is_err(), "4 MiB are left beside {rows} rows");
    assert_eq!(world.entity_count() as u64, rows);
    world.query_mut::<&mut u64>().for_each(|number| *number += 1);
    assert_eq!(world.query::<&u64>().iter().sum::<u64>(), rows / 10_000 * 50_005_000);
}
