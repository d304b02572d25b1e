//! Memory goes back to the system with the last that can reach it: the world, a view, or a branch.
//! Alone in its file, as it looks at the size of the process, and one test after the other.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World};

const MEBIBYTE: usize = 1 << 20;

/// Held by a test while no other may map memory.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of address space that the process has mapped to write there, of no file: without what the
/// allocator sets aside for each thread.
fn mapped_bytes() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let anonymous = maps.lines().filter_map(|line| {
        let mut parts = line.split_whitespace();
        let (range, rights) = (parts.next()?, parts.next()?);
        let (start, end) = range.split_once('-')?;
        let bytes = |at| usize::from_str_radix(at, 16).unwrap();
        (rights == "rw-p" && parts.nth(2) == Some("0")).then(|| bytes(end) - bytes(start))
    });
    anonymous.sum()
}

#[test]
fn mappings_end_with_the_last_view_or_branch_of_a_world_that_was_dropped() {
    let _alone = alone();
    let pool = SnapshotPool::default();
    let before = mapped_bytes();
    for branched in [false, true] {
        let mut world = World::new();
        world.spawn_batch((0..8 * MEBIBYTE as u64).map(|number| (number,))).unwrap();
        let view = world.capture(ComponentMask::ALL, &pool);
        let held = world.memory().mapped_bytes;
        assert!(held >= 128 * MEBIBYTE, "64 MiB of numbers, as much of handles, and the index");
        drop(world);
        assert!(mapped_bytes() >= before + held, "the view can still reach it");
        let branch = branched.then(|| World::branch(&view).unwrap());
        let last = view.query::<&u64>().iter().last().copied();
        assert_eq!(last, Some(8 * MEBIBYTE as u64 - 1));
        drop(view);
        if let Some(branch) = branch {
            assert!(mapped_bytes() >= before + held, "the branch can still reach it");
            assert_eq!(branch.query::<&u64>().iter().last().copied(), last);
            drop(branch);
        }
        // The lists of the pool's cells and of the allocator stay.
        assert!(mapped_bytes() < before + 32 * MEBIBYTE, "nobody can reach it");
    }
}

/// The work of a program on the branch that becomes its world.
#[derive(Clone, Copy, Debug)]
enum Use {
    Everything,
    Nothing,
    OneColumnOfTwo,
    /// Another row each time, so that the world always has chunks of many others.
    OneRow,
    /// First of all, a capture that is kept for ten frames.
    OneRowWhileCaptured,
}

/// A branch kept the snapshot that it came from for as long as it lived, and that one the snapshot
/// before: a program that replaces its world by a branch of it, as look-ahead and rollback do, held
/// the memory of every frame since it began. After a public report of deferred memory that piled up.
#[test]
fn world_that_is_replaced_by_its_branch_in_every_frame_does_not_grow() {
    let _alone = alone();
    let uses =
        [Use::Everything, Use::Nothing, Use::OneColumnOfTwo, Use::OneRow, Use::OneRowWhileCaptured];
    for used in uses {
        let pool = SnapshotPool::default();
        let mut world = World::new();
        let rows = (0..20_000_u32).map(|number| (number, u64::from(number)));
        let entities: Vec<Entity> = world.spawn_batch(rows).unwrap().collect();
        let mut first = None;
        let (mut kept, mut warm) = (Vec::new(), 0);
        for frame in 0..400 {
            let view = world.capture(ComponentMask::ALL, &pool);
            let mut branch = World::branch(&view).unwrap();
            let first: &View = first.get_or_insert(view);
            if matches!(used, Use::OneRowWhileCaptured) {
                kept.insert(0, branch.capture(ComponentMask::ALL, &pool));
                kept.truncate(10);
            }
            match used {
                Use::Everything => {
                    branch.query_mut::<&mut u32>().for_each(|number| *number += 1);
                    branch.insert_many(&entities, (1_u8,)).unwrap();
                    branch.remove_many::<(u8,)>(&entities).unwrap();
                }
                Use::Nothing => {}
                Use::OneColumnOfTwo => {
                    branch.query_mut::<&mut u32>().for_each(|number| *number += 1);
                }
                Use::OneRow | Use::OneRowWhileCaptured => {
                    let entity = entities[frame * 1_700 % entities.len()];
                    *branch.get_mut::<u32>(entity).unwrap() += 1;
                    *branch.get_mut::<u64>(entity).unwrap() += 1;
                }
            }
            world = branch;
            world.advance_tick();
            match frame {
                100 => warm = mapped_bytes(),
                399 => assert!(mapped_bytes() < warm + 40 * MEBIBYTE, "{used:?}"),
                _ => {}
            }
            let holds = first.readers() - 1;
            match used {
                Use::Everything => assert_eq!(holds, 0, "nothing of it is left"),
                Use::Nothing | Use::OneColumnOfTwo => assert_eq!(holds, 1, "the world itself"),
                Use::OneRow => assert!(holds <= 1),
                Use::OneRowWhileCaptured => assert!(holds <= 11),
            }
        }
        let sum: u64 =
            world.query::<(&u32, &u64)>().iter().map(|(low, high)| u64::from(*low) + high).sum();
        let base = 2 * 20_000 * 19_999 / 2;
        let added = match used {
            Use::Everything | Use::OneColumnOfTwo => 400 * 20_000,
            Use::Nothing => 0,
            Use::OneRow | Use::OneRowWhileCaptured => 800,
        };
        assert_eq!(sum, base + added);
    }
}

#[test]
fn memory_of_the_base_is_gone_once_a_branch_is_detached() {
    let _alone = alone();
    let pool = SnapshotPool::default();
    let before = mapped_bytes();
    let mut world = World::new();
    world.reserve_bytes(256 * MEBIBYTE).unwrap();
    world.spawn_batch((0..MEBIBYTE as u64).map(|number| (number,))).unwrap();
    let view = world.capture(ComponentMask::ALL, &pool);
    let mut branch = World::branch(&view).unwrap();
    let mut second = World::branch(&branch.capture(ComponentMask::ALL, &pool)).unwrap();
    drop((world, view));
    let shared = branch.memory().foreign_chunks;
    assert!(shared > 8 * MEBIBYTE / (64 << 10));
    for left in (0..shared).rev() {
        assert!(mapped_bytes() >= before + 256 * MEBIBYTE, "a chunk is still shared");
        let report = branch.detach(Duration::ZERO).unwrap();
        assert_eq!((report.chunks, report.chunks_left, report.complete), (1, left, left == 0));
    }
    let kept = second.capture(ComponentMask::ALL, &pool);
    assert!(second.detach(Duration::MAX).unwrap().complete);
    assert!(mapped_bytes() >= before + 256 * MEBIBYTE, "a snapshot of the branch still shares all");
    drop(kept);
    assert!(mapped_bytes() < before + 160 * MEBIBYTE, "only the copies are left");
    for world in [&branch, &second] {
        assert!(world.query::<&u64>().iter().copied().eq(0..MEBIBYTE as u64));
    }
}
