//! Values larger than a stack: they come from the heap or from another thread, and the engine moves
//! them without a place for one on the stack of a pass or a playback.
//!
//! The story: a loop over rows that a snapshot shares kept each row in a local while its chunk was
//! copied, however large the row was. So a pass that had always worked overflowed its stack as soon
//! when a snapshot was read (`bevy#20571` is one report of such a pass). Each test runs in a
//! process of its own, as that ends with a signal.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use bytemuck::{Pod, Zeroable};
use convoy_engine::commands::Commands;
use convoy_engine::events::EventCursor;
use convoy_engine::{ComponentMask, SnapshotPool, World};
use convoy_tests::run_alone;

const ALL: ComponentMask = ComponentMask::ALL;
const MIB: usize = 1 << 20;

/// A value of four MiB, twice the stack of a usual thread.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tile([[u64; 1024]; 512]);

/// Runs `test` on a thread with a stack of so many bytes.
fn on_a_stack_of(bytes: usize, test: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(bytes).spawn(test);
    thread.unwrap().join().unwrap();
}

/// A world of three tiles whose first number is that of their row.
fn tiles() -> World {
    let mut world = World::new();
    let mut numbers = vec![0_u64; 3 * size_of::<Tile>() / 8];
    for row in 0..3 {
        numbers[row * size_of::<Tile>() / 8] = row as u64;
    }
    world.spawn_columns((bytemuck::cast_slice::<u64, Tile>(&numbers),)).unwrap();
    world
}

fn firsts(world: &World) -> Vec<u64> {
    world.query::<&Tile>().iter().map(|tile| tile.0[0][0]).collect()
}

#[test]
fn passes_over_shared_rows_take_no_stack_for_them() {
    run_alone("write_in_sequence", None).unwrap();
}

#[test]
fn parallel_passes_over_shared_rows_take_no_stack_for_them() {
    run_alone("write_in_parallel", None).unwrap();
}

#[test]
fn playback_takes_no_stack_for_what_was_recorded() {
    run_alone("play_back", None).unwrap();
}

#[test]
#[ignore = "run by another one"]
fn write_in_sequence() {
    on_a_stack_of(MIB, || {
        let mut world = tiles();
        let pool = SnapshotPool::default();
        for timing in [false, true] {
            world.set_copy_timing(timing);
            let view = world.capture(ALL, &pool);
            world.query_mut::<&mut Tile>().for_each(|tile| tile.0[0][0] += 10);
            let seen = view.query::<&Tile>().iter().map(|tile| tile.0[0][0]).sum::<u64>();
            assert_eq!(seen + 30, firsts(&world).iter().sum());
            // Where a call panics, its row is as it was, and the others are whole.
            let before = firsts(&world);
            let view = world.capture(ALL, &pool);
            let result = catch_unwind(AssertUnwindSafe(|| {
                world.query_mut::<&mut Tile>().for_each(|tile| {
                    tile.0[0][0] += 10;
                    assert!(tile.0[0][0] % 10 != 1, "the second tile");
                });
            }));
            assert!(result.is_err());
            assert_eq!(firsts(&world), [before[0] + 10, before[1], before[2]]);
            drop(view);
            world.query_mut::<&mut Tile>().for_each(|tile| tile.0[0][0] %= 10);
        }
    });
}

#[test]
#[ignore = "run by another one"]
fn write_in_parallel() {
    let rayon = rayon_core::ThreadPoolBuilder::new().num_threads(2).stack_size(MIB).build();
    rayon.unwrap().install(|| {
        let mut world = tiles();
        let pool = SnapshotPool::default();
        for timing in [false, true] {
            world.set_copy_timing(timing);
            let view = world.capture(ALL, &pool);
            world.query_mut::<&mut Tile>().par_for_each(|tile| tile.0[0][0] += 10);
            let seen = view.query::<&Tile>().iter().map(|tile| tile.0[0][0]).sum::<u64>();
            assert_eq!(seen + 30, firsts(&world).iter().sum());
            let before = firsts(&world);
            let view = world.capture(ALL, &pool);
            let result = catch_unwind(AssertUnwindSafe(|| {
                world.query_mut::<&mut Tile>().par_for_each(|tile| {
                    tile.0[0][0] += 10;
                    assert!(tile.0[0][0] % 10 != 1, "the second tile");
                });
            }));
            assert!(result.is_err());
            assert_eq!(firsts(&world)[1], before[1]);
            drop(view);
            world.query_mut::<&mut Tile>().for_each(|tile| tile.0[0][0] %= 10);
        }
    });
}

#[test]
#[ignore = "run by another one"]
fn play_back() {
    let mut world = tiles();
    let entities: Vec<_> = world.query::<convoy_engine::Entity>().iter().collect();
    let handle = world.reserve_entity();
    let mut commands = Commands::new(&mut world);
    let plain = world.spawn((1_u8,));
    let recording = thread::Builder::new().stack_size(64 * MIB).spawn(move || {
        let tile = Tile([[7; 1024]; 512]);
        commands.insert(plain, (tile, 2_u16));
        commands.insert(entities[0], (tile,));
        commands.spawn((3_u8, tile));
        commands.spawn_at(handle, (tile,));
        commands.remove::<(Tile,)>(entities[1]);
        commands.send_event(tile);
        commands
    });
    let mut commands = recording.unwrap().join().unwrap();
    on_a_stack_of(MIB, move || {
        assert_eq!(world.play_back(&mut commands).applied, 6);
        let mut found = firsts(&world);
        found.sort_unstable();
        assert_eq!(found, [2, 7, 7, 7, 7]);
        let whole = |tile: &Tile| tile.0.iter().flatten().all(|number| *number == 7);
        assert!(world.query::<&Tile>().iter().filter(|tile| tile.0[0][0] == 7).all(whole));
        assert_eq!(*world.get::<u16>(plain).unwrap(), 2);
        assert_eq!(world.events(&mut EventCursor::<Tile>::default()).len(), 1);
    });
}
