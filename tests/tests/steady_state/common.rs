//! The parts that phases share: names, worlds, and snapshots that overlap.

pub(crate) use std::hint::black_box;
pub(crate) use std::sync::Arc;
pub(crate) use std::time::Duration;

pub(crate) use convoy_engine::commands::Commands;
pub(crate) use convoy_engine::component::{ComponentDescription, ComponentId};
pub(crate) use convoy_engine::delta::{Delta, DeltaEncoder};
pub(crate) use convoy_engine::events::EventCursor;
pub(crate) use convoy_engine::memory::ArenaConfig;
pub(crate) use convoy_engine::provider::{
    DoubleBufferProvider, OnDemandProvider, SharedSnapshotProvider, SnapshotProvider,
};
pub(crate) use convoy_engine::query::{Added, Changed, Has, Or};
pub(crate) use convoy_engine::snapshot::diff;
pub(crate) use convoy_engine::{
    ComponentMask, Entity, SnapshotPool, View, With, Without, World, WorldConfig,
};
pub(crate) use convoy_profiling::{Allocator, Report, SteadyState, Threads};
pub(crate) use convoy_tests::Mixer;
pub(crate) use rayon_core::{ThreadPool, ThreadPoolBuilder};

/// More than the period of every phase that has one.
pub(crate) const WARM_UP_FRAMES: u32 = 1_000;
pub(crate) const FRAMES: u32 = 1_000;

pub(crate) type Position = [f32; 3];
pub(crate) type Row = (u32, Position);

/// Entities in a world that is made for a phase.
pub(crate) const ENTITIES: u32 = 1_000;

/// Runs one frame, and returns how many bytes the worlds of the phase have mapped.
pub(crate) type Frame = Box<dyn FnMut(u32) -> usize>;

pub(crate) fn config() -> WorldConfig {
    WorldConfig::default().chunk_rows_max(64).event_retention(200).memory(memory())
}

/// Small slabs, so that no spare memory hides a chunk too many.
pub(crate) fn memory() -> ArenaConfig {
    ArenaConfig::default().first_slab_bytes(16 * 1024).slab_bytes_max(16 * 1024)
}

/// A world with some entities.
pub(crate) fn filled() -> (World, Vec<Entity>) {
    filled_with(config())
}

/// The same for entities that come and go at random: the free memory between them then comes to a new
/// high at ever rarer intervals, and half as much memory again as is ever in use has room for all
/// of these. A chunk that is lost every second frame fills the room.
pub(crate) fn filled_with_room() -> (World, Vec<Entity>) {
    let memory = ArenaConfig::default().first_slab_bytes(192 * 1024).slab_bytes_max(16 * 1024);
    filled_with(config().memory(memory))
}

pub(crate) fn filled_with(config: WorldConfig) -> (World, Vec<Entity>) {
    let mut world = World::with_config(config);
    let entities = (0..ENTITIES).map(|number| world.spawn((number, [1.0_f32; 3]))).collect();
    (world, entities)
}

/// A phase of one world.
pub(crate) fn on(mut world: World, mut frame: impl FnMut(&mut World, u32) + 'static) -> Frame {
    Box::new(move |number| {
        frame(&mut world, number);
        world.memory().mapped_bytes
    })
}

/// A pool of snapshots, and the last two views.
pub(crate) struct Snapshots {
    pool: SnapshotPool,
    views: [Option<View>; 2],
}

impl Snapshots {
    pub(crate) fn new(world: &World) -> Self {
        let pool = SnapshotPool::for_world(world);
        pool.warm_up(4);
        Self { pool, views: [None, None] }
    }

    /// Ends a frame and captures a view that lives for two.
    pub(crate) fn take(&mut self, world: &mut World, frame: u32) -> &View {
        world.advance_tick();
        let view = world.capture(ComponentMask::ALL, &self.pool);
        self.views[frame as usize % 2].insert(view)
    }
}
