//! Iterating: `pos += vel` over every row of one table.
//!
//! The tables have 2 or 7 components, 10 thousand or a million rows. `raw` is the loop over two
//! slices; `raw flat` is the same on the slices cast to floats, which vectorises fully, and
//! `convoy runs` does that to the slices of every run.

mod common;

use std::hint::black_box;

use bytemuck::{cast_slice, cast_slice_mut};
use criterion::Criterion;
use flecs_ecs::prelude::{QueryAPI, World as FlecsWorld};
use shipyard::IntoIter;

use common::components::{Health, Mass, Position, Rotation, Target, Transform, Velocity};
use common::live::{LiveWorld, SUBJECTS};
use common::timing::{Group, bench, bench_prepared, criterion};

/// A table, and how many rows it has.
#[derive(Clone, Copy)]
struct Workload {
    name: &'static str,
    rows: usize,
    wide: bool,
}

const WORKLOADS: [Workload; 3] = [
    Workload { name: "pos_vel_10k", rows: 10_000, wide: false },
    Workload { name: "pos_vel_1m", rows: 1_000_000, wide: false },
    Workload { name: "pos_vel_7_components_1m", rows: 1_000_000, wide: true },
];

type Narrow = (Position, Velocity);
type Wide = (Position, Velocity, Rotation, Transform, Target, Health, Mass);

fn narrow(number: usize) -> Narrow {
    (Position([number as f32; 3]), Velocity([1.0, 2.0, 3.0]))
}

fn wide(number: usize) -> Wide {
    let (position, velocity) = narrow(number);
    let rest = (Rotation::default(), Transform::default(), Target::default());
    (position, velocity, rest.0, rest.1, rest.2, Health(1.0), Mass(1.0))
}

#[inline(always)]
fn step(position: &mut Position, velocity: &Velocity) {
    for axis in 0..3 {
        position.0[axis] += velocity.0[axis];
    }
}

/// The same on whole slices, cast to floats.
#[inline(always)]
fn flat(positions: &mut [Position], velocities: &[Velocity]) {
    let positions: &mut [f32] = cast_slice_mut(positions);
    let velocities: &[f32] = cast_slice(velocities);
    for (position, velocity) in positions.iter_mut().zip(velocities) {
        *position += velocity;
    }
}

fn main() {
    let mut criterion = criterion();
    iterate(&mut criterion);
    criterion.final_summary();
}

fn iterate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("iterate");
    for workload in WORKLOADS {
        raw(&mut group, workload);
        convoy(&mut group, workload);
        hecs(&mut group, workload);
        bevy(&mut group, workload);
        flecs(&mut group, workload);
        shipyard(&mut group, workload);
        sparsey(&mut group, workload);
    }
    group.finish();
}

fn raw(group: &mut Group<'_>, Workload { name, rows, .. }: Workload) {
    let columns = || {
        let rows = (0..rows).map(narrow);
        rows.unzip::<_, _, Vec<Position>, Vec<Velocity>>()
    };
    bench(group, ("raw", name), columns, |(positions, velocities)| {
        for (position, velocity) in positions.iter_mut().zip(velocities) {
            step(position, velocity);
        }
    });
    bench(group, ("raw flat", name), columns, |(positions, velocities)| {
        flat(positions, velocities);
    });
}

/// One way to iterate.
type Pass = dyn Fn(&mut LiveWorld);

fn convoy(group: &mut Group<'_>, Workload { name, rows, wide: is_wide }: Workload) {
    for (subject, snapshot) in SUBJECTS {
        let set_up = || {
            let mut world = convoy_engine::World::new();
            for number in 0..rows {
                match is_wide {
                    true => world.spawn(wide(number)),
                    false => world.spawn(narrow(number)),
                };
            }
            LiveWorld::new(world, snapshot)
        };
        let for_each = |live: &mut LiveWorld| {
            let mut query = live.world.query_mut::<(&mut Position, &Velocity)>();
            query.for_each(|(position, velocity)| step(position, velocity));
        };
        let iterator = |live: &mut LiveWorld| {
            for (position, velocity) in live.world.query_mut::<(&mut Position, &Velocity)>() {
                step(position, velocity);
            }
        };
        let runs = |live: &mut LiveWorld| {
            let mut query = live.world.query_mut::<(&mut Position, &Velocity)>();
            query.for_each_run(|(positions, velocities)| flat(positions, velocities));
        };
        let forms: [(&str, &Pass); 3] =
            [("convoy", &for_each), ("convoy iterator", &iterator), ("convoy runs", &runs)];
        for (form, pass) in forms {
            if snapshot {
                let (subject, prepare) = (subject.replace("convoy", form), LiveWorld::capture);
                let id = (subject.as_str(), name);
                bench_prepared(group, id, set_up, prepare, |live, _| pass(live));
            } else {
                bench(group, (form, name), set_up, pass);
            }
        }
    }
}

fn hecs(group: &mut Group<'_>, Workload { name, rows, wide: is_wide }: Workload) {
    let set_up = || {
        let mut world = hecs::World::new();
        if is_wide {
            world.extend((0..rows).map(wide));
        } else {
            world.extend((0..rows).map(narrow));
        }
        world
    };
    bench(group, ("hecs", name), set_up, |world| {
        for (position, velocity) in world.query_mut::<(&mut Position, &Velocity)>() {
            step(position, velocity);
        }
    });
}

fn bevy(group: &mut Group<'_>, Workload { name, rows, wide: is_wide }: Workload) {
    let set_up = || {
        let mut world = bevy_ecs::world::World::new();
        if is_wide {
            world.spawn_batch((0..rows).map(wide).collect::<Vec<_>>());
        } else {
            world.spawn_batch((0..rows).map(narrow).collect::<Vec<_>>());
        }
        let query = world.query::<(&mut Position, &Velocity)>();
        (world, query)
    };
    bench(group, ("bevy", name), set_up, |(world, query)| {
        query.iter_mut(world).for_each(|(mut position, velocity)| step(&mut position, velocity));
    });
    bench(group, ("bevy contiguous", name), set_up, |(world, query)| {
        let runs = query.contiguous_iter_mut(world).expect("both components lie in tables");
        for (mut positions, velocities) in runs {
            for (position, velocity) in positions.iter_mut().zip(velocities) {
                step(position, velocity);
            }
        }
    });
}

fn flecs(group: &mut Group<'_>, Workload { name, rows, wide: is_wide }: Workload) {
    let set_up = || {
        let world = FlecsWorld::new();
        let (positions, velocities): (Vec<_>, Vec<_>) = (0..rows).map(narrow).unzip();
        if is_wide {
            let vectors = (vec![Rotation::default(); rows], vec![Target::default(); rows]);
            let transforms = vec![Transform::default(); rows];
            let scalars = (vec![Health(1.0); rows], vec![Mass(1.0); rows]);
            let mut entities = world.entity_bulk(rows as u32);
            let entities = entities.set(&positions).set(&velocities).set(&vectors.0);
            let entities = entities.set(&vectors.1).set(&transforms).set(&scalars.0);
            black_box(entities.set(&scalars.1).build());
        } else {
            let mut entities = world.entity_bulk(rows as u32);
            black_box(entities.set(&positions).set(&velocities).build());
        }
        let query = world.new_query::<(&mut Position, &Velocity)>();
        (query, world)
    };
    bench(group, ("flecs", name), set_up, |(query, _)| {
        query.each(|(position, velocity)| step(position, velocity));
    });
}

fn shipyard(group: &mut Group<'_>, Workload { name, rows, wide: is_wide }: Workload) {
    let set_up = || {
        let mut world = shipyard::World::new();
        if is_wide {
            world.bulk_add_entity((0..rows).map(wide));
        } else {
            world.bulk_add_entity((0..rows).map(narrow));
        }
        world
    };
    bench(group, ("shipyard", name), set_up, |world| {
        world.run(
            |mut positions: shipyard::ViewMut<'_, Position>,
             velocities: shipyard::View<'_, Velocity>| {
                for (position, velocity) in (&mut positions, &velocities).iter() {
                    step(position, velocity);
                }
            },
        );
    });
}

fn sparsey(group: &mut Group<'_>, Workload { name, rows, wide: is_wide }: Workload) {
    let set_up = || {
        let mut world = sparsey::World::builder().add_group::<(Position, Velocity)>().build();
        if is_wide {
            world.register::<Rotation>();
            world.register::<Transform>();
            world.register::<Target>();
            world.register::<Health>();
            world.register::<Mass>();
            world.extend((0..rows).map(wide));
        } else {
            world.extend((0..rows).map(narrow));
        }
        world
    };
    bench(group, ("sparsey", name), set_up, |world| {
        world.for_each::<(&mut Position, &Velocity)>(|(position, velocity)| {
            step(position, velocity);
        });
    });
}
