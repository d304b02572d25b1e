//! Providers: when they capture, which readers join, how long a snapshot lives, and the bounds.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

use bytemuck::{Pod, Zeroable};
use convoy_engine::provider::{
    AcquireError, DoubleBufferProvider, OnDemandProvider, ProviderKind, ReplicaProvider,
    SharedSnapshotProvider, SlowReaderLimits, SnapshotProvider, WhenBusy,
};
use convoy_engine::query::QueryError;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Debug)]
#[repr(transparent)]
struct Left(u64);

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Debug)]
#[repr(transparent)]
struct Right(u64);

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Debug)]
#[repr(transparent)]
struct Aside(u64);

const ROWS: usize = 1_000;

/// A world of small chunks with `ROWS` entities whose columns all say zero.
fn world() -> World {
    let config = WorldConfig::default().chunk_rows_max(64);
    let mut world = World::with_config(config);
    for _ in 0..ROWS {
        world.spawn((Left(0), Right(0), Aside(0)));
    }
    world
}

/// Writes one number into every row of all columns.
fn write(world: &mut World, number: u64) {
    world.query_mut::<(&mut Left, &mut Right, &mut Aside)>().for_each(|(left, right, aside)| {
        (left.0, right.0, aside.0) = (number, number, number);
    });
}

/// The number that every row of the snapshot carries in both columns.
fn number_of(view: &View) -> u64 {
    let query = view.query::<(&Left, &Right)>();
    assert_eq!(query.iter().len(), ROWS);
    let number = query.iter().next().unwrap().0.0;
    assert!(
        query.iter().all(|(left, right)| left.0 == number && right.0 == number),
        "one snapshot"
    );
    number
}

fn shared() -> (SharedSnapshotProvider, SnapshotPool) {
    let pool = SnapshotPool::default();
    (SharedSnapshotProvider::new(ComponentMask::ALL, pool.clone()), pool)
}

#[test]
fn first_acquire_captures_and_the_others_join() {
    let (mut world, (provider, _)) = (world(), shared());
    assert_eq!(provider.kind(), ProviderKind::Shared);
    provider.update(&mut world).unwrap();
    assert!(provider.join().is_none(), "no reader holds a snapshot");
    assert_eq!(provider.statistics().captures, 0, "a convoy captures lazily");

    let first = provider.acquire(&mut world).unwrap();
    assert_eq!(provider.statistics().captures, 1);
    let views: Vec<View> = (0..4).map(|_| provider.acquire(&mut world).unwrap()).collect();
    assert!(views.iter().all(|view| view.shares_with(&first)));
    assert_eq!(first.readers(), 5);
    let statistics = provider.statistics();
    assert_eq!((statistics.captures, statistics.joins, statistics.live_generations), (1, 4, 1));
    assert_eq!(world.memory().active_captures, 1);
}

#[test]
fn snapshot_is_pooled_only_when_its_last_view_is_dropped() {
    let (mut world, (provider, pool)) = (world(), shared());
    let idle = pool.statistics().pooled;
    let first = provider.acquire(&mut world).unwrap();
    let second = provider.acquire(&mut world).unwrap();
    let third = second.clone();
    assert_eq!((first.readers(), pool.statistics().pooled), (3, idle - 1));
    drop(second);
    drop(first);
    assert_eq!((third.readers(), pool.statistics().pooled), (1, idle - 1));
    assert_eq!(provider.statistics().live_generations, 1);
    drop(third);
    assert_eq!(pool.statistics().pooled, idle, "the last one out returns the cell");
    assert_eq!(provider.statistics().live_generations, 0);
    assert!(provider.join().is_none());
    let next = provider.acquire(&mut world).unwrap();
    assert_eq!((next.readers(), provider.statistics().captures), (1, 2));
}

#[test]
fn union_mask_captures_what_the_members_read_and_nothing_else() {
    let mut world = world();
    let left = world.mask_of::<(Left,)>().unwrap();
    let right = world.mask_of::<(Right,)>().unwrap();
    let union = left.union(&right);
    let provider = SharedSnapshotProvider::new(union, SnapshotPool::default());
    let view = provider.acquire(&mut world).unwrap();
    assert_eq!((provider.mask(), view.mask()), (union, union));
    assert_eq!(number_of(&view), 0, "both members' columns are there");
    let component = std::any::type_name::<Aside>();
    assert_eq!(view.try_query::<&Aside>().err(), Some(QueryError::NotReadable { component }));

    world.query_mut::<&mut Aside>().for_each(|aside| aside.0 = 1);
    assert_eq!(world.copy_statistics().chunks_copied, 0, "no column outside the mask is copied");
    assert_eq!(world.memory().retained_bytes, 0);
    world.query_mut::<&mut Left>().for_each(|left| left.0 = 1);
    let chunks = ROWS.div_ceil(64) as u64;
    assert_eq!(world.copy_statistics().chunks_copied, chunks, "and one inside is");
    assert_eq!(number_of(&view), 0);
}

#[test]
fn a_view_goes_back_to_its_own_pool_and_no_other() {
    let mut world = world();
    let ((one, pool_one), (other, pool_other)) = (shared(), shared());
    let view_one = one.acquire(&mut world).unwrap();
    let view_other = other.acquire(&mut world).unwrap();
    assert!(!view_one.shares_with(&view_other));
    let before = (pool_other.statistics(), other.statistics());
    drop(view_one);
    assert_eq!((pool_other.statistics(), other.statistics()), before, "the other is untouched");
    assert_eq!(pool_one.statistics().pooled, 2);
    assert_eq!(number_of(&view_other), 0);
    assert_eq!(view_other.readers(), 1);
}

#[test]
fn a_view_stays_as_it_is_for_ten_frames_of_change_and_after_the_world() {
    let (mut world, (provider, pool)) = (world(), shared());
    write(&mut world, 41);
    let view = provider.acquire(&mut world).unwrap();
    for frame in 1..=10 {
        world.advance_tick();
        write(&mut world, 100 + frame);
        world.spawn((Left(frame), Right(frame)));
        assert_eq!(provider.acquire(&mut world).unwrap().tick(), frame);
        assert_eq!((number_of(&view), view.tick(), view.lag(&world)), (41, 0, Some(frame)));
    }
    drop((world, provider));
    assert_eq!((number_of(&view), view.entity_count()), (41, ROWS));
    let idle = pool.statistics().pooled;
    let reader = thread::spawn(move || number_of(&view));
    assert_eq!(reader.join().unwrap(), 41);
    assert_eq!(pool.statistics().pooled, idle + 1, "the cell comes back without the world");
}

/// Trap 3 of the design: a reader that holds the published snapshot keeps it joinable, and a naive
/// provider hands it to everybody for as long as that reader is slow.
#[test]
fn trap_3_a_slow_reader_does_not_make_later_joiners_read_an_old_snapshot() {
    let (mut world, (provider, _)) = (world(), shared());
    let slow = provider.acquire(&mut world).unwrap();
    for tick in 1..=100 {
        world.advance_tick();
        write(&mut world, tick);
        let one = provider.acquire(&mut world).unwrap();
        let other = provider.acquire(&mut world).unwrap();
        assert!(one.shares_with(&other) && !one.shares_with(&slow));
        assert_eq!((one.tick(), number_of(&one), one.lag(&world)), (tick, tick, Some(0)));
        assert_eq!(provider.statistics().live_generations, 2, "the slow one's and the newest");
    }
    assert_eq!((slow.tick(), number_of(&slow)), (0, 0));
    assert_eq!(provider.statistics().stale, 0);
}

#[test]
fn acquirers_join_a_snapshot_up_to_the_maximum_age() {
    let mut world = world();
    let provider =
        SharedSnapshotProvider::new(ComponentMask::ALL, SnapshotPool::default()).with_max_age(2);
    let first = provider.acquire(&mut world).unwrap();
    for age in 1..=2 {
        world.advance_tick();
        let joined = provider.acquire(&mut world).unwrap();
        assert!(joined.shares_with(&first) && joined.lag(&world) == Some(age));
    }
    world.advance_tick();
    let fresh = provider.acquire(&mut world).unwrap();
    assert!(!fresh.shares_with(&first) && fresh.lag(&world) == Some(0));
    let statistics = provider.statistics();
    assert_eq!((statistics.captures, statistics.joins, statistics.stale), (2, 2, 0));
}

/// Two generations that readers hold, in ticks 0 and 1, and a world in tick 2.
fn at_the_bound(when_busy: WhenBusy) -> (World, SharedSnapshotProvider, SnapshotPool, [View; 2]) {
    let (mut world, (provider, pool)) = (world(), shared());
    let provider = provider.with_generations_max(2, when_busy);
    let first = provider.acquire(&mut world).unwrap();
    world.advance_tick();
    write(&mut world, 1);
    let second = provider.acquire(&mut world).unwrap();
    world.advance_tick();
    write(&mut world, 2);
    (world, provider, pool, [first, second])
}

#[test]
fn the_bound_on_generations_refuses_and_changes_nothing() {
    let (mut world, provider, pool, [first, second]) = at_the_bound(WhenBusy::Refuse);
    let before = (world.memory(), pool.statistics(), provider.statistics());
    let error = provider.acquire(&mut world).unwrap_err();
    assert!(
        matches!(error, AcquireError::Backpressure { generations: 2, newest_tick: 1, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("2 generations") && error.to_string().contains("tick 1"));
    let AcquireError::Backpressure { oldest_lag, oldest_retained_bytes, .. } = error else {
        panic!("{error}");
    };
    let oldest = first.usage(&world).unwrap();
    assert_eq!((oldest_lag, oldest_retained_bytes), (2, oldest.retained_bytes));
    assert!(oldest_retained_bytes > 0);
    assert_eq!(provider.held(&world), [oldest, second.usage(&world).unwrap()]);
    assert_eq!((world.memory(), pool.statistics()), (before.0, before.1));
    let mut expected = before.2;
    expected.refused += 1;
    assert_eq!(provider.statistics(), expected, "only the refusal is counted");
    assert_eq!((first.readers(), second.readers()), (1, 1));
    assert_eq!((number_of(&first), number_of(&second)), (0, 1));

    drop(first);
    let third = provider.acquire(&mut world).unwrap();
    assert_eq!((third.tick(), number_of(&third)), (2, 2), "a reader that leaves makes room");
}

#[test]
fn the_bound_on_generations_can_give_the_newest_snapshot_with_its_age() {
    let (mut world, provider, _, [first, second]) = at_the_bound(WhenBusy::Newest);
    let newest = provider.acquire(&mut world).unwrap();
    assert!(newest.shares_with(&second));
    assert_eq!((newest.lag(&world), number_of(&newest)), (Some(1), 1));
    let statistics = provider.statistics();
    assert_eq!((statistics.stale, statistics.refused, statistics.captures), (1, 1, 2));
    drop((newest, second));
    let fresh = provider.acquire(&mut world).unwrap();
    assert_eq!((fresh.lag(&world), number_of(&fresh)), (Some(0), 2));
    assert_eq!(first.tick(), 0);
}

/// Trap 8 of the design: a release too many corrupts a plain counter for good. Here no release
/// can be written twice, and a storm of clones and drops leaves the count exact.
#[test]
fn trap_8_a_storm_of_clones_and_drops_leaves_the_reader_count_exact() {
    const THREADS: usize = 8;
    let (mut world, (provider, pool)) = (world(), shared());
    let provider = Arc::new(provider);
    let view = provider.acquire(&mut world).unwrap();
    for _ in 0..5 {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (view, provider) = (view.clone(), Arc::clone(&provider));
                thread::spawn(move || {
                    for _ in 0..5_000 {
                        let (one, other) = (view.clone(), provider.join().unwrap());
                        assert!(one.shares_with(&other) && one.readers() >= 3);
                        drop(one);
                        drop(other);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(view.readers(), 1, "every reader was counted in and out");
    }
    write(&mut world, 9);
    assert_eq!(number_of(&view), 0);
    drop(view);
    let statistics = pool.statistics();
    assert_eq!((statistics.created, statistics.pooled, statistics.discarded), (2, 2, 0));
    world.advance_tick();
    assert_eq!(world.memory().active_captures, 0);
    assert_eq!(world.memory().retained_bytes, 0, "what the storm kept is free");
}

#[test]
fn threads_join_whole_snapshots_no_older_than_the_published_one() {
    const TICKS: u64 = 5_000;
    const READERS: usize = 4;
    let (mut world, (provider, pool)) = (world(), shared());
    let provider = Arc::new(provider);
    let (published, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut held = provider.acquire(&mut world).unwrap();
    let start = Arc::new(Barrier::new(READERS + 1));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (provider, published) = (Arc::clone(&provider), Arc::clone(&published));
            let (done, start) = (Arc::clone(&done), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                let (mut joined, mut last) = (0_u64, 0);
                while !done.load(Ordering::Acquire) {
                    // Acquire: pairs with the Release of the world's thread after it published.
                    let oldest = published.load(Ordering::Acquire);
                    let view = provider.join().expect("the world's thread holds the newest");
                    assert!(view.tick() >= oldest && view.tick() >= last);
                    assert_eq!(number_of(&view), view.tick(), "rows and tick are of one snapshot");
                    last = view.tick();
                    joined += 1;
                }
                joined
            })
        })
        .collect();
    start.wait();
    for tick in 1..=TICKS {
        world.advance_tick();
        write(&mut world, tick);
        // Readers may hold the bound's worth of generations for a moment.
        match provider.acquire(&mut world) {
            Ok(view) => {
                assert_eq!(view.tick(), tick);
                held = view;
                published.store(tick, Ordering::Release);
            }
            Err(AcquireError::Backpressure { newest_tick, .. }) => {
                assert_eq!(newest_tick, held.tick());
                thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
    assert_eq!(held.readers(), 1, "all readers have left");
    let statistics = provider.statistics();
    assert_eq!(statistics.captures + statistics.refused, TICKS + 1);
    assert_eq!(statistics.live_generations, 1);
    drop(held);
    assert_eq!(pool.statistics().pooled as u64, pool.statistics().created);
}

#[test]
fn double_buffer_captures_every_update_and_all_of_a_tick_join() {
    let mut world = world();
    let provider = DoubleBufferProvider::new(ComponentMask::ALL, SnapshotPool::default());
    assert_eq!(provider.kind(), ProviderKind::DoubleBuffer);
    assert!(provider.join().is_none(), "nothing is published before the first update");
    for tick in 1..=20 {
        world.advance_tick();
        write(&mut world, tick);
        provider.update(&mut world).unwrap();
        let one = provider.acquire(&mut world).unwrap();
        let other = provider.join().unwrap();
        assert!(one.shares_with(&other));
        assert_eq!((one.tick(), number_of(&one)), (tick, tick));
        assert_eq!(one.readers(), 3, "two readers and the provider");
    }
    let statistics = provider.statistics();
    assert_eq!((statistics.captures, statistics.joins), (20, 20), "by acquire alone");
    assert_eq!(statistics.live_generations, 1, "the one before left when the newest came");
}

#[test]
fn double_buffer_captures_at_the_first_acquire_when_there_was_no_update() {
    let mut world = world();
    let provider = DoubleBufferProvider::new(ComponentMask::ALL, SnapshotPool::default());
    let view = provider.acquire(&mut world).unwrap();
    assert!(view.shares_with(&provider.join().unwrap()));
    assert_eq!(provider.statistics().captures, 1);
}

#[test]
fn double_buffer_at_its_bound_keeps_the_last_snapshot_and_counts_it_as_stale() {
    let mut world = world();
    let provider = DoubleBufferProvider::new(ComponentMask::ALL, SnapshotPool::default());
    let mut held = Vec::new();
    let refused = loop {
        world.advance_tick();
        match provider.update(&mut world) {
            Ok(()) => held.push(provider.acquire(&mut world).unwrap()),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AcquireError::Backpressure { generations, newest_tick, .. }
        if generations == held.len() && newest_tick == held.len() as u64));
    let last = provider.acquire(&mut world).unwrap();
    assert!(last.shares_with(held.last().unwrap()) && last.lag(&world) == Some(1));
    let statistics = provider.statistics();
    // The update was refused, and so was the one that the acquire tried to make up for it.
    assert_eq!((statistics.refused, statistics.stale), (2, 1));
    assert_eq!(statistics.joins, held.len() as u64 + 1, "the stale one was joined as well");
    held.clear();
    provider.update(&mut world).unwrap();
    assert_eq!(provider.join().unwrap().lag(&world), Some(0));
}

/// An acquire that captured for a missed update was given the newest snapshot by then, which may be of
/// another world. Here the other world's update comes between, as that of another thread may.
#[test]
fn acquiring_from_a_double_buffer_of_two_worlds_gives_a_snapshot_of_the_own_one() {
    let (mut world, entity) = world_with_number(1);
    let other = Mutex::new(world_with_number(2).0);
    let provider = Arc::new(OnceLock::<DoubleBufferProvider>::new());
    let limits = SlowReaderLimits::default().lag_max(0);
    let double = DoubleBufferProvider::new(ALL, SnapshotPool::default());
    let double = double.with_slow_readers(limits, {
        let provider = Arc::downgrade(&provider);
        move |_| {
            let provider = provider.upgrade().unwrap();
            let mut other = other.lock().unwrap();
            other.advance_tick();
            provider.get().unwrap().update(&mut other).unwrap();
        }
    });
    let double = provider.get_or_init(|| double);
    let held = double.acquire(&mut world).unwrap();
    world.advance_tick();
    let view = double.acquire(&mut world).unwrap();
    assert_eq!(double.statistics().callback_panics, 0);
    assert!(double.join().unwrap().lag(&world).is_none(), "the other world's came last");
    assert!(view.is_past_of(&world) && held.lag(&world) == Some(1));
    assert_eq!((*view.get::<u32>(entity).unwrap(), view.lag(&world)), (1, Some(0)));
}

#[test]
fn on_demand_captures_privately_at_each_acquire() {
    let mut world = world();
    let provider = OnDemandProvider::new(ComponentMask::ALL, SnapshotPool::default());
    assert_eq!(provider.kind(), ProviderKind::OnDemand);
    provider.update(&mut world).unwrap();
    assert_eq!(provider.statistics().captures, 0, "an update captures nothing");
    let first = provider.acquire(&mut world).unwrap();
    write(&mut world, 1);
    let second = provider.acquire(&mut world).unwrap();
    assert!(!first.shares_with(&second));
    assert_eq!((first.readers(), second.readers()), (1, 1));
    assert_eq!((number_of(&first), number_of(&second)), (0, 1), "also within one tick");
    assert_eq!((provider.statistics().captures, provider.statistics().joins), (2, 0));
    assert_eq!(provider.copied_bytes(), 0);
}

#[test]
fn replica_copies_physically_and_the_live_world_pays_nothing() {
    let mut world = world();
    let mask = world.mask_of::<(Left, Right)>().unwrap();
    let provider = ReplicaProvider::new(mask);
    assert_eq!((provider.kind(), provider.mask()), (ProviderKind::Replica, mask));
    assert_eq!(provider.copied_bytes(), 0);
    let first = provider.acquire(&mut world).unwrap();
    assert!(provider.copied_bytes() >= world.row_bytes(&mask), "the columns exist twice");
    assert!(provider.mapped_bytes() >= provider.copied_bytes());
    write(&mut world, 1);
    world.advance_tick();
    assert_eq!(world.copy_statistics().chunks_copied, 0);
    assert_eq!(world.memory().active_captures, 0, "the world does not know of the view");
    let second = provider.acquire(&mut world).unwrap();
    assert_eq!((number_of(&first), number_of(&second)), (0, 1));
    assert_eq!((first.tick(), second.tick()), (0, 1));
    assert!(second.try_query::<&Aside>().is_err(), "only what was synced can be read");
    assert_eq!(provider.statistics().captures, 2);
}

const ALL: ComponentMask = ComponentMask::ALL;

/// A world with one entity, which has a number.
fn world_with_number(number: u32) -> (World, Entity) {
    let mut world = World::new();
    let entity = world.spawn((number,));
    (world, entity)
}

/// Joining needs no world, so joins of a snapshot that had been taken back went unnoticed.
#[test]
fn nobody_joins_a_future_that_was_taken_back() {
    let (mut world, entity) = world_with_number(1);
    let pool = SnapshotPool::default();
    let past = world.capture(ALL, &pool);
    let shared = SharedSnapshotProvider::new(ALL, pool.clone());
    let double = DoubleBufferProvider::new(ALL, pool);
    *world.get_mut::<u32>(entity).unwrap() = 2;
    world.advance_tick();
    double.update(&mut world).unwrap();
    let held = shared.acquire(&mut world).unwrap();
    assert!(double.join().is_some() && shared.join().is_some());
    world.restore(&past).unwrap();
    assert!(held.is_superseded() && !held.is_past_of(&world));
    assert!(double.join().is_none() && shared.join().is_none());
    for view in [double.acquire(&mut world).unwrap(), shared.acquire(&mut world).unwrap()] {
        assert_eq!(*view.get::<u32>(entity).unwrap(), 1);
    }
    assert!(double.join().is_some());
}

#[test]
fn acquiring_from_a_double_buffer_makes_up_for_updates_that_were_left_out() {
    let (mut world, entity) = world_with_number(0);
    let provider = DoubleBufferProvider::new(ALL, SnapshotPool::default()).with_generations_max(2);
    provider.update(&mut world).unwrap();
    for tick in 1..6_u32 {
        world.advance_tick();
        *world.get_mut::<u32>(entity).unwrap() = tick;
        let view = provider.acquire(&mut world).unwrap();
        assert_eq!((*view.get::<u32>(entity).unwrap(), view.lag(&world)), (tick, Some(0)));
    }
    let old = DoubleBufferProvider::new(ALL, SnapshotPool::default()).with_max_age(1);
    let first = old.acquire(&mut world).unwrap();
    world.advance_tick();
    assert!(old.acquire(&mut world).unwrap().shares_with(&first));
    world.advance_tick();
    assert!(!old.acquire(&mut world).unwrap().shares_with(&first));
}

#[test]
fn snapshots_on_demand_are_bounded() {
    let (mut world, _) = world_with_number(0);
    let provider = OnDemandProvider::new(ALL, SnapshotPool::default()).with_generations_max(3);
    let held: Vec<_> = (0..3).map(|_| provider.acquire(&mut world).unwrap()).collect();
    let refused = provider.acquire(&mut world).unwrap_err();
    assert!(matches!(refused, AcquireError::Backpressure { generations: 3, .. }));
    drop(held);
    provider.acquire(&mut world).unwrap();
}

/// A snapshot of one world has the number of one of every other.
#[test]
fn ids_and_lags_are_of_one_world() {
    let ((mut world, entity), (mut other, _)) = (world_with_number(0), world_with_number(0));
    let pool = SnapshotPool::default();
    let (view, theirs) = (world.capture(ALL, &pool), other.capture(ALL, &pool));
    *world.get_mut::<u32>(entity).unwrap() = 1;
    other.advance_tick();
    assert_ne!(view.id(), theirs.id());
    assert!(world.snapshot(theirs.id()).is_none() && other.snapshot(view.id()).is_none());
    assert_eq!((other.exclusive_bytes(view.id()), view.exclusive_bytes(&other)), (0, 0));
    assert!(world.exclusive_bytes(view.id()) > 0);
    assert_eq!((view.lag(&world), view.lag(&other)), (Some(0), None));
    assert!(view.usage(&other).is_none() && theirs.usage(&other).unwrap().lag == 1);
}
