//! Tests of the index by itself.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_pool::ArenaConfig;

use super::*;
use crate::storage::component::ChunkShape;

fn index() -> (EntityIndex, Memory) {
    let shape = ChunkShape { bytes_max: 16 * 1024, rows_max: usize::MAX };
    let info = ComponentInfo::unregistered::<Slot>(shape);
    (EntityIndex::new(&info), Memory::new(ArenaConfig::default()))
}

fn spawn(index: &mut EntityIndex, memory: &mut Memory) -> Entity {
    let entity = index.allocate(memory).unwrap();
    index.occupy(entity, Location { archetype: ArchetypeId::new(0), row: 0 }, memory.now());
    entity
}

#[test]
fn the_last_slot_is_given_out_and_then_an_error() {
    let (mut index, mut memory) = index();
    let fresh = &index.fresh;
    fresh.store(NONE - 3, Ordering::Relaxed);
    assert_eq!(index.take_handles(3).len(), 0, "all or none of the fresh indices");
    assert_eq!(index.take_handle().unwrap(), Entity::new(NONE - 3, 1));
    assert!(index.prepare_many(2, &mut memory).is_err());
    assert_eq!(index.take_handles(1).len(), 1, "a failed batch keeps no index");
    assert!(matches!(index.take_handle(), Err(SpawnError::Entities)));
    assert!(matches!(index.allocate(&mut memory), Err(SpawnError::Entities)));
    assert!(matches!(index.prepare_many(1, &mut memory), Err(SpawnError::Entities)));
    assert_eq!(index.len(), 0, "no slot was made");
}

#[test]
fn free_slots_are_used_when_no_fresh_index_is_left() {
    let (mut index, mut memory) = index();
    let entities: Vec<_> = (0..64).map(|_| spawn(&mut index, &mut memory)).collect();
    index.fresh.store(NONE - 1, Ordering::Relaxed);
    assert!(index.allocate(&mut memory).is_err());
    index.prepare_free(entities[5], &mut memory).unwrap();
    index.free(entities[5], memory.now());
    assert_eq!(index.take_handle().unwrap(), Entity::new(5, 2));
    assert!(index.allocate(&mut memory).is_err());
}

#[test]
fn reservations_settle_before_the_free_list_changes() {
    let (mut index, mut memory) = index();
    let entities: Vec<_> = (0..4).map(|_| spawn(&mut index, &mut memory)).collect();
    for &entity in &entities[..3] {
        index.prepare_free(entity, &mut memory).unwrap();
        index.free(entity, memory.now());
    }
    let reserved = index.take_handle().unwrap();
    assert_eq!(reserved, Entity::new(2, 2));
    assert!(!index.slots.get::<Slot>(2).is_reserved(2), "a shared reference writes nothing");
    assert_eq!(spawn(&mut index, &mut memory), Entity::new(1, 2));
    assert!(index.slots.get::<Slot>(2).is_reserved(2));
    assert!(index.prepare_reserved(reserved, &mut memory).unwrap().is_some());
    assert!(index.prepare_reserved(Entity::new(40, 1), &mut memory).unwrap().is_none());
}

/// Gives fresh indices back that were taken from the index at once.
fn give_back(index: &EntityIndex, mut taken: TakenHandles) {
    index.returned.give_back_fresh(0, taken.take_fresh());
}

/// Indices that were given back were listed one by one, and got a slot each.
#[test]
fn fresh_indices_come_back_as_ranges() {
    let (mut index, mut memory) = index();
    let first = index.take_handles(1_000_000_000);
    let (second, third) = (index.take_handle().unwrap(), index.take_handles(1_000_000_000));
    assert_eq!(Some(second.index()), territory::own_after(0, 1_000_000_000));
    give_back(&index, third);
    give_back(&index, first);
    assert!(index.prepare_reserved(Entity::new(7, 1), &mut memory).unwrap().is_none());
    assert_eq!(index.fresh.load(Ordering::Relaxed), second.index() + 1, "the last ones");
    assert!(index.prepare_reserved(Entity::new(999_999_999, 1), &mut memory).unwrap().is_none());
    assert!(
        index.recalled.iter().eq([&(0..second.index())]),
        "what lies below one that is reserved"
    );
    for number in 0..64 {
        assert_eq!(spawn(&mut index, &mut memory), Entity::new(number, 1));
    }
    let slots = index.prepare_many(100, &mut memory).unwrap();
    assert_eq!((slots.recalled.clone(), slots.fresh.len()), (64..164, 0));
    index.forget_recalled(&slots.recalled);
    assert_eq!(index.len(), 164);
    let fresh = second.index()..second.index() + 1;
    give_back(&index, TakenHandles { next: NONE, free: 0, fresh, fresh_left: 1 });
    index.recall_fresh();
    assert_eq!(index.fresh.load(Ordering::Relaxed), 164, "all above");
    assert!(index.recalled.is_empty());
}

/// A batch that found no memory on the way left the slots that it had made, and so another hash.
#[test]
fn a_batch_that_fails_leaves_slots_and_counters_as_they_were() {
    let (mut index, _) = index();
    let config = ArenaConfig::default().limit_bytes(16 * 4096).first_slab_bytes(4096);
    let mut memory = Memory::new(config);
    assert!(index.prepare_many(100_000, &mut memory).is_err());
    assert_eq!((index.len(), index.head().fresh), (0, 0));
    let slots = index.prepare_many(1, &mut memory);
    assert_eq!(slots.unwrap().fresh, 0..1);
}
