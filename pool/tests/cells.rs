//! Cells have one writer or many readers, end once, and come back.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use convoy_pool::{CellPool, CellPoolConfig, Lease, Publication, Recycle, Watch};

/// How long a storm lasts.
const STORM: Duration = Duration::from_millis(1500);

/// A value that shows when it is torn, shared while written, or freed.
struct Picture {
    numbers: Vec<u64>,
    writing: AtomicBool,
    recycle_panics: bool,
    alive: Arc<AtomicUsize>,
}

impl Picture {
    fn fill(&mut self, number: u64) {
        assert!(!self.writing.swap(true, Ordering::Relaxed), "one writer at a time");
        assert!(self.numbers.is_empty(), "a taken cell is empty");
        self.numbers.extend([number; 32]);
        self.writing.store(false, Ordering::Relaxed);
    }

    fn check(&self) -> u64 {
        assert_eq!(self.numbers.len(), 32, "a shared cell is full");
        assert!(self.numbers.iter().all(|&number| number == self.numbers[0]), "and whole");
        self.numbers[0]
    }
}

impl Recycle for Picture {
    fn recycle(&mut self) {
        assert!(!self.recycle_panics, "recycling fails");
        self.numbers.clear();
    }

    fn retained_bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<u64>()
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A pool, and how many of its values are alive.
fn pool(idle_max: usize) -> (CellPool<Picture>, Arc<AtomicUsize>) {
    let alive = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&alive);
    let make = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Picture {
            numbers: Vec::with_capacity(32),
            writing: AtomicBool::new(false),
            recycle_panics: false,
            alive: Arc::clone(&count),
        }
    };
    (CellPool::new(CellPoolConfig::default().idle_max(idle_max), make), alive)
}

/// Waits until deferred destruction has freed all but `count` values.
fn await_alive(alive: &AtomicUsize, count: usize) {
    let (nudge, _) = pool(0);
    let started = Instant::now();
    while alive.load(Ordering::Relaxed) != count {
        assert!(started.elapsed() < Duration::from_secs(10), "values are freed in the end");
        nudge.trim();
        thread::yield_now();
    }
}

fn share(pool: &CellPool<Picture>, number: u64) -> (Lease<Picture>, Watch<Picture>) {
    let mut vacant = pool.take();
    vacant.fill(number);
    let watch = vacant.watch();
    (vacant.share(), watch)
}

#[test]
fn value_has_the_same_address_for_all_readers_and_comes_back() {
    let (pool, _) = pool(4);
    let (lease, watch) = share(&pool, 1);
    let address: *const Picture = &*lease;
    let other = lease.clone();
    assert!(std::ptr::eq(&*other, address) && lease.same_cell(&other));
    assert_eq!((lease.readers(), watch.readers()), (2, 2));
    drop(lease);
    assert!(!watch.ended());
    assert_eq!(other.check(), 1);
    drop(other);
    assert!(watch.ended());
    let (again, _) = share(&pool, 2);
    assert!(std::ptr::eq(&*again, address));
    let statistics = pool.statistics();
    assert_eq!((statistics.created, statistics.reused, statistics.pooled), (1, 1, 0));
    assert_eq!(statistics.reuse_rate(), 0.5);
}

#[test]
fn each_use_is_another_generation_and_ends_for_good() {
    let (pool, _) = pool(1);
    let mut watches = Vec::new();
    for number in 0..100 {
        let (lease, watch) = share(&pool, number);
        assert_eq!(lease.generation(), watch.generation());
        assert!(!watch.ended());
        assert!(watches.iter().all(|old: &Watch<Picture>| old.ended() && old.readers() == 0));
        assert!(watches.iter().all(|old| old.generation() != watch.generation()));
        watches.push(watch);
    }
}

#[test]
fn watch_joins_its_generation_until_that_has_ended() {
    let (pool, _) = pool(1);
    let (lease, watch) = share(&pool, 1);
    let joined = watch.join().unwrap();
    assert!(joined.same_cell(&lease));
    assert_eq!((lease.readers(), joined.check()), (2, 1));
    drop(lease);
    assert!(watch.join().is_some() && !watch.ended());
    drop(joined);
    assert!(watch.join().is_none());
    let (_again, newer) = share(&pool, 2);
    assert!(watch.join().is_none(), "the same cell, and another generation");
    assert_eq!(newer.join().unwrap().check(), 2);
}

#[test]
fn vacant_cell_is_unended_until_shared_and_ended_when_dropped() {
    let (pool, _) = pool(1);
    let mut vacant = pool.take();
    vacant.fill(1);
    let watch = vacant.watch();
    assert!(!watch.ended());
    drop(vacant);
    assert!(watch.ended());
    assert_eq!(pool.statistics().pooled, 1);
    let (lease, _) = share(&pool, 2);
    assert_eq!(lease.check(), 2);
    assert!(watch.ended());
}

#[test]
fn idle_cells_are_bounded_and_the_rest_is_freed() {
    let (pool, alive) = pool(2);
    let leases: Vec<_> = (0..5).map(|number| share(&pool, number).0).collect();
    drop(leases);
    let statistics = pool.statistics();
    assert_eq!((statistics.created, statistics.pooled, statistics.discarded), (5, 2, 3));
    assert_eq!(statistics.idle_retained_bytes, 2 * 32 * 8);
    await_alive(&alive, 2);
    pool.trim();
    let statistics = pool.statistics();
    assert_eq!((statistics.pooled, statistics.discarded), (0, 5));
    assert_eq!(statistics.idle_retained_bytes, 0);
    await_alive(&alive, 0);
}

#[test]
fn warm_up_fills_the_pool_up_to_its_bound() {
    let (pool, _) = pool(4);
    pool.warm_up(3);
    pool.warm_up(3);
    assert_eq!(pool.statistics().created, 3);
    pool.warm_up(100);
    let statistics = pool.statistics();
    assert_eq!((statistics.created, statistics.pooled, statistics.discarded), (4, 4, 0));
    let cells: Vec<_> = (0..4).map(|_| pool.take()).collect();
    assert_eq!((pool.statistics().reused, pool.statistics().missed), (4, 0));
    drop(cells);
}

#[test]
fn publication_shows_the_newest_and_readers_keep_the_old() {
    let (pool, _) = pool(4);
    let publication = Publication::new();
    assert!(publication.join().is_none());
    let publish = |number| {
        let mut vacant = pool.take();
        vacant.fill(number);
        vacant.publish(&publication)
    };
    let first = publish(1);
    let joined = publication.join().unwrap();
    assert!(joined.same_cell(&first));
    let second = publish(2);
    drop(first);
    assert_eq!(publication.join().unwrap().check(), 2);
    assert_eq!(joined.check(), 1);
    // The end of the replaced generation leaves the newest in place.
    drop(joined);
    assert_eq!(publication.join().unwrap().check(), 2);
    drop(second);
    assert!(publication.join().is_none());
}

#[test]
fn withdrawn_publication_admits_nobody_and_disturbs_nobody() {
    let (pool, _) = pool(4);
    let publication = Publication::new();
    let mut vacant = pool.take();
    vacant.fill(5);
    let watch = vacant.watch();
    let lease = vacant.publish(&publication);
    publication.withdraw();
    assert!(publication.join().is_none());
    assert_eq!(lease.check(), 5);
    assert!(!watch.ended());
    drop(lease);
    assert!(watch.ended());
}

#[test]
fn pool_dropped_under_leases_is_freed_by_the_last_of_them() {
    let (pool, alive) = pool(4);
    let publication = Publication::new();
    pool.warm_up(3);
    let mut vacant = pool.take();
    vacant.fill(1);
    let lease = vacant.publish(&publication);
    drop(pool);
    let other = publication.join().unwrap();
    drop(lease);
    thread::spawn(move || assert_eq!(other.check(), 1)).join().unwrap();
    assert!(publication.join().is_none());
    await_alive(&alive, 0);
}

#[test]
fn watch_outlives_pool_and_cell() {
    let (pool, alive) = pool(4);
    let (lease, watch) = share(&pool, 1);
    drop(pool);
    drop(lease);
    assert!(watch.ended());
    drop(watch);
    await_alive(&alive, 0);
}

#[test]
fn cell_whose_recycling_panics_is_destroyed_and_the_pool_goes_on() {
    let (pool, alive) = pool(4);
    let publication = Publication::new();
    let mut vacant = pool.take();
    vacant.fill(1);
    vacant.recycle_panics = true;
    let watch = vacant.watch();
    let lease = vacant.publish(&publication);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(lease))).is_err());
    assert!(watch.ended());
    drop(watch);
    assert!(publication.join().is_none());
    let statistics = pool.statistics();
    assert_eq!((statistics.pooled, statistics.discarded), (0, 1));
    await_alive(&alive, 0);
    assert_eq!(share(&pool, 2).0.check(), 2);
}

/// A value that can't be destroyed without a panic.
struct Fuse(Arc<AtomicUsize>);

impl Recycle for Fuse {
    fn recycle(&mut self) {}

    fn retained_bytes(&self) -> usize {
        0
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        panic!("a value that is destroyed");
    }
}

/// A value that leaves a pool for good is destroyed by whichever thread looks at cells when no
/// other looks at them any more, and that thread got the panic.
#[test]
fn panics_of_values_that_are_destroyed_reach_nobody() {
    let alive = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&alive);
    let make = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Fuse(Arc::clone(&count))
    };
    let fuses = CellPool::new(CellPoolConfig::default().idle_max(1), make);
    let (first, second) = (fuses.take(), fuses.take());
    let watch = second.watch();
    let publication = Publication::new();
    let shown = second.publish(&publication);
    drop(first.share());
    drop(shown);
    fuses.trim();
    let (bystander, _) = pool(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                assert!(publication.join().is_none());
                bystander.trim();
            }
        });
    });
    await_alive(&alive, 1);
    drop(watch);
    await_alive(&alive, 0);
}

#[test]
fn panicking_reader_leaves() {
    let (pool, _) = pool(4);
    let (lease, watch) = share(&pool, 1);
    let reader = lease.clone();
    let result = thread::spawn(move || {
        reader.check();
        panic!("the reader fails");
    })
    .join();
    assert!(result.is_err());
    assert_eq!(lease.readers(), 1);
    drop(lease);
    assert!(watch.ended());
}

#[test]
fn ten_threads_never_hold_the_same_cell() {
    let (pool, alive) = pool(4);
    thread::scope(|scope| {
        for thread in 0..10 {
            let pool = pool.clone();
            scope.spawn(move || {
                for round in 0..5000 {
                    let mut vacant = pool.take();
                    let number = thread * 1_000_000 + round;
                    vacant.fill(number);
                    assert_eq!(vacant.check(), number);
                    if round % 3 == 0 {
                        let lease = vacant.share();
                        assert_eq!(lease.clone().check(), number);
                    }
                }
            });
        }
    });
    let statistics = pool.statistics();
    assert_eq!(statistics.reused + statistics.missed, 50_000);
    assert_eq!(statistics.created, statistics.discarded + statistics.pooled as u64);
    await_alive(&alive, statistics.pooled);
}

/// Readers join, clone and leave while writers publish anew, withdraw, and leave as the last.
fn storm(pool: &CellPool<Picture>, publications: &[Publication<Picture>], writers: u64) -> usize {
    let (stop, joins) = (AtomicBool::new(false), AtomicUsize::new(0));
    let running = || !stop.load(Ordering::Relaxed);
    thread::scope(|scope| {
        for reader in 0..4 {
            let (running, joins) = (&running, &joins);
            scope.spawn(move || {
                let mut held = None;
                while running() {
                    for (index, publication) in publications.iter().enumerate() {
                        let Some(lease) = publication.join() else { continue };
                        let number = lease.check();
                        assert_eq!(
                            number as usize % publications.len(),
                            index,
                            "of this publication"
                        );
                        joins.fetch_add(1, Ordering::Relaxed);
                        let clone = lease.clone();
                        drop(lease);
                        assert_eq!(clone.check(), number);
                        if number % 8 == reader {
                            held = Some(clone);
                        }
                    }
                }
                drop(held);
            });
        }
        for writer in 0..writers {
            let running = &running;
            scope.spawn(move || {
                let mut number = writer;
                while running() {
                    number += writers;
                    let publication = &publications[number as usize % publications.len()];
                    let mut vacant = pool.take();
                    vacant.fill(number);
                    let watch = vacant.watch();
                    assert!(!watch.ended());
                    let lease = vacant.publish(publication);
                    assert!(!watch.ended() && watch.readers() >= 1);
                    if number % 5 == 0 {
                        publication.withdraw();
                    }
                    if number % 3 == 0 {
                        thread::yield_now();
                    }
                    assert_eq!(lease.check(), number);
                    drop(lease);
                }
            });
        }
        thread::sleep(STORM);
        stop.store(true, Ordering::Relaxed);
    });
    joins.into_inner()
}

#[test]
fn join_storm_against_the_last_leaver_of_a_single_cell() {
    let (pool, alive) = pool(1);
    let joins = storm(&pool, &[Publication::new()], 1);
    assert!(joins > 0);
    drop(pool);
    await_alive(&alive, 0);
}

#[test]
fn join_storm_against_writers_who_replace_each_other() {
    let (pool, alive) = pool(2);
    let publications: Vec<_> = (0..3).map(|_| Publication::new()).collect();
    let joins = storm(&pool, &publications, 3);
    assert!(joins > 0);
    assert!(publications.iter().all(|publication| publication.join().is_none()));
    drop(pool);
    await_alive(&alive, 0);
}

#[test]
fn owner_may_reuse_lent_memory_once_the_watch_has_ended() {
    // The readers see the cell's own number in memory that is not the cell's, as chunks are not.
    let (pool, _) = pool(2);
    let lent: [AtomicUsize; 4] = Default::default();
    let publication: Publication<Picture> = Publication::new();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(lease) = publication.join() {
                        let number = lease.check() as usize;
                        assert_eq!(lent[number % 4].load(Ordering::Relaxed), number);
                        thread::yield_now();
                        assert_eq!(lent[number % 4].load(Ordering::Relaxed), number);
                    }
                }
            });
        }
        let started = Instant::now();
        let mut busy: [Option<Watch<Picture>>; 4] = [const { None }; 4];
        let mut number = 0;
        while started.elapsed() < STORM {
            number += 1;
            if busy[number % 4].as_ref().is_some_and(|watch| !watch.ended()) {
                continue;
            }
            lent[number % 4].store(number, Ordering::Relaxed);
            let mut vacant = pool.take();
            vacant.fill(number as u64);
            busy[number % 4] = Some(vacant.watch());
            drop(vacant.publish(&publication));
        }
        stop.store(true, Ordering::Relaxed);
    });
}
