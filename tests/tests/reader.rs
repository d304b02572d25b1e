//! Reading one component by many handles: a prepared reader finds the values that `get` finds, in a world and
//! in a view, whatever became of the entities.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_engine::query::QueryError;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World, WorldConfig};

/// More archetypes than a reader keeps side by side: every set of eight tags, with every third
/// one lacking the value that is read.
fn world_of_many_archetypes() -> (World, Vec<Entity>) {
    let config = WorldConfig::default().chunk_rows_max(4);
    let mut world = World::with_config(config);
    let mut entities = Vec::new();
    for number in 0..1_536_u32 {
        let entity = world.spawn((u64::from(number),));
        macro_rules! tags {
            ($($bit:literal)+) => {
                $(if number & (1 << $bit) != 0 {
                    world.insert(entity, ([$bit as u8; $bit + 1],)).unwrap();
                })+
            };
        }
        tags!(0 1 2 3 4 5 6 7);
        if number % 3 != 0 {
            world.insert(entity, (number,)).unwrap();
        }
        entities.push(entity);
    }
    // Stale handles, handles of slots that are used again, and handles without an entity yet.
    for number in (0..entities.len()).step_by(7) {
        world.despawn(entities[number]).unwrap();
    }
    for number in 0..50 {
        entities.push(world.spawn((number,)));
    }
    entities.push(world.reserve_entity());
    entities.push(Entity::default());
    entities.push(Entity::from_bits(u64::MAX));
    // The generation that a free slot is waiting with.
    let freed = *entities.iter().rev().find(|&&entity| world.contains(entity)).unwrap();
    world.despawn(freed).unwrap();
    entities.push(Entity::from_bits(freed.to_bits() + (1 << 32)));
    (world, entities)
}

#[test]
fn a_reader_finds_what_get_finds_in_any_number_of_archetypes() {
    let (mut world, entities) = world_of_many_archetypes();
    assert!(world.archetypes().count() > 2 * 64);
    let reader = world.reader::<u32>().unwrap();
    for &entity in &entities {
        assert_eq!(reader.get(entity), world.get::<u32>(entity).ok(), "{entity}");
    }
    let found = entities.iter().filter(|&&entity| reader.get(entity).is_some()).count();
    assert!(found > 800 && found < entities.len() - 400, "{found}");
    let before: Vec<_> =
        entities.iter().map(|&entity| (entity, reader.get(entity).copied())).collect();

    let pool = SnapshotPool::default();
    let view = world.capture(ComponentMask::ALL, &pool);
    for &entity in &entities {
        // The snapshot keeps its values, whatever happens to the world.
        if let Ok(value) = world.get_mut::<u32>(entity) {
            *value += 1;
        }
    }
    world.clear().unwrap();
    let reader = view.reader::<u32>().unwrap();
    for (entity, value) in before {
        assert_eq!(reader.get(entity).copied(), value, "{entity}");
    }
}

#[test]
fn values_without_bytes_are_read_where_an_entity_has_them() {
    let mut world = World::new();
    let (with, without) = (world.spawn(([0_u64; 0], 1_u8)), world.spawn((1_u8,)));
    let reader = world.reader::<[u64; 0]>().unwrap();
    assert_eq!(reader.get(with), Some(&[]));
    assert_eq!(reader.get(without), None);
}

#[test]
fn a_type_that_no_component_has_is_found_nowhere() {
    let mut world = World::new();
    let entity = world.spawn((1_u8,));
    assert_eq!(world.reader::<u128>().unwrap().get(entity), None);
}

#[test]
fn what_was_not_captured_or_synced_is_an_error_that_names_it() {
    let mut world = World::new();
    let entity = world.spawn((1_u8, 2_u16));
    let pool = SnapshotPool::default();
    let bytes = world.mask_of::<(u8,)>().unwrap();
    let with_handles = world.mask_of::<(Entity, u8)>().unwrap();
    let no_handles = QueryError::NotReadable { component: "convoy_engine::Entity" };
    let no_numbers = QueryError::NotReadable { component: "u16" };

    let view = world.capture(bytes, &pool);
    assert_eq!(view.reader::<u8>().err(), Some(no_handles));
    let view = world.capture(with_handles, &pool);
    assert_eq!(view.reader::<u8>().unwrap().get(entity), Some(&1));
    assert_eq!(view.reader::<u16>().err(), Some(no_numbers));

    let mut replica = World::new();
    replica.sync_from(&world, with_handles).unwrap();
    assert_eq!(replica.reader::<u8>().unwrap().get(entity), Some(&1));
    assert_eq!(replica.reader::<u16>().err(), Some(no_numbers));
    replica.sync_from(&world, bytes).unwrap();
    assert_eq!(replica.reader::<u8>().err(), Some(no_handles));
}
