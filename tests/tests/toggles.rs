//! Toggles: components that are switched off in place. Queries skip them, snapshots keep them as
//! they were, and rows carry them along wherever they go.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;

use convoy_engine::commands::Commands;
use convoy_engine::component::{COMPONENTS_MAX, ComponentDescription, RegisterError};
use convoy_engine::hierarchy::ChildOf;
use convoy_engine::query::{Changed, GetError, Has, Or, PreparedQuery, QueryError, ReadError};
use convoy_engine::snapshot::diff;
use convoy_engine::world::ComponentError;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, Without, World, WorldConfig};
use convoy_tests::{Mixer, Tag};

const ALL: ComponentMask = ComponentMask::ALL;
const ROWS: u32 = 18;

fn config_of_small_chunks() -> WorldConfig {
    WorldConfig::default().chunk_rows_max(4)
}

/// A world whose chunks have four rows and in which `u32` can be switched off; the n-th entity has
/// the numbers n and 100 + n.
fn world_of_small_chunks() -> (World, Vec<Entity>) {
    let mut world = World::with_config(config_of_small_chunks());
    world.register_toggle::<u32>().unwrap();
    let entities = (0..ROWS).map(|n| world.spawn((n, u64::from(100 + n)))).collect();
    (world, entities)
}

/// The numbers of the entities that have `u32` switched on, by every way of iterating.
fn enabled(world: &mut World) -> Vec<u32> {
    let query = world.query::<&u32>();
    let mut iter = query.iter();
    let mut numbers = Vec::new();
    while let Some(number) = iter.next() {
        numbers.push(*number);
        assert_eq!(iter.len() + numbers.len(), query.count(), "the length is exact");
    }
    let mut others = vec![Vec::new(); 6];
    query.for_each(|number| others[0].push(*number));
    query.for_each_run(|numbers| others[1].extend_from_slice(numbers));
    let mut query = world.query_mut::<&mut u32>();
    assert_eq!(query.count(), numbers.len());
    others[2].extend(query.iter().map(|number| *number));
    query.for_each(|number| others[3].push(*number));
    let mut query = world.query_mut::<&mut u32>();
    query.for_each_run(|numbers| others[4].extend_from_slice(numbers));
    let id = world.component_id::<u32>().unwrap();
    let ids = [id];
    let query = world.query_described(&ids, &[]).unwrap();
    for run in query.iter() {
        others[5].extend_from_slice(bytemuck::cast_slice(run.column(0)));
    }
    assert_eq!(query.count(), numbers.len());
    assert!(others.iter().all(|other| *other == numbers));
    numbers
}

fn enabled_in(view: &View) -> Vec<u32> {
    let query = view.query::<&u32>();
    assert_eq!(query.count(), query.iter().len());
    query.iter().copied().collect()
}

#[test]
fn terms_and_filters_tell_what_is_switched_off() {
    let (mut world, entities) = world_of_small_chunks();
    let others: Vec<_> = (0..3_u64).map(|number| world.spawn((number,))).collect();
    for row in [0, 1, 5, 17] {
        assert!(world.disable::<u32>(entities[row]).unwrap());
        assert!(!world.disable::<u32>(entities[row]).unwrap(), "it was off already");
    }
    let off = [100, 101, 105, 117];
    let on: Vec<u32> = (0..ROWS).filter(|number| !off.contains(&(number + 100))).collect();
    assert_eq!(enabled(&mut world), on);
    let numbers = |world: &World, filter: &str| -> Vec<u64> {
        let query = world.query::<&u64>();
        match filter {
            "with" => query.filter::<With<u32>>().iter().copied().collect(),
            "without" => query.filter::<Without<u32>>().iter().copied().collect(),
            "or" => query.filter::<Or<(With<u32>, Without<u32>)>>().iter().copied().collect(),
            _ => query.filter::<(With<u32>, Without<u32>)>().iter().copied().collect(),
        }
    };
    assert!(numbers(&world, "with").into_iter().eq(on.iter().map(|n| u64::from(n + 100))));
    let without = off.iter().map(|n| u64::from(*n)).chain(0..3);
    assert!(numbers(&world, "without").into_iter().eq(without));
    assert_eq!(numbers(&world, "or").len(), entities.len() + others.len());
    assert_eq!(numbers(&world, "and"), [0; 0]);
    let query = world.query::<(&u64, Option<&u32>, Has<u32>)>();
    assert_eq!(query.count(), entities.len() + others.len());
    for (wide, number, has) in query.iter() {
        assert_eq!(has, *wide >= 100);
        let expected = u32::try_from(*wide).unwrap().checked_sub(100);
        assert_eq!(number.copied(), expected.filter(|_| !off.contains(&(*wide as u32))));
    }
    assert_eq!(*world.get::<u32>(entities[5]).unwrap(), 5, "the value is there");
    assert!(!world.is_enabled::<u32>(entities[5]).unwrap());
    assert!(world.enable::<u32>(entities[5]).unwrap());
    assert!(world.is_enabled::<u32>(entities[5]).unwrap());
    assert_eq!(enabled(&mut world).len(), on.len() + 1);
}

#[test]
fn slices_of_optional_terms_end_where_they_are_switched() {
    let mut world = World::new();
    world.register_toggle::<u32>().unwrap();
    world.register_toggle::<u16>().unwrap();
    let rows = (0..300_u64).map(|n| (n, n as u32, n as u16));
    let entities: Vec<_> = world.spawn_batch(rows).unwrap().collect();
    for entity in &entities[70..200] {
        world.disable::<u32>(*entity).unwrap();
    }
    for entity in &entities[150..151] {
        world.disable::<u16>(*entity).unwrap();
    }
    let mut runs = Vec::new();
    let query = world.query::<(&u64, Option<&u32>, Option<&u16>)>();
    query.for_each_run(|(wide, number, half)| {
        assert!(number.is_none_or(|number| number.len() == wide.len()));
        runs.push((wide[0], wide.len(), number.is_some(), half.is_some()));
    });
    let expected = [
        (0, 70, true, true),
        (70, 80, false, true),
        (150, 1, false, false),
        (151, 49, false, true),
        (200, 100, true, true),
    ];
    assert_eq!(runs, expected);
    let mut found = 0;
    world.query_mut::<(&mut u64, Option<&u32>)>().for_each(|(wide, number)| {
        assert_eq!(number.is_none(), (70..200).contains(wide));
        *wide += 1_000;
        found += 1;
    });
    assert_eq!(found, 300);
    let mut query = world.query_mut::<(&u64, Option<&u32>, &u16)>();
    let mut iter = query.iter();
    for left in (0..299).rev() {
        assert!(iter.next().is_some() && iter.len() == left);
    }
}

#[test]
fn a_view_keeps_what_was_switched_at_its_capture() {
    let (mut world, entities) = world_of_small_chunks();
    let pool = SnapshotPool::default();
    world.disable::<u32>(entities[3]).unwrap();
    let view = world.capture(ALL, &pool);
    let only = ComponentMask::from_iter([world.component_id::<u32>().unwrap()]);
    let narrow = world.capture(only, &pool);
    let before = enabled(&mut world);
    world.enable::<u32>(entities[3]).unwrap();
    world.disable::<u32>(entities[4]).unwrap();
    world.disable::<u32>(entities[17]).unwrap();
    assert_eq!((view.is_enabled::<u32>(entities[3])), Ok(false));
    assert_eq!((view.is_enabled::<u32>(entities[4])), Ok(true));
    for view in [&view, &narrow, &view.clone().narrow(only)] {
        assert_eq!(enabled_in(view), before);
    }
    assert_eq!(view.query::<&u64>().filter::<Without<u32>>().single(), Some(&103));
    drop(world);
    assert_eq!(enabled_in(&view), before);
}

#[test]
fn a_write_pass_over_a_toggled_shared_table_leaves_the_view_as_it_was() {
    for fused in [true, false] {
        let (mut world, entities) = world_of_small_chunks();
        for row in [0, 1, 2, 3, 6, 9, 10, 16] {
            world.disable::<u32>(entities[row]).unwrap();
        }
        let view = world.capture(ALL, &SnapshotPool::default());
        let before = world.copy_statistics().chunks_copied;
        if fused {
            world.query_mut::<&mut u32>().for_each(|number| *number += 1_000);
        } else {
            world.query_mut::<&mut u32>().iter().for_each(|number| *number += 1_000);
        }
        let copied = world.copy_statistics().chunks_copied - before;
        assert_eq!(copied, 4, "a chunk without a visited row is not copied");
        let old = view.query::<(Option<&u32>, Has<u32>)>();
        assert_eq!(old.iter().filter(|(number, _)| number.is_none()).count(), 8);
        for (row, entity) in entities.iter().enumerate() {
            assert_eq!(*view.get::<u32>(*entity).unwrap(), row as u32);
            let is_off = !world.is_enabled::<u32>(*entity).unwrap();
            let expected = row as u32 + if is_off { 0 } else { 1_000 };
            assert_eq!(*world.get::<u32>(*entity).unwrap(), expected);
        }
    }
}

#[test]
fn a_switch_copies_one_chunk_of_switches_under_a_view_and_none_otherwise() {
    let (mut world, entities) = world_of_small_chunks();
    let view = world.capture(ALL, &SnapshotPool::default());
    let copies = |world: &World| world.copy_statistics().chunks_copied;
    let before = copies(&world);
    world.enable::<u32>(entities[0]).unwrap();
    assert_eq!(copies(&world), before, "it was on already");
    for entity in &entities[..4] {
        world.disable::<u32>(*entity).unwrap();
    }
    assert_eq!(copies(&world), before + 1);
    drop(view);
}

#[test]
fn rows_carry_their_switches_along() {
    let (mut world, entities) = world_of_small_chunks();
    let off = [entities[2], entities[17]];
    for entity in off {
        world.disable::<u32>(entity).unwrap();
    }
    let check = |world: &World, what: &str| {
        for entity in &entities {
            let expected = !off.contains(entity);
            assert_eq!(world.is_enabled::<u32>(*entity).unwrap(), expected, "{what}");
        }
    };
    world.insert(off[0], (0.5_f32,)).unwrap();
    check(&world, "a move");
    world.exchange::<(f32,), _>(off[0], (1_u8,)).unwrap();
    check(&world, "an exchange");
    world.query_mut::<&u64>().insert((true as u16,)).unwrap();
    check(&world, "a batch");
    world.remove_many::<(u16,)>(&entities).unwrap();
    check(&world, "a list");
    world.set_parent(off[1], off[0]).unwrap();
    check(&world, "a link");
    let wind = ComponentDescription { name: "wind", size: 2, align: 1 };
    let wind = world.register_described(wind).unwrap();
    world.insert_described(off[0], &[(wind, &[1, 2])]).unwrap();
    check(&world, "a description");
    for entity in (0..5).map(|number| world.spawn((7_u32, number as u64))).collect::<Vec<_>>() {
        world.despawn(entity).unwrap();
    }
    check(&world, "spawns and despawns");
    world.compact(std::time::Duration::MAX);
    check(&world, "a compaction");
    let mut replica = World::with_config(config_of_small_chunks());
    replica.sync_from(&world, ALL).unwrap();
    check(&replica, "a sync");
}

#[test]
fn what_comes_is_switched_on_whichever_way_it_comes() {
    let (mut world, entities) = world_of_small_chunks();
    // Rows that were switched off leave bytes behind that new rows must not take over.
    for entity in &entities {
        world.disable::<u32>(*entity).unwrap();
    }
    let id = world.component_id::<u32>().unwrap();
    world.despawn_many(&entities[4..]).unwrap();
    assert_eq!(enabled(&mut world), [0; 0]);
    world.spawn((1_u32, 0_u64));
    world.spawn_batch((2..4_u32).map(|number| (number, 0_u64))).unwrap();
    world.spawn_columns((&[4_u32, 5, 6][..], &[0_u64; 3][..])).unwrap();
    assert_eq!(enabled(&mut world), [1, 2, 3, 4, 5, 6]);
    let wide = world.component_id::<u64>().unwrap();
    world.spawn_described(&[(id, &7_u32.to_le_bytes()), (wide, &[0; 8])]).unwrap();
    let mut commands = Commands::new(&mut world);
    commands.spawn((8_u32, 0_u64));
    world.play_back(&mut commands);
    assert_eq!(enabled(&mut world), [1, 2, 3, 4, 5, 6, 7, 8]);
    // In place.
    world.insert(entities[0], (10_u32,)).unwrap();
    world.insert_many(&entities[1..2], (11_u32,)).unwrap();
    world.insert_described(entities[2], &[(id, &12_u32.to_le_bytes())]).unwrap();
    world.exchange::<(u32,), _>(entities[3], (13_u32,)).unwrap();
    assert_eq!(enabled(&mut world), [10, 11, 12, 13, 1, 2, 3, 4, 5, 6, 7, 8]);
    // In passing from a table without the component.
    let bare: Vec<_> = (0..4_u64).map(|number| world.spawn((number, 1_u8))).collect();
    world.insert(bare[0], (20_u32,)).unwrap();
    world.insert_many(&bare[1..2], (21_u32,)).unwrap();
    world.insert_described(bare[2], &[(id, &22_u32.to_le_bytes())]).unwrap();
    world.query_mut::<&u8>().filter::<Without<u32>>().insert((23_u32,)).unwrap();
    for (index, entity) in bare.iter().enumerate() {
        assert_eq!(*world.get::<u32>(*entity).unwrap(), 20 + index as u32);
        assert!(world.is_enabled::<u32>(*entity).unwrap());
    }
    // Removed and inserted again.
    world.disable::<u32>(bare[0]).unwrap();
    world.remove::<(u32,)>(bare[0]).unwrap();
    world.insert(bare[0], (30_u32,)).unwrap();
    assert!(world.is_enabled::<u32>(bare[0]).unwrap());
}

#[test]
fn batches_over_a_query_leave_what_is_switched_off_alone() {
    let (mut world, entities) = world_of_small_chunks();
    for row in [2, 3, 9] {
        world.disable::<u32>(entities[row]).unwrap();
    }
    assert_eq!(world.query_mut::<&u32>().insert((1_u8,)).unwrap(), 15);
    assert!(world.get::<u8>(entities[9]).is_err());
    assert_eq!(world.query_mut::<()>().filter::<Without<u32>>().insert((2_u8,)).unwrap(), 3);
    assert_eq!(*world.get::<u8>(entities[9]).unwrap(), 2);
    assert_eq!(world.query_mut::<&u32>().remove::<(u8,)>().unwrap(), 15);
    assert_eq!(world.query_mut::<&u32>().despawn().unwrap(), 15);
    let mut left: Vec<_> = world.query::<Entity>().iter().collect();
    left.sort();
    assert_eq!(left, [2, 3, 9].map(|row: usize| entities[row]));
    // Inserting into entities that were found without it switches it on, each once.
    assert_eq!(world.query_mut::<()>().filter::<Without<u32>>().insert((5_u32,)).unwrap(), 3);
    assert_eq!(enabled(&mut world), [5, 5, 5]);
}

#[test]
fn commands_switch_at_playback() {
    let (mut world, entities) = world_of_small_chunks();
    let bare = world.spawn((1_u8,));
    world.despawn(entities[0]).unwrap();
    let mut commands = Commands::new(&mut world);
    let new = commands.spawn((50_u32,));
    commands.disable::<u32>(new);
    commands.disable::<u32>(entities[1]);
    commands.disable::<u32>(entities[2]);
    commands.enable::<u32>(entities[2]);
    commands.disable::<u32>(entities[0]);
    commands.disable::<u32>(bare);
    commands.disable::<u8>(bare);
    assert!(world.is_enabled::<u32>(entities[1]).unwrap());
    let playback = world.play_back(&mut commands);
    assert_eq!((playback.applied, playback.dead, playback.failed), (5, 1, 2));
    let on = [new, entities[1], entities[2]].map(|entity| world.is_enabled::<u32>(entity).unwrap());
    assert_eq!(on, [false, false, true]);
}

#[test]
fn replicas_hold_what_is_switched() {
    let (mut world, entities) = world_of_small_chunks();
    let mask = world.mask_of::<(Entity, u32)>().unwrap();
    let mut replica = World::with_config(config_of_small_chunks());
    // A bundle that the replica met before it knew of the toggle.
    replica.remove_many::<(u32,)>(&[]).unwrap();
    let wide = world.mask_of::<(Entity, u64)>().unwrap();
    let mut other = World::with_config(config_of_small_chunks());
    for row in [1, 8, 17] {
        world.disable::<u32>(entities[row]).unwrap();
        replica.sync_from(&world, mask).unwrap();
        other.sync_from(&world, wide).unwrap();
        assert!(!replica.is_enabled::<u32>(entities[row]).unwrap());
        let on: Vec<_> = replica.query::<&u32>().iter().copied().collect();
        assert_eq!(on, enabled(&mut world));
    }
    assert!(matches!(
        other.is_enabled::<u32>(entities[0]),
        Err(ReadError::NotReadable { component: "u32" })
    ));
    assert!(matches!(other.disable::<u32>(entities[0]), Err(ComponentError::NotReadable { .. })));
    let missing = Some(QueryError::NotReadable { component: "u32" });
    assert_eq!(other.query::<&u64>().try_filter::<Without<u32>>().err(), missing);
    replica.sync_from(&world, ALL).unwrap();
    let new = replica.spawn((5_u32,));
    assert!(replica.disable::<u32>(new).unwrap());
    replica.remove::<(u32,)>(new).unwrap();
    assert!(replica.is_enabled::<u32>(new).is_err());
}

#[test]
fn switching_is_no_change_of_the_value() {
    let (mut world, entities) = world_of_small_chunks();
    let mark = world.change_mark();
    world.disable::<u32>(entities[5]).unwrap();
    let changed =
        |world: &World| world.query::<&u64>().filter::<Changed<u32>>().since(mark).count();
    assert_eq!(changed(&world), 0);
    *world.get_mut::<u32>(entities[6]).unwrap() += 1;
    assert_eq!(changed(&world), 4);
    let query = world.query::<&u32>().filter::<Changed<u32>>().since(mark);
    assert!(query.iter().eq(&[4, 7, 7]));
}

#[test]
fn a_tag_can_be_switched_off() {
    let mut world = World::new();
    world.register_toggle::<Tag>().unwrap();
    let [first, second] = [1_u32, 2].map(|number| world.spawn((number, Tag)));
    world.disable::<Tag>(first).unwrap();
    assert_eq!(world.query::<&u32>().filter::<With<Tag>>().single(), Some(&2));
    assert_eq!(world.query::<(&u32, &Tag)>().count(), 1);
    world.disable::<Tag>(second).unwrap();
    assert_eq!(world.query::<(Entity, &Tag)>().iter().next().map(|(entity, _)| entity), None);
}

#[test]
fn misuse_is_an_error_that_names_the_component() {
    let mut world = World::new();
    let entity = world.spawn((1_u32, 1_u8));
    assert_eq!(world.register_toggle::<u32>(), Err(RegisterError::InUse { component: "u32" }));
    let of_handles = world.register_toggle::<Entity>();
    assert!(matches!(of_handles, Err(RegisterError::InUse { .. })));
    let of_links = world.register_toggle::<ChildOf>();
    assert!(matches!(of_links, Err(RegisterError::EngineOwned { .. })));
    let id = world.register_toggle::<u64>().unwrap();
    assert_eq!(world.register_toggle::<u64>(), Ok(id), "twice is once");
    let not_toggle = world.disable::<u32>(entity);
    assert!(matches!(not_toggle, Err(ComponentError::NotToggle { component: "u32" })));
    assert!(matches!(world.toggles::<f32>(), Err(ComponentError::NotToggle { .. })));
    let missing = world.disable::<u64>(entity);
    assert!(matches!(missing, Err(ComponentError::Missing { component: "u64", .. })));
    assert!(matches!(world.remove::<(u64,)>(entity), Err(ComponentError::Missing { .. })));
    let view = world.capture(ALL, &SnapshotPool::default());
    let not_toggle = Err(ReadError::NotToggle { component: "u32" });
    assert_eq!(view.is_enabled::<u32>(entity), not_toggle);
    assert!(matches!(view.is_enabled::<u64>(entity), Err(ReadError::Missing { .. })));
    let narrow = view.narrow(world.mask_of::<(Entity, u8)>().unwrap());
    let not_captured = Err(ReadError::NotReadable { component: "u64" });
    assert_eq!(narrow.is_enabled::<u64>(entity), not_captured);
    let query = narrow.query::<&u8>();
    let not_captured = Some(QueryError::NotReadable { component: "u64" });
    assert_eq!(query.try_filter::<With<u64>>().err(), not_captured);
    world.despawn(entity).unwrap();
    assert!(matches!(world.enable::<u64>(entity), Err(ComponentError::NotAlive { .. })));
}

#[test]
fn the_hidden_column_counts_as_a_component_and_is_out_of_reach() {
    let mut world = World::new();
    let names: Vec<_> =
        (0..COMPONENTS_MAX - 2).map(|number| format!("component {number}")).collect();
    for name in &names {
        let description = ComponentDescription { name, size: 1, align: 1 };
        world.register_described(description).unwrap();
    }
    let none = Err(RegisterError::TooManyTypes { component: "u32" });
    assert_eq!(world.register_toggle::<u32>(), none, "it takes two");
    assert_eq!(world.component_id::<u32>(), None, "nothing was registered");
    let id = world.register::<u32>().unwrap();
    assert_eq!(world.register_toggle::<u32>(), none);
    let (mut world, entities) = world_of_small_chunks();
    assert_ne!(world.register::<u32>().unwrap(), id);
    let mask = world.mask_of::<(u32,)>().unwrap();
    assert_eq!(mask.len(), 2);
    let hidden = mask.iter().find(|id| Some(*id) != world.component_id::<u32>()).unwrap();
    assert!(matches!(
        world.set_bytes(entities[0], hidden, &[7]),
        Err(ComponentError::Unknown { .. })
    ));
    assert!(matches!(
        world.remove_described(entities[0], &[hidden]),
        Err(ComponentError::Unknown { .. })
    ));
    assert!(world.query_described(&[hidden], &[]).is_err());
    assert!(world.archetypes().any(|archetype| archetype.mask.contains(hidden)));
}

#[test]
fn prepared_and_shared_queries_and_single_look_ups_skip_what_is_switched_off() {
    let (mut world, entities) = world_of_small_chunks();
    let mut prepared = PreparedQuery::<(&mut u32, &u64)>::new();
    let mut without = PreparedQuery::<(&u64, Option<&u32>), Without<u32>>::new();
    assert_eq!(prepared.query_mut(&mut world).count(), ROWS as usize);
    for row in [2, 3, 9] {
        world.disable::<u32>(entities[row]).unwrap();
    }
    let left: Vec<u32> = (0..ROWS).filter(|n| ![2, 3, 9].contains(n)).collect();
    let mut visited = Vec::new();
    prepared.query_mut(&mut world).for_each(|(number, _)| visited.push(*number));
    assert_eq!(visited, left);
    assert_eq!(prepared.query_mut(&mut world).count(), left.len());
    let mut off = Vec::new();
    without.query(&world).for_each(|(wide, number)| off.push((*wide, number)));
    assert_eq!(off, [(102, None), (103, None), (109, None)]);
    let (on, off) = (entities[4], entities[3]);
    let is_filtered =
        |error: GetError| matches!(error, GetError::Filtered { entity } if entity == off);
    assert_eq!(*prepared.query_mut(&mut world).get(on).unwrap().0, 4);
    assert!(is_filtered(prepared.query_mut(&mut world).get(off).unwrap_err()));
    assert!(is_filtered(world.query::<&u32>().get(off).unwrap_err()));
    assert_eq!(world.query::<Option<&u32>>().get(off).unwrap(), None);
    assert_eq!(world.query::<Option<&u32>>().get(on).unwrap(), Some(&4));
    assert!(is_filtered(world.query_mut::<&mut u32>().get_many([on, off]).unwrap_err()));
    let view = world.capture(ALL, &SnapshotPool::default());
    let shared = world.share();
    let mut query = shared.query::<&mut u32>();
    assert_eq!(query.count(), left.len());
    query.for_each(|number| *number += 100);
    assert!(is_filtered(query.get(off).unwrap_err()));
    let mut others = shared.query::<&u64>().filter::<Without<u32>>();
    assert_eq!(others.count(), 3);
    let mut wide = Vec::new();
    others.for_each(|number| wide.push(*number));
    assert_eq!(wide, [102, 103, 109]);
    drop((query, others));
    assert_eq!(enabled(&mut world), left.iter().map(|n| n + 100).collect::<Vec<_>>());
    assert_eq!(enabled_in(&view), left);
}

#[test]
fn differences_of_views_name_no_hidden_column() {
    let (mut world, entities) = world_of_small_chunks();
    let bare = world.spawn((1_u8,));
    let pool = SnapshotPool::default();
    let older = world.capture(ALL, &pool);
    world.insert(bare, (7_u32,)).unwrap();
    world.remove::<(u32,)>(entities[0]).unwrap();
    let newer = world.capture(ALL, &pool);
    let difference = diff(&older, &newer).unwrap();
    let id = world.component_id::<u32>().unwrap();
    assert!(difference.inserted().eq([(bare, id)]));
    assert!(difference.removed().eq([(entities[0], id)]));
}

#[test]
fn a_query_looks_at_eight_toggles() {
    let mut world = World::new();
    type Bytes<const N: usize> = [u8; N];
    macro_rules! register {
        ($($size:literal)+) => { $(world.register_toggle::<Bytes<$size>>().unwrap();)+ };
    }
    register!(1 2 3 4 5 6 7 8 9);
    type Four<'a> = (&'a Bytes<1>, &'a Bytes<2>, Option<&'a Bytes<3>>, &'a Bytes<4>);
    type Eight<'a> = (Four<'a>, &'a Bytes<5>, &'a Bytes<6>, &'a Bytes<7>, &'a Bytes<8>);
    assert_eq!(world.query::<Eight<'_>>().count(), 0);
    let component = std::any::type_name::<Bytes<9>>();
    let query = world.try_query::<(Eight<'_>, &Bytes<9>)>();
    assert_eq!(query.err(), Some(QueryError::TooManyToggles { component }));
}

#[test]
fn parallel_passes_skip_what_is_switched_off() {
    let (mut world, entities) = world_of_small_chunks();
    let mut mixer = Mixer::new(1);
    for _ in 0..30 {
        let entity = entities[mixer.below(entities.len())];
        let wanted = mixer.below(2) == 0;
        world.toggles::<u32>().unwrap().set(entity, wanted).unwrap();
        let view = world.capture(ALL, &SnapshotPool::default());
        let before: Vec<_> = entities.iter().map(|e| *world.get::<u32>(*e).unwrap()).collect();
        world.query_mut::<&mut u32>().par_for_each(|number| *number += 100);
        for (entity, before) in entities.iter().zip(before) {
            let on = world.is_enabled::<u32>(*entity).unwrap();
            let after = before + if on { 100 } else { 0 };
            assert_eq!(*world.get::<u32>(*entity).unwrap(), after);
            assert_eq!(*view.get::<u32>(*entity).unwrap(), before);
        }
    }
}

/// An entity in the naive model: its numbers and the toggles that are on.
type Known = (Option<(u32, bool)>, Option<(u16, bool)>, bool);

/// How many operations a random program has: 50,000 unless `CONVOY_OPERATIONS` tells.
fn operations() -> u32 {
    let told = std::env::var("CONVOY_OPERATIONS").ok();
    told.map_or(50_000, |number| number.parse().expect("CONVOY_OPERATIONS is a number"))
}

#[test]
fn a_random_program_agrees_with_a_naive_model_and_its_views_with_copies_of_it() {
    let mut mixer = Mixer::new(7);
    let mut world = World::with_config(config_of_small_chunks());
    world.register_toggle::<u32>().unwrap();
    world.register_toggle::<u16>().unwrap();
    let pool = SnapshotPool::default();
    let mut model: BTreeMap<Entity, Known> = BTreeMap::new();
    let mut views: Vec<(View, BTreeMap<Entity, Known>)> = Vec::new();
    for step in 0..operations() {
        let entity = model.keys().nth(mixer.below(model.len())).copied();
        match (mixer.below(12), entity) {
            (0..=2, Some(entity)) if model.len() > 100 => {
                world.despawn(entity).unwrap();
                model.remove(&entity);
            }
            (0, _) | (_, None) => {
                let entity = world.spawn((step, step as u16, Tag));
                model.insert(entity, (Some((step, true)), Some((step as u16, true)), true));
            }
            (1, _) => {
                let entity = world.spawn((step,));
                model.insert(entity, (Some((step, true)), None, false));
            }
            (2, Some(entity)) if model.len() > 20 => {
                world.despawn(entity).unwrap();
                model.remove(&entity);
            }
            (3, Some(entity)) => {
                world.insert(entity, (step,)).unwrap();
                model.get_mut(&entity).unwrap().0 = Some((step, true));
            }
            (4, Some(entity)) => {
                let removed = world.remove::<(u16,)>(entity).ok().map(|(number,)| number);
                let known = model.get_mut(&entity).unwrap().1.take();
                assert_eq!(removed, known.map(|(number, _)| number));
            }
            (5, Some(entity)) => {
                world.insert(entity, (step as u16,)).unwrap();
                model.get_mut(&entity).unwrap().1 = Some((step as u16, true));
            }
            (6, _) => {
                world.query_mut::<&mut u32>().for_each(|number| *number += 1);
                let on = model.values_mut().filter_map(|known| known.0.as_mut());
                on.filter(|(_, on)| *on).for_each(|(number, _)| *number += 1);
            }
            (7, _) if views.len() < 4 => {
                views.push((world.capture(ALL, &pool), model.clone()));
            }
            (7, _) => drop(views.remove(mixer.below(views.len()))),
            (8, Some(entity)) => {
                let switched = world.disable::<u16>(entity).is_ok();
                let known = model.get_mut(&entity).unwrap().1.as_mut();
                assert_eq!(switched, known.is_some());
                known.into_iter().for_each(|(_, on)| *on = false);
            }
            (_, Some(entity)) => {
                let wanted = mixer.below(2) == 0;
                let switched = world.toggles::<u32>().unwrap().set(entity, wanted);
                let known = model.get_mut(&entity).unwrap().0.as_mut().unwrap();
                assert_eq!(switched.unwrap(), known.1 != wanted);
                known.1 = wanted;
            }
        }
        if step % 16 == 0 {
            let query = world.query::<(Entity, Option<&u32>, Option<&u16>, Has<Tag>)>();
            assert_equal(query.iter().map(|(e, a, b, t)| (e, (a.copied(), b.copied(), t))), &model);
            let query = world.query::<(Entity, &u32)>().filter::<Without<u16>>();
            let expected = model.iter().filter(|(_, known)| {
                known.0.is_some_and(|(_, on)| on) && !known.1.is_some_and(|(_, on)| on)
            });
            let mut found: Vec<_> = query.iter().map(|(entity, _)| entity).collect();
            assert_eq!(found.len(), query.iter().len());
            found.sort();
            assert!(found.into_iter().eq(expected.map(|(entity, _)| *entity)));
            for (view, model) in &views {
                type Terms<'a> = (Entity, Option<&'a u32>, Option<&'a u16>, Has<Tag>);
                let query = view.query::<Terms<'_>>();
                let rows = query.iter().map(|(e, a, b, t)| (e, (a.copied(), b.copied(), t)));
                assert_equal(rows, model);
            }
        }
    }
}

/// A query finds the rows that are switched on in the model.
fn assert_equal(
    found: impl Iterator<Item = (Entity, (Option<u32>, Option<u16>, bool))>,
    model: &BTreeMap<Entity, Known>,
) {
    let found: BTreeMap<_, _> = found.collect();
    let expected = model.iter().map(|(entity, (number, half, tag))| {
        let number = number.filter(|(_, on)| *on).map(|(number, _)| number);
        let half = half.filter(|(_, on)| *on).map(|(half, _)| half);
        (*entity, (number, half, *tag))
    });
    assert_eq!(found, expected.collect());
}
