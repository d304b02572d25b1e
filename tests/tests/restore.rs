//! Restore: a world goes back to its own snapshots, exactly, again and again, without copying.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::HashSet;

use convoy_engine::commands::Commands;
use convoy_engine::events::EventCursor;
use convoy_engine::provider::{SharedSnapshotProvider, SnapshotProvider};
use convoy_engine::snapshot::RestoreError;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Contents;

const ALL: ComponentMask = ComponentMask::ALL;

fn world_with_chunk_rows(rows: usize) -> World {
    let config = WorldConfig::default().chunk_rows_max(rows).event_retention(8);
    World::with_config(config)
}

/// A world in which everything that a snapshot can hold has a value, and its entities.
fn furnished_world() -> (World, Vec<Entity>) {
    let mut world = world_with_chunk_rows(4);
    let entities: Vec<_> =
        (0..21_u32).map(|number| world.spawn((number, u64::from(number)))).collect();
    for (number, &entity) in entities.iter().enumerate().skip(1) {
        world.set_parent(entity, entities[number / 2]).unwrap();
    }
    world.insert(entities[3], (3_u8,)).unwrap();
    world.despawn(entities[20]).unwrap();
    world.insert_resource(0.5_f64).unwrap();
    (0..10_u16).for_each(|number| world.send_event(number));
    world.advance_tick();
    (world, entities)
}

/// Changes everything that a snapshot can hold.
fn disturb(world: &mut World, entities: &[Entity]) {
    world.query_mut::<&mut u32>().for_each(|number| *number += 1_000);
    world.despawn_tree(entities[2]).unwrap();
    world.insert(entities[1], (1_u8, 2.0_f32)).unwrap();
    world.remove::<(u64,)>(entities[3]).unwrap();
    world.set_parent(entities[3], entities[0]).unwrap();
    let spawned = world.spawn_batch((0..30_u32).map(|number| (number, 9_u64))).unwrap();
    let spawned: Vec<_> = spawned.collect();
    world.despawn(spawned[7]).unwrap();
    *world.resource_mut::<f64>().unwrap() = 9.0;
    (0..30_u16).for_each(|number| world.send_event(100 + number));
    world.advance_tick();
}

#[test]
fn restored_world_is_what_it_was_in_everything() {
    let (mut world, entities) = furnished_world();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ALL, &pool);
    let before = Contents::of(&world);
    disturb(&mut world, &entities);
    assert_ne!(Contents::of(&world), before);
    world.restore(&view).unwrap();
    assert_eq!(Contents::of(&world), before);
    assert_eq!(Contents::of(&view), before);
    assert_eq!((world.tick(), world.entity_count()), (1, 20));
    assert_eq!(*world.resource::<f64>().unwrap(), 0.5);
    assert!(world.events::<u16>(&mut EventCursor::default()).eq(0..10));
    assert_eq!(world.parent(entities[5]).unwrap(), Some(entities[2]));
    assert!(world.contains(entities[2]) && !world.contains(entities[20]));
}

#[test]
fn world_goes_to_and_fro_between_snapshots_while_all_views_stay() {
    let (mut world, entities) = furnished_world();
    let pool = SnapshotPool::default();
    let mut kept: Vec<(View, Contents)> = Vec::new();
    for round in 0..4_u32 {
        kept.push((world.capture(ALL, &pool), Contents::of(&world)));
        world.query_mut::<&mut u32>().for_each(|number| *number += round);
        world.spawn((round, 7_u64));
        if round == 1 {
            disturb(&mut world, &entities);
        }
    }
    for &number in &[3, 0, 3, 1, 2, 2, 0, 1, 3] {
        let (view, contents) = &kept[number];
        world.restore(view).unwrap();
        assert_eq!(Contents::of(&world), *contents, "snapshot {number}");
        // Writes after a restore leave all views alone.
        world.query_mut::<&mut u64>().for_each(|wide| *wide += 1);
        world.spawn((1_u32, 1_u64, 1_u8));
        world.send_event(77_u16);
        for (view, contents) in &kept {
            assert_eq!(Contents::of(view), *contents);
        }
    }
    // Nothing stays retained, whatever was on which list.
    drop(kept);
    world.advance_tick();
    let memory = world.memory();
    assert_eq!((memory.retained_bytes, memory.retained_chunks, memory.active_captures), (0, 0, 0));
    assert_eq!(memory.live_bytes + memory.free_bytes, memory.mapped_bytes);
}

#[test]
fn only_changed_chunks_are_taken_back_and_none_is_copied() {
    let mut world = world_with_chunk_rows(16);
    let entities: Vec<_> = (0..1_600_u32).map(|number| world.spawn((number, 1_u64))).collect();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ALL, &pool);
    for entity in [3, 4, 500, 1_599] {
        *world.get_mut::<u32>(entities[entity]).unwrap() = 0;
    }
    let (copied, mapped) = (world.copy_statistics(), world.memory().mapped_bytes);
    let report = world.restore(&view).unwrap();
    assert_eq!(report.chunks_restored, 3, "two of the rows share a chunk");
    assert_eq!(report.chunks, 4 * 100, "handles, two components and the index");
    assert_eq!(world.restore(&view).unwrap().chunks_restored, 0);
    assert_eq!((world.copy_statistics(), world.memory().mapped_bytes), (copied, mapped));
    assert_eq!(world.memory().retained_bytes, 0, "what replaced the chunks is free again");
    // The chunks taken back are still shared: the next write copies, as the first one did.
    *world.get_mut::<u32>(entities[3]).unwrap() = 9;
    assert_eq!(world.copy_statistics().chunks_copied, copied.chunks_copied + 1);
    assert_eq!(*view.get::<u32>(entities[3]).unwrap(), 3);
}

#[test]
fn replica_of_a_restored_world_copies_the_difference_only() {
    let (mut world, entities) = furnished_world();
    let mut replica = world_with_chunk_rows(4);
    let pool = SnapshotPool::default();
    let view = world.capture(ALL, &pool);
    disturb(&mut world, &entities);
    replica.sync_from(&world, ALL).unwrap();
    world.restore(&view).unwrap();
    replica.sync_from(&world, ALL).unwrap();
    assert_eq!(Contents::of(&replica), Contents::of(&world));
    *world.get_mut::<u32>(entities[0]).unwrap() = 1;
    replica.sync_from(&world, ALL).unwrap();
    world.restore(&view).unwrap();
    let report = replica.sync_from(&world, ALL).unwrap();
    assert_eq!(report.chunks_copied, 1, "the chunk that was written and taken back");
    assert_eq!(Contents::of(&replica), Contents::of(&world));
}

#[test]
fn rows_that_come_back_reach_a_replica_that_never_saw_them() {
    let mut world = world_with_chunk_rows(8);
    let entities: Vec<_> = (0..6_u32).map(|number| world.spawn((number,))).collect();
    let view = world.capture(ALL, &SnapshotPool::default());
    // Removing the last rows writes no component, so that their chunk stays as it was.
    entities[3..].iter().rev().for_each(|&entity| world.despawn(entity).unwrap());
    let mut replica = world_with_chunk_rows(8);
    replica.sync_from(&world, ALL).unwrap();
    world.restore(&view).unwrap();
    replica.sync_from(&world, ALL).unwrap();
    assert_eq!(Contents::of(&replica), Contents::of(&world));
    assert_eq!(*replica.get::<u32>(entities[5]).unwrap(), 5);
}

#[test]
fn views_of_a_replica_stay_as_they_are_when_its_source_is_restored() {
    let mut world = world_with_chunk_rows(64);
    let grow = |world: &mut World, numbers: std::ops::Range<u32>| {
        for number in numbers {
            world.spawn((number,));
            world.send_event(number);
        }
    };
    grow(&mut world, 0..5);
    let older = world.capture(ALL, &SnapshotPool::default());
    // In place, so that the restore finds the same chunks and the sync nothing to copy.
    grow(&mut world, 5..20);
    let mut replica = world_with_chunk_rows(64);
    replica.sync_from(&world, ALL).unwrap();
    let view = replica.capture(ALL, &SnapshotPool::default());
    let contents = Contents::of(&view);
    world.restore(&older).unwrap();
    replica.sync_from(&world, ALL).unwrap();
    grow(&mut replica, 50..60);
    assert_eq!(Contents::of(&view), contents);
    let entities: Vec<_> = view.query::<Entity>().iter().collect();
    for (number, &entity) in (0..).zip(&entities) {
        assert_eq!(view.get::<u32>(entity), Ok(&number));
    }
    assert!(view.events::<u32>(&mut EventCursor::default()).eq(0..20));
}

#[test]
fn rows_appended_in_place_after_a_restore_leave_newer_snapshots_alone() {
    let mut world = world_with_chunk_rows(64);
    let spawn = |world: &mut World, numbers: std::ops::Range<u32>| {
        for number in numbers {
            world.spawn((number,));
            world.send_event(number);
        }
    };
    spawn(&mut world, 0..10);
    let pool = SnapshotPool::default();
    let older = world.capture(ALL, &pool);
    // In place, in the chunks that the older snapshot shares.
    spawn(&mut world, 10..30);
    let newer = world.capture(ALL, &pool);
    world.restore(&older).unwrap();
    spawn(&mut world, 500..525);
    let contents = Contents::of(&newer);
    assert!(newer.query::<&u32>().iter().copied().eq(0..30));
    assert!(newer.events::<u32>(&mut EventCursor::default()).eq(0..30));
    assert!(world.query::<&u32>().iter().copied().eq((0..10).chain(500..525)));
    assert!(world.events::<u32>(&mut EventCursor::default()).eq((0..10).chain(500..525)));
    world.restore(&newer).unwrap();
    assert_eq!(Contents::of(&world), contents);
    spawn(&mut world, 30..40);
    assert!(world.query::<&u32>().iter().copied().eq(0..40));
}

/// A clear lets the numbers of events count from another row of their chunks. A restore to before
/// it and one to after it kept the older chunk as a spare one, and the next event went over a row
/// that the older snapshot still showed.
#[test]
fn event_sent_after_a_restore_to_an_empty_log_leaves_older_snapshots_alone() {
    let mut world = world_with_chunk_rows(4);
    world.send_event(1_u32);
    let pool = SnapshotPool::for_world(&world);
    let older = world.capture(ComponentMask::ALL, &pool);
    world.clear().unwrap();
    let newer = world.capture(ComponentMask::ALL, &pool);
    world.restore(&older).unwrap();
    world.restore(&newer).unwrap();
    world.send_event(2_u32);
    assert!(older.events::<u32>(&mut EventCursor::default()).eq([1]));
    assert!(world.events::<u32>(&mut EventCursor::default()).eq([2]));
}

#[test]
fn the_same_operations_after_a_restore_give_the_same_world() {
    let (mut world, entities) = furnished_world();
    let view = world.capture(ALL, &SnapshotPool::default());
    let reserved = world.reserve_entity();
    disturb(&mut world, &entities);
    let handles: Vec<_> = (0..200).map(|_| world.spawn((1_u8,))).collect();
    let first = Contents::of(&world);
    world.restore(&view).unwrap();
    assert!(world.unreserve_entity(reserved).is_err(), "it was reserved after the capture");
    assert_eq!(world.reserve_entity(), reserved);
    disturb(&mut world, &entities);
    assert_eq!((0..200).map(|_| world.spawn((1_u8,))).collect::<Vec<_>>(), handles);
    assert_eq!(Contents::of(&world), first);
}

#[test]
fn what_was_registered_later_is_empty_after_a_restore() {
    let (mut world, entities) = furnished_world();
    let view = world.capture(ALL, &SnapshotPool::default());
    let before = Contents::of(&world);
    world.insert(entities[0], ([1_u8; 3],)).unwrap();
    world.spawn(([2_u8; 3], 1_i16));
    world.insert_resource(5_i32).unwrap();
    world.send_event(6_i64);
    world.restore(&view).unwrap();
    assert_eq!(Contents::of(&world), before);
    assert_eq!(world.query::<&[u8; 3]>().count(), 0);
    assert!(!world.contains_resource::<i32>());
    assert_eq!(world.events::<i64>(&mut EventCursor::default()).count(), 0);
    // And is there for use again.
    world.insert(entities[0], ([3_u8; 3],)).unwrap();
    assert_eq!(world.insert_resource(6_i32).unwrap(), None);
    assert_eq!(world.query::<&[u8; 3]>().count(), 1);
}

#[test]
fn only_complete_snapshots_of_the_same_world_are_accepted() {
    let (mut world, entities) = furnished_world();
    let (mut other, _) = furnished_world();
    let pool = SnapshotPool::default();
    let foreign = other.capture(ALL, &pool);
    let some = world.mask_of::<(Entity, u32)>().unwrap();
    let partial = world.capture(some, &pool);
    let complete = world.capture(ALL, &pool);
    disturb(&mut world, &entities);
    let before = Contents::of(&world);
    assert_eq!(world.restore(&foreign).err(), Some(RestoreError::OtherWorld));
    let error = world.restore(&partial).unwrap_err();
    assert_eq!(error, RestoreError::NotCaptured { component: "u64" });
    assert!(error.to_string().contains("u64"));
    assert_eq!(Contents::of(&world), before, "nothing has changed");
    // The declarations of a reader are not the captured types.
    world.restore(&complete.narrow(some)).unwrap();
    assert_eq!(*world.get::<u64>(entities[1]).unwrap(), 1);
}

#[test]
fn restore_works_in_a_small_table_that_has_grown_and_shrunk() {
    let mut world = World::new();
    let first = world.spawn((1_u32, 2_u64));
    let pool = SnapshotPool::default();
    let small = world.capture(ALL, &pool);
    let many = world.spawn_batch((0..50_000_u32).map(|number| (number, 1_u64))).unwrap();
    let many: Vec<_> = many.collect();
    let large = world.capture(ALL, &pool);
    for round in 0..3_u32 {
        world.restore(&small).unwrap();
        assert_eq!((world.entity_count(), *world.get::<u64>(first).unwrap()), (1, 2));
        (0..100).for_each(|number| _ = world.spawn((number, 3_u64)));
        *world.get_mut::<u32>(first).unwrap() = round;
        world.restore(&large).unwrap();
        assert_eq!(*world.get::<u32>(many[49_999]).unwrap(), 49_999);
        assert_eq!(*world.get::<u32>(first).unwrap(), 1);
        world.clear().unwrap();
    }
    drop((small, large));
    world.advance_tick();
    assert_eq!(world.memory().retained_bytes, 0);
}

#[test]
fn commands_recorded_before_a_restore_are_discarded_and_no_handle_is_lost() {
    let mut world = World::new();
    let ship = world.spawn((1_u32,));
    let mut commands = Commands::new(&mut world);
    let view = world.capture(ALL, &SnapshotPool::default());
    let mut handles = HashSet::new();
    for round in 0..100_u32 {
        let shot = commands.spawn((round,));
        commands.insert(ship, (0_u8,));
        assert_eq!(world.play_back(&mut commands).applied, 2);
        assert!(world.contains(shot));
        handles.insert(shot);
        commands.spawn((9_u32,));
        commands.despawn(ship);
        world.restore(&view).unwrap();
        let playback = world.play_back(&mut commands);
        assert_eq!((playback.dead, playback.total()), (2, 2));
        assert!(world.contains(ship) && world.entity_count() == 1);
        world.advance_tick();
    }
    assert_eq!(handles.len(), 1, "the buffer gets the handles back that it held");
    // Those of a buffer that is gone are free for others.
    drop(commands);
    world.restore(&view).unwrap();
    world.advance_tick();
    let spawned: HashSet<_> = (0..64).map(|_| world.spawn((2_u32,)).index()).collect();
    assert!(spawned.iter().all(|&index| index < 128), "the stock of the buffer is used again");
    assert!(spawned.contains(&handles.iter().next().unwrap().index()));
}

/// Commands that were recorded after a restore were discarded with those from before it, where the
/// buffer was not played back in between: it noticed only then.
#[test]
fn commands_recorded_after_a_restore_are_applied_also_without_a_playback_before() {
    let pool = SnapshotPool::default();
    for (before, played) in [(0, false), (0, true), (3, false), (70, true), (70, false)] {
        let mut world = World::new();
        let ship = world.spawn((1_u32,));
        let mut commands = Commands::new(&mut world);
        let view = world.capture(ALL, &pool);
        let record = |commands: &mut Commands, count: u32| -> Vec<Entity> {
            (0..count).map(|number| commands.spawn((number,))).collect()
        };
        // The handles without a detour.
        let mut expected = None;
        for _ in 0..3 {
            record(&mut commands, before);
            if played {
                assert_eq!(world.play_back(&mut commands).applied, u64::from(before));
            }
            world.restore(&view).unwrap();
            let spawned = record(&mut commands, 100);
            commands.insert(ship, (4_u8,));
            let outdated = if played { 0 } else { u64::from(before) };
            assert_eq!(commands.len() as u64, 101 + outdated);
            let playback = world.play_back(&mut commands);
            assert_eq!((playback.applied, playback.dead), (101, outdated), "{before} {played}");
            assert!(spawned.iter().all(|&entity| world.contains(entity)));
            assert!(world.get::<u8>(ship).is_ok() && world.entity_count() == 101);
            assert_eq!(*expected.get_or_insert_with(|| spawned.clone()), spawned);
        }
        // Nothing is left of it in a buffer that was cleared.
        record(&mut commands, 5);
        world.restore(&view).unwrap();
        record(&mut commands, 5);
        commands.clear();
        assert!(commands.is_empty() && world.play_back(&mut commands).total() == 0);
    }
}

/// The same on another thread, which has no world to ask, and in a replica.
#[test]
fn buffers_notice_restores_and_syncs_on_any_thread() {
    let mut world = World::new();
    let mut commands = Commands::new(&mut world);
    let view = world.capture(ALL, &SnapshotPool::default());
    let mut replica = World::new();
    let mut ahead = Commands::new(&mut replica);
    for round in 0..5_u32 {
        world.restore(&view).unwrap();
        replica.sync_from(&world, ALL).unwrap();
        for (world, commands) in [(&mut world, &mut commands), (&mut replica, &mut ahead)] {
            let spawned: Vec<_> = std::thread::scope(|scope| {
                let record = || (0..90).map(|_| commands.spawn((round,))).collect();
                scope.spawn(record).join().unwrap()
            });
            assert_eq!(world.play_back(commands).applied, 90);
            assert!(spawned.into_iter().all(|entity| world.contains(entity)));
        }
    }
    // Two restores: commands recorded between them are of no future.
    commands.spawn((1_u32,));
    world.restore(&view).unwrap();
    commands.spawn((2_u32,));
    world.restore(&view).unwrap();
    let last = commands.spawn((3_u32,));
    let playback = world.play_back(&mut commands);
    assert_eq!((playback.applied, playback.dead), (1, 2));
    assert_eq!(*world.get::<u32>(last).unwrap(), 3);
}

#[test]
fn provider_gives_no_reader_a_snapshot_of_a_future_that_was_taken_back() {
    let mut world = World::new();
    let entity = world.spawn((1_u32,));
    let pool = SnapshotPool::default();
    let view = world.capture(ALL, &pool);
    let provider = SharedSnapshotProvider::new(ALL, pool);
    *world.get_mut::<u32>(entity).unwrap() = 2;
    let future = provider.acquire(&mut world).unwrap();
    world.restore(&view).unwrap();
    let present = provider.acquire(&mut world).unwrap();
    assert_eq!((*future.get::<u32>(entity).unwrap(), *present.get::<u32>(entity).unwrap()), (2, 1));
    assert!(!future.is_past_of(&world) && present.is_past_of(&world));
}

#[test]
fn cursor_goes_on_with_what_is_sent_in_place_of_what_was_taken_back() {
    let mut world = World::new();
    let pool = SnapshotPool::default();
    let [mut quick, mut slow] = [(); 2].map(|()| EventCursor::<u32>::default());
    (0..4_u32).for_each(|number| world.send_event(number));
    assert!(world.events(&mut quick).eq(0..4) && world.events(&mut slow).eq(0..4));
    let older = world.capture(ALL, &pool);
    (4..6_u32).for_each(|number| world.send_event(number));
    let newer = world.capture(ALL, &pool);
    assert!(newer.events(&mut quick).eq(4..6));
    world.restore(&older).unwrap();
    (10..13_u32).for_each(|number| world.send_event(number));
    assert!(world.events(&mut quick).eq(10..13), "from where the two futures part");
    assert_eq!((quick.taken_back(), quick.lost()), (2, 0));
    assert_eq!(newer.events(&mut quick).count(), 0, "that future has not happened");
    // To the newer one: the events that the quick cursor read since the older one are taken back again, and
    // the slow one reads each event of the present once.
    world.restore(&newer).unwrap();
    assert!(world.events(&mut quick).eq(4..6));
    assert_eq!(quick.taken_back(), 5);
    assert!(world.events(&mut slow).eq(4..6));
    assert_eq!((slow.taken_back(), slow.lost()), (0, 0));
    // A cursor that is new knows of nothing that was taken back.
    let mut late = world.event_cursor::<u32>();
    assert_eq!((world.events(&mut late).count(), late.taken_back()), (0, 0));
}

/// A log of one full chunk, an older view of it, and a newer one of half a chunk more; then the world
/// goes back to the older one, and is cleared.
fn cleared_between_views() -> (World, View, u64) {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let id = world.register_event::<u64>().unwrap();
    let chunk = world.component_info(id).unwrap().chunk_rows() as u64;
    (0..chunk).for_each(|number| world.send_event(number));
    let older = world.capture(ALL, &pool);
    (chunk..chunk + 500).for_each(|number| world.send_event(number));
    let newer = world.capture(ALL, &pool);
    world.restore(&older).unwrap();
    world.clear().unwrap();
    (world, newer, chunk)
}

/// A log that had been cleared where a chunk ended began with a small chunk. A restore put the
/// captured chunks before it, and then gave it back as a chunk behind others: a full one. The
/// small chunk was handed out with sixteen times its size, and so with its neighbours.
#[test]
fn log_that_was_cleared_where_a_chunk_ends_goes_back_to_a_newer_view() {
    let (mut world, newer, chunk) = cleared_between_views();
    world.send_event(u64::MAX);
    world.restore(&newer).unwrap();
    let mut cursor = EventCursor::<u64>::default();
    assert!(world.events(&mut cursor).eq(0..chunk + 500));
    world.send_event(7_u64);
    assert!(world.events(&mut cursor).eq([7]));
}

/// The same, with tables whose small chunks lie behind that of the log.
#[test]
fn no_two_chunks_overlap_after_a_cleared_log_was_restored() {
    let (mut world, newer, _) = cleared_between_views();
    (0..500).for_each(|_| world.send_event(u64::MAX));
    let fill = |world: &mut World| -> Vec<Entity> {
        (0..1000_u32).map(|number| world.spawn((number, [number as u8; 24]))).collect()
    };
    fill(&mut world);
    world.restore(&newer).unwrap();
    let entities = fill(&mut world);
    let more: Vec<Entity> =
        world.spawn_batch((0..8192).map(|number| (u64::MAX - number,))).unwrap().collect();
    for (number, entity) in (0..).zip(entities) {
        assert_eq!(*world.get::<u32>(entity).unwrap(), number);
        assert_eq!(*world.get::<[u8; 24]>(entity).unwrap(), [number as u8; 24]);
    }
    world.despawn_many(&more).unwrap();
}
