//! The computations of the main job's modules on the traffic.
//!
//! | type | question |
//! |---|---|
//! | [`ConflictGrid`] | which aircraft are closer to each other than the rules allow? |
//! | [`SectorLoad`] | how many aircraft are in each sector of the sky? |
//! | [`ArrivalQueues`] | how many are about to land, and where? |
//! | [`DelayStatistics`] | how late are landed flights, by hour of departure? |
//!
//! Each owns its buffers, is given plain values by an iterator and knows nothing of entities. What
//! all of them uphold:
//!
//! * Once warm, an update makes no heap allocation. Buffers are sized at construction and grow only
//!   if an update brings more than that.
//! * The result does not depend on the order of the input, so that a module may iterate in whatever
//!   order its storage has.
//! * `fold` adds the whole result to a [`Checksum`], so that two runs can be compared.

mod arrival;
mod checksum;
mod conflict;
mod crowd;
mod delay;
mod sector;
mod separation;

pub use arrival::{ARRIVING_NM, ARRIVING_S, Arrival, ArrivalQueue, ArrivalQueues};
pub use checksum::Checksum;
pub use conflict::ConflictGrid;
pub use delay::{DELAY_BOUNDS_MIN, DelayStatistics, HourDelays, LandedFlight};
pub use sector::{FlightLevelBand, SECTOR_DEG, Sector, SectorCount, SectorLoad};
pub use separation::{ConflictPair, PAIRS_LISTED_MAX, SEPARATION_FT, SEPARATION_NM};

use crate::geodesy::UnitVector;

/// An airborne aircraft, as far as the analysis needs to know it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aircraft {
    /// Its number in results; no two aircraft of one update share it.
    pub id: u64,
    /// Where it is over ground.
    pub position: UnitVector,
    /// How high it is.
    pub altitude_ft: f32,
}
