//! Deltas: writing the difference of two views of a million entities, applying it, and a whole world.
//!
//! In `1%_of_chunks` each frame changes all rows of a hundredth of the chunks of four columns. `memcpy` copies
//! the bytes of the chunks that are compared from plain columns to a buffer: of those just written, and of those
//! of before, which lie elsewhere and were last looked at when they were written. In
//! `apply`, `raw` copies the rows from a buffer to plain columns, and `convoy writes` sets them by
//! `World::get_mut`. In `whole`, `memcpy` copies all columns, handles included.

mod common;

use std::hint::black_box;

use convoy_engine::delta::{Delta, DeltaEncoder};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World};

use common::components::{Health, Position, Rotation, Velocity};
use common::timing::{Group, bench, bench_prepared, criterion};

const ENTITIES: usize = 1_000_000;
/// Rows in a full chunk of the four columns.
const CHUNK_ROWS: usize = 1_024;
/// One of so many chunks changes in a frame.
const SHARE: usize = 100;
const ALL: ComponentMask = ComponentMask::ALL;

type Row = (Position, Velocity, Rotation, Health);
/// Bytes of a row in the four columns that change.
const ROW_BYTES: usize = size_of::<Position>() * 3 + size_of::<Health>();

fn main() {
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("deltas");
    encode(&mut group);
    apply(&mut group);
    whole(&mut group);
    group.finish();
    criterion.final_summary();
}

fn row(number: usize) -> Row {
    let place = [number as f32, 0.5, 2.0];
    (Position(place), Velocity(place), Rotation(place), Health(number as f32))
}

/// The rows that change in a frame.
fn changed(frame: usize) -> impl Iterator<Item = usize> {
    let chunks = (frame % SHARE..ENTITIES / CHUNK_ROWS).step_by(SHARE);
    chunks.flat_map(|chunk| chunk * CHUNK_ROWS..(chunk + 1) * CHUNK_ROWS)
}

/// A world, and the views and deltas of its frames.
struct Source {
    world: World,
    pool: SnapshotPool,
    entities: Vec<Entity>,
    encoder: DeltaEncoder,
    older: View,
    newer: View,
    frame: usize,
    bytes: Vec<u8>,
}

impl Source {
    fn new() -> Self {
        let mut world = World::new();
        let entities: Vec<_> =
            world.spawn_batch((0..ENTITIES).map(row)).expect("there is memory").collect();
        let pool = SnapshotPool::default();
        let view = world.capture(ALL, &pool);
        let mut encoder = DeltaEncoder::new();
        encoder.mark_of(&view).expect("everything was captured");
        let (older, newer) = (view.clone(), view);
        Self { world, pool, entities, encoder, older, newer, frame: 0, bytes: Vec::new() }
    }

    /// Writes the rows of the next frame and captures it.
    fn step(&mut self) {
        self.frame += 1;
        for number in changed(self.frame) {
            write(&mut self.world, self.entities[number], self.frame);
        }
        let newer = self.world.capture(ALL, &self.pool);
        self.older = std::mem::replace(&mut self.newer, newer);
    }

    fn encode(&mut self) -> usize {
        let encoded = self.encoder.encode(&self.older, &self.newer, &mut self.bytes);
        encoded.expect("views of one world");
        self.bytes.len()
    }
}

fn write(world: &mut World, entity: Entity, frame: usize) {
    let value = frame as f32;
    world.get_mut::<Position>(entity).expect("it has one").0[0] = value;
    world.get_mut::<Velocity>(entity).expect("it has one").0[1] = value;
    world.get_mut::<Rotation>(entity).expect("it has one").0[2] = value;
    world.get_mut::<Health>(entity).expect("it has one").0 = value;
}

/// The four columns, and the handles, in plain memory.
struct Plain {
    columns: Vec<(usize, Vec<u8>)>,
    /// As they were before the frame.
    before: Vec<Vec<u8>>,
    frame: usize,
    buffer: Vec<u8>,
}

impl Plain {
    fn new() -> Self {
        let sizes = [12, 12, 12, 4];
        let columns = sizes.map(|size| (size, vec![1; size * ENTITIES])).into();
        let before = sizes.map(|size| vec![1; size * ENTITIES]).into();
        Self { columns, before, frame: 0, buffer: vec![1; 60 * ENTITIES] }
    }

    fn step(&mut self) {
        for (column, at, bytes) in self.pieces() {
            let written = &self.columns[column].1[at..at + bytes];
            self.before[column][at..at + bytes].copy_from_slice(written);
        }
        self.frame += 1;
        for (size, column) in &mut self.columns {
            for row in changed(self.frame) {
                column[row * *size..][..4].copy_from_slice(&(self.frame as u32).to_le_bytes());
            }
        }
    }

    /// The chunks of a frame: a column, where it starts, and its bytes.
    fn pieces(&self) -> Vec<(usize, usize, usize)> {
        let starts = changed(self.frame).step_by(CHUNK_ROWS);
        let pieces = starts.flat_map(|row| {
            let columns = self.columns.iter().enumerate();
            columns.map(move |(column, (size, _))| (column, row * size, CHUNK_ROWS * size))
        });
        pieces.collect()
    }
}

fn encode(group: &mut Group<'_>) {
    let name = "1%_of_chunks";
    bench_prepared(
        group,
        ("memcpy", name),
        Plain::new,
        |plain| {
            plain.step();
            plain.pieces()
        },
        |plain, pieces| {
            plain.buffer.clear();
            for &(column, at, bytes) in pieces.iter() {
                plain.buffer.extend_from_slice(&plain.columns[column].1[at..at + bytes]);
                plain.buffer.extend_from_slice(&plain.before[column][at..at + bytes]);
            }
            plain.buffer.len()
        },
    );
    bench_prepared(group, ("convoy", name), Source::new, Source::step, |source, ()| {
        source.encode()
    });
    let mut source = Source::new();
    source.step();
    let (bytes, differing) = (source.encode(), changed(source.frame).count() * ROW_BYTES);
    assert!(bytes * 10 <= differing * 12, "{bytes} bytes for {differing} of rows that differ");
}

fn apply(group: &mut Group<'_>) {
    let name = "apply_1%_of_chunks";
    bench_prepared(
        group,
        ("raw", name),
        Plain::new,
        |plain| {
            plain.step();
            plain.pieces()
        },
        |plain, pieces| {
            let mut from = 0;
            for &(column, at, bytes) in pieces.iter() {
                let rows = &plain.buffer[from..from + bytes];
                plain.columns[column].1[at..at + bytes].copy_from_slice(rows);
                from += bytes;
            }
            from
        },
    );
    bench_prepared(
        group,
        ("convoy writes", name),
        Source::new,
        |source| {
            source.frame += 1;
            source.world.state_hash();
        },
        |source, ()| {
            for number in changed(source.frame) {
                write(&mut source.world, source.entities[number], source.frame);
            }
        },
    );
    let follower = || {
        let mut source = Source::new();
        let mut follower = World::new();
        register(&mut follower);
        let mut bytes = Vec::new();
        source.encoder.encode(None, &source.newer, &mut bytes).expect("everything was captured");
        let delta = Delta::parse(&bytes).expect("it was just written");
        follower.apply(&delta).expect("a world of the same types");
        (source, follower)
    };
    bench_prepared(
        group,
        ("convoy", name),
        follower,
        |(source, _)| {
            source.step();
            source.encode()
        },
        |(source, follower), _| {
            let delta = Delta::parse(&source.bytes).expect("it was just written");
            follower.apply(&delta).expect("it follows the source")
        },
    );
}

fn register(world: &mut World) {
    let ids = [world.register::<Position>(), world.register::<Velocity>()];
    let others = [world.register::<Rotation>(), world.register::<Health>()];
    ids.into_iter().chain(others).for_each(|id| _ = id.expect("there is room for the type"));
}

fn whole(group: &mut Group<'_>) {
    let name = "whole_1m";
    bench(group, ("memcpy", name), Plain::new, |plain| {
        plain.buffer.clear();
        for (_, column) in &plain.columns {
            plain.buffer.extend_from_slice(column);
        }
        // As many bytes as the handles and the slots have.
        let handles = black_box(&plain.columns[0].1);
        plain.buffer.extend_from_slice(&handles[..8 * ENTITIES]);
        plain.buffer.extend_from_slice(handles);
        plain.buffer.len()
    });
    bench(group, ("convoy", name), Source::new, |source| {
        let encoded = source.encoder.encode(None, &source.newer, &mut source.bytes);
        encoded.expect("everything was captured");
        source.bytes.len()
    });
    bench(group, ("convoy alone", name), Source::new, |source| {
        Delta::encode(None, &source.newer, &mut source.bytes).expect("everything was captured");
        source.bytes.len()
    });
    let late = || {
        let mut source = Source::new();
        source.encoder.encode(None, &source.newer, &mut source.bytes).expect("it was captured");
        let mut follower = World::new();
        register(&mut follower);
        (source, follower)
    };
    bench(group, ("convoy apply", name), late, |(source, follower)| {
        let delta = Delta::parse(&source.bytes).expect("it was just written");
        follower.apply(&delta).expect("a world of the same types")
    });
}
