//! The flights that the simulation replays.
//!
//! A flight takes 16 bytes. Times count from the first midnight of the data set, on one clock for
//! all airports (see [`Flight::departure_s`]).

use bytemuck::{Pod, Zeroable};

use super::airports::Airports;
use super::code::{AirportCode, AirportIndex};
use super::error::LoadError;
use super::problem::{Fragment, LoadOptions, Loaded, RowProblem};
use super::records::Records;
use super::rows::{FLIGHTS_HEADER, FlightLayout, FlightRow};
use super::source::Source;
use super::timestamp::{CalendarDate, DAY_S};

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

    /// The flight in `row`, with its departure counted from 1 January 1970.
    fn new(row: FlightRow<'_>, airports: &Airports) -> Result<Self, RowProblem> {
        let FlightRow { departure_s, delay_s, distance_mi, origin, destination } = row;
        let find = |code| AirportCode::parse(code).and_then(|code| airports.find(code));
        let flight = Self {
            departure_s,
            delay_s,
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
    cancelled: u64,
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

    /// How many flights of the file were cancelled. They are left out, and none of the rows that
    /// can't be used.
    pub fn cancelled(&self) -> u64 {
        self.cancelled
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
    fn from_1970(mut flights: Vec<Flight>, cancelled: u64) -> Option<Self> {
        let earliest_s = flights.iter().map(|flight| flight.departure_s).min()?;
        let first_day = earliest_s / DAY_S;
        for flight in &mut flights {
            flight.departure_s -= first_day * DAY_S;
        }
        let first_date = CalendarDate::after_1970(first_day);
        Some(Self { flights, cancelled, first_date })
    }
}

/// Loads a list of flights between `airports`, in this project's layout with the header
/// [`FLIGHTS_HEADER`] or in the Bureau's, which has the columns
/// [`BUREAU_COLUMNS`](super::BUREAU_COLUMNS) among others.
///
/// Skipped are rows with a wrong number of columns, a departure that does not exist or lies outside 1970 to
/// 2099, a delay outside [`DELAY_MIN_RANGE`](super::DELAY_MIN_RANGE), a distance that is not positive or
/// above [`DISTANCE_MI_MAX`](super::DISTANCE_MI_MAX), an airport that is not on the list, or one airport for
/// both ends. Flights that were cancelled are left out without being unusable.
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
    let recognise = FlightLayout::recognise;
    let (mut records, layout) = Records::open(source, options, FLIGHTS_HEADER, recognise)?;
    let (mut flights, mut cancelled) = (Vec::new(), 0);
    match layout {
        FlightLayout::Own(layout) => records.for_each(layout, |fields| {
            flights.push(Flight::new(FlightRow::own(fields)?, airports)?);
            Ok(())
        })?,
        FlightLayout::Bureau(layout) => records.for_each(layout, |fields| {
            match FlightRow::bureau(fields)? {
                Some(row) => flights.push(Flight::new(row, airports)?),
                None => cancelled += 1,
            }
            Ok(())
        })?,
    }
    let (path, rows, skipped) = records.finish();
    match FlightSet::from_1970(flights, cancelled) {
        Some(data) => Ok(Loaded { data, rows, skipped }),
        None => Err(LoadError::Empty { path, skipped, cancelled }),
    }
}

#[cfg(test)]
#[path = "flights_tests.rs"]
mod tests;
