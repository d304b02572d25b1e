//! State hashes: equal worlds have equal ones, every kind of write changes them, and the hash that a
//! world works out from written chunks is that which a view works out from all.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::time::Duration;

use convoy_engine::commands::Commands;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World, WorldConfig};
use convoy_tests::{Byte, Hundred, Mixer, SHAPES, Tag, Triple, Value, Wide, Word};

/// A world whose chunks have four rows.
fn small() -> World {
    let config = WorldConfig::default().chunk_rows_max(4);
    World::with_config(config)
}

/// Twenty entities in two tables, a family, and two resources.
fn filled() -> (World, Vec<Entity>) {
    let mut world = small();
    let mut entities: Vec<_> =
        (0..15).map(|number| world.spawn((Word::from_seed(number), Wide::from_seed(7)))).collect();
    entities.extend((15..20).map(|number| world.spawn((Triple::from_seed(number),))));
    world.set_parent(entities[16], entities[15]).unwrap();
    world.insert_resource(Word::from_seed(3)).unwrap();
    (world, entities)
}

/// The hash that is worked out from every row.
fn from_scratch(world: &mut World) -> u64 {
    world.capture(ComponentMask::ALL, &SnapshotPool::default()).state_hash()
}

/// The effect of one write on a filled world.
type Write = fn(&mut World, &[Entity]);

const WRITES: [(&str, Write); 25] = [
    ("get_mut", |world, entities| {
        *world.get_mut(entities[3]).unwrap() = Word::from_seed(50);
    }),
    ("for_each", |world, _| {
        world.query_mut::<&mut Word>().for_each(|value| *value = Word::from_seed(50));
    }),
    ("an iterator", |world, _| {
        *world.query_mut::<&mut Wide>().iter().nth(9).unwrap() = Wide::from_seed(50);
    }),
    ("spawn", |world, _| _ = world.spawn((Word::from_seed(1), Wide::from_seed(1)))),
    ("spawn of nothing", |world, _| _ = world.spawn(())),
    ("spawn_columns", |world, _| {
        _ = world.spawn_columns((&[Word::from_seed(1), Word::from_seed(2)][..],)).unwrap();
    }),
    ("despawn of the last row", |world, entities| world.despawn(entities[14]).unwrap()),
    ("despawn of a row inside", |world, entities| world.despawn(entities[2]).unwrap()),
    ("despawn of a table's only parent", |world, entities| world.despawn(entities[15]).unwrap()),
    ("despawn_tree", |world, entities| _ = world.despawn_tree(entities[15]).unwrap()),
    ("insert in place", |world, entities| {
        world.insert(entities[5], (Word::from_seed(60),)).unwrap();
    }),
    ("insert", |world, entities| world.insert(entities[5], (Byte::from_seed(1),)).unwrap()),
    ("insert of a tag", |world, entities| world.insert(entities[5], (Tag,)).unwrap()),
    ("remove", |world, entities| _ = world.remove::<(Wide,)>(entities[5]).unwrap()),
    ("insert_many", |world, entities| {
        _ = world.insert_many(&entities[..6], (Byte::from_seed(1),)).unwrap();
    }),
    ("set_parent", |world, entities| world.set_parent(entities[17], entities[15]).unwrap()),
    ("insert of a query", |world, _| {
        _ = world.query_mut::<&Triple>().insert((Byte::from_seed(1),)).unwrap();
    }),
    ("set_bytes", |world, entities| {
        let id = world.register::<Wide>().unwrap();
        world.set_bytes(entities[4], id, &[9; 8]).unwrap();
    }),
    ("commands", |world, entities| {
        let mut commands = Commands::new(world);
        commands.insert(entities[1], (Hundred::from_seed(1),));
        world.play_back(&mut commands);
    }),
    ("insert_resource", |world, _| _ = world.insert_resource(Word::from_seed(4)).unwrap()),
    ("a new resource", |world, _| _ = world.insert_resource(Tag).unwrap()),
    ("resource_mut", |world, _| *world.resource_mut().unwrap() = Word::from_seed(5)),
    ("remove_resource", |world, _| _ = world.remove_resource::<Word>().unwrap()),
    ("sync_from", |world, _| {
        // The same types in the same order, and other values.
        let (mut source, entities) = filled();
        *source.get_mut(entities[8]).unwrap() = Word::from_seed(80);
        _ = world.sync_from(&source, ComponentMask::ALL).unwrap();
    }),
    ("clear", |world, _| world.clear().unwrap()),
];

#[test]
fn equal_programs_have_equal_hashes_and_every_kind_of_write_changes_them() {
    let mut seen = vec![filled().0.state_hash()];
    for (name, write) in WRITES {
        // In one world the writes come after a hash, and in the other there was none before.
        let ((mut world, entities), (mut other, _)) = (filled(), filled());
        assert_eq!(world.state_hash(), seen[0], "before {name}");
        write(&mut world, &entities);
        write(&mut other, &entities);
        let hash = world.state_hash();
        assert_eq!(hash, other.state_hash(), "{name} twice");
        assert_eq!(hash, from_scratch(&mut world), "{name}, from scratch");
        assert_eq!(hash, world.state_hash(), "{name}, and again");
        assert!(!seen.contains(&hash), "{name} is seen");
        seen.push(hash);
    }
}

#[test]
fn what_is_no_state_does_not_count() {
    let (mut world, entities) = filled();
    let hash = world.state_hash();
    world.advance_tick();
    world.send_event(Wide::from_seed(1));
    world.insert_local(5_u32);
    world.register::<[u64; 9]>().unwrap();
    world.register_resource::<[u64; 9]>().unwrap();
    world.reserve::<(Hundred,)>(100).unwrap();
    *world.get_mut(entities[3]).unwrap() = Word::from_seed(3);
    assert_eq!(world.state_hash(), hash);
    world.compact(Duration::MAX);
    assert_eq!(world.state_hash(), hash);
    assert_eq!(from_scratch(&mut world), hash);
}

#[test]
fn the_order_of_registration_and_of_archetypes_does_not_count() {
    let mut worlds = [small(), small()];
    worlds[1].register::<Wide>().unwrap();
    worlds[1].register_resource::<u16>().unwrap();
    worlds[1].reserve::<(Wide, Triple)>(1).unwrap();
    for world in &mut worlds {
        world.spawn((Word::from_seed(1),));
        world.spawn((Wide::from_seed(2), Triple::from_seed(3)));
        world.insert_resource(4_u16).unwrap();
    }
    let [one, other] = worlds.each_mut().map(|world| world.state_hash());
    assert_eq!(one, other);
}

#[test]
fn the_order_of_rows_the_generations_and_the_free_slots_count() {
    let spawned = |world: &mut World| [1, 2, 3].map(|seed| world.spawn((Word::from_seed(seed),)));
    let (mut world, mut swapped, mut reused) = (small(), small(), small());
    let [one, two, _] = spawned(&mut world);
    for world in [&mut swapped, &mut reused] {
        spawned(world);
    }
    let hash = world.state_hash();
    assert_eq!(hash, swapped.state_hash());
    // The same entities with the same values, in other rows.
    swapped.insert(one, (Tag,)).unwrap();
    swapped.remove::<(Tag,)>(one).unwrap();
    assert_ne!(hash, swapped.state_hash());
    // The same rows, and another generation.
    reused.despawn(two).unwrap();
    let new = reused.spawn((Word::from_seed(2),));
    assert_eq!(new.index(), two.index());
    assert_ne!(hash, reused.state_hash());
    // The same entities, and another slot that is free first.
    let (mut first, mut second) = (small(), small());
    for (world, order) in [(&mut first, [0, 1]), (&mut second, [1, 0])] {
        let entities = spawned(world);
        order.into_iter().for_each(|number| world.despawn(entities[number]).unwrap());
    }
    assert_ne!(first.state_hash(), second.state_hash());
}

#[test]
fn two_components_of_equal_bytes_are_told_apart() {
    let (mut one, mut other) = (small(), small());
    one.spawn((Word::from_seed(1), 2_u32));
    other.spawn((Word::from_seed(2), 1_u32));
    assert_ne!(one.state_hash(), other.state_hash());
    let (mut one, mut other) = (small(), small());
    one.insert_resource(1_u32).unwrap();
    other.insert_resource(Word::from_seed(1)).unwrap();
    assert_ne!(one.state_hash(), other.state_hash());
}

#[test]
fn a_replica_has_the_hash_of_its_source_and_a_partial_one_that_of_such_a_view() {
    let (mut source, entities) = filled();
    let mut replica = small();
    replica.sync_from(&source, ComponentMask::ALL).unwrap();
    assert_eq!(replica.state_hash(), source.state_hash());
    *replica.get_mut(entities[3]).unwrap() = Word::from_seed(9);
    assert_ne!(replica.state_hash(), source.state_hash());
    let pool = SnapshotPool::default();
    let some = source.mask_of::<(Word, Triple)>().unwrap();
    let view = source.capture(ComponentMask::ALL, &pool);
    for mask in [some, source.mask_of::<(Entity, Wide)>().unwrap(), ComponentMask::ALL] {
        replica.sync_from(&source, mask).unwrap();
        assert_eq!(replica.state_hash(), view.clone().narrow(mask).state_hash());
        assert_eq!(source.capture(mask, &pool).state_hash(), replica.state_hash());
    }
    assert_eq!(replica.state_hash(), source.state_hash());
}

#[test]
fn a_view_keeps_its_hash_while_the_world_changes_and_after_it() {
    let (mut world, entities) = filled();
    let hash = world.state_hash();
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    entities.iter().for_each(|&entity| world.despawn(entity).unwrap());
    assert_eq!(view.state_hash(), hash);
    drop(world);
    assert_eq!(view.state_hash(), hash);
}

/// One random step, the same in every world that takes it with the same numbers.
fn step(world: &mut World, mixer: &mut Mixer) {
    let shape = &SHAPES[mixer.below(SHAPES.len() - 2)];
    let (seed, number) = (mixer.next_number(), mixer.below(100));
    let count = world.entity_count();
    if count == 0 || mixer.below(3) == 0 && count < 60 {
        (shape.spawn)(world, seed).unwrap();
        return;
    }
    let entity = world.query::<Entity>().iter().nth(number % count).unwrap();
    match mixer.below(10) {
        0..3 => world.despawn(entity).unwrap(),
        3..5 => (shape.insert)(world, entity, seed).unwrap(),
        5 => drop((shape.remove)(world, entity)),
        6 => world.query_mut::<&mut Wide>().for_each(|value| *value = Wide::from_seed(seed)),
        7 => _ = world.insert_resource(seed).unwrap(),
        8 => _ = world.remove_resource::<u64>(),
        _ => {
            if let Ok(value) = world.get_mut::<Word>(entity) {
                *value = Word::from_seed(seed);
            }
        }
    }
}

#[test]
fn hashes_of_random_programs_are_the_same_however_often_they_were_asked_for() {
    for program in 0..60 {
        let (mut often, mut seldom) = (small(), small());
        let mut mixers = [program, program].map(Mixer::new);
        let mut choice = Mixer::new(program);
        let pool = SnapshotPool::default();
        let mut views = [None, None, None];
        for number in 0..200 {
            step(&mut often, &mut mixers[0]);
            step(&mut seldom, &mut mixers[1]);
            // Snapshots come and go, so that chunks are copied, taken back, and kept.
            views[choice.below(3)] =
                (choice.below(2) == 0).then(|| often.capture(ComponentMask::ALL, &pool));
            if choice.below(3) == 0 {
                let hash = often.state_hash();
                assert_eq!(hash, from_scratch(&mut often), "program {program}, step {number}");
            }
            if number % 50 == 49 {
                assert_eq!(often.state_hash(), seldom.state_hash());
            }
        }
    }
}

/// The hash told nothing of handles that were reserved through `&World` until some later operation
/// marked them.
#[test]
fn reserved_handles_count_before_and_after_they_are_marked() {
    let make = || {
        let mut world = World::new();
        let first = world.spawn((1_u32,));
        world.spawn((2_u32,));
        world.despawn(first).unwrap();
        world
    };
    let (mut world, mut other, pool) = (make(), make(), SnapshotPool::default());
    world.reserve_entity();
    let view = world.capture(ComponentMask::ALL, &pool);
    let hash = world.state_hash();
    assert_ne!(hash, other.state_hash(), "they give out different handles next");
    assert_eq!(view.state_hash(), hash, "reserved, and not marked at the capture");
    world.despawn_many(&[]).unwrap();
    assert_eq!(world.state_hash(), hash);
    assert_eq!(world.capture(ComponentMask::ALL, &pool).state_hash(), hash);
    other.reserve_entity();
    assert_eq!(other.state_hash(), hash);
    assert_eq!(world.spawn((3_u32,)), other.spawn((3_u32,)));
    assert_eq!(world.state_hash(), other.state_hash());
}
