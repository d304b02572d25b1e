//! The components of a flight in each state, and the events of its way.
//!
//! A flight's state is its archetype:
//!
//! | state | components | bytes with the entity handle |
//! |---|---|---|
//! | scheduled | [`Route`], [`Schedule`], [`Delay`], [`Active`] | 28 |
//! | airborne | and [`FlightPath`], [`Position`] | 76 |
//! | landed | [`Route`], [`Schedule`], [`Delay`] | 28 |
//!
//! Both ways lead from table to table in one step: a departure inserts two components, a landing
//! removes these and [`Active`]. An airborne flight gains an [`Alert`] while it is in conflict with
//! another one. Sizes are powers of two, so that rows fill their chunks.

use bytemuck::{Pod, Zeroable};
use convoy_engine::Entity;
use convoy_engine::schema::TypeLayout;

use crate::analysis::Aircraft;
use crate::geodesy::{GreatCircle, UnitVector};
use crate::input::AirportIndex;
use crate::profile::{altitude_ft, progress};

/// The components of a flight before its departure.
pub type Scheduled = (Route, Schedule, Delay, Active);

/// The components of a flight between departure and arrival.
pub type Airborne = (Route, Schedule, Delay, Active, FlightPath, Position);

/// The components of a flight after its arrival.
pub type Landed = (Route, Schedule, Delay);

/// Where a flight goes. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct Route {
    /// Where the flight begins.
    pub origin: AirportIndex,
    /// Where it ends.
    pub destination: AirportIndex,
    /// Length of the great circle between them.
    pub distance_nm: f32,
}

/// When a flight flies, its delay included. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct Schedule {
    /// When it leaves, in seconds since the first midnight; it may leave before that.
    pub departure_s: i32,
    /// When it lands: a whole second, not before the flight's profile says.
    pub arrival_s: i32,
}

impl Schedule {
    /// Time from departure to arrival.
    #[inline]
    pub fn duration_s(&self) -> f32 {
        (self.arrival_s - self.departure_s) as f32
    }

    /// Time since departure at `now_s`; negative before it.
    #[inline]
    pub fn elapsed_s(&self, now_s: f64) -> f32 {
        (now_s - f64::from(self.departure_s)) as f32
    }
}

/// How late a flight leaves. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable, TypeLayout)]
#[repr(transparent)]
pub struct Delay {
    /// Negative when early.
    pub delay_s: i32,
}

/// The way of an airborne flight through the air.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct FlightPath {
    /// The way over ground.
    pub way: GreatCircle,
    /// How high the flight goes.
    pub cruise_ft: f32,
}

impl FlightPath {
    /// Where a flight of `schedule` is at `now_s`: on its great circle, as far and as high as
    /// [`profile`](crate::profile) says.
    #[inline]
    pub fn position(&self, schedule: &Schedule, now_s: f64) -> Position {
        let (elapsed_s, duration_s) = (schedule.elapsed_s(now_s), schedule.duration_s());
        Position {
            over: self.way.at(progress(elapsed_s, duration_s)),
            altitude_ft: altitude_ft(elapsed_s, duration_s, self.cruise_ft),
        }
    }
}

/// Where an airborne flight is. It changes in every frame.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct Position {
    /// The point on the ground below.
    pub over: UnitVector,
    /// The height above it.
    pub altitude_ft: f32,
}

impl Position {
    /// The aircraft at this position, under the handle of its entity.
    #[inline]
    pub fn aircraft(&self, entity: Entity) -> Aircraft {
        let Self { over, altitude_ft } = *self;
        Aircraft { id: entity.to_bits(), position: over, altitude_ft }
    }
}

/// The flight has not landed yet. It has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct Active;

/// The flight is closer to another one than the rules allow. Inserted and removed by the module
/// that finds conflicts; a flight that lands with it keeps it until that module's next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable, TypeLayout)]
#[repr(transparent)]
pub struct Alert {
    /// The tick of the view in which the conflict began.
    pub since_tick: u64,
}

/// Event: an alert has begun or ended, sent with the command that switches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct AlertSwitched {
    /// The flight.
    pub entity: Entity,
    /// The tick of the view in which the conflict began.
    pub since_tick: u64,
    /// The tick of the view in which it was over; zero where it begins.
    pub until_tick: u64,
}

/// Event: a flight has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct FlightDeparted {
    /// The flight.
    pub entity: Entity,
    /// When it left.
    pub departure_s: i32,
    /// How late that was, negative when early.
    pub delay_s: i32,
}

/// Event: a flight has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct FlightLanded {
    /// The flight.
    pub entity: Entity,
    /// When it left, its delay included.
    pub departure_s: i32,
    /// How late it left, negative when early.
    pub delay_s: i32,
}
