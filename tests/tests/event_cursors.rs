//! Cursors that go on while worlds are restored, branched and synced: every event that counts comes
//! once and in order, and none is lost. Each test is a bug that was there.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_engine::events::EventCursor;
use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};

const ALL: ComponentMask = ComponentMask::ALL;

/// A world whose logs have one event a chunk and keep the last `retention`.
fn world_that_keeps(retention: usize) -> World {
    let config = WorldConfig::default().chunk_rows_max(1).event_retention(retention);
    World::with_config(config)
}

fn read(world: &World, cursor: &mut EventCursor<u32>) -> Vec<u32> {
    world.events(cursor).collect()
}

/// A branch took its log for one that was cut at its beginning, and gave all events again.
#[test]
fn a_cursor_goes_on_in_a_branch() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let mut cursor = EventCursor::default();
    world.send_event(1_u32);
    assert_eq!(read(&world, &mut cursor), [1]);
    let mut ahead = World::branch(&world.capture(ALL, &pool)).unwrap();
    ahead.send_event(2_u32);
    let mut copy = cursor.clone();
    assert_eq!((read(&ahead, &mut copy), copy.taken_back()), (vec![2], 0));
    assert_eq!(read(&world, &mut cursor), []);
}

/// A branch counted restores from zero, so that cursors of a world that had been restored more
/// often took all it sent for the past.
#[test]
fn a_cursor_goes_on_in_a_branch_of_a_world_that_was_restored() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let mut cursor = EventCursor::default();
    world.send_event(1_u32);
    let start = world.capture(ALL, &pool);
    (0..2).for_each(|_| _ = world.restore(&start).unwrap());
    assert_eq!(read(&world, &mut cursor), [1]);
    let mut ahead = World::branch(&world.capture(ALL, &pool)).unwrap();
    ahead.send_event(2_u32);
    assert_eq!(read(&ahead, &mut cursor.clone()), [2]);
    let back = ahead.capture(ALL, &pool);
    ahead.send_event(3_u32);
    assert_eq!(read(&ahead, &mut cursor), [2, 3]);
    ahead.restore(&back).unwrap();
    ahead.send_event(4_u32);
    assert_eq!((read(&ahead, &mut cursor), cursor.taken_back()), (vec![4], 1));
}

/// A sync made a replica that had been restored count restores backwards, and its cursors took the
/// source's next events for the past.
#[test]
fn a_cursor_goes_on_in_a_replica_that_was_restored() {
    let (mut source, mut replica) = (World::new(), World::new());
    let pool = SnapshotPool::default();
    source.send_event(1_u32);
    replica.sync_from(&source, ALL).unwrap();
    let mut cursor = EventCursor::default();
    let view = replica.capture(ALL, &pool);
    replica.restore(&view).unwrap();
    assert_eq!(read(&replica, &mut cursor), [1]);
    for number in 2..5_u32 {
        source.send_event(number);
        replica.sync_from(&source, ALL).unwrap();
        assert_eq!(read(&replica, &mut cursor), [number], "each once");
    }
    assert_eq!((cursor.taken_back(), cursor.lost()), (0, 0));
    let view = source.capture(ALL, &pool);
    source.send_event(5_u32);
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(read(&replica, &mut cursor), [5]);
    source.restore(&view).unwrap();
    source.send_event(6_u32);
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!((read(&replica, &mut cursor), cursor.taken_back()), (vec![6], 1));
}

/// What a replica sent itself is replaced by what the source sent under the same numbers, which
/// cursors that had read the replica's own never saw.
#[test]
fn a_cursor_sees_what_a_sync_puts_in_place_of_a_replicas_own_events() {
    let (mut source, mut replica) = (World::new(), World::new());
    let mut cursor = EventCursor::default();
    source.send_event(1_u32);
    replica.sync_from(&source, ALL).unwrap();
    replica.send_event(100_u32);
    assert_eq!(read(&replica, &mut cursor), [1, 100]);
    source.send_event(2_u32);
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!((read(&replica, &mut cursor), cursor.taken_back()), (vec![2], 1));
}

/// A cursor that looked at a snapshot of a future that was taken back moved on to the first event
/// of that snapshot, and counted those before as lost.
#[test]
fn a_cursor_loses_nothing_to_a_snapshot_of_a_future_that_was_taken_back() {
    let (mut world, pool) = (world_that_keeps(0), SnapshotPool::default());
    world.register_event::<u32>().unwrap();
    let past = world.capture(ALL, &pool);
    (0..3_u32).for_each(|number| world.send_event(number));
    let future = world.capture(ALL, &pool);
    world.restore(&past).unwrap();
    let mut cursor = EventCursor::default();
    assert_eq!(read(&world, &mut cursor), []);
    assert_eq!(future.events(&mut cursor).count(), 0);
    world.send_event(7_u32);
    assert_eq!((read(&world, &mut cursor), cursor.lost()), (vec![7], 0));
}

/// A restore took the chunks of a log for others when it shared those in the middle with the
/// capture and not the first: it gave a chunk away that it needed next, and panicked.
#[test]
fn a_log_whose_middle_is_shared_is_restored() {
    let (mut source, mut replica) = (world_that_keeps(3), world_that_keeps(3));
    let pool = SnapshotPool::default();
    (0..4_u32).for_each(|number| source.send_event(number));
    let past = source.capture(ALL, &pool);
    replica.sync_from(&source, ALL).unwrap();
    let first = replica.capture(ALL, &pool);
    (4..7_u32).for_each(|number| source.send_event(number));
    source.restore(&past).unwrap();
    replica.sync_from(&source, ALL).unwrap();
    (4..6_u32).for_each(|number| replica.send_event(number));
    replica.restore(&first).unwrap();
    assert_eq!(read(&replica, &mut EventCursor::default()), [0, 1, 2, 3]);
}

/// A cursor that had read a branch took all that the base sent from then on for the past, and one of
/// another branch the same.
#[test]
fn a_cursor_comes_back_from_a_branch_and_goes_on_in_another() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let mut cursor = EventCursor::default();
    (1..4_u32).for_each(|number| world.send_event(number));
    assert_eq!(read(&world, &mut cursor), [1, 2, 3]);
    let start = world.capture(ALL, &pool);
    let [mut left, mut right] = [(); 2].map(|()| World::branch(&start).unwrap());
    (10..13_u32).for_each(|number| left.send_event(number));
    right.send_event(20_u32);
    assert_eq!(read(&left, &mut cursor), [10, 11, 12]);
    assert_eq!(read(&world, &mut cursor), [], "the base has sent nothing since");
    assert_eq!(start.events(&mut cursor).count(), 0, "nor is its snapshot news");
    left.send_event(13_u32);
    assert_eq!((read(&left, &mut cursor), cursor.taken_back()), (vec![13], 0));
    world.send_event(4_u32);
    assert_eq!((read(&world, &mut cursor), cursor.taken_back()), (vec![4], 4));
    assert_eq!((read(&right, &mut cursor), cursor.taken_back()), (vec![20], 5));
    right.send_event(21_u32);
    assert_eq!((read(&right, &mut cursor), cursor.taken_back()), (vec![21], 5));
    assert_eq!(cursor.lost(), 0);
}

/// A cursor waited in another world until as many events had been sent as in the one before.
#[test]
fn a_cursor_begins_anew_in_a_world_that_has_nothing_in_common_with_the_last() {
    let mut worlds = [World::new(), World::new()];
    let mut cursor = EventCursor::default();
    for (round, place) in [0, 1, 0, 1].into_iter().enumerate() {
        let world = &mut worlds[place];
        let before = read(world, &mut EventCursor::default());
        let events = [round as u32, 100 + round as u32];
        events.iter().for_each(|&event| world.send_event(event));
        let all = [&before[..], &events].concat();
        assert_eq!(read(world, &mut cursor), all, "all that it has sent");
        world.send_event(7_u32);
        assert_eq!(read(world, &mut cursor), [7]);
    }
    // An empty world says nothing, and makes nobody read again.
    assert_eq!(read(&World::new(), &mut cursor), []);
    worlds[1].send_event(8_u32);
    assert_eq!((read(&worlds[1], &mut cursor), cursor.lost()), (vec![8], 0));
}

/// A replica had its own timelines before its first sync, which are not those of its source.
#[test]
fn a_cursor_of_a_replica_that_was_read_before_its_first_sync_goes_on() {
    let (mut source, mut replica) = (World::new(), World::new());
    replica.register_event::<u32>().unwrap();
    let empty = replica.capture(ALL, &SnapshotPool::default());
    let mut cursor = EventCursor::default();
    assert_eq!(read(&replica, &mut cursor), []);
    for number in 0..3_u32 {
        source.send_event(number);
        replica.sync_from(&source, ALL).unwrap();
        assert_eq!(read(&replica, &mut cursor), [number], "each once");
        assert_eq!(empty.events(&mut cursor).count(), 0);
        assert_eq!(read(&source, &mut cursor), [], "the source has sent the same");
    }
    assert_eq!((cursor.taken_back(), cursor.lost()), (0, 0));
}
