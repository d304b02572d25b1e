//! Despawning 10 thousand random entities of 100 thousand, and spawning as many anew.
//!
//! The two halves alternate on one world, and each is timed as a workload of its own, so that the
//! world is the same before every pass. Rows have 4 components, 100 bytes together. `raw` is a
//! struct of `Vec`s with an entity map and a free list.

mod common;

use criterion::Criterion;
use flecs_ecs::prelude::{IdOperations, World as FlecsWorld};

use common::columns::Wide;
use common::live::{LiveWorld, SUBJECTS};
use common::raw::{RawEntity, RawWorld};
use common::rows::Row;
use common::shuffle::shuffled;
use common::timing::{Group, bench_prepared, criterion};

const WORKLOAD: &str = "10k_of_100k";
const ROWS: usize = 100_000;
const CHOSEN: usize = 10_000;

fn main() {
    let mut criterion = criterion();
    despawn(&mut criterion);
    criterion.final_summary();
}

fn despawn(criterion: &mut Criterion) {
    for verb in [Verb::Despawn, Verb::Respawn] {
        let mut group = criterion.benchmark_group(verb.name());
        subject::<RawWorld<Wide>>(&mut group, verb, "raw", RawWorld::default);
        for (name, snapshot) in SUBJECTS {
            subject::<LiveWorld>(&mut group, verb, name, || {
                LiveWorld::new(convoy_engine::World::new(), snapshot)
            });
        }
        subject::<hecs::World>(&mut group, verb, "hecs", hecs::World::new);
        subject::<bevy_ecs::world::World>(&mut group, verb, "bevy", bevy_ecs::world::World::new);
        subject::<FlecsWorld>(&mut group, verb, "flecs", FlecsWorld::new);
        subject::<shipyard::World>(&mut group, verb, "shipyard", shipyard::World::new);
        subject::<sparsey::World>(&mut group, verb, "sparsey", || {
            let mut world = sparsey::World::default();
            Wide::declare(&mut world);
            world
        });
        group.finish();
    }
}

/// Which half is timed.
#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Despawn,
    Respawn,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Despawn => "despawn",
            Self::Respawn => "respawn",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Despawn => Self::Respawn,
            Self::Respawn => Self::Despawn,
        }
    }

    /// Does it to the chosen entities, and returns how many those were.
    fn run<S: Store>(self, state: &mut State<S>) -> usize {
        match self {
            Self::Despawn => despawn_chosen(state),
            Self::Respawn => respawn_chosen(state),
        }
    }
}

/// A world to despawn from and spawn into.
trait Store {
    type Entity: Copy;
    /// The view that is alive during a timed pass.
    type View;

    fn capture(&mut self) -> Self::View;
    fn spawn(&mut self, row: Wide) -> Self::Entity;
    fn despawn(&mut self, entity: Self::Entity) -> bool;
}

/// The world with all its entities, and the places of those that come and go. They are the same
/// places in every pass, of entities that are new in every pass.
struct State<S: Store> {
    store: S,
    entities: Vec<S::Entity>,
    places: Vec<usize>,
}

fn despawn_chosen<S: Store>(state: &mut State<S>) -> usize {
    let State { store, entities, places } = state;
    places.iter().filter(|&&place| store.despawn(entities[place])).count()
}

fn respawn_chosen<S: Store>(state: &mut State<S>) -> usize {
    let State { store, entities, places } = state;
    for &place in places.iter() {
        entities[place] = store.spawn(Wide::numbered(place));
    }
    places.len()
}

fn subject<S: Store>(group: &mut Group<'_>, verb: Verb, name: &str, empty: impl Fn() -> S) {
    let set_up = || {
        let mut store = empty();
        let spawned = (0..ROWS).map(|number| store.spawn(Wide::numbered(number)));
        let entities: Vec<_> = spawned.collect();
        let mut state = State { store, entities, places: shuffled(ROWS, CHOSEN) };
        // A pass leaves the world as this does, and `prepare` undoes it.
        despawn_chosen(&mut state);
        if verb == Verb::Respawn {
            respawn_chosen(&mut state);
        }
        state
    };
    let prepare = |state: &mut State<S>| {
        let undone = verb.other().run(state);
        assert_eq!(undone, CHOSEN, "every pass finds the world as the one before it did");
        state.store.capture()
    };
    bench_prepared(group, (name, WORKLOAD), set_up, prepare, |state, _| verb.run(state));
}

impl Store for RawWorld<Wide> {
    type Entity = RawEntity;
    type View = ();

    fn capture(&mut self) {}

    #[inline]
    fn spawn(&mut self, row: Wide) -> RawEntity {
        self.spawn(row)
    }

    #[inline]
    fn despawn(&mut self, entity: RawEntity) -> bool {
        self.despawn(entity)
    }
}

impl Store for LiveWorld {
    type Entity = convoy_engine::Entity;
    type View = Option<convoy_engine::View>;

    fn capture(&mut self) -> Option<convoy_engine::View> {
        self.capture()
    }

    #[inline]
    fn spawn(&mut self, row: Wide) -> convoy_engine::Entity {
        self.world.spawn(row)
    }

    #[inline]
    fn despawn(&mut self, entity: convoy_engine::Entity) -> bool {
        self.world.despawn(entity).is_ok()
    }
}

/// Peers differ in names only.
macro_rules! store {
    ($type:ty, $entity:ty,
     |$world:ident, $row:ident| $spawn:expr, |$dying:ident| $despawn:expr) => {
        impl Store for $type {
            type Entity = $entity;
            type View = ();

            fn capture(&mut self) {}

            #[inline]
            fn spawn(&mut self, $row: Wide) -> $entity {
                let $world = self;
                $spawn
            }

            #[inline]
            fn despawn(&mut self, $dying: $entity) -> bool {
                let $world = self;
                $despawn
            }
        }
    };
}

store!(hecs::World, hecs::Entity, |world, row| world.spawn(row), |entity| {
    world.despawn(entity).is_ok()
});
store!(
    bevy_ecs::world::World,
    bevy_ecs::entity::Entity,
    |world, row| world.spawn(row).id(),
    |entity| world.despawn(entity)
);
store!(
    FlecsWorld,
    flecs_ecs::core::Entity,
    |world, row| {
        let entity = world.entity();
        row.set(entity);
        entity.id()
    },
    |entity| {
        world.entity_from_id(entity).destruct();
        true
    }
);
store!(shipyard::World, shipyard::EntityId, |world, row| world.add_entity(row), |entity| {
    world.delete_entity(entity)
});
store!(sparsey::World, sparsey::entity::Entity, |world, row| world.create(row), |entity| {
    world.destroy(entity)
});
