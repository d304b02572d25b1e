//! Branch: a second world from a snapshot, which shares the chunks that it does not write.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use convoy_engine::commands::Commands;
use convoy_engine::events::EventCursor;
use convoy_engine::memory::ArenaConfig;
use convoy_engine::query::Changed;
use convoy_engine::snapshot::RestoreError;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::{Contents, run_alone};

const ALL: ComponentMask = ComponentMask::ALL;
const ROWS: u32 = 1_000;

/// A world of two columns, an event log, a resource and a hierarchy.
fn source() -> (World, Vec<Entity>) {
    let config = WorldConfig::default().chunk_rows_max(16);
    let mut world = World::with_config(config);
    let spawned = world.spawn_batch((0..ROWS).map(|number| (number, u64::from(number)))).unwrap();
    let entities: Vec<_> = spawned.collect();
    world.set_parent(entities[1], entities[0]).unwrap();
    world.despawn(entities[5]).unwrap();
    world.insert_resource(2.5_f32).unwrap();
    (0..40_u16).for_each(|number| world.send_event(number));
    world.advance_tick();
    (world, entities)
}

fn complete(world: &mut World) -> View {
    world.capture(ALL, &SnapshotPool::default())
}

/// Uses a world in every way.
fn use_world(world: &mut World, entities: &[Entity], round: u32) {
    world.query_mut::<&mut u32>().for_each(|number| *number ^= round);
    world.despawn(entities[10 + round as usize]).unwrap();
    world.insert(entities[40 + round as usize], (7_u8,)).unwrap();
    for number in 0..50 {
        world.spawn((number, 1_u64));
        world.send_event(number as u16);
    }
    world.set_parent(entities[100], entities[round as usize + 200]).unwrap();
    *world.resource_mut::<f32>().unwrap() += 1.0;
    let mut commands = Commands::new(world);
    commands.spawn((round, 3_u64));
    commands.despawn(entities[300 + round as usize]);
    assert_eq!(world.play_back(&mut commands).applied, 2);
    world.advance_tick();
}

#[test]
fn branch_is_what_the_snapshot_shows_and_goes_its_own_way() {
    let (mut world, entities) = source();
    let view = complete(&mut world);
    let shown = Contents::of(&view);
    let mut branch = World::branch(&view).unwrap();
    assert_eq!(Contents::of(&branch), shown);
    assert_eq!(*branch.resource::<f32>().unwrap(), 2.5);
    assert_eq!(branch.parent(entities[1]).unwrap(), Some(entities[0]));
    assert!(branch.events::<u16>(&mut EventCursor::default()).eq(0..40));
    assert_eq!(branch.memory().live_bytes, 0, "nothing is copied");

    use_world(&mut branch, &entities, 0);
    assert_eq!(Contents::of(&world), shown, "the first world does not notice");
    let ahead = Contents::of(&branch);
    // The same operations lead the first world to the same.
    use_world(&mut world, &entities, 0);
    assert_eq!(Contents::of(&world), ahead);
    use_world(&mut world, &entities, 1);
    assert_eq!(Contents::of(&branch), ahead);
    assert_eq!(Contents::of(&view), shown);
}

#[test]
fn branch_takes_memory_for_what_it_writes_only() {
    let (mut world, entities) = source();
    let view = complete(&mut world);
    let (live, copies) = (world.memory().live_bytes, world.copy_statistics());
    let mut branch = World::branch(&view).unwrap();
    assert_eq!((branch.memory().live_bytes, branch.memory().mapped_bytes), (0, 0));
    *branch.get_mut::<u32>(entities[0]).unwrap() = 9;
    *branch.get_mut::<u32>(entities[2]).unwrap() = 9;
    // Entities 2 and 3 share a chunk of 16 numbers, in 128 bytes at the least.
    *branch.get_mut::<u32>(entities[3]).unwrap() = 9;
    let memory = branch.memory();
    assert_eq!(branch.copy_statistics().chunks_copied, 2);
    assert_eq!((memory.live_bytes, memory.retained_bytes), (2 * 128, 0));
    assert_eq!(world.memory().live_bytes, live);
    assert_eq!(world.copy_statistics(), copies);
    // Dropping all rows gives back the written chunks, and none that belongs to the first world.
    branch.query_mut::<&mut u64>().for_each(|wide| *wide = 0);
    assert!(branch.memory().live_bytes > 2 * 128);
    branch.clear().unwrap();
    assert_eq!(branch.memory().retained_bytes, 0);
    assert_eq!(*view.get::<u64>(entities[9]).unwrap(), 9);
}

#[test]
fn rows_appended_to_a_shared_chunk_by_both_worlds_stay_apart() {
    let mut world = World::new();
    (0..10_u32).for_each(|number| _ = world.spawn((number,)));
    world.reserve::<(u32,)>(100).unwrap();
    let view = complete(&mut world);
    let mut branch = World::branch(&view).unwrap();
    for number in 0..50_u32 {
        world.spawn((100 + number,));
        world.send_event(number);
        branch.spawn((200 + number,));
        branch.send_event(900 + number);
    }
    assert!(world.query::<&u32>().iter().copied().eq((0..10).chain(100..150)));
    assert!(branch.query::<&u32>().iter().copied().eq((0..10).chain(200..250)));
    assert!(branch.events::<u32>(&mut EventCursor::default()).eq(900..950));
    assert_eq!(view.query::<&u32>().count(), 10);
}

#[test]
fn worlds_views_and_branches_end_in_any_order() {
    for order in 0..24_usize {
        let (mut world, entities) = source();
        let view = complete(&mut world);
        let mut branch = World::branch(&view).unwrap();
        use_world(&mut branch, &entities, 0);
        let inner = complete(&mut branch);
        let mut second = World::branch(&inner).unwrap();
        use_world(&mut second, &entities, 1);
        let contents = [Contents::of(&view), Contents::of(&inner), Contents::of(&second)];
        let mut held = [Some(world), Some(branch)];
        let mut views = [Some(view), Some(inner)];
        // The number is a permutation of the four that end first.
        let mut left = vec![0, 1, 2, 3];
        let mut code = order;
        while !left.is_empty() {
            let next = left.remove(code % left.len());
            code /= left.len() + 1;
            match next {
                0 | 1 => drop(held[next].take()),
                _ => drop(views[next - 2].take()),
            }
            if let Some(world) = &mut held[0] {
                world.query_mut::<&mut u32>().for_each(|number| *number += 1);
                world.spawn((1_u32, 1_u64));
                world.advance_tick();
            }
            for (view, contents) in views.iter().zip(&contents) {
                if let Some(view) = view {
                    assert_eq!(Contents::of(view), *contents, "order {order}");
                }
            }
            assert_eq!(Contents::of(&second), contents[2], "order {order}");
        }
        use_world(&mut second, &entities, 3);
    }
}

#[test]
fn branch_restores_its_own_snapshots() {
    let (mut world, entities) = source();
    let view = complete(&mut world);
    let mut branch = World::branch(&view).unwrap();
    let untouched = complete(&mut branch);
    use_world(&mut branch, &entities, 0);
    let used = complete(&mut branch);
    let contents = [Contents::of(&untouched), Contents::of(&used)];
    for round in 1..4 {
        use_world(&mut branch, &entities, round);
        branch.restore(&untouched).unwrap();
        assert_eq!(Contents::of(&branch), contents[0]);
        use_world(&mut branch, &entities, round + 1);
        branch.restore(&used).unwrap();
        assert_eq!(Contents::of(&branch), contents[1]);
    }
    assert_eq!(branch.restore(&view).err(), Some(RestoreError::OtherWorld));
    assert_eq!(world.restore(&used).err(), Some(RestoreError::OtherWorld));
    // Back at the start the branch shares everything again.
    branch.restore(&untouched).unwrap();
    drop((untouched, used));
    branch.advance_tick();
    let memory = branch.memory();
    assert_eq!((memory.live_bytes, memory.retained_bytes, memory.active_captures), (0, 0, 0));
}

#[test]
fn branch_counts_as_a_reader_until_its_last_view_ends() {
    let (mut world, entities) = source();
    let view = complete(&mut world);
    let mut branch = World::branch(&view).unwrap();
    assert_eq!(view.readers(), 2);
    world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    let retained = world.memory().retained_bytes;
    assert!(retained >= 63 * 128, "the branch still sees the old numbers");
    drop(view);
    world.advance_tick();
    assert_eq!(world.memory().retained_bytes, retained);
    let inner = complete(&mut branch);
    drop(branch);
    world.advance_tick();
    assert_eq!(world.memory().retained_bytes, retained, "so does the view of the branch");
    assert_eq!(*inner.get::<u32>(entities[7]).unwrap(), 7);
    drop(inner);
    world.advance_tick();
    assert_eq!(world.memory().retained_bytes, 0);
}

#[test]
fn branches_look_ahead_on_other_threads() {
    let (mut world, entities) = source();
    let view = complete(&mut world);
    let ahead: Vec<_> = (0..3_u32)
        .map(|round| {
            let (view, entities) = (view.clone(), entities.clone());
            thread::spawn(move || {
                let mut branch = World::branch(&view).unwrap();
                drop(view);
                (0..round).for_each(|round| use_world(&mut branch, &entities, round));
                Contents::of(&branch)
            })
        })
        .collect();
    for (round, ahead) in ahead.into_iter().enumerate() {
        if round > 0 {
            use_world(&mut world, &entities, round as u32 - 1);
        }
        assert_eq!(ahead.join().unwrap(), Contents::of(&world));
    }
}

#[test]
fn branch_of_an_incomplete_snapshot_is_an_error_that_names_what_is_missing() {
    let (mut world, _) = source();
    let some = world.mask_of::<(u32, u64)>().unwrap();
    let view = world.capture(some, &SnapshotPool::default());
    let Err(RestoreError::NotCaptured { component }) = World::branch(&view) else {
        panic!("the handles were not captured")
    };
    assert!(component.ends_with("Entity"));
}

#[test]
fn replica_of_a_branch_is_complete() {
    let (mut world, entities) = source();
    let view = complete(&mut world);
    let mut branch = World::branch(&view).unwrap();
    let config = WorldConfig::default().chunk_rows_max(16);
    let mut replica = World::with_config(config);
    replica.sync_from(&branch, ALL).unwrap();
    assert_eq!(Contents::of(&replica), Contents::of(&view));
    use_world(&mut branch, &entities, 1);
    replica.sync_from(&branch, ALL).unwrap();
    assert_eq!(Contents::of(&replica), Contents::of(&branch));
}

/// A first chunk that came from the base was taken for one of as few rows as the last capture that
/// was restored had. Where a restore to a longer one found it in its place, its rows were out of
/// reach, and the next row that came was written over them.
#[test]
fn branch_goes_to_and_fro_between_a_short_and_a_long_capture() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let entities = [1_u32, 2, 3].map(|number| world.spawn((number,)));
    let mut branch = World::branch(&world.capture(ComponentMask::ALL, &pool)).unwrap();
    let long = branch.capture(ComponentMask::ALL, &pool);
    // The last row: nothing is written.
    branch.despawn(entities[2]).unwrap();
    let short = branch.capture(ComponentMask::ALL, &pool);
    *branch.get_mut::<u32>(entities[0]).unwrap() = 9;
    branch.restore(&short).unwrap();
    branch.restore(&long).unwrap();
    assert!(branch.query::<&u32>().iter().copied().eq([1, 2, 3]));
    branch.spawn((4_u32,));
    assert!(branch.query::<&u32>().iter().copied().eq([1, 2, 3, 4]));
    *branch.get_mut::<u32>(entities[1]).unwrap() = 8;
    assert!(branch.query::<&u32>().iter().copied().eq([1, 8, 3, 4]));
    assert!(long.query::<&u32>().iter().copied().eq([1, 2, 3]));
}

/// Dropping the last branch dropped the one before it within the same call, and so on, until
/// the stack was full.
#[test]
fn a_long_chain_of_branches_ends_one_by_one() {
    let pool = SnapshotPool::default();
    let memory = ArenaConfig::default().first_slab_bytes(4096).slab_bytes_max(4096);
    let mut world = World::with_config(WorldConfig::default().memory(memory.clone()));
    let entity = world.spawn((0_u32,));
    for _ in 0..10_000 {
        let view = world.capture(ComponentMask::ALL, &pool);
        world = World::branch_with(&view, memory.clone()).unwrap();
        *world.get_mut::<u32>(entity).unwrap() += 1;
    }
    assert_eq!(*world.get::<u32>(entity).unwrap(), 10_000);
    // A stack with a tenth of the room that one call within the other took.
    let end = thread::Builder::new().stack_size(256 * 1024).spawn(move || drop(world));
    end.unwrap().join().unwrap();
}

/// Branches drop each other by means of a value of the thread. Where that was gone, because the
/// thread was ending and dropped the last view with its other values, each dropped the one before
/// it within its own call, until the stack was full.
#[test]
fn a_long_chain_of_branches_may_end_with_its_thread() {
    run_alone("a_chain_ends_on_a_thread_that_released_nothing", None).unwrap();
    run_alone("a_chain_ends_on_a_thread_that_released_a_branch", None).unwrap();
}

thread_local! {
    static HELD: RefCell<Option<View>> = const { RefCell::new(None) };
}

/// The last of so many branches, each of the one before.
fn last_of_a_chain(length: usize, pool: &SnapshotPool) -> View {
    let mut world = World::new();
    world.spawn((0_u32,));
    let mut view = world.capture(ALL, pool);
    for _ in 0..length {
        view = World::branch(&view).unwrap().capture(ALL, pool);
    }
    view
}

fn end_with_a_thread(released_before: bool) {
    let pool = SnapshotPool::default();
    let view = last_of_a_chain(20_000, &pool);
    let thread = thread::spawn(move || {
        HELD.with(|held| *held.borrow_mut() = Some(view));
        if released_before {
            drop(last_of_a_chain(1, &pool));
        }
    });
    thread.join().unwrap();
}

#[test]
#[ignore = "run by another one"]
fn a_chain_ends_on_a_thread_that_released_nothing() {
    end_with_a_thread(false);
}

#[test]
#[ignore = "run by another one"]
fn a_chain_ends_on_a_thread_that_released_a_branch() {
    end_with_a_thread(true);
}

/// A branch held its base until it ended, also when no chunk of that was left in it.
#[test]
fn branch_lets_go_of_its_base_with_the_last_chunk_of_it() {
    let (mut world, entities) = source();
    let numbers = world.mask_of::<(u32,)>().unwrap();
    let view = complete(&mut world);
    let mut branch = World::branch(&view).unwrap();
    let pool = SnapshotPool::default();
    let untouched = complete(&mut branch);
    assert_eq!(view.readers(), 3, "the branch and its snapshot");
    branch.query_mut::<&mut u32>().for_each(|number| *number += 1);
    let written = branch.capture(numbers, &pool);
    assert_eq!(view.readers(), 3, "a snapshot of what was written needs no base");

    branch.clear().unwrap();
    branch.remove_resource::<f32>().unwrap();
    assert_eq!(branch.memory().foreign_chunks, 0);
    branch.advance_tick();
    assert_eq!(view.readers(), 2, "the snapshot alone");
    let cleared = Contents::of(&branch);
    // Going back to it shares the base again, until that is undone.
    let later = complete(&mut branch);
    for _ in 0..3 {
        branch.restore(&untouched).unwrap();
        assert_eq!(Contents::of(&branch), Contents::of(&view));
        branch.advance_tick();
        assert_eq!(view.readers(), 3);
        *branch.get_mut::<u32>(entities[9]).unwrap() = 1;
        branch.restore(&later).unwrap();
        assert_eq!(Contents::of(&branch), cleared);
        branch.advance_tick();
        assert_eq!(view.readers(), 2);
    }
    drop(untouched);
    assert_eq!(view.readers(), 1);
    world.query_mut::<&mut u64>().for_each(|number| *number += 1);
    let copied = world.copy_statistics().chunks_copied;
    drop(view);
    world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    assert_eq!(world.copy_statistics().chunks_copied, copied, "nobody else sees the chunks");
    drop(written);
}

#[test]
fn spare_chunks_and_values_taken_out_keep_no_base() {
    let (mut world, entities) = source();
    let view = complete(&mut world);
    type Drain = fn(&mut World, &[Entity]);
    let drains: [Drain; 4] = [
        |branch, entities| entities.iter().rev().for_each(|&each| _ = branch.despawn(each)),
        |branch, entities| _ = branch.despawn_many(entities).unwrap(),
        |branch, _| _ = branch.query_mut::<()>().despawn().unwrap(),
        |branch, entities| {
            branch.insert_many(entities, (1_u8,)).unwrap();
            branch.despawn(entities[0]).unwrap();
            branch.remove_parent(entities[1]).unwrap();
        },
    ];
    for drain in drains {
        let mut branch = World::branch(&view).unwrap();
        drain(&mut branch, &entities);
        branch.remove_resource::<f32>().unwrap();
        // The records of the log, and slots that nothing was done to.
        let left = branch.memory().foreign_chunks;
        assert!(left <= 3 + 1, "{left}");
        (0..100_u16).for_each(|number| branch.send_event(number));
        assert!(branch.detach(Duration::MAX).unwrap().chunks <= 3 + 1);
        assert_eq!(view.readers(), 1);
    }
}

#[test]
fn detached_chunks_are_as_they_were_and_count_as_unwritten() {
    let (mut world, entities) = source();
    let view = complete(&mut world);
    let mut branch = World::branch(&view).unwrap();
    let config = WorldConfig::default().chunk_rows_max(16);
    let mut replica = World::with_config(config);
    replica.sync_from(&branch, ALL).unwrap();
    let (hash, mark) = (branch.state_hash(), branch.change_mark());
    let shared = branch.memory().foreign_chunks;
    let mut copied = 0;
    while !branch.detach(Duration::ZERO).unwrap().complete {
        copied += 1;
        assert_eq!(branch.memory().foreign_chunks, shared - copied);
        assert_eq!(Contents::of(&branch), Contents::of(&view));
    }
    assert_eq!((copied + 1, view.readers()), (shared, 1));
    assert_eq!(branch.detach(Duration::MAX).unwrap().chunks, 0);
    assert_eq!(branch.state_hash(), hash);
    assert_eq!(replica.sync_from(&branch, ALL).unwrap().chunks_copied, 0);
    let changed =
        |branch: &World| branch.query::<Entity>().filter::<Changed<u32>>().since(mark).count();
    assert_eq!(changed(&branch), 0);
    // A write after that is seen by all three.
    let before = complete(&mut branch);
    *branch.get_mut::<u32>(entities[77]).unwrap() = 1_000_000;
    assert_eq!(changed(&branch), 16);
    assert_ne!(branch.state_hash(), hash);
    assert_eq!(replica.sync_from(&branch, ALL).unwrap().chunks_copied, 1);
    assert_eq!(Contents::of(&before), Contents::of(&view));
    assert_eq!(*replica.get::<u32>(entities[77]).unwrap(), 1_000_000);
    assert_eq!(world.detach(Duration::MAX).unwrap().chunks, 0, "this one is no branch");
}

#[test]
fn detaching_without_memory_is_an_error_and_loses_nothing() {
    let (mut world, _) = source();
    let view = complete(&mut world);
    for kibibytes in (0..).step_by(4) {
        let memory = ArenaConfig::default().limit_bytes(kibibytes * 1024);
        let mut branch = World::branch_with(&view, memory).unwrap();
        let result = branch.detach(Duration::MAX);
        assert_eq!(Contents::of(&branch), Contents::of(&view));
        let left = branch.memory().foreign_chunks;
        match result {
            Ok(report) => {
                assert!(report.complete && left == 0 && view.readers() == 1);
                break;
            }
            Err(error) => {
                assert!(left > 0 && kibibytes < 1024, "{error}");
                assert_eq!(view.readers(), 2);
            }
        }
    }
}

/// A branch of a branch that had not written everything itself held the one in between for the sake
/// of the first.
#[test]
fn branch_of_a_branch_has_a_base_of_each_and_lets_go_of_either() {
    let (mut world, entities) = source();
    let first = complete(&mut world);
    let mut middle = World::branch(&first).unwrap();
    middle.query_mut::<&mut u32>().for_each(|number| *number += 5);
    let second = complete(&mut middle);
    let shown = Contents::of(&second);
    let mut last = World::branch(&second).unwrap();
    assert_eq!((first.readers(), second.readers()), (4, 2), "both branches and the second view");
    last.query_mut::<&mut u32>().for_each(|number| *number -= 5);
    last.advance_tick();
    assert_eq!((first.readers(), second.readers()), (4, 1), "nothing of the middle one is left");
    let here = complete(&mut last);
    last.restore(&here).unwrap();
    drop(here);
    assert!(last.query::<&u32>().iter().all(|&number| number < ROWS));
    drop((middle, world));
    assert_eq!(Contents::of(&second), shown);
    drop(second);
    assert_eq!(first.readers(), 2);
    last.detach(Duration::MAX).unwrap();
    assert_eq!(first.readers(), 1);
    drop(first);
    assert_eq!(*last.get::<u64>(entities[9]).unwrap(), 9);
}

/// Rows that left a table by links (`set_parent` moves them elsewhere) took its end below a chunk
/// boundary, and the table went on to take the chunk before it for writable: the next row was
/// written over one of the world that the branch came from, in its snapshots too.
#[test]
fn rows_that_leave_by_links_leave_no_chunk_open_that_nobody_owns() {
    let config = || WorldConfig::default().chunk_rows_max(4);
    let mut world = World::with_config(config());
    let rows: Vec<_> = (0..8_u32).map(|number| world.spawn((number,))).collect();
    let parent = world.spawn((1_u8,));
    let mut replica = World::with_config(config());
    replica.sync_from(&world, ALL).unwrap();
    let view = world.capture(ALL, &SnapshotPool::default());
    let mut branch = World::branch(&view).unwrap();
    let across = |world: &mut World| {
        world.spawn((8_u32,));
        world.set_parent(rows[0], parent).unwrap();
        world.set_parent(rows[1], parent).unwrap();
        world.spawn((99_u32,))
    };
    across(&mut branch);
    assert_eq!(*world.get::<u32>(rows[7]).unwrap(), 7);
    assert_eq!(*view.get::<u32>(rows[7]).unwrap(), 7);
    drop((branch, view));

    // Nor is it written without a mark, by which replicas and filters know of it.
    let mark = world.change_mark();
    let last = across(&mut world);
    replica.sync_from(&world, ALL).unwrap();
    assert_eq!(*replica.get::<u32>(last).unwrap(), 99);
    let changed = world.query::<&u32>().filter::<Changed<u32>>().since(mark);
    assert!(changed.iter().any(|&number| number == 99));
}
