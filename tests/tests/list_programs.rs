//! Random programs of lists: snapshots, restores, branches, replicas, hashes and diffs agree with a naive model.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;
use std::time::Duration;

use convoy_engine::list::List;
use convoy_engine::snapshot::{diff, first_difference};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Mixer;

const ALL: ComponentMask = ComponentMask::ALL;

/// Everything of a list that can be seen without it.
fn contents(world: &World) -> BTreeMap<Entity, Vec<u32>> {
    let rows = world.query::<(Entity, &List<u32>)>();
    rows.iter().map(|(entity, list)| (entity, list.to_vec())).collect()
}

/// The lists of a world and of every other one that should have the same.
#[derive(Clone, Default)]
struct Model {
    lists: BTreeMap<Entity, Option<Vec<u32>>>,
}

impl Model {
    fn lists(&self) -> BTreeMap<Entity, Vec<u32>> {
        let lists = self.lists.iter();
        lists.filter_map(|(entity, list)| Some((*entity, list.clone()?))).collect()
    }

    fn any(&self, mixer: &mut Mixer) -> Option<Entity> {
        let number = mixer.below(self.lists.len().max(1));
        self.lists.keys().nth(number).copied()
    }
}

fn step(world: &mut World, model: &mut Model, mixer: &mut Mixer) {
    let entity = model.any(mixer);
    match (mixer.below(16), entity) {
        (0..3, _) | (_, None) => {
            let entity = world.spawn((List::<u32>::new(), mixer.below(9) as u8));
            model.lists.insert(entity, Some(Vec::new()));
        }
        (3, _) => {
            let entity = world.spawn((mixer.below(9) as u8,));
            model.lists.insert(entity, None);
        }
        (4, Some(entity)) => {
            world.despawn(entity).unwrap();
            model.lists.remove(&entity);
        }
        (5, Some(entity)) => {
            world.insert(entity, (List::<u32>::new(),)).unwrap();
            model.lists.insert(entity, Some(Vec::new()));
        }
        (6, Some(entity)) => {
            let removed = world.remove::<(List<u32>,)>(entity);
            assert_eq!(removed.is_ok(), model.lists[&entity].is_some());
            model.lists.insert(entity, None);
        }
        (7, Some(entity)) => {
            if mixer.below(2) == 0 {
                world.insert(entity, (0.5_f32,)).unwrap();
            } else {
                _ = world.remove::<(f32,)>(entity);
            }
        }
        (8, Some(_)) => {
            let value = mixer.below(100) as u32;
            world.query_mut::<&mut List<u32>>().for_each(|mut list| list.push(value));
            model.lists.values_mut().flatten().for_each(|list| list.push(value));
        }
        (9, Some(_)) if mixer.below(10) == 0 => {
            world.compact(Duration::from_micros(mixer.below(50) as u64));
        }
        (_, Some(entity)) => {
            let Some(held) = model.lists.get_mut(&entity).unwrap() else { return };
            let mut list = world.list_mut::<u32>(entity).unwrap();
            let value = mixer.below(1000) as u32;
            match mixer.below(4) {
                0 => {
                    list.clear();
                    held.clear();
                }
                1 if !held.is_empty() => {
                    let index = mixer.below(held.len());
                    list[index] = value;
                    held[index] = value;
                }
                2 => assert_eq!(list.pop(), held.pop()),
                _ => {
                    let count = 1 << mixer.below(8);
                    list.extend((0..count).map(|each| each + value));
                    held.extend((0..count).map(|each| each + value));
                }
            }
        }
    }
}

fn view_contents(view: &View) -> BTreeMap<Entity, Vec<u32>> {
    let rows = view.query::<(Entity, &List<u32>)>();
    rows.iter().map(|(entity, list)| (entity, list.to_vec())).collect()
}

/// Snapshots, restores, branches, replicas, hashes and diffs have lists by their content.
#[test]
fn random_programs_agree_with_a_naive_model() {
    for seed in 0..30 {
        let mut mixer = Mixer::new(seed);
        // With few blocks in a chunk, compactions put lists in order.
        let config = WorldConfig::default().chunk_rows_max([usize::MAX, 16, 64][seed as usize % 3]);
        let config = if seed % 2 == 0 { config.chunk_bytes_max(256) } else { config };
        let mut world = World::with_config(config.clone());
        world.register_list::<u32>().unwrap();
        let (mut replica, pool) = (World::with_config(config), SnapshotPool::default());
        let (mut model, mut views) = (Model::default(), Vec::<(View, Model)>::new());
        for round in 0..400 {
            for _ in 0..mixer.below(12) {
                step(&mut world, &mut model, &mut mixer);
            }
            match mixer.below(8) {
                0 | 1 => views.push((world.capture(ALL, &pool), model.clone())),
                2 if !views.is_empty() => {
                    let (view, then) = &views[mixer.below(views.len())];
                    if world.restore(view).is_ok() {
                        model = then.clone();
                    }
                }
                3 if !views.is_empty() => {
                    let (view, then) = &views[mixer.below(views.len())];
                    if mixer.below(3) == 0 {
                        (world, model) = (World::branch(view).unwrap(), then.clone());
                    }
                }
                4 => {
                    replica.sync_from(&world, ALL).unwrap();
                    assert_eq!(contents(&replica), model.lists());
                    assert_eq!(replica.state_hash(), world.state_hash());
                    assert!(first_difference(&replica, &world).is_none());
                    let mut twin = model.clone();
                    for _ in 0..mixer.below(9) {
                        step(&mut replica, &mut twin, &mut mixer);
                    }
                    assert_eq!(contents(&replica), twin.lists());
                }
                5 => _ = world.trim(Duration::MAX),
                6 => {
                    world.advance_tick();
                    let view = world.capture(ALL, &pool);
                    assert_eq!(view.state_hash(), world.state_hash(), "seed {seed}, round {round}");
                }
                _ => {
                    let drops = mixer.below(views.len() + 1);
                    views.drain(..drops);
                }
            }
            assert!(contents(&world) == model.lists(), "seed {seed}, round {round}");
            for (view, then) in &views {
                assert!(view_contents(view) == then.lists(), "seed {seed}, round {round}");
            }
            if let [(older, before), .., (newer, after)] = &views[..]
                && let Ok(diff) = diff(older, newer)
            {
                let changed = diff.changed_lists::<u32>().unwrap();
                let changed: BTreeMap<_, _> = changed
                    .map(|change| (change.entity, (change.older.to_vec(), change.newer.to_vec())))
                    .collect();
                let (before, after) = (before.lists(), after.lists());
                let expected = before.iter().filter_map(|(entity, before)| {
                    let after = after.get(entity).filter(|after| *after != before)?;
                    Some((*entity, (before.clone(), after.clone())))
                });
                assert_eq!(changed, expected.collect(), "seed {seed}, round {round}");
            }
        }
        let view = world.capture(ALL, &pool);
        assert_eq!(view.state_hash(), world.state_hash());
    }
}
