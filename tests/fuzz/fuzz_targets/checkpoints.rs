//! Checkpoints of real worlds, changed anywhere, with hashes put right: see `convoy_tests::feed_checkpoint`
//! and, for files that are read by a plan, `convoy_tests::feed_evolution`.
//!
//! ```text
//! cd tests && cargo +nightly fuzz run checkpoints -- -max_total_time=300 -max_len=17 -len_control=0
//! ```
//!
//! That is four changes: after more of them nearly everything is refused, and shorter inputs, which the fuzzer begins
//! with for minutes without `-len_control=0`, change nothing. `tests/canary.sh` shows that faults are found.
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
