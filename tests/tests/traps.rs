//! Traps that other engines fell into, each as a test that a naive design fails.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy_engine::commands::Commands;
use convoy_engine::host::{HostConfig, Mode, ModuleHost, ModuleSpec, Rate};
use convoy_engine::provider::{DoubleBufferProvider, SharedSnapshotProvider, SnapshotProvider};
use convoy_engine::query::PreparedQuery;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};

const ALL: ComponentMask = ComponentMask::ALL;
const ROWS: u32 = 12;

/// A world whose chunks have four rows, and its entities: the n-th has the numbers n and 100 + n.
fn world_of_small_chunks() -> (World, Vec<Entity>) {
    let config = WorldConfig::default().chunk_rows_max(4);
    let mut world = World::with_config(config);
    let entities = (0..ROWS).map(|number| world.spawn((number, u64::from(100 + number)))).collect();
    (world, entities)
}

fn empty_replica() -> World {
    let config = WorldConfig::default().chunk_rows_max(4);
    World::with_config(config)
}

/// An entity with its numbers and its byte.
type Row = (Entity, Option<u32>, Option<u64>, Option<u8>);

/// Everything that the tests look at, in the order of iteration.
fn rows_of(world: &World) -> Vec<Row> {
    let query = world.query::<(Entity, Option<&u32>, Option<&u64>, Option<&u8>)>();
    let rows = query.iter().map(|(entity, a, b, c)| (entity, a.copied(), b.copied(), c.copied()));
    rows.collect()
}

fn rows_in(view: &View) -> Vec<Row> {
    let query = view.query::<(Entity, Option<&u32>, Option<&u64>, Option<&u8>)>();
    let rows = query.iter().map(|(entity, a, b, c)| (entity, a.copied(), b.copied(), c.copied()));
    rows.collect()
}

#[test]
fn trap_1_replica_copies_from_a_source_that_has_written_as_often_as_another() {
    // Two sources with the same history of captures and writes have the same counters, and
    // different contents.
    let (mut left, entities) = world_of_small_chunks();
    let (mut right, _) = world_of_small_chunks();
    left.query_mut::<&mut u32>().for_each(|number| *number += 1_000);
    right.query_mut::<&mut u32>().for_each(|number| *number += 2_000);
    let mut replica = empty_replica();
    for round in 0..4_u32 {
        for source in [&mut left, &mut right] {
            *source.get_mut::<u32>(entities[round as usize]).unwrap() += 10;
            replica.sync_from(source, ALL).unwrap();
            assert_eq!(rows_of(&replica), rows_of(source), "round {round}");
        }
    }
}

#[test]
fn trap_1_replica_notices_what_was_written_in_the_replica_itself() {
    let (mut source, entities) = world_of_small_chunks();
    let mut replica = empty_replica();
    for round in 0..4_u32 {
        replica.sync_from(&source, ALL).unwrap();
        // Both sides write the same chunk equally often.
        *replica.get_mut::<u32>(entities[0]).unwrap() = 77;
        *source.get_mut::<u64>(entities[5]).unwrap() = u64::from(round);
        let extra = replica.spawn((5_u32, 5_u64));
        replica.despawn(entities[3]).unwrap();
        replica.sync_from(&source, ALL).unwrap();
        assert_eq!(rows_of(&replica), rows_of(&source));
        assert!(!replica.contains(extra) && replica.contains(entities[3]));
    }
}

#[test]
fn trap_1_replica_copies_a_chunk_that_was_given_back_and_taken_anew() {
    let (mut source, mut entities) = world_of_small_chunks();
    let mut replica = empty_replica();
    replica.sync_from(&source, ALL).unwrap();
    // The last chunks go, and come again with other rows.
    entities.drain(2..).for_each(|entity| source.despawn(entity).unwrap());
    for number in 0..ROWS {
        source.spawn((500 + number, 0_u64));
    }
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(rows_of(&replica), rows_of(&source));
    source.clear().unwrap();
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(replica.entity_count(), 0);
    source.spawn((1_u32, 1_u64));
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(rows_of(&replica), rows_of(&source));
}

#[test]
fn trap_1_fresh_replica_of_a_replica_is_complete() {
    let (mut source, entities) = world_of_small_chunks();
    let (mut first, mut second) = (empty_replica(), empty_replica());
    first.sync_from(&source, ALL).unwrap();
    *source.get_mut::<u32>(entities[2]).unwrap() = 9;
    first.sync_from(&source, ALL).unwrap();
    second.sync_from(&first, ALL).unwrap();
    assert_eq!(rows_of(&second), rows_of(&source));
    // From the other source without a change since: nothing may be skipped, either.
    second.sync_from(&source, ALL).unwrap();
    second.sync_from(&first, ALL).unwrap();
    assert_eq!(rows_of(&second), rows_of(&source));
}

#[test]
fn trap_1_replica_of_some_columns_catches_up_when_the_mask_grows() {
    let (mut source, entities) = world_of_small_chunks();
    let some = source.mask_of::<(Entity, u32)>().unwrap();
    let mut replica = empty_replica();
    replica.sync_from(&source, ALL).unwrap();
    *source.get_mut::<u64>(entities[0]).unwrap() = 1;
    replica.sync_from(&source, some).unwrap();
    assert!(replica.try_query::<&u64>().is_err() && replica.get::<u64>(entities[0]).is_err());
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(rows_of(&replica), rows_of(&source));
}

#[test]
fn trap_2_second_write_of_a_tick_is_seen_after_the_capture_between_them() {
    let (mut world, entities) = world_of_small_chunks();
    let pool = SnapshotPool::for_world(&world);
    let mut replica = empty_replica();
    replica.sync_from(&world, ALL).unwrap();

    *world.get_mut::<u32>(entities[0]).unwrap() = 1_001;
    let first = world.capture(ALL, &pool);
    *world.get_mut::<u32>(entities[0]).unwrap() = 1_002;
    // Idle from here on, for as long as it takes.
    for _ in 0..3 {
        world.advance_tick();
    }
    let second = world.capture(ALL, &pool);
    assert_eq!(*first.get::<u32>(entities[0]).unwrap(), 1_001);
    assert_eq!(*second.get::<u32>(entities[0]).unwrap(), 1_002);
    replica.sync_from(&world, ALL).unwrap();
    assert_eq!(*replica.get::<u32>(entities[0]).unwrap(), 1_002);
}

#[test]
fn trap_2_second_write_of_a_tick_is_seen_after_the_sync_between_them() {
    let (mut world, entities) = world_of_small_chunks();
    let mut replica = empty_replica();
    *world.get_mut::<u32>(entities[0]).unwrap() = 1_001;
    replica.sync_from(&world, ALL).unwrap();
    *world.get_mut::<u32>(entities[0]).unwrap() = 1_002;
    world.advance_tick();
    replica.sync_from(&world, ALL).unwrap();
    assert_eq!(*replica.get::<u32>(entities[0]).unwrap(), 1_002);
}

#[test]
fn trap_2_one_structural_change_of_a_tick_does_not_hide_another() {
    let (mut world, entities) = world_of_small_chunks();
    let pool = SnapshotPool::for_world(&world);
    let mut replica = empty_replica();
    replica.sync_from(&world, ALL).unwrap();
    world.despawn(entities[11]).unwrap();
    let before = rows_of(&world);
    let view = world.capture(ALL, &pool);
    let added = world.spawn((8_u32, 8_u64));
    world.advance_tick();
    assert_eq!(rows_in(&view), before);
    assert!(!view.contains(added));
    replica.sync_from(&world, ALL).unwrap();
    assert_eq!(rows_of(&replica), rows_of(&world));
}

#[test]
fn trap_3_slow_reader_leaves_every_later_joiner_the_newest_snapshot() {
    let pool = SnapshotPool::default();
    let providers: [Box<dyn SnapshotProvider>; 2] = [
        Box::new(SharedSnapshotProvider::new(ALL, pool.clone())),
        Box::new(DoubleBufferProvider::new(ALL, pool)),
    ];
    for provider in providers {
        let (mut world, entities) = world_of_small_chunks();
        let slow = provider.acquire(&mut world).unwrap();
        for tick in 1..=20 {
            world.advance_tick();
            *world.get_mut::<u32>(entities[0]).unwrap() = 1_000 + tick;
            provider.update(&mut world).unwrap();
            let joiners = [(); 2].map(|()| provider.acquire(&mut world).unwrap());
            for view in &joiners {
                assert_eq!(*view.get::<u32>(entities[0]).unwrap(), 1_000 + tick);
                assert_eq!(view.lag(&world), Some(0));
            }
        }
        assert_eq!((*slow.get::<u32>(entities[0]).unwrap(), slow.lag(&world)), (0, Some(20)));
    }
}

/// A host that frees the view of a module at its deadline lets the world write into the rows that the
/// module still reads.
#[test]
fn trap_7_module_past_its_deadline_reads_its_own_snapshot_until_it_ends() {
    let (mut world, entities) = world_of_small_chunks();
    let config = HostConfig::default().workers(1);
    let mut host = ModuleHost::new(config);
    let (started, has_started) = channel();
    let (may_go_on, go_on) = channel();
    let read = Arc::new(Mutex::new(Vec::new()));
    let frame = Duration::from_millis(10);
    let spec = ModuleSpec::slow("late", Rate::EVERY_FRAME).reads_all().mode(Mode::Asynchronous);
    host.add(spec.deadline(frame), {
        let read = Arc::clone(&read);
        move |context| {
            started.send(()).unwrap();
            go_on.recv().unwrap();
            *read.lock().unwrap() = rows_in(context.view());
            context.commands().spawn((9_u32, 9_u64));
        }
    })
    .unwrap();
    let before = rows_of(&world);
    host.run_frame(&mut world, frame).unwrap();
    has_started.recv().unwrap();
    for tick in 0..100 {
        let mut query = world.query_mut::<(&mut u32, &mut u64)>();
        query.for_each(|(number, wide)| (*number, *wide) = (*number + tick, *wide + 1));
        host.run_frame(&mut world, frame).unwrap();
        assert_eq!(world.memory().active_captures, 1, "its snapshot, and no other");
    }
    let statistics = host.statistics(&world);
    assert_eq!((statistics.modules[0].missed_deadlines, statistics.modules[0].skipped), (1, 1));
    assert_eq!((statistics.convoys[0].oldest_lag, statistics.pool.reused), (100, 1));
    let after = rows_of(&world);
    may_go_on.send(()).unwrap();
    host.finish(&mut world);
    assert_eq!(*read.lock().unwrap(), before, "the rows at its start, whole");
    assert_eq!(rows_of(&world), after, "its late command is dropped");
    assert_eq!(host.statistics(&world).modules[0].dropped_commands, 1);
    world.advance_tick();
    assert_eq!((world.memory().active_captures, world.memory().retained_bytes), (0, 0));
    assert!(world.contains(entities[0]));
}

/// Where readers are a plain counter, one release too many frees the snapshot of another reader and
/// leaves the counter wrong for every snapshot after it. Here a release is the end of a value.
#[test]
fn trap_8_reader_that_panics_or_leaves_early_releases_exactly_once() {
    let (mut world, entities) = world_of_small_chunks();
    let provider = SharedSnapshotProvider::new(ALL, SnapshotPool::default());
    let ends = AtomicU64::new(0);
    for round in 0..20 {
        world.advance_tick();
        let kept = provider.acquire(&mut world).unwrap();
        let value = *kept.get::<u32>(entities[0]).unwrap();
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (view, ends) = (provider.acquire(&mut world).unwrap(), &ends);
                let reader = scope.spawn(move || {
                    let _more = [view.clone(), view.clone()];
                    ends.fetch_add(1, Ordering::Relaxed);
                    std::panic::resume_unwind(Box::new(number));
                });
                assert!(reader.join().is_err());
            }
        });
        assert_eq!(kept.readers(), 1, "all others have left, once each");
        *world.get_mut::<u32>(entities[0]).unwrap() = 50 + round;
        world.advance_tick();
        assert_eq!(*kept.get::<u32>(entities[0]).unwrap(), value, "nobody released this one");
        drop(kept);
        world.advance_tick();
        let memory = world.memory();
        assert_eq!((memory.active_captures, memory.retained_chunks), (0, 0));
    }
    assert_eq!(ends.into_inner(), 80);
}

/// How a test looks at a world and at a view.
struct Look<T> {
    world: fn(&World) -> T,
    view: fn(&View) -> T,
}

/// Runs one way of writing rows as [`assert_look_follows`] does.
fn assert_write_path_marks(name: &str, write: impl FnMut(&mut World, &mut Vec<Entity>)) {
    assert_look_follows(name, Look { world: rows_of, view: rows_in }, write);
}

/// Runs one way of writing while a snapshot and a replica are up to date, in a chunk that was
/// written in an earlier epoch, and once more while the chunk is fresh.
fn assert_look_follows<T: PartialEq + Debug>(
    name: &str,
    look: Look<T>,
    mut write: impl FnMut(&mut World, &mut Vec<Entity>),
) {
    let (mut world, mut entities) = world_of_small_chunks();
    let pool = SnapshotPool::for_world(&world);
    let mut replica = empty_replica();
    for round in 0..3 {
        replica.sync_from(&world, ALL).unwrap();
        let (before, rows) = ((look.world)(&world), rows_of(&world));
        let view = world.capture(ALL, &pool);
        write(&mut world, &mut entities);
        let after = (look.world)(&world);
        assert_ne!(before, after, "{name} writes in round {round}");
        assert_eq!((look.view)(&view), before, "{name} leaves the snapshot in round {round}");
        for (entity, number, ..) in &rows {
            assert_eq!(view.get::<u32>(*entity).ok().copied(), *number, "{name}: by handle");
        }
        // Without the snapshot: chunks are taken back and not copied, and are marked all the same.
        drop(view);
        world.advance_tick();
        replica.sync_from(&world, ALL).unwrap();
        assert_eq!((look.world)(&replica), after, "{name} reaches the replica in round {round}");
        write(&mut world, &mut entities);
        replica.sync_from(&world, ALL).unwrap();
        assert_eq!((look.world)(&replica), (look.world)(&world), "{name} reaches it in place");
        for &entity in &entities {
            assert_eq!(replica.contains(entity), world.contains(entity));
            assert_eq!(replica.get::<u32>(entity).ok(), world.get::<u32>(entity).ok());
        }
    }
}

#[test]
fn trap_4_bulk_loop_marks_its_chunks() {
    assert_write_path_marks("for_each", |world, _| {
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    });
    assert_write_path_marks("for_each over two columns", |world, _| {
        let mut query = world.query_mut::<(&mut u32, &mut u64)>();
        query.for_each(|(number, wide)| (*number, *wide) = (*number + 1, *wide + 1));
    });
}

#[test]
fn trap_4_iterator_marks_its_chunks() {
    assert_write_path_marks("iterator", |world, _| {
        for (number, wide) in world.query_mut::<(&mut u32, &u64)>() {
            *number += *wide as u32;
        }
    });
    assert_write_path_marks("iterator that stops early", |world, _| {
        *world.query_mut::<&mut u32>().iter().next().unwrap() += 1;
    });
}

#[test]
fn trap_4_get_mut_marks_its_chunk() {
    assert_write_path_marks("get_mut", |world, entities| {
        *world.get_mut::<u32>(entities[6]).unwrap() += 1;
    });
}

#[test]
fn trap_4_spawn_marks_its_chunk() {
    assert_write_path_marks("spawn", |world, entities| entities.push(world.spawn((1_u32, 2_u64))));
}

#[test]
fn trap_4_despawn_marks_the_chunk_that_the_last_row_moves_into() {
    assert_write_path_marks("despawn", |world, entities| {
        let entity = entities.remove(1);
        world.despawn(entity).unwrap();
    });
}

#[test]
fn trap_4_insertion_in_place_marks_its_chunk() {
    let mut number = 1_000_u32;
    assert_write_path_marks("insert in place", |world, entities| {
        number += 1;
        world.insert(entities[2], (number,)).unwrap();
    });
}

#[test]
fn trap_4_insertion_that_moves_marks_both_tables() {
    let mut next = 0;
    assert_write_path_marks("insert with a move", |world, entities| {
        world.insert(entities[next], (next as u8,)).unwrap();
        next += 1;
    });
}

#[test]
fn trap_4_removal_marks_both_tables() {
    let mut next = 0;
    assert_write_path_marks("remove", |world, entities| {
        world.remove::<(u64,)>(entities[next]).unwrap();
        next += 1;
    });
}

#[test]
fn trap_4_playback_marks_what_its_commands_write() {
    let mut next = 0;
    assert_write_path_marks("commands", |world, entities| {
        let mut commands = Commands::new(world);
        entities.push(commands.spawn((3_u32, 3_u64)));
        commands.insert(entities[next], (next as u8,));
        commands.insert(entities[next + 1], (u32::MAX - next as u32,));
        commands.remove::<(u64,)>(entities[next + 2]);
        commands.despawn(entities.remove(8));
        assert_eq!(world.play_back(&mut commands).failed, 0);
        next += 1;
    });
}

#[test]
fn trap_4_prepared_shared_and_parallel_passes_mark_their_chunks() {
    let mut prepared = PreparedQuery::<(&mut u32, &u64)>::new();
    assert_write_path_marks("prepared query", |world, _| {
        prepared.query_mut(world).for_each(|(number, wide)| *number += *wide as u32);
    });
    assert_write_path_marks("shared query", |world, _| {
        let shared = world.share();
        shared.query::<(&mut u32, &u64)>().for_each(|(number, wide)| *number += *wide as u32);
    });
    assert_write_path_marks("parallel pass", |world, _| {
        world.query_mut::<(&mut u32, &u64)>().par_for_each(|(number, wide)| {
            *number += *wide as u32;
        });
    });
}

#[test]
fn trap_4_batches_mark_what_they_write_and_what_they_move() {
    let mut next = 0_u32;
    assert_write_path_marks("spawn_batch", |world, entities| {
        entities.extend(world.spawn_batch((0..5_u32).map(|number| (number, 1_u64))).unwrap());
    });
    assert_write_path_marks("spawn_columns", |world, entities| {
        entities.extend(world.spawn_columns((&[1_u32, 2, 3][..], &[4_u64, 5, 6][..])).unwrap());
    });
    assert_write_path_marks("insert_many in place", |world, entities| {
        next += 1;
        world.insert_many(&entities[3..6], (1_000 + next,)).unwrap();
    });
    let mut held = false;
    assert_write_path_marks("insert_many and remove_many", |world, entities| {
        held = !held;
        let report = match held {
            true => world.insert_many(&entities[1..7], (9_u8,)),
            false => world.remove_many::<(u8,)>(&entities[1..7]),
        };
        assert_eq!(report.unwrap().changed, 6);
    });
    assert_write_path_marks("despawn_many", |world, entities| {
        let gone: Vec<_> = entities.drain(..2).collect();
        assert_eq!(world.despawn_many(&gone).unwrap().changed, 2);
    });
    let mut held = false;
    assert_write_path_marks("insertion into and removal from a whole query", |world, _| {
        held = !held;
        let query = world.query_mut::<&u64>();
        let changed = if held { query.insert((7_u8,)) } else { query.remove::<(u8,)>() };
        assert_eq!(changed.unwrap(), ROWS as usize);
    });
}

#[test]
fn trap_4_exchange_and_bytes_mark_what_they_write() {
    let mut next = 0;
    assert_write_path_marks("exchange", |world, entities| {
        world.exchange::<(u64,), _>(entities[next], (next as u8,)).unwrap();
        next += 1;
    });
    assert_write_path_marks("set_bytes", |world, entities| {
        next += 1;
        let id = world.component_id::<u32>().unwrap();
        world.set_bytes(entities[5], id, &(500 + next as u32).to_ne_bytes()).unwrap();
    });
}

#[test]
fn trap_4_resources_are_marked() {
    let look = || Look {
        world: |world: &World| world.resource::<f64>().ok().copied(),
        view: |view: &View| view.resource::<f64>().ok().copied(),
    };
    let mut value = 0.0;
    assert_look_follows("insert_resource", look(), |world, _| {
        value += 1.0;
        world.insert_resource(value).unwrap();
    });
    assert_look_follows("resource_mut", look(), |world, _| match world.resource_mut::<f64>() {
        Ok(value) => *value += 1.0,
        Err(_) => _ = world.insert_resource(1.0_f64).unwrap(),
    });
    assert_look_follows("remove_resource", look(), |world, _| {
        if world.remove_resource::<f64>().is_err() {
            world.insert_resource(2.0_f64).unwrap();
        }
    });
}

#[test]
fn trap_4_switches_are_marked() {
    let look = Look {
        world: |world: &World| world.query::<(Entity, &f32)>().iter().map(|row| row.0).collect(),
        view: |view: &View| -> Vec<Entity> {
            view.query::<(Entity, &f32)>().iter().map(|row| row.0).collect()
        },
    };
    assert_look_follows("a switch", look, |world, entities| {
        if world.component_id::<f32>().is_none() {
            world.register_toggle::<f32>().unwrap();
            world.insert_many(entities, (1.0_f32,)).unwrap();
        } else if world.is_enabled::<f32>(entities[5]).unwrap() {
            world.disable::<f32>(entities[5]).unwrap();
        } else {
            world.enable::<f32>(entities[5]).unwrap();
        }
    });
}

#[test]
fn trap_4_links_are_marked() {
    let look = Look {
        world: |world: &World| {
            let entities = world.query::<Entity>().iter();
            entities.map(|child| (child, world.parent(child).unwrap())).collect()
        },
        view: |view: &View| -> Vec<(Entity, Option<Entity>)> {
            let entities = view.query::<Entity>();
            entities.iter().map(|child| (child, view.parent(child).unwrap())).collect()
        },
    };
    let mut next = 0;
    assert_look_follows("set_parent and remove_parent", look, |world, entities| {
        next += 1;
        match world.parent(entities[4]).unwrap() {
            Some(_) if next % 3 == 0 => _ = world.remove_parent(entities[4]).unwrap(),
            _ => world.set_parent(entities[4], entities[5 + next % 3]).unwrap(),
        }
    });
}

#[test]
fn trap_4_restore_marks_what_it_takes_back() {
    let pool = SnapshotPool::default();
    let mut last = None;
    assert_write_path_marks("restore", |world, entities| {
        let now = world.capture(ALL, &pool);
        match last.replace(now) {
            Some(view) if view.is_of(world) => _ = world.restore(&view).unwrap(),
            _ => *world.get_mut::<u32>(entities[6]).unwrap() += 1,
        }
    });
}

#[test]
fn trap_4_clear_marks_everything() {
    let mut number = 0;
    assert_write_path_marks("clear", |world, entities| {
        world.clear().unwrap();
        number += 1;
        entities.push(world.spawn((number, 4_u64)));
    });
}

#[test]
fn trap_4_sync_marks_what_it_copies_into_a_replica_that_is_captured() {
    let (mut source, entities) = world_of_small_chunks();
    let mut replica = empty_replica();
    replica.sync_from(&source, ALL).unwrap();
    let pool = SnapshotPool::for_world(&replica);
    let view = replica.capture(ALL, &pool);
    let before = rows_in(&view);
    *source.get_mut::<u32>(entities[1]).unwrap() = 5;
    source.despawn(entities[0]).unwrap();
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(rows_in(&view), before);
    assert!(view.contains(entities[0]));
    let mut third = empty_replica();
    third.sync_from(&replica, ALL).unwrap();
    assert_eq!(rows_of(&third), rows_of(&source));
}
