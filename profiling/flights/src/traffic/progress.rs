//! [`Progress`]: how far the traffic has come.

use bytemuck::{Pod, Zeroable};
use convoy_engine::World;
use convoy_engine::schema::TypeLayout;

/// How far the traffic of a world has come: a resource of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct Progress {
    /// Flights before this one, in the order of departures, have left.
    pub(super) departed: u64,
    /// Flights before this one, in the order of arrivals, have landed.
    pub(super) landed: u64,
}

impl Progress {
    /// That of the traffic in `world`.
    ///
    /// # Panics
    ///
    /// When `world` is not one of [`Simulation::start`](super::Simulation::start).
    pub fn of(world: &World) -> Self {
        *world.resource().expect("a world with traffic")
    }

    /// Flights that have left, landed ones included.
    pub fn departed(self) -> usize {
        self.departed as usize
    }

    /// Flights that have landed.
    pub fn landed(self) -> usize {
        self.landed as usize
    }

    /// Flights that are in the air.
    pub fn airborne(self) -> usize {
        self.departed() - self.landed()
    }
}
