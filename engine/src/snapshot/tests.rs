//! Tests that set the event counts of a world.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use crate::storage::ComponentMask;
use crate::world::World;
use crate::world::events::EventCursor;

use super::pool::SnapshotPool;

const ALL: ComponentMask = ComponentMask::ALL;
/// As many events as take no memory and more than 32 bits.
const SENT: usize = (1 << 32) + 5;

/// A world that has sent events without bytes, and a cursor that wants the last six of them.
fn world() -> (World, EventCursor<()>) {
    let mut world = World::new();
    world.send_event(());
    world.state.logs[0].push_many(SENT - 1);
    (world, EventCursor::starting_at((1 << 32) - 1))
}

/// Snapshots counted records in 32 bits, so that views, restores and branches lost those beyond.
#[test]
fn events_without_bytes_are_counted_beyond_32_bits() {
    let (mut world, cursor) = world();
    assert_eq!(world.events(&mut cursor.clone()).len(), 6);
    let pool = SnapshotPool::default();
    let view = world.capture(ALL, &pool);
    assert_eq!(view.events(&mut cursor.clone()).len(), 6);
    world.send_event(());
    let later = world.capture(ALL, &pool);
    assert_eq!(later.events(&mut cursor.clone()).len(), 7);

    let mut branch = World::branch(&view).unwrap();
    assert_eq!(branch.events(&mut cursor.clone()).len(), 6);
    branch.send_event(());
    assert_eq!(branch.event_cursor::<()>().next_sequence(), SENT as u64 + 1);

    let mut read = cursor.clone();
    assert_eq!(world.events(&mut read).count(), 7);
    world.restore(&view).unwrap();
    assert_eq!(world.event_cursor::<()>().next_sequence(), SENT as u64);
    assert_eq!((world.events(&mut read).len(), read.taken_back()), (0, 1));
    assert_eq!(world.events(&mut cursor.clone()).len(), 6);
    world.clear().unwrap();
    world.restore(&later).unwrap();
    assert_eq!(world.events(&mut cursor.clone()).len(), 7);
}

/// A replica that had sent events of its own compared all records with those of its source.
#[test]
fn replicas_follow_more_events_than_32_bits_count() {
    let (mut source, cursor) = world();
    let mut replica = World::new();
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(replica.events(&mut cursor.clone()).len(), 6);
    replica.send_event(());
    source.send_event(());
    source.send_event(());
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(replica.events(&mut cursor.clone()).len(), 8);
    let (other, _) = world();
    replica.sync_from(&other, ALL).unwrap();
    assert_eq!(replica.event_cursor::<()>().next_sequence(), SENT as u64);
}
