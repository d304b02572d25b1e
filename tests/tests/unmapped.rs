//! Memory goes back to the system with the last that can reach it: the world, a view, or a branch.
//! Alone in its file, as it looks at the size of the process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_engine::{ComponentMask, SnapshotPool, World};

const MEBIBYTE: usize = 1 << 20;

/// Bytes of address space that the process has mapped.
fn mapped_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmSize:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn mappings_end_with_the_last_view_or_branch_of_a_world_that_was_dropped() {
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
        let last = view.query::<&u64>().unwrap().iter().last().copied();
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
