//! Phases that violate the promise, each in one way: the suite must find them.

use crate::common::*;

pub(crate) fn control_allocates() -> Frame {
    let (world, _) = filled();
    on(world, |_, frame| {
        if frame == WARM_UP_FRAMES + FRAMES - 1 {
            black_box(vec![black_box(frame)]);
        }
    })
}

pub(crate) fn control_frees() -> Frame {
    let (world, _) = filled();
    let mut block = Some(Box::new(1_u32));
    on(world, move |_, frame| {
        if frame == WARM_UP_FRAMES + 500 {
            drop(black_box(block.take()));
        }
    })
}

pub(crate) fn control_maps() -> Frame {
    let (world, _) = filled();
    on(world, |world, frame| {
        if frame == WARM_UP_FRAMES + 500 {
            world.reserve_bytes(1 << 20).unwrap();
        }
    })
}

pub(crate) fn control_keeps() -> Frame {
    let (world, _) = filled_with_room();
    on(world, |world, frame| {
        // A chunk has 64 rows, 256 bytes in the smaller column.
        if frame % 2 == 0 {
            world.spawn_batch((0..64_u32).map(|number| (number,))).unwrap();
        }
    })
}
