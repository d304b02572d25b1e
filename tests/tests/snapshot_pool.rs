//! The pool of snapshot cells: which are made, used again, and kept.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::HashSet;
use std::sync::{Barrier, Mutex};
use std::thread;

use convoy_engine::snapshot::{SnapshotPoolConfig, SnapshotShape};
use convoy_engine::{ComponentMask, SnapshotPool, World};

/// A pool without cells that keeps `idle_max` of them.
fn empty_pool(idle_max: usize) -> SnapshotPool {
    let config = SnapshotPoolConfig::default().idle_max(idle_max).warm_up(0);
    SnapshotPool::new(config)
}

/// A world with 10,000 entities of two shapes, and some events.
fn populated_world() -> World {
    let mut world = World::new();
    for number in 0..5_000_u32 {
        world.spawn((number,));
        world.spawn((number, u64::from(number)));
    }
    world.send_event(7_u16);
    world
}

#[test]
fn an_empty_pool_makes_a_new_cell() {
    let pool = empty_pool(4);
    assert_eq!(pool.statistics().created, 0);
    let cell = pool.take();
    assert!(cell.is_empty());
    let statistics = pool.statistics();
    assert_eq!((statistics.created, statistics.missed, statistics.reused), (1, 1, 0));
    assert_eq!(statistics.pooled, 0, "the cell is taken");
}

#[test]
fn a_returned_cell_is_used_again() {
    let pool = empty_pool(4);
    let first = pool.take();
    let id = first.cell_id();
    drop(first);
    assert_eq!(pool.statistics().pooled, 1);
    let second = pool.take();
    assert_eq!(second.cell_id(), id, "the very same cell");
    let statistics = pool.statistics();
    assert_eq!((statistics.created, statistics.reused, statistics.pooled), (1, 1, 0));
    assert_eq!(statistics.reuse_rate(), 0.5);
}

#[test]
fn a_returned_cell_is_empty_and_keeps_its_capacity() {
    let mut world = populated_world();
    let pool = empty_pool(4);
    let cell = pool.take();
    let id = cell.cell_id();
    let view = world.capture_into(cell, ComponentMask::ALL);
    assert!(view.list_bytes() > 0 && view.entity_count() == 10_000);
    drop(view);

    let cell = pool.take();
    assert_eq!(cell.cell_id(), id);
    assert!(cell.is_empty(), "nothing of the last snapshot is left");
    let (capacity, needed) = (cell.capacity(), SnapshotShape::of(&world));
    assert!(capacity.tables >= needed.tables && capacity.columns >= needed.columns);
    assert!(capacity.chunks >= needed.chunks && capacity.logs >= needed.logs);
    assert!(capacity.tables >= 3 && capacity.logs >= 1, "two shapes, the empty one, one log");
    drop(cell);
    assert!(pool.statistics().idle_retained_bytes > 0);
}

#[test]
fn new_cells_have_the_room_of_the_schema_that_the_pool_was_set_up_with() {
    let world = populated_world();
    let shape = SnapshotShape::of(&world);
    let pool = SnapshotPool::new(SnapshotPoolConfig::default().warm_up(1).shape(shape));
    let (warm, cold) = (pool.take(), pool.take());
    assert_eq!(pool.statistics().missed, 1, "the second cell is made now");
    for cell in [warm, cold] {
        let capacity = cell.capacity();
        assert!(capacity.tables >= shape.tables && capacity.columns >= shape.columns);
        assert!(capacity.chunks >= shape.chunks && capacity.logs >= shape.logs);
        assert!(cell.is_empty(), "room is not content");
    }
}

#[test]
fn a_pool_for_a_world_never_grows_a_cell_for_it() {
    let mut world = populated_world();
    let pool = SnapshotPool::for_world(&world);
    let before = pool.take().capacity();
    drop(world.capture(ComponentMask::ALL, &pool));
    assert_eq!(pool.take().capacity(), before);
}

#[test]
fn warm_up_makes_cells_before_they_are_wanted() {
    let config = SnapshotPoolConfig::default().idle_max(4).warm_up(3);
    let pool = SnapshotPool::new(config);
    assert_eq!((pool.statistics().created, pool.statistics().pooled), (3, 3));
    let cells = [pool.take(), pool.take(), pool.take()];
    assert_eq!(pool.statistics().missed, 0, "all three were there");
    drop(cells);
    pool.warm_up(100);
    assert_eq!(pool.statistics().pooled, 4, "no more than the pool keeps");
    assert_eq!(pool.statistics().created, 4);
}

#[test]
fn idle_cells_are_bounded_and_the_rest_is_freed() {
    let pool = empty_pool(2);
    let cells: Vec<_> = (0..5).map(|_| pool.take()).collect();
    assert_eq!(pool.statistics().created, 5);
    drop(cells);
    let statistics = pool.statistics();
    assert_eq!((statistics.pooled, statistics.discarded), (2, 3));
    pool.trim();
    let statistics = pool.statistics();
    assert_eq!((statistics.pooled, statistics.idle_retained_bytes), (0, 0));
    assert!(pool.take().is_empty(), "a trimmed pool makes cells again");
}

#[test]
fn ten_threads_take_and_return_and_no_two_hold_one_cell_at_a_time() {
    const THREADS: usize = 10;
    const ROUNDS: usize = 2_000;
    let pool = empty_pool(THREADS);
    let held = Mutex::new(HashSet::new());
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (pool, held, start) = (&pool, &held, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..ROUNDS {
                    let cell = pool.take();
                    assert!(cell.is_empty());
                    let id = cell.cell_id();
                    assert!(held.lock().unwrap().insert(id), "one holder at a time");
                    if (number + round) % 3 == 0 {
                        thread::yield_now();
                    }
                    assert!(held.lock().unwrap().remove(&id));
                    drop(cell);
                }
            });
        }
    });
    let statistics = pool.statistics();
    assert_eq!(statistics.reused + statistics.missed, (THREADS * ROUNDS) as u64);
    assert_eq!(statistics.created, statistics.missed);
    assert_eq!(statistics.pooled as u64 + statistics.discarded, statistics.created);
    assert!(statistics.created <= THREADS as u64, "no more cells than holders: {statistics:?}");
}

#[test]
fn ten_threads_return_captured_cells_and_each_comes_back_empty() {
    const THREADS: usize = 10;
    let pool = empty_pool(THREADS);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let pool = &pool;
            scope.spawn(move || {
                let mut world = World::new();
                for row in 0..100 {
                    world.spawn((number as u64, row as u32));
                }
                for _ in 0..200 {
                    let cell = pool.take();
                    assert!(cell.is_empty());
                    let view = world.capture_into(cell, ComponentMask::ALL);
                    let query = view.query::<&u64>();
                    assert!(query.iter().len() == 100 && query.iter().all(|&n| n == number as u64));
                }
            });
        }
    });
    let statistics = pool.statistics();
    assert_eq!(statistics.pooled as u64 + statistics.discarded, statistics.created);
}
