//! Entities that come and go, one by one and many at once.

use crate::common::*;

pub(crate) fn spawn_and_despawn() -> Frame {
    let (world, mut entities) = filled();
    let mut mixer = Mixer::new(1);
    on(world, move |world, frame| {
        for _ in 0..50 {
            let index = mixer.below(entities.len());
            world.despawn(entities.swap_remove(index)).unwrap();
            entities.push(world.spawn((frame, [0.5_f32; 3])));
        }
    })
}

pub(crate) fn spawn_batch() -> Frame {
    let (world, _) = filled();
    on(world, |world, frame| {
        let spawned = world.spawn_batch((0..300_u32).map(|number| (number, 0.5_f64))).unwrap();
        assert_eq!(spawned.len(), 300);
        assert_eq!(world.query_mut::<&u32>().filter::<With<f64>>().despawn().unwrap(), 300);
        black_box(frame);
    })
}

pub(crate) fn spawn_columns() -> Frame {
    let (world, _) = filled();
    let (numbers, positions) = ([7_u32; 300], [[0.5_f32; 3]; 300]);
    let mut entities = Vec::with_capacity(300);
    on(world, move |world, _| {
        entities.clear();
        entities.extend(world.spawn_columns((&numbers[..], &positions[..])).unwrap());
        assert_eq!(world.despawn_many(&entities).unwrap().changed, 300);
    })
}

pub(crate) fn spawn_at() -> Frame {
    let (world, _) = filled();
    let mut reserved = Vec::with_capacity(100);
    on(world, move |world, frame| {
        reserved.push(world.reserve_entity());
        reserved.extend(world.reserve_entities(40).unwrap());
        for (number, &entity) in reserved.iter().enumerate() {
            if number % 4 == 0 {
                world.unreserve_entity(entity).unwrap();
            } else {
                world.spawn_at(entity, (frame, [0.0_f32; 3])).unwrap();
                world.despawn(entity).unwrap();
            }
        }
        reserved.clear();
    })
}

pub(crate) fn reserve_and_clear() -> Frame {
    let (world, _) = filled();
    on(world, |world, frame| {
        world.clear().unwrap();
        world.reserve::<Row>(500).unwrap();
        world.reserve_lists::<Row>(1000).unwrap();
        (0..500).for_each(|number| _ = world.spawn((frame + number, [1.0_f32; 3])));
    })
}

pub(crate) fn insert_and_remove() -> Frame {
    let (world, entities) = filled();
    on(world, move |world, frame| {
        for entity in entities.iter().skip(frame as usize % 10).step_by(10) {
            if world.remove::<(u8,)>(*entity).is_err() {
                world.insert(*entity, (1_u8,)).unwrap();
            }
            world.insert(*entity, (frame,)).unwrap();
        }
    })
}

pub(crate) fn exchange() -> Frame {
    let (mut world, entities) = filled();
    entities.iter().for_each(|&entity| world.insert(entity, (1_u8,)).unwrap());
    on(world, move |world, frame| {
        let some = entities.iter().skip(frame as usize % 10).step_by(10);
        some.for_each(|&entity| match world.exchange::<(u8,), _>(entity, (2_u16,)) {
            Ok(_) => {}
            Err(_) => drop(world.exchange::<(u16,), _>(entity, (1_u8,)).unwrap()),
        });
    })
}

pub(crate) fn change_many() -> Frame {
    let (world, entities) = filled();
    let mut mixer = Mixer::new(2);
    let mut list = Vec::with_capacity(400);
    on(world, move |world, frame| {
        list.clear();
        list.extend((0..200).map(|_| entities[mixer.below(entities.len())]));
        world.insert_many(&list, (frame as u8,)).unwrap();
        world.insert_many(&list, (frame, 1.0_f64)).unwrap();
        assert!(world.remove_many::<(u8,)>(&list).unwrap().changed > 100);
        world.remove_many::<(f64,)>(&list).unwrap();
    })
}

pub(crate) fn change_query() -> Frame {
    let (mut world, entities) = filled();
    entities[..500].iter().for_each(|&entity| world.insert(entity, (1.0_f64,)).unwrap());
    on(world, |world, frame| {
        let inserted = world.query_mut::<&u32>().filter::<With<f64>>().insert((frame as u8,));
        assert_eq!(inserted.unwrap(), 500);
        assert_eq!(world.query_mut::<&u8>().remove::<(u8,)>().unwrap(), 500);
    })
}

pub(crate) fn described() -> Frame {
    let (mut world, entities) = filled();
    let mut ids = [ComponentId::ENTITY; 2];
    for (id, name) in ids.iter_mut().zip(["charge", "spin"]) {
        *id = world.register_described(ComponentDescription { name, size: 12, align: 4 }).unwrap();
    }
    on(world, move |world, frame| {
        let bytes = [frame as u8; 12];
        let spawned = world.spawn_described(&[(ids[0], &bytes), (ids[1], &bytes)]).unwrap();
        for entity in entities.iter().skip(frame as usize % 10).step_by(10) {
            world.insert_described(*entity, &[(ids[0], &bytes)]).unwrap();
            world.set_bytes(*entity, ids[0], &bytes).unwrap();
            assert_eq!(world.get_bytes(*entity, ids[0]).unwrap(), bytes);
        }
        let rows: usize =
            world.query_described(&ids[..1], &[]).unwrap().iter().map(|run| run.len()).sum();
        assert_eq!(rows, 101);
        for entity in entities.iter().skip(frame as usize % 10).step_by(10) {
            world.remove_described(*entity, &ids[..1]).unwrap();
        }
        world.despawn(spawned).unwrap();
    })
}

pub(crate) fn look_up() -> Frame {
    let (world, entities) = filled();
    on(world, move |world, frame| {
        for &entity in &entities {
            *world.get_mut::<u32>(entity).unwrap() += frame;
            black_box((world.get::<Position>(entity).unwrap(), world.contains(entity)));
        }
    })
}
