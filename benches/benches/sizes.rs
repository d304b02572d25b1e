//! Sizes: what each operation costs in a world of 10 thousand to 10 million entities of 96 bytes.
//!
//! A capture, the differences of two views, a state hash and a restore, each with 1 % of the chunks written
//! since; spawning all entities as one batch into the cleared world; and 10 thousand look-ups of random
//! entities. The report draws them, and tells how each grows.

mod common;

use criterion::{Criterion, SamplingMode};

use common::components::{Position, Transform, Velocity};
use common::shuffle::shuffled;
use common::simulation::{Charge, Simulation, row};
use common::timing::{bench, bench_prepared, criterion};
use convoy_engine::snapshot::{Diff, diff};
use convoy_engine::{Component, View, World};

const SIZES: [(&str, usize); 4] =
    [("10k", 10_000), ("100k", 100_000), ("1m", 1_000_000), ("10m", 10_000_000)];
/// One chunk in so many is written.
const FEW: usize = 100;
const GETS: usize = 10_000;

fn main() {
    let mut criterion = criterion();
    for (size, entities) in SIZES {
        operations(&mut criterion, size, entities);
    }
    criterion.final_summary();
}

fn operations(criterion: &mut Criterion, size: &str, entities: usize) {
    let mut group = criterion.benchmark_group("sizes");
    group.sampling_mode(SamplingMode::Flat);
    let set_up = || {
        let mut simulation = Simulation::new(entities);
        simulation.world.state_hash();
        let view = simulation.capture();
        (simulation, view)
    };
    // A frame of its own between two passes: a tenth of a percent are copies, and the rest of it is untimed.
    let write = |(simulation, _): &mut (Simulation, View)| {
        simulation.world.advance_tick();
        simulation.write(FEW);
    };
    bench_prepared(&mut group, ("capture", size), set_up, write, |(simulation, _), ()| {
        simulation.capture()
    });
    let two_views = |state: &mut (Simulation, View)| {
        state.1 = state.0.capture();
        write(state);
        state.0.capture()
    };
    bench_prepared(&mut group, ("diff", size), set_up, two_views, |(_, older), newer| {
        changes(older, newer)
    });
    bench_prepared(&mut group, ("hash", size), set_up, write, |(simulation, _), ()| {
        simulation.world.state_hash()
    });
    bench_prepared(&mut group, ("restore", size), set_up, write, |(simulation, view), ()| {
        simulation.world.restore(view).expect("the view is of everything")
    });
    let cleared = || Simulation::new(entities).world;
    let clear = |world: &mut World| world.clear().expect("no snapshot is alive");
    bench_prepared(&mut group, ("spawn", size), cleared, clear, |world, ()| {
        world.spawn_batch((0..entities).map(row)).expect("there is memory").len()
    });
    let chosen = || {
        let simulation = Simulation::new(entities);
        let order = shuffled(entities, GETS);
        let chosen: Vec<_> = order.into_iter().map(|row| simulation.entities[row]).collect();
        (simulation, chosen)
    };
    bench(&mut group, ("get", size), chosen, |(simulation, chosen)| {
        let value = |&entity| simulation.world.get::<Position>(entity).expect("it is alive").0[0];
        chosen.iter().map(value).sum::<f32>()
    });
    group.finish();
}

/// Every changed value between two views, counted.
fn changes(older: &View, newer: &View) -> usize {
    fn count<T: Component>(diff: &Diff<'_>) -> usize {
        diff.changed::<T>().expect("everything was captured").count()
    }
    let diff = diff(older, newer).expect("both are views of all of one world");
    count::<Transform>(&diff)
        + count::<Position>(&diff)
        + count::<Velocity>(&diff)
        + count::<Charge>(&diff)
}
