//! Prepared queries: their kept matches are never used on a schema that they were not found in.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_engine::component::ComponentDescription;
use convoy_engine::query::{Changed, GetError, Has, PreparedQuery, QueryError, Readable};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, Without, World};

fn numbers(query: &mut PreparedQuery<&'static u32>, tables: &impl Readable) -> Vec<u32> {
    let query = query.query(tables);
    let mut found = Vec::new();
    query.for_each(|&number| found.push(number));
    assert!(query.iter().eq(&found), "an iterator finds the same");
    assert_eq!((query.iter().len(), query.count()), (found.len(), found.len()));
    found
}

#[test]
fn archetypes_that_are_added_between_two_uses_are_visited() {
    let mut world = World::new();
    let mut query = PreparedQuery::<&u32>::new();
    assert_eq!(numbers(&mut query, &world), []);
    world.spawn((1_u32,));
    assert_eq!(numbers(&mut query, &world), [1]);
    world.spawn((2_u32, 0.5_f32));
    world.spawn((0.5_f32,));
    assert_eq!(numbers(&mut query, &world), [1, 2]);
    world.spawn((3_u32,));
    assert_eq!(numbers(&mut query, &world), [1, 3, 2]);
}

#[test]
fn worlds_with_as_many_archetypes_are_told_apart() {
    let mut query = PreparedQuery::<(&mut u32, &f64)>::new();
    let mut one = World::new();
    one.spawn((1_u32, 0.5_f64));
    one.spawn((0.5_f64, 1_u8));
    // The same numbers of types and archetypes, in another order: every id means something else.
    let mut other = World::new();
    other.spawn((0.25_f64, 1_u8));
    other.spawn((7_u32, 0.25_f64));
    let mut worlds = [one, other];
    for (number, expected) in [(0, (1, 0.5)), (1, (7, 0.25)), (0, (2, 0.5))] {
        let world = &mut worlds[number];
        let mut found = Vec::new();
        query.query_mut(world).for_each(|(number, &part)| {
            found.push((*number, part));
            *number += 1;
        });
        assert_eq!(found, [expected]);
    }
}

#[test]
fn worlds_that_grew_apart_from_one_schema_are_told_apart() {
    let mut source = World::new();
    source.spawn((1_u32,));
    let mut replica = World::new();
    replica.sync_from(&source, ComponentMask::ALL).unwrap();
    let mut query = PreparedQuery::<&u32>::new();
    assert_eq!(numbers(&mut query, &source), [1]);
    assert_eq!(numbers(&mut query, &replica), [1]);
    // Both know the same types, and each gets one archetype of its own at the same place.
    source.register::<u8>().unwrap();
    replica.sync_from(&source, ComponentMask::ALL).unwrap();
    source.spawn((2_u32, 0_u8));
    replica.spawn((0_u8,));
    assert_eq!(numbers(&mut query, &source), [1, 2]);
    assert_eq!(numbers(&mut query, &replica), [1]);
    replica.spawn((3_u32, 0_u8));
    assert_eq!(numbers(&mut query, &replica), [1, 3]);
    assert_eq!(numbers(&mut query, &source), [1, 2]);
}

#[test]
fn types_that_are_registered_between_two_uses_are_found() {
    let mut world = World::new();
    let mut plain = PreparedQuery::<&u32, Without<u16>>::new();
    let mut writing = PreparedQuery::<&mut u16>::new();
    let mut has = PreparedQuery::<(&u32, Has<u16>)>::new();
    world.spawn((1_u32,));
    assert_eq!(plain.query(&world).count(), 1);
    assert_eq!(writing.query_mut(&mut world).count(), 0);
    has.query(&world).for_each(|(_, has)| assert!(!has));
    // A component that was described gets its type only after rows exist.
    let name = std::any::type_name::<u16>();
    let described = ComponentDescription { name, size: 2, align: 2 };
    let described = world.register_described(described).unwrap();
    let number = world.component_id::<u32>().unwrap();
    world.spawn_described(&[(described, &[5, 0]), (number, &[2, 0, 0, 0])]).unwrap();
    assert_eq!(plain.query(&world).count(), 2, "no type stands for the described component yet");
    world.register::<u16>().unwrap();
    assert_eq!(plain.query(&world).count(), 1);
    assert_eq!(writing.query_mut(&mut world).count(), 1);
    let mut found = Vec::new();
    has.query(&world).for_each(|(number, has)| found.push((*number, has)));
    assert_eq!(found, [(1, false), (2, true)]);
}

#[test]
fn views_of_other_masks_are_told_apart() {
    let mut world = World::new();
    world.spawn((1_u8, 2_u32, 0.5_f64));
    let pool = SnapshotPool::for_world(&world);
    let narrow = world.mask_of::<(u32,)>().unwrap();
    let wide = world.mask_of::<(u8, u32)>().unwrap();
    let foreign = world.mask_of::<(f64,)>().unwrap();
    let views: Vec<View> =
        [narrow, wide, ComponentMask::ALL].map(|mask| world.capture(mask, &pool)).into();
    let mut query = PreparedQuery::<&u32>::new();
    // The column has another position in each of them.
    for _ in 0..2 {
        for view in &views {
            assert_eq!(numbers(&mut query, view), [2]);
        }
        assert_eq!(numbers(&mut query, &world), [2]);
    }
    let without = world.capture(foreign, &pool);
    let missing = QueryError::NotReadable { component: "u32" };
    assert_eq!(query.try_query(&without).err(), Some(missing));
    assert_eq!(query.try_query(&without).err(), Some(missing));
    let narrowed = views[2].clone().narrow(foreign);
    assert_eq!(numbers(&mut query, &views[2]), [2]);
    assert_eq!(query.try_query(&narrowed).err(), Some(missing));
    assert_eq!(numbers(&mut query, &views[2]), [2]);
}

#[test]
fn older_views_are_read_as_they_were() {
    let mut world = World::new();
    world.spawn((1_u32,));
    let pool = SnapshotPool::for_world(&world);
    let old = world.capture(ComponentMask::ALL, &pool);
    world.spawn((2_u32, 0.5_f32));
    let new = world.capture(ComponentMask::ALL, &pool);
    let mut query = PreparedQuery::<&u32>::new();
    for _ in 0..2 {
        assert_eq!(numbers(&mut query, &new), [1, 2]);
        assert_eq!(numbers(&mut query, &old), [1]);
    }
    drop(world);
    assert_eq!(numbers(&mut query, &new), [1, 2]);
}

#[test]
fn conflicts_are_errors_in_nested_tuples_as_well() {
    let mut world = World::new();
    world.spawn((1_u32, 0.5_f32));
    let conflict = Some(QueryError::Conflict { component: "u32" });
    let mut nested = PreparedQuery::<((&mut u32, &f32), (Entity, &u32))>::new();
    assert_eq!(nested.try_query_mut(&mut world).err(), conflict);
    assert_eq!(nested.try_query_mut(&mut world).err(), conflict);
    let mut optional = PreparedQuery::<(Option<&u32>, (Has<f32>, (&mut u32,)))>::new();
    assert_eq!(optional.try_query_mut(&mut world).err(), conflict);
    assert_eq!(world.try_query_mut::<((&mut u32,), (&mut u32,))>().err(), conflict);
    assert_eq!(world.try_query_mut::<(&f32, (&mut u32, (&u32,)))>().err(), conflict);
    let writes_entity = world.try_query_mut::<(&u32, (&mut Entity,))>().err();
    assert_eq!(writes_entity, Some(QueryError::WritesEntity));
}

#[test]
fn prepared_queries_find_what_plain_ones_find_while_a_world_changes() {
    let mut world = World::new();
    let pool = SnapshotPool::for_world(&world);
    let mut query = PreparedQuery::<(&mut u32, Option<&u8>), With<f32>>::new();
    let mut entities = Vec::new();
    let mut view = None;
    for step in 0..400_u32 {
        let entity = world.spawn((step,));
        if step % 3 == 0 {
            world.insert(entity, (0.5_f32,)).unwrap();
        }
        if step % 7 == 0 {
            world.insert(entity, (step as u8,)).unwrap();
        }
        if step % 50 == 0 {
            world.insert(entity, (0_u16,)).unwrap();
        }
        entities.push(entity);
        if step % 5 == 4 {
            let gone = entities.swap_remove(step as usize / 2);
            world.despawn(gone).unwrap();
        }
        if step % 11 == 0 {
            view = Some(world.capture(ComponentMask::ALL, &pool));
        }
        let mut plain = Vec::new();
        world.query_mut::<(&mut u32, Option<&u8>)>().filter::<With<f32>>().for_each(
            |(number, part)| {
                plain.push((*number, part.copied()));
            },
        );
        let mut prepared = Vec::new();
        query.query_mut(&mut world).for_each(|(number, part)| {
            prepared.push((*number, part.copied()));
            *number += 1;
        });
        assert_eq!(plain, prepared);
        let mut again = query.query_mut(&mut world);
        assert_eq!((again.count(), again.iter().len()), (plain.len(), plain.len()));
        assert!(again.iter().map(|(number, part)| (*number - 1, part.copied())).eq(plain));
    }
    drop(view);
}

#[test]
fn prepared_queries_keep_to_a_mark_of_changes() {
    let mut world = World::new();
    let numbers = world.spawn_batch((0..40_u32).map(|number| (number,))).unwrap();
    let numbers: Vec<_> = numbers.collect();
    let byte = world.spawn((100_u32, 1_u8));
    let mark = world.change_mark();
    let mut query = PreparedQuery::<&u32, Changed<u32>>::new();
    assert_eq!(query.query(&world).count(), 41, "without a mark everything counts");
    assert_eq!(query.query(&world).since(mark).count(), 0);
    *world.get_mut::<u32>(byte).unwrap() += 1;
    let changed = query.query(&world).since(mark);
    assert_eq!(changed.count(), 1);
    assert_eq!(changed.get(byte).unwrap(), &101);
    let unchanged = changed.get(numbers[3]).unwrap_err();
    assert!(matches!(unchanged, GetError::Filtered { entity } if entity == numbers[3]));
    changed.for_each(|number| assert_eq!(*number, 101));
    let mut writing = PreparedQuery::<&mut u32, Changed<u32>>::new();
    writing.query_mut(&mut world).since(mark).for_each(|number| *number += 1);
    let mut since = writing.query_mut(&mut world).since(mark);
    assert!(since.get_many([byte, numbers[3]]).is_err());
    assert_eq!(since.get(byte).unwrap(), &mut 102);
    let foreign = query.query(&World::new()).try_since(mark).err();
    assert_eq!(foreign, Some(QueryError::ForeignMark));
}

#[test]
fn branches_of_a_world_are_told_apart_once_they_differ() {
    let mut world = World::new();
    world.spawn((1_u32,));
    world.register::<u8>().unwrap();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ComponentMask::ALL, &pool);
    let mut branch = World::branch(&view).unwrap();
    let mut query = PreparedQuery::<&u32>::new();
    for tables in [&world, &branch] {
        assert_eq!(numbers(&mut query, tables), [1]);
    }
    world.spawn((2_u32, 0_u8));
    branch.spawn((0_u8,));
    assert_eq!(numbers(&mut query, &world), [1, 2]);
    assert_eq!(numbers(&mut query, &branch), [1]);
    world.restore(&view).unwrap();
    assert_eq!(numbers(&mut query, &world), [1]);
    world.spawn((3_u32, 0_u8));
    assert_eq!(numbers(&mut query, &world), [1, 3]);
    assert_eq!(numbers(&mut query, &view), [1]);
}

#[test]
fn toggles_that_are_registered_between_two_uses_are_heeded() {
    let mut world = World::new();
    let mut query = PreparedQuery::<&u32>::new();
    let mut writing = PreparedQuery::<(&mut u32, Option<&u16>)>::new();
    let plain = world.spawn((1_u32,));
    assert_eq!(numbers(&mut query, &world), [1]);
    world.register_toggle::<u16>().unwrap();
    let toggled = [2_u32, 3, 4].map(|number| world.spawn((number, number as u16)));
    world.disable::<u16>(toggled[1]).unwrap();
    assert_eq!(numbers(&mut query, &world), [1, 2, 3, 4]);
    let mut narrow = PreparedQuery::<(&u32, &u16)>::new();
    for _ in 0..2 {
        let found: Vec<_> = narrow.query(&world).iter().map(|(number, _)| *number).collect();
        assert_eq!(found, [2, 4]);
        let narrow = narrow.query(&world);
        let error = narrow.get(toggled[1]).unwrap_err();
        assert!(matches!(error, GetError::Filtered { .. } | GetError::Missing { .. }));
        assert!(narrow.get(plain).is_err() && narrow.get(toggled[2]).is_ok());
    }
    let mut halves = Vec::new();
    writing.query_mut(&mut world).for_each(|(number, half)| halves.push((*number, half.copied())));
    assert_eq!(halves, [(1, None), (2, Some(2)), (3, None), (4, Some(4))]);
}
