//! In the steady state nothing is allocated or freed: thousands of frames, every operation, counted
//! by the allocator itself. It runs without the test harness, whose own thread allocates now and
//! then.
#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use convoy_pool::{
    Arena, ArenaConfig, CellPool, CellPoolConfig, Publication, Recycle, Scratch, SizeClass,
};

/// Counts calls on their way to the system.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the one that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Numbers(Vec<u64>);

impl Recycle for Numbers {
    fn recycle(&mut self) {
        self.0.clear();
    }

    fn retained_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}

/// Stops the other threads, also when this one panics.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes pools on threads that end, shows cells of them, and drops all of it. The garbage that they
/// left to the collector came up in the frames of threads that joined cells of quite other pools,
/// as freed memory there, thousands of frames later.
fn drop_pools_elsewhere() {
    for number in 0..100 {
        let thread = thread::spawn(move || {
            let config = CellPoolConfig::default().idle_max(4);
            let pool = CellPool::new(config, || Numbers(Vec::with_capacity(64)));
            pool.warm_up(4);
            let publication = Publication::new();
            let leases = [0; 8].map(|_| pool.take().publish(&publication));
            drop(publication.join());
            if number % 2 == 0 {
                drop(pool);
                drop(leases);
            } else {
                drop(leases);
                drop(pool);
            }
        });
        thread.join().unwrap();
    }
    // The registrations of the threads go with the next pool that goes.
    let config = CellPoolConfig::default();
    drop(CellPool::new(config, || Numbers(Vec::new())).take());
}

const FRAMES: u64 = 20_000;

fn main() {
    let pool = CellPool::new(CellPoolConfig::default(), || Numbers(Vec::with_capacity(64)));
    pool.warm_up(8);
    let publication = Publication::new();
    let mut arena = Arena::new(ArenaConfig::default());
    let mut scratch = Scratch::new();
    let classes = [300, 12 * 1024, 100 * 1024].map(|bytes| SizeClass::for_bytes(bytes).unwrap());
    let mut last_ended = false;
    let mut frame = |number: u64| {
        let mut vacant = pool.take();
        vacant.0.resize(64, number);
        let watch = vacant.watch();
        let lease = vacant.publish(&publication);
        let joined = publication.join().unwrap();
        assert_eq!(joined.clone().0[63], number);
        drop((lease, joined));
        last_ended = watch.ended();
        for class in classes {
            let chunk = arena.allocate(class).unwrap();
            // SAFETY: just allocated with this class, and not used.
            unsafe { arena.recycle(chunk, class) };
        }
        for _ in 0..100 {
            scratch.store(&number.to_le_bytes());
        }
        scratch.reset();
    };
    (0..100).for_each(&mut frame);
    drop_pools_elsewhere();
    let before = CALLS.load(Ordering::Relaxed);
    (0..FRAMES).for_each(&mut frame);
    let calls_after_drops = CALLS.load(Ordering::Relaxed) - before;

    let (start, stop) = (Barrier::new(3), AtomicBool::new(false));
    let (mut steady_calls, mut control_calls) = (0, 0);
    thread::scope(|scope| {
        let stop_at_the_end = StopOnDrop(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                Publication::<Numbers>::register_thread();
                start.wait();
                while !stop.load(Ordering::Relaxed) {
                    let full = publication.join().is_none_or(|lease| lease.0.len() == 64);
                    assert!(full, "a joined value is whole");
                }
            });
        }
        (0..100).for_each(&mut frame);
        start.wait();
        (0..100).for_each(&mut frame);
        let before = CALLS.load(Ordering::Relaxed);
        (0..FRAMES).for_each(&mut frame);
        steady_calls = CALLS.load(Ordering::Relaxed) - before;

        // The control: a discard is seen.
        let before = CALLS.load(Ordering::Relaxed);
        pool.trim();
        control_calls = CALLS.load(Ordering::Relaxed) - before;
        drop(stop_at_the_end);
    });
    assert!(last_ended || publication.join().is_none(), "everybody has left");
    assert_eq!(calls_after_drops, 0, "allocator calls after other pools were dropped");
    assert_eq!(steady_calls, 0, "allocator calls in {FRAMES} frames");
    assert_ne!(control_calls, 0, "allocator calls of a trim");
    println!("steady state: no allocator call in {FRAMES} frames");
}
