//! The arena hands out memory that is mapped, aligned and handed out once, loses none of it, and
//! keeps its limit.
#![allow(unsafe_code, reason = "recycling a chunk is a promise")]
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::time::Duration;

use convoy_pool::{Arena, ArenaConfig, CHUNK_ALIGN, ChunkPtr, ChunkRun, MemoryError, SizeClass};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn class(bytes: usize) -> SizeClass {
    SizeClass::for_bytes(bytes).unwrap()
}

fn arena(first_slab_bytes: usize, limit_bytes: Option<usize>) -> Arena {
    Arena::new(ArenaConfig::default().first_slab_bytes(first_slab_bytes).limit_bytes(limit_bytes))
}

/// Checks that no byte is lost, and returns the mapped bytes.
fn mapped_bytes(arena: &Arena) -> usize {
    let statistics = arena.statistics();
    assert_eq!(statistics.allocated_bytes + statistics.free_bytes, statistics.mapped_bytes);
    assert_eq!(arena.mapping().mapped_bytes(), statistics.mapped_bytes);
    statistics.mapped_bytes
}

fn fill(chunk: ChunkPtr, class: SizeClass, byte: u8) {
    // SAFETY: the test owns the chunk.
    unsafe { chunk.as_ptr().write_bytes(byte, class.bytes()) };
}

fn bytes(chunk: ChunkPtr, class: SizeClass) -> &'static [u8] {
    // SAFETY: the test owns the chunk and reads it before it recycles it.
    unsafe { std::slice::from_raw_parts(chunk.as_ptr(), class.bytes()) }
}

fn recycle(arena: &mut Arena, chunk: ChunkPtr, class: SizeClass) {
    // SAFETY: the tests recycle chunks that they allocated, with their class, once.
    unsafe { arena.recycle(chunk, class) };
}

/// A small generator of test numbers (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn new_arena_maps_nothing() {
    let arena = Arena::new(ArenaConfig::default());
    assert_eq!(mapped_bytes(&arena), 0);
    assert_eq!(arena.statistics().slabs, 0);
}

#[test]
fn random_program_never_overlaps_chunks_or_loses_bytes() {
    for (seed, limit_bytes) in [(1, None), (2, None), (3, Some(3 * MIB)), (4, Some(999 * KIB))] {
        let mut random = Random(seed);
        let mut arena = arena(64 * KIB, limit_bytes);
        let mut live: Vec<(ChunkPtr, SizeClass, u8)> = Vec::new();
        for step in 0..20_000 {
            if random.below(100) < if step / 2000 % 2 == 0 { 60 } else { 35 } || live.is_empty() {
                let largest = if random.below(20) == 0 { 100 * KIB } else { 16 * KIB };
                let class = class(random.below(largest) + 1);
                match arena.allocate(class) {
                    Ok(chunk) => {
                        assert_eq!(chunk.as_ptr().addr() % CHUNK_ALIGN, 0);
                        fill(chunk, class, step as u8);
                        live.push((chunk, class, step as u8));
                    }
                    Err(error) => {
                        assert!(
                            limit_bytes.is_some() && matches!(error, MemoryError::Limit { .. })
                        );
                    }
                }
            } else {
                let (chunk, class, byte) = live.swap_remove(random.below(live.len()));
                assert!(bytes(chunk, class).iter().all(|&found| found == byte));
                recycle(&mut arena, chunk, class);
            }
            if random.below(500) == 0 {
                arena.trim(Duration::from_millis(1));
            }
            assert!(mapped_bytes(&arena) <= limit_bytes.unwrap_or(usize::MAX));
            let live_bytes: usize = live.iter().map(|(_, class, _)| class.bytes()).sum();
            assert_eq!(arena.statistics().allocated_bytes, live_bytes);
        }
    }
}

#[test]
fn slabs_are_aligned_and_double() {
    let mut arena = Arena::new(ArenaConfig::default().slab_bytes_max(8 * MIB));
    let first = arena.allocate(class(16 * KIB)).unwrap();
    assert_eq!(first.as_ptr().addr() % (2 * MIB), 0);
    let mut sizes = vec![mapped_bytes(&arena)];
    while sizes.len() < 5 {
        arena.allocate(class(16 * KIB)).unwrap();
        if mapped_bytes(&arena) != sizes.iter().sum() {
            sizes.push(mapped_bytes(&arena) - sizes.iter().sum::<usize>());
        }
    }
    assert_eq!(sizes, [2 * MIB, 4 * MIB, 8 * MIB, 8 * MIB, 8 * MIB]);
    assert_eq!(arena.statistics().slabs, 5);
}

/// One size was tried, so that these served nothing, and a system short of memory gave up early.
#[test]
fn slabs_are_as_large_as_the_system_gives() {
    for bytes in [1 << 46, usize::MAX / 2, usize::MAX] {
        let config = ArenaConfig::default().first_slab_bytes(bytes).slab_bytes_max(bytes);
        let mut arena = Arena::new(config);
        for _ in 0..3 {
            arena.allocate(class(16 * KIB)).unwrap();
        }
        assert!((64 * KIB..1 << 46).contains(&mapped_bytes(&arena)));
        let error = arena.reserve(usize::MAX - 4096).unwrap_err();
        assert!(matches!(error, MemoryError::TooLarge { .. }), "{error}");
        let error = arena.reserve(1 << 50).unwrap_err();
        assert!(matches!(error, MemoryError::Map { .. }), "{error}");
        arena.allocate(class(16 * KIB)).unwrap();
    }
    let config = ArenaConfig::default().first_slab_bytes(0).slab_bytes_max(0);
    let mut arena = Arena::new(config);
    (0..9).for_each(|_| _ = arena.allocate(class(4096)).unwrap());
    assert_eq!(arena.statistics().slabs, 3, "blocks of 16 KiB");
}

#[test]
fn recycled_chunks_come_back_last_in_first_out() {
    for bytes in [256, 12 * KIB, 100 * KIB] {
        let (mut arena, class) = (arena(2 * MIB, None), class(bytes));
        let [a, b] = [arena.allocate(class).unwrap(), arena.allocate(class).unwrap()];
        recycle(&mut arena, a, class);
        recycle(&mut arena, b, class);
        assert_eq!(arena.allocate(class).unwrap(), b);
        assert_eq!(arena.allocate(class).unwrap(), a);
    }
}

/// Chunks taken one after the other are neighbours, also in memory that came back in any order.
#[test]
fn runs_are_of_neighbours() {
    let (mut arena, class) = (arena(2 * MIB, None), class(4096));
    let take = |arena: &mut Arena| {
        let mut runs = [ChunkRun::default(), ChunkRun::default()];
        let mut next =
            |number: usize| arena.allocate_next(class, &mut runs[number % 2], 64).unwrap();
        let chunks: Vec<_> = (0..256).map(&mut next).collect();
        for run in 0..2 {
            let of_run: Vec<_> = chunks.iter().skip(run).step_by(2).collect();
            let are_neighbours =
                |pair: &[&ChunkPtr]| pair[1].as_ptr().addr() - pair[0].as_ptr().addr() == 4096;
            let breaks = of_run.windows(2).filter(|pair| !are_neighbours(pair)).count();
            assert_eq!(breaks, 1, "two runs of 64 chunks each");
        }
        runs.iter_mut().for_each(|run| arena.end_run(run));
        chunks
    };
    let mut chunks = take(&mut arena);
    let mapped = mapped_bytes(&arena);
    let mut random = Random(7);
    while !chunks.is_empty() {
        let chunk = chunks.swap_remove(random.below(chunks.len()));
        recycle(&mut arena, chunk, class);
    }
    take(&mut arena);
    assert_eq!(mapped_bytes(&arena), mapped);
}

/// Chunks that are kept for a run are free: others get them before the limit refuses a request.
#[test]
fn runs_keep_nothing_from_others() {
    let mut arena = arena(64 * KIB, Some(64 * KIB));
    let mut run = ChunkRun::default();
    let first = arena.allocate_next(class(4 * KIB), &mut run, 16).unwrap();
    let mut others: Vec<_> = (0..7).map(|_| arena.allocate(class(4 * KIB)).unwrap()).collect();
    let large = arena.allocate(class(32 * KIB)).unwrap();
    assert!(arena.allocate(class(256)).is_err());
    assert!(arena.allocate_next(class(4 * KIB), &mut run, 16).is_err());
    recycle(&mut arena, large, class(32 * KIB));
    others.extend((0..8).map(|_| arena.allocate_next(class(4 * KIB), &mut run, 16).unwrap()));
    assert!(!others.contains(&first));
    others.sort_by_key(|chunk| chunk.as_ptr());
    others.dedup();
    assert_eq!((others.len(), arena.statistics().free_bytes), (15, 0));
}

#[test]
fn steady_state_maps_nothing() {
    let mut arena = Arena::new(ArenaConfig::default());
    let classes = [class(300), class(12 * KIB), class(16 * KIB), class(40 * KIB)];
    let frame = |arena: &mut Arena| {
        let chunks: Vec<_> =
            (0..400).map(|i| (arena.allocate(classes[i % 4]).unwrap(), i)).collect();
        for (chunk, i) in chunks {
            recycle(arena, chunk, classes[i % 4]);
        }
    };
    frame(&mut arena);
    let warm = arena.statistics();
    for _ in 0..1000 {
        frame(&mut arena);
    }
    assert_eq!(arena.statistics(), warm);
}

#[test]
fn limit_is_an_error_that_names_the_numbers_and_is_kept() {
    let mut arena = arena(64 * KIB, Some(130 * KIB));
    let class = class(16 * KIB);
    let chunks: Vec<_> = (0..8).map(|_| arena.allocate(class).unwrap()).collect();
    let before = arena.statistics();
    assert_eq!(before.mapped_bytes, 128 * KIB);
    let error = arena.allocate(class).unwrap_err();
    let MemoryError::Limit { requested_bytes, mapped_bytes, limit_bytes } = error else {
        panic!("{error}");
    };
    assert_eq!((requested_bytes, mapped_bytes, limit_bytes), (16 * KIB, 128 * KIB, 130 * KIB));
    assert!(error.to_string().contains("133120"));
    assert_eq!(arena.statistics(), before);
    recycle(&mut arena, chunks[3], class);
    assert_eq!(arena.allocate(class).unwrap(), chunks[3]);
}

#[test]
fn limit_below_a_page_serves_nothing() {
    let mut arena = arena(2 * MIB, Some(4095));
    assert!(arena.allocate(class(1)).is_err());
    assert!(arena.reserve(1).is_err());
}

#[test]
fn tail_of_a_slab_serves_smaller_classes() {
    let mut arena = arena(64 * KIB, Some(64 * KIB));
    // Five chunks of 12 KiB leave 4 KiB.
    for _ in 0..5 {
        arena.allocate(class(12 * KIB)).unwrap();
    }
    assert!(arena.allocate(class(12 * KIB)).is_err());
    assert_eq!(arena.statistics().free_bytes, 4 * KIB);
    for _ in 0..4 {
        arena.allocate(class(KIB)).unwrap();
    }
    assert_eq!(arena.statistics().free_bytes, 0);
}

#[test]
fn every_rest_can_be_handed_out() {
    // A slab is no multiple of 384 bytes; the rest must not be 128 bytes that fit no class.
    let mut arena = arena(64 * KIB, Some(64 * KIB));
    while arena.allocate(class(384)).is_ok() {}
    while arena.allocate(class(256)).is_ok() {}
    assert_eq!(arena.statistics().free_bytes, 0);
}

#[test]
fn larger_free_chunks_are_split_at_the_limit() {
    let mut arena = arena(64 * KIB, Some(64 * KIB));
    let large = arena.allocate(class(48 * KIB)).unwrap();
    let small = arena.allocate(class(16 * KIB)).unwrap();
    recycle(&mut arena, large, class(48 * KIB));
    recycle(&mut arena, small, class(16 * KIB));
    let mut chunks = vec![arena.allocate(class(12 * KIB)).unwrap()];
    chunks.extend((0..13).map(|_| arena.allocate(class(4 * KIB)).unwrap()));
    assert!(chunks.contains(&large));
    assert_eq!(arena.statistics().free_bytes, 0);
    assert_eq!(mapped_bytes(&arena), 64 * KIB);
}

#[test]
fn large_chunks_are_whole_and_reused() {
    let mut arena = Arena::new(ArenaConfig::default());
    let class = class(100 * MIB + 1);
    assert_eq!(class.bytes(), 100 * MIB + 4 * KIB);
    let chunk = arena.allocate(class).unwrap();
    // SAFETY: the last byte of a chunk that the test owns.
    unsafe { chunk.as_ptr().wrapping_add(class.bytes() - 1).write(1) };
    recycle(&mut arena, chunk, class);
    assert_eq!(arena.allocate(class).unwrap(), chunk);
    // The rest of the slab is not lost to small requests.
    let before = mapped_bytes(&arena);
    arena.allocate(self::class(16 * KIB)).unwrap();
    assert_eq!(mapped_bytes(&arena), before);
}

#[test]
fn reserve_maps_once_for_any_mix_of_classes() {
    let mut arena = Arena::new(ArenaConfig::default());
    arena.allocate(class(12 * KIB)).unwrap();
    arena.reserve(10 * MIB).unwrap();
    let reserved = mapped_bytes(&arena);
    arena.reserve(9 * MIB).unwrap();
    let mut left = 10 * MIB;
    for bytes in [300, 5000, 12 * KIB, 16 * KIB, 300 * KIB].into_iter().cycle() {
        let class = class(bytes);
        if class.bytes() > left {
            break;
        }
        left -= class.bytes();
        arena.allocate(class).unwrap();
    }
    assert_eq!(mapped_bytes(&arena), reserved);
    assert!(matches!(arena.reserve(usize::MAX), Err(MemoryError::TooLarge { .. })));
    assert!(arena.reserve(isize::MAX as usize).is_err());
    assert_eq!(mapped_bytes(&arena), reserved);
}

#[test]
fn mapping_outlives_the_arena() {
    let mut arena = Arena::new(ArenaConfig::default());
    let class = class(16 * KIB);
    let chunk = arena.allocate(class).unwrap();
    fill(chunk, class, 42);
    let mapping = std::sync::Arc::clone(arena.mapping());
    drop(arena);
    std::thread::spawn(move || {
        assert!(bytes(chunk, class).iter().all(|&byte| byte == 42));
        drop(mapping);
    })
    .join()
    .unwrap();
}

#[test]
fn trim_of_an_empty_arena_makes_every_byte_reusable() {
    let mut arena = arena(2 * MIB, Some(2 * MIB));
    let chunks: Vec<_> = (0..128).map(|_| arena.allocate(class(16 * KIB)).unwrap()).collect();
    for &chunk in &chunks {
        fill(chunk, class(16 * KIB), 1);
        recycle(&mut arena, chunk, class(16 * KIB));
    }
    let trimmed_bytes = arena.trim(Duration::from_secs(10));
    if cfg!(unix) {
        assert_eq!(trimmed_bytes, 2 * MIB);
    }
    assert_eq!(arena.trim(Duration::from_secs(10)), 0);
    let whole = arena.allocate(class(2 * MIB)).unwrap();
    if cfg!(target_os = "linux") {
        assert!(bytes(whole, class(2 * MIB)).iter().all(|&byte| byte == 0));
    }
}

#[test]
fn trim_keeps_what_is_allocated_and_what_is_listed() {
    let mut arena = arena(2 * MIB, None);
    let class = class(16 * KIB);
    let chunks: Vec<_> = (0..100).map(|_| arena.allocate(class).unwrap()).collect();
    for &chunk in &chunks {
        fill(chunk, class, 7);
    }
    let (kept, freed) = chunks.split_at(50);
    for &chunk in freed {
        recycle(&mut arena, chunk, class);
    }
    assert_eq!(arena.trim(Duration::ZERO), 0);
    let trimmed_bytes = arena.trim(Duration::from_secs(10));
    if cfg!(unix) {
        // The chunks beside them in empty blocks may not have been touched.
        assert!((50 * 16 * KIB..100 * 16 * KIB).contains(&trimmed_bytes));
    }
    assert_eq!(arena.trim(Duration::from_secs(10)), 0);
    mapped_bytes(&arena);
    let mut again: Vec<_> = (0..50).map(|_| arena.allocate(class).unwrap()).collect();
    again.sort_by_key(|chunk| chunk.as_ptr());
    assert_eq!(again, freed);
    assert!(kept.iter().all(|&chunk| bytes(chunk, class).iter().all(|&byte| byte == 7)));
}
