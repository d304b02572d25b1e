//! Lists: iterating over those of eight elements, and adding to them.
//!
//! `array` has the eight elements as a component, in a world that went through the same churn, and so has
//! `array, any length`, whose loops don't know that there are eight. `vec` is a `Vec` of `Vec`s, in the order in which
//! they were made. `slices` are slices of one plain `Vec` that handles lead to, in a random order after churn: lists of
//! any length take no less. `convoy compacted` is the churned world after a compaction.

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use convoy_engine::list::List;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World};
use criterion::{BatchSize, BenchmarkId, Criterion};

use common::shuffle::shuffled;
use common::timing::criterion;

const ROWS: usize = 100_000;
const ELEMENTS: usize = 8;

type Array = [u32; ELEMENTS];

fn main() {
    let mut criterion = criterion();
    for (workload, is_churned) in [("iterate_fresh", false), ("iterate_churned", true)] {
        iterate(&mut criterion, workload, is_churned);
    }
    push(&mut criterion);
    criterion.final_summary();
}

fn array(number: usize) -> Array {
    [number as u32; ELEMENTS]
}

fn spawn(world: &mut World, number: usize, is_list: bool) -> Entity {
    if !is_list {
        return world.spawn((array(number),));
    }
    let entity = world.spawn((List::<u32>::new(),));
    world.list_mut::<u32>(entity).expect("it was just spawned").extend(array(number));
    entity
}

/// A world of lists or arrays, in which half of the entities were despawned at random and others spawned. Where
/// they have lists, half of those grew beyond their block and shrank again meanwhile.
fn world_of(is_list: bool, is_churned: bool) -> World {
    let mut world = World::new();
    let mut entities: Vec<Entity> =
        (0..ROWS).map(|number| spawn(&mut world, number, is_list)).collect();
    for round in 0..if is_churned { 4 } else { 0 } {
        for number in shuffled(ROWS, ROWS).into_iter().skip(round).step_by(2) {
            world.despawn(entities[number]).expect("it is alive");
            entities[number] = spawn(&mut world, number, is_list);
        }
        if is_list {
            for number in shuffled(ROWS, ROWS).into_iter().skip(round + 1).step_by(2) {
                let mut list = world.list_mut::<u32>(entities[number]).expect("it has a list");
                list.extend(array(number));
                list.truncate(ELEMENTS);
            }
        }
    }
    world
}

fn sum(elements: &[u32]) -> u64 {
    elements.iter().map(|&element| u64::from(element)).sum()
}

fn iterate(criterion: &mut Criterion, workload: &str, is_churned: bool) {
    let (arrays, mut lists) = (world_of(false, is_churned), world_of(true, is_churned));
    let view = lists.capture(ComponentMask::ALL, &SnapshotPool::default());
    let vecs: Vec<Vec<u32>> = (0..ROWS).map(|number| array(number).to_vec()).collect();
    let mut group = criterion.benchmark_group("lists");
    group.bench_function(BenchmarkId::new("array", workload), |bencher| {
        let query = || arrays.query::<&Array>();
        bencher.iter(|| {
            let mut total = 0;
            black_box(query()).for_each(|elements| total += sum(elements));
            total
        });
    });
    group.bench_function(BenchmarkId::new("array, any length", workload), |bencher| {
        let (query, len) = (|| arrays.query::<&Array>(), black_box(ELEMENTS));
        bencher.iter(|| {
            let mut total = 0;
            black_box(query()).for_each(|elements| total += sum(&elements[..len]));
            total
        });
    });
    group.bench_function(BenchmarkId::new("convoy", workload), |bencher| {
        let query = || lists.query::<&List<u32>>();
        bencher.iter(|| {
            let mut total = 0;
            black_box(query()).for_each(|elements| total += sum(elements));
            total
        });
    });
    group.bench_function(BenchmarkId::new("convoy view", workload), |bencher| {
        let query = || view.query::<&List<u32>>();
        bencher.iter(|| {
            let mut total = 0;
            black_box(query()).for_each(|elements| total += sum(elements));
            total
        });
    });
    if is_churned {
        let mut compacted = world_of(true, true);
        while !compacted.compact(Duration::MAX).complete {}
        group.bench_function(BenchmarkId::new("convoy compacted", workload), |bencher| {
            let query = || compacted.query::<&List<u32>>();
            bencher.iter(|| {
                let mut total = 0;
                black_box(query()).for_each(|elements| total += sum(elements));
                total
            });
        });
    }
    let elements = vecs.concat();
    let order = if is_churned { shuffled(ROWS, ROWS) } else { (0..ROWS).collect() };
    let handles: Vec<(u32, u32)> =
        order.iter().map(|&number| ((number * ELEMENTS) as u32, ELEMENTS as u32)).collect();
    group.bench_function(BenchmarkId::new("slices", workload), |bencher| {
        bencher.iter(|| {
            let slices = black_box(&handles).iter();
            slices
                .map(|&(start, len)| sum(&elements[start as usize..][..len as usize]))
                .sum::<u64>()
        });
    });
    group.bench_function(BenchmarkId::new("vec", workload), |bencher| {
        bencher.iter(|| black_box(&vecs).iter().map(|elements| sum(elements)).sum::<u64>());
    });
    group.finish();
}

/// Eight elements, one by one, are added to each of many lists: to such as had as many before, and to new ones.
fn push(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lists");
    let mut vecs: Vec<Vec<u32>> = (0..ROWS).map(|number| array(number).to_vec()).collect();
    group.bench_function(BenchmarkId::new("vec", "push_warm"), |bencher| {
        bencher.iter(|| {
            for vec in &mut vecs {
                vec.clear();
                (0..ELEMENTS).for_each(|element| vec.push(black_box(element as u32)));
            }
        });
    });
    let mut world = world_of(true, false);
    group.bench_function(BenchmarkId::new("convoy", "push_warm"), |bencher| {
        bencher.iter(|| {
            world.query_mut::<&mut List<u32>>().for_each(|mut list| {
                list.clear();
                (0..ELEMENTS).for_each(|element| list.push(black_box(element as u32)));
            });
        });
    });
    group.bench_function(BenchmarkId::new("vec", "push_new"), |bencher| {
        bencher.iter_batched_ref(
            || vec![Vec::<u32>::new(); ROWS],
            |vecs| {
                for vec in vecs {
                    (0..ELEMENTS).for_each(|element| vec.push(black_box(element as u32)));
                }
            },
            BatchSize::PerIteration,
        );
    });
    let mut world = World::new();
    group.bench_function(BenchmarkId::new("convoy", "push_new"), |bencher| {
        bencher.iter_custom(|iterations| {
            let mut timed = Duration::ZERO;
            for _ in 0..iterations {
                world.clear().expect("no snapshot shares the index");
                world
                    .spawn_batch((0..ROWS).map(|_| (List::<u32>::new(),)))
                    .expect("there is memory");
                let began = Instant::now();
                world.query_mut::<&mut List<u32>>().for_each(|mut list| {
                    (0..ELEMENTS).for_each(|element| list.push(black_box(element as u32)));
                });
                timed += began.elapsed();
            }
            timed
        });
    });
    group.finish();
}
