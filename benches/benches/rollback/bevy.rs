//! bevy_ecs by the method of `bevy_ggrs`: before each frame a map from an identity to a clone, a component
//! each; going back compares each entity with them, and spawns, despawns, inserts, removes and replaces.

use std::collections::HashMap;

use bevy_ecs::component::{Component, Mutable};
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use convoy_benches::heap_bytes;

use super::common::columns::Wide;
use super::common::components::{Marker, Position, Rotation, Transform, Velocity};
use super::common::rows::Row;
use super::{
    CHURN, Hit, LIFE, MARKED, Simulation, Spawned, WINDOW, Writes, random, spawned_row, step,
    step_all, step_transform, step_velocity, sum_row, written,
};

type WideMut<'a> = (&'a mut Transform, &'a mut Position, &'a mut Rotation, &'a mut Velocity);

/// The identity that an entity keeps when it is despawned and spawned again.
#[derive(Component, Clone, Copy, PartialEq, Eq, Hash)]
struct Rollback(u64);

type Clones<T> = HashMap<Rollback, T>;

#[derive(Default)]
struct Kept {
    entities: HashMap<Rollback, Entity>,
    transforms: Clones<Transform>,
    positions: Clones<Position>,
    rotations: Clones<Rotation>,
    velocities: Clones<Velocity>,
    markers: Clones<Marker>,
    next: u64,
}

pub(crate) struct Simulated {
    world: World,
    events: Vec<Hit>,
    kept: [Kept; WINDOW as usize],
    entities: Vec<Entity>,
    /// The identities of the entities that come and go, and the entities themselves now.
    spawned: Spawned<Rollback>,
    known: HashMap<Rollback, Entity>,
    next: u64,
}

fn clones<T: Component + Copy>(world: &mut World) -> Clones<T> {
    world.query::<(&Rollback, &T)>().iter(world).map(|(&id, &value)| (id, value)).collect()
}

fn put_back<T: Component<Mutability = Mutable> + Copy>(world: &mut World, clones: &Clones<T>) {
    let mut others = Vec::new();
    for (entity, id, value) in world.query::<(Entity, &Rollback, Option<&mut T>)>().iter_mut(world)
    {
        match (clones.get(id), value) {
            (Some(&clone), Some(mut value)) => *value = clone,
            (Some(&clone), None) => others.push((entity, Some(clone))),
            (None, Some(_)) => others.push((entity, None)),
            (None, None) => {}
        }
    }
    for (entity, clone) in others {
        match clone {
            Some(clone) => _ = world.entity_mut(entity).insert(clone),
            None => _ = world.entity_mut(entity).remove::<T>(),
        }
    }
}

impl Simulated {
    fn churn(&mut self, frame: u64) {
        let Self { world, events, entities, spawned, known, next, .. } = self;
        if frame >= LIFE {
            for old in &spawned[(frame - LIFE) as usize % 64] {
                assert!(world.despawn(known.remove(old).expect("it is known")), "it is alive");
            }
        }
        events.clear();
        for number in 0..CHURN {
            let id = Rollback(*next);
            *next += 1;
            let (transform, position, rotation, velocity) = spawned_row(frame, number);
            let entity = world.spawn((id, transform, position, rotation, velocity)).id();
            known.insert(id, entity);
            spawned[frame as usize % 64][number] = id;
            let marked = |frame| entities[random(frame, number) % entities.len()];
            if frame >= MARKED {
                world.entity_mut(marked(frame - MARKED)).remove::<Marker>();
            }
            world.entity_mut(marked(frame)).insert(Marker(frame as u32));
            events.push(Hit { frame, number: number as u64 });
        }
    }
}

impl Simulation for Simulated {
    fn new(entities: usize) -> Self {
        let mut world = World::new();
        let rows = (0..entities).map(|number| {
            let (transform, position, rotation, velocity) = Wide::numbered(number);
            (Rollback(number as u64), transform, position, rotation, velocity)
        });
        let spawned: Vec<Entity> = world.spawn_batch(rows).collect();
        Self {
            world,
            events: Vec::new(),
            kept: Default::default(),
            known: HashMap::new(),
            next: entities as u64,
            entities: spawned,
            spawned: [[Rollback(u64::MAX); CHURN]; 64],
        }
    }

    fn simulate(&mut self, writes: Writes, frame: u64) {
        let world = &mut self.world;
        match writes {
            Writes::OneColumn => {
                let mut query = world.query::<&mut Position>();
                query.iter_mut(world).for_each(|mut position| step(&mut position));
            }
            Writes::Everything => {
                let mut query = world.query::<WideMut<'_>>();
                for (mut transform, mut position, mut rotation, mut velocity) in
                    query.iter_mut(world)
                {
                    step_all((&mut transform, &mut position, &mut rotation, &mut velocity));
                }
            }
            Writes::Anywhere | Writes::Neighbours => {
                for number in written(writes, frame, self.entities.len()) {
                    let velocity = world.get_mut::<Velocity>(self.entities[number]);
                    step_velocity(&mut velocity.expect("it is alive"));
                }
            }
            Writes::WideAnywhere => {
                for number in written(writes, frame, self.entities.len()) {
                    let transform = world.get_mut::<Transform>(self.entities[number]);
                    step_transform(&mut transform.expect("it is alive"));
                }
            }
        }
        self.churn(frame);
    }

    fn keep(&mut self, frame: u64) {
        let place = &mut self.kept[(frame % WINDOW) as usize];
        *place = Kept::default();
        let world = &mut self.world;
        *place = Kept {
            entities: world
                .query::<(&Rollback, Entity)>()
                .iter(world)
                .map(|(&id, entity)| (id, entity))
                .collect(),
            transforms: clones(world),
            positions: clones(world),
            rotations: clones(world),
            velocities: clones(world),
            markers: clones(world),
            next: self.next,
        };
    }

    fn go_back(&mut self, frame: u64) {
        let Self { world, kept, known, .. } = self;
        let kept = &kept[(frame % WINDOW) as usize];
        let alive: Vec<(Entity, Rollback)> = world
            .query::<(Entity, &Rollback)>()
            .iter(world)
            .map(|(entity, &id)| (entity, id))
            .collect();
        let mut missing: HashMap<Rollback, Entity> = kept.entities.clone();
        for (entity, id) in alive {
            if missing.remove(&id).is_none() {
                world.despawn(entity);
                known.remove(&id);
            }
        }
        for (id, _) in missing {
            known.insert(id, world.spawn(id).id());
        }
        put_back(world, &kept.transforms);
        put_back(world, &kept.positions);
        put_back(world, &kept.rotations);
        put_back(world, &kept.velocities);
        put_back(world, &kept.markers);
        self.next = kept.next;
    }

    fn checksum(&mut self) -> u64 {
        let mut total = 0_u64;
        let world = &mut self.world;
        let mut rows = world.query::<(&Transform, &Position, &Rotation, &Velocity)>();
        rows.iter(world).for_each(|row| total = total.wrapping_add(sum_row(row)));
        let mut markers = world.query::<&Marker>();
        markers.iter(world).for_each(|marker| total = total.wrapping_add(u64::from(marker.0)));
        total
    }

    fn kept_bytes(&mut self) -> usize {
        let before = heap_bytes();
        self.kept = Default::default();
        before.saturating_sub(heap_bytes())
    }
}
