//! Parallel passes do the same as sequential ones, also where snapshots share the written chunks,
//! where a call panics, and where memory runs out.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use convoy_engine::memory::ArenaConfig;
use convoy_engine::query::{Changed, Has};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, Without, World, WorldConfig};
use convoy_tests::{Byte, Hundred, Mixer, Tag, Triple, Value, Wide, Word, step};
use rayon_core::{ThreadPool, ThreadPoolBuilder};

const ALL: ComponentMask = ComponentMask::ALL;

/// Chunks of 4 rows, and chunks of as many bytes as usual, which have different rows per column.
const CHUNK_ROWS: [usize; 2] = [4, usize::MAX];

fn threads(count: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(count).build().unwrap()
}

fn with_chunk_rows(chunk_rows_max: usize) -> World {
    let config = WorldConfig::default().chunk_rows_max(chunk_rows_max);
    World::with_config(config)
}

/// Tables of very different lengths: one of many chunks, some of a few rows, empty ones.
fn world_of(chunk_rows_max: usize, rows: u64) -> World {
    let mut world = with_chunk_rows(chunk_rows_max);
    for seed in 0..rows {
        let (word, hundred) = (Word::from_seed(seed), Hundred::from_seed(seed));
        match seed % 16 {
            0 => world.spawn((word, Wide::from_seed(seed))),
            1 => world.spawn((word, Tag)),
            2 if seed < 200 => world.spawn((word, Triple::from_seed(seed), Tag)),
            3 if seed < 1000 => world.spawn((word, Byte::from_seed(seed), Wide::from_seed(seed))),
            4 => world.spawn((Wide::from_seed(seed),)),
            _ => world.spawn((word, hundred, Byte::from_seed(seed))),
        };
    }
    world
}

/// Every value of every entity; reading a torn one panics.
type Contents = BTreeMap<Entity, (Option<u64>, Option<u64>, Option<u64>, Option<u64>, bool)>;

/// One row of all components that the tests use.
type Row<'a> =
    (Entity, Option<&'a Word>, Option<&'a Wide>, Option<&'a Hundred>, Option<&'a Triple>, Has<Tag>);

macro_rules! contents {
    ($query:expr) => {
        $query
            .iter()
            .map(|(entity, word, wide, hundred, triple, tag)| {
                let (word, wide) = (word.map(Value::seed), wide.map(Value::seed));
                (entity, (word, wide, hundred.map(Value::seed), triple.map(Value::seed), tag))
            })
            .collect::<Contents>()
    };
}

fn contents(world: &World) -> Contents {
    contents!(world.query::<Row<'_>>())
}

fn contents_of(view: &View) -> Contents {
    contents!(view.query::<Row<'_>>())
}

/// One of several passes, on all threads or on one.
fn pass(world: &mut World, number: usize, factor: u64, parallel: bool) {
    macro_rules! run {
        ($query:expr, $each:expr) => {
            if parallel { $query.par_for_each($each) } else { $query.for_each($each) }
        };
    }
    macro_rules! run_slices {
        ($query:expr, $each:expr) => {
            if parallel { $query.par_for_each_run($each) } else { $query.for_each_run($each) }
        };
    }
    let next = move |seed| step(seed, factor);
    match number {
        0 => run!(world.query_mut::<&mut Word>(), |word| {
            *word = Word::from_seed(next(word.seed()));
        }),
        1 => {
            run!(world.query_mut::<(&mut Hundred, &mut Word, &Byte)>(), |(hundred, word, byte)| {
                *hundred = Hundred::from_seed(next(hundred.seed() ^ byte.seed()));
                *word = Word::from_seed(next(word.seed()));
            })
        }
        2 => {
            run!(
                world.query_mut::<(Entity, &mut Wide, Option<&Word>, Has<Byte>)>(),
                |(entity, wide, word, has)| {
                    let other = word.map_or(u64::from(entity.index()), Value::seed);
                    *wide = Wide::from_seed(next(wide.seed() ^ other ^ u64::from(has)));
                }
            )
        }
        3 => run!(
            world.query_mut::<(&mut Word, &mut Tag)>().filter::<Without<Triple>>(),
            |(word, _)| *word = Word::from_seed(next(word.seed() ^ 1))
        ),
        4 => {
            let mut query = world.query_mut::<(&mut Wide, &Word)>().filter::<With<Word>>();
            run_slices!(query, |(wide, words): (&mut [Wide], &[Word])| {
                for (wide, word) in wide.iter_mut().zip(words) {
                    *wide = Wide::from_seed(next(wide.seed() ^ word.seed()));
                }
            });
        }
        _ => run_slices!(world.query_mut::<&mut Triple>(), |triples: &mut [Triple]| {
            triples.iter_mut().for_each(|triple| *triple = Triple::from_seed(next(triple.seed())));
        }),
    }
}

/// All of it happens on threads of the pool, so that a sanitizer sees whatever orders their
/// accesses: rayon's atomics, and no lock of the standard library, which has none of its marks.
#[test]
fn parallel_passes_equal_sequential_ones_while_eight_views_are_alive() {
    for chunk_rows_max in CHUNK_ROWS {
        for count in [1, 2, 5] {
            threads(count).install(|| check_against_sequential_passes(chunk_rows_max));
        }
    }
}

fn check_against_sequential_passes(chunk_rows_max: usize) {
    let mut worlds = [world_of(chunk_rows_max, 6000), world_of(chunk_rows_max, 6000)];
    let pools = [SnapshotPool::default(), SnapshotPool::default()];
    let mut views: Vec<([View; 2], Contents)> = Vec::new();
    let mut mixer = Mixer::new(7);
    for round in 0..60 {
        if round % 2 == 0 {
            if views.len() == 8 {
                views.remove(mixer.below(8));
            }
            let [first, second] = &mut worlds;
            let pair = [first.capture(ALL, &pools[0]), second.capture(ALL, &pools[1])];
            views.push((pair, contents(&worlds[0])));
        }
        let (number, factor) = (mixer.below(6), mixer.next_number());
        pass(&mut worlds[0], number, factor, false);
        pass(&mut worlds[1], number, factor, true);
    }
    assert_eq!(contents(&worlds[0]), contents(&worlds[1]));
    for (pair, expected) in &views {
        pair.iter().for_each(|view| assert_eq!(contents_of(view), *expected));
    }
    let [sequential, parallel] = worlds.each_ref().map(World::copy_statistics);
    assert_eq!(parallel.bytes_copied, sequential.bytes_copied);
    assert_eq!(parallel.chunks_copied, sequential.chunks_copied);
    assert!(parallel.chunks_copied > 100);
    drop(views);
    check_memory(&mut worlds[1]);
}

/// With no view alive, everything that is mapped is live or free.
fn check_memory(world: &mut World) {
    world.advance_tick();
    let memory = world.memory();
    assert_eq!((memory.retained_bytes, memory.retained_chunks), (0, 0));
    assert_eq!(memory.live_bytes + memory.free_bytes, memory.mapped_bytes);
}

#[test]
fn reading_passes_visit_every_row_of_worlds_and_views_once() {
    for chunk_rows_max in CHUNK_ROWS {
        let mut world = world_of(chunk_rows_max, 9000);
        let view = world.capture(ALL, &SnapshotPool::default());
        let expected: Vec<u64> = world.query::<&Word>().iter().map(Value::seed).collect();
        world.query_mut::<&mut Word>().for_each(|word| *word = Word::from_seed(0));
        for count in [1, 3] {
            let seen = Mutex::new(Vec::new());
            let see = |word: &Word| seen.lock().unwrap().push(word.seed());
            threads(count).install(|| view.query::<&Word>().par_for_each(see));
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            let mut sorted = expected.clone();
            sorted.sort_unstable();
            assert_eq!(seen, sorted);

            let (rows, sum) = (AtomicUsize::new(0), AtomicU64::new(0));
            threads(count).install(|| {
                let query = view.query::<(&Word, Option<&Wide>)>();
                query.filter::<Without<Triple>>().par_for_each_run(|(words, wide)| {
                    assert!(wide.is_none_or(|wide| wide.len() == words.len()));
                    rows.fetch_add(words.len(), Ordering::Relaxed);
                    sum.fetch_add(words.iter().map(Value::seed).sum(), Ordering::Relaxed);
                });
            });
            let query = view.query::<&Word>().filter::<Without<Triple>>();
            assert_eq!(rows.into_inner(), query.count());
            assert_eq!(sum.into_inner(), query.iter().map(Value::seed).sum::<u64>());

            let zeros = AtomicUsize::new(0);
            threads(count).install(|| {
                world.query::<&Word>().par_for_each(|word| {
                    zeros.fetch_add(usize::from(word.seed() == 0), Ordering::Relaxed);
                });
            });
            assert_eq!(zeros.into_inner(), expected.len());
        }
    }
}

#[test]
fn thousands_of_small_tables_are_visited_once_each() {
    let mut world = World::new();
    let bits = 11_u32;
    // One archetype for every subset of eleven components.
    for subset in 0..1_u32 << bits {
        let entity = world.spawn((u64::from(subset),));
        macro_rules! insert {
            ($($bit:literal)*) => {
                $(if subset & 1 << $bit != 0 {
                    world.insert(entity, ([[0_u8; 3]; $bit + 1],)).unwrap();
                })*
            };
        }
        insert!(0 1 2 3 4 5 6 7 8 9 10);
    }
    assert!(world.archetypes().len() > 2000);
    let view = world.capture(ALL, &SnapshotPool::default());
    let pool = threads(3);
    pool.install(|| world.query_mut::<&mut u64>().par_for_each(|number| *number += 1 << 32));
    let (count, sum) = (AtomicUsize::new(0), AtomicU64::new(0));
    pool.install(|| {
        world.query::<&u64>().par_for_each(|number| {
            count.fetch_add(1, Ordering::Relaxed);
            sum.fetch_add(*number, Ordering::Relaxed);
        });
    });
    assert_eq!(count.into_inner(), 2048);
    assert_eq!(sum.into_inner(), 2048 * 2047 / 2 + (2048 << 32));
    let old = AtomicU64::new(0);
    let add = |number: &u64| _ = old.fetch_add(*number, Ordering::Relaxed);
    pool.install(|| view.query::<&u64>().par_for_each(add));
    assert_eq!(old.into_inner(), 2048 * 2047 / 2);
}

/// Both threads of a pool must be inside of calls at one time before either goes on.
fn meet(met: &Mutex<HashSet<thread::ThreadId>>) {
    met.lock().unwrap().insert(thread::current().id());
    let began = Instant::now();
    while met.lock().unwrap().len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "the other thread takes no task");
        thread::yield_now();
    }
}

#[test]
fn two_threads_work_at_the_same_time() {
    let mut world = world_of(256, 5000);
    let pool = threads(2);
    let met = Mutex::default();
    pool.install(|| world.query::<&Word>().par_for_each(|_| meet(&met)));
    let met = Mutex::default();
    pool.install(|| world.query_mut::<&mut Word>().par_for_each(|_| meet(&met)));
    let met = Mutex::default();
    pool.install(|| world.query_mut::<&mut Word>().par_for_each_run(|_| meet(&met)));
}

#[test]
fn queries_without_rows_call_nothing() {
    let mut world = World::new();
    let never = || panic!("there is no row");
    world.query_mut::<&mut Word>().par_for_each(|_| never());
    world.query_mut::<&mut Word>().par_for_each_run(|_| never());
    world.query::<&Word>().par_for_each(|_| never());
    world.query::<&Word>().par_for_each_run(|_| never());
    let entity = world.spawn((Word::from_seed(1),));
    world.despawn(entity).unwrap();
    world.query_mut::<&mut Word>().par_for_each(|_| never());
    world.query::<&Word>().par_for_each(|_| never());
}

/// The first row that panics leaves rows of its own run, and runs that no thread had begun: their
/// chunks were replaced before, and must be copied all the same.
#[test]
fn panic_in_a_call_leaves_every_row_whole_and_views_unchanged() {
    for chunk_rows_max in CHUNK_ROWS {
        for (count, by_runs) in [(1, false), (3, false), (1, true), (3, true)] {
            let mut world = world_of(chunk_rows_max, 6000);
            let before = contents(&world);
            let pool = SnapshotPool::default();
            let view = world.capture(ALL, &pool);
            let calls = AtomicUsize::new(0);
            let each = |word: &mut Word, hundred: &mut Hundred| {
                let late = calls.fetch_add(1, Ordering::Relaxed) == 700;
                *word = Word::from_seed(u64::from(u32::MAX));
                *hundred = Hundred::from_seed(u64::MAX);
                assert!(!late, "call number 700");
            };
            let mut query = world.query_mut::<(&mut Word, &mut Hundred)>();
            let outcome = threads(count).install(|| {
                catch_unwind(AssertUnwindSafe(|| {
                    if by_runs {
                        let slices = |(words, hundreds): (&mut [Word], &mut [Hundred])| {
                            for (word, hundred) in words.iter_mut().zip(hundreds) {
                                each(word, hundred);
                            }
                        };
                        query.par_for_each_run(slices);
                    } else {
                        query.par_for_each(|(word, hundred)| each(word, hundred));
                    }
                }))
            });
            let message = *outcome.unwrap_err().downcast::<&str>().unwrap();
            assert_eq!(message, "call number 700");
            let calls = calls.into_inner();
            let mut changed = 0;
            for (entity, row) in contents(&world) {
                let old = before[&entity];
                if row != old {
                    let new = (Some(u64::from(u32::MAX)), old.1, Some(u64::MAX), old.3, old.4);
                    assert_eq!(row, new, "a changed row has changed in full");
                    changed += 1;
                }
            }
            assert_eq!(changed, if by_runs { calls } else { calls - 1 });
            if count == 1 {
                assert_eq!(calls, 701, "no further call was made");
            }
            assert_eq!(contents_of(&view), before);
            // The world goes on as if nothing had been.
            world.query_mut::<&mut Word>().par_for_each(|word| *word = Word::from_seed(3));
            assert!(world.query::<&Word>().iter().all(|word| word.seed() == 3));
            assert_eq!(contents_of(&view), before);
            drop(view);
            check_memory(&mut world);
        }
    }
}

#[test]
fn panic_in_a_reading_call_comes_out_of_the_pass() {
    let world = world_of(16, 3000);
    let each = |word: &Word| assert!(word.seed() != 1600, "seed 1600");
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        threads(3).install(|| world.query::<&Word>().par_for_each(each));
    }));
    assert_eq!(*outcome.unwrap_err().downcast::<&str>().unwrap(), "seed 1600");
}

/// Under every limit, either there is memory for all copies, or nothing changes: also no replica
/// is told of a change.
#[test]
fn pass_without_memory_for_all_copies_calls_nothing_and_changes_nothing() {
    let (mut failed, mut passed) = (0, 0);
    for pages in (20..600).step_by(7) {
        let config = WorldConfig::default()
            .memory(
                ArenaConfig::default()
                    .first_slab_bytes(4096)
                    .slab_bytes_max(4096)
                    .limit_bytes(pages * 4096),
            )
            .chunk_rows_max(256);
        let mut world = World::with_config(config);
        let rows = (0..4000).map(|seed| (Word::from_seed(seed), Hundred::from_seed(seed)));
        if !rows.into_iter().all(|row| world.try_spawn(row).is_ok()) {
            continue;
        }
        let mut replica = with_chunk_rows(256);
        replica.sync_from(&world, ALL).unwrap();
        let before = contents(&world);
        let view = world.capture(ALL, &SnapshotPool::default());
        let memory = world.memory();
        let statistics = world.copy_statistics();
        let calls = AtomicUsize::new(0);
        let mut query = world.query_mut::<(&mut Word, &mut Hundred)>();
        let outcome = query.try_par_for_each(|(word, hundred)| {
            calls.fetch_add(1, Ordering::Relaxed);
            *word = Word::from_seed(word.seed() + 1);
            *hundred = Hundred::from_seed(hundred.seed() + 1);
        });
        assert_eq!(contents_of(&view), before);
        if outcome.is_ok() {
            assert_eq!(calls.into_inner(), 4000);
            passed += 1;
        } else {
            assert_eq!(calls.into_inner(), 0);
            assert_eq!(contents(&world), before);
            assert_eq!(world.copy_statistics(), statistics);
            let after = world.memory();
            assert_eq!(after.live_bytes, memory.live_bytes);
            assert_eq!(after.retained_bytes, memory.retained_bytes);
            assert_eq!(replica.sync_from(&world, ALL).unwrap().chunks_copied, 0);
            failed += 1;
        }
        let live = world.memory();
        assert_eq!(live.live_bytes + live.retained_bytes + live.free_bytes, live.mapped_bytes);
    }
    assert!(failed > 3 && passed > 3, "{failed} failed, {passed} passed");
}

/// The story is that of `memory_limit.rs`: finding memory for a copy ends the very capture that
/// made it necessary, and the chunk must then not be put on the free list and read afterwards.
#[test]
fn pass_survives_the_end_of_captures_while_it_looks_for_memory() {
    let mut tried = 0;
    for pages in (8..200).step_by(3) {
        let config = WorldConfig::default().memory(
            ArenaConfig::default()
                .first_slab_bytes(4096)
                .slab_bytes_max(4096)
                .limit_bytes(pages * 4096),
        );
        let mut world = World::with_config(config);
        let full = (0..8192_u64).all(|row| world.try_spawn((Wide::from_seed(row),)).is_ok());
        let view = world.capture(ALL, &SnapshotPool::default());
        let first = world.query::<Entity>().iter().next();
        if !full || world.get_mut::<Wide>(first.unwrap()).is_err() {
            continue;
        }
        drop(view);
        let next = |wide: &mut Wide| *wide = Wide::from_seed(wide.seed() + 1);
        world.query_mut::<&mut Wide>().try_par_for_each(next).unwrap();
        for (row, wide) in (1..).zip(world.query::<&Wide>().iter()) {
            assert_eq!(wide.seed(), row);
        }
        tried += 1;
    }
    assert!(tried > 0, "some limit leaves room for one copy");
}

#[test]
fn replica_sees_what_a_parallel_pass_wrote() {
    let (mut world, mut replica) = (world_of(64, 5000), with_chunk_rows(64));
    let view = world.capture(ALL, &SnapshotPool::default());
    for round in 0..4 {
        replica.sync_from(&world, ALL).unwrap();
        assert_eq!(contents(&replica), contents(&world));
        pass(&mut world, round, 5, true);
    }
    replica.sync_from(&world, ALL).unwrap();
    assert_eq!(contents(&replica), contents(&world));
    drop(view);
}

#[test]
fn timed_copies_are_counted_and_change_no_result() {
    let mut worlds = [world_of(64, 5000), world_of(64, 5000)];
    for (timing, world) in worlds.iter_mut().enumerate() {
        world.set_copy_timing(timing == 1);
        let pool = SnapshotPool::default();
        let view = world.capture(ALL, &pool);
        (0..6).for_each(|number| pass(world, number, 9, true));
        drop(view);
    }
    let [plain, timed] = worlds.each_ref().map(World::copy_statistics);
    assert_eq!((plain.chunks_copied, plain.copy_time), (timed.chunks_copied, Duration::ZERO));
    assert!(timed.copy_time > Duration::ZERO);
    assert_eq!(contents(&worlds[0]), contents(&worlds[1]));
}

/// The chunks of a table that is visited in part used to be copied before those of other tables were
/// allocated, and stayed so when that failed.
#[test]
fn pass_that_fails_leaves_all_chunks_as_they_were() {
    let (mut failed, mut passed) = (0, 0);
    for mebibytes in 4..24 {
        let config = WorldConfig::default().memory_limit_bytes(mebibytes << 20);
        let mut world = World::with_config(config);
        world.register_toggle::<u64>().unwrap();
        let rows: Vec<u64> = (0..150_000).collect();
        let bytes = vec![0_u8; rows.len()];
        let spawned = world.spawn_columns((&rows[..], &bytes[..])).map(|mut all| all.next());
        let Ok(Some(first)) = spawned else { continue };
        world.disable::<u64>(first).unwrap();
        let narrow: Vec<u32> = (0..600_000).collect();
        if world.spawn_columns((&narrow[..],)).is_err() {
            continue;
        }
        let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
        let (mark, before) = (world.change_mark(), world.memory());
        let mut query = world.query_mut::<(Option<&mut u64>, Option<&mut u32>)>();
        let result = query.try_par_for_each(|(wide, narrow)| {
            wide.into_iter().for_each(|value| *value += 1);
            narrow.into_iter().for_each(|value| *value += 1);
        });
        match result {
            Ok(()) => passed += 1,
            Err(_) => {
                failed += 1;
                let wide = world.query::<&u64>().filter::<Changed<u64>>().since(mark).count();
                let narrow = world.query::<&u32>().filter::<Changed<u32>>().since(mark).count();
                assert_eq!((wide, narrow), (0, 0), "{mebibytes} MiB");
                assert_eq!(world.memory().live_bytes, before.live_bytes);
                assert_eq!(world.memory().retained_bytes, before.retained_bytes);
            }
        }
        drop(view);
    }
    assert!(failed > 0 && passed > 0, "{failed} failed, {passed} passed");
}
