//! A struct of `Vec`s with an entity map, copied before each frame.

use super::common::columns::Wide;
use super::common::raw::{RawEntity, RawWorld};
use super::{
    CHURN, Hit, LIFE, MARKED, Simulation, Spawned, WINDOW, Writes, random, spawned_row, step,
    step_all, step_transform, step_velocity, sum_row, written,
};

/// All that a frame changes.
struct State {
    world: RawWorld<Wide>,
    /// By slot; zero where there is none.
    markers: Vec<u32>,
    events: Vec<Hit>,
}

impl State {
    fn copy_from(&mut self, other: &Self) {
        self.world.copy_from(&other.world);
        self.markers.clone_from(&other.markers);
        self.events.clone_from(&other.events);
    }

    fn empty() -> Self {
        Self { world: RawWorld::default(), markers: Vec::new(), events: Vec::new() }
    }
}

pub(crate) struct Simulated {
    state: State,
    kept: [State; WINDOW as usize],
    entities: Vec<RawEntity>,
    spawned: Spawned<RawEntity>,
}

impl Simulated {
    fn churn(&mut self, frame: u64) {
        let Self { state: State { world, markers, events }, entities, spawned, .. } = self;
        if frame >= LIFE {
            for &old in &spawned[(frame - LIFE) as usize % 64] {
                assert!(world.despawn(old), "it is alive");
            }
        }
        events.clear();
        for number in 0..CHURN {
            spawned[frame as usize % 64][number] = world.spawn(spawned_row(frame, number));
            let marked = |frame| entities[random(frame, number) % entities.len()].slot as usize;
            if frame >= MARKED {
                markers[marked(frame - MARKED)] = 0;
            }
            markers[marked(frame)] = frame as u32;
            events.push(Hit { frame, number: number as u64 });
        }
    }
}

impl Simulation for Simulated {
    fn new(entities: usize) -> Self {
        let world = RawWorld::filled(entities);
        let entities = world.entities.clone();
        let state = State { world, markers: vec![0; entities.len()], events: Vec::new() };
        let none = RawEntity { slot: 0, generation: 0 };
        let kept = std::array::from_fn(|_| State::empty());
        Self { state, kept, entities, spawned: [[none; CHURN]; 64] }
    }

    fn simulate(&mut self, writes: Writes, frame: u64) {
        let world = &mut self.state.world;
        let columns = &mut world.columns;
        match writes {
            Writes::OneColumn => columns.positions.iter_mut().for_each(step),
            Writes::Everything => {
                let vectors = columns.positions.iter_mut().zip(&mut columns.rotations);
                let rows = columns.transforms.iter_mut().zip(vectors).zip(&mut columns.velocities);
                for ((transform, (position, rotation)), velocity) in rows {
                    step_all((transform, position, rotation, velocity));
                }
            }
            Writes::Anywhere | Writes::Neighbours => {
                for number in written(writes, frame, self.entities.len()) {
                    let row = world.locate(self.entities[number]).expect("it is alive");
                    step_velocity(&mut world.columns.velocities[row]);
                }
            }
            Writes::WideAnywhere => {
                for number in written(writes, frame, self.entities.len()) {
                    let row = world.locate(self.entities[number]).expect("it is alive");
                    step_transform(&mut world.columns.transforms[row]);
                }
            }
        }
        self.churn(frame);
    }

    fn keep(&mut self, frame: u64) {
        self.kept[(frame % WINDOW) as usize].copy_from(&self.state);
    }

    fn go_back(&mut self, frame: u64) {
        std::mem::swap(&mut self.state, &mut self.kept[(frame % WINDOW) as usize]);
    }

    fn checksum(&mut self) -> u64 {
        let State { world: RawWorld { columns, .. }, markers, .. } = &self.state;
        let vectors = columns.positions.iter().zip(&columns.rotations);
        let rows = columns.transforms.iter().zip(vectors).zip(&columns.velocities);
        let sums = rows.map(|((transform, (position, rotation)), velocity)| {
            sum_row((transform, position, rotation, velocity))
        });
        let markers = markers.iter().map(|&marker| u64::from(marker));
        sums.chain(markers).fold(0, u64::wrapping_add)
    }

    fn kept_bytes(&mut self) -> usize {
        let bytes = |state: &State| {
            let rows = state.world.entities.len();
            rows * (size_of::<Wide>() + size_of::<RawEntity>()) + state.world.slots.len() * 8
        };
        self.kept.iter().map(bytes).sum()
    }
}
