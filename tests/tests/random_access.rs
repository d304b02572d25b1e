//! Rows of single entities through queries: found, refused with the reason, never handed out twice.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_engine::query::{GetError, PreparedQuery};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, With, Without, World, WorldConfig};

fn world_of(rows: u32) -> (World, Vec<Entity>) {
    let config = WorldConfig::default().chunk_rows_max(4);
    let mut world = World::with_config(config);
    let entities = (0..rows)
        .map(|row| {
            let entity = world.spawn((row, f64::from(row)));
            if row % 3 == 0 {
                world.insert(entity, (row as u8,)).unwrap();
            }
            entity
        })
        .collect();
    (world, entities)
}

#[test]
fn every_entity_is_found_by_plain_and_prepared_queries_and_in_views() {
    let (mut world, entities) = world_of(50);
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ComponentMask::ALL, &pool);
    let mut prepared = PreparedQuery::<(&u32, Option<&u8>)>::new();
    let mut in_view = PreparedQuery::<(&u32, Option<&u8>)>::new();
    let mut writing = PreparedQuery::<&mut u32>::new();
    for (row, &entity) in entities.iter().enumerate() {
        let byte = (row % 3 == 0).then_some(row as u8);
        let expected = (&(row as u32), byte.as_ref());
        assert_eq!(world.query::<(&u32, Option<&u8>)>().get(entity).unwrap(), expected);
        assert_eq!(prepared.query(&world).get(entity).unwrap(), expected);
        *writing.query_mut(&mut world).get(entity).unwrap() += 1000;
        *world.query_mut::<&mut u32>().get(entity).unwrap() += 1000;
        assert_eq!(in_view.query(&view).get(entity).unwrap(), expected);
        assert_eq!(view.query::<(&u32, Option<&u8>)>().get(entity).unwrap(), expected);
        assert_eq!(*world.get::<u32>(entity).unwrap(), row as u32 + 2000);
    }
}

#[test]
fn entities_that_a_query_does_not_find_are_refused_with_the_reason() {
    let (mut world, entities) = world_of(4);
    let gone = entities[1];
    world.despawn(gone).unwrap();
    let reused = world.spawn((9_u32,));
    assert_eq!(reused.index(), gone.index());
    let mut prepared = PreparedQuery::<&u32, With<u8>>::new();
    let mut unknown = PreparedQuery::<(&u32, &mut i64)>::new();
    let stale = |error: GetError| matches!(error, GetError::NotAlive { entity } if entity == gone);
    assert!(stale(world.query::<&u32>().get(gone).unwrap_err()));
    assert!(stale(world.query_mut::<&mut u32>().get(gone).unwrap_err()));
    assert!(stale(prepared.query(&world).get(gone).unwrap_err()));
    let filtered = |error| matches!(error, GetError::Filtered { entity } if entity == reused);
    assert!(filtered(prepared.query(&world).get(reused).unwrap_err()));
    assert!(filtered(world.query::<&u32>().filter::<With<u8>>().get(reused).unwrap_err()));
    let missing = world.query::<(&u32, &f64)>().get(reused).unwrap_err();
    assert!(matches!(missing, GetError::Missing { component: "f64", entity } if entity == reused));
    let missing = unknown.query_mut(&mut world).get(reused).unwrap_err();
    assert!(matches!(missing, GetError::Missing { component: "i64", entity } if entity == reused));
    let pool = SnapshotPool::for_world(&world);
    let numbers = world.mask_of::<(u32,)>().unwrap();
    let view = world.capture(numbers, &pool);
    let error = view.query::<&u32>().get(reused).unwrap_err();
    assert!(matches!(error, GetError::NotReadable { component } if component.ends_with("Entity")));
}

#[test]
fn many_rows_of_shared_chunks_are_written_at_once() {
    let (mut world, entities) = world_of(40);
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ComponentMask::ALL, &pool);
    // Neighbours in one chunk, and rows of two tables.
    let chosen = [entities[0], entities[3], entities[4], entities[5], entities[39], entities[7]];
    let mut query = world.query_mut::<(&mut u32, &f64)>();
    let items = query.get_many(chosen).unwrap();
    for (number, value) in items {
        assert_eq!(f64::from(*number), *value);
        *number += 100;
    }
    let mut prepared = PreparedQuery::<&mut u32, Without<u8>>::new();
    let mut prepared = prepared.query_mut(&mut world);
    let [one, other] = prepared.get_many([entities[4], entities[5]]).unwrap();
    assert_eq!((&*one, &*other), (&104, &105));
    std::mem::swap(one, other);
    for (row, &entity) in entities.iter().enumerate() {
        let expected = match row {
            4 => 105,
            5 => 104,
            _ if chosen.contains(&entity) => row as u32 + 100,
            _ => row as u32,
        };
        assert_eq!(*world.get::<u32>(entity).unwrap(), expected);
        assert_eq!(*view.get::<u32>(entity).unwrap(), row as u32);
    }
}

#[test]
fn many_rows_with_one_fault_change_nothing() {
    let (mut world, entities) = world_of(12);
    let gone = entities[11];
    world.despawn(gone).unwrap();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ComponentMask::ALL, &pool);
    let copied = world.copy_statistics().chunks_copied;
    let (one, other) = (entities[1], entities[8]);
    let mut query = world.query_mut::<&mut u32>();
    let error = query.get_many([one, other, one]).unwrap_err();
    assert!(matches!(error, GetError::Duplicate { entity } if entity == one));
    let error = query.get_many([one, other, gone]).unwrap_err();
    assert!(matches!(error, GetError::NotAlive { entity } if entity == gone));
    let mut query = world.query_mut::<&mut u32>().filter::<Without<u8>>();
    let error = query.get_many([one, other, entities[3]]).unwrap_err();
    assert!(matches!(error, GetError::Filtered { entity } if entity == entities[3]));
    assert_eq!(world.copy_statistics().chunks_copied, copied, "nothing was made writable");
    drop(view);
    assert!(world.query_mut::<&mut u32>().get_many([]).unwrap().is_empty());
}

#[test]
fn rows_of_exclusive_queries_are_sorted_and_single_ones_told() {
    let (mut world, _) = world_of(10);
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ComponentMask::ALL, &pool);
    let mut query = world.query_mut::<(&mut u32, &f64)>();
    assert!(query.single().is_none());
    let sorted = query.sorted_by_key(|(number, _)| std::cmp::Reverse(**number));
    for (rank, (number, value)) in sorted.into_iter().enumerate() {
        assert_eq!(*value, 9.0 - rank as f64);
        *number = rank as u32;
    }
    assert!(world.query::<(&u32, &f64)>().iter().all(|(a, b)| f64::from(*a) == 9.0 - b));
    assert!(view.query::<(&u32, &f64)>().iter().all(|(a, b)| f64::from(*a) == *b));
}
