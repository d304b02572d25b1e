//! Convoy: a snapshot before each frame, and a restore to go back.

use convoy_engine::commands::Commands;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World};

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
    commands: Commands,
    pool: SnapshotPool,
    kept: [Option<View>; WINDOW as usize],
    entities: Vec<Entity>,
    spawned: Spawned<Entity>,
}

impl Simulated {
    fn churn(&mut self, frame: u64) {
        let Self { world, commands, entities, spawned, .. } = self;
        if frame >= LIFE {
            spawned[(frame - LIFE) as usize % 64].iter().for_each(|&old| commands.despawn(old));
        }
        for number in 0..CHURN {
            let entity = commands.spawn(spawned_row(frame, number));
            spawned[frame as usize % 64][number] = entity;
            let marked = |frame| entities[random(frame, number) % entities.len()];
            if frame >= MARKED {
                commands.remove::<(Marker,)>(marked(frame - MARKED));
            }
            commands.insert(marked(frame), (Marker(frame as u32),));
            commands.send_event(Hit { frame, number: number as u64 });
        }
        world.play_back(commands);
    }
}

impl Simulation for Simulated {
    fn new(entities: usize) -> Self {
        let mut world = World::new();
        let rows = (0..entities).map(Wide::numbered);
        let entities = world.spawn_batch(rows).expect("there is memory").collect();
        let (commands, pool) = (Commands::new(&mut world), SnapshotPool::for_world(&world));
        let spawned = [[Entity::NONE; CHURN]; 64];
        Self { world, commands, pool, kept: Default::default(), entities, spawned }
    }

    fn simulate(&mut self, writes: Writes, frame: u64) {
        let world = &mut self.world;
        match writes {
            Writes::OneColumn => world.query_mut::<&mut Position>().for_each(step),
            Writes::Everything => world.query_mut::<WideMut<'_>>().for_each(step_all),
            Writes::Anywhere | Writes::Neighbours => {
                for number in written(writes, frame, self.entities.len()) {
                    let velocity = world.get_mut::<Velocity>(self.entities[number]);
                    step_velocity(velocity.expect("it is alive"));
                }
            }
            Writes::WideAnywhere => {
                for number in written(writes, frame, self.entities.len()) {
                    let transform = world.get_mut::<Transform>(self.entities[number]);
                    step_transform(transform.expect("it is alive"));
                }
            }
        }
        self.churn(frame);
        self.world.advance_tick();
    }

    fn keep(&mut self, frame: u64) {
        let place = &mut self.kept[(frame % WINDOW) as usize];
        *place = None;
        *place = Some(self.world.capture(ComponentMask::ALL, &self.pool));
    }

    fn go_back(&mut self, frame: u64) {
        let view = self.kept[(frame % WINDOW) as usize].as_ref().expect("it is kept");
        self.world.restore(view).expect("it is a view of everything");
        // An empty buffer takes note.
        self.world.play_back(&mut self.commands);
    }

    fn checksum(&mut self) -> u64 {
        let mut total = 0_u64;
        let query = self.world.query::<(&Transform, &Position, &Rotation, &Velocity)>();
        query.for_each(|row| total = total.wrapping_add(sum_row(row)));
        self.world
            .query::<&Marker>()
            .for_each(|marker| total = total.wrapping_add(u64::from(marker.0)));
        total
    }

    fn kept_bytes(&mut self) -> usize {
        self.world.memory().retained_bytes
    }
}
