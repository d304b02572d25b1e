//! The lease cells under a model checker: every interleaving, and every value that the memory model
//! lets a load return.
//!
//! The sources of the cells are compiled here once more, as they are, with the checker's atomics in
//! place of the standard ones. Only crossbeam-epoch is replaced, by its promises; see
//! [`collector`]. A bug shows in four ways: an assertion of a model; a data race on the shared
//! value, or on a field that only the owner touches; an `Arc` that is never dropped; and memory
//! that is used after it was freed, see [`quarantine`].
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p convoy-pool --test loom --release
//! ```
//!
//! Small models explore every interleaving, the larger ones only those with a few switches away
//! from a thread that could go on. `LOOM_MAX_PREEMPTIONS` sets another bound for all of them: at 2
//! they take minutes, at 3 an hour. `tests/loom.sh` of this package runs them, and, when asked to,
//! shows that each of them finds bugs.
#![cfg(loom)]
#![allow(dead_code, unsafe_code, reason = "sources compiled once more, and a shared value")]
#![allow(unreachable_pub, reason = "sources of a library")]
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "../../src/cell.rs"]
mod cell;
#[path = "../../src/cell_pool.rs"]
mod cell_pool;
mod collector;
#[path = "../../src/lease.rs"]
mod lease;
#[path = "../../src/publication.rs"]
mod publication;
mod quarantine;
#[path = "../../src/state.rs"]
mod state;
#[path = "../../src/statistics.rs"]
mod statistics;
mod sync;

use std::env;

use cell::Recycle;
use cell_pool::{CellPool, CellPoolConfig};
use lease::{Lease, Watch};
use loom::cell::UnsafeCell;
use loom::thread;
use publication::Publication;
use statistics::CellPoolStatistics;

#[global_allocator]
static ALLOCATOR: quarantine::Quarantine = quarantine::Quarantine;

/// A value whose every access the checker sees.
struct Picture {
    number: UnsafeCell<u64>,
    filled: bool,
}

// SAFETY: the models check that the cells keep readers from writers.
unsafe impl Sync for Picture {}

impl Picture {
    fn new() -> Picture {
        Picture { number: UnsafeCell::new(0), filled: false }
    }

    fn fill(&mut self, number: u64) {
        assert!(!self.filled, "a taken cell is empty");
        self.filled = true;
        self.number.with_mut(|field| {
            // SAFETY: `&mut self`, if the cells are right, and if not the checker stops here.
            unsafe { *field = number }
        });
    }

    fn check(&self) -> u64 {
        assert!(self.filled, "a shared cell is full");
        self.number.with(|field| {
            // SAFETY: as above.
            unsafe { *field }
        })
    }
}

impl Recycle for Picture {
    fn recycle(&mut self) {
        self.filled = false;
        self.number.with_mut(|field| {
            // SAFETY: as above.
            unsafe { *field = 0 }
        });
    }

    fn retained_bytes(&self) -> usize {
        8
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        self.number.with_mut(|_| ());
    }
}

/// Explores a model, with a bound on preemptions where there is one.
fn explore(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    if env::var_os("LOOM_MAX_PREEMPTIONS").is_none() {
        builder.preemption_bound = preemptions;
    }
    builder.check(move || {
        collector::register_thread();
        model();
    });
}

fn pool(idle_max: usize) -> CellPool<Picture> {
    CellPool::new(CellPoolConfig::default().idle_max(idle_max), Picture::new)
}

/// Publishes `number`, and watches for its end.
fn publish(
    pool: &CellPool<Picture>,
    publication: &Publication<Picture>,
    number: u64,
) -> (Lease<Picture>, Watch<Picture>) {
    let mut vacant = pool.take();
    vacant.fill(number);
    let watch = vacant.watch();
    (vacant.publish(publication), watch)
}

/// A thread that joins once and returns the number that it read.
fn joiner(publication: &Publication<Picture>) -> thread::JoinHandle<Option<u64>> {
    let publication = publication.clone();
    thread::spawn(move || publication.join().map(|lease| lease.check()))
}

/// There is no reader, and every cell is idle or was discarded.
fn assert_at_rest(pool: &CellPool<Picture>, publication: &Publication<Picture>) {
    assert!(publication.join().is_none());
    let CellPoolStatistics { created, pooled, discarded, idle_retained_bytes, .. } =
        pool.statistics();
    assert_eq!(created, pooled as u64 + discarded);
    assert_eq!(idle_retained_bytes, 8 * pooled);
}

#[test]
fn joiner_meets_the_last_leaver() {
    for idle_max in [1, 0] {
        explore(None, move || {
            let (pool, publication) = (pool(idle_max), Publication::new());
            let (lease, watch) = publish(&pool, &publication, 7);
            let joiner = joiner(&publication);
            drop(lease);
            let seen = joiner.join().unwrap();
            assert!(seen.is_none_or(|number| number == 7));
            assert!(watch.ended() && watch.readers() == 0);
            assert_eq!(pool.statistics().pooled, idle_max);
            assert_at_rest(&pool, &publication);
        });
    }
}

#[test]
fn watcher_joins_its_own_generation_or_none() {
    explore(None, || {
        let (pool, publication) = (pool(1), Publication::new());
        let (lease, watch) = publish(&pool, &publication, 7);
        let watcher = thread::spawn(move || watch.join().map(|lease| lease.check()));
        drop(lease);
        drop(publish(&pool, &publication, 8));
        let seen = watcher.join().unwrap();
        assert!(seen.is_none_or(|number| number == 7));
        assert_at_rest(&pool, &publication);
    });
}

#[test]
fn joiner_meets_the_last_leaver_and_a_new_capture() {
    for idle_max in [1, 2] {
        explore(Some(4), move || {
            let (pool, publication) = (pool(idle_max), Publication::new());
            let (lease, first) = publish(&pool, &publication, 1);
            let joiner = joiner(&publication);
            drop(lease);
            let (lease, second) = publish(&pool, &publication, 2);
            assert!(!second.ended());
            drop(lease);
            assert!(joiner.join().unwrap().is_none_or(|number| [1, 2].contains(&number)));
            assert!(first.ended() && second.ended());
            assert_at_rest(&pool, &publication);
        });
    }
}

#[test]
fn last_leaver_elsewhere_meets_a_new_capture() {
    for idle_max in [1, 2] {
        explore(None, move || {
            let (pool, publication) = (pool(idle_max), Publication::new());
            let (lease, first) = publish(&pool, &publication, 1);
            let reader = lease.clone();
            let leaver = thread::spawn(move || assert_eq!(reader.check(), 1));
            drop(lease);
            let (newest, second) = publish(&pool, &publication, 2);
            // The end of the replaced generation leaves the newest in place.
            assert_eq!(publication.join().unwrap().check(), 2);
            leaver.join().unwrap();
            assert!(first.ended() && !second.ended());
            assert_eq!(publication.join().unwrap().check(), 2);
            drop(newest);
            assert!(second.ended());
            assert_at_rest(&pool, &publication);
        });
    }
}

#[test]
fn two_joiners_meet_the_last_leaver() {
    for idle_max in [1, 0] {
        explore(Some(2), move || {
            let (pool, publication) = (pool(idle_max), Publication::new());
            let (lease, watch) = publish(&pool, &publication, 1);
            let joiners = [joiner(&publication), joiner(&publication)];
            drop(lease);
            for joiner in joiners {
                assert!(joiner.join().unwrap().is_none_or(|number| number == 1));
            }
            assert!(watch.ended());
            assert_at_rest(&pool, &publication);
        });
    }
}

#[test]
fn two_joiners_meet_a_publisher() {
    explore(Some(1), || {
        let (pool, publication) = (pool(1), Publication::new());
        let (lease, _) = publish(&pool, &publication, 1);
        let joiners = [joiner(&publication), joiner(&publication)];
        drop(lease);
        drop(publish(&pool, &publication, 2));
        for joiner in joiners {
            assert!(joiner.join().unwrap().is_none_or(|number| [1, 2].contains(&number)));
        }
        assert_at_rest(&pool, &publication);
    });
}

#[test]
fn two_joiners_find_what_stays_published() {
    explore(Some(2), || {
        let (pool, publication) = (pool(2), Publication::new());
        let (first, _) = publish(&pool, &publication, 1);
        let joiners = [joiner(&publication), joiner(&publication)];
        let (second, _) = publish(&pool, &publication, 2);
        drop(first);
        for joiner in joiners {
            // A board that never stops showing something never turns anybody away.
            assert!([1, 2].contains(&joiner.join().unwrap().unwrap()));
        }
        drop(second);
        assert_at_rest(&pool, &publication);
    });
}

#[test]
fn joiner_is_not_turned_away_by_the_end_of_an_earlier_use() {
    explore(Some(2), || {
        let (pool, publication) = (pool(2), Publication::new());
        let (first, _) = publish(&pool, &publication, 1);
        let joiner = joiner(&publication);
        let (second, _) = publish(&pool, &publication, 2);
        drop(first);
        // The first cell again, unless the joiner has it.
        let (third, _) = publish(&pool, &publication, 3);
        drop(second);
        assert!([1, 2, 3].contains(&joiner.join().unwrap().unwrap()));
        drop(third);
        assert_at_rest(&pool, &publication);
    });
}

#[test]
fn cell_that_moves_to_another_publication_is_not_joined_by_mistake() {
    explore(None, || {
        let (pool, one, other) = (pool(1), Publication::new(), Publication::new());
        let (lease, _) = publish(&pool, &one, 1);
        let joiner = joiner(&one);
        drop(lease);
        let (lease, _) = publish(&pool, &other, 2);
        drop(lease);
        assert!(joiner.join().unwrap().is_none_or(|number| number == 1));
        assert_at_rest(&pool, &one);
        assert_at_rest(&pool, &other);
    });
}

#[test]
fn withdrawal_meets_a_joiner_and_the_last_leaver() {
    explore(Some(2), || {
        let (pool, publication) = (pool(0), Publication::new());
        let (lease, watch) = publish(&pool, &publication, 1);
        let joiner = joiner(&publication);
        let withdrawer = {
            let publication = publication.clone();
            thread::spawn(move || publication.withdraw())
        };
        drop(lease);
        assert!(joiner.join().unwrap().is_none_or(|number| number == 1));
        withdrawer.join().unwrap();
        assert!(watch.ended());
        assert_at_rest(&pool, &publication);
    });
}

#[test]
fn owner_writes_lent_memory_when_the_watch_has_ended() {
    for idle_max in [1, 0] {
        explore(None, move || {
            let (pool, publication) = (pool(idle_max), Publication::new());
            // Like chunks: the cell points there, and does not own it.
            let lent = sync::Arc::new(Lent(UnsafeCell::new(1)));
            let (lease, watch) = publish(&pool, &publication, 1);
            let reader = {
                let (publication, lent) = (publication.clone(), lent.clone());
                thread::spawn(move || {
                    if let Some(lease) = publication.join() {
                        assert_eq!((lease.check(), lent.read()), (1, 1));
                    }
                })
            };
            drop(lease);
            if watch.ended() {
                lent.write(2);
            }
            reader.join().unwrap();
        });
    }
}

/// Memory that a cell's readers look at and its owner writes.
struct Lent(UnsafeCell<u64>);

// SAFETY: the model checks that readers and the writer keep apart.
unsafe impl Sync for Lent {}
// SAFETY: a number.
unsafe impl Send for Lent {}

impl Lent {
    fn read(&self) -> u64 {
        self.0.with(|field| {
            // SAFETY: the checker stops at a race.
            unsafe { *field }
        })
    }

    fn write(&self, number: u64) {
        self.0.with_mut(|field| {
            // SAFETY: as above.
            unsafe { *field = number }
        });
    }
}

#[test]
fn clones_leave_in_any_order() {
    for idle_max in [1, 0] {
        explore(None, move || {
            let (pool, publication) = (pool(idle_max), Publication::new());
            let (lease, watch) = publish(&pool, &publication, 1);
            let reader = lease.clone();
            let thread = thread::spawn(move || {
                let again = reader.clone();
                drop(reader);
                assert_eq!(again.check(), 1);
            });
            assert_eq!(lease.check(), 1);
            drop(lease);
            thread.join().unwrap();
            assert!(watch.ended());
            drop(watch);
            assert_at_rest(&pool, &publication);
        });
    }
}

#[test]
fn reader_that_is_not_the_last_leaves_a_cell_that_is_freed() {
    explore(None, || {
        let (pool, publication) = (pool(0), Publication::new());
        let (lease, watch) = publish(&pool, &publication, 1);
        // Nothing but the readers keeps the cell in memory.
        drop(watch);
        let reader = lease.clone();
        let thread = thread::spawn(move || drop(reader));
        drop(lease);
        thread.join().unwrap();
        assert_eq!(pool.statistics().discarded, 1);
    });
}

#[test]
fn one_idle_cell_is_taken_once_and_comes_back_after_its_last_use() {
    explore(Some(2), || {
        let pool = pool(1);
        pool.warm_up(1);
        let takers = [1, 2].map(|number| {
            let pool = pool.clone();
            thread::spawn(move || {
                let mut vacant = pool.take();
                vacant.fill(number);
                assert_eq!(vacant.check(), number);
            })
        });
        takers.into_iter().for_each(|taker| taker.join().unwrap());
        assert_eq!(pool.statistics().pooled, 1);
        assert_at_rest(&pool, &Publication::new());
    });
}

#[test]
fn trimming_meets_a_joiner_who_looks_at_an_idle_cell() {
    explore(None, || {
        let (pool, publication) = (pool(1), Publication::new());
        let (lease, _) = publish(&pool, &publication, 1);
        let joiner = joiner(&publication);
        drop(lease);
        pool.trim();
        assert!(joiner.join().unwrap().is_none_or(|number| number == 1));
        assert_at_rest(&pool, &publication);
    });
}

#[test]
fn pool_is_dropped_under_a_lease() {
    explore(None, || {
        let (pool, publication) = (pool(1), Publication::new());
        let (lease, watch) = publish(&pool, &publication, 1);
        let joiner = joiner(&publication);
        drop(pool);
        drop(lease);
        assert!(joiner.join().unwrap().is_none_or(|number| number == 1));
        assert!(watch.ended());
        assert!(publication.join().is_none());
    });
}
