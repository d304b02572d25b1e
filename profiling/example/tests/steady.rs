//! The game allocates nothing once it is warm.

use convoy_profiling::{Allocator, SteadyState};
use example_game::Game;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::SYSTEM;

#[test]
fn a_step_allocates_nothing() {
    let mut game = Game::new(100);
    SteadyState::new("game").warm_up(600).frames(1_000).run(|_| game.step(0.016)).assert();
}

#[test]
fn a_list_made_in_each_frame_is_found() {
    let mut game = Game::new(100);
    let report = SteadyState::new("copies").warm_up(600).frames(1_000).run(|_| {
        game.step(0.016);
        std::hint::black_box(game.landed().to_vec());
    });
    assert!(!report.is_within_budget());
    assert!(report.offenders()[0].site().contains("a_list_made_in_each_frame_is_found"), "{report}");
}
