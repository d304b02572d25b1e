//! Queries of a world that is shared out: any number at once, on one thread or several, unless one
//! writes a component that another one uses.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;

use convoy_engine::hierarchy::ChildOf;
use convoy_engine::memory::ArenaConfig;
use convoy_engine::query::{
    Changed, GetError, Has, PreparedQuery, QueryError, SharedQuery, SharedWorld, Terms,
};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, With, Without, World, WorldConfig};

fn borrowed(component: &'static str) -> Option<QueryError> {
    Some(QueryError::Borrowed { component })
}

fn world_of(rows: u32) -> (World, Vec<Entity>) {
    let config = WorldConfig::default().chunk_rows_max(4);
    let mut world = World::with_config(config);
    let entities = (0..rows).map(|row| world.spawn((row, f64::from(row), row as u16))).collect();
    (world, entities)
}

fn sum(shared: &SharedWorld<'_>) -> u32 {
    let mut sum = 0;
    shared.query::<&u32>().for_each(|number| sum += number);
    sum
}

#[test]
fn readers_of_one_component_coexist_and_a_writer_does_not_join_them() {
    let (mut world, _) = world_of(10);
    let shared = world.share();
    let one = shared.query::<&u32>();
    let other = shared.query::<(&u32, &f64)>();
    assert_eq!(shared.try_query::<&mut u32>().err(), borrowed("u32"));
    assert_eq!(shared.try_query::<(&u16, &mut f64)>().err(), borrowed("f64"));
    drop(other);
    assert_eq!(shared.try_query::<&mut u32>().err(), borrowed("u32"));
    drop(one);
    let writer = shared.query::<&mut u32>();
    assert_eq!(shared.try_query::<&u32>().err(), borrowed("u32"));
    assert_eq!(shared.try_query::<Option<&u32>>().err(), borrowed("u32"));
    assert_eq!(shared.try_query::<&mut u32>().err(), borrowed("u32"));
    assert_eq!(shared.query::<Has<u32>>().filter::<With<u32>>().count(), 10);
    drop(writer);
    assert_eq!(sum(&shared), 45);
}

#[test]
fn a_query_that_is_refused_borrows_nothing() {
    let (mut world, _) = world_of(3);
    let shared = world.share();
    let reader = shared.query::<&f64>();
    // The first component could be had, and is given back when the second can't.
    for _ in 0..3 {
        assert_eq!(shared.try_query::<(&mut u32, &mut f64)>().err(), borrowed("f64"));
        assert_eq!(shared.try_query::<(&mut u16, &u32, &mut f64)>().err(), borrowed("f64"));
    }
    assert_eq!(shared.query::<(&mut u32, &mut u16)>().count(), 3);
    drop(reader);
    let conflict = Some(QueryError::Conflict { component: "f64" });
    assert_eq!(shared.try_query::<(&mut f64, (&u32, &f64))>().err(), conflict);
    assert_eq!(shared.query::<(&mut u32, &mut u16, &mut f64)>().count(), 3);
}

#[test]
fn the_short_form_panics_and_names_the_component() {
    let (mut world, _) = world_of(3);
    let shared = world.share();
    let _writer = shared.query::<&mut u32>();
    let panic = catch_unwind(AssertUnwindSafe(|| shared.query::<&u32>().count())).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("u32"));
}

#[test]
fn a_panic_in_a_loop_gives_the_components_back() {
    let (mut world, _) = world_of(9);
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ComponentMask::ALL, &pool);
    let shared = world.share();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        shared.query::<&mut u32>().for_each(|number| {
            assert!(*number < 6, "the seventh");
            *number += 100;
        });
    }));
    assert!(panic.is_err());
    assert_eq!(sum(&shared), 36 + 600);
    assert_eq!(view.query::<&u32>().iter().sum::<u32>(), 36);
}

#[test]
fn queries_of_different_components_write_inside_each_other_while_a_snapshot_shares_all() {
    let (mut world, entities) = world_of(50);
    let pool = SnapshotPool::for_world(&world);
    for round in 0..20 {
        let view = world.capture(ComponentMask::ALL, &pool);
        let before: Vec<_> = view.query::<(&u32, &f64)>().iter().collect();
        let before: Vec<_> = before.into_iter().map(|(a, b)| (*a, *b)).collect();
        // The capture ends in the middle: the inner query reclaims its chunks.
        let mut view = Some(view);
        let shared = world.share();
        let mut numbers = shared.query::<&mut u32>();
        let mut values = shared.query::<(&mut f64, &u16)>();
        let mut row = 0;
        numbers.for_each(|number| {
            if row == 9 {
                view = None;
            }
            if row % 10 == 5 {
                values.for_each(|(value, part)| *value += f64::from(*part));
            }
            *number += 1;
            row += 1;
        });
        drop((numbers, values));
        let mut found = Vec::new();
        shared.query::<(&u32, &f64, &u16)>().for_each(|(a, b, part)| {
            found.push((*a - 1, *b - 5.0 * f64::from(*part)));
        });
        assert_eq!(found, before, "in round {round}");
        let mut query = shared.query::<(&mut f64, &u32)>();
        for &entity in &entities {
            let (value, number) = query.get(entity).unwrap();
            *value += f64::from(*number);
        }
    }
}

/// The query, as soon as no other thread has its components.
fn granted<'s, Q: Terms>(shared: &'s SharedWorld<'_>) -> SharedQuery<'s, Q> {
    loop {
        match shared.try_query() {
            Ok(query) => return query,
            Err(QueryError::Borrowed { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn threads_write_different_components_of_shared_chunks_at_once() {
    let (mut world, _) = world_of(400);
    let pool = SnapshotPool::for_world(&world);
    for round in 0..30_u32 {
        let view = world.capture(ComponentMask::ALL, &pool);
        let shared = &world.share();
        let barrier = &Barrier::new(3);
        let refused = std::thread::scope(|scope| {
            scope.spawn(move || {
                barrier.wait();
                granted::<(&mut u32, &u16)>(shared).for_each(|(number, part)| {
                    *number += u32::from(*part);
                });
            });
            scope.spawn(move || {
                barrier.wait();
                granted::<(&u16, &mut f64)>(shared).for_each(|(part, value)| {
                    *value += f64::from(*part);
                });
            });
            let refused = scope.spawn(move || {
                barrier.wait();
                (0..50).filter(|_| shared.try_query::<&mut u16>().is_err()).count()
            });
            refused.join().unwrap()
        });
        assert!(refused <= 50);
        let mut rows = 0;
        shared.query::<(&u32, &f64, &u16)>().for_each(|(number, value, part)| {
            assert_eq!(*number, (round + 2) * u32::from(*part));
            assert_eq!(*value, f64::from(*number));
            rows += 1;
        });
        assert_eq!(rows, 400);
        for (number, part) in view.query::<(&u32, &u16)>() {
            assert_eq!(*number, (round + 1) * u32::from(*part));
        }
    }
}

#[test]
fn one_thread_at_a_time_adds_to_a_component_that_all_want() {
    let (mut world, _) = world_of(40);
    let shared = &world.share();
    let made: u32 = std::thread::scope(|scope| {
        let threads = [(); 4].map(|()| {
            scope.spawn(move || {
                let mut made = 0;
                while made < 50 {
                    if let Ok(mut query) = shared.try_query::<&mut u32>() {
                        query.for_each(|number| *number += 1);
                        made += 1;
                    }
                    std::thread::yield_now();
                }
                made
            })
        });
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(made, 200);
    assert_eq!(sum(shared), 40 * 39 / 2 + 40 * 200);
}

#[test]
fn running_out_of_memory_changes_nothing_and_leaves_the_rest_usable() {
    let config = WorldConfig::default().chunk_rows_max(16).memory(
        ArenaConfig::default().first_slab_bytes(4096).slab_bytes_max(4096).limit_bytes(64 * 1024),
    );
    let mut world = World::with_config(config);
    while world.try_spawn(([1_u64; 8],)).is_ok() {}
    let rows = world.entity_count();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ComponentMask::ALL, &pool);
    let shared = world.share();
    let mut visited = 0;
    let mut query = shared.query::<&mut [u64; 8]>();
    let failed = query.try_for_each(|value| {
        value[0] = 2;
        visited += 1;
    });
    assert!(failed.is_err() && visited < rows);
    drop(query);
    let mut changed = 0;
    shared.query::<&[u64; 8]>().for_each(|value| changed += usize::from(value[0] == 2));
    assert_eq!(changed, visited);
    assert!(view.query::<&[u64; 8]>().iter().all(|value| value[0] == 1));
    drop(view);
    shared.query::<&mut [u64; 8]>().try_for_each(|value| value[0] = 3).unwrap();
}

#[test]
fn single_entities_are_found_or_refused_with_the_reason() {
    let (mut world, entities) = world_of(5);
    let bare = world.spawn((7_u32,));
    let gone = world.spawn((8_u32,));
    world.despawn(gone).unwrap();
    let shared = world.share();
    let mut query = shared.query::<(&mut u32, &f64)>();
    *query.get(entities[3]).unwrap().0 = 30;
    let missing = query.get(bare).unwrap_err();
    assert!(matches!(missing, GetError::Missing { component: "f64", entity } if entity == bare));
    assert!(
        matches!(query.get(gone).unwrap_err(), GetError::NotAlive { entity } if entity == gone)
    );
    let mut query = query.filter::<Without<u16>>();
    let filtered = query.get(entities[3]).unwrap_err();
    assert!(matches!(filtered, GetError::Filtered { entity } if entity == entities[3]));
    drop(query);
    assert_eq!(shared.query::<&u32>().get(entities[3]).unwrap(), &30);
}

/// The answers of queries that may write: plain, shared, prepared, and prepared with a filter.
fn answers<Q: Terms>(world: &mut World) -> [Option<QueryError>; 4] {
    let mut prepared = PreparedQuery::<Q>::new();
    let mut filtered = PreparedQuery::<Q, (Changed<u32>, With<u64>)>::new();
    [
        world.try_query_mut::<Q>().err(),
        world.share().try_query::<Q>().err(),
        prepared.try_query_mut(world).err(),
        filtered.try_query_mut(world).err(),
    ]
}

/// A component by its name, and whether a term writes it.
type Use = (&'static str, bool);

/// The error of a query of two terms, if they conflict.
fn conflict(uses: &[Use]) -> Option<QueryError> {
    for (place, &(component, writes)) in uses.iter().enumerate() {
        let others = uses.iter().enumerate().filter(|(other, _)| *other != place);
        if writes && component == "Entity" {
            return Some(QueryError::WritesEntity);
        }
        if writes && others.into_iter().any(|(_, (other, _))| *other == component) {
            return Some(QueryError::Conflict { component });
        }
    }
    None
}

/// Asks a query on worlds that know more and more of its components. A conflict is told at all of
/// them, and there is no other error but that of a replica without the columns that the query reads.
fn check<Q: Terms>(uses: &[Use]) {
    let expected = conflict(uses);
    let mut world = World::new();
    assert_eq!(answers::<Q>(&mut world), [expected; 4], "{uses:?}: nothing is registered");
    world.register::<u32>().unwrap();
    assert_eq!(answers::<Q>(&mut world), [expected; 4], "{uses:?}: a component is registered");
    world.spawn((1_u32, 2_u64, 0.5_f32));
    assert_eq!(answers::<Q>(&mut world), [expected; 4], "{uses:?}: an entity has all");
    let mut replica = World::new();
    let floats = world.mask_of::<(f32,)>().unwrap();
    replica.sync_from(&world, floats).unwrap();
    for answer in answers::<Q>(&mut replica) {
        let declined = matches!(answer, Some(QueryError::NotReadable { .. }) | None);
        assert!(answer == expected || (expected.is_none() && declined), "{uses:?}: a replica");
    }
}

/// Checks every pair of terms, side by side and nested.
macro_rules! check_pairs {
    (@with $first:ty, $use:expr, $([$($second:ty)+, $($other:expr)+])+) => {
        $(
            check::<($first, $($second)+)>(&[$use, $($other)+].concat());
            check::<((&f32, Has<u32>, $first), (($($second)+,), Option<&f32>))>(
                &[$use, $($other)+].concat(),
            );
        )+
    };
    ($([$first:ty, $use:expr])+) => {
        check_pairs!(@each $([$first, $use])+; $([$first, $use])+);
    };
    (@each [$first:ty, $use:expr] $([$next:ty, $next_use:expr])*; $($all:tt)+) => {
        check_pairs!(@with $first, $use, $($all)+);
        check_pairs!(@each $([$next, $next_use])*; $($all)+);
    };
    (@each ; $($all:tt)+) => {};
}

/// A query that writes a component and used it a second time ran on a world that had never seen the
/// component, and was refused from the day on that an entity had it: a fault of the program that
/// its tests on small worlds did not show. The types of a query decide its rights.
///
/// Ralith/hecs#161 is the report that the idea comes from.
#[test]
fn conflicts_are_told_by_types_whatever_the_world_knows() {
    check_pairs! {
        [&u32, vec![("u32", false)]]
        [&mut u32, vec![("u32", true)]]
        [Option<&u32>, vec![("u32", false)]]
        [Has<u32>, vec![]]
        [&mut u64, vec![("u64", true)]]
        [(&u64, &mut f64), vec![("u64", false), ("f64", true)]]
        [Entity, vec![("Entity", false)]]
        [&Entity, vec![("Entity", false)]]
        [&mut Entity, vec![("Entity", true)]]
    }
    let owned = "convoy_engine::hierarchy::ChildOf";
    for answer in answers::<(&ChildOf, &mut ChildOf)>(&mut World::new()) {
        assert_eq!(answer, Some(QueryError::EngineOwned { component: owned }));
    }
}

/// The same between two queries of a world that is shared out: they were told apart only where an
/// entity had had the component.
#[test]
fn queries_of_one_shared_world_conflict_about_types_that_nobody_has() {
    let mut world = World::new();
    world.spawn((1_u32,));
    let shared = world.share();
    let one = shared.query::<(&u32, Option<&u16>, &u16)>();
    let other = shared.query::<&u16>();
    assert_eq!(shared.try_query::<&mut u16>().err(), borrowed("u16"));
    assert_eq!(shared.try_query::<(&mut f32, &mut u16)>().err(), borrowed("u16"));
    drop(other);
    assert_eq!(shared.try_query::<&mut u16>().err(), borrowed("u16"));
    drop(one);
    let writer = shared.query::<(&mut u16, &mut f32, &u32)>();
    assert_eq!(shared.try_query::<&u16>().err(), borrowed("u16"));
    assert_eq!(shared.try_query::<Option<&f32>>().err(), borrowed("f32"));
    assert_eq!(shared.query::<(&u32, Has<u16>)>().count(), 1, "no row of it is reached");
    drop(writer);
    assert!(shared.try_query::<(&mut u16, Option<&f32>)>().is_ok());
    std::mem::forget(shared.query::<&mut u16>());
    assert_eq!(shared.try_query::<&u16>().err(), borrowed("u16"));
    assert!(world.share().try_query::<&u16>().is_ok(), "what was forgotten ends with the sharing");
}
