//! Iterating over 26 archetypes of 20 rows: the cost of a query beyond its loop.
//!
//! Every archetype has a component of its own beside the `Health` that is doubled. `raw` is the
//! loop over 26 `Vec`s.

mod common;

use criterion::Criterion;
use flecs_ecs::prelude::{QueryAPI, World as FlecsWorld};
use shipyard::IntoIter;

use common::components::{Health, components};
use common::live::{LiveWorld, SUBJECTS};
use common::timing::{Group, bench, bench_prepared, criterion};

const WORKLOAD: &str = "26_archetypes_x_20";
const ROWS: usize = 20;

/// Defines the letters, and a macro that calls another one with all of them.
macro_rules! letters {
    ($($letter:ident)+) => {
        components! {
            $(
                /// The component of one archetype.
                $letter(f32);
            )+
        }

        macro_rules! for_each_letter {
            (|$archetype:ident| $body:expr) => {
                $({
                    type $archetype = $letter;
                    $body;
                })+
            };
        }
    };
}

letters!(A B C D E F G H I J K L M N O P Q R S T U V W X Y Z);

fn main() {
    let mut criterion = criterion();
    fragmented(&mut criterion);
    criterion.final_summary();
}

fn fragmented(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("iterate");
    raw(&mut group);
    convoy(&mut group);
    hecs(&mut group);
    bevy(&mut group);
    flecs(&mut group);
    shipyard(&mut group);
    sparsey(&mut group);
    group.finish();
}

fn raw(group: &mut Group<'_>) {
    let tables = || vec![vec![Health(1.0); ROWS]; 26];
    bench(group, ("raw", WORKLOAD), tables, |tables| {
        for table in tables {
            for health in table {
                health.0 *= 2.0;
            }
        }
    });
}

fn convoy(group: &mut Group<'_>) {
    let fill = || {
        let mut world = convoy_engine::World::new();
        for _ in 0..ROWS {
            for_each_letter!(|Letter| world.spawn((Letter::default(), Health(1.0))));
        }
        world
    };
    let prepared = || (fill(), convoy_engine::query::PreparedQuery::<&mut Health>::new());
    bench(group, ("convoy prepared", WORKLOAD), prepared, |(world, query)| {
        query.query_mut(world).for_each(|health| health.0 *= 2.0);
    });
    bench(group, ("convoy loop", WORKLOAD), fill, |world| {
        for health in world.query_mut::<&mut Health>() {
            health.0 *= 2.0;
        }
    });
    for (subject, snapshot) in SUBJECTS {
        let set_up = || LiveWorld::new(fill(), snapshot);
        let pass = |live: &mut LiveWorld| {
            live.world.query_mut::<&mut Health>().for_each(|health| health.0 *= 2.0);
        };
        if snapshot {
            let prepare = LiveWorld::capture;
            bench_prepared(group, (subject, WORKLOAD), set_up, prepare, |live, _| pass(live));
        } else {
            bench(group, (subject, WORKLOAD), set_up, pass);
        }
    }
}

fn hecs(group: &mut Group<'_>) {
    let set_up = || {
        let mut world = hecs::World::new();
        for _ in 0..ROWS {
            for_each_letter!(|Letter| world.spawn((Letter::default(), Health(1.0))));
        }
        (world, hecs::PreparedQuery::<&mut Health>::new())
    };
    bench(group, ("hecs", WORKLOAD), set_up, |(world, _)| {
        for health in world.query_mut::<&mut Health>() {
            health.0 *= 2.0;
        }
    });
    bench(group, ("hecs prepared", WORKLOAD), set_up, |(world, query)| {
        for health in query.query_mut(world) {
            health.0 *= 2.0;
        }
    });
}

fn bevy(group: &mut Group<'_>) {
    let set_up = || {
        let mut world = bevy_ecs::world::World::new();
        for _ in 0..ROWS {
            for_each_letter!(|Letter| world.spawn((Letter::default(), Health(1.0))));
        }
        let query = world.query::<&mut Health>();
        (world, query)
    };
    bench(group, ("bevy", WORKLOAD), set_up, |(world, query)| {
        query.iter_mut(world).for_each(|mut health| health.0 *= 2.0);
    });
    bench(group, ("bevy contiguous", WORKLOAD), set_up, |(world, query)| {
        let runs = query.contiguous_iter_mut(world).expect("the component lies in tables");
        for mut healths in runs {
            for health in healths.iter_mut() {
                health.0 *= 2.0;
            }
        }
    });
}

fn flecs(group: &mut Group<'_>) {
    let set_up = || {
        let world = FlecsWorld::new();
        for _ in 0..ROWS {
            for_each_letter!(|Letter| world.entity().set(Letter::default()).set(Health(1.0)));
        }
        let query = world.new_query::<&mut Health>();
        (query, world)
    };
    bench(group, ("flecs", WORKLOAD), set_up, |(query, _)| {
        query.each(|health| health.0 *= 2.0);
    });
}

fn shipyard(group: &mut Group<'_>) {
    let set_up = || {
        let mut world = shipyard::World::new();
        for _ in 0..ROWS {
            for_each_letter!(|Letter| world.add_entity((Letter::default(), Health(1.0))));
        }
        world
    };
    bench(group, ("shipyard", WORKLOAD), set_up, |world| {
        world.run(|mut healths: shipyard::ViewMut<'_, Health>| {
            for health in (&mut healths).iter() {
                health.0 *= 2.0;
            }
        });
    });
}

fn sparsey(group: &mut Group<'_>) {
    let set_up = || {
        let mut world = sparsey::World::builder().register::<Health>().build();
        for_each_letter!(|Letter| world.register::<Letter>());
        for _ in 0..ROWS {
            for_each_letter!(|Letter| world.create((Letter::default(), Health(1.0))));
        }
        world
    };
    bench(group, ("sparsey", WORKLOAD), set_up, |world| {
        world.for_each::<&mut Health>(|health| health.0 *= 2.0);
    });
}
