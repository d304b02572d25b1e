//! Queries of all kinds, over chunks that are owned and chunks that are shared.

use crate::common::*;

pub(crate) fn read_queries() -> Frame {
    let (mut world, _) = filled();
    world.spawn((1_u8,));
    on(world, |world, _| {
        let mut sum = 0;
        for (number, position) in world.query::<(&u32, &Position)>().iter() {
            sum += number + position[0] as u32;
        }
        world.query::<(Entity, &u32, Option<&u8>)>().for_each(|(_, number, _)| sum += number);
        world.query::<&u32>().for_each_run(|numbers| sum += numbers.iter().sum::<u32>());
        assert_eq!(world.query::<&u32>().count(), ENTITIES as usize);
        assert_eq!(world.query::<&u8>().single(), Some(&1));
        black_box(sum);
    })
}

pub(crate) fn write_queries() -> Frame {
    let (world, _) = filled();
    on(world, |world, frame| {
        let mut query = world.query_mut::<(&mut Position, &u32)>();
        query.for_each(|(position, number)| position[0] += *number as f32);
        world.query_mut::<&mut u32>().for_each_run(|numbers| numbers.fill(frame));
        for number in world.query_mut::<&mut u32>() {
            *number += 1;
        }
        world.query_mut::<&mut u32>().iter().take(10).for_each(|number| *number = 0);
    })
}

pub(crate) fn filtered_queries() -> Frame {
    let (mut world, entities) = filled();
    entities[..300].iter().for_each(|&entity| world.insert(entity, (1_u8,)).unwrap());
    entities[200..600].iter().for_each(|&entity| world.insert(entity, (1_u16,)).unwrap());
    on(world, |world, _| {
        assert_eq!(world.query::<&u32>().filter::<With<u8>>().iter().len(), 300);
        assert_eq!(world.query::<&u32>().filter::<Without<u8>>().count(), 700);
        type Either = Or<(With<u8>, With<u16>)>;
        assert_eq!(world.query::<()>().filter::<Either>().count(), 600);
        let mut both = 0;
        world.query::<(Has<u8>, Has<u16>)>().for_each(|(u8, u16)| both += usize::from(u8 && u16));
        assert_eq!(both, 100);
        world.query_mut::<&mut u32>().filter::<Without<u16>>().for_each(|number| *number += 1);
    })
}

pub(crate) fn write_shared() -> Frame {
    let (world, _) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        snapshots.take(world, frame);
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
        world.query_mut::<&mut Position>().for_each_run(|all| all.fill([2.0; 3]));
        snapshots.take(world, frame);
        world.query_mut::<&mut u32>().iter().for_each(|number| *number += 1);
    })
}

pub(crate) fn parallel_queries() -> Frame {
    let (world, _) = filled();
    on(world, |world, frame| (0..20).for_each(|_| parallel_passes(world, frame)))
}

fn parallel_passes(world: &mut World, frame: u32) {
    world.query_mut::<(&mut Position, &u32)>().par_for_each(|(position, number)| {
        position[0] += *number as f32;
    });
    world.query_mut::<&mut u32>().par_for_each_run(|numbers| numbers.fill(frame));
    world.query::<&u32>().par_for_each(|number| _ = black_box(number));
    world.query::<&u32>().par_for_each_run(|numbers| _ = black_box(numbers));
}

pub(crate) fn parallel_shared() -> Frame {
    let (world, _) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        let view = snapshots.take(world, frame);
        view.query::<&u32>().par_for_each(|number| _ = black_box(number));
        parallel_passes(world, frame);
    })
}

pub(crate) fn changed_rows() -> Frame {
    let (world, entities) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        let mark = world.change_mark();
        *world.get_mut::<u32>(entities[frame as usize % 100 * 10]).unwrap() += 1;
        let entity = world.spawn((frame, [2.0_f32; 3]));
        let changed = world.query::<&u32>().filter::<Changed<u32>>().since(mark);
        assert!(changed.iter().len() >= 2 && changed.count() < 200);
        let added = world.query::<&u32>().filter::<Added<u32>>().since(mark);
        added.for_each_run(|numbers| assert!(numbers.len() <= 64));
        let view = snapshots.take(world, frame);
        let changed = view.query::<&u32>().filter::<Changed<u32>>().since(mark);
        changed.for_each(|number| _ = black_box(number));
        world.despawn(entity).unwrap();
    })
}

pub(crate) fn write_changed() -> Frame {
    let (world, entities) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        let mark = world.change_mark();
        snapshots.take(world, frame);
        *world.get_mut::<u32>(entities[frame as usize % 100 * 10]).unwrap() += 1;
        type Moved = Changed<u32>;
        let mut query = world.query_mut::<&mut Position>().filter::<Moved>().since(mark);
        query.for_each(|position| position[0] += 1.0);
        let mut query = world.query_mut::<&mut Position>().filter::<Moved>().since(mark);
        query.par_for_each(|position| position[0] += 1.0);
    })
}
