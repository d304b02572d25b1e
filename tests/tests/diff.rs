//! The change set of two views: every kind of change by name, writes without a change, and random
//! programs whose diffs must equal a comparison of everything.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;

use convoy_engine::commands::Commands;
use convoy_engine::component::ComponentId;
use convoy_engine::hierarchy::ChildOf;
use convoy_engine::query::ReadError;
use convoy_engine::snapshot::{Diff, DiffError, diff};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::{Hundred, Mixer, Model, SHAPES, Tag, Triple, Value, Wide, Word};

/// A world whose chunks have four rows, and a pool for its snapshots.
fn small() -> (World, SnapshotPool) {
    (World::with_config(small_chunks()), SnapshotPool::default())
}

fn small_chunks() -> WorldConfig {
    WorldConfig::default().chunk_rows_max(4)
}

fn capture(world: &mut World, pool: &SnapshotPool) -> View {
    world.capture(ComponentMask::ALL, pool)
}

/// All components of all entities, and all resources, as bytes.
#[derive(Clone, PartialEq, Debug, Default)]
struct Contents {
    entities: BTreeMap<Entity, BTreeMap<ComponentId, Vec<u8>>>,
    resources: BTreeMap<ComponentId, Vec<u8>>,
}

impl Contents {
    fn of(view: &View, ids: &[ComponentId], resource: Option<ComponentId>) -> Self {
        let row = |entity| {
            let value = |&id: &ComponentId| match view.get_bytes(entity, id) {
                Ok(bytes) => Some((id, bytes.to_vec())),
                Err(ReadError::Missing { .. } | ReadError::Unknown { .. }) => None,
                Err(error) => panic!("{error}"),
            };
            (entity, ids.iter().filter_map(value).collect())
        };
        let value = resource.zip(view.resource::<u64>().ok());
        Self {
            entities: view.query::<Entity>().iter().map(row).collect(),
            resources: value
                .map(|(id, value)| (id, bytemuck::bytes_of(value).to_vec()))
                .into_iter()
                .collect(),
        }
    }

    /// Makes the older contents the newer ones by the entries of the diff, each of which must
    /// tell something new.
    fn apply(&mut self, diff: &Diff<'_>, newer: &View) {
        let value = |entity, id| newer.get_bytes(entity, id).unwrap().to_vec();
        let ids: Vec<_> = diff.components().collect();
        for entity in diff.despawned() {
            assert!(self.entities.remove(&entity).is_some(), "{entity} was alive");
        }
        for entity in diff.spawned() {
            let row =
                ids.iter().filter_map(|&id| Some((id, newer.get_bytes(entity, id).ok()?.to_vec())));
            assert!(self.entities.insert(entity, row.collect()).is_none(), "{entity} is new");
        }
        for (entity, id) in diff.removed() {
            assert!(self.entities.get_mut(&entity).unwrap().remove(&id).is_some(), "it was there");
        }
        for (entity, id) in diff.inserted() {
            let row = self.entities.get_mut(&entity).unwrap();
            assert!(row.insert(id, value(entity, id)).is_none(), "it is new");
        }
        for &id in &ids {
            for change in diff.changed_bytes(id).unwrap() {
                let held = self.entities.get_mut(&change.entity).unwrap().get_mut(&id).unwrap();
                assert_eq!(held, change.older, "the older value");
                assert_ne!(change.older, change.newer, "{} has changed", change.entity);
                *held = change.newer.to_vec();
            }
        }
        for change in diff.resources() {
            assert_ne!(change.older, change.newer);
            assert_eq!(self.resources.get(&change.id).map(|value| &value[..]), change.older);
            match change.newer {
                Some(bytes) => _ = self.resources.insert(change.id, bytes.to_vec()),
                None => _ = self.resources.remove(&change.id),
            }
        }
    }
}

/// Everything that a diff lists.
fn listed(diff: &Diff<'_>) -> String {
    let changed = diff.components().map(|id| diff.changed_bytes(id).unwrap().collect::<Vec<_>>());
    let lists = (diff.spawned().collect::<Vec<_>>(), diff.despawned().collect::<Vec<_>>());
    let shapes = (diff.inserted().collect::<Vec<_>>(), diff.removed().collect::<Vec<_>>());
    let changed: Vec<_> = changed.collect();
    let resources: Vec<_> = diff.resources().collect();
    format!("{lists:?} {shapes:?} {changed:?} {resources:?} {:?}", diff.mask())
}

/// Checks the diff of two views in both directions, entry by entry.
fn check(one: &View, other: &View, resource: Option<ComponentId>) {
    for (older, newer) in [(one, other), (other, one)] {
        let diff = diff(older, newer).unwrap();
        let ids: Vec<_> = diff.components().collect();
        let resource = resource.filter(|&id| diff.mask().contains(id));
        let mut contents = Contents::of(older, &ids, resource);
        let expected = Contents::of(newer, &ids, resource);
        assert_eq!(diff.is_empty(), contents == expected);
        contents.apply(&diff, newer);
        assert_eq!(contents, expected);
    }
}

#[test]
fn a_view_does_not_differ_from_itself_or_from_one_of_an_idle_world() {
    let (mut world, pool) = small();
    for number in 0..10_u32 {
        world.spawn((number, [1.0_f32; 3]));
    }
    let [one, other] = [(); 2].map(|()| capture(&mut world, &pool));
    assert!(diff(&one, &one.clone()).unwrap().is_empty());
    assert!(diff(&one, &other).unwrap().is_empty());
    drop(world);
    assert!(diff(&other, &one).unwrap().is_empty(), "also after the world");
}

#[test]
fn the_order_of_rows_and_free_handles_are_no_difference_and_links_are() {
    let (mut world, pool) = small();
    let [first, second] = [1_u32, 2].map(|number| world.spawn((number,)));
    let one = capture(&mut world, &pool);
    world.insert(first, (1_u8,)).unwrap();
    world.remove::<(u8,)>(first).unwrap();
    let swapped = capture(&mut world, &pool);
    let guest = world.spawn((3_u32,));
    world.despawn(guest).unwrap();
    let freed = capture(&mut world, &pool);
    for (older, newer) in [(&one, &swapped), (&swapped, &freed), (&freed, &one)] {
        assert!(diff(older, newer).unwrap().is_empty());
        assert_ne!(older.state_hash(), newer.state_hash());
    }
    world.set_parent(first, second).unwrap();
    assert!(!diff(&freed, &capture(&mut world, &pool)).unwrap().is_empty());
}

#[test]
fn spawned_and_despawned_entities_are_listed_and_a_reused_slot_is_both() {
    let (mut world, pool) = small();
    let entities: Vec<_> = (0..9_u32).map(|number| world.spawn((number,))).collect();
    let older = capture(&mut world, &pool);
    world.despawn(entities[2]).unwrap();
    let reused = world.spawn((100_u32,));
    assert_eq!(reused.index(), entities[2].index());
    world.despawn(entities[8]).unwrap();
    let newer = capture(&mut world, &pool);
    let changes = diff(&older, &newer).unwrap();
    assert!(changes.spawned().eq([reused]));
    assert!(changes.despawned().eq([entities[2], entities[8]]));
    assert_eq!(changes.changed::<u32>().unwrap().count(), 0, "rows that only moved are equal");
    assert_eq!(changes.inserted().count() + changes.removed().count(), 0);
    let back = diff(&newer, &older).unwrap();
    assert!(back.despawned().eq([reused]) && back.spawned().eq([entities[2], entities[8]]));
    check(&older, &newer, None);
}

#[test]
fn insertions_and_removals_are_listed_and_compare_what_stayed() {
    let (mut world, pool) = small();
    let entities: Vec<_> = (0..6_u32).map(|number| world.spawn((number, 0.5_f32))).collect();
    world.insert(entities[5], (Tag,)).unwrap();
    let older = capture(&mut world, &pool);
    world.insert(entities[1], (7_u8, 99_u32)).unwrap();
    world.remove::<(f32,)>(entities[3]).unwrap();
    world.remove::<(Tag,)>(entities[5]).unwrap();
    // There and back: only its place has changed.
    world.insert(entities[4], (7_u8,)).unwrap();
    world.remove::<(u8,)>(entities[4]).unwrap();
    let newer = capture(&mut world, &pool);
    let [byte, float, tag] =
        [world.register::<u8>(), world.register::<f32>(), world.register::<Tag>()]
            .map(Result::unwrap);
    let changes = diff(&older, &newer).unwrap();
    assert!(changes.inserted().eq([(entities[1], byte)]));
    assert!(changes.removed().eq([(entities[3], float), (entities[5], tag)]));
    let numbers: Vec<_> = changes.changed::<u32>().unwrap().collect();
    assert_eq!(numbers.len(), 1);
    assert_eq!((numbers[0].entity, *numbers[0].older, *numbers[0].newer), (entities[1], 1, 99));
    assert_eq!(changes.changed::<f32>().unwrap().count(), 0);
    check(&older, &newer, None);
}

#[test]
fn rows_written_with_equal_values_are_not_changed() {
    let (mut world, pool) = small();
    let entities: Vec<_> = (0..12_u64).map(|number| world.spawn((number,))).collect();
    let older = capture(&mut world, &pool);
    world.query_mut::<&mut u64>().for_each(|number| *number += 1);
    world.query_mut::<&mut u64>().for_each(|number| *number -= 1);
    *world.get_mut::<u64>(entities[7]).unwrap() = 70;
    world.insert(entities[8], (8_u64,)).unwrap();
    let newer = capture(&mut world, &pool);
    let changes = diff(&older, &newer).unwrap();
    let changed: Vec<_> = changes.changed::<u64>().unwrap().collect();
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].entity, *changed[0].older, *changed[0].newer), (entities[7], 7, 70));
    let id = world.register::<u64>().unwrap();
    let bytes: Vec<_> = changes.changed_bytes(id).unwrap().collect();
    assert_eq!(bytes[0].newer, 70_u64.to_ne_bytes());
}

#[test]
fn values_that_entities_swapped_are_changed_although_the_column_is_equal() {
    // Two entities change places and values, so that the column holds the same bytes as before.
    let (mut world, pool) = small();
    let [first, second] = [1_u32, 2].map(|number| world.spawn((number,)));
    let older = capture(&mut world, &pool);
    world.despawn(first).unwrap();
    let third = world.spawn((2_u32,));
    *world.get_mut::<u32>(second).unwrap() = 1;
    let newer = capture(&mut world, &pool);
    let changes = diff(&older, &newer).unwrap();
    assert!(changes.spawned().eq([third]) && changes.despawned().eq([first]));
    let changed: Vec<_> = changes.changed::<u32>().unwrap().collect();
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].entity, *changed[0].older, *changed[0].newer), (second, 2, 1));
}

#[test]
fn resources_are_compared_by_value() {
    let (mut world, pool) = small();
    world.insert_resource(1_u32).unwrap();
    world.insert_resource(2.0_f32).unwrap();
    world.insert_resource(Tag).unwrap();
    let older = capture(&mut world, &pool);
    *world.resource_mut::<u32>().unwrap() = 5;
    *world.resource_mut::<f32>().unwrap() = 2.0;
    world.remove_resource::<Tag>().unwrap();
    world.insert_resource(9_u8).unwrap();
    let newer = capture(&mut world, &pool);
    let changes = diff(&older, &newer).unwrap();
    let number = changes.resource::<u32>().unwrap().unwrap();
    assert_eq!((number.older, number.newer), (Some(&1), Some(&5)));
    assert!(changes.resource::<f32>().unwrap().is_none());
    assert!(changes.resource::<Tag>().unwrap().unwrap().newer.is_none());
    assert!(changes.resource::<u8>().unwrap().unwrap().older.is_none());
    assert!(changes.resource::<u64>().unwrap().is_none(), "nobody knows the type");
    assert_eq!(changes.resources().count(), 3);
}

#[test]
fn links_of_the_hierarchy_are_components_like_others() {
    let (mut world, pool) = small();
    let [ship, turret] = [1_u32, 2].map(|number| world.spawn((number,)));
    let older = capture(&mut world, &pool);
    world.set_parent(turret, ship).unwrap();
    let between = capture(&mut world, &pool);
    let other = world.spawn((3_u32,));
    world.set_parent(turret, other).unwrap();
    let newer = capture(&mut world, &pool);
    assert_eq!(diff(&older, &between).unwrap().inserted().count(), 2);
    let changes = diff(&between, &newer).unwrap();
    let links: Vec<_> = changes.changed::<ChildOf>().unwrap().collect();
    assert_eq!(links.len(), 1);
    assert_eq!((links[0].older.parent(), links[0].newer.parent()), (ship, other));
    check(&older, &newer, None);
    check(&between, &newer, None);
}

#[test]
fn components_that_were_registered_in_between_are_inserted() {
    let (mut world, pool) = small();
    let entity = world.spawn((1_u32,));
    let older = capture(&mut world, &pool);
    world.insert(entity, (2_u64,)).unwrap();
    let newer = capture(&mut world, &pool);
    let id = world.register::<u64>().unwrap();
    for (changes, new) in [(diff(&older, &newer), 1), (diff(&newer, &older), 0)] {
        let changes = changes.unwrap();
        assert_eq!(changes.inserted().filter(|entry| *entry == (entity, id)).count(), new);
        assert_eq!(changes.removed().filter(|entry| *entry == (entity, id)).count(), 1 - new);
        assert_eq!(changes.changed::<u64>().unwrap().count(), 0);
        assert_eq!(changes.changed_bytes(id).unwrap().count(), 0);
    }
}

#[test]
fn a_diff_speaks_of_what_both_views_may_read() {
    let (mut world, pool) = small();
    let entity = world.spawn((1_u32, 2_u64));
    let some = world.mask_of::<(Entity, u32)>().unwrap();
    let older = world.capture(some, &pool);
    *world.get_mut::<u32>(entity).unwrap() = 5;
    *world.get_mut::<u64>(entity).unwrap() = 5;
    world.remove::<(u64,)>(entity).unwrap();
    let newer = capture(&mut world, &pool);
    let changes = diff(&older, &newer).unwrap();
    assert_eq!(changes.mask(), some);
    assert_eq!(changes.changed::<u32>().unwrap().count(), 1);
    let not_captured = ReadError::NotReadable { component: "u64" };
    assert_eq!(changes.changed::<u64>().err(), Some(not_captured));
    let id = world.register::<u64>().unwrap();
    assert_eq!(changes.changed_bytes(id).err(), Some(not_captured));
    assert_eq!(changes.removed().count(), 0, "nobody can tell of a u64");
    assert!(changes.components().eq([world.register::<u32>().unwrap()]));
    let unknown = ComponentMask::ALL.iter().last().unwrap();
    assert_eq!(changes.changed_bytes(unknown).err(), Some(ReadError::Unknown { id: unknown }));
}

#[test]
fn views_without_handles_and_of_two_worlds_are_refused() {
    let (mut world, pool) = small();
    world.spawn((1_u32,));
    let rows = world.mask_of::<(u32,)>().unwrap();
    let (all, blind) = (capture(&mut world, &pool), world.capture(rows, &pool));
    let refused = |older: &View, newer: &View| diff(older, newer).err();
    assert_eq!(refused(&blind, &all), Some(DiffError::NoEntities { newer: false }));
    assert_eq!(refused(&all, &blind), Some(DiffError::NoEntities { newer: true }));
    let narrowed = all.clone().narrow(rows);
    assert_eq!(refused(&all, &narrowed), Some(DiffError::NoEntities { newer: true }));
    let mut stranger = World::new();
    let other = capture(&mut stranger, &pool);
    assert_eq!(refused(&all, &other), Some(DiffError::DifferentWorlds));
    assert_eq!(stranger.changed_since(&all).err(), Some(DiffError::DifferentWorlds));
    let since_blind = world.changed_since(&blind).err();
    assert_eq!(since_blind, Some(DiffError::NoEntities { newer: false }));
    let mut part = World::new();
    part.sync_from(&world, rows).unwrap();
    let view = capture(&mut part, &pool);
    assert_eq!(part.changed_since(&view).err(), Some(DiffError::NoEntities { newer: false }));
}

/// A random program in one world.
struct Program {
    world: World,
    commands: Commands,
}

impl Program {
    fn new(template: &World) -> Self {
        let mut world = World::with_config(small_chunks());
        world.sync_from(template, ComponentMask::ALL).unwrap();
        let commands = Commands::new(&mut world);
        Self { world, commands }
    }

    fn pick(&self, mixer: &mut Mixer) -> Option<Entity> {
        let alive: Vec<_> = self.world.query::<Entity>().iter().collect();
        (!alive.is_empty()).then(|| alive[mixer.below(alive.len())])
    }

    fn step(&mut self, mixer: &mut Mixer) {
        let shape = &SHAPES[mixer.below(SHAPES.len() - 2)];
        // Few values, so that many writes change nothing.
        let seed = mixer.below(3) as u64;
        let Some(entity) = self.pick(mixer) else {
            (shape.spawn)(&mut self.world, seed).unwrap();
            return;
        };
        match mixer.below(13) {
            0..3 if self.world.entity_count() < 60 => {
                (shape.spawn)(&mut self.world, seed).unwrap();
            }
            0..4 => self.world.despawn(entity).unwrap(),
            4..6 => (shape.insert)(&mut self.world, entity, seed).unwrap(),
            6 => drop((shape.remove)(&mut self.world, entity)),
            7 => {
                if let Ok(value) = self.world.get_mut::<Word>(entity) {
                    *value = Word::from_seed(seed);
                }
            }
            8 => {
                let mut number = seed;
                self.world.query_mut::<&mut Wide>().for_each(|value| {
                    number += 1;
                    *value = Wide::from_seed(number / 5);
                });
            }
            9 => {
                for value in self.world.query_mut::<&mut Hundred>().iter().skip(3).take(4) {
                    *value = Hundred::from_seed(seed);
                }
            }
            10 => {
                let created = (shape.record_spawn)(&mut self.commands, seed);
                (shape.record_insert)(&mut self.commands, entity, seed);
                (shape.record_remove)(&mut self.commands, entity);
                (SHAPES[5].record_insert)(&mut self.commands, created, seed);
                self.world.play_back(&mut self.commands);
            }
            11 => _ = self.world.insert_resource(seed).unwrap(),
            _ => {
                _ = self.world.remove_resource::<u64>();
                if mixer.below(20) == 0 {
                    self.world.clear().unwrap();
                }
            }
        }
    }
}

/// A world that has every archetype that a program makes, so that any two of them can be synced.
fn template() -> World {
    let mut world = World::with_config(small_chunks());
    Model::register(&mut world);
    world.register_resource::<u64>().unwrap();
    let entity = world.spawn(());
    let singles = &SHAPES[1..7];
    for bits in 0..1_usize << singles.len() {
        let held = singles.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
        held.clone().for_each(|(_, shape)| (shape.insert)(&mut world, entity, 0).unwrap());
        held.for_each(|(_, shape)| drop((shape.remove)(&mut world, entity).unwrap()));
    }
    world.clear().unwrap();
    world
}

#[test]
fn diffs_of_random_programs_lead_from_each_view_to_every_other_and_list_no_more() {
    let template = template();
    let pool = SnapshotPool::for_world(&template);
    for program in 0..60 {
        let mut mixer = Mixer::new(program);
        let [mut one, mut source] = [(); 2].map(|()| Program::new(&template));
        let resource = one.world.register_resource::<u64>().unwrap();
        let mut views: Vec<View> = Vec::new();
        for _ in 0..12 {
            for _ in 0..mixer.below(30) {
                one.step(&mut mixer);
                source.step(&mut mixer);
            }
            if mixer.below(6) == 0 {
                one.world.sync_from(&source.world, ComponentMask::ALL).unwrap();
                one.commands = Commands::new(&mut one.world);
            }
            let ids: Vec<_> = Model::register(&mut one.world).into_iter().collect();
            let mask = match mixer.below(3) {
                0 => ids
                    .into_iter()
                    .filter(|id| *id == ComponentId::ENTITY || mixer.below(2) == 0)
                    .collect(),
                _ => ComponentMask::ALL,
            };
            // Handles that are reserved and not settled are no entities, live or captured.
            _ = one.world.reserve_entity();
            let live = views.iter().map(|older| listed(&one.world.changed_since(older).unwrap()));
            let live: Vec<String> = live.collect();
            let whole = one.world.capture(ComponentMask::ALL, &pool);
            for (older, live) in views.iter().zip(&live) {
                assert_eq!(listed(&diff(older, &whole).unwrap()), *live);
            }
            drop(whole);
            let view = one.world.capture(mask, &pool);
            views.iter().for_each(|other| check(other, &view, Some(resource)));
            if views.len() == 4 {
                views.swap_remove(mixer.below(4));
            }
            views.push(view);
        }
    }
}

#[test]
fn typed_changes_equal_their_bytes() {
    let (mut world, pool) = small();
    let mut mixer = Mixer::new(5);
    let entities: Vec<_> = (0..50)
        .map(|number| world.spawn((Triple::from_seed(number), Wide::from_seed(0))))
        .collect();
    let older = capture(&mut world, &pool);
    for &entity in &entities {
        if mixer.below(3) == 0 {
            *world.get_mut::<Triple>(entity).unwrap() = Triple::from_seed(mixer.next_number());
        }
        if mixer.below(3) == 0 {
            world.insert(entity, (Tag,)).unwrap();
        }
    }
    let newer = capture(&mut world, &pool);
    let changes = diff(&older, &newer).unwrap();
    let typed: Vec<_> = changes.changed::<Triple>().unwrap().collect();
    let bytes: Vec<_> =
        changes.changed_bytes(world.register::<Triple>().unwrap()).unwrap().collect();
    assert!(typed.len() > 10 && typed.len() == bytes.len());
    for (typed, bytes) in typed.iter().zip(&bytes) {
        assert_eq!(typed.entity, bytes.entity);
        assert_eq!(older.get::<Triple>(typed.entity).unwrap().seed(), typed.older.seed());
        assert_eq!(newer.get::<Triple>(typed.entity).unwrap().seed(), typed.newer.seed());
        assert_eq!(bytemuck::bytes_of(typed.newer), bytes.newer);
    }
}

#[test]
fn switches_are_told_with_their_new_state_also_of_entities_that_moved() {
    let (mut world, pool) = small();
    world.register_toggle::<u32>().unwrap();
    let entities: Vec<Entity> = (0..20_u32).map(|number| world.spawn((number,))).collect();
    world.disable::<u32>(entities[3]).unwrap();
    let older = world.capture(ComponentMask::ALL, &pool);
    let same = world.capture(ComponentMask::ALL, &pool);
    assert!(diff(&older, &same).unwrap().is_empty());

    world.enable::<u32>(entities[3]).unwrap();
    world.disable::<u32>(entities[9]).unwrap();
    world.disable::<u32>(entities[10]).unwrap();
    world.enable::<u32>(entities[10]).unwrap();
    world.disable::<u32>(entities[17]).unwrap();
    world.insert(entities[17], (0.5_f32,)).unwrap();
    let newer = world.capture(ComponentMask::ALL, &pool);
    let diff = diff(&older, &newer).unwrap();
    let mut switched: Vec<_> = diff.switched::<u32>().unwrap().collect();
    switched.sort();
    assert_eq!(switched, [(entities[3], true), (entities[9], false), (entities[17], false)]);
    assert_eq!(diff.changed::<u32>().unwrap().count(), 0, "no value has changed");
    assert!(!diff.is_empty());
    assert!(diff.switched::<f32>().is_err(), "not a toggle");
}
