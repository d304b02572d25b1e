//! Bytes at every border of a world: see `convoy_tests::feed`.
//!
//! ```text
//! cd tests && cargo +nightly fuzz run borders -- -max_total_time=300
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| convoy_tests::feed(bytes));
