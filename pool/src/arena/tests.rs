#![allow(unsafe_code, reason = "gives chunks back")]
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use super::*;

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

impl Arena {
    /// Checks that facts noted twice agree, and that no byte is lost.
    fn check(&self) {
        self.pages.check();
        let free_bytes = self.pages.free_bytes() + self.blocks.check(&self.pages);
        assert_eq!(free_bytes, self.statistics().free_bytes);
    }
}

struct Program {
    arena: Arena,
    random: Random,
    live: Vec<(ChunkPtr, SizeClass)>,
    runs: Vec<(SizeClass, ChunkRun)>,
}

impl Program {
    fn new(seed: u64, limit_bytes: Option<usize>) -> Self {
        let config = ArenaConfig::default()
            .limit_bytes(limit_bytes)
            .first_slab_bytes(64 << 10)
            .slab_bytes_max(1 << 20);
        let (arena, random) = (Arena::new(config), Random(seed));
        Self { arena, random, live: Vec::new(), runs: Vec::new() }
    }

    fn class(&mut self) -> SizeClass {
        let largest = [1 << 10, 16 << 10, 16 << 10, 100 << 10][self.random.below(4)];
        SizeClass::for_bytes(self.random.below(largest) + 1).unwrap()
    }

    fn allocate(&mut self) {
        let allocated = match self.random.below(3) {
            0 => {
                let class = self.class();
                self.arena.allocate(class).map(|chunk| (chunk, class))
            }
            _ if self.runs.is_empty() => return,
            _ => {
                let place = self.random.below(self.runs.len());
                let (class, run) = &mut self.runs[place];
                let want = 1 << self.random.below(7);
                self.arena.allocate_next(*class, run, want).map(|chunk| (chunk, *class))
            }
        };
        match allocated {
            Ok((chunk, class)) => self.live.push((chunk, class)),
            Err(MemoryError::Limit { requested_bytes, mapped_bytes, limit_bytes }) => {
                assert!(requested_bytes <= 100 << 10 && mapped_bytes <= limit_bytes);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn step(&mut self, allocates: usize) {
        match self.random.below(1000) {
            0 => _ = self.arena.trim(Duration::from_millis(1)),
            1..10 if self.runs.len() < 20 => {
                let class = self.class();
                self.runs.push((class, ChunkRun::default()));
            }
            1..20 if !self.runs.is_empty() => {
                let place = self.random.below(self.runs.len());
                let (_, mut run) = self.runs.swap_remove(place);
                self.arena.end_run(&mut run);
            }
            choice if choice < allocates || self.live.is_empty() => self.allocate(),
            _ => {
                let (chunk, class) = self.live.swap_remove(self.random.below(self.live.len()));
                // SAFETY: the chunk is of this arena and class, and has no holder any more.
                unsafe { self.arena.recycle(chunk, class) };
            }
        }
    }

    /// No two chunks overlap.
    fn check(&mut self) {
        self.arena.check();
        self.live.sort_by_key(|(chunk, _)| chunk.address());
        for pair in self.live.windows(2) {
            let [(first, class), (second, _)] = pair else { unreachable!("pairs are two") };
            assert!(first.address() + class.bytes() <= second.address());
        }
        let bytes: usize = self.live.iter().map(|(_, class)| class.bytes()).sum();
        assert_eq!(self.arena.statistics().allocated_bytes, bytes);
    }
}

#[test]
fn random_programs_lose_no_chunk_and_no_page() {
    let limits = [None, Some(3 << 20), Some(999 << 10), Some(20 << 10)];
    for (seed, limit_bytes) in (1..).zip(limits) {
        let mut program = Program::new(seed, limit_bytes);
        for step in 0..40_000 {
            program.step(if step / 4000 % 2 == 0 { 650 } else { 400 });
            if step % 97 == 0 {
                program.check();
            }
        }
        // With nothing allocated, a trim leaves every mapped byte in free spans.
        for (chunk, class) in program.live.drain(..) {
            // SAFETY: as above.
            unsafe { program.arena.recycle(chunk, class) };
        }
        program.check();
        let mapped_bytes = program.arena.statistics().mapped_bytes;
        program.arena.trim(Duration::from_secs(10));
        program.check();
        assert_eq!(program.arena.pages.free_bytes(), mapped_bytes);
    }
}

/// Tables of all sizes come and go for long, and the arena still serves nearly all that it may.
#[test]
fn a_limit_is_reached_with_little_left() {
    let limit_bytes = 32 << 20;
    let mut arena = Arena::new(ArenaConfig::default().limit_bytes(limit_bytes));
    let mut random = Random(9);
    let mut tables: Vec<Vec<(ChunkPtr, SizeClass)>> = Vec::new();
    let mut shares = Vec::new();
    while shares.len() < 200 {
        let rows = 1 << random.below(16);
        let rows = rows + random.below(rows);
        let mut table = Vec::new();
        let mut is_refused = false;
        for row_bytes in [8, 12, 64, 12, 4].into_iter().take(2 + random.below(4)) {
            // At most 64 KiB, and a power of two of rows.
            let chunk_rows = 1 << (65536_usize / row_bytes).ilog2();
            let class = SizeClass::for_bytes(rows.min(chunk_rows) * row_bytes).unwrap();
            let mut run = ChunkRun::default();
            for number in 0..rows.div_ceil(chunk_rows) {
                let taken = match number {
                    0 => arena.allocate(class),
                    _ => arena.allocate_next(class, &mut run, number / 4),
                };
                is_refused |= taken.is_err();
                table.extend(taken.map(|chunk| (chunk, class)));
            }
            arena.end_run(&mut run);
        }
        if is_refused {
            shares.push(arena.statistics().allocated_bytes as f64 / limit_bytes as f64);
        }
        tables.push(table);
        let gone = if is_refused { tables.len() / 3 } else { usize::from(random.below(4) == 0) };
        for _ in 0..gone {
            let table = tables.swap_remove(random.below(tables.len()));
            for (chunk, class) in table {
                // SAFETY: the chunk is of this arena and class, and has no holder any more.
                unsafe { arena.recycle(chunk, class) };
            }
        }
    }
    arena.check();
    let (least, mean) =
        (shares.iter().copied().fold(1.0, f64::min), shares.iter().sum::<f64>() / 200.0);
    assert!(least >= 0.9 && mean >= 0.95, "allocated at a refusal, of the limit: {least}, {mean}");
}
