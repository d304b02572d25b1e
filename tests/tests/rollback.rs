//! Rollback: frames that were simulated on wrong inputs are taken back and simulated again on the
//! right ones. The world must equal one that never went wrong, byte for byte, each time.
//!
//! `CONVOY_ROLLBACKS` sets how many there are, 10,000 by default.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::env;

use convoy_engine::commands::Commands;
use convoy_engine::events::EventCursor;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, Without, World, WorldConfig};
use convoy_tests::{Contents, Mixer};

const ENTITIES_MAX: usize = 40;
/// Frames that are simulated before it turns out which inputs were right.
const FRAMES: usize = 8;

type Small = [u8; 3];

/// A world with the command buffer that its frames use.
struct Game {
    world: World,
    commands: Commands,
}

/// The state after a frame.
#[derive(PartialEq, Debug)]
struct State {
    contents: Contents,
    resource: Option<u64>,
    events: Vec<u32>,
    /// Tells of the free slots as well.
    hash: u64,
}

impl Game {
    fn new() -> Self {
        let config = WorldConfig::default().chunk_rows_max(4).event_retention(12);
        let mut world = World::with_config(config);
        // A pass visits archetypes in the order of their making, which no restore takes back. So
        // all that the game needs are made up front.
        for bits in 0..8_u64 {
            let family = [(); 3].map(|()| spawn(&mut world, bits, 0));
            world.set_parent(family[1], family[0]).unwrap();
            world.set_parent(family[2], family[1]).unwrap();
        }
        world.clear().unwrap();
        world.register_event::<u32>().unwrap();
        let commands = Commands::new(&mut world);
        Self { world, commands }
    }

    fn state(&mut self) -> State {
        State {
            hash: self.world.state_hash(),
            contents: Contents::of(&self.world),
            resource: self.world.resource::<u64>().ok().copied(),
            events: self.world.events(&mut EventCursor::default()).collect(),
        }
    }

    /// Simulates one frame. All that it does follows from the input and the world.
    fn step(&mut self, input: u64) {
        let mut mixer = Mixer::new(input);
        for _ in 0..1 + mixer.below(6) {
            let handles: Vec<Entity> = self.world.query::<Entity>().iter().collect();
            if handles.len() < ENTITIES_MAX {
                self.grow(&mut mixer);
            }
            if !handles.is_empty() {
                let picked = [(); 3].map(|()| handles[mixer.below(handles.len())]);
                self.change(&mut mixer, picked);
                self.pass(&mut mixer);
            }
        }
        self.world.advance_tick();
    }

    fn grow(&mut self, mixer: &mut Mixer) {
        let (world, number) = (&mut self.world, mixer.next_number());
        match mixer.below(6) {
            0 | 1 => _ = spawn(world, number % 8, number),
            2 => {
                let count = 1 + number % 6;
                _ = world.spawn_batch((0..count).map(|each| (each as u32, number))).unwrap();
            }
            3 => {
                let numbers = [number as u32; 5];
                _ = world.spawn_columns((&numbers[..],)).unwrap();
            }
            4 => {
                let reserved: Vec<_> = world.reserve_entities(3).unwrap().take(2).collect();
                world.spawn_at(reserved[1], (number as u32,)).unwrap();
                world.unreserve_entity(reserved[0]).unwrap();
            }
            _ => {
                let entity = self.commands.spawn((number,));
                self.commands.insert(entity, (number as u32,));
                self.commands.send_event(number as u32);
                assert_eq!(world.play_back(&mut self.commands).applied, 3);
            }
        }
    }

    fn change(&mut self, mixer: &mut Mixer, [one, two, three]: [Entity; 3]) {
        let (world, number) = (&mut self.world, mixer.next_number());
        match mixer.below(12) {
            0 | 1 => world.despawn(one).unwrap(),
            2 => _ = world.despawn_many(&[one, two, three]).unwrap(),
            3 => world.insert(one, (number as u32,)).unwrap(),
            4 => world.insert(one, (number, [number as u8; 3])).unwrap(),
            5 => _ = world.insert_many(&[two, one, three], ([number as u8; 3],)).unwrap(),
            6 => _ = world.remove::<(u64,)>(one),
            7 => _ = world.set_parent(one, two),
            8 => _ = world.remove_parent(one).unwrap(),
            9 => _ = world.despawn_tree(one).unwrap(),
            10 => {
                if let Ok(wide) = world.get_mut::<u64>(two) {
                    *wide = number;
                }
            }
            _ => self.commands.despawn(three),
        }
        self.world.play_back(&mut self.commands);
    }

    fn pass(&mut self, mixer: &mut Mixer) {
        let (world, number) = (&mut self.world, mixer.next_number());
        match mixer.below(24) {
            0..4 => world.query_mut::<&mut u64>().for_each(|wide| *wide ^= number),
            4..8 => {
                let mut query = world.query_mut::<(&mut u32, Option<&u64>)>();
                query.for_each(|(value, wide)| *value += wide.map_or(1, |wide| *wide as u32 & 7));
            }
            8..10 => {
                let query = world.query_mut::<&mut Small>().filter::<Without<u32>>();
                query.into_iter().for_each(|small| small[1] ^= number as u8);
            }
            10 => _ = world.query_mut::<&Small>().insert((number as u32,)).unwrap(),
            11 => _ = world.query_mut::<&u32>().filter::<With<Small>>().remove::<(Small,)>(),
            12 => _ = world.query_mut::<&u64>().filter::<Without<u32>>().despawn().unwrap(),
            13..17 => {
                (0..number % 9).for_each(|each| world.send_event(number as u32 ^ each as u32))
            }
            17 | 18 => _ = world.insert_resource(number).unwrap(),
            19 => _ = world.remove_resource::<u64>(),
            20 if number % 8 == 0 => world.clear().unwrap(),
            _ => {}
        }
    }

    fn restore(&mut self, view: &View) {
        self.world.restore(view).unwrap();
        // Commands recorded from here on count again.
        self.world.play_back(&mut self.commands);
    }
}

fn spawn(world: &mut World, bits: u64, number: u64) -> Entity {
    let entity = world.spawn(());
    if bits & 1 != 0 {
        world.insert(entity, (number as u32,)).unwrap();
    }
    if bits & 2 != 0 {
        world.insert(entity, (number,)).unwrap();
    }
    if bits & 4 != 0 {
        world.insert(entity, ([number as u8; 3],)).unwrap();
    }
    entity
}

#[test]
fn world_after_a_rollback_equals_one_that_never_went_wrong() {
    let rollbacks = env::var("CONVOY_ROLLBACKS");
    let rollbacks = rollbacks.map_or(10_000, |number| number.parse().unwrap());
    let (mut straight, mut rolled) = (Game::new(), Game::new());
    let pool = SnapshotPool::default();
    let mut mixer = Mixer::new(7);
    // Views that readers hold for a while, and their contents.
    let mut held: Vec<(View, Contents)> = Vec::new();
    for number in 0..rollbacks {
        let inputs = [(); FRAMES].map(|()| mixer.next_number());
        inputs.iter().for_each(|&input| straight.step(input));

        // From some frame on the inputs were guessed wrongly, in every other case from the first.
        let wrong = if number % 2 == 0 { 0 } else { mixer.below(FRAMES) };
        let mut taken: Vec<View> = Vec::new();
        for (frame, &input) in inputs.iter().enumerate() {
            taken.push(rolled.world.capture(ComponentMask::ALL, &pool));
            rolled.step(if frame < wrong { input } else { mixer.next_number() });
        }
        if mixer.below(3) == 0 {
            // There and back: to any of the frames, and on from there, before the right one.
            rolled.restore(&taken[mixer.below(FRAMES)]);
            rolled.step(mixer.next_number());
        }
        rolled.restore(&taken[wrong]);
        inputs[wrong..].iter().for_each(|&input| rolled.step(input));
        assert_eq!(rolled.state(), straight.state(), "rollback {number}");

        for view in taken {
            if mixer.below(16) == 0 {
                let contents = Contents::of(&view);
                held.push((view, contents));
            }
        }
        while held.len() > 6 {
            let (view, contents) = held.swap_remove(mixer.below(held.len()));
            assert_eq!(Contents::of(&view), contents, "rollback {number}");
        }
    }
    drop(held);
    rolled.world.advance_tick();
    let memory = rolled.world.memory();
    assert_eq!((memory.retained_bytes, memory.active_captures), (0, 0));
}
