//! Snapshots: the cost of a capture, and of the writes that follow.
//!
//! Entities have 96 bytes in 4 components. `memcpy` copies the bytes of the components and of the
//! handles into memory that is there already and warm, which is the least that an engine without
//! snapshots pays for a copy to read. Like the engine's, its memory is advised for huge pages. The other
//! subjects are passes over the world: `unshared` without a snapshot, `shared` with one that was
//! captured before the pass and shares every chunk.

mod common;

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use convoy_benches::{Measure, write_measures};
use convoy_engine::provider::{DoubleBufferProvider, ReplicaProvider, SnapshotProvider};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World};
use criterion::{BenchmarkId, Criterion};
use memmap2::MmapMut;

use common::components::{Position, Transform, Velocity, components};
use common::timing::{Group, bench, bench_prepared, criterion};

components! {
    /// 8 bytes.
    Charge([f32; 2]);
}

type Row = (Transform, Position, Velocity, Charge);
type RowMut<'a> = (&'a mut Transform, &'a mut Position, &'a mut Velocity, &'a mut Charge);

const MILLION: usize = 1_000_000;

fn main() {
    let mut criterion = criterion();
    capture(&mut criterion);
    passes(&mut criterion);
    scattered(&mut criterion);
    views(&mut criterion);
    tax(&mut criterion);
    join_and_leave(&mut criterion);
    criterion.final_summary();
}

fn row(number: usize) -> Row {
    let value = number as f32;
    (Transform([value; 16]), Position([value; 3]), Velocity([1.0; 3]), Charge([value; 2]))
}

fn world_of(rows: usize) -> World {
    let mut world = World::new();
    world.spawn_batch((0..rows).map(row)).expect("there is memory");
    world
}

/// A world, and the pool of its snapshots.
struct Shared {
    world: World,
    pool: SnapshotPool,
}

impl Shared {
    fn new(rows: usize) -> Self {
        let world = world_of(rows);
        let pool = SnapshotPool::for_world(&world);
        let mut shared = Self { world, pool };
        // Fills the pool and the arena for two snapshots in turn.
        for _ in 0..3 {
            let view = shared.capture();
            write_all(&mut shared.world);
            drop(view);
        }
        shared
    }

    /// A view of everything. Chunks that the last snapshot retained go back to the arena first.
    fn capture(&mut self) -> View {
        self.world.advance_tick();
        self.world.capture(ComponentMask::ALL, &self.pool)
    }
}

/// The same values in plain memory, and memory of the same size to copy them to.
struct Bytes {
    source: [MmapMut; 5],
    target: [MmapMut; 5],
}

impl Bytes {
    fn new(rows: usize) -> Self {
        let sizes = [size_of::<Entity>(), 64, 12, 12, 8];
        let filled = |value: u8| {
            sizes.map(|size| {
                let mut bytes = MmapMut::map_anon(size * rows).expect("there is memory");
                // Where the kernel declines, it declines for the engine, too.
                #[cfg(target_os = "linux")]
                let _ = bytes.advise(memmap2::Advice::HugePage);
                bytes.fill(value);
                bytes
            })
        };
        Self { source: filled(1), target: filled(2) }
    }

    fn copy(&mut self) {
        for (source, target) in self.source.iter().zip(&mut self.target) {
            black_box(&mut target[..]).copy_from_slice(black_box(&source[..]));
        }
    }
}

/// Capturing 10 thousand to 10 million entities.
fn capture(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("capture");
    let sizes = [("10k", 10_000), ("100k", 100_000), ("1m", MILLION), ("10m", 10 * MILLION)];
    let mut measures = Vec::new();
    for (workload, rows) in sizes {
        let mut shared = Shared::new(rows);
        let view = shared.capture();
        measures.push(Measure::bytes("capture_lists", workload, "convoy", view.list_bytes()));
        drop(view);
        group.bench_function(BenchmarkId::new("convoy", workload), |bencher| {
            bencher.iter_custom(|passes| {
                let mut total = Duration::ZERO;
                for _ in 0..passes {
                    shared.world.advance_tick();
                    let began = Instant::now();
                    let view = black_box(shared.world.capture(ComponentMask::ALL, &shared.pool));
                    total += began.elapsed();
                    drop(view);
                }
                total
            });
        });
        drop(shared);
        if rows <= MILLION {
            bench(&mut group, ("memcpy", workload), || Bytes::new(rows), Bytes::copy);
        }
    }
    write_measures("capture_lists", &measures).expect("the target folder can be written");
    group.finish();
}

#[inline(always)]
fn write_row((transform, position, velocity, charge): RowMut<'_>) {
    for value in &mut transform.0 {
        *value += 1.0;
    }
    for axis in 0..3 {
        position.0[axis] += 1.0;
        velocity.0[axis] += 1.0;
    }
    for value in &mut charge.0 {
        *value += 1.0;
    }
}

fn write_all(world: &mut World) {
    world.query_mut::<RowMut<'_>>().for_each(write_row);
}

#[inline(always)]
fn step((position, velocity): (&mut Position, &Velocity)) {
    for axis in 0..3 {
        position.0[axis] += velocity.0[axis];
    }
}

fn write_positions(world: &mut World) {
    world.query_mut::<(&mut Position, &Velocity)>().for_each(step);
}

/// A benchmark of `pass` without and with a snapshot that shares everything.
fn unshared_and_shared(group: &mut Group<'_>, workload: &str, pass: fn(&mut World)) {
    bench(group, ("unshared", workload), || world_of(MILLION), pass);
    let set_up = || Shared::new(MILLION);
    bench_prepared(group, ("shared", workload), set_up, Shared::capture, |shared, _| {
        pass(&mut shared.world);
    });
}

/// Whole passes over a million entities.
fn passes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot_pass");
    bench(&mut group, ("memcpy", "all_columns"), || Bytes::new(MILLION), Bytes::copy);
    unshared_and_shared(&mut group, "all_columns", write_all);
    unshared_and_shared(&mut group, "one_column", write_positions);
    bench(
        &mut group,
        ("memcpy+unshared", "capture_and_all_columns"),
        || (Bytes::new(MILLION), world_of(MILLION)),
        |(bytes, world)| {
            bytes.copy();
            write_all(world);
        },
    );
    bench_prepared(
        &mut group,
        ("capture+shared", "capture_and_all_columns"),
        || Shared::new(MILLION),
        |shared| shared.world.advance_tick(),
        |shared, ()| {
            let view = shared.world.capture(ComponentMask::ALL, &shared.pool);
            write_all(&mut shared.world);
            view
        },
    );
    group.finish();
}

/// A pass over every tenth chunk of the widest column, row by row through the entities.
fn scattered(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot_pass");
    let tenth = |world: &mut World| -> Vec<Entity> {
        let id = world.register::<Transform>().expect("it is registered");
        let rows = world.component_info(id).expect("the world has registered it").chunk_rows();
        let entities: Vec<Entity> = world.query::<Entity>().iter().collect();
        entities.chunks(rows).step_by(10).flatten().copied().collect()
    };
    let pass = |world: &mut World, entities: &[Entity]| {
        for &entity in entities {
            for value in &mut world.get_mut::<Transform>(entity).expect("it is alive").0 {
                *value += 1.0;
            }
        }
    };
    let set_up = || {
        let mut world = world_of(MILLION);
        let entities = tenth(&mut world);
        (world, entities)
    };
    bench(&mut group, ("unshared", "every_tenth_chunk"), set_up, |(world, entities)| {
        pass(world, entities);
    });
    let set_up = || {
        let mut shared = Shared::new(MILLION);
        let entities = tenth(&mut shared.world);
        (shared, entities)
    };
    let capture = |state: &mut (Shared, Vec<Entity>)| state.0.capture();
    let id = ("shared", "every_tenth_chunk");
    bench_prepared(&mut group, id, set_up, capture, |(shared, entities), _| {
        pass(&mut shared.world, entities);
    });
    group.finish();
}

/// Reading a view and the world itself.
fn views(criterion: &mut Criterion) {
    fn sum<'a>(rows: impl Iterator<Item = (&'a Position, &'a Velocity)>) -> f32 {
        rows.fold(0.0, |sum, (position, velocity)| sum + position.0[0] * velocity.0[0])
    }
    let mut group = criterion.benchmark_group("view");
    let set_up = || {
        let mut shared = Shared::new(MILLION);
        let view = shared.capture();
        (shared, view)
    };
    bench(&mut group, ("world", "iterate_1m"), set_up, |(shared, _)| {
        sum(shared.world.query::<(&Position, &Velocity)>().iter())
    });
    bench(&mut group, ("view", "iterate_1m"), set_up, |(_, view)| {
        sum(view.query::<(&Position, &Velocity)>().iter())
    });
    group.finish();
}

/// Modules that read at 10 Hz, and frames in a second.
const MODULES: usize = 5;
const FRAMES: usize = 60;
const PERIOD_FRAMES: usize = 6;

/// A second of 60 frames that write 12 of 96 bytes of every row, with five modules at 10 Hz:
/// `plain` without them, `convoy` with one snapshot for all, `individual` with a replica for each.
fn tax(criterion: &mut Criterion) {
    struct Second {
        world: World,
        providers: Vec<Box<dyn SnapshotProvider>>,
        views: Vec<View>,
    }
    impl Second {
        fn new(providers: impl FnOnce(&World) -> Vec<Box<dyn SnapshotProvider>>) -> Self {
            let world = world_of(MILLION / 4);
            let providers = providers(&world);
            let mut second = Self { world, providers, views: Vec::with_capacity(MODULES) };
            second.run();
            second
        }

        fn run(&mut self) {
            for frame in 0..FRAMES {
                if frame % PERIOD_FRAMES == 0 && !self.providers.is_empty() {
                    self.views.clear();
                    for module in 0..MODULES {
                        let provider = &self.providers[module % self.providers.len()];
                        provider.update(&mut self.world).expect("nobody is late");
                        let view = provider.acquire(&mut self.world);
                        self.views.push(view.expect("nobody is late"));
                    }
                }
                write_positions(&mut self.world);
                self.world.advance_tick();
            }
        }
    }
    let mut group = criterion.benchmark_group("convoy_tax");
    let run = |second: &mut Second| second.run();
    let workload = "60_frames_5_modules";
    bench(&mut group, ("plain", workload), || Second::new(|_| Vec::new()), run);
    let convoy = |world: &World| -> Vec<Box<dyn SnapshotProvider>> {
        let pool = SnapshotPool::for_world(world);
        vec![Box::new(convoy_engine::provider::SharedSnapshotProvider::new(
            ComponentMask::ALL,
            pool,
        ))]
    };
    bench(&mut group, ("convoy", workload), || Second::new(convoy), run);
    let individual = |_: &World| -> Vec<Box<dyn SnapshotProvider>> {
        (0..MODULES).map(|_| Box::new(ReplicaProvider::new(ComponentMask::ALL)) as _).collect()
    };
    bench(&mut group, ("individual", workload), || Second::new(individual), run);
    group.finish();
}

/// Joining a published snapshot and leaving it again.
fn join_and_leave(criterion: &mut Criterion) {
    // The promise is a time and not a ratio: it stands in for the baseline.
    let promised = [1, 2, 8].map(|threads| Measure {
        group: "join_leave".to_owned(),
        workload: format!("{threads}_threads"),
        subject: "40 ns".to_owned(),
        value: 40.0,
        unit: "nanoseconds".to_owned(),
    });
    write_measures("join_leave", &promised).expect("the target folder can be written");
    let mut group = criterion.benchmark_group("join_leave");
    for threads in [1_usize, 2, 8] {
        let mut world = world_of(1_000);
        let pool = SnapshotPool::for_world(&world);
        let provider = Arc::new(DoubleBufferProvider::new(ComponentMask::ALL, pool));
        provider.update(&mut world).expect("nobody is late");
        let workload = format!("{threads}_threads");
        group.bench_function(BenchmarkId::new("convoy", workload), |bencher| {
            bencher.iter_custom(|passes| joined(&provider, threads, passes));
        });
    }
    group.finish();
}

/// The time in which every one of `threads` joins and leaves `passes` times.
fn joined(provider: &Arc<DoubleBufferProvider>, threads: usize, passes: u64) -> Duration {
    let barrier = Barrier::new(threads + 1);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..passes {
                    drop(black_box(provider.join()));
                }
                barrier.wait();
            });
        }
        barrier.wait();
        let began = Instant::now();
        barrier.wait();
        began.elapsed()
    })
}
