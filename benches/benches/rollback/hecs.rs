//! hecs: a world of copied columns under the same handles before each frame.

use convoy_benches::heap_bytes;
use hecs::{ColumnBatchType, Component, Entity, World};

use super::common::columns::Wide;
use super::common::components::{Marker, Position, Rotation, Transform, Velocity};
use super::common::rows::Row;
use super::{
    CHURN, Hit, LIFE, MARKED, Simulation, Spawned, WINDOW, Writes, random, spawned_row, step,
    step_all, step_transform, step_velocity, sum_row, written,
};

type WideMut<'a> = (&'a mut Transform, &'a mut Position, &'a mut Rotation, &'a mut Velocity);

pub(crate) struct Simulated {
    world: World,
    events: Vec<Hit>,
    kept: [World; WINDOW as usize],
    entities: Vec<Entity>,
    spawned: Spawned<Entity>,
}

/// A world with the same components under the same handles.
fn copied(world: &World) -> World {
    let mut copy = World::new();
    // Queries go by archetypes as well.
    let mut query = world.query::<Entity>();
    let handles: Vec<Entity> = query.iter().collect();
    // All places are taken first: hecs searches its free list for a place that is asked for.
    let places = handles.iter().map(|entity| entity.id() + 1).max().unwrap_or(0);
    let places: Vec<Entity> = copy.reserve_entities(places).collect();
    copy.flush();
    let mut free = vec![true; places.len()];
    handles.iter().for_each(|entity| free[entity.id() as usize] = false);
    let mut handles = handles.into_iter();
    for archetype in world.archetypes().filter(|archetype| !archetype.is_empty()) {
        let mut types = ColumnBatchType::new();
        types.add::<Transform>().add::<Position>().add::<Rotation>().add::<Velocity>();
        if archetype.has::<Marker>() {
            types.add::<Marker>();
        }
        let mut batch = types.into_batch(archetype.len());
        fn column<T: Component + Copy>(
            batch: &mut hecs::ColumnBatchBuilder,
            from: &hecs::Archetype,
        ) {
            let (Some(mut to), Some(from)) = (batch.writer::<T>(), from.get::<&T>()) else {
                return;
            };
            from.iter().for_each(|&value| _ = to.push(value));
        }
        column::<Transform>(&mut batch, archetype);
        column::<Position>(&mut batch, archetype);
        column::<Rotation>(&mut batch, archetype);
        column::<Velocity>(&mut batch, archetype);
        column::<Marker>(&mut batch, archetype);
        let handles: Vec<Entity> = handles.by_ref().take(archetype.len() as usize).collect();
        let batch = batch.build().expect("all columns are full");
        copy.spawn_column_batch_at(&handles, batch);
    }
    for place in places.into_iter().filter(|place| free[place.id() as usize]) {
        copy.despawn(place).expect("it was just reserved");
    }
    copy
}

impl Simulated {
    fn churn(&mut self, frame: u64) {
        let Self { world, events, entities, spawned, .. } = self;
        if frame >= LIFE {
            for &old in &spawned[(frame - LIFE) as usize % 64] {
                world.despawn(old).expect("it is alive");
            }
        }
        events.clear();
        for number in 0..CHURN {
            spawned[frame as usize % 64][number] = world.spawn(spawned_row(frame, number));
            let marked = |frame| entities[random(frame, number) % entities.len()];
            if frame >= MARKED {
                _ = world.remove_one::<Marker>(marked(frame - MARKED));
            }
            world.insert_one(marked(frame), Marker(frame as u32)).expect("it is alive");
            events.push(Hit { frame, number: number as u64 });
        }
    }
}

impl Simulation for Simulated {
    fn new(entities: usize) -> Self {
        let mut world = World::new();
        let entities = world.spawn_batch((0..entities).map(Wide::numbered)).collect();
        let kept = std::array::from_fn(|_| World::new());
        let spawned = [[Entity::DANGLING; CHURN]; 64];
        Self { world, events: Vec::new(), kept, entities, spawned }
    }

    fn simulate(&mut self, writes: Writes, frame: u64) {
        let world = &mut self.world;
        match writes {
            Writes::OneColumn => world.query_mut::<&mut Position>().into_iter().for_each(step),
            Writes::Everything => world.query_mut::<WideMut<'_>>().into_iter().for_each(step_all),
            Writes::Anywhere | Writes::Neighbours => {
                for number in written(writes, frame, self.entities.len()) {
                    let velocity = world.query_one_mut::<&mut Velocity>(self.entities[number]);
                    step_velocity(velocity.expect("it is alive"));
                }
            }
            Writes::WideAnywhere => {
                for number in written(writes, frame, self.entities.len()) {
                    let transform = world.query_one_mut::<&mut Transform>(self.entities[number]);
                    step_transform(transform.expect("it is alive"));
                }
            }
        }
        self.churn(frame);
    }

    fn keep(&mut self, frame: u64) {
        let place = &mut self.kept[(frame % WINDOW) as usize];
        *place = World::new();
        *place = copied(&self.world);
    }

    fn go_back(&mut self, frame: u64) {
        std::mem::swap(&mut self.world, &mut self.kept[(frame % WINDOW) as usize]);
    }

    fn checksum(&mut self) -> u64 {
        let mut total = 0_u64;
        let world = &mut self.world;
        for row in world.query_mut::<(&Transform, &Position, &Rotation, &Velocity)>() {
            total = total.wrapping_add(sum_row(row));
        }
        for marker in world.query_mut::<&Marker>() {
            total = total.wrapping_add(u64::from(marker.0));
        }
        total
    }

    fn kept_bytes(&mut self) -> usize {
        let before = heap_bytes();
        self.kept = std::array::from_fn(|_| World::new());
        before.saturating_sub(heap_bytes())
    }
}
