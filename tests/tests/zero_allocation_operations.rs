//! Every operation on its own, in its steady state: it allocates nothing and frees nothing on the
//! heap, and maps no memory.
//!
//! Each phase of the table below has a world of its own and is run for many frames. A failure
//! names the phase. Exempt are operations whose documentation says that they allocate:
//! `sorted_by_key` returns a list, `trim` gives room back, and the first value of a local type is
//! boxed.
//!
//! Alone in its process and without a test harness, which allocates on threads of its own.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use convoy_engine::commands::Commands;
use convoy_engine::component::{ComponentDescription, ComponentId};
use convoy_engine::events::EventCursor;
use convoy_engine::memory::ArenaConfig;
use convoy_engine::provider::{
    DoubleBufferProvider, OnDemandProvider, SharedSnapshotProvider, SnapshotProvider,
};
use convoy_engine::query::{Added, Changed, Has, Or};
use convoy_engine::snapshot::diff;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, Without, World, WorldConfig};
use convoy_tests::Mixer;
use rayon_core::ThreadPoolBuilder;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// More than the period of every phase that has one.
const WARM_UP_FRAMES: u32 = 400;
const FRAMES: u32 = 1_000;

type Position = [f32; 3];
type Row = (u32, Position);

/// Entities in a world that is made for a phase.
const ENTITIES: u32 = 1_000;

/// Runs one frame, and returns how many bytes the worlds of the phase have mapped.
type Frame = Box<dyn FnMut(u32) -> usize>;

/// Makes the world of a phase.
type SetUp = fn() -> Frame;

/// Every phase by its name.
const PHASES: [(&str, SetUp); 39] = [
    ("spawn, despawn", spawn_and_despawn),
    ("spawn_batch, QueryMut::despawn", spawn_batch),
    ("spawn_columns, despawn_many", spawn_columns),
    ("spawn_at, reserve_entity, reserve_entities, unreserve_entity", spawn_at),
    ("reserve, clear", reserve_and_clear),
    ("insert, remove", insert_and_remove),
    ("exchange", exchange),
    ("insert_many, remove_many", change_many),
    ("QueryMut::insert, QueryMut::remove", change_query),
    ("run-time components", described),
    ("get, get_mut, contains", look_up),
    ("query: iter, for_each, for_each_run, count, single", read_queries),
    ("query_mut: iter, for_each, for_each_run", write_queries),
    ("filters: With, Without, Or, Has", filtered_queries),
    ("filters: Changed, Added, since", changed_rows),
    ("query_mut over shared chunks", write_shared),
    ("query_mut with Changed over shared chunks", write_changed),
    ("par_for_each, par_for_each_run", parallel_queries),
    ("par_for_each over shared chunks", parallel_shared),
    ("resources", resources),
    ("local resources", locals),
    ("set_parent, set_parent_at, remove_parent", parents),
    ("despawn_tree, children, descendants", trees),
    ("send_event, events", events),
    ("commands", commands),
    ("Commands::new in every frame", commands_of_a_frame),
    ("capture, View, release", captures),
    ("captures of several masks that overlap", overlapping_captures),
    ("providers", providers),
    ("sync_from", replicas),
    ("sync_from, both ways", mutual_replicas),
    ("compact", compact),
    ("compact, with entities that come and go", compact_churn),
    ("toggles: enable, disable, set, queries that skip", toggles),
    ("restore", restores),
    ("diff, state_hash", comparisons),
    ("statistics", statistics),
    ("errors as answers", errors),
    ("spawn, despawn while views overlap", churn_under_views),
];

fn config() -> WorldConfig {
    WorldConfig::default()
        .chunk_rows_max(64)
        .event_retention(200)
        // Small slabs, so that no spare memory hides a chunk too many.
        .memory(ArenaConfig::default().first_slab_bytes(16 * 1024).slab_bytes_max(16 * 1024))
}

/// A world with some entities.
fn filled() -> (World, Vec<Entity>) {
    filled_with(config())
}

/// The same for entities that come and go at random: the free memory between them then comes to a new
/// high at ever rarer intervals, and half as much memory again as is ever in use has room for all
/// of these. A chunk that is lost every second frame fills the room.
fn filled_with_room() -> (World, Vec<Entity>) {
    let memory = ArenaConfig::default().first_slab_bytes(192 * 1024).slab_bytes_max(16 * 1024);
    filled_with(config().memory(memory))
}

fn filled_with(config: WorldConfig) -> (World, Vec<Entity>) {
    let mut world = World::with_config(config);
    let entities = (0..ENTITIES).map(|number| world.spawn((number, [1.0_f32; 3]))).collect();
    (world, entities)
}

/// A phase of one world.
fn on(mut world: World, mut frame: impl FnMut(&mut World, u32) + 'static) -> Frame {
    Box::new(move |number| {
        frame(&mut world, number);
        world.memory().mapped_bytes
    })
}

fn spawn_and_despawn() -> Frame {
    let (world, mut entities) = filled();
    let mut mixer = Mixer::new(1);
    on(world, move |world, frame| {
        for _ in 0..50 {
            let index = mixer.below(entities.len());
            world.despawn(entities.swap_remove(index)).unwrap();
            entities.push(world.spawn((frame, [0.5_f32; 3])));
        }
    })
}

fn spawn_batch() -> Frame {
    let (world, _) = filled();
    on(world, |world, frame| {
        let spawned = world.spawn_batch((0..300_u32).map(|number| (number, 0.5_f64))).unwrap();
        assert_eq!(spawned.len(), 300);
        assert_eq!(world.query_mut::<&u32>().filter::<With<f64>>().despawn().unwrap(), 300);
        black_box(frame);
    })
}

fn spawn_columns() -> Frame {
    let (world, _) = filled();
    let (numbers, positions) = ([7_u32; 300], [[0.5_f32; 3]; 300]);
    let mut entities = Vec::with_capacity(300);
    on(world, move |world, _| {
        entities.clear();
        entities.extend(world.spawn_columns((&numbers[..], &positions[..])).unwrap());
        assert_eq!(world.despawn_many(&entities).unwrap().changed, 300);
    })
}

fn spawn_at() -> Frame {
    let (world, _) = filled();
    let mut reserved = Vec::with_capacity(100);
    on(world, move |world, frame| {
        reserved.push(world.reserve_entity());
        reserved.extend(world.reserve_entities(40).unwrap());
        for (number, &entity) in reserved.iter().enumerate() {
            if number % 4 == 0 {
                world.unreserve_entity(entity).unwrap();
            } else {
                world.spawn_at(entity, (frame, [0.0_f32; 3])).unwrap();
                world.despawn(entity).unwrap();
            }
        }
        reserved.clear();
    })
}

fn reserve_and_clear() -> Frame {
    let (world, _) = filled();
    on(world, |world, frame| {
        world.clear().unwrap();
        world.reserve::<Row>(500).unwrap();
        world.reserve_lists::<Row>(1000).unwrap();
        (0..500).for_each(|number| _ = world.spawn((frame + number, [1.0_f32; 3])));
    })
}

fn insert_and_remove() -> Frame {
    let (world, entities) = filled();
    on(world, move |world, frame| {
        for entity in entities.iter().skip(frame as usize % 10).step_by(10) {
            if world.remove::<(u8,)>(*entity).is_err() {
                world.insert(*entity, (1_u8,)).unwrap();
            }
            world.insert(*entity, (frame,)).unwrap();
        }
    })
}

fn exchange() -> Frame {
    let (mut world, entities) = filled();
    entities.iter().for_each(|&entity| world.insert(entity, (1_u8,)).unwrap());
    on(world, move |world, frame| {
        let some = entities.iter().skip(frame as usize % 10).step_by(10);
        some.for_each(|&entity| match world.exchange::<(u8,), _>(entity, (2_u16,)) {
            Ok(_) => {}
            Err(_) => drop(world.exchange::<(u16,), _>(entity, (1_u8,)).unwrap()),
        });
    })
}

fn change_many() -> Frame {
    let (world, entities) = filled();
    let mut mixer = Mixer::new(2);
    let mut list = Vec::with_capacity(400);
    on(world, move |world, frame| {
        list.clear();
        list.extend((0..200).map(|_| entities[mixer.below(entities.len())]));
        world.insert_many(&list, (frame as u8,)).unwrap();
        world.insert_many(&list, (frame, 1.0_f64)).unwrap();
        assert!(world.remove_many::<(u8,)>(&list).unwrap().changed > 100);
        world.remove_many::<(f64,)>(&list).unwrap();
    })
}

fn change_query() -> Frame {
    let (mut world, entities) = filled();
    entities[..500].iter().for_each(|&entity| world.insert(entity, (1.0_f64,)).unwrap());
    on(world, |world, frame| {
        let inserted = world.query_mut::<&u32>().filter::<With<f64>>().insert((frame as u8,));
        assert_eq!(inserted.unwrap(), 500);
        assert_eq!(world.query_mut::<&u8>().remove::<(u8,)>().unwrap(), 500);
    })
}

fn described() -> Frame {
    let (mut world, entities) = filled();
    let mut ids = [ComponentId::ENTITY; 2];
    for (id, name) in ids.iter_mut().zip(["charge", "spin"]) {
        *id = world.register_described(ComponentDescription { name, size: 12, align: 4 }).unwrap();
    }
    on(world, move |world, frame| {
        let bytes = [frame as u8; 12];
        let spawned = world.spawn_described(&[(ids[0], &bytes), (ids[1], &bytes)]).unwrap();
        for entity in entities.iter().skip(frame as usize % 10).step_by(10) {
            world.insert_described(*entity, &[(ids[0], &bytes)]).unwrap();
            world.set_bytes(*entity, ids[0], &bytes).unwrap();
            assert_eq!(world.get_bytes(*entity, ids[0]).unwrap(), bytes);
        }
        let rows: usize =
            world.query_described(&ids[..1], &[]).unwrap().iter().map(|run| run.len()).sum();
        assert_eq!(rows, 101);
        for entity in entities.iter().skip(frame as usize % 10).step_by(10) {
            world.remove_described(*entity, &ids[..1]).unwrap();
        }
        world.despawn(spawned).unwrap();
    })
}

fn look_up() -> Frame {
    let (world, entities) = filled();
    on(world, move |world, frame| {
        for &entity in &entities {
            *world.get_mut::<u32>(entity).unwrap() += frame;
            black_box((world.get::<Position>(entity).unwrap(), world.contains(entity)));
        }
    })
}

fn read_queries() -> Frame {
    let (mut world, _) = filled();
    world.spawn((1_u8,));
    on(world, |world, _| {
        let mut sum = 0;
        for (number, position) in world.query::<(&u32, &Position)>().iter() {
            sum += number + position[0] as u32;
        }
        world.query::<(Entity, &u32, Option<&u8>)>().for_each(|(_, number, _)| sum += number);
        world.query::<&u32>().for_each_run(|numbers| sum += numbers.iter().sum::<u32>());
        assert_eq!(world.query::<&u32>().count(), ENTITIES as usize);
        assert_eq!(world.query::<&u8>().single(), Some(&1));
        black_box(sum);
    })
}

fn write_queries() -> Frame {
    let (world, _) = filled();
    on(world, |world, frame| {
        let mut query = world.query_mut::<(&mut Position, &u32)>();
        query.for_each(|(position, number)| position[0] += *number as f32);
        world.query_mut::<&mut u32>().for_each_run(|numbers| numbers.fill(frame));
        for number in world.query_mut::<&mut u32>() {
            *number += 1;
        }
        world.query_mut::<&mut u32>().iter().take(10).for_each(|number| *number = 0);
    })
}

fn filtered_queries() -> Frame {
    let (mut world, entities) = filled();
    entities[..300].iter().for_each(|&entity| world.insert(entity, (1_u8,)).unwrap());
    entities[200..600].iter().for_each(|&entity| world.insert(entity, (1_u16,)).unwrap());
    on(world, |world, _| {
        assert_eq!(world.query::<&u32>().filter::<With<u8>>().iter().len(), 300);
        assert_eq!(world.query::<&u32>().filter::<Without<u8>>().count(), 700);
        type Either = Or<(With<u8>, With<u16>)>;
        assert_eq!(world.query::<()>().filter::<Either>().count(), 600);
        let mut both = 0;
        world.query::<(Has<u8>, Has<u16>)>().for_each(|(u8, u16)| both += usize::from(u8 && u16));
        assert_eq!(both, 100);
        world.query_mut::<&mut u32>().filter::<Without<u16>>().for_each(|number| *number += 1);
    })
}

/// A pool of snapshots, and the last two views.
struct Snapshots {
    pool: SnapshotPool,
    views: [Option<View>; 2],
}

impl Snapshots {
    fn new(world: &World) -> Self {
        let pool = SnapshotPool::for_world(world);
        pool.warm_up(4);
        Self { pool, views: [None, None] }
    }

    /// Ends a frame and captures a view that lives for two.
    fn take(&mut self, world: &mut World, frame: u32) -> &View {
        world.advance_tick();
        let view = world.capture(ComponentMask::ALL, &self.pool);
        self.views[frame as usize % 2].insert(view)
    }
}

fn write_shared() -> Frame {
    let (world, _) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        snapshots.take(world, frame);
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        world.query_mut::<&mut Position>().for_each_run(|all| all.fill([2.0; 3]));
        snapshots.take(world, frame);
        world.query_mut::<&mut u32>().iter().for_each(|number| *number += 1);
    })
}

fn parallel_queries() -> Frame {
    let (world, _) = filled();
    on(world, |world, frame| (0..20).for_each(|_| parallel_passes(world, frame)))
}

fn parallel_passes(world: &mut World, frame: u32) {
    world.query_mut::<(&mut Position, &u32)>().par_for_each(|(position, number)| {
        position[0] += *number as f32;
    });
    world.query_mut::<&mut u32>().par_for_each_run(|numbers| numbers.fill(frame));
    world.query::<&u32>().par_for_each(|number| _ = black_box(number));
    world.query::<&u32>().par_for_each_run(|numbers| _ = black_box(numbers));
}

fn parallel_shared() -> Frame {
    let (world, _) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        let view = snapshots.take(world, frame);
        view.query::<&u32>().par_for_each(|number| _ = black_box(number));
        parallel_passes(world, frame);
    })
}

fn changed_rows() -> Frame {
    let (world, entities) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        let mark = world.change_mark();
        *world.get_mut::<u32>(entities[frame as usize % 100 * 10]).unwrap() += 1;
        let entity = world.spawn((frame, [2.0_f32; 3]));
        let changed = world.query::<&u32>().filter::<Changed<u32>>().since(mark);
        assert!(changed.iter().len() >= 2 && changed.count() < 200);
        let added = world.query::<&u32>().filter::<Added<u32>>().since(mark);
        added.for_each_run(|numbers| assert!(numbers.len() <= 64));
        let view = snapshots.take(world, frame);
        let changed = view.query::<&u32>().filter::<Changed<u32>>().since(mark);
        changed.for_each(|number| _ = black_box(number));
        world.despawn(entity).unwrap();
    })
}

fn write_changed() -> Frame {
    let (world, entities) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        let mark = world.change_mark();
        snapshots.take(world, frame);
        *world.get_mut::<u32>(entities[frame as usize % 100 * 10]).unwrap() += 1;
        type Moved = Changed<u32>;
        let mut query = world.query_mut::<&mut Position>().filter::<Moved>().since(mark);
        query.for_each(|position| position[0] += 1.0);
        let mut query = world.query_mut::<&mut Position>().filter::<Moved>().since(mark);
        query.par_for_each(|position| position[0] += 1.0);
    })
}

fn resources() -> Frame {
    let mut world = World::with_config(config());
    world.insert_resource(0_u64).unwrap();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        let view = snapshots.take(world, frame);
        *world.resource_mut::<u64>().unwrap() += 1;
        assert_eq!(view.resource::<u64>().unwrap() + 1, *world.resource::<u64>().unwrap());
        world.insert_resource([frame; 4]).unwrap();
        assert_eq!(world.remove_resource::<[u32; 4]>().unwrap(), [frame; 4]);
        assert!(!world.contains_resource::<[u32; 4]>());
    })
}

fn locals() -> Frame {
    let mut world = World::with_config(config());
    world.insert_local(Arc::new(0_u32));
    on(world, |world, frame| {
        let value = world.remove_local::<Arc<u32>>().unwrap();
        world.insert_local(value);
        *Arc::get_mut(world.local_mut::<Arc<u32>>().unwrap()).unwrap() = frame;
        assert_eq!(**world.local::<Arc<u32>>().unwrap(), frame);
    })
}

fn parents() -> Frame {
    let (world, entities) = filled();
    on(world, move |world, frame| {
        let (parents, children) = entities.split_at(10);
        let parent = parents[frame as usize % 10];
        for &child in children.iter().skip(frame as usize % 20).step_by(20) {
            world.set_parent(child, parent).unwrap();
            world.set_parent_at(child, parent, 0).unwrap();
            if frame % 3 == 0 {
                world.remove_parent(child).unwrap();
            }
        }
    })
}

fn trees() -> Frame {
    let (world, entities) = filled();
    on(world, move |world, frame| {
        let root = world.spawn((frame, [0.0_f32; 3]));
        for _ in 0..5 {
            let branch = world.spawn((frame, [0.0_f32; 3]));
            world.set_parent(branch, root).unwrap();
            for _ in 0..5 {
                let leaf = world.spawn((frame, [0.0_f32; 3]));
                world.set_parent(leaf, branch).unwrap();
            }
        }
        world.set_parent(root, entities[0]).unwrap();
        assert_eq!(world.children(root).unwrap().count(), 5);
        assert_eq!(world.descendants(root).unwrap().count(), 30);
        assert_eq!(world.despawn_tree(root).unwrap(), 31);
    })
}

fn events() -> Frame {
    let world = World::with_config(config());
    let mut cursor = world.event_cursor::<[u32; 3]>();
    let mut late = EventCursor::<u64>::default();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        for number in 0..40 {
            world.send_event([frame, number, 0]);
            world.send_event(u64::from(number));
        }
        assert_eq!(world.events(&mut cursor).count(), 40);
        let view = snapshots.take(world, frame);
        if frame % 10 == 0 {
            black_box(view.events(&mut late).count());
        }
    })
}

/// Two buffers a frame, made and dropped. One is played back after the other one's commands and, now
/// and then, after a restore, and dropped with something recorded.
fn commands_of_a_frame() -> Frame {
    let (world, _) = filled();
    let pool = SnapshotPool::for_world(&world);
    on(world, move |world, frame| {
        let view = frame.is_multiple_of(10).then(|| world.capture(ComponentMask::ALL, &pool));
        let (mut one, mut other) = (Commands::new(world), Commands::new(world));
        for number in 0..100_u32 {
            let entity = one.spawn((number, [0.0_f32; 3]));
            one.insert(entity, (2_u8,));
            other.despawn(entity);
        }
        assert_eq!(world.play_back(&mut one).applied, 200);
        if let Some(view) = view {
            world.restore(&view).unwrap();
            assert_eq!(world.play_back(&mut other).dead, 100);
        } else {
            assert_eq!(world.play_back(&mut other).applied, 100);
        }
        other.spawn((frame, [0.0_f32; 3]));
    })
}

fn commands() -> Frame {
    let (mut world, _) = filled();
    let mut commands = Commands::new(&mut world);
    let mut spawned = Vec::with_capacity(100);
    on(world, move |world, frame| {
        for entity in spawned.drain(..) {
            commands.remove_parent(entity);
            commands.despawn(entity);
        }
        // More than a buffer's first stock.
        for number in 0..100_u32 {
            let entity = commands.spawn((number,));
            commands.despawn(entity);
        }
        let root = commands.spawn((frame, [0.0_f32; 3]));
        for number in 0..30_u32 {
            let entity = commands.spawn((number, [0.0_f32; 3]));
            commands.insert(entity, (2_u8,));
            if number % 2 == 0 {
                commands.remove::<(u8,)>(entity);
            }
            commands.set_parent(entity, root);
            spawned.push(entity);
        }
        spawned.drain(..10).for_each(|entity| commands.despawn(entity));
        commands.send_event([frame, 1, 1]);
        let branch = commands.spawn((frame,));
        commands.set_parent(branch, root);
        commands.despawn_tree(branch);
        commands.remove_parent(spawned[0]);
        spawned.push(root);
        assert_eq!(world.play_back(&mut commands).failed, 0);
        world.advance_tick();
    })
}

fn captures() -> Frame {
    let (world, entities) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        let view = snapshots.take(world, frame);
        let mut sum = 0;
        view.query::<&u32>().for_each(|number| sum += number);
        view.query::<(Entity, &u32)>().iter().for_each(|(_, number)| sum += number);
        sum += view.get::<u32>(entities[frame as usize % entities.len()]).unwrap();
        let narrow = view.clone().narrow(ComponentMask::NONE);
        assert!(view.contains(entities[0]) && narrow.shares_with(view));
        black_box((sum, view.lag(world), view.readers()));
    })
}

fn overlapping_captures() -> Frame {
    let (mut world, entities) = filled();
    let masks = [
        ComponentMask::ALL,
        world.mask_of::<(u32,)>().unwrap(),
        world.mask_of::<(Entity, Position)>().unwrap(),
    ];
    let pool = SnapshotPool::for_world(&world);
    pool.warm_up(12);
    world.reserve_captures(12).unwrap();
    let mut views: [Option<View>; 9] = Default::default();
    on(world, move |world, frame| {
        world.advance_tick();
        for (number, mask) in masks.into_iter().enumerate() {
            // Views of three lengths of life.
            let place = 3 * number + (frame as usize >> number) % 3;
            views[place] = Some(world.capture(mask, &pool));
            let entity = entities[(frame as usize % 100 * 7 + number) % entities.len()];
            *world.get_mut::<u32>(entity).unwrap() += 1;
            world.get_mut::<Position>(entity).unwrap()[0] += 1.0;
        }
    })
}

fn providers() -> Frame {
    let (mut world, _) = filled();
    let mask = world.mask_of::<Row>().unwrap();
    let pool = |world| {
        let pool = SnapshotPool::for_world(world);
        pool.warm_up(4);
        pool
    };
    let double = DoubleBufferProvider::new(mask, pool(&world));
    let demand = OnDemandProvider::new(mask, pool(&world));
    let shared = SharedSnapshotProvider::new(mask, pool(&world));
    let mut held: [Option<View>; 3] = Default::default();
    on(world, move |world, frame| {
        world.advance_tick();
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        let all: [&dyn SnapshotProvider; 3] = [&double, &demand, &shared];
        for (provider, held) in all.into_iter().zip(&mut held) {
            provider.update(world).unwrap();
            let view = provider.acquire(world).unwrap();
            let joined = provider.acquire(world).unwrap();
            black_box((joined.tick(), frame));
            *held = Some(view);
        }
    })
}

fn replicas() -> Frame {
    let (mut world, entities) = filled();
    let mut replica = World::with_config(config());
    Box::new(move |frame| {
        let entity = entities[frame as usize % entities.len()];
        *world.get_mut::<u32>(entity).unwrap() += 1;
        replica.sync_from(&world, ComponentMask::ALL).unwrap();
        assert_eq!(replica.get::<u32>(entity).unwrap(), world.get::<u32>(entity).unwrap());
        world.memory().mapped_bytes + replica.memory().mapped_bytes
    })
}

/// Two worlds that took each other's room for lists, and added to it, would grow with every sync.
fn mutual_replicas() -> Frame {
    let (mut world, entities) = filled();
    let mut other = World::with_config(config());
    Box::new(move |frame| {
        let entity = entities[frame as usize % entities.len()];
        *world.get_mut::<u32>(entity).unwrap() += 1;
        other.sync_from(&world, ComponentMask::ALL).unwrap();
        *other.get_mut::<u32>(entity).unwrap() += 1;
        world.sync_from(&other, ComponentMask::ALL).unwrap();
        assert_eq!(world.get::<u32>(entity).unwrap(), other.get::<u32>(entity).unwrap());
        world.memory().mapped_bytes + other.memory().mapped_bytes
    })
}

fn compact() -> Frame {
    let (world, _) = filled();
    let mut entities = Vec::with_capacity(1000);
    on(world, move |world, frame| {
        // Grows from nothing, shrinks to nothing, and is compacted in between.
        if frame % 4 == 0 {
            let rows = (0..900_u32).map(|number| (u64::from(number), [1_u16; 3]));
            entities.extend(world.spawn_batch(rows).unwrap());
        } else if frame % 4 == 2 {
            entities.drain(..).for_each(|entity| world.despawn(entity).unwrap());
        }
        (0..frame % 7 * 20).for_each(|number| world.send_event(u64::from(number)));
        assert!(world.compact(Duration::MAX).complete);
    })
}

fn compact_churn() -> Frame {
    let (world, mut entities) = filled_with_room();
    let mut snapshots = Snapshots::new(&world);
    let mut mixer = Mixer::new(5);
    on(world, move |world, frame| {
        snapshots.take(world, frame);
        // Waves between 200 and 1,000 entities.
        let wanted = if frame / 20 % 2 == 0 { 200 } else { ENTITIES as usize };
        for _ in 0..60 {
            if entities.len() > wanted {
                let index = mixer.below(entities.len());
                world.despawn(entities.swap_remove(index)).unwrap();
            } else if entities.len() < wanted {
                entities.push(world.spawn((frame, [1.0_f32; 3])));
            }
        }
        if frame % 5 == 0 {
            world.compact(Duration::MAX);
        }
    })
}

fn statistics() -> Frame {
    let (mut world, _) = filled();
    let mask = world.mask_of::<Row>().unwrap();
    on(world, move |world, frame| {
        let rows: usize = world.archetypes().map(|archetype| archetype.rows).sum();
        assert_eq!(rows, ENTITIES as usize);
        let numbers = (world.memory(), world.copy_statistics(), world.row_bytes(&mask));
        black_box((numbers, frame));
    })
}

fn churn_under_views() -> Frame {
    let (world, mut entities) = filled_with_room();
    let mut snapshots = Snapshots::new(&world);
    let mut mixer = Mixer::new(9);
    on(world, move |world, frame| {
        snapshots.take(world, frame);
        for _ in 0..50 {
            let index = mixer.below(entities.len());
            world.despawn(entities.swap_remove(index)).unwrap();
            entities.push(world.spawn((frame, [0.5_f32; 3])));
            world.query_mut::<&mut u32>().iter().take(3).for_each(|number| *number += 1);
        }
    })
}

/// The faults of a phase in its steady state.
fn offence(set_up: SetUp) -> Option<String> {
    let mut frame = set_up();
    let mut mapped = 0;
    for number in 0..WARM_UP_FRAMES {
        mapped = frame(number);
    }
    let before = dhat::HeapStats::get();
    for number in WARM_UP_FRAMES..WARM_UP_FRAMES + FRAMES {
        let now_mapped = frame(number);
        if now_mapped != mapped {
            return Some(format!("maps {} bytes in frame {number}", now_mapped - mapped));
        }
        let now = dhat::HeapStats::get();
        if now.total_blocks != before.total_blocks {
            let blocks = now.total_blocks - before.total_blocks;
            return Some(format!("allocates {blocks} blocks in frame {number}"));
        }
        if now.curr_blocks != before.curr_blocks {
            return Some(format!("frees in frame {number}"));
        }
    }
    None
}

/// The controls: each must be found out.
const CONTROLS: [(&str, SetUp, &str); 4] = [
    ("one small block in one frame of a thousand", control_allocates, "allocates 1 blocks"),
    ("one block freed that the warm-up allocated", control_frees, "frees"),
    ("memory of the system", control_maps, "maps"),
    ("one small chunk every second frame, in a world with room", control_keeps, "maps"),
];

fn toggles() -> Frame {
    let mut world = World::with_config(config());
    world.register_toggle::<u32>().unwrap();
    let entities: Vec<Entity> = (0..ENTITIES).map(|number| world.spawn((number,))).collect();
    let pool = SnapshotPool::for_world(&world);
    let mut commands = Commands::new(&mut world);
    on(world, move |world, frame| {
        let view = world.capture(ComponentMask::ALL, &pool);
        let entity = entities[frame as usize % entities.len()];
        assert!(world.disable::<u32>(entity).unwrap());
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        assert_eq!(world.query::<&u32>().iter().count(), entities.len() - 1);
        assert_eq!(view.query::<&u32>().count(), entities.len());
        world.toggles::<u32>().unwrap().set(entity, true).unwrap();
        commands.disable::<u32>(entity);
        commands.enable::<u32>(entity);
        assert_eq!(world.play_back(&mut commands).applied, 2);
    })
}

fn restores() -> Frame {
    let (mut world, mut entities) = filled();
    world.insert_resource(7_u64).unwrap();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ComponentMask::ALL, &pool);
    let kept = entities.clone();
    let mut mixer = Mixer::new(3);
    on(world, move |world, frame| {
        for _ in 0..20 {
            let index = mixer.below(entities.len());
            world.despawn(entities.swap_remove(index)).unwrap();
            world.spawn((frame, [0.5_f32; 3]));
        }
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        world.send_event(frame);
        world.restore(&view).unwrap();
        assert_eq!(world.entity_count(), kept.len());
        entities.clear();
        entities.extend_from_slice(&kept);
    })
}

fn comparisons() -> Frame {
    let (world, entities) = filled();
    let pool = SnapshotPool::for_world(&world);
    let mut older = None;
    on(world, move |world, frame| {
        let entity = entities[frame as usize % entities.len()];
        *world.get_mut::<u32>(entity).unwrap() += 1;
        let newer = world.capture(ComponentMask::ALL, &pool);
        if let Some(older) = &older {
            let diff = diff(older, &newer).unwrap();
            assert_eq!(diff.changed::<u32>().unwrap().count(), 1);
            assert!(!diff.is_empty());
        }
        assert_eq!(world.state_hash(), newer.state_hash());
        older = Some(newer);
    })
}

/// Errors are made where their message is not wanted, too: whatever they name costs no memory.
fn errors() -> Frame {
    type Pair = [Entity; 2];
    let (mut world, entities) = filled();
    let ids = world.mask_of::<(u32,)>().unwrap();
    world.register::<Pair>().unwrap();
    let view = world.capture(ids, &SnapshotPool::for_world(&world));
    on(world, move |world, frame| {
        let entity = entities[frame as usize % entities.len()];
        assert_eq!(world.parent(entity).unwrap(), None);
        assert!(world.get::<Pair>(entity).is_err() && world.get_mut::<u64>(entity).is_err());
        assert!(world.remove::<(Pair,)>(entity).is_err() && world.resource::<Pair>().is_err());
        assert!(world.toggles::<u32>().is_err() && world.despawn(Entity::default()).is_err());
        assert!(world.try_query_mut::<(&Pair, &mut Pair)>().is_err());
        assert!(world.share().query::<&mut u64>().get(entity).is_err());
        assert!(view.get::<u32>(entity).is_err() && view.try_query::<&Pair>().is_err());
        assert!(view.resource::<Pair>().is_err() && view.reader::<u32>().is_err());
        assert!(world.restore(&view).is_err());
    })
}

fn control_allocates() -> Frame {
    let (world, _) = filled();
    on(world, |_, frame| {
        if frame == WARM_UP_FRAMES + FRAMES - 1 {
            black_box(vec![black_box(frame)]);
        }
    })
}

fn control_frees() -> Frame {
    let (world, _) = filled();
    let mut block = Some(Box::new(1_u32));
    on(world, move |_, frame| {
        if frame == WARM_UP_FRAMES + 500 {
            drop(black_box(block.take()));
        }
    })
}

fn control_maps() -> Frame {
    let (world, _) = filled();
    on(world, |world, frame| {
        if frame == WARM_UP_FRAMES + 500 {
            world.reserve_bytes(1 << 20).unwrap();
        }
    })
}

fn control_keeps() -> Frame {
    let (world, _) = filled_with_room();
    on(world, |world, frame| {
        // A chunk has 64 rows, 256 bytes in the smaller column.
        if frame % 2 == 0 {
            world.spawn_batch((0..64_u32).map(|number| (number,))).unwrap();
        }
    })
}

fn main() {
    let _profiler = dhat::Profiler::builder().testing().build();
    // Parallel passes allocate nothing on a thread of the pool.
    let threads = ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    // Its threads come up, and have stolen work from each other, before anything is counted.
    threads.broadcast(|_| ());
    threads.install(|| {
        let mut frame = parallel_queries();
        (0..WARM_UP_FRAMES).for_each(|number| _ = frame(number));
    });
    threads.install(check_all);
    drop(threads);
    check_callers_of_a_pool();
}

/// A pass allocates nothing where its caller is a thread of the pool, also one that was there
/// before, and one block for every 63 passes where it is not. The block is for rayon's queue of such
/// callers, and is the control of the first case, too.
fn check_callers_of_a_pool() {
    let (passes_per_frame, passes_per_block) = (20 * 4, 63);
    let mut frame = parallel_queries();
    (0..WARM_UP_FRAMES).for_each(|number| _ = frame(number));
    let before = dhat::HeapStats::get().total_blocks;
    (0..FRAMES).for_each(|number| _ = frame(number));
    let blocks = dhat::HeapStats::get().total_blocks - before;
    let blocks_max = u64::from(FRAMES) * passes_per_frame / passes_per_block + 1;
    assert!((1..=blocks_max).contains(&blocks), "{blocks} blocks for callers from outside");

    let builder = ThreadPoolBuilder::new().num_threads(3).use_current_thread();
    let threads = builder.build().unwrap();
    (0..WARM_UP_FRAMES).for_each(|number| _ = frame(number));
    for (name, set_up) in [("par_for_each", parallel_queries as SetUp), ("shared", parallel_shared)]
    {
        assert_eq!(offence(set_up), None, "{name} by a caller who is a thread of the pool");
    }
    drop(threads);
}

fn check_all() {
    let mut offences = 0;
    for (name, set_up) in PHASES {
        if let Some(offence) = offence(set_up) {
            eprintln!("{name}: {offence}");
            offences += 1;
        }
    }
    assert_eq!(offences, 0, "phases that are not free of allocations");
    for (name, set_up, expected) in CONTROLS {
        let found = offence(set_up).unwrap_or_default();
        assert!(found.starts_with(expected), "control `{name}` was not found out: {found:?}");
    }
}
