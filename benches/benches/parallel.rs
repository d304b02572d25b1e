//! Passes on all threads of rayon's global pool against passes on one.
//!
//! `compute` does the work of a small force law for every row, so that the threads and not the
//! memory decide; its target is 1.9 times the speed on two cores. `pos_vel` adds a velocity to a
//! position, which memory decides. `shared` does either right after a snapshot was captured, so
//! that every chunk that is written is copied in the same pass.

mod common;

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

/// Pulls a position towards a ring, in many small steps.
#[inline(always)]
fn compute(position: &mut Position, velocity: &Velocity) {
    let [mut x, mut y, z] = position.0;
    for _ in 0..64 {
        let distance = (x * x + y * y + 1.0).sqrt();
        x += velocity.0[0] * 0.001 - x / distance * 0.01;
        y += velocity.0[1] * 0.001 - y / distance * 0.01;
    }
    position.0 = [x, y, z];
}

#[inline(always)]
fn add(position: &mut Position, velocity: &Velocity) {
    for axis in 0..3 {
        position.0[axis] += velocity.0[axis];
    }
}

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
    COMPUTE.into_iter().for_each(|workload| compare(&mut group, workload, compute));
    POS_VEL.into_iter().for_each(|workload| compare(&mut group, workload, add));
    group.finish();
}

/// Times `step` on every row, on one thread and on all. It is a type of its own, so that it is
/// inlined into the loops.
fn compare(
    group: &mut Group<'_>,
    Workload { name, rows, shared }: Workload,
    step: impl Fn(&mut Position, &Velocity) + Copy + Send + Sync,
) {
    let set_up = || Scene::new(rows);
    let begin = |scene: &mut Scene| scene.begin(shared);
    bench_prepared(group, ("convoy for_each", name), set_up, begin, |scene, _| {
        let mut query = scene.world.query_mut::<(&mut Position, &Velocity)>();
        query.for_each(|(position, velocity)| step(position, velocity));
    });
    bench_prepared(group, ("convoy par_for_each", name), set_up, begin, |scene, _| {
        let mut query = scene.world.query_mut::<(&mut Position, &Velocity)>();
        query.par_for_each(|(position, velocity)| step(position, velocity));
    });
}
