//! Errors that change nothing, faults inside loops, determinism, and the memory of a cleared world.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytemuck::{Pod, Zeroable};
use convoy_engine::component::{COMPONENTS_MAX, RegisterError};
use convoy_engine::query::QueryError;
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::{Mixer, SHAPES};

const ALL: ComponentMask = ComponentMask::ALL;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
struct Numbered<const NUMBER: usize>(u8);

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(256))]
struct OverAligned([u8; 256]);

fn small_chunks() -> World {
    let config = WorldConfig::default().chunk_rows_max(4);
    World::with_config(config)
}

/// Everything in a world of numbers, in the order of iteration.
fn contents(world: &World) -> Vec<(Entity, Option<u32>, Option<u64>)> {
    let query = world.query::<(Entity, Option<&u32>, Option<&u64>)>();
    query.iter().map(|(entity, a, b)| (entity, a.copied(), b.copied())).collect()
}

#[test]
fn stale_handle_is_refused_and_named() {
    let mut world = World::new();
    let stale = world.spawn((1_u32,));
    world.despawn(stale).unwrap();
    let reused = world.spawn((2_u32,));
    assert_eq!(reused.index(), stale.index());
    let before = contents(&world);
    let is_stale = |error: ComponentError| matches!(error, ComponentError::NotAlive { entity } if entity == stale);
    assert!(is_stale(world.get::<u32>(stale).unwrap_err().into()));
    assert!(is_stale(world.get_mut::<u32>(stale).unwrap_err()));
    assert!(is_stale(world.insert(stale, (3_u32,)).unwrap_err()));
    assert!(is_stale(world.remove::<(u32,)>(stale).unwrap_err()));
    assert!(is_stale(world.despawn(stale).unwrap_err()));
    assert!(!world.contains(stale) && !world.contains(Entity::from_bits(u64::MAX)));
    assert_eq!(contents(&world), before);
}

#[test]
fn missing_component_is_an_error_that_names_entity_and_component() {
    let mut world = World::new();
    let ship = world.spawn((1_u32,));
    let before = contents(&world);
    let is_missing = |error: ComponentError| {
        matches!(
            error,
            ComponentError::Missing { entity, component: "u64" } if entity == ship
        )
    };
    assert!(is_missing(world.get::<u64>(ship).unwrap_err().into()));
    assert!(is_missing(world.get_mut::<u64>(ship).unwrap_err()));
    assert!(is_missing(world.remove::<(u64,)>(ship).unwrap_err()));
    assert!(is_missing(world.remove::<(u32, u64)>(ship).unwrap_err()));
    assert_eq!(contents(&world), before, "a bundle is removed as a whole or not at all");
}

#[test]
fn bundle_with_a_component_twice_is_refused() {
    let mut world = World::new();
    let ship = world.spawn((1_u32,));
    let before = contents(&world);
    let error = world.try_spawn((2_u32, 3_u64, 4_u32)).unwrap_err();
    assert!(matches!(error, SpawnError::Duplicate { component: "u32" }), "{error}");
    let error = world.insert(ship, (2_u64, 2_u64)).unwrap_err();
    assert!(matches!(error, ComponentError::Bundle(SpawnError::Duplicate { .. })), "{error}");
    assert!(world.remove::<(u32, u32)>(ship).is_err());
    assert_eq!((contents(&world), world.entity_count()), (before, 1));
}

#[test]
fn entity_is_no_component_of_a_bundle() {
    let mut world = World::new();
    let ship = world.spawn((1_u32,));
    let before = contents(&world);
    assert!(matches!(world.try_spawn((ship,)).unwrap_err(), SpawnError::Reserved));
    let error = world.insert(ship, (ship, 2_u64)).unwrap_err();
    assert!(matches!(error, ComponentError::Bundle(SpawnError::Reserved)));
    assert!(world.remove::<(Entity,)>(ship).is_err());
    assert!(world.get_mut::<Entity>(ship).is_err());
    assert_eq!(*world.get::<Entity>(ship).unwrap(), ship);
    assert_eq!(contents(&world), before);
}

/// Registers `Numbered` of every sum of an offset and a number.
macro_rules! register_all {
    ($world:ident: $offsets:tt $($number:literal)*) => {{
        let mut results = Vec::new();
        $(register_row!(results, $world, $number, $offsets);)*
        results
    }};
}

macro_rules! register_row {
    ($results:ident, $world:ident, $number:literal, [$($offset:literal)*]) => {
        $($results.push($world.register::<Numbered<{ $number + $offset }>>());)*
    };
}

#[test]
fn world_takes_as_many_types_as_a_mask_has_bits() {
    let mut world = World::new();
    let results = register_all!(
        world:
        [0 1000 2000 3000 4000 5000 6000 7000 8000 9000 10000 11000 12000 13000 14000 15000
         16000 17000 18000 19000 20000 21000 22000 23000 24000 25000 26000 27000 28000 29000
         30000 31000]
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    );
    assert_eq!(results.len(), COMPONENTS_MAX);
    // One place is the entity column's.
    let (registered, refused) = results.split_at(COMPONENTS_MAX - 1);
    assert!(registered.iter().all(Result::is_ok));
    assert!(matches!(refused, [Err(RegisterError::TooManyTypes { .. })]));
    let last = world.spawn((Numbered::<31030>(7),));
    let error = world.try_spawn((Numbered::<31031>(8),)).unwrap_err();
    assert!(matches!(error, SpawnError::Register(RegisterError::TooManyTypes { .. })), "{error}");
    assert!(world.insert(last, (Numbered::<31031>(8),)).is_err());
    assert!(world.register_event::<u64>().is_err() && world.try_send_event(1_u64).is_err());
    assert_eq!(world.get::<Numbered<31030>>(last).unwrap().0, 7);
    assert_eq!(world.entity_count(), 1);
    let view = world.capture(ALL, &SnapshotPool::default());
    assert_eq!(view.query::<&Numbered<31030>>().count(), 1);
}

#[test]
fn over_aligned_type_is_refused() {
    let mut world = World::new();
    let error = world.register::<OverAligned>().unwrap_err();
    assert!(matches!(error, RegisterError::Alignment { align: 256, .. }), "{error}");
    assert!(world.try_spawn((OverAligned([0; 256]), 1_u32)).is_err());
    assert_eq!(world.entity_count(), 0);
    assert_eq!(world.query::<&u32>().count(), 0);
}

#[test]
fn query_that_writes_what_it_also_uses_is_refused() {
    let mut world = World::new();
    world.spawn((1_u32, 2_u64));
    let conflict = Some(QueryError::Conflict { component: "u32" });
    assert_eq!(world.try_query_mut::<(&mut u32, &mut u32)>().err(), conflict);
    assert_eq!(world.try_query_mut::<(&mut u32, &u32)>().err(), conflict);
    assert_eq!(world.try_query_mut::<(&u32, &mut u32)>().err(), conflict);
    assert_eq!(world.try_query_mut::<(Option<&u32>, &u64, &mut u32)>().err(), conflict);
    assert_eq!(world.try_query_mut::<((&u64, &mut u32), &u32)>().err(), conflict);
    assert!(world.try_query::<(&u32, &u32)>().is_ok(), "reading twice is fine");
    let writes_entity = world.try_query_mut::<(&mut Entity,)>().err();
    assert_eq!(writes_entity, Some(QueryError::WritesEntity));
}

#[test]
fn failure_for_want_of_memory_changes_nothing_and_passes() {
    let config = WorldConfig::default().chunk_rows_max(4).memory_limit_bytes(64 * 1024);
    let mut world = World::with_config(config);
    let mut entities = Vec::new();
    let error = loop {
        match world.try_spawn((entities.len() as u32, 1_u64)) {
            Ok(entity) => entities.push(entity),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpawnError::Memory(_)), "{error}");
    assert_eq!(world.entity_count(), entities.len());
    // Every chunk is shared now, and none is left to copy into.
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ALL, &pool);
    let before = contents(&world);
    let mut failures = 0;
    for &entity in &entities {
        failures += usize::from(world.get_mut::<u32>(entity).is_err());
        failures += usize::from(world.insert(entity, (2_u64, 3_u8)).is_err());
        failures += usize::from(world.insert(entity, (4_u64,)).is_err());
        failures += usize::from(world.remove::<(u64,)>(entity).is_err());
    }
    // The little memory that was free may have served the first of them.
    assert!(failures > 3 * entities.len());
    assert!(world.query_mut::<&mut u32>().try_for_each(|number| *number += 0).is_err());
    assert!(world.clear().is_err());
    assert_eq!(world.entity_count(), entities.len());
    assert_eq!(view.query::<(Entity, &u32)>().count(), before.len());
    drop(view);
    // Without an advance: the world reclaims when the arena runs low.
    for &entity in &entities {
        *world.get_mut::<u32>(entity).unwrap() += 1;
    }
    world.despawn(entities[0]).unwrap();
    world.clear().unwrap();
    world.advance_tick();
    let memory = world.memory();
    assert_eq!((memory.retained_bytes, memory.active_captures), (0, 0));
}

#[test]
fn panic_in_a_loop_over_shared_chunks_tears_no_row_and_leaks_nothing() {
    for panic_at in [0_u32, 1, 3, 4, 7, 10] {
        let mut world = small_chunks();
        for number in 0..11_u32 {
            world.spawn((number, u64::from(number)));
        }
        let pool = SnapshotPool::for_world(&world);
        let view = world.capture(ALL, &pool);
        let result = catch_unwind(AssertUnwindSafe(|| {
            world.query_mut::<(&mut u32, &mut u64)>().for_each(|(number, wide)| {
                let row = *number;
                *number += 100;
                assert_ne!(row, panic_at, "the loop panics between two writes of a row");
                *wide += 100;
            });
        }));
        assert!(result.is_err());
        let rows = world.query::<(&u32, &u64)>();
        let rows: Vec<_> = rows.iter().map(|(number, wide)| (*number, *wide)).collect();
        for (row, &(number, wide)) in (0_u32..).zip(&rows) {
            let expected = if row < panic_at { row + 100 } else { row };
            assert_eq!((number, wide), (expected, u64::from(expected)), "row {row}");
        }
        assert_eq!(rows.len(), 11);
        let seen = view.query::<(&u32, &u64)>();
        for (row, (number, wide)) in (0_u32..).zip(seen.iter()) {
            assert_eq!((*number, *wide), (row, u64::from(row)), "the snapshot is unchanged");
        }
        drop(view);
        world.advance_tick();
        let memory = world.memory();
        assert_eq!((memory.retained_bytes, memory.retained_chunks), (0, 0));
        let used = memory.live_bytes + memory.free_bytes;
        assert_eq!(used, memory.mapped_bytes);
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    }
}

/// Runs a random program and returns everything that can be observed of it.
fn fingerprint(seed: u64) -> u64 {
    let mut world = small_chunks();
    let pool = SnapshotPool::default();
    let mut mixer = Mixer::new(seed);
    let mut hasher = DefaultHasher::new();
    let mut entities = Vec::new();
    let mut views = Vec::new();
    for _ in 0..3_000 {
        let shape = &SHAPES[mixer.below(SHAPES.len() - 2)];
        let number = mixer.next_number();
        let pick = mixer.below(entities.len());
        match mixer.below(10) {
            0..=3 => entities.push((shape.spawn)(&mut world, number).unwrap()),
            4 if !entities.is_empty() => world.despawn(entities.swap_remove(pick)).unwrap(),
            5 if !entities.is_empty() => {
                (shape.insert)(&mut world, entities[pick], number).unwrap()
            }
            6 if !entities.is_empty() => {
                (shape.remove)(&mut world, entities[pick]).is_ok().hash(&mut hasher);
            }
            7 => views.push(world.capture(ALL, &pool)),
            8 => views.truncate(mixer.below(4)),
            _ => world.advance_tick(),
        }
    }
    entities.hash(&mut hasher);
    type Row<'a> = (Entity, Option<&'a convoy_tests::Word>, Option<&'a convoy_tests::Hundred>);
    for (entity, word, hundred) in world.query::<Row<'_>>().iter() {
        entity.hash(&mut hasher);
        word.map(bytemuck::bytes_of).hash(&mut hasher);
        hundred.map(bytemuck::bytes_of).hash(&mut hasher);
    }
    let memory = world.memory();
    (memory.live_bytes, memory.retained_bytes, memory.mapped_bytes).hash(&mut hasher);
    hasher.finish()
}

#[test]
fn same_operations_give_the_same_world() {
    for seed in 0..10 {
        assert_eq!(fingerprint(seed), fingerprint(seed), "seed {seed}");
    }
    assert_ne!(fingerprint(1), fingerprint(2), "the fingerprint tells programs apart");
}

#[test]
fn clear_keeps_capacity_so_that_refilling_maps_nothing() {
    let mut world = World::new();
    let fill = |world: &mut World| {
        for number in 0..100_000_u32 {
            world.spawn((number, 1_u64, [0.5_f32; 3]));
        }
        (0..1_000_u32).for_each(|number| world.send_event(number));
    };
    fill(&mut world);
    let filled = world.memory();
    for _ in 0..3 {
        world.clear().unwrap();
        assert_eq!(world.entity_count(), 0);
        assert!(world.memory().live_bytes < filled.live_bytes / 2);
        fill(&mut world);
        assert_eq!(world.memory(), filled);
    }
}

#[test]
fn ids_are_recycled_and_generations_grow() {
    let mut world = World::new();
    let first: Vec<Entity> = (0..100_u32).map(|number| world.spawn((number,))).collect();
    for &entity in &first {
        world.despawn(entity).unwrap();
    }
    let second: Vec<Entity> = (0..100_u32).map(|number| world.spawn((number,))).collect();
    let mut indices: Vec<u32> = second.iter().map(|entity| entity.index()).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..100).collect::<Vec<u32>>());
    assert!(second.iter().all(|entity| entity.generation() == 2));
    assert!(first.iter().all(|&entity| !world.contains(entity)));
    world.clear().unwrap();
    assert!(second.iter().all(|&entity| !world.contains(entity)));
    let third = world.spawn(());
    assert_eq!((third.index(), third.generation()), (0, 3), "the lowest index comes first");
}

#[test]
fn folding_an_iterator_visits_what_stepping_it_visits_also_from_its_middle() {
    let mut world = small_chunks();
    for number in 0..50_u32 {
        world.spawn((number,));
        world.spawn((number + 100, 0.5_f32));
    }
    let stepped: Vec<u32> = {
        let mut rows = Vec::new();
        for number in world.query::<&u32>().iter() {
            rows.push(*number);
        }
        rows
    };
    for skipped in [0, 1, 4, 50, 51, 100] {
        let mut rows = world.query::<&u32>().iter();
        rows.by_ref().take(skipped).for_each(drop);
        let folded = rows.fold(Vec::new(), |mut rows, number| {
            rows.push(*number);
            rows
        });
        assert_eq!(folded, stepped[skipped..]);
        let mut rows = world.query_mut::<&mut u32>().into_iter();
        rows.by_ref().take(skipped).for_each(drop);
        assert_eq!(rows.map(|number| *number).sum::<u32>(), stepped[skipped..].iter().sum());
    }
}

/// A batch whose iterator said too little about its length lost the rows that it had brought before the
/// first chunk had to grow: the chunk took only the rows of entities along.
#[test]
fn a_batch_of_unknown_length_keeps_every_row() {
    for shared in [false, true] {
        let mut world = World::new();
        world.spawn((7_u32, [0_u8; 3]));
        let view = shared.then(|| world.capture(ComponentMask::ALL, &SnapshotPool::default()));
        let rows = (0..5_000_u32).filter(|number| number % 2 == 0);
        let rows = rows.map(|number| (number, [number as u8; 3]));
        let spawned: Vec<_> = world.spawn_batch(rows).unwrap().collect();
        assert_eq!(spawned.len(), 2_500);
        for (number, entity) in (0..).step_by(2).zip(spawned) {
            assert_eq!(*world.get::<u32>(entity).unwrap(), number);
            assert_eq!(*world.get::<[u8; 3]>(entity).unwrap(), [number as u8; 3]);
        }
        assert!(view.is_none_or(|view: View| view.entity_count() == 1));
    }
}

/// Copies of a row are made for the usual sizes, and in general for all others.
#[test]
fn rows_of_every_size_move_whole() {
    fn rows_of<const N: usize>()
    where
        [u8; N]: Pod,
    {
        let mut world = World::with_config(WorldConfig::default().chunk_rows_max(8));
        let value =
            |number: u32| std::array::from_fn::<u8, N, _>(|at| (number as usize * 31 + at) as u8);
        let spawned = (0..40_u32).map(|number| world.spawn((value(number), number)));
        let entities: Vec<_> = spawned.collect();
        // Of rows that leave, the last one takes the place, and some of them are the last ones.
        for number in [3, 39, 8, 38, 0, 20] {
            world.despawn(entities[number]).unwrap();
        }
        for number in [5, 37, 6, 30, 36] {
            world.insert(entities[number], (1_u64,)).unwrap();
        }
        world.remove::<(u64,)>(entities[6]).unwrap();
        let mut numbers = Vec::new();
        for (bytes, number) in world.query::<(&[u8; N], &u32)>().iter() {
            assert_eq!(*bytes, value(*number), "rows of {N} bytes");
            numbers.push(*number);
        }
        numbers.sort_unstable();
        let gone = [0, 3, 8, 20, 38, 39];
        assert!(numbers.into_iter().eq((0..40).filter(|number| !gone.contains(number))));
    }
    macro_rules! rows_of_sizes {
        ($($size:literal)+) => { $(rows_of::<$size>();)+ };
    }
    rows_of_sizes!(0 1 2 3 4 5 7 8 11 12 13 16 20 24 31 32 48 64 96 128);
}
