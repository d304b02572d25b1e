//! Deltas of a real world, changed anywhere, with the checksum put right: see `convoy_tests::feed_delta`.
//!
//! ```text
//! cd tests && cargo +nightly fuzz run deltas -- -max_total_time=300 -max_len=17 -len_control=0
//! ```
//!
//! That is four changes: after more of them nearly everything is refused, and shorter inputs, which the fuzzer begins
//! with for minutes without `-len_control=0`, change nothing. `tests/canary.sh` shows that faults are found.
#![no_main]

use convoy_tests::DeltaSeeds;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SEEDS: DeltaSeeds = DeltaSeeds::new();
}

fuzz_target!(|bytes: &[u8]| SEEDS.with(|seeds| convoy_tests::feed_delta(seeds, bytes)));
