//! Neighbours: the cost of passes after copies on write have put chunks elsewhere, of scattered writes
//! cost beneath snapshots, and how full memory gets before it is refused.
//!
//! Entities have 96 bytes in 4 components. A pass is `pos += vel` over a million of them: `fresh` in
//! a world that nothing was copied in.

mod common;

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use convoy_benches::{Measure, write_measures};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use criterion::{BenchmarkId, Criterion};

use common::components::{Position, Transform, Velocity, components};
use common::timing::{bench, criterion};

components! {
    /// 8 bytes.
    Charge([f32; 2]);
}

type Row = (Transform, Position, Velocity, Charge);
type RowMut<'a> = (&'a mut Transform, &'a mut Position, &'a mut Velocity, &'a mut Charge);

const MILLION: usize = 1_000_000;

/// Snapshots that are held at a time.
const HELD: usize = 8;

fn main() {
    let mut criterion = criterion();
    passes(&mut criterion);
    scattered(&mut criterion);
    limit();
    criterion.final_summary();
}

fn row(number: usize) -> Row {
    let value = number as f32;
    (Transform([value; 16]), Position([value; 3]), Velocity([1.0; 3]), Charge([value; 2]))
}

/// A generator of test numbers (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// A world whose last snapshots are held.
struct Live {
    world: World,
    entities: Vec<Entity>,
    pool: SnapshotPool,
    held: VecDeque<View>,
    random: Random,
}

impl Live {
    fn new(rows: usize) -> Self {
        let mut world = World::new();
        let spawned = world.spawn_batch((0..rows).map(row)).expect("there is memory");
        let entities = spawned.collect();
        let pool = SnapshotPool::for_world(&world);
        let random = Random(88_172_645_463_325_252);
        Self { world, entities, pool, held: VecDeque::with_capacity(HELD), random }
    }

    fn capture(&mut self) {
        if self.held.len() == HELD {
            self.held.pop_front();
        }
        self.held.push_back(self.world.capture(ComponentMask::ALL, &self.pool));
    }

    fn let_go(mut self) -> World {
        self.held.clear();
        self.world.advance_tick();
        self.world
    }

    /// Writes rows anywhere.
    fn write(&mut self, rows: usize) {
        for _ in 0..rows {
            let entity = self.entities[self.random.below(self.entities.len())];
            self.world.get_mut::<Transform>(entity).expect("it is alive").0[3] -= 1.0;
        }
    }
}

fn step(world: &mut World) {
    world.query_mut::<(&mut Position, &Velocity)>().for_each(|(position, velocity)| {
        for axis in 0..3 {
            position.0[axis] += velocity.0[axis];
        }
    });
}

/// A world in which eight rings of snapshots have seen every column written as a whole.
fn copied() -> World {
    let mut live = Live::new(MILLION);
    for _ in 0..8 * HELD {
        live.capture();
        live.world.query_mut::<RowMut<'_>>().for_each(|(transform, position, velocity, charge)| {
            transform.0[0] += 1.0;
            position.0[0] += 1.0;
            velocity.0[0] += 0.0;
            charge.0[0] += 1.0;
        });
        live.world.advance_tick();
    }
    live.let_go()
}

/// A world after a thousand frames that each wrote a tenth of the chunks that a pass reads, with what
/// `end_frame` does in each.
fn scattered_about(end_frame: fn(&mut World)) -> World {
    let mut live = Live::new(MILLION);
    let id = live.world.register::<Position>().expect("it is registered");
    let chunk_rows = live.world.component_info(id).expect("it is registered").chunk_rows();
    for _ in 0..1000 {
        live.capture();
        for _ in 0..MILLION / chunk_rows / 10 {
            let entity = live.entities[live.random.below(MILLION)];
            live.world.get_mut::<Position>(entity).expect("it is alive").0[0] += 1.0;
            live.world.get_mut::<Velocity>(entity).expect("it is alive").0[0] += 0.0;
        }
        end_frame(&mut live.world);
        live.world.advance_tick();
    }
    live.let_go()
}

const A_FRAME: Duration = Duration::from_micros(100);

fn compact(world: &mut World) {
    world.compact(A_FRAME);
}

/// After the frames, until nothing lies apart: some fifty calls.
fn compact_afterwards() -> World {
    let mut world = scattered_about(|_| ());
    while world.compact(A_FRAME).gathered > 0 {}
    world
}

fn passes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("neighbours");
    let fresh = || Live::new(MILLION).let_go();
    bench(&mut group, ("fresh", "everything_copied"), fresh, step);
    bench(&mut group, ("convoy", "everything_copied"), copied, step);
    let workload = "scattered_writes";
    bench(&mut group, ("fresh", workload), fresh, step);
    bench(&mut group, ("convoy", workload), || scattered_about(|_| ()), step);
    bench(&mut group, ("convoy compacted", workload), || scattered_about(compact), step);
    bench(&mut group, ("convoy compacted later", workload), compact_afterwards, step);
    group.finish();
}

/// Frames that write 0.1 % of the rows of a 64-byte component anywhere, with eight snapshots held: what they
/// take longer than the writes alone, against copying all rows.
fn scattered(criterion: &mut Criterion) {
    const ROWS: usize = 100_000;
    const WRITTEN: usize = ROWS / 1000;
    let workload = "0.1%_of_rows";
    let mut group = criterion.benchmark_group("rollback_frame");
    // As many targets in turn as there are snapshots, and one more.
    let copies = || (vec![1_u8; ROWS * 96], vec![vec![2_u8; ROWS * 96]; HELD + 1], 0);
    bench(&mut group, ("memcpy", workload), copies, |(source, targets, next)| {
        *next = (*next + 1) % targets.len();
        black_box(&mut targets[*next][..]).copy_from_slice(black_box(&source[..]));
    });
    let frame = |live: &mut Live| {
        live.capture();
        live.write(WRITTEN);
        live.world.advance_tick();
    };
    let mut worlds = None;
    group.bench_function(BenchmarkId::new("convoy extra", workload), |bencher| {
        let (live, plain) = worlds.get_or_insert_with(|| {
            let mut live = Live::new(ROWS);
            (0..10 * HELD).for_each(|_| frame(&mut live));
            (live, Live::new(ROWS))
        });
        bencher.iter_custom(|frames| {
            let (mut with, mut without) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..frames {
                let began = Instant::now();
                frame(live);
                with += began.elapsed();
                let began = Instant::now();
                plain.write(WRITTEN);
                plain.world.advance_tick();
                without += began.elapsed();
            }
            with.saturating_sub(without).max(Duration::from_nanos(1))
        });
    });
    group.finish();
    let mut live = Live::new(ROWS);
    (0..10 * HELD).for_each(|_| frame(&mut live));
    let kept = live.world.memory().retained_bytes;
    let measure = |subject, bytes| Measure::bytes("rollback_kept", workload, subject, bytes);
    let measures = [measure("rows", ROWS * 96), measure("convoy", kept)];
    write_measures("rollback_kept", &measures).expect("the target folder can be written");
}

/// Tables of random sizes come and go for a million operations in a world with a limit, which then
/// grows until it is refused.
fn limit() {
    const LIMIT: usize = 64 << 20;
    let config = WorldConfig::default().memory_limit_bytes(LIMIT);
    let mut world = World::with_config(config);
    let mut random = Random(7);
    let mut batches: Vec<Vec<Entity>> = Vec::new();
    let spawn = |world: &mut World, random: &mut Random| {
        let rows = 1 << random.below(13);
        let rows = rows + random.below(rows);
        let row = |number: usize| Position([number as f32; 3]);
        let spawned = match random.below(4) {
            0 => world.spawn_batch((0..rows).map(|one| (row(one),))),
            1 => world.spawn_batch((0..rows).map(|one| (row(one), Velocity([1.0; 3])))),
            2 => world.spawn_batch((0..rows).map(|one| (Transform([0.0; 16]), row(one)))),
            _ => world.spawn_batch((0..rows).map(|one| (Charge([0.0; 2]), row(one)))),
        };
        spawned.map(|entities| entities.collect::<Vec<_>>())
    };
    let mut operations = 0;
    while operations < MILLION {
        let memory = world.memory();
        let is_half_full = memory.mapped_bytes - memory.free_bytes > LIMIT / 2;
        let gone = is_half_full || batches.len() > 4 && random.below(3) == 0;
        let batch = if gone {
            let batch = batches.swap_remove(random.below(batches.len()));
            batch.iter().for_each(|&entity| world.despawn(entity).expect("it is alive"));
            batch
        } else {
            let batch = spawn(&mut world, &mut random).expect("it is half full at the most");
            batches.push(batch.clone());
            batch
        };
        operations += batch.len();
    }
    while spawn(&mut world, &mut random).is_ok() {}
    let memory = world.memory();
    let allocated = memory.mapped_bytes - memory.free_bytes;
    // The promise is a lower bound: the limit is divided by the bytes that were given out.
    let measure = |subject, bytes| Measure::bytes("limit", "tables_of_all_sizes", subject, bytes);
    let measures = [measure("given out", allocated), measure("limit", LIMIT)];
    write_measures("limit", &measures).expect("the target folder can be written");
}
