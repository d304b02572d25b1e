//! Texts: resolving them, and asking a world for one that it keeps.
//!
//! `slice` looks boxed strings up in a slice by their numbers, in the same order, and reads the first byte of each as
//! all subjects do: what a program does that numbers its strings by hand. `map` asks a `HashMap` of them for the
//! numbers.

mod common;

use std::collections::HashMap;
use std::hint::black_box;

use convoy_engine::text::Text;
use convoy_engine::{ComponentMask, SnapshotPool, World};
use criterion::{BenchmarkId, Criterion};

use common::shuffle::shuffled;
use common::timing::criterion;

const TEXTS: usize = 100_000;

fn main() {
    let mut criterion = criterion();
    for (name, count) in [("1k", 1_000), ("100k", TEXTS)] {
        texts(&mut criterion, name, count);
    }
    criterion.final_summary();
}

fn texts(criterion: &mut Criterion, name: &str, count: usize) {
    let contents: Vec<Box<str>> =
        (0..count).map(|number| format!("the name of number {number}").into()).collect();
    let order: Vec<usize> = shuffled(count, count);
    let mut world = World::new();
    let all: Vec<Text> = contents.iter().map(|content| world.text(content)).collect();
    let texts: Vec<Text> = order.iter().map(|&number| all[number]).collect();
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    let map: HashMap<&str, usize> =
        contents.iter().enumerate().map(|(number, content)| (&**content, number)).collect();

    let (resolve, ask) = (format!("resolve_{name}"), format!("ask_{name}"));
    let mut group = criterion.benchmark_group("texts");
    let first = |content: &str| u64::from(content.as_bytes()[0]);
    group.bench_function(BenchmarkId::new("slice", &resolve), |bencher| {
        bencher
            .iter(|| black_box(&order).iter().map(|&number| first(&contents[number])).sum::<u64>());
    });
    group.bench_function(BenchmarkId::new("convoy", &resolve), |bencher| {
        let resolved = |text| first(world.resolve(text).expect("the world keeps it"));
        bencher.iter(|| black_box(&texts).iter().map(resolved).sum::<u64>());
    });
    group.bench_function(BenchmarkId::new("convoy view", &resolve), |bencher| {
        let resolved = |text| first(view.resolve(text).expect("the view has it"));
        bencher.iter(|| black_box(&texts).iter().map(resolved).sum::<u64>());
    });
    let asked: Vec<&str> = order.iter().map(|&number| &*contents[number]).collect();
    group.bench_function(BenchmarkId::new("map", &ask), |bencher| {
        bencher.iter(|| black_box(&asked).iter().map(|content| map[*content]).sum::<usize>());
    });
    group.bench_function(BenchmarkId::new("convoy", &ask), |bencher| {
        bencher.iter(|| {
            let same = |content: &&&str| world.text(content).is_inline();
            black_box(&asked).iter().filter(same).count()
        });
    });
    group.finish();
}
