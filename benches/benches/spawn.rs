//! Spawning into a world that was cleared and is warm: one by one, and in batches.
//!
//! Rows have 4 components, 100 bytes together. `raw` pushes or copies the columns of a struct of
//! `Vec`s, `raw+map` keeps an entity map as well. Clearing is not timed. In a batch of columns the
//! components lie ready in slices; in a batch of rows an iterator makes them.

mod common;

use criterion::Criterion;
use flecs_ecs::prelude::World as FlecsWorld;
use hecs::{ColumnBatchBuilder, ColumnBatchType};

use common::columns::{Columns, Wide, WideColumns};
use common::components::{Position, Rotation, Transform, Velocity};
use common::live::{LiveWorld, SUBJECTS};
use common::raw::{RawEntity, RawWorld, Slot};
use common::rows::Row;
use common::timing::{Group, bench_prepared, criterion};

fn main() {
    let mut criterion = criterion();
    spawn(&mut criterion);
    spawn_batch(&mut criterion);
    criterion.final_summary();
}

/// Rows that are made before the pass, so that all subjects only store them.
fn rows(count: usize) -> Vec<Wide> {
    (0..count).map(Wide::numbered).collect()
}

fn spawn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spawn");
    let (group, workload, count) = (&mut group, "single_10k", 10_000);
    one_by_one(group, ("raw", workload), count, WideColumns::default, |columns, row| {
        columns.push(row);
    });
    one_by_one(group, ("raw+map", workload), count, RawWorld::<Wide>::default, |world, row| {
        world.spawn(row);
    });
    for (subject, snapshot) in SUBJECTS {
        let empty = || LiveWorld::new(convoy_engine::World::new(), snapshot);
        one_by_one(group, (subject, workload), count, empty, |live, row| {
            live.world.spawn(row);
        });
    }
    one_by_one(group, ("hecs", workload), count, hecs::World::new, |world, row| {
        world.spawn(row);
    });
    one_by_one(group, ("bevy", workload), count, bevy_ecs::world::World::new, |world, row| {
        world.spawn(row);
    });
    one_by_one(group, ("flecs", workload), count, FlecsWorld::new, |world, row| {
        row.set(world.entity());
    });
    one_by_one(group, ("shipyard", workload), count, shipyard::World::new, |world, row| {
        world.add_entity(row);
    });
    one_by_one(group, ("sparsey", workload), count, sparsey_world, |world, row| {
        world.create(row);
    });
}

fn spawn_batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spawn_batch");
    for (columns, iterator, count) in
        [("columns_10k", "iterator_10k", 10_000), ("columns_1m", "iterator_1m", 1_000_000)]
    {
        column_batches(&mut group, columns, count);
        row_batches(&mut group, iterator, count);
    }
    group.finish();
}

/// A world that can be emptied and stays warm.
trait Clear {
    /// The view that is alive during a pass.
    type View;

    fn clear(&mut self) -> Self::View;
}

/// Clears the world before every pass, which then spawns all rows one by one.
fn one_by_one<W: Clear>(
    group: &mut Group<'_>,
    id: (&str, &str),
    count: usize,
    empty: impl Fn() -> W,
    mut spawn: impl FnMut(&mut W, Wide),
) {
    let set_up = || (empty(), rows(count));
    let prepare = |(world, _): &mut (W, Vec<Wide>)| world.clear();
    bench_prepared(group, id, set_up, prepare, |(world, rows), _| {
        for &row in rows.iter() {
            spawn(world, row);
        }
    });
}

/// Clears the world before every pass, which then spawns all rows at once.
fn at_once<W: Clear, B, R>(
    group: &mut Group<'_>,
    id: (&str, &str),
    empty: impl Fn() -> W,
    batch: impl Fn() -> B,
    mut spawn: impl FnMut(&mut W, &B) -> R,
) {
    let set_up = || (empty(), batch());
    let prepare = |(world, _): &mut (W, B)| world.clear();
    bench_prepared(group, id, set_up, prepare, |(world, batch), _| spawn(world, batch));
}

fn columns(count: usize) -> WideColumns {
    let mut columns = WideColumns::default();
    for row in rows(count) {
        columns.push(row);
    }
    columns
}

fn copy_columns(target: &mut WideColumns, source: &WideColumns) {
    target.transforms.extend_from_slice(&source.transforms);
    target.positions.extend_from_slice(&source.positions);
    target.rotations.extend_from_slice(&source.rotations);
    target.velocities.extend_from_slice(&source.velocities);
}

fn column_batches(group: &mut Group<'_>, workload: &str, count: usize) {
    let batch = || columns(count);
    at_once(group, ("raw", workload), WideColumns::default, batch, copy_columns);
    at_once(group, ("raw+map", workload), RawWorld::<Wide>::default, batch, |world, batch| {
        copy_columns(&mut world.columns, batch);
        let slots = 0..batch.positions.len() as u32;
        world.slots.extend(slots.clone().map(|row| Slot { generation: 0, row }));
        world.entities.extend(slots.map(|slot| RawEntity { slot, generation: 0 }));
    });
    for (subject, snapshot) in SUBJECTS {
        let empty = || LiveWorld::new(convoy_engine::World::new(), snapshot);
        at_once(group, (subject, workload), empty, batch, |live, batch| {
            let WideColumns { transforms, positions, rotations, velocities } = batch;
            let slices = (&transforms[..], &positions[..], &rotations[..], &velocities[..]);
            live.world.spawn_columns(slices).expect("the slices have one length").len()
        });
    }
    at_once(group, ("hecs", workload), hecs::World::new, batch, |world, batch| {
        let mut types = ColumnBatchType::new();
        types.add::<Transform>().add::<Position>().add::<Rotation>().add::<Velocity>();
        let builder: ColumnBatchBuilder = types.into_batch(batch.positions.len() as u32);
        write_column(&builder, &batch.transforms);
        write_column(&builder, &batch.positions);
        write_column(&builder, &batch.rotations);
        write_column(&builder, &batch.velocities);
        let Ok(batch) = builder.build() else { panic!("all columns are full") };
        world.spawn_column_batch(batch);
    });
    at_once(group, ("flecs", workload), FlecsWorld::new, batch, |world, batch| {
        let mut builder = world.entity_bulk(batch.positions.len() as u32);
        let builder = builder.set(&batch.transforms).set(&batch.positions);
        builder.set(&batch.rotations).set(&batch.velocities).build();
    });
}

fn write_column<T: Copy + Send + Sync + 'static>(builder: &ColumnBatchBuilder, values: &[T]) {
    let mut writer = builder.writer::<T>().expect("the batch has the type");
    for &value in values {
        assert!(writer.push(value).is_ok(), "the column has room");
    }
}

fn row_batches(group: &mut Group<'_>, workload: &str, count: usize) {
    let batch = || rows(count);
    at_once(group, ("raw", workload), WideColumns::default, batch, |columns, rows| {
        for &row in rows {
            columns.push(row);
        }
    });
    at_once(group, ("raw+map", workload), RawWorld::<Wide>::default, batch, |world, rows| {
        for &row in rows {
            world.spawn(row);
        }
    });
    for (subject, snapshot) in SUBJECTS {
        let empty = || LiveWorld::new(convoy_engine::World::new(), snapshot);
        at_once(group, (subject, workload), empty, batch, |live, rows| {
            live.world.spawn_batch(rows.iter().copied()).expect("there is memory").len()
        });
    }
    at_once(group, ("hecs", workload), hecs::World::new, batch, |world, rows| {
        world.spawn_batch(rows.iter().copied());
    });
    at_once(group, ("bevy", workload), bevy_ecs::world::World::new, batch, |world, rows| {
        world.spawn_batch(rows.iter().copied());
    });
    at_once(group, ("shipyard", workload), shipyard::World::new, batch, |world, rows| {
        world.bulk_add_entity(rows.iter().copied());
    });
    at_once(group, ("sparsey", workload), sparsey_world, batch, |world, rows| {
        world.extend(rows.iter().copied());
    });
}

fn sparsey_world() -> sparsey::World {
    let mut world = sparsey::World::default();
    Wide::declare(&mut world);
    world
}

impl Clear for LiveWorld {
    type View = Option<convoy_engine::View>;

    fn clear(&mut self) -> Self::View {
        self.world.clear().expect("there is memory");
        self.capture()
    }
}

/// Empties a world without a snapshot.
macro_rules! clear {
    ($($world:ty => |$value:ident| $clear:expr;)+) => {
        $(
            impl Clear for $world {
                type View = ();

                fn clear(&mut self) {
                    let $value = self;
                    $clear;
                }
            }
        )+
    };
}

clear! {
    WideColumns => |columns| Columns::clear(columns);
    RawWorld<Wide> => |world| world.clear();
    hecs::World => |world| world.clear();
    bevy_ecs::world::World => |world| world.clear_entities();
    FlecsWorld => |world| world.delete_entities_with(flecs_ecs::core::id::<Position>());
    shipyard::World => |world| world.clear();
    sparsey::World => |world| world.reset();
}
