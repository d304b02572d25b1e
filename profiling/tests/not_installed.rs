//! Without the allocator a test would pass whatever it measures. It says so instead.

use convoy_profiling::SteadyState;

#[test]
#[should_panic(expected = "make an allocator that does the global one")]
fn a_test_that_could_not_fail_panics() {
    SteadyState::new("nothing").run(|_| ()).assert();
}
