//! The rows of both layouts that a list of flights can have.
//!
//! | layout | recognised by | departure | delay, distance |
//! |---|---|---|---|
//! | this project's | the exact header [`FLIGHTS_HEADER`] | `2001-01-01T00:01` | `33`, `2176` |
//! | the Bureau's | a column that only it has | `2001-01-01`, `"0001"` | `33.00`, `2176.00` |
//!
//! The Bureau of Transportation Statistics publishes *Reporting Carrier On-Time Performance* with
//! 109 columns; [`BUREAU_COLUMNS`] are read. They are found by name, so another order,
//! other columns between them and the older names of other columns don't matter.

use super::header::{HeaderProblem, Layout, Names};
use super::problem::{Fragment, RowProblem};
use super::timestamp::{parse_clock_s, parse_date_s, parse_seconds_since_1970};

/// The header of a list of flights.
pub const FLIGHTS_HEADER: &str = "departure,delay_min,distance_mi,origin,destination";

/// The columns that are read of a list of flights in the Bureau's layout.
pub const BUREAU_COLUMNS: [&str; 7] =
    ["FlightDate", "CRSDepTime", "DepDelay", "Distance", "Origin", "Dest", "Cancelled"];

/// Columns that only the Bureau's layout has.
const BUREAU_MARKS: [&str; 3] = ["FlightDate", "CRSDepTime", "DepDelay"];

/// Delays that a flight can have: a day early to two days late.
pub const DELAY_MIN_RANGE: std::ops::RangeInclusive<i32> = -1_440..=2_880;

/// The longest distance that a flight can have: half the Earth's circumference.
pub const DISTANCE_MI_MAX: u32 = 12_451;

/// Which layout a file has, and where its columns are.
#[derive(Debug, Clone, Copy)]
pub(super) enum FlightLayout {
    Own(Layout<5>),
    Bureau(Layout<7>),
}

impl FlightLayout {
    /// The layout that a header tells.
    pub(super) fn recognise(names: &Names<'_>) -> Result<Self, HeaderProblem> {
        let is_mark = |name: &&[u8]| BUREAU_MARKS.iter().any(|mark| *name == mark.as_bytes());
        if names.iter().any(is_mark) {
            Layout::named(names, BUREAU_COLUMNS).map(Self::Bureau)
        } else {
            Layout::exact(names, FLIGHTS_HEADER).map(Self::Own)
        }
    }
}

/// A row whose figures are read, but not its airports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FlightRow<'a> {
    /// Scheduled departure, in seconds since 1 January 1970.
    pub(super) departure_s: u32,
    /// Negative when early.
    pub(super) delay_s: i32,
    pub(super) distance_mi: u32,
    pub(super) origin: &'a [u8],
    pub(super) destination: &'a [u8],
}

impl<'a> FlightRow<'a> {
    /// The row in the fields of this project's layout.
    pub(super) fn own(fields: [&'a [u8]; 5]) -> Result<Self, RowProblem> {
        let [departure, delay, distance, origin, destination] = fields;
        let departure_s = parse_seconds_since_1970(departure)
            .ok_or(RowProblem::Departure(Fragment::of(departure)))?;
        let delay_min = whole_number(delay)
            .filter(|delay_min| DELAY_MIN_RANGE.contains(delay_min))
            .ok_or(RowProblem::Delay(Fragment::of(delay)))?;
        let distance_mi = whole_number(distance)
            .and_then(|distance_mi| u32::try_from(distance_mi).ok())
            .filter(|distance_mi| (1..=DISTANCE_MI_MAX).contains(distance_mi))
            .ok_or(RowProblem::Distance(Fragment::of(distance)))?;
        Ok(Self { departure_s, delay_s: delay_min * 60, distance_mi, origin, destination })
    }

    /// The row in the fields [`BUREAU_COLUMNS`], or `None` if the flight was cancelled. A fraction
    /// of a minute is kept to the second; a distance is rounded to a mile.
    pub(super) fn bureau(fields: [&'a [u8]; 7]) -> Result<Option<Self>, RowProblem> {
        let [date, time, delay, distance, origin, destination, cancelled] = fields;
        match decimal(cancelled) {
            Some(0.0) => {}
            Some(1.0) => return Ok(None),
            _ => return Err(RowProblem::Cancelled(Fragment::of(cancelled))),
        }
        let midnight_s = parse_date_s(date).ok_or(RowProblem::Date(Fragment::of(date)))?;
        let clock_s = parse_clock_s(time).ok_or(RowProblem::Time(Fragment::of(time)))?;
        let (early_min, late_min) = DELAY_MIN_RANGE.into_inner();
        let delay_min = decimal(delay)
            .filter(|delay_min| (f64::from(early_min)..=f64::from(late_min)).contains(delay_min))
            .ok_or(RowProblem::Delay(Fragment::of(delay)))?;
        let distance_mi = decimal(distance)
            .map(f64::round)
            .filter(|distance_mi| (1.0..=f64::from(DISTANCE_MI_MAX)).contains(distance_mi))
            .ok_or(RowProblem::Distance(Fragment::of(distance)))?;
        Ok(Some(Self {
            departure_s: midnight_s + clock_s,
            delay_s: (delay_min * 60.0).round() as i32,
            distance_mi: distance_mi as u32,
            origin,
            destination,
        }))
    }
}

/// The whole number that `field` writes in decimal.
fn whole_number(field: &[u8]) -> Option<i32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// The number that `field` writes in decimal, with or without a fraction. Neither exponents nor
/// words are numbers here.
fn decimal(field: &[u8]) -> Option<f64> {
    let is_plain = |byte: &u8| byte.is_ascii_digit() || b"+-.".contains(byte);
    if !field.iter().all(is_plain) {
        return None;
    }
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
