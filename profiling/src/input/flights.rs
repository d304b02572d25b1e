//! The flights that the simulation replays.
//!
//! A flight takes 16 bytes. Times count from the first midnight of the data set, on one clock for
//! all airports (see [`Flight::departure_s`]).

use bytemuck::{Pod, Zeroable};

use super::airports::Airports;
use super::code::{AirportCode, AirportIndex};
use super::error::LoadError;
use super::lines::Lines;
use super::problem::{Fragment, LoadOptions, Loaded, RowProblem};
use super::source::Source;
use super::timestamp::{CalendarDate, DAY_S, parse_seconds_since_1970};

/// The header of a list of flights.
pub const FLIGHTS_HEADER: &str = "departure,delay_min,distance_mi,origin,destination";

/// Delays that a flight can have: a day early to two days late.
pub const DELAY_MIN_RANGE: std::ops::RangeInclusive<i32> = -1_440..=2_880;

/// The longest distance that a flight can have: half the Earth's circumference.
pub const DISTANCE_MI_MAX: u32 = 12_451;

/// One flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Flight {
    /// Scheduled departure, in seconds since the first midnight of the data set.
    ///
    /// The file gives the local time of the origin. It is taken as it stands, as if all airports
    /// shared one clock.
    pub departure_s: u32,
    /// Seconds that the flight is late, negative when early.
    pub delay_s: i32,
    /// Distance in statute miles, as the file has it; the great circle may differ a little.
    pub distance_mi: u32,
    /// Where the flight begins.
    pub origin: AirportIndex,
    /// Where it ends; never the origin.
    pub destination: AirportIndex,
}

impl Flight {
    /// When the flight leaves: as scheduled, moved by its delay. Negative if that is before the
    /// first midnight.
    pub fn actual_departure_s(&self) -> i64 {
        i64::from(self.departure_s) + i64::from(self.delay_s)
    }

    /// The flight in `fields`, with its departure counted from 1 January 1970.
    fn parse(fields: [&[u8]; 5], airports: &Airports) -> Result<Self, RowProblem> {
        let [departure, delay, distance, origin, destination] = fields;
        let find = |code| AirportCode::parse(code).and_then(|code| airports.find(code));
        let departure_s = parse_seconds_since_1970(departure)
            .ok_or(RowProblem::Departure(Fragment::of(departure)))?;
        let delay_min = whole_number(delay)
            .filter(|delay_min| DELAY_MIN_RANGE.contains(delay_min))
            .ok_or(RowProblem::Delay(Fragment::of(delay)))?;
        let distance_mi = whole_number(distance)
            .and_then(|distance_mi| u32::try_from(distance_mi).ok())
            .filter(|distance_mi| (1..=DISTANCE_MI_MAX).contains(distance_mi))
            .ok_or(RowProblem::Distance(Fragment::of(distance)))?;
        let flight = Self {
            departure_s,
            delay_s: delay_min * 60,
            distance_mi,
            origin: find(origin).ok_or(RowProblem::Origin(Fragment::of(origin)))?,
            destination: find(destination)
                .ok_or(RowProblem::Destination(Fragment::of(destination)))?,
        };
        if flight.origin == flight.destination {
            return Err(RowProblem::SameAirport(Fragment::of(origin)));
        }
        Ok(flight)
    }
}

/// The usable flights of a data set, in the order of the file; at least one.
#[derive(Debug, Clone)]
pub struct FlightSet {
    flights: Vec<Flight>,
    first_date: CalendarDate,
}

impl FlightSet {
    /// All flights, in the order of the file.
    pub fn as_slice(&self) -> &[Flight] {
        &self.flights
    }

    /// How many there are; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a loaded set is never empty")]
    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// The day of the earliest scheduled departure. Its midnight is second 0.
    pub fn first_date(&self) -> CalendarDate {
        self.first_date
    }

    /// Positions of the flights in the order in which they actually leave; those that leave in the
    /// same second keep the order of the file. Allocates four bytes for each flight.
    pub fn departure_order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.flights.len() as u32).collect();
        order.sort_unstable_by_key(|&position| {
            (self.flights[position as usize].actual_departure_s(), position)
        });
        order
    }

    /// Counts departures from the midnight before the earliest instead of from 1970.
    fn from_1970(mut flights: Vec<Flight>) -> Option<Self> {
        let earliest_s = flights.iter().map(|flight| flight.departure_s).min()?;
        let first_day = earliest_s / DAY_S;
        for flight in &mut flights {
            flight.departure_s -= first_day * DAY_S;
        }
        Some(Self { flights, first_date: CalendarDate::after_1970(first_day) })
    }
}

/// Loads a list of flights between `airports`.
///
/// Skipped are rows with a wrong number of columns, a departure that does not exist or lies outside
/// 1970 to 2099, a delay outside [`DELAY_MIN_RANGE`], a distance that is not positive or above
/// [`DISTANCE_MI_MAX`], an airport that is not on the list, or one airport for both ends.
///
/// # Errors
///
/// [`LoadError`] if the file cannot be read, is not such a list, or has no usable row; if
/// `options.strict`, also at the first row that would be skipped.
///
/// # Example
///
/// ```
/// use profiling::input::{
///     EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS, LoadOptions, load_airports, load_flights,
/// };
///
/// let options = LoadOptions::default();
/// let airports = load_airports(&EMBEDDED_AIRPORTS, options)?.data;
/// let flights = load_flights(&EMBEDDED_FLIGHTS, &airports, options)?;
/// assert_eq!(flights.data.len(), 113_493);
/// assert_eq!(flights.skipped.count, 0);
/// # Ok::<(), profiling::input::LoadError>(())
/// ```
pub fn load_flights(
    source: &Source<'_>,
    airports: &Airports,
    options: LoadOptions,
) -> Result<Loaded<FlightSet>, LoadError> {
    let mut lines = Lines::open(source, FLIGHTS_HEADER, options)?;
    let mut flights = Vec::new();
    lines.for_each(|fields| {
        flights.push(Flight::parse(fields, airports)?);
        Ok(())
    })?;
    let (path, rows, skipped) = lines.finish();
    match FlightSet::from_1970(flights) {
        Some(data) => Ok(Loaded { data, rows, skipped }),
        None => Err(LoadError::Empty { path, skipped: skipped.count }),
    }
}

/// The whole number that `field` writes in decimal.
fn whole_number(field: &[u8]) -> Option<i32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "flights_tests.rs"]
mod tests;
