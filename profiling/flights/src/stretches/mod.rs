//! The stretches whose heap the program `heap` profiles: parts of the flights, and small worlds that grow,
//! churn or go back in time.
//!
//! Each is set up and warmed up first, and then runs its frames under the profiler. The steady ones leave
//! nothing in a profile but what a regression puts there: [`Stretch::regress`] makes one on purpose.

mod worlds;

use std::hint::black_box;
use std::sync::Arc;

use clap::ValueEnum;
use convoy_engine::{SnapshotPool, World};

use crate::arguments::ScenarioArguments;
use crate::job::{JobError, prepare};
use crate::scenario::{CopyMasks, Scenario, ScenarioConfig, Sharing};
use crate::traffic::Timetable;

pub use worlds::SmallWorld;

/// A stretch by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum StretchKind {
    /// The flights with shared snapshots, from the spawning of all entities on.
    #[default]
    Flights,
    /// Steady frames of the flights with shared snapshots.
    Convoy,
    /// Steady frames of the flights with a copy for each module.
    Individual,
    /// A world that grows from nothing to 200,000 entities.
    Growth,
    /// Entities that come and go under overlapping views.
    Churn,
    /// A view in each frame, and a way back in every tenth.
    Rollback,
}

/// A stretch that is ready to run.
#[derive(Debug)]
pub struct Stretch {
    state: State,
    frames: u64,
    regresses: bool,
}

#[derive(Debug)]
enum State {
    /// The flights are there, and nothing else is.
    Loaded(Arc<Timetable>, ScenarioConfig),
    Flights(Box<Scenario>),
    Small(Box<SmallWorld>),
}

/// Frames before the stretch, where it is a steady one.
const WARM_UP: u64 = 600;

impl Stretch {
    /// Sets a stretch up and warms it up.
    ///
    /// # Errors
    ///
    /// When the input can't be used, or memory or threads run out.
    pub fn new(kind: StretchKind, arguments: &ScenarioArguments) -> Result<Self, JobError> {
        let frames = arguments.frames.get();
        let flights = |sharing| {
            let timetable = prepare(arguments)?.timetable;
            Ok::<_, JobError>(State::Loaded(timetable, arguments.config(sharing)))
        };
        let small = |world| State::Small(Box::new(world));
        let (state, warm_up) = match kind {
            StretchKind::Flights => (flights(Sharing::Convoy)?, 0),
            StretchKind::Convoy => (flights(Sharing::Convoy)?, WARM_UP),
            StretchKind::Individual => {
                (flights(Sharing::Individual(CopyMasks::default()))?, WARM_UP)
            }
            StretchKind::Growth => (small(SmallWorld::growing()), 0),
            StretchKind::Churn => (small(SmallWorld::churning()), WARM_UP),
            StretchKind::Rollback => (small(SmallWorld::going_back()), WARM_UP),
        };
        let mut stretch = Self { state, frames: warm_up, regresses: false };
        if warm_up > 0 {
            stretch.run()?;
        }
        stretch.frames = frames;
        Ok(stretch)
    }

    /// Makes each frame allocate a list, as a change that nobody noticed would.
    pub fn regress(&mut self) {
        self.regresses = true;
    }

    /// Runs the frames.
    ///
    /// # Errors
    ///
    /// When memory runs out.
    pub fn run(&mut self) -> Result<(), JobError> {
        if let State::Loaded(timetable, config) = &self.state {
            let scenario = Scenario::new(Arc::clone(timetable), *config)?;
            self.state = State::Flights(Box::new(scenario));
        }
        for frame in 0..self.frames {
            match &mut self.state {
                State::Loaded(..) => unreachable!("the scenario was just begun"),
                State::Flights(scenario) => scenario.step()?,
                State::Small(world) => world.step(frame)?,
            }
            if self.regresses {
                forgotten_list(self.world());
            }
        }
        Ok(())
    }

    /// The world after the frames so far.
    ///
    /// # Panics
    ///
    /// When a stretch that begins with the world's making has not run.
    pub fn world(&self) -> &World {
        match &self.state {
            State::Loaded(..) => panic!("the stretch has not run"),
            State::Flights(scenario) => scenario.world(),
            State::Small(world) => world.world(),
        }
    }

    /// The pool of the world's snapshots, where the world is there and has one.
    pub fn pool(&self) -> Option<&SnapshotPool> {
        match &self.state {
            State::Loaded(..) => None,
            State::Flights(scenario) => scenario.pool(),
            State::Small(world) => Some(world.pool()),
        }
    }

    /// Bytes of the copies that modules have for themselves, which are worlds of their own.
    pub fn replica_bytes(&self) -> usize {
        match &self.state {
            State::Flights(scenario) => scenario.replica_bytes(),
            State::Loaded(..) | State::Small(_) => 0,
        }
    }
}

/// A regression: a list of rows that is made anew in each frame.
#[inline(never)]
fn forgotten_list(world: &World) {
    black_box(world.archetypes().map(|archetype| archetype.rows).collect::<Vec<_>>());
}
