//! What is measured. Each takes a number of threads and a time, and returns operations a second.

use std::error::Error;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};
use convoy_benches::{add, pull};
use convoy_engine::provider::{DoubleBufferProvider, SnapshotProvider};
use convoy_engine::{ComponentMask, SnapshotPool, World};
use rayon_core::{ThreadPoolBuilder, scope};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
struct Position([f32; 3]);

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
struct Velocity([f32; 3]);

type Workload = fn(usize, Duration) -> Result<f64, Box<dyn Error>>;

pub(crate) const WORKLOADS: [(&str, Workload); 7] = [
    ("join and leave", join_and_leave),
    ("read a joined view", read),
    ("the same, writer busy", read_beside_writer),
    ("par_for_each, compute", compute),
    ("plain slices, compute", plain_compute),
    ("par_for_each, pos += vel", pos_vel),
    ("plain slices, pos += vel", plain_pos_vel),
];

const READ_ROWS: usize = 10_000;
const COMPUTE_ROWS: usize = 100_000;
const POS_VEL_ROWS: usize = 1_000_000;

fn world_of(rows: usize) -> Result<World, Box<dyn Error>> {
    let mut world = World::new();
    let row = |number: usize| (Position([number as f32; 3]), Velocity([1.0, 2.0, 3.0]));
    world.spawn_batch((0..rows).map(row))?;
    Ok(world)
}

/// Convoys of the whole world.
fn provider_of(world: &mut World) -> Result<DoubleBufferProvider, Box<dyn Error>> {
    let provider = DoubleBufferProvider::new(ComponentMask::ALL, SnapshotPool::for_world(world));
    provider.update(world)?;
    Ok(provider)
}

/// Runs `pass` on so many threads as often as the time allows, and `writer` on this one meanwhile.
fn in_parallel(
    threads: usize,
    time: Duration,
    pass: impl Fn() + Sync,
    mut writer: impl FnMut(),
) -> f64 {
    let (passes, ends, barrier) =
        (AtomicU64::new(0), AtomicBool::new(false), Barrier::new(threads + 1));
    let began = thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                barrier.wait();
                let mut own = 0;
                while !ends.load(Ordering::Relaxed) {
                    pass();
                    own += 1;
                }
                passes.fetch_add(own, Ordering::Relaxed);
            });
        }
        barrier.wait();
        let began = Instant::now();
        while began.elapsed() < time {
            writer();
        }
        ends.store(true, Ordering::Relaxed);
        began
    });
    // With the last pass of each thread.
    passes.into_inner() as f64 / began.elapsed().as_secs_f64()
}

fn rest() {
    thread::sleep(Duration::from_millis(1));
}

fn join_and_leave(threads: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    let mut world = world_of(1_000)?;
    let provider = provider_of(&mut world)?;
    // A hundred at a time, so that the question whether to end costs nothing.
    let pass = || (0..100).for_each(|_| drop(black_box(provider.join())));
    Ok(in_parallel(threads, time, pass, rest) * 100.0)
}

fn sum(provider: &DoubleBufferProvider) {
    let view = provider.join().expect("a snapshot was published");
    let sum: f32 = view.query::<&Position>().iter().map(|position| position.0[0]).sum();
    black_box(sum);
}

fn read(threads: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    let mut world = world_of(READ_ROWS)?;
    let provider = provider_of(&mut world)?;
    Ok(in_parallel(threads, time, || sum(&provider), rest))
}

/// The writer writes all positions and publishes a snapshot, a frame a millisecond.
fn read_beside_writer(threads: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    let mut world = world_of(READ_ROWS)?;
    let provider = provider_of(&mut world)?;
    Ok(in_parallel(
        threads,
        time,
        || sum(&provider),
        || {
            world.query_mut::<&mut Position>().for_each(|position| position.0[0] += 1.0);
            world.advance_tick();
            // Where readers are late the frame goes without a snapshot.
            _ = provider.update(&mut world);
            rest();
        },
    ))
}

/// Passes over all rows in a pool of so many threads. Returns rows a second.
fn passes(
    threads: usize,
    time: Duration,
    rows: usize,
    step: impl Fn(&mut [f32; 3], &[f32; 3]) + Copy + Send + Sync,
) -> Result<f64, Box<dyn Error>> {
    let mut world = world_of(rows)?;
    let pass = || {
        let mut query = world.query_mut::<(&mut Position, &Velocity)>();
        query.par_for_each(|(position, velocity)| step(&mut position.0, &velocity.0));
    };
    repeated(threads, time, rows, pass)
}

/// The same with one slice a component, cut into four pieces a thread: what memory and cores allow.
fn plain_passes(
    threads: usize,
    time: Duration,
    rows: usize,
    step: impl Fn(&mut [f32; 3], &[f32; 3]) + Copy + Send + Sync,
) -> Result<f64, Box<dyn Error>> {
    let mut positions: Vec<[f32; 3]> = (0..rows).map(|number| [number as f32; 3]).collect();
    let velocities = vec![[1.0, 2.0, 3.0]; rows];
    let piece = rows.div_ceil(threads * 4);
    let pass = || {
        scope(|scope| {
            for (positions, velocities) in positions.chunks_mut(piece).zip(velocities.chunks(piece))
            {
                scope.spawn(move |_| {
                    for (position, velocity) in positions.iter_mut().zip(velocities) {
                        step(position, velocity);
                    }
                });
            }
        });
    };
    repeated(threads, time, rows, pass)
}

/// Repeats a pass over so many rows in a pool of so many threads. Returns rows a second.
fn repeated(
    threads: usize,
    time: Duration,
    rows: usize,
    mut pass: impl FnMut() + Send,
) -> Result<f64, Box<dyn Error>> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
    Ok(pool.install(|| {
        pass();
        let (began, mut passes) = (Instant::now(), 0_u64);
        while began.elapsed() < time {
            pass();
            passes += 1;
        }
        passes as f64 * rows as f64 / began.elapsed().as_secs_f64()
    }))
}

fn compute(threads: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    passes(threads, time, COMPUTE_ROWS, pull)
}

fn plain_compute(threads: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    plain_passes(threads, time, COMPUTE_ROWS, pull)
}

fn plain_pos_vel(threads: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    plain_passes(threads, time, POS_VEL_ROWS, add)
}

fn pos_vel(threads: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    passes(threads, time, POS_VEL_ROWS, add)
}
