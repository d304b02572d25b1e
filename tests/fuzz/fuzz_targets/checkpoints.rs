//! Checkpoints of real worlds, changed anywhere, with hashes put right: see `convoy_tests::feed_checkpoint`
//! and, for files that are read by a plan, `convoy_tests::feed_evolution`.
//!
//! ```text
//! cd tests && cargo +nightly fuzz run checkpoints -- -max_total_time=300
//! ```
#![no_main]

use convoy_tests::CheckpointSeeds;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SEEDS: CheckpointSeeds = CheckpointSeeds::new();
}

fuzz_target!(|bytes: &[u8]| SEEDS.with(|seeds| {
    convoy_tests::feed_checkpoint(seeds, bytes);
    convoy_tests::feed_evolution(seeds, bytes);
}));
