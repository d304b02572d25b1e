//! [`Simulation`]: lets flights depart, fly and land, frame by frame.
//!
//! Each frame does three things in this order:
//!
//! 1. *Departures*: flights whose time has come gain their path and position.
//! 2. *Arrivals*: flights whose time has come lose them again, and are no longer active.
//! 3. *Movement*: one pass over all airborne flights.
//!
//! Invariants:
//!
//! * No pass goes over flights on the ground. Cursors along both orders of the [`Timetable`] find
//!   departures and landings.
//! * Flights are spawned from the last departure to the first, so the next one to depart is the
//!   last row of its table, and taking it out moves no other row. Landed rows are only appended.
//!   So only the few chunks of airborne flights are ever rewritten under a snapshot.
//! * After [`Simulation::start`] no step touches the heap: every archetype and every way between two
//!   of them was used once before the first flight was spawned, and all lists have their final
//!   size.

use std::sync::Arc;

use bytemuck::Zeroable;
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{Component, Entity, World, WorldConfig};

use super::clock::Clock;
use super::components::{
    Active, Airborne, Alert, Delay, FlightDeparted, FlightLanded, FlightPath, Landed, Position,
    Route, Schedule, Scheduled,
};
use super::timetable::Timetable;

/// The components that a flight loses when it lands.
type Flying = (FlightPath, Position, Active);

/// A flight in conflict.
type Alerted = (Route, Schedule, Delay, Active, FlightPath, Position, Alert);

/// A landed flight whose alert is still to be cleared.
type LandedAlerted = (Route, Schedule, Delay, Alert);

/// Events of one type that a world keeps at least: those of a whole day of the embedded week.
const EVENTS_KEPT_MIN: usize = 16 * 1024;

/// Events of so many frames are kept, whatever their number: twice as many as lie between two runs
/// at 10 Hz, so that no module loses one.
const EVENTS_KEPT_FRAMES: f64 = 12.0;

/// Handles beside those of flights that the world will give out: 64 to the command buffer of each
/// of seven modules, rounded up to a whole chunk of slots.
const SPARE_HANDLES: usize = 1_024;

/// Bytes mapped ahead for the additions of a run beside the flights themselves: partly filled chunks of
/// about fifty columns (50 x 64 KiB, thrice with copies on write) and logs of events, times two.
const SPARE_BYTES: usize = 24 * 1024 * 1024;

/// Bytes of an airborne flight's row, its copies on write and a large margin.
const AIRBORNE_BYTES: usize = 1_024;

/// The traffic of one world.
#[derive(Debug)]
pub struct Simulation {
    timetable: Arc<Timetable>,
    clock: Clock,
    frame: u64,
    /// The flights' entities, in the order of departures.
    entities: Box<[Entity]>,
    /// Flights before this one have departed.
    departed: usize,
    /// Arrivals before this one have landed.
    landed: usize,
    airborne_max: usize,
}

impl Simulation {
    /// A world in which all flights of `timetable` are spawned, and the simulation that moves them,
    /// with frames of `frame_s` simulated seconds. The time before the first frame is that of the
    /// first departure.
    ///
    /// # Errors
    ///
    /// When memory runs out.
    pub fn start(timetable: Arc<Timetable>, frame_s: f64) -> Result<(World, Self), ComponentError> {
        let events_kept = EVENTS_KEPT_MIN.max(timetable.events_max(EVENTS_KEPT_FRAMES * frame_s));
        let config = WorldConfig::default().event_retention(events_kept);
        let mut world = World::with_config(config);
        let clock = Clock::new(timetable.start_s(), frame_s);
        let airborne_max = timetable.airborne_max(frame_s);
        rehearse(&mut world, events_kept)?;
        let flights = timetable.flights().len();
        reserve(&mut world, flights, airborne_max)?;
        let mut entities = vec![Entity::default(); flights].into_boxed_slice();
        for (entity, flight) in entities.iter_mut().zip(timetable.flights()).rev() {
            *entity = world.try_spawn((flight.route, flight.schedule, flight.delay, Active))?;
        }
        let (frame, departed, landed) = (0, 0, 0);
        let simulation = Self { timetable, clock, frame, entities, departed, landed, airborne_max };
        Ok((world, simulation))
    }

    /// The simulated time of each frame.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Flights that are in the air.
    pub fn airborne(&self) -> usize {
        self.departed - self.landed
    }

    /// Flights that have left, landed ones included.
    pub fn departed(&self) -> usize {
        self.departed
    }

    /// Flights that have landed.
    pub fn landed(&self) -> usize {
        self.landed
    }

    /// The most flights that can be in the air at one time.
    pub fn airborne_max(&self) -> usize {
        self.airborne_max
    }

    /// One more than the highest index of a flight's entity.
    pub fn slots(&self) -> usize {
        self.entities.iter().map(|entity| entity.index() as usize + 1).max().unwrap_or(0)
    }

    /// Simulates one frame. Makes no heap allocation.
    ///
    /// # Errors
    ///
    /// When memory runs out, or when a flight was despawned elsewhere.
    pub fn step(&mut self, world: &mut World) -> Result<(), ComponentError> {
        self.frame += 1;
        let now_s = self.clock.at(self.frame);
        self.depart(world, now_s)?;
        self.land(world, now_s)?;
        world.query_mut::<(&mut Position, &FlightPath, &Schedule)>().try_for_each(
            |(position, path, schedule)| *position = path.position(schedule, now_s),
        )?;
        Ok(())
    }

    fn depart(&mut self, world: &mut World, now_s: f64) -> Result<(), ComponentError> {
        while let Some(flight) = self.timetable.flights().get(self.departed) {
            let departure_s = flight.schedule.departure_s;
            if f64::from(departure_s) > now_s {
                break;
            }
            let entity = self.entities[self.departed];
            let path = self.timetable.path(&flight.route);
            world.insert(entity, (path, path.position(&flight.schedule, now_s)))?;
            let delay_s = flight.delay.delay_s;
            world.try_send_event(FlightDeparted { entity, departure_s, delay_s })?;
            self.departed += 1;
        }
        Ok(())
    }

    fn land(&mut self, world: &mut World, now_s: f64) -> Result<(), ComponentError> {
        while let Some(&position) = self.timetable.arrivals().get(self.landed) {
            let flight = &self.timetable.flights()[position as usize];
            let Schedule { departure_s, arrival_s } = flight.schedule;
            if f64::from(arrival_s) > now_s {
                break;
            }
            let entity = self.entities[position as usize];
            world.remove::<Flying>(entity)?;
            let delay_s = flight.delay.delay_s;
            world.try_send_event(FlightLanded { entity, departure_s, delay_s })?;
            self.landed += 1;
        }
        Ok(())
    }
}

/// Takes one entity through every change that a flight can see, in every archetype where it can
/// see it, fills the logs of events, and empties the world again: so archetypes, the ways between
/// them and lists of their final size exist before the first flight.
fn rehearse(world: &mut World, events_kept: usize) -> Result<(), ComponentError> {
    let scheduled = (Route::zeroed(), Schedule::zeroed(), Delay::zeroed(), Active);
    let alert = (Alert::zeroed(),);
    // An alert ends in the air, ends on the ground, or begins and ends there.
    for (begins_in_the_air, ends_in_the_air) in [(true, true), (true, false), (false, false)] {
        let flight = world.try_spawn(scheduled)?;
        world.insert(flight, (FlightPath::zeroed(), Position::zeroed()))?;
        if begins_in_the_air {
            world.insert(flight, alert)?;
        }
        if ends_in_the_air {
            world.remove::<(Alert,)>(flight)?;
        }
        world.remove::<Flying>(flight)?;
        if !begins_in_the_air {
            world.insert(flight, alert)?;
        }
        if !ends_in_the_air {
            world.remove::<(Alert,)>(flight)?;
        }
    }
    fill_log(world, FlightDeparted::zeroed(), events_kept)?;
    fill_log(world, FlightLanded::zeroed(), events_kept)?;
    world.clear()?;
    Ok(())
}

/// Sends `event` until the log drops its oldest chunk, and so is as long as it ever gets.
fn fill_log<T: Component>(
    world: &mut World,
    event: T,
    events_kept: usize,
) -> Result<(), ComponentError> {
    let id = world.register_event::<T>().map_err(SpawnError::from)?;
    let info = world.component_info(id).expect("the world has registered it");
    let events = events_kept + 2 * info.chunk_rows();
    for _ in 0..events {
        world.try_send_event(event)?;
    }
    Ok(())
}

/// Gives every list its final size, and maps the memory that a run will need.
fn reserve(world: &mut World, flights: usize, airborne_max: usize) -> Result<(), ComponentError> {
    world.reserve_lists::<Scheduled>(flights)?;
    world.reserve_lists::<Landed>(flights)?;
    world.reserve_lists::<Airborne>(airborne_max)?;
    world.reserve_lists::<Alerted>(airborne_max)?;
    world.reserve_lists::<LandedAlerted>(airborne_max)?;
    world.reserve::<Scheduled>(flights + SPARE_HANDLES)?;
    // Landed flights take the chunks that scheduled ones leave behind.
    world.reserve_bytes(SPARE_BYTES + airborne_max * AIRBORNE_BYTES).map_err(SpawnError::from)?;
    Ok(())
}
