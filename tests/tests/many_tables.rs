//! Passes over few tables visit each as it is found, and those over many open runs ahead: both visit the same rows,
//! among tables that are empty, small, large and shared with a snapshot.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use bytemuck::{Pod, Zeroable};
use convoy_engine::query::{PreparedQuery, Readable};
use convoy_engine::{ComponentMask, SnapshotPool, Without, World};

/// What decides on the archetype, by the bits of a number.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(transparent)]
struct Bit<const N: usize>(u8);

#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(transparent)]
struct Health(u64);

/// Rows of the table of an archetype.
fn rows_of(archetype: usize) -> usize {
    match archetype % 50 {
        7 => 0,
        // More than a chunk.
        13 => 5_000,
        _ => 1 + archetype % 5,
    }
}

macro_rules! insert_bits {
    ($world:ident, $entity:ident, $number:ident, $($bit:literal)+) => {
        $(
            if $number >> $bit & 1 == 1 {
                $world.insert($entity, (Bit::<$bit>(1),)).unwrap();
            }
        )+
    };
}

/// A world of so many archetypes, with a `Health` in each row that tells the row from others.
fn world_of(archetypes: usize) -> World {
    let mut world = World::new();
    let mut next = 0;
    for number in 0..archetypes {
        // One that is taken away again where the table is to be empty.
        for row in 0..rows_of(number).max(1) {
            next += 1;
            let entity = world.spawn((Health(next),));
            insert_bits!(world, entity, number, 0 1 2 3 4 5 6 7 8 9);
            if row >= rows_of(number) {
                world.despawn(entity).unwrap();
            }
        }
    }
    world
}

/// All values, in the order of the iterator, which tells at each step how many follow, and goes on as well by `fold`.
fn values(readable: &impl Readable) -> Vec<u64> {
    let query = readable.query::<&Health>();
    let values = query.iter().map(|health| health.0).collect::<Vec<_>>();
    let mut iter = query.iter();
    for (index, value) in values.iter().enumerate() {
        // Each length is asked for in small worlds, and some are in large ones.
        if values.len() < 1_000 || index % 997 == 0 {
            assert_eq!(iter.len(), values.len() - index);
        }
        assert_eq!(iter.next().map(|health| health.0), Some(*value));
    }
    assert_eq!((iter.len(), iter.next()), (0, None));

    let stops = [1, 7, values.len() / 2, values.len() - 1];
    for stop in stops.into_iter().filter(|stop| (1..values.len()).contains(stop)) {
        let mut iter = query.iter();
        assert_eq!(iter.nth(stop - 1).map(|health| health.0), Some(values[stop - 1]));
        let mut rest = Vec::new();
        iter.for_each(|health| rest.push(health.0));
        assert_eq!(rest, values[stop..]);
    }
    values
}

/// The values in the order of `for_each`, with and without preparation.
fn visited(readable: &impl Readable) -> Vec<u64> {
    let mut visited = Vec::new();
    readable.query::<&Health>().for_each(|health| visited.push(health.0));
    let mut runs = Vec::new();
    PreparedQuery::<&Health>::new()
        .query(readable)
        .for_each_run(|healths| runs.extend(healths.iter().map(|health| health.0)));
    assert_eq!(visited, runs);
    visited
}

fn passes_agree(archetypes: usize) {
    let mut world = world_of(archetypes);
    let expected = values(&world);
    assert_eq!(expected.len(), (0..archetypes).map(rows_of).sum::<usize>());
    assert_eq!(visited(&world), expected);

    let pool = SnapshotPool::new(Default::default());
    let view = world.capture(ComponentMask::ALL, &pool);
    assert_eq!(visited(&view), expected);
    assert_eq!(values(&view), expected);

    // All chunks are shared, then none; after a capture, those of tables with the first bit.
    let mut prepared = PreparedQuery::<&mut Health>::new();
    let mut views = Vec::new();
    let mut now = expected.clone();
    for pass in 0..8 {
        let mut order = now.iter_mut();
        let mut step = |health: &mut Health| {
            let value = order.next().unwrap();
            assert_eq!(health.0, *value);
            health.0 += 1_000_000;
            *value = health.0;
        };
        match pass % 4 {
            3 => {
                let mut healths = world.query_mut::<&mut Health>().into_iter();
                let mut left = healths.len();
                while let Some(health) = healths.next() {
                    step(health);
                    left -= 1;
                    if left % 101 < 3 {
                        assert_eq!(healths.len(), left);
                    }
                }
                assert_eq!(left, 0);
            }
            0 => world.query_mut::<&mut Health>().for_each(step),
            1 => prepared.query_mut(&mut world).for_each(step),
            _ => prepared
                .query_mut(&mut world)
                .for_each_run(|healths| healths.iter_mut().for_each(&mut step)),
        }
        assert_eq!(order.len(), 0);
        assert_eq!(visited(&world), now);
        if pass == 2 || pass == 5 {
            views.push((world.capture(ComponentMask::ALL, &pool), now.clone()));
            let mut undone = world.query_mut::<&mut Health>().filter::<Without<Bit<0>>>();
            undone.for_each(|health| health.0 += 1);
            undone.for_each(|health| health.0 -= 1);
        }
    }
    assert_eq!(visited(&view), expected);
    for (view, then) in &views {
        assert_eq!(visited(view), *then);
    }

    let shared = world.share();
    let mut sum = 0;
    shared.query::<&mut Health>().for_each(|health| health.0 += 1);
    shared.query::<&Health>().for_each(|health| sum += health.0);
    assert_eq!(sum, now.iter().sum::<u64>() + now.len() as u64);
}

#[test]
fn passes_over_few_tables_visit_what_iterators_do() {
    passes_agree(1);
    passes_agree(6);
    passes_agree(100);
}

#[test]
fn passes_over_many_tables_visit_what_iterators_do() {
    passes_agree(700);
}
