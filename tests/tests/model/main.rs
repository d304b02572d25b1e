//! Random programs against a naive model.
//!
//! Four worlds share one schema. Each of them is mutated in every way that the engine knows, is
//! captured, synced from any other, and replaced by branches, while a [`Model`] of each does the
//! same in ordinary maps. Whatever can be read, worlds, snapshots and replicas, must equal its
//! model at any time. Some programs run with so little memory that operations fail at random: a
//! failure must change nothing.
//!
//! `CONVOY_OPERATIONS` sets how many operations run in all (100,000 by default; a million take
//! about a minute), `CONVOY_SEED` which programs. A failure is shrunk to few operations and
//! printed. `tests/fuzz` makes the same programs of a fuzzer's bytes.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod kept;
mod many;
mod one;
mod pair;
mod program;
mod run;
mod setting;
mod views;

use std::env;

use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use run::{operations, run_program};
use setting::{OPERATIONS_PER_PROGRAM, settings};

fn number_from(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |number| number.parse().expect("a number"))
}

#[test]
fn random_programs_agree_with_the_model() {
    let operations_total = number_from("CONVOY_OPERATIONS", 100_000);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number_from("CONVOY_SEED", 0).to_le_bytes());
    let config = Config {
        cases: operations_total.div_ceil(OPERATIONS_PER_PROGRAM as u64) as u32,
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let programs = (settings(), vec(operations(), 1..2 * OPERATIONS_PER_PROGRAM));
    let result = TestRunner::new_with_rng(config, rng).run(&programs, |program| {
        run_program(&program);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
