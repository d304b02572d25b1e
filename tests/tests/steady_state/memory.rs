//! Compaction, statistics, and worlds that grow.

use crate::common::*;

pub(crate) fn compact() -> Frame {
    let (world, _) = filled();
    let mut entities = Vec::with_capacity(1000);
    on(world, move |world, frame| {
        // Grows from nothing, shrinks to nothing, and is compacted in between.
        if frame % 4 == 0 {
            let rows = (0..900_u32).map(|number| (u64::from(number), [1_u16; 3]));
            entities.extend(world.spawn_batch(rows).unwrap());
        } else if frame % 4 == 2 {
            entities.drain(..).for_each(|entity| world.despawn(entity).unwrap());
        }
        (0..frame % 7 * 20).for_each(|number| world.send_event(u64::from(number)));
        assert!(world.compact(Duration::MAX).complete);
    })
}

pub(crate) fn compact_churn() -> Frame {
    let (world, mut entities) = filled_with_room();
    let mut snapshots = Snapshots::new(&world);
    let mut mixer = Mixer::new(5);
    on(world, move |world, frame| {
        snapshots.take(world, frame);
        // Waves between 200 and 1,000 entities.
        let wanted = if frame / 20 % 2 == 0 { 200 } else { ENTITIES as usize };
        for _ in 0..60 {
            if entities.len() > wanted {
                let index = mixer.below(entities.len());
                world.despawn(entities.swap_remove(index)).unwrap();
            } else if entities.len() < wanted {
                entities.push(world.spawn((frame, [1.0_f32; 3])));
            }
        }
        if frame % 5 == 0 {
            world.compact(Duration::MAX);
        }
    })
}

pub(crate) fn statistics() -> Frame {
    let (mut world, _) = filled();
    let mask = world.mask_of::<Row>().unwrap();
    on(world, move |world, frame| {
        let rows: usize = world.archetypes().map(|archetype| archetype.rows).sum();
        assert_eq!(rows, ENTITIES as usize);
        let numbers = (world.memory(), world.copy_statistics(), world.row_bytes(&mask));
        black_box((numbers, frame));
    })
}

/// Grows for some hundred frames, and is steady afterwards.
pub(crate) fn growth_then_steady() -> Frame {
    let (world, _) = filled();
    let mut snapshots = Snapshots::new(&world);
    on(world, move |world, frame| {
        if frame < 300 {
            world.spawn_batch((0..50).map(|number| (number + frame, [0.0_f32; 3]))).unwrap();
        }
        snapshots.take(world, frame);
        world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    })
}
