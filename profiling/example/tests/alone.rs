//! The same in a process of its own: nothing is mapped, and nothing touched for the first time.

use convoy_profiling::{Allocator, SteadyState};
use example_game::Game;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::SYSTEM;

fn main() {
    let mut game = Game::new(100);
    let report = SteadyState::new("game").alone().warm_up(600).run(|_| game.step(0.016));
    report.assert();
    println!("{report}");
}
