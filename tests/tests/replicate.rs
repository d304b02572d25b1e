//! The example `replicate` of the engine, as a test.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "../../engine/examples/replicate.rs"]
#[allow(dead_code, reason = "its `main` is not called here")]
mod replicate;

#[test]
fn two_clients_have_the_world_of_the_server_each_second() {
    assert!(replicate::run(12).unwrap() >= 12);
}
