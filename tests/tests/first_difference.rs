//! Where two states first differ, and events and resources by their bytes.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_engine::events::EventCursor;
use convoy_engine::query::ReadError;
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::snapshot::{Difference, first_difference};
use convoy_engine::world::{ResourceError, SpawnError};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World};
use convoy_tests::{Byte, Mixer, Value};

const ALL: ComponentMask = ComponentMask::ALL;

/// Two worlds that have met their types in different orders and hold the same.
fn twins() -> (World, World, Vec<Entity>) {
    let (mut one, mut other) = (World::new(), World::new());
    other.register_resource::<u64>().unwrap();
    other.register::<f32>().unwrap();
    let bundle = |number: u32| (number, number as f32);
    let entities = (0..100).map(|number| one.spawn(bundle(number))).collect::<Vec<_>>();
    for number in 0..100 {
        other.spawn(bundle(number));
    }
    for world in [&mut one, &mut other] {
        for &entity in entities.iter().step_by(3) {
            world.insert(entity, (Byte::Ten,)).unwrap();
        }
        world.insert_resource(5_u64).unwrap();
    }
    (one, other, entities)
}

#[test]
fn the_first_difference_is_found_by_entity_component_and_resource() {
    let (mut one, mut other, entities) = twins();
    assert!(first_difference(&one, &other).is_none());
    let pool = SnapshotPool::for_world(&one);
    let before = one.capture(ALL, &pool);
    assert!(
        first_difference(&before, &other).is_none() && first_difference(&one, &before).is_none()
    );

    *other.resource_mut::<u64>().unwrap() = 6;
    let found = first_difference(&one, &other).unwrap();
    assert!(matches!(
        found,
        Difference::Resource { resource: "u64", first: Some(_), second: Some(_) }
    ));
    other.remove_resource::<u64>().unwrap();
    let found = first_difference(&one, &other).unwrap();
    assert!(matches!(found, Difference::Resource { first: Some(_), second: None, .. }));

    other.despawn(entities[90]).unwrap();
    let found = first_difference(&one, &other).unwrap();
    assert!(
        matches!(found, Difference::Alive { entity, in_first: true } if entity == entities[90])
    );
    other.remove::<(Byte,)>(entities[60]).unwrap();
    let found = first_difference(&one, &other).unwrap();
    assert!(
        matches!(found, Difference::Has { entity, in_first: true, .. } if entity == entities[60])
    );
    *other.get_mut::<f32>(entities[30]).unwrap() = -1.0;
    let found = first_difference(&one, &other).unwrap();
    let Difference::Value { entity, component: "f32", first, second } = found else {
        panic!("{found}")
    };
    assert_eq!(
        (entity, first.bytes(), second.bytes()),
        (entities[30], &30.0_f32.to_ne_bytes()[..], &(-1.0_f32).to_ne_bytes()[..])
    );
    assert!(found.to_string().contains(&entities[30].to_string()), "{found}");
    let found = first_difference(&other, &before).unwrap();
    assert!(matches!(found, Difference::Value { entity, .. } if entity == entities[30]));
    // Values that one of the two can't read are left out; which components there are is known.
    other.insert(entities[60], (Byte::Last,)).unwrap();
    let narrow = before.narrow(one.mask_of::<(Entity, u32)>().unwrap());
    let found = first_difference(&narrow, &other).unwrap();
    assert!(matches!(found, Difference::Alive { entity, .. } if entity == entities[90]));
}

/// Any one byte that differs is found, and nothing is where none does.
#[test]
fn one_changed_byte_anywhere_is_the_first_difference() {
    let mut mixer = Mixer::new(21);
    let (mut one, other, entities) = twins();
    for _ in 0..200 {
        let entity = entities[mixer.below(entities.len())];
        let id = one.component_id::<u32>().unwrap();
        let old: [u8; 4] = one.get_bytes(entity, id).unwrap().try_into().unwrap();
        let mut new = old;
        new[mixer.below(4)] ^= 1 << mixer.below(8);
        one.set_bytes(entity, id, &new).unwrap();
        let found = first_difference(&one, &other).unwrap();
        assert!(
            matches!(found, Difference::Value { entity: at, component: "u32", .. } if at == entity)
        );
        one.set_bytes(entity, id, &old).unwrap();
        assert!(first_difference(&one, &other).is_none());
    }
}

#[test]
fn events_and_resources_go_by_bytes_and_names() {
    let schema = Schema::builder()
        .event(TypeEntry::<Byte>::new().named("mood", 1))
        .resource(TypeEntry::<Byte>::new().named("weather", 1))
        .event(TypeEntry::<()>::new().named("bell", 1))
        .build()
        .unwrap();
    let mut world = World::with_schema(&schema);
    let (mood, bell) =
        (world.event_id_by_name("mood").unwrap(), world.event_id_by_name("bell").unwrap());
    let weather = world.resource_id_by_name("weather").unwrap();
    assert!(world.event_id_by_name("weather").is_none());
    for seed in 0..70_000 {
        let bytes = bytemuck::bytes_of(&Byte::from_seed(seed)).to_vec();
        world.send_event_bytes(mood, &bytes).unwrap();
    }
    world.send_event(Byte::Last);
    world.send_event_bytes(bell, &[]).unwrap();
    assert_eq!(world.event_bytes(bell, 0).unwrap().count(), 1);
    let mut events = world.event_bytes(mood, 0).unwrap();
    let first = events.next_sequence();
    assert!(events.lost() == first && events.len() as u64 == 70_001 - first);
    let (number, bytes) = events.next().unwrap();
    assert_eq!((number, bytes), (first, bytemuck::bytes_of(&Byte::from_seed(first))));
    assert_eq!(events.last(), Some((70_000, &[255][..])));
    assert_eq!(world.event_bytes(mood, u64::MAX).unwrap().count(), 0);
    let mut cursor = EventCursor::<Byte>::default();
    assert_eq!(world.events(&mut cursor).last(), Some(Byte::Last));

    let (refused, short) = (world.send_event_bytes(mood, &[1]), world.send_event_bytes(mood, &[]));
    assert!(matches!(refused, Err(SpawnError::Value { entity: None, component: "mood", .. })));
    assert!(matches!(short, Err(SpawnError::Bytes { expected: 1, found: 0, .. })));
    assert!(matches!(world.send_event_bytes(weather, &[10]), Err(SpawnError::Unknown { .. })));
    assert!(matches!(world.event_bytes(weather, 0), Err(ReadError::Unknown { .. })));

    assert!(matches!(world.resource_bytes(weather), Err(ReadError::NoResource { .. })));
    world.set_resource_bytes(weather, &[20]).unwrap();
    let view = world.capture(ALL, &SnapshotPool::for_world(&world));
    world.set_resource_bytes(weather, &[30]).unwrap();
    let refused = world.set_resource_bytes(weather, &[31]).unwrap_err();
    assert!(matches!(refused, ResourceError::Value { .. }) && refused.to_string().contains("0x1f"));
    assert!(matches!(world.set_resource_bytes(weather, &[1, 2]), Err(ResourceError::Bytes { .. })));
    assert!(matches!(world.set_resource_bytes(mood, &[10]), Err(ResourceError::Unknown { .. })));
    assert_eq!(world.resource_bytes(weather).unwrap(), [30]);
    assert_eq!(view.resource_bytes(weather).unwrap(), [20]);
    assert_eq!(view.resource::<Byte>().unwrap(), &Byte::Twenty);
    assert_eq!(view.event_bytes(mood, 70_000).unwrap().count(), 1);
    assert!(matches!(view.event_bytes(weather, 0), Err(ReadError::Unknown { .. })));
    let narrow = view.narrow(ComponentMask::NONE);
    assert!(matches!(narrow.resource_bytes(weather), Err(ReadError::NotReadable { .. })));
    assert!(matches!(narrow.event_bytes(mood, 0), Err(ReadError::NotReadable { .. })));
}
