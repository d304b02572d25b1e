//! A world that does everything that it offers, in every frame.

use crate::common::*;

use convoy_engine::query::PreparedQuery;

const ENTITIES: usize = 2_000;
const WARM_UP_FRAMES: u32 = 1_500;

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

pub(crate) fn measure() -> Report {
    let mut simulation = Simulation::new();
    // As many entities wear the extra component as the churn will ever give it to.
    simulation.world.reserve_lists::<(u32, [f32; 3])>(2 * ENTITIES).unwrap();
    simulation.world.reserve_lists::<(u32, [f32; 3], u8)>(2 * ENTITIES).unwrap();
    let test = SteadyState::new("everything at once").warm_up(WARM_UP_FRAMES.into()).alone();
    let mut frame = 0;
    let (mut warm, mut replica_mapped) = (0, 0);
    let test = test.frames(FRAMES.into());
    let report = test.run_world(
        &mut simulation,
        |simulation| &simulation.world,
        |simulation, _| {
            simulation.frame(frame);
            frame += 1;
            replica_mapped = simulation.replica.memory().mapped_bytes;
            if frame == WARM_UP_FRAMES {
                warm = replica_mapped;
            }
        },
    );
    assert_eq!(replica_mapped, warm, "the replica maps nothing");
    let world = report.world().unwrap();
    assert!(world.chunks_copied > 1_000, "snapshots made the world copy: {report}");
    report
}
