//! The main job of Convoy: one week of air traffic over the United States.
//!
//! The job replays real flights on the engine while modules watch the traffic at lower rates, once
//! with a physical copy for each module and once with shared snapshots, and compares the cost.
//! Arrows point down only:
//!
//! ```text
//! job        both runs, exit codes           stretches  whose heap is profiled
//! inspect    looks into checkpoint files of any program
//! report     the table and the JSON object
//! measure    the cost of a run: times, bytes, allocations
//! saving     checkpoints of a run, written beside it
//! scenario   a world with its traffic and its modules, stepped frame by frame
//! modules    watches of the traffic
//! traffic    flights as entities that depart, fly and land
//! ------------------------------------------------ below, nothing knows of the engine
//! analysis   the algorithms of the modules, free of heap allocations once warm
//! profile    how fast and how high an aircraft flies
//! input      flights and airports, embedded or from files; survives any bytes
//! geodesy    great circles of a spherical Earth
//! ```
//!
//! The command line stands beside them in [`arguments`]. The binaries are thin: `airtraffic` runs
//! the [`job`] under a counting allocator, `heap` one of the [`stretches`] under dhat.
//!
//! Units stand at the end of names: `_s` seconds, `_min` minutes, `_mi` statute miles, `_nm`
//! nautical miles, `_ft` feet, `_kt` knots, `_deg` degrees, `_rad` radians.
#![deny(unsafe_code)]

pub mod analysis;
pub mod arguments;
pub mod geodesy;
pub mod input;
pub mod inspect;
pub mod job;
pub mod measure;
pub mod modules;
pub mod profile;
pub mod report;
pub mod saving;
pub mod scenario;
pub mod stretches;
pub mod traffic;
