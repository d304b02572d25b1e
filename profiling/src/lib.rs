//! The main job of Convoy: one week of air traffic over the United States.
//!
//! The job replays real flights on the engine while modules watch the traffic at lower rates. This
//! library holds everything in it that knows nothing of the engine:
//!
//! * [`input`] reads flights and airports, embedded or from files, and survives any bytes;
//! * [`geodesy`] places aircraft on great circles of a spherical Earth;
//! * [`profile`] says how fast and how high an aircraft flies;
//! * [`analysis`] holds the algorithms that the modules run, free of heap allocations once warm;
//! * [`arguments`] is the command line.
//!
//! Units stand at the end of names: `_s` seconds, `_min` minutes, `_mi` statute miles, `_nm`
//! nautical miles, `_ft` feet, `_kt` knots, `_deg` degrees, `_rad` radians.

pub mod analysis;
pub mod arguments;
pub mod geodesy;
pub mod input;
pub mod profile;
