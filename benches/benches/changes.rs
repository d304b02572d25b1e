//! Changes: the cost of finding and undoing them, against comparing and copying every row.
//!
//! 1,000,000 entities of 96 bytes in four components. Between the two captures, and before every
//! hash, all rows in 1 % of the chunks of each component were written. `diff` and `compare all
//! rows` count the rows that changed, the latter in two deep copies with the rows in one order,
//! which is all that is asked of it. `state hash` is the world's, from the chunks that were
//! written, and `hash all rows` is a view's. `restore` takes the world back to the older view
//! after 1 % or all of the chunks were written, `copy back` copies the columns of a deep copy.

mod common;

use std::hint::black_box;

use convoy_engine::snapshot::diff;
use convoy_engine::{Component, View};
use criterion::Criterion;

use common::components::{Position, Transform, Velocity};
use common::simulation::{Charge, Simulation};
use common::timing::{bench, bench_prepared, criterion};

const WORKLOAD: &str = "1%_written";
const ENTITIES: usize = 1_000_000;
/// One chunk in so many is written, unless all are.
const FEW: usize = 100;
const ALL: usize = 1;

/// The columns of a world, copied.
struct Copied(Vec<Transform>, Vec<Position>, Vec<Velocity>, Vec<Charge>);

fn main() {
    let mut criterion = criterion();
    find_changes(&mut criterion);
    hash_state(&mut criterion);
    restore(&mut criterion);
    criterion.final_summary();
}

fn find_changes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("diff");
    let set_up = || {
        let mut simulation = Simulation::new(ENTITIES);
        let older = simulation.capture();
        simulation.write(FEW);
        (older, simulation.capture())
    };
    bench(&mut group, ("convoy", WORKLOAD), set_up, |(older, newer)| changes(older, newer));
    let set_up = || {
        let (older, newer) = set_up();
        let copies = (Copied::of(&older), Copied::of(&newer));
        assert_eq!(copies.0.changes(&copies.1), changes(&older, &newer), "both find the same");
        copies
    };
    bench(&mut group, ("compare all rows", WORKLOAD), set_up, |(older, newer)| {
        older.changes(newer)
    });
    group.finish();
}

fn hash_state(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("state_hash");
    let set_up = || {
        let mut simulation = Simulation::new(ENTITIES);
        simulation.world.state_hash();
        simulation
    };
    let write = |simulation: &mut Simulation| simulation.write(FEW);
    bench_prepared(&mut group, ("convoy", WORKLOAD), set_up, write, |simulation, ()| {
        simulation.world.state_hash()
    });
    let set_up = || Simulation::new(ENTITIES).capture();
    bench(&mut group, ("hash all rows", WORKLOAD), set_up, |view| view.state_hash());
    group.finish();
}

fn restore(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("restore");
    for (workload, share) in [(WORKLOAD, FEW), ("100%_written", ALL)] {
        let set_up = || {
            let mut simulation = Simulation::new(ENTITIES);
            let view = simulation.capture();
            (simulation, view)
        };
        let write = |(simulation, _): &mut (Simulation, View)| simulation.write(share);
        let pass = |(simulation, view): &mut (Simulation, View), _: &mut ()| {
            simulation.world.restore(view).expect("the view is of everything")
        };
        bench_prepared(&mut group, ("convoy", workload), set_up, write, pass);
        let set_up = || {
            let view = Simulation::new(ENTITIES).capture();
            (Copied::of(&view), Copied::of(&view))
        };
        bench(&mut group, ("copy back", workload), set_up, |(copy, live)| live.copy_from(copy));
    }
    group.finish();
}

/// Every change between two views, counted.
fn changes(older: &View, newer: &View) -> usize {
    let diff = diff(older, newer).expect("both are views of all of one world");
    let rows = |count: usize| black_box(count);
    let structure = diff.spawned().chain(diff.despawned()).count()
        + diff.inserted().chain(diff.removed()).count()
        + diff.resources().count();
    let captured = "everything was captured";
    structure
        + rows(diff.changed::<Transform>().expect(captured).count())
        + rows(diff.changed::<Position>().expect(captured).count())
        + rows(diff.changed::<Velocity>().expect(captured).count())
        + rows(diff.changed::<Charge>().expect(captured).count())
}

impl Copied {
    fn of(view: &View) -> Self {
        fn column<T: Component>(view: &View) -> Vec<T> {
            view.query::<&T>().iter().copied().collect()
        }
        Self(column(view), column(view), column(view), column(view))
    }

    fn copy_from(&mut self, other: &Self) {
        self.0.copy_from_slice(&other.0);
        self.1.copy_from_slice(&other.1);
        self.2.copy_from_slice(&other.2);
        self.3.copy_from_slice(&other.3);
    }

    fn changes(&self, newer: &Self) -> usize {
        fn count<T: Component + PartialEq>(older: &[T], newer: &[T]) -> usize {
            older.iter().zip(newer).filter(|(older, newer)| older != newer).count()
        }
        count(&self.0, &newer.0)
            + count(&self.1, &newer.1)
            + count(&self.2, &newer.2)
            + count(&self.3, &newer.3)
    }
}
