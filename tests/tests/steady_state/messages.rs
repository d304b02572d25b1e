//! Resources, the hierarchy, events, commands and toggles.

use convoy_engine::list::List;
use convoy_engine::text::Text;

use crate::common::*;

pub(crate) fn resources() -> Frame {
    let mut world = World::with_config(config());
    world.insert_resource(0_u64).unwrap();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        let view = snapshots.take(world, frame);
        *world.resource_mut::<u64>().unwrap() += 1;
        assert_eq!(view.resource::<u64>().unwrap() + 1, *world.resource::<u64>().unwrap());
        world.insert_resource([frame; 4]).unwrap();
        assert_eq!(world.remove_resource::<[u32; 4]>().unwrap(), [frame; 4]);
        assert!(!world.contains_resource::<[u32; 4]>());
    })
}

pub(crate) fn locals() -> Frame {
    let mut world = World::with_config(config());
    world.insert_local(Arc::new(0_u32));
    on(world, |world, frame| {
        let value = world.remove_local::<Arc<u32>>().unwrap();
        world.insert_local(value);
        *Arc::get_mut(world.local_mut::<Arc<u32>>().unwrap()).unwrap() = frame;
        assert_eq!(**world.local::<Arc<u32>>().unwrap(), frame);
    })
}

/// Texts that are known: short and long ones, from the world and from commands, in views and after a restore.
pub(crate) fn texts() -> Frame {
    const CONTENTS: [&str; 4] = ["short", "a text of more bytes", "and one more of them", "ÄÖÜ"];
    let (mut world, entities) = filled();
    let names = CONTENTS.map(|content| world.text(content));
    entities.iter().for_each(|&entity| world.insert(entity, (names[0],)).unwrap());
    let mut commands = Commands::new(&mut world);
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        let content = CONTENTS[frame as usize % 4];
        let entity = entities[frame as usize % entities.len()];
        *world.get_mut::<Text>(entity).unwrap() = world.text(CONTENTS[(frame as usize + 1) % 4]);
        let name = commands.text(content);
        commands.insert(entity, (name,));
        assert_eq!(world.play_back(&mut commands).applied, 1);
        let view = snapshots.take(world, frame);
        assert_eq!(view.resolve(view.get::<Text>(entity).unwrap()).unwrap(), content);
        assert!(world.query::<&Text>().iter().all(|text| world.resolve(text).is_ok()));
    })
}

/// Lists that grow and shrink, by handle and in queries, go with their entities, and are seen by views.
pub(crate) fn lists() -> Frame {
    let (mut world, mut entities) = filled();
    entities.iter().for_each(|&entity| world.insert(entity, (List::<u32>::new(),)).unwrap());
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        for number in (frame as usize % 10..entities.len()).step_by(10) {
            let mut list = world.list_mut::<u32>(entities[number]).unwrap();
            list.clear();
            list.extend(0..(number as u32 + frame) % 30);
        }
        let oldest = frame as usize % entities.len();
        world.despawn(entities[oldest]).unwrap();
        entities[oldest] = world.spawn((frame, [0.5_f32; 3], List::<u32>::new()));
        world.query_mut::<&mut List<u32>>().for_each(|mut list| {
            list.push(frame);
            list.swap_remove(0);
        });
        let view = snapshots.take(world, frame);
        let len = |list: &[u32]| list.len();
        let (then, now) = (view.query::<&List<u32>>(), world.query::<&List<u32>>());
        assert!(then.iter().map(len).eq(now.iter().map(len)));
    })
}

pub(crate) fn parents() -> Frame {
    let (world, entities) = filled();
    on(world, move |world, frame| {
        let (parents, children) = entities.split_at(10);
        let parent = parents[frame as usize % 10];
        for &child in children.iter().skip(frame as usize % 20).step_by(20) {
            world.set_parent(child, parent).unwrap();
            world.set_parent_at(child, parent, 0).unwrap();
            if frame % 3 == 0 {
                world.remove_parent(child).unwrap();
            }
        }
    })
}

pub(crate) fn trees() -> Frame {
    let (world, entities) = filled();
    on(world, move |world, frame| {
        let root = world.spawn((frame, [0.0_f32; 3]));
        for _ in 0..5 {
            let branch = world.spawn((frame, [0.0_f32; 3]));
            world.set_parent(branch, root).unwrap();
            for _ in 0..5 {
                let leaf = world.spawn((frame, [0.0_f32; 3]));
                world.set_parent(leaf, branch).unwrap();
            }
        }
        world.set_parent(root, entities[0]).unwrap();
        assert_eq!(world.children(root).unwrap().count(), 5);
        assert_eq!(world.descendants(root).unwrap().count(), 30);
        assert_eq!(world.despawn_tree(root).unwrap(), 31);
    })
}

pub(crate) fn events() -> Frame {
    let world = World::with_config(config());
    let mut cursor = world.event_cursor::<[u32; 3]>();
    let mut late = EventCursor::<u64>::default();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        for number in 0..40 {
            world.send_event([frame, number, 0]);
            world.send_event(u64::from(number));
        }
        assert_eq!(world.events(&mut cursor).count(), 40);
        let view = snapshots.take(world, frame);
        if frame % 10 == 0 {
            black_box(view.events(&mut late).count());
        }
    })
}

/// Two buffers a frame, made and dropped. One is played back after the other one's commands and, now
/// and then, after a restore, and dropped with something recorded.
pub(crate) fn commands_of_a_frame() -> Frame {
    let (world, _) = filled();
    let pool = SnapshotPool::for_world(&world);
    on(world, move |world, frame| {
        let view = frame.is_multiple_of(10).then(|| world.capture(ComponentMask::ALL, &pool));
        let (mut one, mut other) = (Commands::new(world), Commands::new(world));
        for number in 0..100_u32 {
            let entity = one.spawn((number, [0.0_f32; 3]));
            one.insert(entity, (2_u8,));
            other.despawn(entity);
        }
        assert_eq!(world.play_back(&mut one).applied, 200);
        if let Some(view) = view {
            world.restore(&view).unwrap();
            assert_eq!(world.play_back(&mut other).dead, 100);
        } else {
            assert_eq!(world.play_back(&mut other).applied, 100);
        }
        other.spawn((frame, [0.0_f32; 3]));
    })
}

pub(crate) fn commands() -> Frame {
    let (mut world, _) = filled();
    let mut commands = Commands::new(&mut world);
    let mut spawned = Vec::with_capacity(100);
    on(world, move |world, frame| {
        for entity in spawned.drain(..) {
            commands.remove_parent(entity);
            commands.despawn(entity);
        }
        // More than a buffer's first stock.
        for number in 0..100_u32 {
            let entity = commands.spawn((number,));
            commands.despawn(entity);
        }
        let root = commands.spawn((frame, [0.0_f32; 3]));
        for number in 0..30_u32 {
            let entity = commands.spawn((number, [0.0_f32; 3]));
            commands.insert(entity, (2_u8,));
            if number % 2 == 0 {
                commands.remove::<(u8,)>(entity);
            }
            commands.set_parent(entity, root);
            spawned.push(entity);
        }
        spawned.drain(..10).for_each(|entity| commands.despawn(entity));
        commands.send_event([frame, 1, 1]);
        let branch = commands.spawn((frame,));
        commands.set_parent(branch, root);
        commands.despawn_tree(branch);
        commands.remove_parent(spawned[0]);
        spawned.push(root);
        assert_eq!(world.play_back(&mut commands).failed, 0);
        world.advance_tick();
    })
}

pub(crate) fn toggles() -> Frame {
    let mut world = World::with_config(config());
    world.register_toggle::<u32>().unwrap();
    let entities: Vec<Entity> = (0..ENTITIES).map(|number| world.spawn((number,))).collect();
    let pool = SnapshotPool::for_world(&world);
    let mut commands = Commands::new(&mut world);
    on(world, move |world, frame| {
        let view = world.capture(ComponentMask::ALL, &pool);
        let entity = entities[frame as usize % entities.len()];
        assert!(world.disable::<u32>(entity).unwrap());
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        assert_eq!(world.query::<&u32>().iter().count(), entities.len() - 1);
        assert_eq!(view.query::<&u32>().count(), entities.len());
        world.toggles::<u32>().unwrap().set(entity, true).unwrap();
        commands.disable::<u32>(entity);
        commands.enable::<u32>(entity);
        assert_eq!(world.play_back(&mut commands).applied, 2);
    })
}

/// Errors are made where their message is not wanted, too: whatever they name costs no memory.
pub(crate) fn errors() -> Frame {
    type Pair = [Entity; 2];
    let (mut world, entities) = filled();
    let ids = world.mask_of::<(u32,)>().unwrap();
    world.register::<Pair>().unwrap();
    let view = world.capture(ids, &SnapshotPool::for_world(&world));
    on(world, move |world, frame| {
        let entity = entities[frame as usize % entities.len()];
        assert_eq!(world.parent(entity).unwrap(), None);
        assert!(world.get::<Pair>(entity).is_err() && world.get_mut::<u64>(entity).is_err());
        assert!(world.remove::<(Pair,)>(entity).is_err() && world.resource::<Pair>().is_err());
        assert!(world.toggles::<u32>().is_err() && world.despawn(Entity::default()).is_err());
        assert!(world.try_query_mut::<(&Pair, &mut Pair)>().is_err());
        assert!(world.share().query::<&mut u64>().get(entity).is_err());
        assert!(view.get::<u32>(entity).is_err() && view.try_query::<&Pair>().is_err());
        assert!(view.resource::<Pair>().is_err() && view.reader::<u32>().is_err());
        assert!(world.restore(&view).is_err());
    })
}
