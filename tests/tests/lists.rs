//! Changes to lists of entities, and exchanges, against a naive model.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;

use convoy_engine::memory::ArenaConfig;
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Mixer;

type Wide = [u64; 5];

/// An entity as the model knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Row {
    number: Option<u32>,
    byte: Option<u8>,
    wide: Option<Wide>,
}

type Model = BTreeMap<Entity, Row>;

fn small_chunks(rows: usize) -> World {
    limited(rows, None)
}

fn limited(rows: usize, limit_bytes: Option<usize>) -> World {
    let config = WorldConfig::default()
        .memory(
            ArenaConfig::default()
                .limit_bytes(limit_bytes)
                .first_slab_bytes(16 * 1024)
                .slab_bytes_max(16 * 1024),
        )
        .chunk_rows_max(rows);
    World::with_config(config)
}

fn assert_equals(world: &World, model: &Model) {
    assert_eq!(world.entity_count(), model.len());
    for (&entity, row) in model {
        let number = world.get::<u32>(entity).ok().copied();
        let byte = world.get::<u8>(entity).ok().copied();
        assert_eq!(Row { number, byte, wide: world.get::<Wide>(entity).ok().copied() }, *row);
    }
    let query = world.query::<(Entity, Option<&u32>, Option<&u8>, Option<&Wide>)>();
    let found: Model = query
        .iter()
        .map(|(entity, number, byte, wide)| {
            (entity, Row { number: number.copied(), byte: byte.copied(), wide: wide.copied() })
        })
        .collect();
    assert_eq!(&found, model);
}

fn assert_view_equals(view: &View, model: &Model) {
    let query = view.query::<(Entity, Option<&u32>, Option<&u8>, Option<&Wide>)>();
    let rows = query.iter().map(|(entity, number, byte, wide)| {
        assert!(view.contains(entity));
        (entity, Row { number: number.copied(), byte: byte.copied(), wide: wide.copied() })
    });
    assert_eq!(&rows.collect::<Model>(), model);
    for (&entity, row) in model {
        assert_eq!(view.get::<u32>(entity).ok().copied(), row.number);
    }
}

/// Some entities: a stretch in the order of rows, that stretch shuffled, or any at all with
/// repetitions and stale ones among them.
fn some_list(world: &World, stale: &[Entity], mixer: &mut Mixer) -> Vec<Entity> {
    let all: Vec<Entity> = world.query::<Entity>().iter().collect();
    let start = mixer.below(all.len().max(1));
    let count = mixer.below(all.len() - start.min(all.len()) + 1);
    let mut list = all[start.min(all.len())..][..count].to_vec();
    match mixer.below(4) {
        0 => {}
        1 => list.reverse(),
        2 => {
            for index in (1..list.len()).rev() {
                list.swap(index, mixer.below(index + 1));
            }
            list.truncate(mixer.below(list.len() + 1));
        }
        _ => {
            list.retain(|_| mixer.below(3) > 0);
            for _ in 0..mixer.below(6) {
                let others = if mixer.below(2) == 0 { &all[..] } else { stale };
                if !others.is_empty() {
                    let other = others[mixer.below(others.len())];
                    list.insert(mixer.below(list.len() + 1), other);
                }
            }
        }
    }
    list
}

/// The distinct living entities of a list that pass.
fn those(list: &[Entity], model: &Model, passes: impl Fn(&Row) -> bool) -> Vec<Entity> {
    let mut found: Vec<_> =
        list.iter().copied().filter(|entity| model.get(entity).is_some_and(&passes)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn random_program(seed: u64, chunk_rows: usize, steps: usize) {
    let (mut world, mut model, mut mixer) =
        (small_chunks(chunk_rows), Model::new(), Mixer::new(seed));
    let (mut stale, mut views) = (Vec::new(), Vec::new());
    let pool = SnapshotPool::default();
    for step in 0..steps {
        let list = some_list(&world, &stale, &mut mixer);
        let value = step as u32;
        let (report, changed) = match mixer.below(9) {
            0 | 1 => {
                for _ in 0..mixer.below(40) {
                    let row = Row { number: Some(value), ..Row::default() };
                    model.insert(world.spawn((value,)), row);
                }
                let wide = Some([u64::from(value); 5]);
                model.insert(world.spawn(([u64::from(value); 5],)), Row { wide, ..Row::default() });
                continue;
            }
            2 => (world.insert_many(&list, (value as u8,)).unwrap(), {
                let changed = those(&list, &model, |_| true);
                changed.iter().for_each(|entity| {
                    model.get_mut(entity).unwrap().byte = Some(value as u8);
                });
                changed
            }),
            3 => (world.insert_many(&list, ([7_u64; 5], value)).unwrap(), {
                let changed = those(&list, &model, |_| true);
                for entity in &changed {
                    let row = model.get_mut(entity).unwrap();
                    (row.wide, row.number) = (Some([7; 5]), Some(value));
                }
                changed
            }),
            4 => (world.remove_many::<(u8,)>(&list).unwrap(), {
                let changed = those(&list, &model, |row| row.byte.is_some());
                changed.iter().for_each(|entity| model.get_mut(entity).unwrap().byte = None);
                changed
            }),
            5 => (world.remove_many::<(u32, Wide)>(&list).unwrap(), {
                let changed =
                    those(&list, &model, |row| row.number.is_some() && row.wide.is_some());
                for entity in &changed {
                    let row = model.get_mut(entity).unwrap();
                    (row.wide, row.number) = (None, None);
                }
                changed
            }),
            6 => (world.despawn_many(&list).unwrap(), {
                let changed = those(&list, &model, |_| true);
                changed.iter().for_each(|entity| _ = model.remove(entity).unwrap());
                stale.extend_from_slice(&changed);
                changed
            }),
            7 => {
                for &entity in list.iter().take(20) {
                    exchange(&mut world, &mut model, entity, value);
                }
                continue;
            }
            _ => {
                views.push((world.capture(ComponentMask::ALL, &pool), model.clone()));
                if views.len() > 3 {
                    let (view, model) = views.remove(mixer.below(3));
                    assert_view_equals(&view, &model);
                }
                world.advance_tick();
                continue;
            }
        };
        assert_eq!((report.changed, report.skipped), (changed.len(), list.len() - changed.len()));
        assert_equals(&world, &model);
    }
    for (view, model) in &views {
        assert_view_equals(view, model);
    }
}

fn exchange(world: &mut World, model: &mut Model, entity: Entity, value: u32) {
    let result = world.exchange::<(u8,), _>(entity, ([9_u64; 5], value));
    let Some(row) = model.get_mut(&entity) else {
        assert!(matches!(result, Err(ComponentError::NotAlive { .. })));
        return;
    };
    match row.byte.take() {
        Some(byte) => {
            assert_eq!(result.unwrap(), (byte,));
            (row.wide, row.number) = (Some([9; 5]), Some(value));
        }
        None => assert!(matches!(result, Err(ComponentError::Missing { component: "u8", .. }))),
    }
}

#[test]
fn random_programs_of_lists_equal_a_model() {
    random_program(1, 8, 1_500);
    random_program(2, 64, 400);
    random_program(3, usize::MAX, 400);
}

#[test]
fn same_lists_give_the_same_order() {
    let run = || {
        let mut world = small_chunks(8);
        let entities: Vec<_> = (0..100_u32).map(|number| world.spawn((number,))).collect();
        let mut mixer = Mixer::new(4);
        for _ in 0..30 {
            let list = some_list(&world, &entities, &mut mixer);
            world.insert_many(&list, (1_u8,)).unwrap();
            let list = some_list(&world, &entities, &mut mixer);
            world.remove_many::<(u8,)>(&list).unwrap();
        }
        world.query::<(Entity, &u32)>().iter().map(|(e, n)| (e, *n)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn entities_keep_the_order_of_rows_and_survivors_fill_the_holes() {
    let mut world = small_chunks(4);
    let entities: Vec<_> = (0..10_u32).map(|number| world.spawn((number,))).collect();
    let list = [entities[7], entities[2], entities[1]];
    world.insert_many(&list, (1_u8,)).unwrap();
    let rows: Vec<u32> = world.query::<&u32>().iter().copied().collect();
    assert_eq!(rows, [0, 8, 9, 3, 4, 5, 6, 1, 2, 7]);
}

#[test]
fn stale_repeated_and_lacking_entities_are_skipped_and_counted() {
    let mut world = World::new();
    let entities: Vec<_> = (0..6_u32).map(|number| world.spawn((number,))).collect();
    world.despawn(entities[5]).unwrap();
    let list = [entities[0], entities[5], entities[1], entities[0], Entity::default()];
    let report = world.insert_many(&list, (1_u8,)).unwrap();
    assert_eq!((report.changed, report.skipped), (2, 3));
    let report = world.remove_many::<(u8,)>(&entities).unwrap();
    assert_eq!((report.changed, report.skipped), (2, 4));
    let report = world.remove_many::<(u8,)>(&entities).unwrap();
    assert_eq!((report.changed, report.skipped), (0, 6));
    let report = world.insert_many(&entities, ()).unwrap();
    assert_eq!((report.changed, report.skipped), (5, 1));
    let report = world.despawn_many(&[entities[2], entities[2]]).unwrap();
    assert_eq!((report.changed, report.skipped), (1, 1));
    let report = world.despawn_many(&[]).unwrap();
    assert_eq!((report.changed, report.skipped), (0, 0));
    assert_eq!(world.entity_count(), 4);
}

#[test]
fn bad_bundle_or_no_memory_changes_nothing() {
    let filled = |limit_bytes| {
        let mut world = limited(64, limit_bytes);
        let numbers = 0..20_000_u32;
        let entities: Vec<_> = numbers.map(|number| world.spawn((number, [1_u64; 5]))).collect();
        (world, entities)
    };
    let mapped_bytes = filled(None).0.memory().mapped_bytes;
    let (mut world, entities) = filled(Some(mapped_bytes));
    let result = world.insert_many(&entities, (1_u8, 2_u8));
    assert!(matches!(result, Err(ComponentError::Bundle(SpawnError::Duplicate { .. }))));
    let result = world.remove_many::<(Entity,)>(&entities);
    assert!(matches!(result, Err(ComponentError::Bundle(SpawnError::Reserved))));
    let pool = SnapshotPool::default();
    let view = world.capture(ComponentMask::ALL, &pool);
    let order = |world: &World| -> Vec<(Entity, u32)> {
        world.query::<(Entity, &u32)>().iter().map(|(e, n)| (e, *n)).collect()
    };
    let before = order(&world);
    let scattered: Vec<_> = entities.iter().copied().step_by(3).collect();
    let result = world.insert_many(&scattered, (1_u8,));
    assert!(matches!(result, Err(ComponentError::Memory(_))));
    let result = world.remove_many::<(u32,)>(&scattered);
    assert!(matches!(result, Err(ComponentError::Memory(_))));
    assert!(matches!(world.despawn_many(&scattered), Err(ComponentError::Memory(_))));
    assert_eq!(order(&world), before);
    assert!(entities.iter().all(|&entity| world.contains(entity)));
    drop(view);
    world.despawn_many(&scattered).unwrap();
}

#[test]
fn list_with_parents_and_children_keeps_the_hierarchy_whole() {
    let mut world = small_chunks(8);
    let entities: Vec<_> = (0..60_u32).map(|number| world.spawn((number,))).collect();
    for number in 0..20 {
        world.set_parent(entities[20 + number], entities[number]).unwrap();
        world.set_parent(entities[40 + number], entities[20 + number]).unwrap();
    }
    world.insert_many(&entities, (1_u8,)).unwrap();
    let list: Vec<_> =
        (0..60).step_by(3).map(|number| entities[number]).chain([entities[0]]).collect();
    let report = world.despawn_many(&list).unwrap();
    assert_eq!((report.changed, report.skipped, world.entity_count()), (20, 1, 40));
    for (number, &entity) in entities.iter().enumerate().filter(|(number, _)| number % 3 != 0) {
        assert_eq!(*world.get::<u32>(entity).unwrap(), number as u32);
        let parent = number.checked_sub(20).map(|parent| entities[parent]);
        let parent = parent.filter(|&parent| world.contains(parent));
        assert_eq!(world.parent(entity).unwrap(), parent);
        for child in world.children(entity).unwrap() {
            assert_eq!(world.parent(child).unwrap(), Some(entity));
        }
    }
}

#[test]
fn links_of_the_hierarchy_are_refused() {
    use convoy_engine::component::ComponentDescription;
    use convoy_engine::hierarchy::ChildOf;
    let mut world = World::new();
    let (child, parent) = (world.spawn((1_u32,)), world.spawn((2_u32,)));
    let fake = "convoy_engine::hierarchy::ChildOf";
    let fake = ComponentDescription { name: fake, size: 24, align: 4 };
    let fake = world.register_described(fake).unwrap();
    world.insert_described(parent, &[(fake, &[7; 24])]).unwrap();
    world.set_parent(child, parent).unwrap();
    assert_eq!(world.parent(parent).unwrap(), None, "a description is no link");
    let link = *world.get::<ChildOf>(child).unwrap();
    let id = world.component_id::<ChildOf>().unwrap();
    assert_ne!(id, fake);
    for result in [
        world.set_bytes(child, id, &[0; 24]),
        world.insert_described(parent, &[(id, &[0; 24])]),
        world.remove_described(child, &[id]),
        world.insert_many(&[parent], (link,)).map(|_| ()),
        world.remove_many::<(ChildOf,)>(&[child]).map(|_| ()),
        world.exchange::<(ChildOf,), _>(child, ()).map(|_| ()),
    ] {
        assert!(matches!(result, Err(ComponentError::EngineOwned { .. })), "{result:?}");
    }
    assert!(matches!(
        world.spawn_described(&[(id, &[0; 24])]),
        Err(SpawnError::EngineOwned { .. })
    ));
    assert_eq!(world.get_bytes(child, id).unwrap(), bytemuck::bytes_of(&link));
    assert!(world.children(parent).unwrap().eq([child]));
}

#[test]
fn exchange_moves_once_and_replaces_what_is_in_both() {
    let mut world = World::new();
    let entity = world.spawn((1_u32, 2_u8));
    assert_eq!(world.exchange::<(u8,), _>(entity, (3_u64,)).unwrap(), (2,));
    assert!(world.get::<u8>(entity).is_err());
    assert_eq!(world.exchange::<(u64, u32), _>(entity, (5_u32, 6_u64)).unwrap(), (3, 1));
    assert_eq!((*world.get::<u32>(entity).unwrap(), *world.get::<u64>(entity).unwrap()), (5, 6));
    assert_eq!(world.exchange::<(u32,), _>(entity, (7_u32, 8_i8)).unwrap(), (5,));
    assert_eq!((*world.get::<u32>(entity).unwrap(), *world.get::<i8>(entity).unwrap()), (7, 8));
    world.exchange::<(), _>(entity, (1_u16,)).unwrap();
    assert_eq!(world.exchange::<(u16,), _>(entity, ()).unwrap(), (1,));
    let result = world.exchange::<(u16,), _>(entity, (1_u8,));
    assert!(matches!(result, Err(ComponentError::Missing { component: "u16", .. })));
    let result = world.exchange::<(u32,), _>(entity, (1_u8, 1_u8));
    assert!(matches!(result, Err(ComponentError::Bundle(SpawnError::Duplicate { .. }))));
    assert_eq!(*world.get::<u32>(entity).unwrap(), 7);
    world.despawn(entity).unwrap();
    let result = world.exchange::<(u32,), _>(entity, ());
    assert!(matches!(result, Err(ComponentError::NotAlive { .. })));
}

#[test]
fn exchange_in_place_leaves_snapshots_unchanged() {
    let mut world = World::new();
    let entity = world.spawn((1_u32, 2_u8));
    let pool = SnapshotPool::default();
    let view = world.capture(ComponentMask::ALL, &pool);
    assert_eq!(world.exchange::<(u32,), _>(entity, (3_u32,)).unwrap(), (1,));
    assert_eq!(*view.get::<u32>(entity).unwrap(), 1);
    assert_eq!(*world.get::<u32>(entity).unwrap(), 3);
}

#[test]
fn whole_table_leaves_without_copies_for_a_snapshot() {
    let mut world = World::new();
    let entities: Vec<_> = (0..10_000_u32).map(|number| world.spawn((number,))).collect();
    let pool = SnapshotPool::default();
    let mask = world_mask(&mut world);
    let _view = world.capture(mask, &pool);
    let before = world.copy_statistics().chunks_copied;
    world.insert_many(&entities, (1_u8,)).unwrap();
    assert_eq!(world.copy_statistics().chunks_copied, before, "nothing is written to the old rows");
}

/// All components, without the handles and the index.
fn world_mask(world: &mut World) -> ComponentMask {
    world.mask_of::<(u32,)>().unwrap()
}

/// Batches over a query looked for the handles or the toggles of rows before they asked whether the
/// replica has them, and panicked.
#[test]
fn batches_over_a_query_are_refused_by_a_partial_replica() {
    let mut source = World::new();
    source.register_toggle::<u32>().unwrap();
    let (parent, child) = (source.spawn((1_u32,)), source.spawn((2_u64,)));
    source.set_parent(child, parent).unwrap();
    let masks = [source.mask_of::<(u32,)>(), source.mask_of::<(u64,)>()].map(Result::unwrap);
    let [mut toggled, mut linked] = [World::new(), World::new()];
    toggled.sync_from(&source, masks[0]).unwrap();
    linked.sync_from(&source, masks[1]).unwrap();
    let refused = [
        linked.query_mut::<&u64>().despawn(),
        toggled.query_mut::<&u32>().despawn(),
        toggled.query_mut::<&u32>().insert((1_u8,)),
        toggled.query_mut::<&u32>().remove::<(u32,)>(),
    ];
    for result in refused {
        assert!(matches!(result, Err(ComponentError::PartialReplica)), "{result:?}");
    }
}
