//! Rollback: what it costs a simulation at 60 frames a second to be able to go back, and to do so.
//!
//! The state before each of the last eight frames is kept. Every third frame goes back 1 to 8 frames and
//! simulates them again, keeping their states again, as a game does when the input of a player arrives late.
//! A frame writes by one of five patterns; besides it spawns and despawns four entities, inserts and removes
//! four components and sends four events, which Convoy does through commands.
//!
//! The `extra` subjects run their frames in turns with a second simulation of the same engine, which simulates
//! as many frames and keeps nothing, and report the difference: the time beyond the (re-)simulation. `memcpy
//! extra` copies a struct of `Vec`s, the limit of copying; it goes back by swapping the copy in, as the peers
//! do. `hecs extra` makes a world of copied columns under the same handles, and `bevy extra` does as
//! `bevy_ggrs` does: a map of clones a component, put back one by one. Before anything is timed, each subject
//! shows that going back and forth leads to the state of a straight run.

mod bevy;
#[path = "../common/mod.rs"]
mod common;
mod convoy;
mod hecs;
mod raw;

use std::time::{Duration, Instant};

use convoy_benches::{Measure, write_measures};
use criterion::{BenchmarkId, Criterion, SamplingMode};

use common::columns::Wide;
use common::components::{Position, Rotation, Transform, Velocity};
use common::rows::Row;
use common::timing::criterion;

/// States that are kept.
const WINDOW: u64 = 8;
/// Frames that are timed together; every third goes back.
const FRAMES: u64 = 12;
/// Spawns, despawns, inserts, removals and events a frame.
const CHURN: usize = 4;
/// How many frames a spawned entity lives.
const LIFE: u64 = 30;
/// How many frames an inserted component stays.
const MARKED: u64 = 10;

/// The entities that the last frames spawned, by frame.
type Spawned<E> = [[E; CHURN]; 64];

/// What a frame writes, of entities of 100 bytes in four components.
#[derive(Clone, Copy, PartialEq)]
enum Writes {
    OneColumn,
    Anywhere,
    Neighbours,
    WideAnywhere,
    Everything,
}

const PATTERNS: [(&str, Writes); 5] = [
    ("one_column", Writes::OneColumn),
    ("1%_anywhere", Writes::Anywhere),
    ("1%_neighbours", Writes::Neighbours),
    ("0.1%_wide", Writes::WideAnywhere),
    ("everything", Writes::Everything),
];
const SIZES: [(&str, usize); 3] = [("2k", 2_000), ("100k", 100_000), ("1m", 1_000_000)];

/// An event of a frame.
#[derive(Clone, Copy, PartialEq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Hit {
    frame: u64,
    number: u64,
}

/// One engine with a simulation.
trait Simulation {
    /// `entities` of them, which live as long as the simulation.
    fn new(entities: usize) -> Self;

    /// Simulates a frame. All it does follows from its number.
    fn simulate(&mut self, writes: Writes, frame: u64);

    /// Keeps the state before a frame, in place of the one before the frame that is [`WINDOW`] older.
    fn keep(&mut self, frame: u64);

    /// Makes the state before a frame, which was kept, the present one.
    fn go_back(&mut self, frame: u64);

    /// A sum over all values, in no order.
    fn checksum(&mut self) -> u64;

    /// Bytes of the states that are kept, as far as they are not the present one's. They may be dropped.
    fn kept_bytes(&mut self) -> usize;
}

/// The same number for the same frame and count, in whatever order they are asked for (splitmix64).
fn random(frame: u64, count: usize) -> usize {
    let mut number = (frame << 32 | count as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (number ^ number >> 31) as usize
}

/// The entities, by their number among those that live long, of which a frame writes one component.
fn written(writes: Writes, frame: u64, entities: usize) -> impl Iterator<Item = usize> {
    let count = match writes {
        Writes::Anywhere | Writes::Neighbours => entities / 100,
        Writes::WideAnywhere => entities / 1000,
        Writes::OneColumn | Writes::Everything => 0,
    };
    let first = random(frame, 0) % (entities - count);
    (0..count).map(move |number| match writes {
        Writes::Neighbours => first + number,
        _ => random(frame, number) % entities,
    })
}

fn step(position: &mut Position) {
    position.0.iter_mut().for_each(|value| *value += 1.0);
}

fn step_velocity(velocity: &mut Velocity) {
    velocity.0[0] += 0.5;
    velocity.0[1] += 0.25;
}

fn step_transform(transform: &mut Transform) {
    transform.0.iter_mut().for_each(|value| *value += 1.0);
}

fn step_all(
    (transform, position, rotation, velocity): (
        &mut Transform,
        &mut Position,
        &mut Rotation,
        &mut Velocity,
    ),
) {
    step_transform(transform);
    step(position);
    rotation.0[2] += 0.5;
    step_velocity(velocity);
}

fn sum(values: &[f32]) -> u64 {
    values.iter().map(|value| u64::from(value.to_bits())).fold(0, u64::wrapping_add)
}

fn sum_row(
    (transform, position, rotation, velocity): (&Transform, &Position, &Rotation, &Velocity),
) -> u64 {
    let sums = [sum(&transform.0), sum(&position.0), sum(&rotation.0), sum(&velocity.0)];
    sums.into_iter().fold(0, |sum, one| sum.wrapping_mul(31).wrapping_add(one))
}

/// The row of the entity that a frame spawns.
fn spawned_row(frame: u64, number: usize) -> Wide {
    Wide::numbered(frame as usize * CHURN + number)
}

/// Simulates a frame after its state was kept, and every third goes back and forth. Returns how many frames
/// were simulated.
fn frame<S: Simulation>(simulation: &mut S, writes: Writes, frame: u64) -> u64 {
    simulation.keep(frame);
    simulation.simulate(writes, frame);
    if !frame.is_multiple_of(3) || frame < WINDOW {
        return 1;
    }
    let depth = 1 + random(frame, 1) as u64 % WINDOW;
    let first = frame + 1 - depth;
    simulation.go_back(first);
    for again in first..=frame {
        simulation.keep(again);
        simulation.simulate(writes, again);
    }
    1 + depth
}

/// Going back and forth leads to the state of a straight run.
fn check<S: Simulation>(writes: Writes) {
    let (mut rolled, mut straight) = (S::new(2_000), S::new(2_000));
    for number in 0..3 * LIFE {
        frame(&mut rolled, writes, number);
        straight.simulate(writes, number);
    }
    assert_eq!(rolled.checksum(), straight.checksum(), "the state of a straight run");
}

/// A simulation that goes back, and one that only simulates.
struct Pair<S> {
    rolled: S,
    floor: S,
    frame: u64,
    floor_frame: u64,
}

impl<S: Simulation> Pair<S> {
    fn new(entities: usize, writes: Writes) -> Self {
        let mut pair =
            Self { rolled: S::new(entities), floor: S::new(entities), frame: 0, floor_frame: 0 };
        // Until all that is kept is warm.
        (0..2 * LIFE).for_each(|_| _ = pair.run(Writes::Anywhere));
        (0..WINDOW).for_each(|_| _ = pair.run(writes));
        pair
    }

    /// A frame of both. Returns the time of either.
    fn run(&mut self, writes: Writes) -> (Duration, Duration) {
        let began = Instant::now();
        let simulated = frame(&mut self.rolled, writes, self.frame);
        let rolled = began.elapsed();
        self.frame += 1;
        let began = Instant::now();
        for _ in 0..simulated {
            self.floor.simulate(writes, self.floor_frame);
            self.floor_frame += 1;
        }
        (rolled, began.elapsed())
    }
}

fn subject<S: Simulation>(
    criterion: &mut Criterion,
    name: &str,
    largest: usize,
    measures: &mut Vec<Measure>,
) {
    for (pattern, writes) in PATTERNS {
        check::<S>(writes);
        for (size, entities) in SIZES {
            if entities > largest {
                continue;
            }
            let workload = format!("{pattern}_of_{size}");
            let mut group = criterion.benchmark_group("rollback");
            group.sampling_mode(SamplingMode::Flat).sample_size(10);
            let mut pair = None;
            let mut floors = Vec::new();
            group.bench_function(BenchmarkId::new(format!("{name} extra"), &workload), |bencher| {
                let pair = pair.get_or_insert_with(|| Pair::<S>::new(entities, writes));
                bencher.iter_custom(|times| {
                    let (mut rolled, mut floor) = (Duration::ZERO, Duration::ZERO);
                    for _ in 0..times * FRAMES {
                        let (with, without) = pair.run(writes);
                        rolled += with;
                        floor += without;
                    }
                    floors.push(floor.as_nanos() as f64 / times as f64);
                    rolled.saturating_sub(floor).max(Duration::from_nanos(1))
                });
            });
            group.finish();
            let Some(mut pair) = pair else { continue };
            let subject = |suffix: &str| format!("{name}{suffix}");
            floors.sort_by(f64::total_cmp);
            measures.push(Measure {
                group: "rollback_floor".to_owned(),
                workload: workload.clone(),
                subject: subject(""),
                value: floors[floors.len() / 2],
                unit: "nanoseconds".to_owned(),
            });
            let kept = pair.rolled.kept_bytes();
            measures.push(Measure::bytes("rollback_memory", &workload, &subject(""), kept));
        }
    }
}

fn main() {
    let mut criterion = criterion();
    let mut measures = Vec::new();
    subject::<convoy::Simulated>(&mut criterion, "convoy", usize::MAX, &mut measures);
    subject::<raw::Simulated>(&mut criterion, "memcpy", usize::MAX, &mut measures);
    // Their copies of a million entities take gigabytes and minutes.
    subject::<hecs::Simulated>(&mut criterion, "hecs", 100_000, &mut measures);
    subject::<bevy::Simulated>(&mut criterion, "bevy", 100_000, &mut measures);
    write_measures("rollback", &measures).expect("the target folder can be written");
    criterion.final_summary();
}
