//! Getting: 100 thousand components of a million entities, by handle and in random order.
//!
//! `raw` checks the generation in the entity map and reads the row of a `Vec`. Where an engine
//! lets one prepare the look-up, that is a subject of its own.

mod common;

use criterion::Criterion;
use flecs_ecs::prelude::{EntityViewGet, World as FlecsWorld};

use common::columns::Wide;
use common::components::Position;
use common::live::{LiveWorld, SUBJECTS};
use common::raw::{RawEntity, RawWorld};
use common::rows::Row;
use common::shuffle::shuffled;
use common::timing::{Group, bench, bench_prepared, criterion};

const WORKLOAD: &str = "100k_of_1m";
const ROWS: usize = 1_000_000;
const LOOK_UPS: usize = 100_000;

fn main() {
    let mut criterion = criterion();
    get(&mut criterion);
    criterion.final_summary();
}

fn get(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("get");
    raw(&mut group);
    convoy(&mut group);
    hecs(&mut group);
    bevy(&mut group);
    flecs(&mut group);
    shipyard(&mut group);
    sparsey(&mut group);
    group.finish();
}

/// The handles of the random entities.
fn chosen<E: Copy>(entities: &[E]) -> Vec<E> {
    shuffled(entities.len(), LOOK_UPS).into_iter().map(|number| entities[number]).collect()
}

fn sum<E: Copy>(entities: &[E], get: impl Fn(E) -> f32) -> f32 {
    entities.iter().map(|&entity| get(entity)).sum()
}

fn raw(group: &mut Group<'_>) {
    let set_up = || {
        let world = RawWorld::<Wide>::filled(ROWS);
        let entities: Vec<RawEntity> = chosen(&world.entities);
        (world, entities)
    };
    bench(group, ("raw", WORKLOAD), set_up, |(world, entities)| {
        sum(entities, |entity| {
            let row = world.locate(entity).expect("the entity is alive");
            world.columns.positions[row].0[0]
        })
    });
}

fn convoy(group: &mut Group<'_>) {
    for (subject, snapshot) in SUBJECTS {
        let set_up = || {
            let mut world = convoy_engine::World::new();
            let entities: Vec<_> =
                (0..ROWS).map(|number| world.spawn(Wide::numbered(number))).collect();
            (LiveWorld::new(world, snapshot), chosen(&entities))
        };
        type State = (LiveWorld, Vec<convoy_engine::Entity>);
        let pass = |(live, entities): &mut State| {
            sum(entities, |entity| {
                live.world.get::<Position>(entity).expect("the entity is alive").0[0]
            })
        };
        if snapshot {
            let prepare = |state: &mut State| state.0.capture();
            bench_prepared(group, (subject, WORKLOAD), set_up, prepare, |state, _| pass(state));
        } else {
            bench(group, (subject, WORKLOAD), set_up, pass);
        }
        if snapshot {
            let prepare = |state: &mut State| state.0.capture().expect("a snapshot is alive");
            let id = ("convoy view", WORKLOAD);
            bench_prepared(group, id, set_up, prepare, |(_, entities), view| {
                sum(entities, |entity| view.get::<Position>(entity).expect("it was alive").0[0])
            });
            let id = ("convoy view prepared", WORKLOAD);
            bench_prepared(group, id, set_up, prepare, |(_, entities), view| {
                let reader = view.reader::<Position>().expect("everything was captured");
                sum(entities, |entity| reader.get(entity).expect("it was alive").0[0])
            });
        } else {
            bench(group, ("convoy prepared", WORKLOAD), set_up, |(live, entities)| {
                let reader = live.world.reader::<Position>().expect("this is no replica");
                sum(entities, |entity| reader.get(entity).expect("the entity is alive").0[0])
            });
        }
    }
}

fn hecs(group: &mut Group<'_>) {
    let set_up = || {
        let mut world = hecs::World::new();
        let entities: Vec<_> = world.spawn_batch((0..ROWS).map(Wide::numbered)).collect();
        (world, chosen(&entities))
    };
    bench(group, ("hecs", WORKLOAD), set_up, |(world, entities)| {
        sum(entities, |entity| world.get::<&Position>(entity).expect("the entity is alive").0[0])
    });
    bench(group, ("hecs view", WORKLOAD), set_up, |(world, entities)| {
        let view = world.view_mut::<&Position>();
        sum(entities, |entity| view.get(entity).expect("the entity is alive").0[0])
    });
}

fn bevy(group: &mut Group<'_>) {
    let set_up = || {
        let mut world = bevy_ecs::world::World::new();
        let rows: Vec<_> = (0..ROWS).map(Wide::numbered).collect();
        let entities: Vec<_> = world.spawn_batch(rows).collect();
        let query = world.query::<&Position>();
        (world, query, chosen(&entities))
    };
    bench(group, ("bevy", WORKLOAD), set_up, |(world, _, entities)| {
        sum(entities, |entity| world.get::<Position>(entity).expect("the entity is alive").0[0])
    });
    bench(group, ("bevy query", WORKLOAD), set_up, |(world, query, entities)| {
        let query = query.query(world);
        sum(entities, |entity| query.get(entity).expect("the entity is alive").0[0])
    });
}

fn flecs(group: &mut Group<'_>) {
    let set_up = || {
        let world = FlecsWorld::new();
        let positions: Vec<_> = (0..ROWS).map(|number| Wide::numbered(number).1).collect();
        let entities = world.entity_bulk(ROWS as u32).set(&positions).build();
        (world, chosen(&entities))
    };
    bench(group, ("flecs", WORKLOAD), set_up, |(world, entities)| {
        sum(entities, |entity| {
            world.entity_from_id(entity).get::<&Position>(|position| position.0[0])
        })
    });
}

fn shipyard(group: &mut Group<'_>) {
    let set_up = || {
        let mut world = shipyard::World::new();
        let entities: Vec<_> = world.bulk_add_entity((0..ROWS).map(Wide::numbered)).collect();
        (world, chosen(&entities))
    };
    bench(group, ("shipyard", WORKLOAD), set_up, |(world, entities)| {
        world.run(|positions: shipyard::View<'_, Position>| {
            sum(entities, |entity| positions[entity].0[0])
        })
    });
}

fn sparsey(group: &mut Group<'_>) {
    let set_up = || {
        let mut world = sparsey::World::default();
        Wide::declare(&mut world);
        let entities = world.extend((0..ROWS).map(Wide::numbered)).to_vec();
        (world, chosen(&entities))
    };
    bench(group, ("sparsey", WORKLOAD), set_up, |(world, entities)| {
        let positions = world.borrow::<Position>();
        sum(entities, |entity| positions.get(entity).expect("the entity is alive").0[0])
    });
}
