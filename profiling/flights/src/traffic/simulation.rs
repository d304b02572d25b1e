//! [`Simulation`]: lets flights depart, fly and land, frame by frame.
//!
//! Three systems run in each frame, in this order:
//!
//! 1. *Departures*, input: flights whose time has come gain their path and position.
//! 2. *Landings*, input: flights whose time has come lose them again, and are no longer active.
//! 3. *Movement*, simulation: one pass over all airborne flights.
//!
//! Invariants:
//!
//! * No pass goes over flights on the ground. Cursors along both orders of the [`Timetable`] find
//!   departures and landings.
//! * Flights are spawned from the last departure to the first, so the next one to depart is the
//!   last row of its table, and taking it out moves no other row. Landed rows are only appended.
//!   So only the few chunks of airborne flights are ever rewritten under a snapshot.
//! * After [`Simulation::start`] no system touches the heap: every archetype and every way between two
//!   of them was used once before the first flight was spawned, and all lists have their final
//!   size.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytemuck::Zeroable;
use convoy_engine::checkpoint::{CheckpointError, CheckpointReader};
use convoy_engine::host::{ModuleHost, Phase};
use convoy_engine::world::{ComponentError, ResourceError, SpawnError};
use convoy_engine::{Component, Entity, World, WorldConfig};

use super::clock::Clock;
use super::components::{
    Active, Airborne, Alert, AlertSwitched, Delay, FlightDeparted, FlightLanded, FlightPath,
    Landed, Position, Route, Schedule, Scheduled,
};
use super::progress::Progress;
use super::schema::schema;
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
/// of eight modules, rounded up to a whole chunk of slots.
const SPARE_HANDLES: usize = 1_024;

/// Bytes mapped ahead for the additions of a run beside the flights themselves: partly filled chunks of
/// about fifty columns (50 x 64 KiB, thrice with copies on write) and logs of events, times two.
const SPARE_BYTES: usize = 24 * 1024 * 1024;

/// Bytes of an airborne flight's row, its copies on write and a large margin.
const AIRBORNE_BYTES: usize = 1_024;

/// Why traffic can't go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrafficError {
    /// Memory has run out, or a flight was despawned elsewhere.
    Flight(ComponentError),
    /// The progress can't be noted.
    Progress(ResourceError),
    /// A saved world can't be read.
    Checkpoint(CheckpointError),
    /// A saved world has other flights.
    OtherFlights,
}

impl fmt::Display for TrafficError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flight(error) => error.fmt(formatter),
            Self::Progress(error) => error.fmt(formatter),
            Self::Checkpoint(error) => error.fmt(formatter),
            Self::OtherFlights => formatter.write_str("its flights are not those of the input"),
        }
    }
}

impl std::error::Error for TrafficError {}

impl From<CheckpointError> for TrafficError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

impl From<ComponentError> for TrafficError {
    fn from(error: ComponentError) -> Self {
        Self::Flight(error)
    }
}

impl From<SpawnError> for TrafficError {
    fn from(error: SpawnError) -> Self {
        Self::Flight(error.into())
    }
}

impl From<ResourceError> for TrafficError {
    fn from(error: ResourceError) -> Self {
        Self::Progress(error)
    }
}

/// The traffic of one world: its systems. The world has all that changes. Clones share the rest.
#[derive(Debug, Clone)]
pub struct Simulation(Arc<Traffic>);

#[derive(Debug)]
struct Traffic {
    timetable: Arc<Timetable>,
    clock: Clock,
    /// The flights' entities, in the order of departures.
    entities: Box<[Entity]>,
    airborne_max: usize,
    /// Why a system stopped.
    failure: Mutex<Option<TrafficError>>,
}

impl Simulation {
    /// A world in which all flights of `timetable` are spawned, and the simulation that moves them,
    /// with frames of `frame_s` simulated seconds. The time before the first frame is that of the
    /// first departure.
    ///
    /// # Errors
    ///
    /// When memory runs out.
    pub fn start(timetable: Arc<Timetable>, frame_s: f64) -> Result<(World, Self), TrafficError> {
        let events_kept = events_kept(&timetable, frame_s);
        let mut world = World::with_config(config(events_kept));
        let clock = Clock::new(timetable.start_s(), frame_s);
        let airborne_max = timetable.airborne_max(frame_s);
        rehearse(&mut world, events_kept)?;
        let flights = timetable.flights().len();
        reserve_lists(&mut world, flights, airborne_max)?;
        world.reserve::<Scheduled>(flights + SPARE_HANDLES)?;
        let mut entities = vec![Entity::default(); flights].into_boxed_slice();
        for (entity, flight) in entities.iter_mut().zip(timetable.flights()).rev() {
            *entity = world.try_spawn((flight.route, flight.schedule, flight.delay, Active))?;
        }
        world.insert_resource(Progress::default())?;
        let failure = Mutex::new(None);
        let traffic = Traffic { timetable, clock, entities, airborne_max, failure };
        Ok((world, Self(Arc::new(traffic))))
    }

    /// The world of a checkpoint of [`Simulation::start`] with the same timetable and frames, and the simulation that
    /// goes on with it.
    ///
    /// # Errors
    ///
    /// When the checkpoint can't be read, or is of something else, and when memory runs out.
    pub fn resume(
        timetable: Arc<Timetable>,
        frame_s: f64,
        reader: &CheckpointReader,
    ) -> Result<(World, Self), TrafficError> {
        let config = config(events_kept(&timetable, frame_s));
        // Handles follow from the order of spawning, which is the same each time.
        let (fresh, simulation) = Self::start(timetable, frame_s)?;
        drop(fresh);
        let mut world = reader.read(config)?;
        if !simulation.0.is_in(&world) {
            return Err(TrafficError::OtherFlights);
        }
        let flights = simulation.0.timetable.flights().len();
        reserve_lists(&mut world, flights, simulation.airborne_max())?;
        Ok((world, simulation))
    }

    /// Adds the systems to the host of the world, each in its phase.
    pub fn add_to(&self, host: &mut ModuleHost) {
        let mut add = |phase, name, system: fn(&Traffic, &mut World, f64) -> Outcome| {
            let traffic = Arc::clone(&self.0);
            host.add_system(phase, name, move |world, frame| {
                traffic.note(system(&traffic, world, traffic.clock.at(frame.tick)));
            });
        };
        add(Phase::Input, "departures", Traffic::depart);
        add(Phase::Input, "landings", Traffic::land);
        add(Phase::Simulation, "movement", Traffic::fly);
    }

    /// Why a system stopped, if one has since the last call.
    pub fn take_failure(&self) -> Option<TrafficError> {
        self.0.failure().take()
    }

    /// The simulated time of each frame.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// The most flights that can be in the air at one time.
    pub fn airborne_max(&self) -> usize {
        self.0.airborne_max
    }

    /// One more than the highest index of a flight's entity.
    pub fn slots(&self) -> usize {
        self.0.entities.iter().map(|entity| entity.index() as usize + 1).max().unwrap_or(0)
    }
}

/// What comes of a system.
type Outcome = Result<(), TrafficError>;

impl Traffic {
    fn failure(&self) -> MutexGuard<'_, Option<TrafficError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, outcome: Outcome) {
        if let Err(error) = outcome {
            self.failure().get_or_insert(error);
        }
    }

    /// Whether a world has these flights.
    fn is_in(&self, world: &World) -> bool {
        let Ok(&progress) = world.resource::<Progress>() else { return false };
        let is_sound = progress.landed <= progress.departed
            && progress.departed <= self.timetable.flights().len() as u64;
        is_sound && self.entities.iter().all(|&entity| world.contains(entity))
    }

    fn depart(&self, world: &mut World, now_s: f64) -> Outcome {
        let departed = Progress::of(world).departed;
        let due = &self.timetable.flights()[departed as usize..];
        let due = due.iter().take_while(|flight| f64::from(flight.schedule.departure_s) <= now_s);
        for (number, flight) in (departed..).zip(due) {
            let (entity, delay_s) = (self.entities[number as usize], flight.delay.delay_s);
            let departure_s = flight.schedule.departure_s;
            let path = self.timetable.path(&flight.route);
            world.insert(entity, (path, path.position(&flight.schedule, now_s)))?;
            world.try_send_event(FlightDeparted { entity, departure_s, delay_s })?;
            world.resource_mut::<Progress>()?.departed += 1;
        }
        Ok(())
    }

    fn land(&self, world: &mut World, now_s: f64) -> Outcome {
        let landed = Progress::of(world).landed;
        for &number in &self.timetable.arrivals()[landed as usize..] {
            let flight = &self.timetable.flights()[number as usize];
            let Schedule { departure_s, arrival_s } = flight.schedule;
            if f64::from(arrival_s) > now_s {
                break;
            }
            let (entity, delay_s) = (self.entities[number as usize], flight.delay.delay_s);
            world.remove::<Flying>(entity)?;
            world.try_send_event(FlightLanded { entity, departure_s, delay_s })?;
            world.resource_mut::<Progress>()?.landed += 1;
        }
        Ok(())
    }

    fn fly(&self, world: &mut World, now_s: f64) -> Outcome {
        let mut flights = world.query_mut::<(&mut Position, &FlightPath, &Schedule)>();
        flights
            .try_for_each(|(position, path, schedule)| {
                *position = path.position(schedule, now_s);
            })
            .map_err(ComponentError::from)?;
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
    fill_log(world, AlertSwitched::zeroed(), events_kept)?;
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

/// How many events of a type a world keeps, so that no module loses one.
fn events_kept(timetable: &Timetable, frame_s: f64) -> usize {
    EVENTS_KEPT_MIN.max(timetable.events_max(EVENTS_KEPT_FRAMES * frame_s))
}

fn config(events_kept: usize) -> WorldConfig {
    WorldConfig::default().event_retention(events_kept).schema(schema())
}

/// Gives every list its final size, and maps the memory that a run will need beside the flights.
fn reserve_lists(
    world: &mut World,
    flights: usize,
    airborne_max: usize,
) -> Result<(), ComponentError> {
    world.reserve_lists::<Scheduled>(flights)?;
    world.reserve_lists::<Landed>(flights)?;
    world.reserve_lists::<Airborne>(airborne_max)?;
    world.reserve_lists::<Alerted>(airborne_max)?;
    world.reserve_lists::<LandedAlerted>(airborne_max)?;
    // Landed flights take the chunks that scheduled ones leave behind.
    world.reserve_bytes(SPARE_BYTES + airborne_max * AIRBORNE_BYTES).map_err(SpawnError::from)?;
    Ok(())
}
