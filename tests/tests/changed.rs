//! Filters on changes: writes after a mark are found, chunk by chunk, on worlds and on
//! their snapshots, whichever path wrote it.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use convoy_engine::commands::Commands;
use convoy_engine::component::ComponentId;
use convoy_engine::query::{Added, ChangeMark, Changed, Filter, Or, QueryError};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, With, Without, World, WorldConfig};
use convoy_tests::{Mixer, Tag};

const ALL: ComponentMask = ComponentMask::ALL;
const ROWS: u32 = 18;

/// A world whose chunks have four rows, and its entities: the n-th has the number n.
fn world_of_small_chunks() -> (World, Vec<Entity>) {
    let config = WorldConfig::default().chunk_rows_max(4);
    let mut world = World::with_config(config);
    let entities = (0..ROWS).map(|number| world.spawn((number, u64::from(number)))).collect();
    (world, entities)
}

/// The numbers that a filter finds, in the order of rows, by every way of iterating.
fn found<F: Filter>(world: &mut World, mark: ChangeMark) -> Vec<u32> {
    let query = world.query::<&u32>().filter::<F>().since(mark);
    let mut iter = query.iter();
    let mut numbers = Vec::new();
    while let Some(number) = iter.next() {
        numbers.push(*number);
        assert_eq!(iter.len() + numbers.len(), query.count(), "the length is exact");
    }
    let mut each = Vec::new();
    query.for_each(|number| each.push(*number));
    assert_eq!(numbers, each);
    let mut runs = Vec::new();
    query.for_each_run(|numbers| runs.extend_from_slice(numbers));
    assert_eq!(numbers, runs);
    let mut query = world.query_mut::<&u32>().filter::<F>().since(mark);
    assert_eq!(query.count(), numbers.len());
    assert!(query.iter().copied().eq(numbers.iter().copied()));
    let mut each = Vec::new();
    query.for_each(|number| each.push(*number));
    assert_eq!(numbers, each);
    numbers
}

fn changed(world: &mut World, mark: ChangeMark) -> Vec<u32> {
    found::<Changed<u32>>(world, mark)
}

#[test]
fn without_a_mark_everything_counts_as_changed_and_added() {
    let (world, _) = world_of_small_chunks();
    let query = || world.query::<&u32>();
    assert_eq!(query().filter::<Changed<u32>>().count(), ROWS as usize);
    assert_eq!(query().filter::<Added<u32>>().iter().len(), ROWS as usize);
    assert_eq!(query().filter::<Changed<f32>>().count(), 0, "nobody has the component");
}

#[test]
fn a_write_selects_the_rows_of_its_chunk() {
    let (mut world, entities) = world_of_small_chunks();
    let mark = world.change_mark();
    assert_eq!(changed(&mut world, mark), [0; 0]);
    *world.get_mut::<u32>(entities[6]).unwrap() = 6;
    *world.get_mut::<u64>(entities[17]).unwrap() = 17;
    assert_eq!(changed(&mut world, mark), [4, 5, 6, 7]);
    assert_eq!(found::<Changed<u64>>(&mut world, mark), [16, 17]);
    assert_eq!(found::<(Changed<u32>, Changed<u64>)>(&mut world, mark), [0; 0]);
    let either = found::<Or<(Changed<u32>, Changed<u64>)>>(&mut world, mark);
    assert_eq!(either, [4, 5, 6, 7, 16, 17]);
    assert_eq!(found::<Or<(Changed<u32>, Without<u8>)>>(&mut world, mark).len(), 18);
    assert_eq!(found::<Or<(Changed<u32>, With<u8>)>>(&mut world, mark).len(), 4);
    let later = world.change_mark();
    assert_eq!(changed(&mut world, later), [0; 0]);
    assert_eq!(changed(&mut world, mark), [4, 5, 6, 7], "a mark is not used up");
}

#[test]
fn runs_of_selected_rows_go_on_over_blocks_of_the_selection() {
    let config = WorldConfig::default().chunk_rows_max(128);
    let mut world = World::with_config(config);
    let entities: Vec<_> =
        world.spawn_batch((0..1_000_u32).map(|number| (number,))).unwrap().collect();
    let mark = world.change_mark();
    for row in [130, 300, 999] {
        *world.get_mut::<u32>(entities[row]).unwrap() += 0;
    }
    let mut runs = Vec::new();
    let query = world.query::<&u32>().filter::<Changed<u32>>().since(mark);
    query.for_each_run(|numbers| runs.push((numbers[0], numbers.len())));
    assert_eq!(runs, [(128, 128), (256, 128), (896, 104)]);
    assert_eq!(changed(&mut world, mark).len(), 128 + 128 + 104);
}

/// A way to write, which is to touch the number of an entity that has only it and a `u64`.
type WritePath = (&'static str, fn(&mut World, Entity));

const WRITE_PATHS: [WritePath; 18] = [
    ("get_mut", |world, entity| *world.get_mut::<u32>(entity).unwrap() += 100),
    ("for_each", |world, _| world.query_mut::<&mut u32>().for_each(|number| *number += 100)),
    ("iter", |world, _| world.query_mut::<&mut u32>().iter().for_each(|number| *number += 100)),
    ("for_each_run", |world, _| {
        let mut query = world.query_mut::<&mut u32>();
        query.for_each_run(|numbers| numbers.iter_mut().for_each(|n| *n += 100));
    }),
    ("insert in place", |world, entity| world.insert(entity, (1_u32,)).unwrap()),
    ("insert another", |world, entity| world.insert(entity, (1_u8,)).unwrap()),
    ("remove another", |world, entity| {
        world.remove::<(u64,)>(entity).unwrap();
    }),
    ("exchange", |world, entity| {
        world.exchange::<(u64,), _>(entity, (1_u8,)).unwrap();
    }),
    ("exchange in place", |world, entity| {
        world.exchange::<(u32,), _>(entity, (5_u32,)).unwrap();
    }),
    ("set_bytes", |world, entity| {
        let id = world.component_id::<u32>().unwrap();
        world.set_bytes(entity, id, &[1; 4]).unwrap();
    }),
    ("insert_described", |world, entity| {
        let id = world.component_id::<u32>().unwrap();
        world.insert_described(entity, &[(id, &[1; 4])]).unwrap();
    }),
    ("insert_many in place", |world, entity| {
        world.insert_many(&[entity], (7_u32,)).unwrap();
    }),
    ("insert_many", |world, entity| {
        world.insert_many(&[entity], (7_u8,)).unwrap();
    }),
    ("query insert in place", |world, _| {
        world.query_mut::<&u64>().insert((9_u32,)).unwrap();
    }),
    ("query insert", |world, _| {
        world.query_mut::<&u64>().insert((9_u8,)).unwrap();
    }),
    ("query remove", |world, _| {
        world.query_mut::<&u64>().remove::<(u64,)>().unwrap();
    }),
    ("commands", |world, entity| {
        let mut commands = Commands::new(world);
        commands.insert(entity, (1_u32,));
        assert_eq!(world.play_back(&mut commands).applied, 1);
    }),
    ("set_parent", |world, entity| {
        let parent = world.spawn((1_u32,));
        world.set_parent(entity, parent).unwrap();
    }),
];

#[test]
fn trap_4_every_path_that_writes_marks_the_row_as_changed() {
    for (name, write) in WRITE_PATHS {
        for shared in [false, true] {
            let (mut world, entities) = world_of_small_chunks();
            let pool = SnapshotPool::default();
            let view = shared.then(|| world.capture(ALL, &pool));
            let mark = world.change_mark();
            write(&mut world, entities[5]);
            let query = world.query::<Entity>().filter::<Changed<u32>>().since(mark);
            assert!(query.iter().any(|entity| entity == entities[5]), "{name}, shared: {shared}");
            let after = world.capture(ALL, &pool);
            let query = after.query::<Entity>().filter::<Changed<u32>>();
            let query = query.since(mark);
            assert!(query.iter().any(|entity| entity == entities[5]), "{name}, in a view");
            drop(view);
        }
    }
}

#[test]
fn trap_4_rows_that_spawn_or_take_the_place_of_another_are_changed() {
    let (mut world, entities) = world_of_small_chunks();
    let mut marks = vec![world.change_mark()];
    let spawned = world.spawn((1_u32, 1_u64));
    marks.push(world.change_mark());
    let batch: Vec<_> =
        world.spawn_batch((0..7_u32).map(|number| (number, 0_u64))).unwrap().collect();
    marks.push(world.change_mark());
    let columns: Vec<_> =
        world.spawn_columns((&[1_u32, 2][..], &[1_u64, 2][..])).unwrap().collect();
    marks.push(world.change_mark());
    world.despawn(entities[0]).unwrap();
    marks.push(world.change_mark());
    world.despawn_many(&entities[4..8]).unwrap();
    let expected = [vec![spawned], batch, columns.clone(), vec![columns[1]]];
    for (mark, expected) in marks.iter().zip(expected) {
        let query = world.query::<Entity>().filter::<Changed<u32>>().since(*mark);
        let found: Vec<_> = query.iter().collect();
        assert!(expected.iter().all(|entity| found.contains(entity)));
        let query = world.query::<Entity>().filter::<Added<u32>>().since(*mark);
        let found: Vec<_> = query.iter().collect();
        assert!(expected.iter().all(|entity| found.contains(entity)));
    }
}

#[test]
fn trap_4_a_sync_marks_what_it_copies() {
    let (mut source, entities) = world_of_small_chunks();
    let config = WorldConfig::default().chunk_rows_max(4);
    let mut replica = World::with_config(config);
    replica.sync_from(&source, ALL).unwrap();
    let mark = replica.change_mark();
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(changed(&mut replica, mark), [0; 0]);
    *source.get_mut::<u32>(entities[9]).unwrap() = 100;
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(changed(&mut replica, mark), [8, 100, 10, 11]);
    let foreign = replica.query::<&u32>().try_since(source.change_mark());
    assert_eq!(foreign.err(), Some(QueryError::ForeignMark));
}

#[test]
fn added_leaves_out_what_was_only_written() {
    let (mut world, entities) = world_of_small_chunks();
    let mark = world.change_mark();
    world.query_mut::<&mut u32>().for_each(|number| *number += 100);
    assert_eq!(found::<Added<u32>>(&mut world, mark), [0; 0]);
    world.insert(entities[17], (1_u8,)).unwrap();
    assert_eq!(found::<Added<u8>>(&mut world, mark), [117]);
    assert_eq!(found::<Added<u32>>(&mut world, mark), [117], "its row came into the table");
}

#[test]
fn a_tag_changes_where_rows_come_and_go() {
    let (mut world, entities) = world_of_small_chunks();
    world.insert(entities[0], (Tag,)).unwrap();
    let mark = world.change_mark();
    assert_eq!(found::<Changed<Tag>>(&mut world, mark), [0; 0]);
    world.insert(entities[1], (Tag,)).unwrap();
    assert_eq!(found::<Changed<Tag>>(&mut world, mark), [0, 1]);
    assert_eq!(found::<Added<Tag>>(&mut world, mark), [0, 1]);
}

#[test]
fn a_pass_that_writes_what_it_is_filtered_by_visits_as_many_rows_as_it_counts() {
    // The columns have chunks of 256 and of 128 rows, so that a chunk of one is visited in parts,
    // and either may be written because the other has changed.
    let config = WorldConfig::default().chunk_bytes_max(1024);
    let mut mixer = Mixer::new(11);
    for round in 0..50 {
        let mut world = World::with_config(config.clone());
        let rows = (0..2_000_u32).map(|number| (number, u64::from(number)));
        let entities: Vec<_> = world.spawn_batch(rows).unwrap().collect();
        let pool = SnapshotPool::default();
        let view = (round % 2 == 0).then(|| world.capture(ALL, &pool));
        let mark = world.change_mark();
        for _ in 0..round % 7 {
            *world.get_mut::<u32>(entities[mixer.below(2_000)]).unwrap() += 1_000;
            *world.get_mut::<u64>(entities[mixer.below(2_000)]).unwrap() += 1_000;
        }
        let expected = found::<Or<(Changed<u32>, Changed<u64>)>>(&mut world, mark);
        let query = world.query_mut::<(&mut u32, &mut u64)>();
        let mut query = query.filter::<Or<(Changed<u32>, Changed<u64>)>>().since(mark);
        if round % 3 == 0 {
            let mut visited = Vec::new();
            query.for_each(|(number, _)| visited.push(*number));
            assert_eq!(visited, expected);
        } else {
            let mut iter = query.iter();
            for (index, number) in expected.iter().enumerate() {
                assert_eq!(iter.len(), expected.len() - index);
                assert_eq!(iter.next().unwrap().0, number);
            }
            assert!(iter.next().is_none());
        }
        drop(view);
    }
}

#[test]
fn a_filtered_pass_copies_no_chunk_that_it_does_not_visit() {
    let (mut world, entities) = world_of_small_chunks();
    let mark = world.change_mark();
    *world.get_mut::<u32>(entities[6]).unwrap() += 0;
    let view = world.capture(ALL, &SnapshotPool::default());
    let before = world.copy_statistics().chunks_copied;
    let mut query = world.query_mut::<&mut u32>().filter::<Changed<u32>>().since(mark);
    query.for_each(|number| *number += 100);
    assert_eq!(world.copy_statistics().chunks_copied - before, 1);
    assert!(view.query::<&u32>().iter().copied().eq(0..ROWS));
    let numbers: Vec<_> = world.query::<&u32>().iter().copied().collect();
    assert_eq!(numbers[3..9], [3, 104, 105, 106, 107, 8]);
}

#[test]
fn parallel_passes_visit_the_selected_rows_and_keep_the_others() {
    let config = WorldConfig::default().chunk_bytes_max(1024);
    let mut mixer = Mixer::new(3);
    for _ in 0..20 {
        let mut world = World::with_config(config.clone());
        let rows = (0..2_000_u32).map(|number| (number, u64::from(number)));
        let entities: Vec<_> = world.spawn_batch(rows).unwrap().collect();
        world.spawn_batch((0..500_u64).map(|number| (number, 7_u8, 10_000_u32))).unwrap();
        let pool = SnapshotPool::default();
        let mark = world.change_mark();
        for _ in 0..4 {
            *world.get_mut::<u64>(entities[mixer.below(2_000)]).unwrap() += 0;
        }
        let view = world.capture(ALL, &pool);
        let mut expected: Vec<_> = world.query::<&u32>().iter().copied().collect();
        for number in found::<Or<(Changed<u64>, With<u8>)>>(&mut world, mark) {
            let row = expected.iter().position(|each| *each == number).unwrap();
            expected[row] += 100_000;
        }
        let query = world.query_mut::<(&mut u32, &mut u64)>();
        let mut query = query.filter::<Or<(Changed<u64>, With<u8>)>>().since(mark);
        query.par_for_each(|(number, _)| *number += 100_000);
        assert!(world.query::<&u32>().iter().eq(expected.iter()));
        let old = view.query::<&u32>();
        assert!(old.iter().take(2_000).copied().eq(0..2_000));
        let query = world.query::<&u32>().filter::<Changed<u32>>().since(mark);
        let sum = AtomicU64::new(0);
        query.par_for_each(|number| _ = sum.fetch_add(u64::from(*number), Ordering::Relaxed));
        assert_eq!(sum.into_inner(), query.iter().map(|number| u64::from(*number)).sum());
    }
}

#[test]
fn batches_over_a_filter_on_changes_leave_the_other_rows_alone() {
    let (mut world, entities) = world_of_small_chunks();
    let mark = world.change_mark();
    *world.get_mut::<u32>(entities[6]).unwrap() += 0;
    let query = |world: &mut World| -> usize {
        let query = world.query_mut::<&u64>().filter::<Changed<u32>>().since(mark);
        query.insert((0.5_f32,)).unwrap()
    };
    assert_eq!(query(&mut world), 4);
    let with: Vec<_> = world.query::<(&u32, &f32)>().iter().map(|(number, _)| *number).collect();
    assert_eq!(with, [4, 5, 6, 7]);
    let query = world.query_mut::<&u32>().filter::<(Changed<u32>, With<f32>)>();
    assert_eq!(query.since(mark).remove::<(f32,)>().unwrap(), 4);
    assert_eq!(world.query::<&f32>().count(), 0);
    let (mut world, entities) = world_of_small_chunks();
    let mark = world.change_mark();
    *world.get_mut::<u32>(entities[6]).unwrap() += 0;
    let query = world.query_mut::<()>().filter::<Changed<u32>>().since(mark);
    assert_eq!(query.despawn().unwrap(), 4);
    assert_eq!(world.entity_count(), ROWS as usize - 4);
    assert!(!world.contains(entities[6]) && world.contains(entities[8]));
}

#[test]
fn a_filter_on_what_a_view_did_not_capture_is_an_error() {
    let (mut world, _) = world_of_small_chunks();
    let mask = ComponentMask::from_iter([world.component_id::<u64>().unwrap()]);
    let view = world.capture(mask, &SnapshotPool::default());
    let query = || view.query::<&u64>();
    let missing = |component| Some(QueryError::NotReadable { component });
    assert_eq!(query().try_filter::<Changed<u32>>().err(), missing("u32"));
    assert_eq!(query().try_filter::<Changed<u8>>().err(), missing("u8"));
    let entity = "convoy_engine::Entity";
    assert_eq!(query().try_filter::<Added<u64>>().err(), missing(entity));
    assert_eq!(query().try_filter::<Or<(Changed<u64>, With<u32>)>>().unwrap().count(), 18);
    let view = view.narrow(ComponentMask::from_iter([ComponentId::ENTITY]));
    let query = view.try_query::<Entity>();
    assert_eq!(query.err(), missing(entity), "it was not captured");
}

#[test]
fn marks_know_their_world() {
    let ((world, _), (other, _)) = (world_of_small_chunks(), world_of_small_chunks());
    let mark = other.change_mark();
    assert_eq!(world.query::<&u32>().try_since(mark).err(), Some(QueryError::ForeignMark));
    let (mut world, _) = world_of_small_chunks();
    assert_eq!(world.query_mut::<&u32>().try_since(mark).err(), Some(QueryError::ForeignMark));
    let view = world.capture(ALL, &SnapshotPool::default());
    let query = view.query::<&u32>();
    assert_eq!(query.try_since(mark).err(), Some(QueryError::ForeignMark));
}

/// The numbers of all entities.
fn numbers(world: &World) -> BTreeMap<Entity, u32> {
    world.query::<(Entity, &u32)>().iter().map(|(entity, number)| (entity, *number)).collect()
}

#[test]
fn no_change_of_a_random_program_is_missed() {
    let mut mixer = Mixer::new(5);
    let (mut world, mut entities) = world_of_small_chunks();
    let pool = SnapshotPool::default();
    let mut views = Vec::new();
    let mut marks = vec![(world.change_mark(), numbers(&world))];
    for _ in 0..3_000 {
        let entity = entities[mixer.below(entities.len())];
        match mixer.below(10) {
            0 => entities.push(world.spawn((mixer.below(1 << 30) as u32, 1_u64))),
            1 if entities.len() > 5 => {
                entities.retain(|each| *each != entity);
                world.despawn(entity).unwrap();
            }
            2 => world.insert(entity, (1_u8,)).unwrap(),
            3 => drop(world.remove::<(u8,)>(entity)),
            4 => views.push(world.capture(ALL, &pool)),
            5 if !views.is_empty() => {
                views.swap_remove(mixer.below(views.len()));
            }
            6 => marks.push((world.change_mark(), numbers(&world))),
            _ => *world.get_mut::<u32>(entity).unwrap() = mixer.below(1 << 30) as u32,
        }
        let (mark, old) = &marks[mixer.below(marks.len())];
        let query = world.query::<(Entity, &u32)>().filter::<Changed<u32>>();
        let query = query.since(*mark);
        let found: BTreeMap<_, _> =
            query.iter().map(|(entity, number)| (entity, *number)).collect();
        assert_eq!(query.count(), found.len());
        for (entity, number) in numbers(&world) {
            assert!(old.get(&entity) == Some(&number) || found.contains_key(&entity));
        }
        if marks.len() > 20 {
            marks.remove(0);
        }
    }
}
