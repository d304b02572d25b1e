//! The hierarchy: ordered children, subtrees, refused cycles, and links that always agree.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;

use convoy_engine::commands::Commands;
use convoy_engine::hierarchy::{ChildOf, Children, HierarchyError};
use convoy_engine::memory::ArenaConfig;
use convoy_engine::query::{QueryError, ReadError};
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, Without, World, WorldConfig};
use convoy_tests::Mixer;

fn children(world: &World, entity: Entity) -> Vec<Entity> {
    let children = world.children(entity).unwrap();
    let backwards = children.clone().rev().collect::<Vec<_>>();
    let children: Vec<_> = children.collect();
    assert!(children.iter().rev().eq(&backwards), "both directions agree");
    children
}

/// A world with a root and three children.
fn family() -> (World, Entity, [Entity; 3]) {
    let mut world = World::new();
    let root = world.spawn((0_u32,));
    let children = [1_u32, 2, 3].map(|number| world.spawn((number,)));
    children.iter().for_each(|&child| world.set_parent(child, root).unwrap());
    (world, root, children)
}

#[test]
fn children_keep_their_order() {
    let (mut world, root, [a, b, c]) = family();
    assert_eq!(children(&world, root), [a, b, c]);
    world.set_parent(a, root).unwrap();
    assert_eq!(children(&world, root), [b, c, a], "once more means to the end");
    world.set_parent_at(a, root, 1).unwrap();
    assert_eq!(children(&world, root), [b, a, c]);
    world.set_parent_at(a, root, 1).unwrap();
    assert_eq!(children(&world, root), [b, a, c], "positions count the others");
    world.set_parent_at(b, root, 2).unwrap();
    assert_eq!(children(&world, root), [a, c, b]);
    world.set_parent_before(b, a).unwrap();
    assert_eq!(children(&world, root), [b, a, c]);
    world.set_parent_before(b, b).unwrap();
    world.set_parent_before(b, a).unwrap();
    assert_eq!(children(&world, root), [b, a, c], "where it is already");
    let link = *world.get::<ChildOf>(a).unwrap();
    assert_eq!((link.parent(), link.previous(), link.next()), (root, Some(b), Some(c)));
    let link = *world.get::<Children>(root).unwrap();
    assert_eq!((link.first(), link.last(), link.count()), (b, c, 3));
    assert_eq!(world.children(root).unwrap().len(), 3);
}

#[test]
fn links_exist_only_where_there_is_family() {
    let (mut world, root, [a, b, c]) = family();
    let counts = |world: &World| {
        let roots = world.query::<Entity>().filter::<Without<ChildOf>>().count();
        (roots, world.query::<()>().filter::<With<Children>>().count())
    };
    assert_eq!(counts(&world), (1, 1));
    assert_eq!(world.remove_parent(a).unwrap(), Some(root));
    assert_eq!(world.remove_parent(a).unwrap(), None);
    world.remove_parent(b).unwrap();
    assert_eq!(counts(&world), (3, 1));
    world.remove_parent(c).unwrap();
    assert_eq!(counts(&world), (4, 0));
    assert!(world.children(root).unwrap().next().is_none());
    for (number, entity) in (0..).zip([root, a, b, c]) {
        assert_eq!(*world.get::<u32>(entity).unwrap(), number, "the rows moved as a whole");
        assert_eq!(world.parent(entity).unwrap(), None);
    }
}

#[test]
fn child_of_another_moves_over() {
    let (mut world, root, [a, b, c]) = family();
    for child in [a, b, c] {
        let other = world.spawn(());
        world.set_parent(child, other).unwrap();
        assert_eq!(
            (world.parent(child).unwrap(), children(&world, other)),
            (Some(other), vec![child])
        );
    }
    assert!(matches!(
        world.get::<Children>(root),
        Err(ReadError::Missing { component, .. }) if component == "convoy_engine::hierarchy::Children"
    ));
}

#[test]
fn descendants_come_depth_first() {
    let (mut world, root, [a, b, c]) = family();
    let [d, e, f] = [4_u32, 5, 6].map(|number| world.spawn((number,)));
    world.set_parent(d, a).unwrap();
    world.set_parent(e, d).unwrap();
    world.set_parent(f, b).unwrap();
    assert!(world.descendants(root).unwrap().eq([a, d, e, b, f, c]));
    assert!(world.descendants(a).unwrap().eq([d, e]), "and no siblings");
    assert_eq!(world.descendants(e).unwrap().count(), 0);
}

#[test]
fn cycles_are_refused_and_change_nothing() {
    let (mut world, root, [a, b, _]) = family();
    world.set_parent(b, a).unwrap();
    let before = *world.get::<Children>(root).unwrap();
    for (child, parent) in [(root, root), (root, a), (root, b), (a, b), (b, b)] {
        let error = world.set_parent(child, parent).unwrap_err();
        assert!(matches!(
            error,
            HierarchyError::Cycle { child: c, parent: p } if (c, p) == (child, parent)
        ));
        assert!(error.to_string().contains(&child.to_string()));
        assert!(world.set_parent_at(child, parent, 0).is_err());
    }
    assert!(matches!(world.set_parent_before(a, b), Err(HierarchyError::Cycle { .. })));
    assert_eq!(*world.get::<Children>(root).unwrap(), before);
    assert!(world.get::<ChildOf>(root).is_err());
}

#[test]
fn bad_handles_and_positions_are_typed_errors() {
    let (mut world, root, [a, ..]) = family();
    let dead = world.spawn(());
    world.despawn(dead).unwrap();
    for (child, parent) in [(dead, root), (a, dead), (Entity::default(), root)] {
        let entity = if parent == dead { dead } else { child };
        assert!(matches!(
            world.set_parent(child, parent),
            Err(HierarchyError::NotAlive { entity: named }) if named == entity
        ));
    }
    assert!(matches!(world.remove_parent(dead), Err(HierarchyError::NotAlive { .. })));
    assert!(matches!(world.despawn_tree(dead), Err(HierarchyError::NotAlive { .. })));
    assert!(matches!(world.parent(dead), Err(ReadError::NotAlive { .. })));
    assert!(matches!(world.children(dead).err(), Some(ReadError::NotAlive { .. })));
    assert!(matches!(
        world.set_parent_before(a, root),
        Err(HierarchyError::NoParent { entity }) if entity == root
    ));
    assert!(matches!(
        world.set_parent_at(a, root, 3),
        Err(HierarchyError::Position { position: 3, children: 2, .. })
    ));
    assert_eq!(world.children(root).unwrap().len(), 3);
}

#[test]
fn links_are_written_by_the_engine_only() {
    let (mut world, root, [a, ..]) = family();
    let (child_of, links) =
        (*world.get::<ChildOf>(a).unwrap(), *world.get::<Children>(root).unwrap());
    let owned = "convoy_engine::hierarchy::ChildOf";
    let refused = |error: SpawnError| {
        assert!(matches!(error, SpawnError::EngineOwned { component } if component == owned));
    };
    let kept_out = |error: ComponentError| {
        assert!(matches!(error, ComponentError::EngineOwned { component } if component == owned));
    };
    refused(world.try_spawn((1_u8, child_of)).unwrap_err());
    refused(world.spawn_batch([(child_of,)]).err().unwrap());
    refused(world.spawn_columns((&[child_of][..],)).err().unwrap());
    kept_out(world.insert(a, (child_of,)).unwrap_err());
    kept_out(world.remove::<(ChildOf,)>(a).unwrap_err());
    kept_out(world.get_mut::<ChildOf>(a).unwrap_err());
    kept_out(world.query_mut::<Entity>().insert((child_of,)).unwrap_err());
    kept_out(world.insert_many(&[a], (child_of,)).unwrap_err());
    kept_out(world.remove_many::<(ChildOf,)>(&[a]).unwrap_err());
    kept_out(world.exchange::<(ChildOf,), _>(a, (1_u8,)).unwrap_err());
    let id = world.component_id::<ChildOf>().unwrap();
    kept_out(world.set_bytes(a, id, &[0; 24]).unwrap_err());
    kept_out(world.insert_described(root, &[(id, &[0; 24])]).unwrap_err());
    kept_out(world.remove_described(a, &[id]).unwrap_err());
    refused(world.spawn_described(&[(id, &[0; 24])]).unwrap_err());
    let reserved = world.reserve_entity();
    refused(world.spawn_at(reserved, (child_of,)).unwrap_err());
    kept_out(world.query_mut::<Entity>().remove::<(ChildOf,)>().unwrap_err());
    assert!(world.insert(a, (links,)).is_err() && world.get_mut::<Children>(root).is_err());
    let error = Some(QueryError::EngineOwned { component: owned });
    assert_eq!(world.try_query_mut::<&mut ChildOf>().err(), error);
    assert_eq!(World::new().try_query_mut::<(&u8, &mut ChildOf)>().err(), error);
    let mut commands = Commands::new(&mut world);
    commands.insert(root, (child_of,));
    commands.remove::<(ChildOf,)>(a);
    assert_eq!(world.play_back(&mut commands).failed, 2);
    assert_eq!(world.query_mut::<&ChildOf>().count(), 3, "reading is free");
    assert_eq!(world.mask_of::<(ChildOf, Children)>().unwrap().len(), 2);
}

#[test]
fn despawned_tree_is_gone_and_the_rest_is_whole() {
    let (mut world, root, [a, b, c]) = family();
    let [d, e] = [4_u32, 5].map(|number| world.spawn((number,)));
    world.set_parent(d, b).unwrap();
    world.set_parent(e, d).unwrap();
    assert_eq!(world.despawn_tree(b).unwrap(), 3);
    assert_eq!((world.entity_count(), children(&world, root)), (3, vec![a, c]));
    assert!([b, d, e].iter().all(|&entity| !world.contains(entity)));
    assert_eq!(world.despawn_tree(a).unwrap(), 1);
    assert_eq!(world.despawn_tree(c).unwrap(), 1);
    assert!(world.get::<Children>(root).is_err());
    assert_eq!(world.spawn(()).index(), c.index(), "the slot given up last comes first");
    assert_eq!(world.despawn_tree(root).unwrap(), 1, "an entity alone is a tree");
}

#[test]
fn despawn_of_a_parent_frees_its_children() {
    let (mut world, root, [a, b, c]) = family();
    let d = world.spawn((4_u32,));
    world.set_parent(d, b).unwrap();
    world.despawn(b).unwrap();
    assert_eq!((children(&world, root), world.parent(d).unwrap()), (vec![a, c], None));
    world.despawn(root).unwrap();
    assert_eq!(world.query::<Entity>().filter::<Without<ChildOf>>().count(), 3);
    assert_eq!((*world.get::<u32>(a).unwrap(), *world.get::<u32>(d).unwrap()), (1, 4));
}

/// Handles that were reserved through `&World` are settled by the next operation that gives up a
/// slot; despawning family members gave up slots without it.
#[test]
fn despawn_of_family_settles_reserved_handles() {
    for despawn in [
        (|world, root| world.despawn(root).unwrap()) as fn(&mut World, Entity),
        |world, root| _ = world.despawn_tree(root).unwrap(),
        |world, _| _ = world.query_mut::<&u32>().despawn().unwrap(),
        |world, root| _ = world.despawn_many(&[root]).unwrap(),
    ] {
        let (mut world, root, _) = family();
        let free = world.spawn(());
        world.despawn(free).unwrap();
        let reserved = world.reserve_entity();
        despawn(&mut world, root);
        assert!(!world.contains(root));
        world.spawn_at(reserved, (9_u64,)).unwrap();
        assert_eq!(*world.get::<u64>(reserved).unwrap(), 9);
    }
}

#[test]
fn query_despawns_what_it_found_and_nothing_else() {
    let (mut world, root, [a, b, c]) = family();
    let d = world.spawn((4_u64,));
    world.set_parent(d, a).unwrap();
    // The children become roots on the way, and stay.
    assert_eq!(world.query_mut::<&u32>().filter::<Without<ChildOf>>().despawn().unwrap(), 1);
    assert!(!world.contains(root) && [a, b, c].iter().all(|&each| world.contains(each)));
    // All children are found, also those whose parent goes first.
    world.set_parent(b, c).unwrap();
    world.set_parent(a, b).unwrap();
    let free = world.spawn((5_u32,));
    assert_eq!(world.query_mut::<&ChildOf>().despawn().unwrap(), 3);
    assert_eq!((world.contains(free), world.contains(c), world.entity_count()), (true, true, 2));
    assert!(world.get::<Children>(c).is_err());
    world.set_parent(free, c).unwrap();
    assert_eq!(world.query_mut::<()>().despawn().unwrap(), 2);
    assert_eq!(world.entity_count(), 0);
}

#[test]
fn commands_change_the_hierarchy_at_playback() {
    let (mut world, root, [a, b, c]) = family();
    let mut commands = Commands::new(&mut world);
    let new = commands.spawn((9_u32,));
    commands.set_parent(new, a);
    commands.set_parent(b, new);
    commands.remove_parent(c);
    commands.set_parent(root, b);
    commands.set_parent(root, Entity::default());
    let playback = world.play_back(&mut commands);
    assert_eq!((playback.applied, playback.failed, playback.dead), (4, 1, 1));
    assert!(world.descendants(root).unwrap().eq([a, new, b]));
    commands.despawn(a);
    commands.despawn_tree(new);
    commands.despawn_tree(new);
    let playback = world.play_back(&mut commands);
    assert_eq!((playback.applied, playback.dead), (2, 1));
    assert!(world.contains(root) && world.contains(c) && world.entity_count() == 2);
}

#[test]
fn snapshot_keeps_the_hierarchy_of_its_capture() {
    let (mut world, root, [a, b, c]) = family();
    let pool = SnapshotPool::default();
    let view = world.capture(ComponentMask::ALL, &pool);
    world.set_parent(a, c).unwrap();
    world.despawn(b).unwrap();
    let later = world.capture(ComponentMask::ALL, &pool);
    world.despawn_tree(root).unwrap();
    drop(world);
    assert!(view.children(root).unwrap().eq([a, b, c]));
    assert!(view.children(root).unwrap().rev().eq([c, b, a]));
    assert_eq!((view.parent(a), view.parent(root)), (Ok(Some(root)), Ok(None)));
    assert!(later.descendants(root).unwrap().eq([c, a]));
    assert_eq!(later.parent(b), Err(ReadError::NotAlive { entity: b }));
}

#[test]
fn links_outside_the_mask_are_an_error() {
    let (mut world, root, [a, ..]) = family();
    let pool = SnapshotPool::default();
    let mask = world.mask_of::<(Entity, Children)>().unwrap();
    let view = world.capture(mask, &pool);
    let missing = ReadError::NotReadable { component: "convoy_engine::hierarchy::ChildOf" };
    assert_eq!(view.parent(a), Err(missing));
    assert_eq!(view.children(root).err(), Some(missing));
    assert!(view.children(a).unwrap().next().is_none());
    let mut replica = World::new();
    replica.sync_from(&world, mask).unwrap();
    let not_synced = |error| matches!(error, Some(ReadError::NotReadable { .. }));
    assert!(not_synced(replica.parent(a).err()) && not_synced(replica.children(root).err()));
    assert!(matches!(replica.set_parent(a, root), Err(HierarchyError::PartialReplica)));
    assert!(matches!(replica.despawn_tree(a), Err(HierarchyError::PartialReplica)));
}

/// Parents and ordered children, naively.
#[derive(Clone, Default)]
struct Forest {
    parents: BTreeMap<Entity, Option<Entity>>,
    children: BTreeMap<Entity, Vec<Entity>>,
    /// The component of each entity, which tells rows apart.
    numbers: BTreeMap<Entity, u64>,
    spawned: u64,
}

impl Forest {
    fn detach(&mut self, child: Entity) {
        if let Some(parent) = self.parents.insert(child, None).unwrap() {
            self.children.get_mut(&parent).unwrap().retain(|&each| each != child);
        }
    }

    fn is_ancestor(&self, entity: Entity, of: Entity) -> bool {
        let mut at = Some(of);
        while let Some(each) = at {
            if each == entity {
                return true;
            }
            at = self.parents[&each];
        }
        false
    }

    /// Tells whether it did: a cycle or a position past the end is refused.
    fn set_parent(&mut self, child: Entity, parent: Entity, position: Option<usize>) -> bool {
        let others = self.children[&parent].iter().filter(|&&each| each != child).count();
        if self.is_ancestor(child, parent) || position.is_some_and(|position| position > others) {
            return false;
        }
        self.detach(child);
        self.parents.insert(child, Some(parent));
        self.children.get_mut(&parent).unwrap().insert(position.unwrap_or(others), child);
        true
    }

    fn despawn(&mut self, entity: Entity) {
        self.detach(entity);
        for child in self.children.remove(&entity).unwrap() {
            self.parents.insert(child, None);
        }
        self.parents.remove(&entity);
    }

    fn despawn_tree(&mut self, entity: Entity) -> usize {
        let children = self.children[&entity].clone();
        let count: usize = children.into_iter().map(|child| self.despawn_tree(child)).sum();
        self.despawn(entity);
        count + 1
    }

    fn check_view(&self, view: &View) {
        assert_eq!(view.entity_count(), self.parents.len());
        for (&entity, parent) in &self.parents {
            assert_eq!(view.parent(entity), Ok(*parent));
            assert!(view.children(entity).unwrap().eq(self.children[&entity].iter().copied()));
            assert_eq!(*view.get::<Entity>(entity).unwrap(), entity);
            assert_eq!(*view.get::<u64>(entity).unwrap(), self.numbers[&entity]);
        }
    }

    fn check(&self, world: &World) {
        assert_eq!(world.entity_count(), self.parents.len());
        let mut counts = (0, 0);
        for (&entity, parent) in &self.parents {
            assert_eq!(world.parent(entity).unwrap(), *parent);
            assert_eq!(children(world, entity), self.children[&entity]);
            assert_eq!(*world.get::<u64>(entity).unwrap(), self.numbers[&entity]);
            counts.0 += usize::from(parent.is_some());
            counts.1 += usize::from(!self.children[&entity].is_empty());
        }
        let (child_of, parents) = (world.query::<&ChildOf>(), world.query::<&Children>());
        assert_eq!((child_of.count(), parents.count()), counts, "no link is left over");
    }

    fn pick(&self, mixer: &mut Mixer) -> Entity {
        *self.parents.keys().nth(mixer.below(self.parents.len())).unwrap()
    }
}

/// Spawns an entity in one of four archetypes; `false` when memory runs out.
fn spawn(world: &mut World, forest: &mut Forest, kind: usize) -> bool {
    forest.spawned += 1;
    let number = forest.spawned;
    let spawned = match kind % 4 {
        0 => world.try_spawn((number,)),
        1 => world.try_spawn((number, 1_u8)),
        2 => world.try_spawn((number, [1_u32; 5])),
        _ => world.try_spawn((number, 1_u8, [1_u32; 5])),
    };
    let Ok(entity) = spawned else { return false };
    forest.numbers.insert(entity, number);
    forest.parents.insert(entity, None);
    forest.children.insert(entity, Vec::new());
    true
}

/// One random operation on both. Out of memory, neither changes. Returns whether it ran out.
fn operate(world: &mut World, forest: &mut Forest, mixer: &mut Mixer) -> bool {
    let operation = mixer.below(100);
    if forest.parents.len() < 4 || (operation < 25 && forest.parents.len() < 60) {
        return !spawn(world, forest, mixer.below(4));
    }
    let (entity, other) = (forest.pick(mixer), forest.pick(mixer));
    let result = match operation {
        0..55 => world.set_parent(entity, other).map(|()| {
            assert!(forest.set_parent(entity, other, None));
        }),
        55..70 => {
            let position = mixer.below(5);
            world.set_parent_at(entity, other, position).map(|()| {
                assert!(forest.set_parent(entity, other, Some(position)));
            })
        }
        70..78 => world.remove_parent(entity).map(|parent| {
            assert_eq!(parent, forest.parents[&entity]);
            forest.detach(entity);
        }),
        78..86 => match world.despawn(entity) {
            Ok(()) => {
                forest.despawn(entity);
                Ok(())
            }
            Err(error) => return matches!(error, ComponentError::Memory(_)),
        },
        86..89 => world.despawn_tree(entity).map(|count| {
            assert_eq!(count, forest.despawn_tree(entity));
        }),
        89..93 => match world.insert(entity, (7_u8,)) {
            Ok(()) => Ok(()),
            Err(error) => return matches!(error, ComponentError::Memory(_)),
        },
        _ => match world.remove::<(u8,)>(entity) {
            Ok(_) | Err(ComponentError::Missing { .. }) => Ok(()),
            Err(error) => return matches!(error, ComponentError::Memory(_)),
        },
    };
    match result {
        Ok(()) => false,
        Err(HierarchyError::Cycle { child, parent }) => {
            assert!(forest.is_ancestor(child, parent), "a cycle only where there is one");
            false
        }
        Err(HierarchyError::Position { children, .. }) => {
            assert!(forest.children[&other].len() >= children);
            false
        }
        Err(HierarchyError::Memory(_)) => true,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn random_families_agree_with_a_naive_forest() {
    for (seed, chunk_rows_max) in [(1, 1), (2, 2), (3, 8), (4, usize::MAX)] {
        let config = WorldConfig::default().chunk_rows_max(chunk_rows_max);
        let (mut world, pool) = (World::with_config(config.clone()), SnapshotPool::default());
        let mut replica = World::with_config(config);
        let (mut forest, mut mixer) = (Forest::default(), Mixer::new(seed));
        let mut views: Vec<(View, Forest)> = Vec::new();
        for step in 0..6_000 {
            assert!(!operate(&mut world, &mut forest, &mut mixer));
            if step % 7 == 0 {
                forest.check(&world);
            }
            if step % 50 == 0 {
                views.push((world.capture(ComponentMask::ALL, &pool), forest.clone()));
                if views.len() > 3 {
                    let (view, forest) = views.swap_remove(mixer.below(4));
                    forest.check_view(&view);
                }
            }
            if step % 300 == 0 {
                replica.sync_from(&world, ComponentMask::ALL).unwrap();
                forest.check(&replica);
                world.compact(std::time::Duration::MAX);
                forest.check(&world);
            }
        }
        views.iter().for_each(|(view, forest)| forest.check_view(view));
        drop(views);
        world.advance_tick();
        let memory = world.memory();
        assert_eq!(memory.live_bytes + memory.free_bytes, memory.mapped_bytes);
    }
}

/// Every limit from "almost nothing" to "enough" hits another allocation of an operation of many
/// rows. Whichever it is, the operation has happened as a whole or not at all.
#[test]
fn running_out_of_memory_changes_nothing() {
    let mut refused = 0;
    for (seed, pages) in (0..).zip((4..60).flat_map(|pages| [pages; 4])) {
        let config =
            WorldConfig::default().chunk_rows_max([1, 2, 4, 16][seed as usize % 4]).memory(
                ArenaConfig::default()
                    .first_slab_bytes(4096)
                    .slab_bytes_max(4096)
                    .limit_bytes(pages * 4096),
            );
        let (mut world, pool) = (World::with_config(config), SnapshotPool::default());
        let (mut forest, mut mixer) = (Forest::default(), Mixer::new(seed));
        let mut views: Vec<(View, Forest)> = Vec::new();
        for step in 0..400 {
            if operate(&mut world, &mut forest, &mut mixer) {
                refused += 1;
                forest.check(&world);
            }
            if step % 20 == 0 {
                views.push((world.capture(ComponentMask::ALL, &pool), forest.clone()));
            }
            if views.len() > 2 + step % 3 {
                let (view, forest) = views.remove(0);
                forest.check_view(&view);
            }
        }
        forest.check(&world);
        views.iter().for_each(|(view, forest)| forest.check_view(view));
    }
    assert!(refused > 1_000, "{refused} operations ran out of memory");
}

#[test]
fn same_operations_give_the_same_families() {
    let run = || {
        let (mut world, mut forest) = (World::new(), Forest::default());
        let mut mixer = Mixer::new(5);
        for _ in 0..3_000 {
            operate(&mut world, &mut forest, &mut mixer);
        }
        let rows = world.query::<(Entity, Option<&ChildOf>, Option<&Children>)>();
        rows.iter()
            .map(|(entity, child_of, children)| (entity, child_of.copied(), children.copied()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn deep_and_wide_trees_need_no_stack() {
    let mut world = World::new();
    let entities: Vec<_> = world.spawn_batch((0..20_000_u32).map(|n| (n,))).unwrap().collect();
    for pair in entities.windows(2) {
        world.set_parent(pair[1], pair[0]).unwrap();
    }
    assert_eq!(world.descendants(entities[0]).unwrap().count(), 19_999);
    assert!(world.set_parent(entities[0], entities[19_999]).is_err());
    assert_eq!(world.despawn_tree(entities[0]).unwrap(), 20_000);
    let entities: Vec<_> = world.spawn_batch((0..20_000_u32).map(|n| (n,))).unwrap().collect();
    for &child in &entities[1..] {
        world.set_parent(child, entities[0]).unwrap();
    }
    world.despawn(entities[0]).unwrap();
    assert_eq!(world.query::<&u32>().filter::<Without<ChildOf>>().count(), 19_999);
}
