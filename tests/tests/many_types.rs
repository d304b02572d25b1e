//! Worlds with as many types as there are ids, and tables with more columns than a byte counts.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_engine::component::{COMPONENTS_MAX, ComponentDescription, ComponentId, RegisterError};
use convoy_engine::snapshot::diff;
use convoy_engine::{ComponentMask, SnapshotPool, World};
use convoy_tests::Mixer;

/// A world that knows as many components as it can, and their ids. The entity handles have one.
fn crowded() -> (World, Vec<ComponentId>) {
    let mut world = World::new();
    let ids = (1..COMPONENTS_MAX).map(|number| {
        let name = format!("component {number}");
        let description = ComponentDescription { name: &name, size: 8, align: 8 };
        world.register_described(description).unwrap()
    });
    let ids = ids.collect();
    (world, ids)
}

fn value_of(id: ComponentId, seed: u64) -> [u8; 8] {
    ((id.index() as u64 * 0x9e37_79b9) ^ seed).to_le_bytes()
}

/// Random sets of up to `count` ids.
fn some(ids: &[ComponentId], count: usize, mixer: &mut Mixer) -> Vec<ComponentId> {
    let mut ids = ids.to_vec();
    let wanted = 1 + mixer.below(count);
    while ids.len() > wanted {
        let index = mixer.below(ids.len());
        ids.swap_remove(index);
    }
    ids
}

#[test]
fn there_are_as_many_types_as_ids_and_no_more() {
    const { assert!(COMPONENTS_MAX >= 1024) };
    let (mut world, ids) = crowded();
    assert_eq!(ids.len(), COMPONENTS_MAX - 1);
    let error = world.register::<u64>().unwrap_err();
    assert!(matches!(error, RegisterError::TooManyTypes { .. }), "{error}");
    assert!(world.try_spawn((1_u64,)).is_err() && world.entity_count() == 0);
    assert_eq!(ComponentMask::ALL.len(), COMPONENTS_MAX);
}

#[test]
fn entities_with_any_components_keep_their_values() {
    let ((mut world, ids), mut mixer) = (crowded(), Mixer::new(3));
    let pool = SnapshotPool::for_world(&world);
    let mut entities = Vec::new();
    for seed in 0..60 {
        // Some have more components than a byte counts.
        let held = some(&ids, if seed % 3 == 0 { 700 } else { 6 }, &mut mixer);
        let values: Vec<_> = held.iter().map(|&id| value_of(id, seed)).collect();
        let components: Vec<_> =
            held.iter().zip(&values).map(|(&id, value)| (id, &value[..])).collect();
        entities.push((world.spawn_described(&components).unwrap(), held, seed));
    }
    let view = world.capture(ComponentMask::ALL, &pool);
    let hash = world.state_hash();
    for (entity, held, seed) in &mut entities {
        let gone = some(held, held.len(), &mut mixer);
        world.remove_described(*entity, &gone).unwrap();
        for &id in held.iter() {
            assert_eq!(world.get_bytes(*entity, id).is_ok(), !gone.contains(&id));
            assert_eq!(view.get_bytes(*entity, id).unwrap(), value_of(id, *seed));
        }
        held.retain(|id| !gone.contains(id));
    }
    for (entity, held, seed) in &entities {
        for &id in held {
            assert_eq!(world.get_bytes(*entity, id).unwrap(), value_of(id, *seed));
        }
    }
    for _ in 0..50 {
        let asked = some(&ids, 2, &mut mixer);
        let expected =
            entities.iter().filter(|(_, held, _)| asked.iter().all(|id| held.contains(id)));
        let found = world.query_described(&asked, &[]).unwrap();
        assert_eq!(found.count(), expected.count());
    }
    let newer = world.capture(ComponentMask::ALL, &pool);
    let changed = diff(&view, &newer).unwrap();
    assert!(!changed.is_empty());

    let some = ComponentMask::from_iter(some(&ids, 40, &mut mixer));
    let narrowed = view.clone().narrow(some);
    for &id in &ids {
        assert!(narrowed.get_bytes(entities[0].0, id).is_err(), "no handles");
        assert_eq!(narrowed.mask().contains(id), some.contains(id));
    }
    world.restore(&view).unwrap();
    assert_eq!(world.state_hash(), hash);
    let mut replica = World::new();
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    assert_eq!(replica.state_hash(), hash);
}
