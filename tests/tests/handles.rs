//! Handles that are reserved through a shared world and get their entities later.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeSet;
use std::thread;

use convoy_engine::commands::Commands;
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World, WorldConfig};
use convoy_tests::{Mixer, run_alone};

fn not_reserved(result: Result<(), SpawnError>, handle: Entity) -> bool {
    matches!(result, Err(SpawnError::NotReserved { entity }) if entity == handle)
}

#[test]
fn reserved_handle_is_not_alive_until_it_is_spawned() {
    let mut world = World::new();
    let first = world.spawn((1_u32,));
    let handle = world.reserve_entity();
    assert!(!world.contains(handle) && handle != first);
    let others: Vec<_> = (0..200_u32).map(|number| world.spawn((number,))).collect();
    assert!(!others.contains(&handle), "nobody else gets it");
    assert_eq!(world.entity_count(), 201);
    assert!(matches!(world.insert(handle, (1_u8,)), Err(ComponentError::NotAlive { .. })));
    assert!(matches!(world.despawn(handle), Err(ComponentError::NotAlive { .. })));
    world.spawn_at(handle, (2_u32, 3_u8)).unwrap();
    assert_eq!((*world.get::<u32>(handle).unwrap(), world.entity_count()), (2, 202));
    world.despawn(handle).unwrap();
    assert_eq!(world.spawn(()).index(), handle.index());
}

fn taken(result: Result<(), SpawnError>, handle: Entity) -> bool {
    matches!(result, Err(SpawnError::Taken { entity }) if entity == handle)
}

#[test]
fn what_is_kept_for_one_handle_no_other_gets() {
    let mut world = World::new();
    let alive = world.spawn((1_u32,));
    let stale = world.spawn((1_u32,));
    world.despawn(stale).unwrap();
    let handle = world.reserve_entity();
    assert_eq!(handle.index(), stale.index(), "free slots come first");
    let next = Entity::from_bits(alive.to_bits() + 5);
    let beyond = Entity::from_bits(alive.to_bits() + 1_000_000);
    let future = Entity::from_bits(handle.to_bits() + (1 << 32));
    let later = Entity::from_bits(alive.to_bits() + (1 << 32));
    let last = Entity::from_bits(u64::from(u32::MAX) | 1 << 32);
    for wrong in [alive, later, stale, future, Entity::NONE, Entity::from_bits(7), last] {
        assert!(taken(world.spawn_at(wrong, (2_u32,)), wrong), "{wrong}");
        assert!(not_reserved(world.unreserve_entity(wrong), wrong), "{wrong}");
    }
    for nobodys in [next, beyond] {
        assert!(not_reserved(world.unreserve_entity(nobodys), nobodys), "{nobodys}");
    }
    assert_eq!((world.entity_count(), *world.get::<u32>(alive).unwrap()), (1, 1));
    world.spawn_at(handle, (2_u32,)).unwrap();
    assert!(taken(world.spawn_at(handle, (3_u32,)), handle), "once only");
    assert_eq!(*world.get::<u32>(handle).unwrap(), 2);
}

#[test]
fn chosen_handles_leave_the_others_in_their_order() {
    let handle = |index: u64, generation: u64| Entity::from_bits(generation << 32 | index);
    let mut world = World::new();
    let entities: Vec<_> = (0..6_u32).map(|number| world.spawn((number,))).collect();
    for &entity in &entities[1..5] {
        world.despawn(entity).unwrap();
    }
    // The list is 4, 3, 2, 1; one is taken from its middle, one from its end, one from its front.
    for (index, generation) in [(3, 1), (1, 9), (4, 2)] {
        world.spawn_at(handle(index, generation), (index as u32,)).unwrap();
    }
    assert!(!world.contains(handle(3, 2)) && world.contains(entities[3]), "its own generation");
    let (next, fresh) = (world.spawn(()), world.spawn(()));
    assert_eq!((next, fresh), (handle(2, 2), handle(6, 1)));
    // Far beyond, then those in between, the lowest first.
    world.spawn_at(handle(20, 5), (20_u32,)).unwrap();
    world.spawn_at(handle(10, 3), (10_u32,)).unwrap();
    let rest: Vec<_> = (0..14).map(|_| world.spawn(()).index()).collect();
    assert_eq!(rest, [7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22]);
    world.despawn(handle(20, 5)).unwrap();
    assert_eq!(world.spawn(()), handle(20, 6));

    let mut world = World::new();
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    for round in 0..2 {
        let chosen: Vec<_> =
            (0..3_000).rev().map(|index| handle(index * 10, 1 + index % 3)).collect();
        for &chosen in &chosen {
            world.spawn_at(chosen, (chosen.index(),)).unwrap();
        }
        assert!(chosen.iter().all(|&it| *world.get::<u32>(it).unwrap() == it.index()));
        let hash = world.state_hash();
        let later = world.capture(ComponentMask::ALL, &SnapshotPool::default());
        let indices: Vec<_> = (0..100).map(|_| world.spawn(()).index()).collect();
        assert!(indices.iter().all(|index| index % 10 != 0) && indices.is_sorted(), "{round}");
        world.restore(&later).unwrap();
        assert_eq!(world.state_hash(), hash);
        assert_eq!((0..100).map(|_| world.spawn(()).index()).collect::<Vec<_>>(), indices);
        world.restore(&view).unwrap();
    }
    // Handles of a command buffer are its own, before and after it gives them out.
    let mut commands = Commands::new(&mut world);
    let own = commands.spawn(());
    assert!(taken(world.spawn_at(own, ()), own));
    assert_eq!(world.play_back(&mut commands).applied, 1);
}

/// A handle that was given back at a tick took the next one's with it, when its slot had come to its
/// generation again meanwhile.
#[test]
fn chosen_generations_don_t_meet_what_was_given_back_before() {
    let handle = |generation: u64| Entity::from_bits(generation << 32);
    let mut world = World::new();
    let first = world.spawn(());
    world.despawn(first).unwrap();
    drop(world.reserve_entities(1).unwrap());
    for generation in [2, 1] {
        world.spawn_at(handle(generation), ()).unwrap();
        world.despawn(handle(generation)).unwrap();
    }
    let reserved = world.reserve_entity();
    world.advance_tick();
    world.spawn_at(reserved, (1_u32,)).unwrap();
    // The ends of levels belong to no lane, however many indices were given out.
    for index in [64_600_u64, 65_535] {
        let nobodys = Entity::from_bits(1 << 32 | index);
        for count in [0, 70_000] {
            world.spawn_batch((0..count).map(|_: u32| ())).unwrap();
            assert!(not_reserved(world.unreserve_entity(nobodys), nobodys));
            assert!(taken(world.spawn_at(nobodys, ()), nobodys));
        }
    }
}

#[test]
fn failed_spawn_leaves_the_handle_reserved() {
    let config = WorldConfig::default().memory_limit_bytes(0);
    let mut world = World::with_config(config);
    let handle = world.reserve_entity();
    assert!(matches!(world.spawn_at(handle, (1_u32,)), Err(SpawnError::Memory(_))));
    assert!(matches!(world.spawn_at(handle, (1_u8, 2_u8)), Err(SpawnError::Duplicate { .. })));
    assert!(!world.contains(handle));
    let mut world = World::new();
    let handle = world.reserve_entity();
    assert!(world.spawn_at(handle, (1_u8, 2_u8)).is_err());
    world.spawn_at(handle, (1_u8,)).unwrap();
}

#[test]
fn handles_given_back_are_used_again() {
    let mut world = World::new();
    let handle = world.reserve_entity();
    world.unreserve_entity(handle).unwrap();
    let spawned = world.spawn(());
    assert_eq!((spawned.index(), spawned.generation()), (handle.index(), 2));
    // Handles left in a reservation come back with the tick.
    let mut taken = world.reserve_entities(10).unwrap();
    let kept = taken.next().unwrap();
    assert_eq!(taken.len(), 9);
    drop(taken);
    world.advance_tick();
    let spawned: BTreeSet<u32> = (0..9).map(|_| world.spawn(()).index()).collect();
    assert!(spawned.iter().all(|&index| index < 100 && index != kept.index()));
    assert_eq!(world.spawn(()).generation(), 1, "nine came back");
    world.spawn_at(kept, ()).unwrap();
}

#[test]
fn many_threads_reserve_different_handles() {
    let mut world = World::new();
    let entities: Vec<_> = (0..3_000_u32).map(|number| world.spawn((number,))).collect();
    let (dead, left) = entities.split_at(1_500);
    dead.iter().for_each(|&entity| world.despawn(entity).unwrap());
    for round in 0..20 {
        let handles: Vec<Vec<Entity>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|number| {
                    let world = &world;
                    scope.spawn(move || {
                        let mut handles = Vec::new();
                        for _ in 0..200 {
                            handles.push(world.reserve_entity());
                            handles.extend(world.reserve_entities(number).unwrap());
                        }
                        handles
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let handles: Vec<_> = handles.into_iter().flatten().collect();
        let distinct: BTreeSet<u32> = handles.iter().map(|handle| handle.index()).collect();
        assert_eq!((handles.len(), distinct.len()), (2_000, 2_000));
        assert!(left.iter().all(|&entity| world.contains(entity)));
        let before = world.entity_count();
        for (number, &handle) in handles.iter().enumerate() {
            world.spawn_at(handle, (number as u32, 1_u8)).unwrap();
        }
        assert_eq!(world.entity_count(), before + 2_000);
        for (number, &handle) in handles.iter().enumerate() {
            assert_eq!(*world.get::<u32>(handle).unwrap(), number as u32);
        }
        for &handle in handles.iter().filter(|handle| handle.index() % 3 == round % 3) {
            world.despawn(handle).unwrap();
        }
        world.query_mut::<()>().filter::<convoy_engine::With<u8>>().despawn().unwrap();
    }
}

#[test]
fn commands_spawn_at_reserved_handles() {
    let mut world = World::new();
    let handle = world.reserve_entity();
    let mut commands = Commands::new(&mut world);
    commands.spawn_at(handle, (1_u32,));
    commands.insert(handle, (2_u8,));
    commands.spawn_at(handle, (3_u32,));
    let playback = world.play_back(&mut commands);
    assert_eq!((playback.applied, playback.dead), (2, 1));
    assert_eq!(*world.get::<u32>(handle).unwrap(), 1);
}

#[test]
fn handles_of_a_command_buffer_and_reserved_ones_differ() {
    let mut world = World::new();
    let old: Vec<_> = (0..100).map(|_| world.spawn(())).collect();
    old.iter().for_each(|&entity| world.despawn(entity).unwrap());
    let mut commands = Commands::new(&mut world);
    let mut handles = BTreeSet::new();
    for _ in 0..300 {
        assert!(handles.insert(commands.spawn((1_u32,)).index()));
        assert!(handles.insert(world.reserve_entity().index()));
    }
    assert_eq!(world.play_back(&mut commands).applied, 300);
    (0..500).for_each(|_| assert!(handles.insert(world.spawn(()).index())));
}

#[test]
fn views_and_replicas_do_not_see_reservations() {
    let mut world = World::new();
    let entities: Vec<_> = (0..10_u32).map(|number| world.spawn((number,))).collect();
    world.despawn(entities[3]).unwrap();
    let pool = SnapshotPool::default();
    let before = world.capture(ComponentMask::ALL, &pool);
    let handle = world.reserve_entity();
    let view = world.capture(ComponentMask::ALL, &pool);
    let mut replica = World::new();
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    world.spawn_at(handle, (77_u32,)).unwrap();
    for view in [&before, &view] {
        assert_eq!((view.contains(handle), view.entity_count()), (false, 9));
        assert!(view.contains(entities[4]));
    }
    assert!(!replica.contains(handle));
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    assert_eq!(*replica.get::<u32>(handle).unwrap(), 77);
    let own = replica.spawn(());
    assert!(!entities.contains(&own) && own != handle);
}

#[test]
fn clear_keeps_reservations() {
    let mut world = World::new();
    let entities: Vec<_> = (0..10).map(|_| world.spawn((1_u8,))).collect();
    world.despawn(entities[2]).unwrap();
    let handles: Vec<_> = world.reserve_entities(3).unwrap().collect();
    world.clear().unwrap();
    let spawned: Vec<_> = (0..20).map(|_| world.spawn((1_u8,))).collect();
    for &handle in &handles {
        assert!(spawned.iter().all(|entity| entity.index() != handle.index()));
        world.spawn_at(handle, (2_u8,)).unwrap();
    }
    assert_eq!(world.entity_count(), 23);
}

/// The handles of a random program of spawns, despawns and reservations.
fn program(seed: u64) -> Vec<Entity> {
    let (mut world, mut mixer) = (World::new(), Mixer::new(seed));
    let (mut alive, mut reserved, mut given) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..5_000_u32 {
        match mixer.below(8) {
            0..=2 => alive.push(world.spawn((step,))),
            3 if !alive.is_empty() => {
                let entity = alive.swap_remove(mixer.below(alive.len()));
                world.despawn(entity).unwrap();
            }
            4 => reserved.push(world.reserve_entity()),
            5 => reserved.extend(world.reserve_entities(mixer.below(4)).unwrap()),
            6 if !reserved.is_empty() => {
                let handle = reserved.swap_remove(mixer.below(reserved.len()));
                world.spawn_at(handle, (step,)).unwrap();
                alive.push(handle);
            }
            _ if !reserved.is_empty() => {
                let handle = reserved.swap_remove(mixer.below(reserved.len()));
                world.unreserve_entity(handle).unwrap();
            }
            _ => {}
        }
        given.extend(alive.last().copied());
        given.extend(reserved.last().copied());
        assert_eq!(world.entity_count(), alive.len());
    }
    assert!(alive.iter().all(|&entity| world.contains(entity)));
    assert!(reserved.iter().all(|&handle| !world.contains(handle)));
    given
}

#[test]
fn same_operations_reserve_the_same_handles() {
    assert_eq!(program(5), program(5));
    assert_ne!(program(5), program(6));
}

/// Reserving handles by the thousand million took no memory, but the handles left over made a list
/// of them when it was dropped, and the next tick a slot for each.
#[test]
fn thousands_of_millions_of_handles_are_given_back_without_a_list() {
    run_alone("reserve_thousands_of_millions", Some(2_000_000)).unwrap();
}

#[test]
#[ignore = "run by another one"]
fn reserve_thousands_of_millions() {
    const MANY: usize = 4_000_000_000;
    let mut world = World::new();
    let pool = SnapshotPool::default();
    let mut reserved = world.reserve_entities(MANY).unwrap();
    let kept = reserved.next().unwrap();
    drop(reserved);
    assert!(matches!(world.reserve_entities(MANY), Err(SpawnError::Entities)));
    let view = world.capture(ComponentMask::ALL, &pool);
    // Spawning takes handles back as it needs them, and does not go on above the range.
    let spawned = world.spawn((1_u32,));
    assert_eq!(spawned.index(), 1);
    world.spawn_at(kept, (2_u32,)).unwrap();
    // A snapshot knows the handles that were given back.
    world.restore(&view).unwrap();
    assert_eq!(world.spawn((1_u32,)), spawned);
    let mut branch = World::branch(&view).unwrap();
    assert_eq!(branch.spawn((1_u32,)), spawned);
    // Indices below a handle that is reserved are used up, too.
    let range = world.reserve_entities(1_000_000).unwrap();
    let above = world.reserve_entity();
    drop(range);
    (0..64_u32).for_each(|number| _ = world.spawn((number,)));
    let batch = world.spawn_batch((0..900_000_u32).map(|number| (number,))).unwrap();
    assert!(batch.map(Entity::index).max() < Some(above.index()));
    drop(world.reserve_entities(MANY).unwrap());
    world.advance_tick();
    drop(world.reserve_entities(MANY).unwrap());
    world.spawn_at(above, (3_u32,)).unwrap();
}
