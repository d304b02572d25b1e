//! A world in its steady state allocates nothing: neither on the heap, nor by new mappings.
//!
//! Alone in its process and without a test harness, which allocates on threads of its own.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::hint::black_box;

use convoy_engine::commands::Commands;
use convoy_engine::events::EventCursor;
use convoy_engine::memory::ArenaConfig;
use convoy_engine::query::PreparedQuery;
use convoy_engine::snapshot::diff;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Mixer;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const ENTITIES: usize = 2_000;
const WARM_UP_FRAMES: u32 = 300;
const FRAMES: u32 = 1_000;

/// A simulation that does everything that a world offers, in every frame.
struct Simulation {
    world: World,
    entities: Vec<Entity>,
    commands: Commands,
    pool: SnapshotPool,
    views: [Option<View>; 2],
    cursor: EventCursor<[u32; 3]>,
    mixer: Mixer,
    replica: World,
    /// Kept from frame to frame, one for the world and one for the views.
    prepared: PreparedQuery<(&'static mut u32, &'static [f32; 3])>,
    prepared_view: PreparedQuery<&'static u32>,
}

impl Simulation {
    fn new() -> Self {
        let config = WorldConfig::default()
            .event_retention(500)
            .chunk_rows_max(128)
            // Small slabs, so that no spare memory hides a chunk too many.
            .memory(ArenaConfig::default().first_slab_bytes(16 * 1024).slab_bytes_max(16 * 1024));
        let mut world = World::with_config(config.clone());
        let mut entities = Vec::with_capacity(2 * ENTITIES);
        entities.extend((0..ENTITIES).map(|number| world.spawn((number as u32, [1.0_f32; 3]))));
        let commands = Commands::new(&mut world);
        let pool = SnapshotPool::for_world(&world);
        pool.warm_up(4);
        let replica = World::with_config(config);
        Self {
            world,
            entities,
            commands,
            pool,
            views: [None, None],
            cursor: EventCursor::default(),
            mixer: Mixer::new(3),
            replica,
            prepared: PreparedQuery::new(),
            prepared_view: PreparedQuery::new(),
        }
    }

    fn frame(&mut self, frame: u32) {
        self.world.advance_tick();
        self.churn(frame);
        self.record_and_play_back(frame);
        let sum = &mut 0_u64;
        let mut query = self.world.query_mut::<(&mut u32, &mut [f32; 3])>();
        query.for_each(|(number, position)| {
            *number = number.wrapping_add(1);
            position[0] += 1.0;
        });
        for number in self.world.query_mut::<&mut u32>().iter().take(10) {
            *sum += u64::from(*number);
        }
        self.query_in_other_ways(sum);
        for number in 0..40 {
            self.world.send_event([frame, number, 0]);
        }
        assert_eq!(self.world.events(&mut self.cursor).count(), 42);
        // Two snapshots overlap all the time, each two frames long.
        let view = self.world.capture(ComponentMask::ALL, &self.pool);
        view.query::<&u32>().for_each(|number| *sum += u64::from(*number));
        self.prepared_view.query(&view).for_each(|number| *sum += u64::from(*number));
        let hash = self.world.state_hash();
        if frame.is_multiple_of(100) {
            assert_eq!(hash, view.state_hash());
        }
        if let Some(older) = &self.views[1 - frame as usize % 2] {
            let diff = diff(older, &view).unwrap();
            *sum += (diff.spawned().count() + diff.despawned().count()) as u64;
            *sum += (diff.inserted().count() + diff.removed().count()) as u64;
            assert!(diff.changed::<u32>().unwrap().count() > ENTITIES / 2);
            assert_eq!(diff.resources().count(), 0);
        }
        self.views[frame as usize % 2] = Some(view);
        self.replica.sync_from(&self.world, ComponentMask::ALL).unwrap();
        black_box(sum);
    }

    fn query_in_other_ways(&mut self, sum: &mut u64) {
        let [one, other] = [0, 1].map(|index| self.entities[index]);
        self.prepared
            .query_mut(&mut self.world)
            .for_each(|(number, _)| *number = number.wrapping_add(2));
        let mut prepared = self.prepared.query_mut(&mut self.world);
        let [(first, _), (second, _)] = prepared.get_many([one, other]).unwrap();
        std::mem::swap(first, second);
        *sum += prepared.iter().map(|(number, _)| u64::from(*number)).sum::<u64>();
        let shared = self.world.share();
        let (mut numbers, mut positions) =
            (shared.query::<&u32>(), shared.query::<&mut [f32; 3]>());
        positions.for_each(|position| position[1] += 1.0);
        *sum += u64::from(*numbers.get(one).unwrap());
        assert!(shared.try_query::<&mut u32>().is_err());
    }

    fn churn(&mut self, frame: u32) {
        for _ in 0..50 {
            let index = self.mixer.below(self.entities.len());
            self.world.despawn(self.entities.swap_remove(index)).unwrap();
            self.entities.push(self.world.spawn((frame, [0.5_f32; 3])));
            let entity = self.entities[self.mixer.below(self.entities.len())];
            if self.world.remove::<(u8,)>(entity).is_err() {
                self.world.insert(entity, (1_u8,)).unwrap();
            }
            *self.world.get_mut::<u32>(entity).unwrap() += 1;
        }
    }

    fn record_and_play_back(&mut self, frame: u32) {
        for number in 0..20_u32 {
            let index = self.mixer.below(self.entities.len());
            self.commands.despawn(self.entities.swap_remove(index));
            let entity = self.commands.spawn((number, [0.0_f32; 3]));
            self.commands.insert(entity, (2_u8,));
            if number % 2 == 0 {
                self.commands.remove::<(u8,)>(entity);
            }
            self.entities.push(entity);
        }
        (0..2).for_each(|number| self.commands.send_event([frame, number, 1]));
        assert_eq!(self.world.play_back(&mut self.commands).failed, 0);
    }
}

fn main() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut simulation = Simulation::new();
    // As many entities wear the extra component as the churn will ever give it to.
    simulation.world.reserve_lists::<(u32, [f32; 3])>(2 * ENTITIES).unwrap();
    simulation.world.reserve_lists::<(u32, [f32; 3], u8)>(2 * ENTITIES).unwrap();
    for frame in 0..WARM_UP_FRAMES {
        simulation.frame(frame);
    }
    let (heap, memory) = (dhat::HeapStats::get(), simulation.world.memory());
    let replica_memory = simulation.replica.memory();
    let statistics = simulation.world.copy_statistics();
    for frame in 0..FRAMES {
        simulation.frame(WARM_UP_FRAMES + frame);
        let blocks = dhat::HeapStats::get().total_blocks;
        assert_eq!(blocks, heap.total_blocks, "frame {frame} allocates");
        assert_eq!(simulation.world.memory().mapped_bytes, memory.mapped_bytes);
        assert_eq!(simulation.replica.memory().mapped_bytes, replica_memory.mapped_bytes);
    }
    assert!(
        simulation.world.copy_statistics().chunks_copied > statistics.chunks_copied + 1_000,
        "snapshots made the world copy"
    );
    assert_eq!(dhat::HeapStats::get().curr_blocks, heap.curr_blocks, "and nothing was freed");

    // The control: one small vector a frame does not escape.
    for frame in 0..10_u32 {
        black_box(vec![black_box(frame)]);
        simulation.frame(WARM_UP_FRAMES + FRAMES + frame);
    }
    let blocks = dhat::HeapStats::get().total_blocks - heap.total_blocks;
    assert_eq!(blocks, 10, "each vector is counted");
}
