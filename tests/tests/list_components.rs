//! Lists: elements of an entity's own, by content in everything that a world does, and gone when their row is.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use convoy_engine::commands::Commands;
use convoy_engine::component::ComponentDescription;
use convoy_engine::list::{List, ListError};
use convoy_engine::query::{Changed, Has, QueryError};
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::snapshot::first_difference;
use convoy_engine::text::Text;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, With, Without, World, WorldConfig};
use convoy_tests::Mixer;

const ALL: ComponentMask = ComponentMask::ALL;

fn world_with(lists: &[&[u32]]) -> (World, Vec<Entity>) {
    let mut world = World::new();
    let entities = lists.iter().map(|elements| {
        let entity = world.spawn((List::<u32>::new(), 1_u8));
        world.list_mut::<u32>(entity).unwrap().extend(*elements);
        entity
    });
    let entities = entities.collect();
    (world, entities)
}

#[test]
fn list_does_what_a_vec_does() {
    let (mut world, entities) = world_with(&[&[]]);
    let (mut mixer, mut model) = (Mixer::new(7), Vec::new());
    for step in 0..20_000 {
        let mut list = world.list_mut::<u32>(entities[0]).unwrap();
        match mixer.below(12) {
            0..4 => {
                list.push(step);
                model.push(step);
            }
            4 => assert_eq!(list.pop(), model.pop()),
            5 => {
                let index = mixer.below(model.len() + 1);
                list.insert(index, step);
                model.insert(index, step);
            }
            6 if !model.is_empty() => {
                let index = mixer.below(model.len());
                assert_eq!(list.remove(index), model.remove(index));
            }
            7 if !model.is_empty() => {
                let index = mixer.below(model.len());
                assert_eq!(list.swap_remove(index), model.swap_remove(index));
            }
            8 => {
                let more: Vec<u32> = (0..mixer.below(9) as u32).collect();
                list.extend_from_slice(&more);
                model.extend(more);
            }
            9 => {
                list.extend(3..mixer.below(9) as u32);
                let more = list[model.len()..].to_vec();
                model.extend(more);
            }
            10 => {
                list.retain(|element| element % 7 != 0);
                model.retain(|element| element % 7 != 0);
            }
            _ if model.len() > 700 => {
                let len = mixer.below(20);
                list.truncate(len);
                model.truncate(len);
            }
            _ => {
                list.reverse();
                model.reverse();
            }
        }
        assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
        assert_eq!(*list, *model);
        assert_eq!(world.list::<u32>(entities[0]).unwrap(), model);
    }
}

#[test]
fn queries_lend_lists_to_read_and_to_grow() {
    let (mut world, entities) = world_with(&[&[1], &[], &[2, 3]]);
    world.insert(entities[2], (0.5_f32,)).unwrap();
    let bare = world.spawn((9_u8,));
    // Many at once, each of which outgrows its block more than once.
    let mut query = world.query_mut::<&mut List<u32>>();
    let mut lists: Vec<_> = query.iter().collect();
    for round in 0..100 {
        for list in &mut lists {
            list.push(round);
        }
    }
    assert!(lists.iter().map(|list| list.owner()).eq(entities.iter().copied()));
    drop(lists);
    for (entity, first) in entities.iter().zip([&[1][..], &[], &[2, 3]]) {
        let list = world.list::<u32>(*entity).unwrap();
        assert!(list.iter().eq(first.iter().chain(&(0..100).collect::<Vec<_>>())));
    }
    let mut lens = Vec::new();
    world.query::<(Entity, &List<u32>)>().iter().for_each(|(_, list)| lens.push(list.len()));
    assert_eq!(lens, [101, 100, 102]);
    let optional = world.query::<(Entity, Option<&List<u32>>)>();
    let optional = optional.iter().map(|(entity, list)| (entity, list.map(<[u32]>::len)));
    assert!(optional.filter(|(_, list)| list.is_none()).map(|(entity, _)| entity).eq([bare]));
    world.query_mut::<Option<&mut List<u32>>>().for_each(|list| {
        if let Some(mut list) = list {
            list.truncate(2);
        }
    });
    let mut total = 0;
    world.query::<&List<u32>>().for_each_run(|run| {
        assert!(!run.is_empty() && run.get(run.len()).is_none());
        total += run.iter().map(<[u32]>::len).sum::<usize>();
    });
    assert_eq!(total, 6);
    world.query_mut::<&mut List<u32>>().for_each_run(|mut run| {
        let rows = run.len();
        run.iter_mut().for_each(|mut list| list.clear());
        (0..rows).for_each(|row| run.get_mut(row).unwrap().push(row as u32));
    });
    assert_eq!(world.list::<u32>(entities[1]).unwrap(), [1]);
    let mut prepared = convoy_engine::query::PreparedQuery::<&List<u32>>::new();
    let count = |world: &World, prepared: &mut convoy_engine::query::PreparedQuery<&List<u32>>| {
        prepared.query(world).iter().map(<[u32]>::len).sum::<usize>()
    };
    assert_eq!(count(&world, &mut prepared), 3);
    world.list_mut::<u32>(entities[0]).unwrap().extend(0..50);
    world.register_list::<u64>().unwrap();
    assert_eq!(count(&world, &mut prepared), 53);
    let sum = std::sync::atomic::AtomicUsize::new(0);
    world.query::<&List<u32>>().par_for_each(|list| {
        sum.fetch_add(list.len(), std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(sum.into_inner(), 53);

    assert_eq!(world.query::<Entity>().filter::<With<List<u32>>>().count(), 3);
    assert_eq!(world.query::<Entity>().filter::<Without<List<u32>>>().single(), Some(bare));
    assert_eq!(world.query::<Has<List<u32>>>().iter().filter(|has| *has).count(), 3);
    assert_eq!(world.query::<Has<List<i8>>>().iter().filter(|has| *has).count(), 0);
    let mark = world.change_mark();
    assert_eq!(world.query::<Entity>().filter::<Changed<List<u32>>>().since(mark).count(), 0);
    world.list_mut::<u32>(entities[0]).unwrap()[0] = 5;
    let changed = world.query::<Entity>().filter::<Changed<List<u32>>>().since(mark);
    assert!(changed.iter().any(|entity| entity == entities[0]));
}

#[test]
fn lists_of_one_type_are_lent_to_one_term() {
    let (mut world, _) = world_with(&[&[1]]);
    let error = world.try_query_mut::<(&mut List<u32>, &List<u32>)>().err().unwrap();
    assert!(matches!(error, QueryError::Conflict { .. }));
    assert!(error.to_string().contains("convoy_engine::list::List<u32>"), "{error}");
    assert!(world.try_query_mut::<(&mut List<u32>, &mut u8, Has<List<u32>>)>().is_ok());
    let shared = world.share();
    let mut lists = shared.query::<&mut List<u32>>();
    assert!(shared.try_query::<&List<u32>>().is_err());
    let mut bytes = shared.query::<&mut u8>();
    lists.for_each(|mut list| bytes.for_each(|byte| list.extend([u32::from(*byte); 40])));
    drop((lists, bytes));
    assert_eq!(world.query::<&List<u32>>().single().unwrap().len(), 41);
}

#[test]
fn wrong_use_gets_typed_errors() {
    let (mut world, entities) = world_with(&[&[1]]);
    let bare = world.spawn((1_u8,));
    assert!(world.list::<u32>(bare).is_err() && world.list_mut::<u32>(bare).is_err());
    assert!(world.list::<u8>(entities[0]).is_err() && world.list_mut::<u8>(entities[0]).is_err());
    assert!(world.list_mut::<u32>(Entity::NONE).is_err());
    let error = world.list_mut::<u64>(bare).err().unwrap();
    assert!(error.to_string().contains("list::List<u64>"), "{error}");
    // Nobody writes a handle by its bytes.
    let id = world.register_list::<u32>().unwrap();
    assert!(world.set_bytes(entities[0], id, &[0; 8]).is_err());
    assert!(world.spawn_described(&[(id, &[0; 8])]).is_err());
    assert!(world.insert_described(bare, &[(id, &[0; 8])]).is_err());
    assert_eq!(world.get_bytes(entities[0], id).unwrap(), 1_u32.to_ne_bytes());
    let mut list = world.list_mut::<u32>(entities[0]).unwrap();
    assert!(matches!(list.try_reserve(usize::MAX), Err(ListError::TooLong { .. })));
    assert!(matches!(list.try_reserve(1 << 30), Err(ListError::TooLong { .. })));
    assert_eq!(*list, [1]);
}

#[test]
#[should_panic(expected = "index 2 is beyond the end of a list of 1")]
fn insert_beyond_the_end_panics() {
    let (mut world, entities) = world_with(&[&[1]]);
    world.list_mut::<u32>(entities[0]).unwrap().insert(2, 0);
}

/// Everything of a list that can be seen without it.
fn contents(world: &World) -> BTreeMap<Entity, Vec<u32>> {
    let rows = world.query::<(Entity, &List<u32>)>();
    rows.iter().map(|(entity, list)| (entity, list.to_vec())).collect()
}

#[test]
fn list_goes_with_its_row_and_comes_back_empty() {
    let (mut world, entities) = world_with(&[&[1, 2, 3], &[4], &[5, 6]]);
    world.insert(entities[0], (7_u64,)).unwrap();
    assert_eq!(world.list::<u32>(entities[0]).unwrap(), [1, 2, 3], "moved with its row");
    world.remove::<(List<u32>,)>(entities[0]).unwrap();
    assert!(world.list::<u32>(entities[0]).is_err());
    world.insert(entities[0], (List::<u32>::new(),)).unwrap();
    assert!(world.list::<u32>(entities[0]).unwrap().is_empty());
    world.insert(entities[1], (List::<u32>::new(),)).unwrap();
    assert!(world.list::<u32>(entities[1]).unwrap().is_empty(), "replaced");
    world.despawn(entities[2]).unwrap();
    let next = world.spawn((List::<u32>::new(), 1_u8));
    assert_eq!(next.index(), entities[2].index());
    assert!(world.list::<u32>(next).unwrap().is_empty());
    let mut commands = Commands::new(&mut world);
    let spawned = commands.spawn((List::<u32>::new(),));
    commands.insert(entities[1], (List::<u16>::new(),));
    commands.list_set(spawned, &[1_u32; 100]);
    commands.list_extend(spawned, &[2_u32; 3]);
    commands.list_extend::<u32>(spawned, &[]);
    commands.list_set::<u32>(entities[0], &[]);
    commands.list_extend(entities[2], &[1_u32]);
    commands.list_extend(spawned, &[1_u64]);
    let playback = world.play_back(&mut commands);
    assert_eq!((playback.applied, playback.dead, playback.failed), (6, 1, 1));
    assert_eq!(world.list::<u32>(spawned).unwrap(), [&[1; 100][..], &[2; 3]].concat());
    assert!(world.list::<u32>(entities[0]).unwrap().is_empty());
    world.list_mut::<u16>(entities[1]).unwrap().push(3);
    world.clear().unwrap();
    assert_eq!((contents(&world), world.memory_use().lists_bytes), (BTreeMap::new(), 0));
}

/// A class of blocks grows no more once as many lists come as go, on each way that they can go.
#[test]
fn blocks_out_of_use_are_used_again() {
    let mut world = World::new();
    let mut mixer = Mixer::new(3);
    let mut entities: Vec<_> =
        (0..2_000).map(|_| world.spawn((List::<u32>::new(), 1_u8))).collect();
    let mut bytes = Vec::new();
    for _ in 0..60 {
        for entity in &mut entities {
            match mixer.below(4) {
                0 => {
                    world.despawn(*entity).unwrap();
                    *entity = world.spawn((List::<u32>::new(), 1_u8));
                }
                1 => {
                    world.remove::<(List<u32>,)>(*entity).unwrap();
                    world.insert(*entity, (List::<u32>::new(),)).unwrap();
                }
                2 => world.insert(*entity, (List::<u32>::new(),)).unwrap(),
                _ => {}
            }
            let mut list = world.list_mut::<u32>(*entity).unwrap();
            list.clear();
            list.extend(0..mixer.below(40) as u32);
        }
        world.query_mut::<&mut List<u32>>().for_each(|mut list| list.push(1));
        bytes.push(world.memory_use().lists_bytes);
    }
    assert!(bytes[59] < bytes[20] * 5 / 4, "{bytes:?}");
    let elements = contents(&world).values().map(Vec::len).sum::<usize>() * 4;
    assert!(bytes[59] < elements * 4, "{} for {elements} bytes of elements", bytes[59]);

    // A compaction gives back what is out of use.
    let kept: Vec<_> = entities.drain(..50).collect();
    world.despawn_many(&entities).unwrap();
    let (before, hash) = (contents(&world), world.state_hash());
    while !world.compact(Duration::ZERO).complete {}
    assert_eq!((contents(&world), world.state_hash()), (before, hash));
    assert!(world.memory_use().lists_bytes < bytes[59] / 4);
    for entity in kept {
        world.list_mut::<u32>(entity).unwrap().extend(0..100);
    }
    world.despawn_all();
    while !world.compact(Duration::ZERO).complete {}
    assert_eq!(world.memory_use().lists_bytes, 0);
}

trait DespawnAll {
    fn despawn_all(&mut self);
}

impl DespawnAll for World {
    fn despawn_all(&mut self) {
        let all: Vec<_> = self.query::<Entity>().iter().collect();
        self.despawn_many(&all).unwrap();
    }
}

/// Two worlds with equal lists are equal, wherever the elements lie.
#[test]
fn state_hash_knows_elements_and_no_blocks() {
    let (mut one, entities) = world_with(&[&[1, 2], &[3]]);
    let (mut other, same) = world_with(&[&[0; 9], &[3, 4, 5, 6, 7, 8]]);
    assert_ne!(one.state_hash(), other.state_hash());
    let mut list = other.list_mut::<u32>(same[0]).unwrap();
    list.clear();
    list.extend([1, 2]);
    other.list_mut::<u32>(same[1]).unwrap().truncate(1);
    assert_eq!(one.state_hash(), other.state_hash());
    assert!(first_difference(&one, &other).is_none());
    other.list_mut::<u32>(same[1]).unwrap()[0] = 4;
    assert_ne!(one.state_hash(), other.state_hash());
    let difference = first_difference(&one, &other).unwrap().to_string();
    assert!(difference.contains("list::List<u32>"), "{difference}");
    assert_eq!(entities, same);
}

#[test]
fn memory_limit_stops_growth_and_loses_nothing() {
    let config = WorldConfig::default().memory_limit_bytes(256 << 10);
    let mut world = World::with_config(config);
    let pool = SnapshotPool::default();
    let entities: Vec<_> = (0..40).map(|_| world.spawn((List::<u64>::new(),))).collect();
    let mut model = vec![Vec::new(); entities.len()];
    let (mut refused, mut views) = (0, Vec::new());
    for number in 0..20_000_u64 {
        let place = (number * 7 % 40) as usize;
        if number % 1_000 == 0 && views.len() < 3 {
            views.push((world.capture(ALL, &pool), model.clone()));
        }
        let Ok(mut list) = world.list_mut::<u64>(entities[place]) else {
            refused += 1;
            continue;
        };
        match list.try_reserve(1) {
            Ok(()) => {
                list.push(number);
                model[place].push(number);
            }
            Err(error) => {
                assert!(matches!(error, ListError::Memory(_)), "{error}");
                refused += 1;
            }
        }
        if number % 5_000 == 4_999 {
            views.remove(0);
        }
    }
    assert!(refused > 0, "the limit was reached");
    for (entity, held) in entities.iter().zip(&model) {
        assert_eq!(world.list::<u64>(*entity).unwrap(), held);
    }
    for (view, then) in &views {
        for (entity, held) in entities.iter().zip(then) {
            assert_eq!(view.list::<u64>(*entity).unwrap(), held);
        }
    }
}

/// A panic in the middle of a pass leaves lists that are whole, and a world that goes on.
#[test]
fn panic_in_a_pass_leaves_whole_lists() {
    let (mut world, entities) = world_with(&[&[1], &[2], &[3]]);
    let view = world.capture(ALL, &SnapshotPool::default());
    let mut visited = 0;
    let pass = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.query_mut::<&mut List<u32>>().for_each(|mut list| {
            list.extend(0..20);
            visited += 1;
            assert!(visited < 2, "on purpose");
        });
    }));
    assert!(pass.is_err());
    let lens: Vec<_> =
        entities.iter().map(|&each| world.list::<u32>(each).unwrap().len()).collect();
    assert_eq!(lens, [21, 21, 1]);
    world.query_mut::<&mut List<u32>>().for_each(|mut list| list.push(5));
    assert!(entities.iter().all(|&each| world.list::<u32>(each).unwrap().ends_with(&[5])));
    assert_eq!(view.list::<u32>(entities[1]).unwrap(), [2]);
}

#[test]
fn schema_names_lists_and_texts_in_them_are_held() {
    let bag = TypeEntry::<Text>::new().named("bag", 2);
    let schema = Schema::builder().list(bag).build().unwrap();
    let other = Schema::builder().list(TypeEntry::<u64>::new().named("bag", 2)).build().unwrap();
    assert_ne!(schema.fingerprint(), other.fingerprint());
    let mut world = World::with_schema(&schema);
    let chest = world.spawn((List::<Text>::new(),));
    let (sword, shield) = (world.text("a sword of some length"), world.text("a shield of wood"));
    world.list_mut::<Text>(chest).unwrap().extend([sword, shield, sword]);
    world.list_mut::<Text>(chest).unwrap().remove(1);
    assert_eq!(world.held_texts().unwrap(), HashSet::from([sword]));
    let id = world.component_id_by_name("bag").unwrap();
    assert_eq!(world.component_info(id).unwrap().name(), "bag");
}

/// The mask of a module that reads lists.
#[test]
fn masks_hold_lists_as_they_hold_components() {
    let (mut world, entities) = world_with(&[&[1, 2]]);
    let lists = world.mask_of::<(Entity, List<u32>)>().unwrap();
    let bytes = world.mask_of::<(Entity, u8)>().unwrap();
    let pool = SnapshotPool::default();
    let (with, without) = (world.capture(lists, &pool), world.capture(bytes, &pool));
    world.list_mut::<u32>(entities[0]).unwrap().push(3);
    assert_eq!(with.list::<u32>(entities[0]).unwrap(), [1, 2]);
    assert!(with.get::<u8>(entities[0]).is_err() && without.list::<u32>(entities[0]).is_err());
    let mut replica = World::new();
    replica.sync_from(&world, lists).unwrap();
    assert_eq!(replica.list::<u32>(entities[0]).unwrap(), [1, 2, 3]);
    replica.list_mut::<u32>(entities[0]).unwrap().extend(0..90);
    replica.sync_from(&world, bytes).unwrap();
    assert!(
        replica.list::<u32>(entities[0]).is_err() && replica.list_mut::<u32>(entities[0]).is_err()
    );
    replica.sync_from(&world, ALL).unwrap();
    assert_eq!(replica.list::<u32>(entities[0]).unwrap(), [1, 2, 3]);
}

/// A free block of a chunk that a compaction had made smaller was lent out, and then the chunk moved.
#[test]
fn chunks_of_lists_that_are_lent_out_stay_where_they_are() {
    let mut world = World::new();
    let first = world.spawn((List::<u32>::new(),));
    let many: Vec<_> = (0..100).map(|_| world.spawn((List::<u32>::new(), 1_u8))).collect();
    many.iter().for_each(|&each| world.list_mut::<u32>(each).unwrap().extend([7; 4]));
    while !world.compact(Duration::MAX).complete {}
    many[..50].iter().for_each(|&each| world.despawn(each).unwrap());
    for _ in 0..20 {
        let each = world.spawn((List::<u32>::new(), 1_u8));
        world.list_mut::<u32>(each).unwrap().extend(0..8);
    }
    let mut query = world.query_mut::<&mut List<u32>>();
    let mut lists = query.iter();
    let mut list = lists.next().unwrap();
    list.push(1);
    let mut other = lists.next().unwrap();
    other.push(3);
    list.push(2);
    assert_eq!((list.len(), other.len()), (2, 5));
    assert_eq!(world.list::<u32>(first).unwrap(), [1, 2]);
}

/// How many lists begin elsewhere than within 1 KiB behind the last one of their capacity.
fn lists_apart(world: &World, capacity_of: impl Fn(u32) -> usize) -> usize {
    let (mut last, mut apart) = (BTreeMap::new(), 0);
    world.query::<(&u32, &List<u32>)>().for_each(|(&number, list)| {
        let start = list.as_ptr().addr();
        let before = last.insert(capacity_of(number), start);
        apart +=
            usize::from(before.is_some_and(|before| !(before..before + 1024).contains(&start)));
    });
    apart
}

#[test]
fn compaction_puts_lists_in_the_order_of_rows() {
    const ROWS: usize = 20_000;
    for budget in [Duration::ZERO, Duration::MAX] {
        let (mut world, mut mixer) = (World::new(), Mixer::new(11));
        let rows = (0..ROWS as u32).map(|number| (number, List::<u32>::new()));
        let mut entities: Vec<_> = world.spawn_batch(rows).unwrap().collect();
        // Lists get their blocks in a random order, and a third of them are of another size.
        let capacity = |number: u32| if number.is_multiple_of(3) { 16 } else { 8 };
        let elements = |number: u32| (number..).take(capacity(number) - 1);
        for place in 0..ROWS {
            entities.swap(place, place + mixer.below(ROWS - place));
            let number = *world.get::<u32>(entities[place]).unwrap();
            world.list_mut::<u32>(entities[place]).unwrap().extend(elements(number));
        }
        assert!(lists_apart(&world, capacity) > ROWS / 2);
        let view = world.capture(ALL, &SnapshotPool::default());
        let hash = world.state_hash();
        let mut calls = 0;
        while !world.compact(budget).complete {
            // The world changes meanwhile, and the change is undone.
            let entity = entities[mixer.below(ROWS)];
            let held = world.list::<u32>(entity).unwrap().to_vec();
            let other = world.spawn((0_u8, List::<u32>::new()));
            world.list_mut::<u32>(other).unwrap().extend(0..7);
            world.list_mut::<u32>(entity).unwrap().clear();
            world.despawn(other).unwrap();
            world.list_mut::<u32>(entity).unwrap().extend(held);
            calls += 1;
        }
        assert!(budget > Duration::ZERO || calls > 10, "{calls} calls");
        assert!(lists_apart(&world, capacity) < ROWS / 50);
        for &entity in &entities {
            let number = *world.get::<u32>(entity).unwrap();
            let expected: Vec<u32> = elements(number).collect();
            assert_eq!(world.list::<u32>(entity).unwrap(), expected);
            assert_eq!(view.list::<u32>(entity).unwrap(), expected);
        }
        // The index has other free handles where the world changed.
        assert!(calls > 0 || world.state_hash() == hash);
        // New lists get blocks of their own.
        let other = world.spawn((List::<u32>::new(),));
        world.list_mut::<u32>(other).unwrap().extend([9; 8]);
        world.query::<(&u32, &List<u32>)>().for_each(|(&number, list)| assert_eq!(list[0], number));
    }
}

/// A replica took the bytes of a described component of the source for the handles of its lists.
#[test]
fn described_component_by_the_name_of_a_list_is_refused() {
    let (mut replica, entities) = world_with(&[&[7]]);
    let id = replica.register_list::<u32>().unwrap();
    let name = replica.component_info(id).unwrap().name();
    let description = ComponentDescription { name, size: 8, align: 4 };
    let mut source = World::new();
    let described = source.register_described(description).unwrap();
    source.spawn_described(&[(described, &[1, 0, 0, 0, 0, 0, 0, 8])]).unwrap();
    assert!(replica.sync_from(&source, ALL).is_err());
    assert_eq!(replica.list::<u32>(entities[0]).unwrap(), [7]);
    assert!(replica.register_described(description).is_err());
    let mut described_first = source;
    assert_ne!(described_first.register_list::<u32>().unwrap(), described);
}

#[test]
fn replica_without_entities_reads_lists_and_lends_none_to_grow() {
    let (mut world, _) = world_with(&[&[1, 2]]);
    let lists = world.mask_of::<(List<u32>,)>().unwrap();
    let mut replica = World::new();
    replica.sync_from(&world, lists).unwrap();
    assert_eq!(replica.query::<&List<u32>>().single().unwrap(), [1, 2]);
    assert!(matches!(
        replica.try_query_mut::<&mut List<u32>>().err(),
        Some(QueryError::NotReadable { .. })
    ));
}

#[test]
fn bytes_of_lists_are_those_of_their_elements() {
    let (mut world, entities) = world_with(&[&[], &[1, 2]]);
    let id = world.register_list::<u32>().unwrap();
    let bytes = |world: &World, entity| {
        bytemuck::cast_slice::<u8, u32>(world.get_bytes(entity, id).unwrap()).to_vec()
    };
    assert_eq!((bytes(&world, entities[0]), bytes(&world, entities[1])), (vec![], vec![1, 2]));
    let error = world.query_described(&[id], &[]).err().unwrap();
    assert!(matches!(error, QueryError::List { .. }) && error.to_string().contains("List<u32>"));
    assert!(world.query_described(&[], &[id]).is_ok());
    let older = world.capture(ALL, &SnapshotPool::default());
    world.list_mut::<u32>(entities[0]).unwrap().push(5);
    let diff = world.changed_since(&older).unwrap();
    let change = diff.changed_bytes(id).unwrap().next().unwrap();
    assert_eq!((change.older, change.newer), (&[][..], bytemuck::bytes_of(&5_u32)));
    assert_eq!(bytemuck::cast_slice::<u8, u32>(change.older), [0; 0]);
}

/// Rows that a compaction of a replica had no use for come back with the next sync.
#[test]
fn replica_that_was_compacted_is_whole_after_the_next_sync() {
    let lists: Vec<Vec<u32>> = (0..8_000).map(|number| vec![number; 4]).collect();
    let lists: Vec<&[u32]> = lists.iter().map(|list| &**list).collect();
    let (mut source, entities) = world_with(&lists);
    let mut replica = World::new();
    let pool = SnapshotPool::default();
    replica.sync_from(&source, ALL).unwrap();
    for round in 0..4 {
        // Copies on write put chunks elsewhere, for the compaction to gather.
        let view = replica.capture(ALL, &pool);
        for entity in entities.iter().skip(round).step_by(97) {
            replica.list_mut::<u32>(*entity).unwrap()[0] = 1;
            *replica.get_mut::<u8>(*entity).unwrap() = 7;
        }
        drop(view);
        replica.despawn_many(&entities[2_000..]).unwrap();
        while !replica.compact(Duration::MAX).complete {}
        replica.sync_from(&source, ALL).unwrap();
        assert!(first_difference(&replica, &source).is_none());
        assert_eq!(replica.state_hash(), source.state_hash());
        for entity in &entities {
            replica.list_mut::<u32>(*entity).unwrap().extend([5; 9]);
        }
        assert!(entities.iter().all(|&each| replica.list::<u32>(each).unwrap().len() >= 13));
        replica.sync_from(&source, ALL).unwrap();
        source.list_mut::<u32>(entities[round]).unwrap().push(3);
    }
}
