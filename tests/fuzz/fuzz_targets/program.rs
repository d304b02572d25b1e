//! The programs of the property test (`tests/tests/model`), made of the fuzzer's bytes: four for the
//! setting, and four for each operation. Where the fuzzer cuts, copies and repeats bytes, operations
//! are cut, copied and repeated.
//!
//! ```text
//! cd tests && cargo +nightly fuzz run program -- -max_total_time=300 -max_len=4096 -len_control=0
//! ```
//!
//! The same bytes give the same program, so `cargo +nightly fuzz run program ARTIFACT` repeats a
//! failure and `cargo +nightly fuzz tmin program ARTIFACT` shrinks it. With `CONVOY_PRINT` set it
//! prints the operations.
#![no_main]
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed run")]

#[path = "../../tests/model/kept.rs"]
mod kept;
#[path = "../../tests/model/many.rs"]
mod many;
#[path = "../../tests/model/one.rs"]
mod one;
#[path = "../../tests/model/pair.rs"]
mod pair;
#[path = "../../tests/model/program.rs"]
mod program;
#[path = "../../tests/model/run.rs"]
mod run;
#[path = "../../tests/model/setting.rs"]
mod setting;
#[path = "../../tests/model/views.rs"]
mod views;

use libfuzzer_sys::fuzz_target;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// How many bytes one choice of the fuzzer has.
const CHOICE_BYTES: usize = 4;

/// A draw of `strategy` from a generator that starts at `choice`.
fn draw<S: Strategy>(strategy: &S, choice: &[u8]) -> S::Value {
    let mut seed = [0; 32];
    seed[..choice.len()].copy_from_slice(choice);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    strategy.new_tree(&mut runner).expect("nothing is rejected").current()
}

fuzz_target!(|bytes: &[u8]| {
    let mut choices = bytes.chunks(CHOICE_BYTES);
    let setting = draw(&setting::settings(), choices.next().unwrap_or_default());
    let operation = run::operations();
    let operations = choices.map(|choice| draw(&operation, choice)).collect();
    let program = (setting, operations);
    if std::env::var_os("CONVOY_PRINT").is_some() {
        println!("{program:#?}");
    }
    run::run_program(&program);
});
