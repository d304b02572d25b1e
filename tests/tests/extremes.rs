//! Arguments and configurations at their extremes: a number that is far too large is an error that
//! takes nothing, or stands for as much as there can be. It is never the end of the process.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::mem;
use std::time::Duration;

use convoy_engine::events::EventCursor;
use convoy_engine::host::{HostConfig, ModuleHost, ModuleSpec, Rate};
use convoy_engine::memory::{ArenaConfig, MemoryError};
use convoy_engine::snapshot::{SnapshotPoolConfig, SnapshotShape};
use convoy_engine::world::SpawnError;
use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
use convoy_tests::run_alone;

const ALL: ComponentMask = ComponentMask::ALL;

/// The list of chunks for 2^50 rows was made before the chunks were counted, and ended the process;
/// sums of rows overflowed; and an operation that was refused in the end had taken all memory.
#[test]
fn more_rows_than_there_can_be_are_refused_and_take_nothing() {
    run_alone("reserve_too_much", Some(4_000_000)).unwrap();
}

#[test]
#[ignore = "run by another one"]
fn reserve_too_much() {
    let mut world = World::new();
    world.spawn((1_u32, [0_u64; 512]));
    let mapped_bytes = world.memory().mapped_bytes;
    for rows in [1 << 32, 1 << 50, usize::MAX / 2, usize::MAX] {
        let refused = world.reserve::<(u32, [u64; 512])>(rows);
        assert!(matches!(refused, Err(SpawnError::Entities)), "{rows:#x}");
        assert!(matches!(world.reserve::<()>(rows), Err(SpawnError::Entities)), "{rows:#x}");
        let refused = world.reserve_lists::<(u32, [u64; 512])>(rows);
        assert!(matches!(refused, Err(SpawnError::Entities)), "{rows:#x}");
        assert!(matches!(world.reserve_entities(rows), Err(SpawnError::Entities)), "{rows:#x}");
    }
    for rows in [10_000_000, 4_000_000_000] {
        let refused = world.reserve::<(u32, [u64; 512])>(rows);
        let Err(SpawnError::Memory(MemoryError::Map { requested_bytes, .. })) = refused else {
            panic!("{rows} rows: {refused:?}");
        };
        assert!(requested_bytes > rows * 4096);
    }
    assert_eq!(world.memory().mapped_bytes, mapped_bytes);
    for count in [1 << 30, 1 << 50, usize::MAX] {
        let refused = world.reserve_captures(count);
        assert!(matches!(refused, Err(MemoryError::Heap { .. })), "{count:#x}");
        let mut shape = SnapshotShape::default();
        (shape.chunks, shape.handles) = (count, count);
        let config = SnapshotPoolConfig::default().shape(shape);
        assert!(matches!(SnapshotPool::try_new(config), Err(MemoryError::Heap { .. })));
    }
    assert!(world.reserve_bytes(1 << 50).is_err() && world.reserve_bytes(usize::MAX).is_err());
    world.reserve::<(u32, [u64; 512])>(10_000).unwrap();
    world.reserve_lists::<(u32, [u64; 512])>(1_000_000).unwrap();
    world.reserve_captures(10).unwrap();

    let config = WorldConfig::default()
        .memory(ArenaConfig::default().limit_bytes(1 << 20).first_slab_bytes(4096));
    let mut world = World::with_config(config);
    let refused = world.reserve::<(u64,)>(1_000_000);
    let Err(SpawnError::Memory(MemoryError::Limit { mapped_bytes, limit_bytes, .. })) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((mapped_bytes, limit_bytes), (0, 1 << 20));
    world.reserve::<(u64,)>(20_000).unwrap();
}

/// A world has slots for four thousand million entities; a table never has more rows than that.
#[test]
fn the_last_slot_is_followed_by_an_error() {
    static TAGS: [(); 1 << 40] = [(); 1 << 40];
    let mut world = World::new();
    assert!(matches!(world.spawn_columns((&TAGS[..],)), Err(SpawnError::Entities)));
    let first = world.spawn(());
    let (mut count, mut reserved) = (1 << 32, 0);
    while count > 0 {
        match world.reserve_entities(count) {
            // As if all were taken out.
            Ok(handles) => {
                reserved += {
                    mem::forget(handles);
                    count
                }
            }
            Err(_) => count /= 2,
        }
    }
    assert!(reserved > 4_000_000_000 && world.try_reserve_entity().is_err());
    assert!(matches!(world.spawn_batch([()]), Err(SpawnError::Entities)));
    let error = world.try_spawn(()).unwrap_err();
    assert!(matches!(error, SpawnError::Entities), "{error}");
    world.despawn(first).unwrap();
    assert_eq!(world.spawn(()).index(), first.index());
}

/// A log without bytes, tables of tags and of numbers, a capture, and its effects.
fn use_world(config: &WorldConfig) {
    let mut world = World::with_config(config.clone());
    let entity = world.spawn((1_u32, ()));
    world.spawn_batch((0..300_u32).map(|number| (number, ()))).unwrap();
    for number in 0..300_u16 {
        world.send_event(number);
        world.send_event(());
    }
    let view = world.capture(ALL, &SnapshotPool::default());
    world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    world.despawn(entity).unwrap();
    assert_eq!(*view.get::<u32>(entity).unwrap(), 1);
    assert_eq!(view.events(&mut EventCursor::<()>::default()).len(), 300);
    world.restore(&view).unwrap();
    let mut replica = World::with_config(config.clone());
    replica.sync_from(&world, ALL).unwrap();
    for world in [&world, &replica, &World::branch(&view).unwrap()] {
        assert_eq!(*world.get::<u32>(entity).unwrap(), 1);
        assert_eq!(world.query::<&u32>().iter().sum::<u32>(), 44_851);
        assert_eq!(world.query::<&()>().count(), 301);
        assert!(world.events(&mut EventCursor::<u16>::starting_at(299)).eq([299]));
    }
}

/// Chunks without a bound panicked at the first tag, and slabs without one failed every allocation.
#[test]
fn every_configuration_works() {
    for chunk_bytes_max in [0, 1, 1 << 28, 1 << 30, usize::MAX] {
        for chunk_rows_max in [0, 1, usize::MAX] {
            for [first_slab_bytes, slab_bytes_max] in
                [[0, 0], [0, usize::MAX], [usize::MAX, 0], [usize::MAX, usize::MAX]]
            {
                let config = WorldConfig::default()
                    .chunk_bytes_max(chunk_bytes_max)
                    .chunk_rows_max(chunk_rows_max)
                    .event_retention(if chunk_rows_max == 1 { usize::MAX } else { 0 })
                    .memory(
                        ArenaConfig::default()
                            .first_slab_bytes(first_slab_bytes)
                            .slab_bytes_max(slab_bytes_max),
                    );
                use_world(&config);
            }
        }
    }
}

/// `Flecs.NET#49` is a report of an engine that breaks at some number of entities more. Chunks of
/// 256 MiB were accepted, but there are none quite as large, so that no table could grow to them.
#[test]
fn large_chunks_bound_no_table() {
    for chunk_bytes_max in [1 << 28, 1 << 30, usize::MAX] {
        let config = WorldConfig::default().chunk_bytes_max(chunk_bytes_max);
        let mut world = World::with_config(config);
        let first = world.spawn((1_u64,));
        // More than one chunk of any column. The memory is not touched.
        world.reserve::<(u64,)>(30_000_000).unwrap();
        assert_eq!(*world.get::<u64>(first).unwrap(), 1);
        world.spawn_batch((0..1000_u64).map(|number| (number,))).unwrap();
    }
    assert_eq!(WorldConfig::CHUNK_BYTES_LIMIT, (1 << 28) - 10 * 4096);
}

#[test]
fn a_pool_of_any_size_and_workers_without_number_are_as_many_as_are_of_use() {
    let config = SnapshotPoolConfig::default().idle_max(usize::MAX).warm_up(2);
    let pool = SnapshotPool::new(config);
    assert_eq!(pool.statistics().pooled, 2);
    let mut world = World::new();
    world.spawn((1_u32,));
    drop(world.capture(ALL, &pool));

    let config = HostConfig::default().workers(usize::MAX);
    let mut host = ModuleHost::new(config);
    let spec = ModuleSpec::slow("a module", Rate::every_frames(1)).reads::<(u32,)>();
    host.add(spec, |context| _ = context.commands().spawn((2_u32,))).unwrap();
    host.run_frame(&mut world, Duration::from_millis(10)).unwrap();
    drop(host);
}
