//! Deltas of a real world, changed anywhere, with the checksum put right: see `convoy_tests::feed_delta`.
//!
//! ```text
//! cd tests && cargo +nightly fuzz run deltas -- -max_total_time=300
//! ```
#![no_main]

use convoy_tests::DeltaSeeds;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SEEDS: DeltaSeeds = DeltaSeeds::new();
}

fuzz_target!(|bytes: &[u8]| SEEDS.with(|seeds| convoy_tests::feed_delta(seeds, bytes)));
