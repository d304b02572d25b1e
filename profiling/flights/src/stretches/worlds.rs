//! [`SmallWorld`]: worlds that do one thing in each frame.

use std::fmt;

use convoy_engine::world::SpawnError;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World};

use crate::job::JobError;
use crate::scenario::ScenarioError;

/// Entities of a world that does not grow.
const ENTITIES: usize = 20_000;
/// Entities that a growing world ends with, and those that come in a frame.
const GROWN: usize = 200_000;
const GROWTH: usize = 500;

type Row = (u32, [f32; 3]);

/// A world with one thing to do in each frame.
pub struct SmallWorld {
    world: World,
    pool: SnapshotPool,
    views: [Option<View>; 2],
    entities: Vec<Entity>,
    next: usize,
    step: Step,
}

/// The work of a frame.
type Step = fn(&mut SmallWorld, u64) -> Result<(), SpawnError>;

impl fmt::Debug for SmallWorld {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SmallWorld").field("world", &self.world).finish_non_exhaustive()
    }
}

impl SmallWorld {
    fn new(entities: usize, step: Step) -> Self {
        let mut world = World::new();
        let rows = (0..entities).map(|number| (number as u32, [0.0_f32; 3]));
        let entities = rows.map(|row| world.spawn(row)).collect();
        let pool = SnapshotPool::for_world(&world);
        pool.warm_up(3);
        Self { world, pool, views: [None, None], entities, next: 0, step }
    }

    /// A world that grows from nothing.
    pub fn growing() -> Self {
        Self::new(0, |this, _| {
            if this.world.entity_count() < GROWN {
                let rows = (0..GROWTH).map(|number| (number as u32, [0.0_f32; 3]));
                this.world.spawn_batch::<Row>(rows)?;
            }
            Ok(())
        })
    }

    /// A world in which a hundredth of the entities is replaced in each frame, under two views.
    pub fn churning() -> Self {
        Self::new(ENTITIES, |this, frame| {
            this.view(frame);
            for _ in 0..ENTITIES / 100 {
                // Steps that come by every entity, and not in order.
                this.next = (this.next + 7_919) % this.entities.len();
                let entity = &mut this.entities[this.next];
                // It was spawned here, and nobody else despawns.
                let _ = this.world.despawn(*entity);
                *entity = this.world.try_spawn((frame as u32, [1.0_f32; 3]))?;
            }
            Ok(())
        })
    }

    /// A world that goes back to the view of the last frame in every tenth.
    pub fn going_back() -> Self {
        Self::new(ENTITIES, |this, frame| {
            let older = this.view(frame);
            let query = &mut this.world.query_mut::<&mut [f32; 3]>();
            query.for_each(|position| position[0] += 1.0);
            if let Some(view) = older.filter(|_| frame % 10 == 9) {
                this.world.restore(&view).expect("the view is of everything, of this world");
            }
            Ok(())
        })
    }

    /// Takes a view that lives for two frames. Returns a clone of it.
    fn view(&mut self, frame: u64) -> Option<View> {
        self.world.advance_tick();
        let view = self.world.capture(ComponentMask::ALL, &self.pool);
        self.views[frame as usize % 2] = Some(view.clone());
        Some(view)
    }

    /// Runs a frame.
    ///
    /// # Errors
    ///
    /// When memory runs out.
    pub fn step(&mut self, frame: u64) -> Result<(), JobError> {
        (self.step)(self, frame)
            .map_err(|error| JobError::Scenario(ScenarioError::World(error.into())))
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The pool of its snapshots.
    pub fn pool(&self) -> &SnapshotPool {
        &self.pool
    }
}
