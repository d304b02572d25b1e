//! Passes on all threads of rayon's global pool against passes on one.
//!
//! `compute` does the work of a small force law for every row, so that the threads and not the
//! memory decide; its target is 1.9 times the speed on two cores. `pos_vel` adds a velocity to a
//! position, which memory decides. `shared` does either right after a snapshot was captured, so
//! that every chunk that is written is copied in the same pass.

mod common;

use convoy_benches::{add, pull};
use convoy_engine::{ComponentMask, SnapshotPool, View, World};
use criterion::Criterion;

use common::components::{Position, Velocity};
use common::timing::{Group, bench_prepared, criterion};

/// Rows, and whether a snapshot shares them.
#[derive(Clone, Copy)]
struct Workload {
    name: &'static str,
    rows: usize,
    shared: bool,
}

const COMPUTE: [Workload; 2] = [
    Workload { name: "compute_100k", rows: 100_000, shared: false },
    Workload { name: "compute_shared_100k", rows: 100_000, shared: true },
];

const POS_VEL: [Workload; 3] = [
    Workload { name: "pos_vel_1k", rows: 1_000, shared: false },
    Workload { name: "pos_vel_1m", rows: 1_000_000, shared: false },
    Workload { name: "pos_vel_shared_1m", rows: 1_000_000, shared: true },
];

/// A world, and the pool of its snapshots.
struct Scene {
    world: World,
    pool: SnapshotPool,
}

impl Scene {
    fn new(rows: usize) -> Self {
        let mut world = World::new();
        for number in 0..rows {
            world.spawn((Position([number as f32; 3]), Velocity([1.0, 2.0, 3.0])));
        }
        let pool = SnapshotPool::for_world(&world);
        Self { world, pool }
    }

    /// Ends a frame, and shares everything with a fresh snapshot where that is wanted.
    fn begin(&mut self, shared: bool) -> Option<View> {
        self.world.advance_tick();
        shared.then(|| self.world.capture(ComponentMask::ALL, &self.pool))
    }
}

fn main() {
    let mut criterion = criterion();
    parallel(&mut criterion);
    criterion.final_summary();
}

fn parallel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parallel");
    COMPUTE.into_iter().for_each(|workload| compare(&mut group, workload, pull));
    POS_VEL.into_iter().for_each(|workload| compare(&mut group, workload, add));
    group.finish();
}

/// Times `step` on every row, on one thread and on all. It is a type of its own, so that it is
/// inlined into the loops.
fn compare(
    group: &mut Group<'_>,
    Workload { name, rows, shared }: Workload,
    step: impl Fn(&mut [f32; 3], &[f32; 3]) + Copy + Send + Sync,
) {
    let set_up = || Scene::new(rows);
    let begin = |scene: &mut Scene| scene.begin(shared);
    bench_prepared(group, ("convoy for_each", name), set_up, begin, |scene, _| {
        let mut query = scene.world.query_mut::<(&mut Position, &Velocity)>();
        query.for_each(|(position, velocity)| step(&mut position.0, &velocity.0));
    });
    bench_prepared(group, ("convoy par_for_each", name), set_up, begin, |scene, _| {
        let mut query = scene.world.query_mut::<(&mut Position, &Velocity)>();
        query.par_for_each(|(position, velocity)| step(&mut position.0, &velocity.0));
    });
}
