//! The simulated traffic: flights as entities that move through archetypes.
//!
//! | type | is |
//! |---|---|
//! | [`Timetable`] | when every flight leaves and lands, computed once for all runs |
//! | [`Clock`] | the simulated time of each frame |
//! | [`Simulation`] | the systems that let flights depart, fly and land in a world |
//! | [`Progress`] | how far they have come |
//! | [`schema()`] | the names, versions and layouts of all of these in files |
//! | [`Route`] and the other components | the components of a flight in each state |

mod clock;
mod components;
mod progress;
mod schema;
mod simulation;
mod timetable;

pub use clock::Clock;
pub use components::{
    Active, Airborne, Alert, AlertSwitched, Delay, FlightDeparted, FlightLanded, FlightPath,
    Landed, Position, Route, Schedule, Scheduled,
};
pub use progress::Progress;
pub use schema::schema;
pub use simulation::{Simulation, TrafficError};
pub use timetable::{Timetable, TimetableFlight};
