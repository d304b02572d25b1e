//! Flights and airports, from embedded bytes or from files.
//!
//! A [`Source`] is opened and, if its first bytes say gzip, unpacked on the fly; a line reader cuts
//! it into records; [`load_airports`] and [`load_flights`] turn records into compact values. Memory
//! holds the result and one line, never the text.
//!
//! What it upholds:
//!
//! * No input makes it panic or fill memory with a line that does not end.
//! * A record is one line. No column of either data set may hold a line break, so a stray quote
//!   costs its own line and not the rest of the file.
//! * A row that cannot be used is skipped, counted and explained with the number of its line in the
//!   (unpacked) file, or ends the load when [`LoadOptions::strict`] asks for it.
//! * A file as a whole that cannot be used is a [`LoadError`] that names its path.

mod airports;
mod code;
mod embedded;
mod error;
mod flights;
mod lines;
mod problem;
mod source;
mod timestamp;

pub use airports::{AIRPORTS_HEADER, Airport, Airports, load_airports};
pub use code::{AirportCode, AirportIndex};
pub use embedded::{EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS};
pub use error::LoadError;
pub use flights::{
    DELAY_MIN_RANGE, DISTANCE_MI_MAX, FLIGHTS_HEADER, Flight, FlightSet, load_flights,
};
pub use problem::{
    EXAMPLES_MAX, Fragment, LoadOptions, Loaded, RowProblem, SkippedRow, SkippedRows,
};
pub use source::Source;
pub use timestamp::CalendarDate;
