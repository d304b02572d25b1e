//! Failures in the middle of things: no torn row, no leak, and an error that names the fault.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use convoy_engine::memory::ArenaConfig;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_pool::MemoryError;

const ALL: ComponentMask = ComponentMask::ALL;
const ROWS: u64 = 512;

/// A world of `ROWS` entities in chunks of four rows, that may map `pages` pages.
fn world_of(pages: usize) -> Option<(World, Vec<Entity>)> {
    let config = WorldConfig::default().chunk_rows_max(4).memory(
        ArenaConfig::default()
            .first_slab_bytes(4096)
            .slab_bytes_max(4096)
            .limit_bytes(pages * 4096),
    );
    let mut world = World::with_config(config);
    let spawned: Result<Vec<_>, _> =
        (0..ROWS).map(|row| world.try_spawn((row, row as u32))).collect();
    spawned.ok().map(|entities| (world, entities))
}

fn rows_of(world: &World) -> Vec<(Entity, u64, u32)> {
    let query = world.query::<(Entity, &u64, &u32)>();
    query.iter().map(|(entity, wide, number)| (entity, *wide, *number)).collect()
}

fn rows_in(view: &View) -> Vec<(Entity, u64, u32)> {
    let query = view.query::<(Entity, &u64, &u32)>();
    query.iter().map(|(entity, wide, number)| (entity, *wide, *number)).collect()
}

/// Asserts that every byte is accounted for, and that nothing is retained without readers.
fn assert_no_leak(world: &mut World, live_bytes: usize) {
    world.advance_tick();
    let memory = world.memory();
    assert_eq!((memory.active_captures, memory.retained_bytes, memory.shared_bytes), (0, 0, 0));
    assert_eq!(memory.live_bytes, live_bytes, "as much as before");
    assert_eq!(memory.live_bytes + memory.free_bytes, memory.mapped_bytes);
}

#[test]
fn limit_reached_amid_a_copying_loop_leaves_whole_rows_and_names_the_limit() {
    let mut failed = 0;
    for pages in 1..80 {
        let Some((mut world, _)) = world_of(pages) else { continue };
        let (before, live_bytes) = (rows_of(&world), world.memory().live_bytes);
        let view = world.capture(ALL, &SnapshotPool::default());
        let result = world.query_mut::<(&mut u64, &mut u32)>().try_for_each(|(wide, number)| {
            *wide += 1_000;
            *number += 1_000;
        });
        assert_eq!(rows_in(&view), before, "the snapshot is whole at {pages} pages");
        let (after, memory) = (rows_of(&world), world.memory());
        let written = after.iter().zip(&before).take_while(|(after, before)| after != before);
        let written = written.count();
        for (row, (after, (entity, wide, number))) in after.iter().zip(&before).enumerate() {
            let more = if row < written { 1_000 } else { 0 };
            assert_eq!(*after, (*entity, wide + more, number + more as u32), "both or neither");
        }
        assert_eq!(
            memory.live_bytes + memory.retained_bytes + memory.free_bytes,
            memory.mapped_bytes
        );
        match result {
            Ok(()) => assert_eq!(written, ROWS as usize),
            Err(error) => {
                assert!(written < ROWS as usize);
                assert!(matches!(error, MemoryError::Limit { .. }), "{error:?}");
                failed += 1;
            }
        }
        drop(view);
        assert_no_leak(&mut world, live_bytes);
        // With the readers gone there is memory again, and the loop can be done anew.
        world.query_mut::<&mut u64>().try_for_each(|wide| *wide += 1).unwrap();
    }
    assert!(failed > 3, "the limit was reached in many places");
}

#[test]
fn limit_reached_amid_single_writes_changes_no_row_that_failed() {
    let mut failed = 0;
    for pages in 1..80 {
        let Some((mut world, entities)) = world_of(pages) else { continue };
        let (before, live_bytes) = (rows_of(&world), world.memory().live_bytes);
        let view = world.capture(ALL, &SnapshotPool::default());
        let mut model = before.clone();
        for (row, &entity) in entities.iter().enumerate() {
            match world.get_mut::<u64>(entity) {
                Ok(wide) => {
                    *wide = 7;
                    model[row].1 = 7;
                }
                Err(error) => {
                    assert!(error.to_string().contains("at most"), "{error}");
                    failed += 1;
                }
            }
            assert_eq!(rows_of(&world), model);
        }
        assert_eq!(rows_in(&view), before);
        drop(view);
        assert_no_leak(&mut world, live_bytes);
    }
    assert!(failed > 3, "the limit was reached in many places");
}

#[test]
fn closure_that_panics_over_a_shared_chunk_tears_no_row() {
    for fails_at in (0..ROWS).step_by(7) {
        let (mut world, _) = world_of(1_000).unwrap();
        let (before, live_bytes) = (rows_of(&world), world.memory().live_bytes);
        let view = world.capture(ALL, &SnapshotPool::default());
        let caught = catch_unwind(AssertUnwindSafe(|| {
            world.query_mut::<(&mut u64, &mut u32)>().for_each(|(wide, number)| {
                if *wide == fails_at {
                    resume_unwind(Box::new("in the middle of a chunk"));
                }
                *wide += 1_000;
                *number += 1_000;
            });
        }));
        assert!(caught.is_err());
        for (row, (after, (entity, wide, number))) in
            rows_of(&world).iter().zip(&before).enumerate()
        {
            let more = if (row as u64) < fails_at { 1_000 } else { 0 };
            assert_eq!(*after, (*entity, wide + more, number + more as u32), "row {row}");
        }
        assert_eq!(rows_in(&view), before);
        drop(view);
        assert_no_leak(&mut world, live_bytes);
    }
}

#[test]
fn world_dropped_under_readers_leaves_them_whole_snapshots_and_frees_the_cells() {
    let (mut world, entities) = world_of(1_000).unwrap();
    let pool = SnapshotPool::for_world(&world);
    let first = world.capture(ALL, &pool);
    let before = rows_in(&first);
    world.query_mut::<&mut u64>().for_each(|wide| *wide += 1);
    let second = world.capture(ALL, &pool);
    let after = rows_of(&world);
    world.despawn(entities[0]).unwrap();
    let readers: Vec<_> = [(first, before), (second, after)]
        .into_iter()
        .map(|(view, rows)| {
            std::thread::spawn(move || {
                for _ in 0..200 {
                    assert_eq!(rows_in(&view), rows);
                    assert_eq!(*view.clone().get::<u32>(rows[0].0).unwrap(), 0);
                }
            })
        })
        .collect();
    drop(world);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    let statistics = pool.statistics();
    assert_eq!(statistics.pooled as u64, statistics.created - statistics.discarded);
    assert_eq!(statistics.discarded, 0, "every cell has come back");
}
