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
    index.place(entity, Location { archetype: ArchetypeId::new(0), row: 0 });
    entity
}

#[test]
fn the_last_slot_is_given_out_and_then_an_error() {
    let (mut index, mut memory) = index();
    let fresh = &index.handles.0.fresh;
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
    index.handles.0.fresh.store(NONE - 1, Ordering::Relaxed);
    assert!(index.allocate(&mut memory).is_err());
    index.prepare_free(entities[5], &mut memory).unwrap();
    index.free(entities[5]);
    assert_eq!(index.take_handle().unwrap(), Entity::new(5, 2));
    assert!(index.allocate(&mut memory).is_err());
}

#[test]
fn reservations_settle_before_the_free_list_changes() {
    let (mut index, mut memory) = index();
    let entities: Vec<_> = (0..4).map(|_| spawn(&mut index, &mut memory)).collect();
    for &entity in &entities[..3] {
        index.prepare_free(entity, &mut memory).unwrap();
        index.free(entity);
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
    index.handles.give_back_fresh(0, taken.take_fresh());
}

/// Indices that were given back were listed one by one, and got a slot each.
#[test]
fn fresh_indices_come_back_as_ranges() {
    let (mut index, mut memory) = index();
    let first = index.take_handles(1_000_000_000);
    let (second, third) = (index.take_handle().unwrap(), index.take_handles(1_000_000_000));
    give_back(&index, third);
    give_back(&index, first);
    assert!(index.prepare_reserved(Entity::new(7, 1), &mut memory).unwrap().is_none());
    assert_eq!(index.handles.0.fresh.load(Ordering::Relaxed), 1_000_000_001, "the last ones");
    assert!(index.prepare_reserved(Entity::new(999_999_999, 1), &mut memory).unwrap().is_none());
    assert!(
        index.recalled.iter().eq([&(0..1_000_000_000)]),
        "what lies below one that is reserved"
    );
    for number in 0..BLOCK {
        assert_eq!(spawn(&mut index, &mut memory), Entity::new(number, 1));
    }
    let slots = index.prepare_many(100, &mut memory).unwrap();
    assert_eq!((slots.recalled.clone(), &slots.claimed), (BLOCK..BLOCK + 100, &(0..0)));
    index.forget_recalled(&slots.recalled);
    assert_eq!(index.len(), BLOCK as usize + 100);
    give_back(
        &index,
        TakenHandles { next: NONE, free: 0, fresh: second.index()..second.index() + 1 },
    );
    index.recall_fresh();
    assert_eq!(index.handles.0.fresh.load(Ordering::Relaxed), BLOCK + 100, "all above");
    assert!(index.recalled.is_empty());
}

#[test]
fn a_batch_takes_the_slots_that_single_spawns_would_take_in_the_same_order() {
    let shape = ChunkShape { bytes_max: 16 * 1024, rows_max: 8 };
    let slot = ComponentInfo::unregistered::<Slot>(shape);
    let handle = ComponentInfo::unregistered::<Entity>(shape);
    let worlds = [(); 2].map(|()| {
        let mut memory = Memory::new(ArenaConfig::default());
        let mut index = EntityIndex::new(&slot);
        let entities: Vec<_> = (0..100).map(|_| spawn(&mut index, &mut memory)).collect();
        // Runs upwards and downwards, lone slots, and runs across the ends of chunks.
        let freed = (20..45).rev().chain(60..65).chain([5, 7, 9]).chain((80..99).rev());
        for number in freed {
            index.prepare_free(entities[number], &mut memory).unwrap();
            index.free(entities[number]);
        }
        (index, memory)
    });
    let [(mut index, mut memory), (mut singles, mut other_memory)] = worlds;
    let mut handles = Column::new(ComponentId::ENTITY, &handle);
    let mut row = 3;
    for count in [1, 30, 0, 12, 40] {
        handles.prepare_append_run(row..row + count, 0, &mut memory).unwrap();
        let slots = index.prepare_many(count, &mut memory).unwrap();
        let first = Location { archetype: ArchetypeId::new(1), row: row as u32 };
        index.place_many(slots, first, &mut handles);
        for row in row..row + count {
            let entity = *handles.get::<Entity>(row);
            assert_eq!(entity, spawn(&mut singles, &mut other_memory));
            let location = Location { archetype: ArchetypeId::new(1), row: row as u32 };
            assert_eq!(index.locate(entity), Some(location));
        }
        row += count;
    }
    assert_eq!(index.alive, singles.alive);
    assert_eq!(index.free_head.get_mut(), singles.free_head.get_mut());
}
