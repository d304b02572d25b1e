//! [`Timetable`]: when every flight leaves and lands.
//!
//! Times are known before the first frame: a flight leaves at its schedule moved by its delay and
//! flies for as long as [`profile`](crate::profile) says for the great circle between its
//! airports. So both orders, that of departures and that of arrivals, are sorted once, and a
//! simulation walks along each with a cursor instead of searching all flights in every frame.

use crate::geodesy::{Coordinates, GreatCircle};
use crate::input::{AirportIndex, Airports, Flight, FlightSet};
use crate::profile::{cruise_altitude_ft, flight_duration_s};

use super::components::{Delay, FlightPath, Route, Schedule};

/// The last second of departures, 34 years after the first: later flights leave then.
const LAST_S: i64 = 1 << 30;

/// One flight of a [`Timetable`], as the components that never change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimetableFlight {
    /// Where it goes.
    pub route: Route,
    /// When it flies.
    pub schedule: Schedule,
    /// How late it leaves.
    pub delay: Delay,
}

/// All flights of a data set in the order of their departures, and the order of their arrivals.
///
/// Takes 24 bytes for each flight.
#[derive(Debug, Clone)]
pub struct Timetable {
    flights: Box<[TimetableFlight]>,
    arrivals: Box<[u32]>,
    airports: Box<[Coordinates]>,
}

impl Timetable {
    /// The timetable of `flights` between `airports`, which must be those that the flights were
    /// loaded with. Sorts all flights twice.
    ///
    /// # Panics
    ///
    /// When a flight names an airport that `airports` has not got.
    ///
    /// # Example
    ///
    /// ```
    /// use profiling::input::{
    ///     EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS, LoadOptions, load_airports, load_flights,
    /// };
    /// use profiling::traffic::Timetable;
    ///
    /// let airports = load_airports(&EMBEDDED_AIRPORTS, LoadOptions::default())?.data;
    /// let flights = load_flights(&EMBEDDED_FLIGHTS, &airports, LoadOptions::default())?.data;
    /// let timetable = Timetable::new(&flights, &airports);
    /// assert_eq!(timetable.flights().len(), 113_493);
    /// assert!(timetable.airborne_max(10.0) > 1_000);
    /// # Ok::<(), profiling::input::LoadError>(())
    /// ```
    pub fn new(flights: &FlightSet, airports: &Airports) -> Self {
        let airports: Box<[Coordinates]> =
            airports.as_slice().iter().map(|airport| airport.coordinates).collect();
        let order = flights.departure_order();
        let in_order = order.iter().map(|&position| &flights.as_slice()[position as usize]);
        let flights: Box<[TimetableFlight]> =
            in_order.map(|flight| plan(flight, &airports)).collect();
        let mut arrivals: Box<[u32]> = (0..flights.len() as u32).collect();
        arrivals.sort_unstable_by_key(|&position| {
            (flights[position as usize].schedule.arrival_s, position)
        });
        Self { flights, arrivals, airports }
    }

    /// All flights, in the order of their departures.
    pub fn flights(&self) -> &[TimetableFlight] {
        &self.flights
    }

    /// Positions in [`Timetable::flights`], in the order of arrivals.
    pub fn arrivals(&self) -> &[u32] {
        &self.arrivals
    }

    /// Where the airports are, in the order of their list.
    pub fn coordinates(&self) -> &[Coordinates] {
        &self.airports
    }

    /// How many airports there are.
    pub fn airports(&self) -> usize {
        self.airports.len()
    }

    /// The second of the first departure.
    pub fn start_s(&self) -> i32 {
        self.flights.first().map_or(0, |flight| flight.schedule.departure_s)
    }

    /// The most flights that are airborne at one time of a simulation with frames of `frame_s`,
    /// in which a flight lands up to a frame late. Walks over all flights.
    pub fn airborne_max(&self, frame_s: f64) -> usize {
        let arrival_s = |position: &u32| {
            f64::from(self.flights[*position as usize].schedule.arrival_s) + frame_s
        };
        let mut arrivals = self.arrivals.iter().map(arrival_s).peekable();
        let (mut airborne, mut airborne_max) = (0_usize, 0);
        for flight in &self.flights {
            let departure_s = f64::from(flight.schedule.departure_s);
            while arrivals.next_if(|arrival_s| *arrival_s <= departure_s).is_some() {
                airborne -= 1;
            }
            airborne += 1;
            airborne_max = airborne_max.max(airborne);
        }
        airborne_max
    }

    /// The most flights that leave within `window_s`, or that land within it, whichever are more.
    /// Walks over all flights.
    pub fn events_max(&self, window_s: f64) -> usize {
        let departure_s = |position: usize| self.flights[position].schedule.departure_s;
        let arrival_s =
            |position: usize| self.flights[self.arrivals[position] as usize].schedule.arrival_s;
        let flights = self.flights.len();
        most_within(flights, departure_s, window_s).max(most_within(flights, arrival_s, window_s))
    }

    /// The way through the air along `route`.
    pub fn path(&self, route: &Route) -> FlightPath {
        let way = way(&self.airports, route.origin, route.destination);
        FlightPath { way, cruise_ft: cruise_altitude_ft(route.distance_nm, way.heads_east()) }
    }
}

/// The most of `count` ascending times that lie within `window_s` of each other.
fn most_within(count: usize, time_s: impl Fn(usize) -> i32, window_s: f64) -> usize {
    // Times are whole seconds, so a whole window has room for the same of them.
    let window_s = window_s.min(f64::from(u32::MAX)) as i64;
    let (mut oldest, mut most) = (0, 0);
    for newest in 0..count {
        while i64::from(time_s(newest)) - i64::from(time_s(oldest)) > window_s {
            oldest += 1;
        }
        most = most.max(newest + 1 - oldest);
    }
    most
}

fn way(airports: &[Coordinates], origin: AirportIndex, destination: AirportIndex) -> GreatCircle {
    GreatCircle::between(airports[origin.position()], airports[destination.position()])
}

fn plan(flight: &Flight, airports: &[Coordinates]) -> TimetableFlight {
    let &Flight { origin, destination, delay_s, .. } = flight;
    let distance_nm = way(airports, origin, destination).distance_nm();
    // The bounds hold every departure, so the conversion is exact.
    let departure_s = flight.actual_departure_s().clamp(-LAST_S, LAST_S) as i32;
    let arrival_s = departure_s + flight_duration_s(distance_nm).ceil() as i32;
    TimetableFlight {
        route: Route { origin, destination, distance_nm },
        schedule: Schedule { departure_s, arrival_s },
        delay: Delay { delay_s },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;
    use crate::input::{LoadOptions, Source, load_airports, load_flights};

    fn timetable(rows: &str) -> Timetable {
        let options = LoadOptions { strict: true };
        let airports = load_airports(&crate::input::EMBEDDED_AIRPORTS, options).unwrap().data;
        let text = format!("{}\n{rows}", crate::input::FLIGHTS_HEADER);
        let source = Source::Bytes { name: "test", bytes: text.as_bytes() };
        let flights = load_flights(&source, &airports, options).unwrap().data;
        Timetable::new(&flights, &airports)
    }

    #[test]
    fn departures_and_arrivals_are_in_order() {
        let timetable = timetable(concat!(
            "2001-01-01T03:00,0,2176,LAS,PHL\n",
            "2001-01-01T01:00,150,215,ATL,SAV\n",
            "2001-01-01T01:00,-61,215,ATL,SAV\n",
        ));
        let departures: Vec<i32> =
            timetable.flights().iter().map(|flight| flight.schedule.departure_s).collect();
        assert_eq!(departures, [-60, 10_800, 12_600]);
        assert_eq!(timetable.arrivals(), [0, 2, 1], "the short flight overtakes the long one");
        assert_eq!(timetable.start_s(), -60);
    }

    #[test]
    fn flights_are_airborne_until_the_frame_after_their_arrival() {
        let timetable = timetable(concat!(
            "2001-01-01T01:00,0,215,ATL,SAV\n",
            "2001-01-01T02:00,0,215,ATL,SAV\n",
        ));
        assert_eq!(timetable.airborne_max(10.0), 1);
        assert_eq!(timetable.airborne_max(3_600.0), 2);
    }

    #[test]
    fn departures_and_arrivals_count_within_a_window() {
        let timetable = timetable(concat!(
            "2001-01-01T01:00,0,2176,LAS,PHL\n",
            "2001-01-01T01:10,0,215,ATL,SAV\n",
            "2001-01-01T01:10,0,215,ATL,SAV\n",
            "2001-01-01T02:00,0,215,ATL,SAV\n",
        ));
        assert_eq!(timetable.events_max(0.0), 2);
        assert_eq!(timetable.events_max(599.0), 2);
        assert_eq!(timetable.events_max(600.0), 3);
        assert_eq!(timetable.events_max(86_400.0), 4);
    }

    #[test]
    fn flight_is_at_its_airports_at_its_times() {
        let timetable = timetable("2001-01-01T01:00,0,2176,LAS,PHL\n");
        let flight = timetable.flights()[0];
        let path = timetable.path(&flight.route);
        let start = path.position(&flight.schedule, 3_600.0);
        let end = path.position(&flight.schedule, f64::from(flight.schedule.arrival_s));
        assert_eq!((start.altitude_ft, end.altitude_ft), (0.0, 0.0));
        assert!(start.over.distance_nm(path.way.at(0.0)) < 0.01);
        assert!(end.over.distance_nm(path.way.at(1.0)) < 0.01);
    }
}
