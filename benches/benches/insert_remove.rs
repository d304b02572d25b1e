//! Inserting and removing: a 4-byte component of 10 thousand entities, one by one.
//!
//! Each pass inserts the component into every entity in turn and then removes it from every one,
//! so each entity moves to the other table and back; `convoy batch` does either half to all of
//! them at once, and `convoy toggle` switches the component off and on again in place. `raw` moves
//! the rows of two structs of `Vec`s by hand and keeps the map right.

mod common;

use std::marker::PhantomData;

use convoy_engine::{Entity, With, Without};
use criterion::Criterion;
use flecs_ecs::prelude::{IdOperations, World as FlecsWorld, id};

use common::columns::{Columns, Small, Wide};
use common::components::Marker;
use common::live::{LiveWorld, SUBJECTS};
use common::raw::{RawEntity, Slot};
use common::rows::Row;
use common::timing::{Group, bench, bench_prepared, criterion};

const ROWS: usize = 10_000;

fn main() {
    let mut criterion = criterion();
    insert_remove(&mut criterion);
    criterion.final_summary();
}

fn insert_remove(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("insert_remove");
    subjects::<Small>(&mut group, "4_byte_rows_10k");
    subjects::<Wide>(&mut group, "100_byte_rows_10k");
    group.finish();
}

fn subjects<R: Row>(group: &mut Group<'_>, workload: &str) {
    raw::<R>(group, workload);
    convoy::<R>(group, workload);
    convoy_batch::<R>(group, workload);
    convoy_toggle::<R>(group, workload);
    hecs::<R>(group, workload);
    bevy::<R>(group, workload);
    flecs::<R>(group, workload);
    shipyard::<R>(group, workload);
    sparsey::<R>(group, workload);
}

/// One of the two tables.
struct RawTable<R: Row> {
    columns: R::Columns,
    markers: Vec<Marker>,
    entities: Vec<RawEntity>,
}

impl<R: Row> Default for RawTable<R> {
    fn default() -> Self {
        Self { columns: R::Columns::default(), markers: Vec::new(), entities: Vec::new() }
    }
}

/// Rows without and with the component, and the map to them. Which table an entity is in is the
/// lowest bit of its row in the map.
struct RawTables<R: Row> {
    without: RawTable<R>,
    with: RawTable<R>,
    slots: Vec<Slot>,
    row: PhantomData<R>,
}

impl<R: Row> RawTables<R> {
    fn filled() -> (Self, Vec<RawEntity>) {
        let (mut without, mut slots) = (RawTable::<R>::default(), Vec::new());
        for number in 0..ROWS {
            without.columns.push(R::numbered(number));
            without.entities.push(RawEntity { slot: number as u32, generation: 0 });
            slots.push(Slot { generation: 0, row: (number as u32) << 1 });
        }
        let entities = without.entities.clone();
        (Self { without, with: RawTable::default(), slots, row: PhantomData }, entities)
    }

    #[inline]
    fn locate(&self, entity: RawEntity, table: u32) -> Option<usize> {
        let slot = self.slots.get(entity.slot as usize)?;
        let found = slot.generation == entity.generation && slot.row & 1 == table;
        found.then_some((slot.row >> 1) as usize)
    }

    #[inline]
    fn insert(&mut self, entity: RawEntity, marker: Marker) -> bool {
        let Some(row) = self.locate(entity, 0) else { return false };
        self.slots[entity.slot as usize].row = (self.with.entities.len() as u32) << 1 | 1;
        self.with.columns.push(self.without.columns.swap_remove(row));
        self.with.markers.push(marker);
        self.with.entities.push(self.without.entities.swap_remove(row));
        if let Some(moved) = self.without.entities.get(row) {
            self.slots[moved.slot as usize].row = (row as u32) << 1;
        }
        true
    }

    #[inline]
    fn remove(&mut self, entity: RawEntity) -> Option<Marker> {
        let row = self.locate(entity, 1)?;
        self.slots[entity.slot as usize].row = (self.without.entities.len() as u32) << 1;
        self.without.columns.push(self.with.columns.swap_remove(row));
        let marker = self.with.markers.swap_remove(row);
        self.without.entities.push(self.with.entities.swap_remove(row));
        if let Some(moved) = self.with.entities.get(row) {
            self.slots[moved.slot as usize].row = (row as u32) << 1 | 1;
        }
        Some(marker)
    }
}

fn raw<R: Row>(group: &mut Group<'_>, workload: &str) {
    bench(group, ("raw", workload), RawTables::<R>::filled, |(tables, entities)| {
        for (number, &entity) in entities.iter().enumerate() {
            assert!(tables.insert(entity, Marker(number as u32)));
        }
        let removed = entities.iter().map(|&entity| tables.remove(entity).map(|marker| marker.0));
        removed.map(|marker| marker.expect("it was inserted")).fold(0, u32::wrapping_add)
    });
}

fn convoy<R: Row>(group: &mut Group<'_>, workload: &str) {
    type State = (LiveWorld, Vec<Entity>);
    for (subject, snapshot) in SUBJECTS {
        let set_up = || {
            let mut world = convoy_engine::World::new();
            let entities = (0..ROWS).map(|number| world.spawn(R::numbered(number))).collect();
            (LiveWorld::new(world, snapshot), entities)
        };
        let pass = |(live, entities): &mut State| {
            for (number, &entity) in entities.iter().enumerate() {
                live.world.insert(entity, (Marker(number as u32),)).expect("it is alive");
            }
            let mut removed = 0_u32;
            for &entity in entities.iter() {
                let (marker,) = live.world.remove::<(Marker,)>(entity).expect("it was inserted");
                removed = removed.wrapping_add(marker.0);
            }
            removed
        };
        if snapshot {
            let prepare = |state: &mut State| state.0.capture();
            bench_prepared(group, (subject, workload), set_up, prepare, |state, _| pass(state));
        } else {
            bench(group, (subject, workload), set_up, pass);
        }
    }
}

/// All entities at once: the rows of whole tables move.
fn convoy_batch<R: Row>(group: &mut Group<'_>, workload: &str) {
    for (subject, snapshot) in SUBJECTS {
        let set_up = || {
            let mut world = convoy_engine::World::new();
            for number in 0..ROWS {
                world.spawn(R::numbered(number));
            }
            LiveWorld::new(world, snapshot)
        };
        let pass = |live: &mut LiveWorld| {
            let query = live.world.query_mut::<Entity>().filter::<Without<Marker>>();
            let inserted = query.insert((Marker(1),)).expect("the bundle is sound");
            let query = live.world.query_mut::<Entity>().filter::<With<Marker>>();
            let removed = query.remove::<(Marker,)>().expect("the bundle is sound");
            assert_eq!((inserted, removed), (ROWS, ROWS));
        };
        let (subject, prepare) = (subject.replace("convoy", "convoy batch"), LiveWorld::capture);
        let id = (subject.as_str(), workload);
        if snapshot {
            bench_prepared(group, id, set_up, prepare, |live, _| pass(live));
        } else {
            bench(group, id, set_up, pass);
        }
    }
}

/// In place: the component of each entity in turn is switched off, and then on again.
fn convoy_toggle<R: Row>(group: &mut Group<'_>, workload: &str) {
    type State = (LiveWorld, Vec<Entity>);
    for (subject, snapshot) in SUBJECTS {
        let set_up = || {
            let mut world = convoy_engine::World::new();
            world.register_toggle::<Marker>().expect("no entity has the component");
            let mut entities = Vec::new();
            for number in 0..ROWS {
                let entity = world.spawn(R::numbered(number));
                world.insert(entity, (Marker(number as u32),)).expect("it is alive");
                entities.push(entity);
            }
            (LiveWorld::new(world, snapshot), entities)
        };
        let pass = |(live, entities): &mut State| {
            let mut toggles = live.world.toggles::<Marker>().expect("it is a toggle");
            let mut switched = 0;
            for enabled in [false, true] {
                for &entity in entities.iter() {
                    let changed = toggles.set(entity, enabled).expect("it has the component");
                    switched += u32::from(changed);
                }
            }
            assert_eq!(switched as usize, 2 * ROWS);
            switched
        };
        let subject = subject.replace("convoy", "convoy toggle");
        let id = (subject.as_str(), workload);
        if snapshot {
            let prepare = |state: &mut State| state.0.capture();
            bench_prepared(group, id, set_up, prepare, |state, _| pass(state));
        } else {
            bench(group, id, set_up, pass);
        }
    }
}

fn hecs<R: Row>(group: &mut Group<'_>, workload: &str) {
    let set_up = || {
        let mut world = hecs::World::new();
        let entities: Vec<_> = world.spawn_batch((0..ROWS).map(R::numbered)).collect();
        (world, entities)
    };
    bench(group, ("hecs", workload), set_up, |(world, entities)| {
        for (number, &entity) in entities.iter().enumerate() {
            world.insert_one(entity, Marker(number as u32)).expect("it is alive");
        }
        let mut removed = 0_u32;
        for &entity in entities.iter() {
            let marker = world.remove_one::<Marker>(entity).expect("it was inserted");
            removed = removed.wrapping_add(marker.0);
        }
        removed
    });
}

fn bevy<R: Row>(group: &mut Group<'_>, workload: &str) {
    let set_up = || {
        let mut world = bevy_ecs::world::World::new();
        let rows: Vec<_> = (0..ROWS).map(R::numbered).collect();
        let entities: Vec<_> = world.spawn_batch(rows).collect();
        (world, entities)
    };
    bench(group, ("bevy", workload), set_up, |(world, entities)| {
        for (number, &entity) in entities.iter().enumerate() {
            world.entity_mut(entity).insert(Marker(number as u32));
        }
        let mut removed = 0_u32;
        for &entity in entities.iter() {
            let marker = world.entity_mut(entity).take::<Marker>().expect("it was inserted");
            removed = removed.wrapping_add(marker.0);
        }
        removed
    });
}

fn flecs<R: Row>(group: &mut Group<'_>, workload: &str) {
    let set_up = || {
        let world = FlecsWorld::new();
        let mut entities = Vec::new();
        for number in 0..ROWS {
            let entity = world.entity();
            R::numbered(number).set(entity);
            entities.push(entity.id());
        }
        (world, entities)
    };
    bench(group, ("flecs", workload), set_up, |(world, entities)| {
        for (number, &entity) in entities.iter().enumerate() {
            world.entity_from_id(entity).set(Marker(number as u32));
        }
        for &entity in entities.iter() {
            world.entity_from_id(entity).remove(id::<Marker>());
        }
    });
}

fn shipyard<R: Row>(group: &mut Group<'_>, workload: &str) {
    let set_up = || {
        let mut world = shipyard::World::new();
        let entities: Vec<_> =
            (0..ROWS).map(|number| world.add_entity(R::numbered(number))).collect();
        (world, entities)
    };
    bench(group, ("shipyard", workload), set_up, |(world, entities)| {
        for (number, &entity) in entities.iter().enumerate() {
            world.add_component(entity, (Marker(number as u32),));
        }
        let mut removed = 0_u32;
        for &entity in entities.iter() {
            let (marker,) = world.remove::<(Marker,)>(entity);
            removed = removed.wrapping_add(marker.expect("it was inserted").0);
        }
        removed
    });
}

fn sparsey<R: Row>(group: &mut Group<'_>, workload: &str) {
    let set_up = || {
        let mut world = sparsey::World::default();
        R::declare(&mut world);
        world.register::<Marker>();
        let entities: Vec<_> = (0..ROWS).map(|number| world.create(R::numbered(number))).collect();
        (world, entities)
    };
    bench(group, ("sparsey", workload), set_up, |(world, entities)| {
        for (number, &entity) in entities.iter().enumerate() {
            assert!(world.insert(entity, (Marker(number as u32),)));
        }
        let mut removed = 0_u32;
        for &entity in entities.iter() {
            let (marker,) = world.remove::<(Marker,)>(entity);
            removed = removed.wrapping_add(marker.expect("it was inserted").0);
        }
        removed
    });
}
