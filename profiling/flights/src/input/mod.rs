//! Flights and airports, from embedded bytes or from files.
//!
//! A [`Source`] is opened and, if its first bytes say gzip, unpacked on the fly; its lines are cut
//! into records; [`load_airports`] and [`load_flights`] turn records into compact values. Memory
//! holds the result and a few lines, never the text.
//!
//! Invariants:
//!
//! * No input makes it panic or fill memory with a line that does not end.
//! * A record is one line, or several if a quoted field goes on in the next. A quote that isn't
//!   closed costs its own line and not the rest of the file.
//! * A row that cannot be used is skipped, counted and explained with the number of its line in the
//!   (unpacked) file, or ends the load when [`LoadOptions::strict`] asks for it.
//! * A file as a whole that cannot be used is a [`LoadError`] that names its path, and the column,
//!   the line or the byte at fault.

mod airports;
mod code;
mod embedded;
mod error;
mod flights;
mod gzip;
mod header;
mod problem;
mod records;
mod rows;
mod source;
mod timestamp;
mod window;

pub use airports::{AIRPORTS_HEADER, Airport, Airports, load_airports};
pub use code::{AirportCode, AirportIndex};
pub use embedded::{EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS};
pub use error::{LoadError, TextProblem};
pub use flights::{Flight, FlightSet, load_flights};
pub use header::HeaderProblem;
pub use problem::{
    EXAMPLES_MAX, Fragment, LoadOptions, Loaded, REASON_LINES_MAX, RowProblem, SkipReason,
    SkippedRow, SkippedRows,
};
pub use rows::{BUREAU_COLUMNS, DELAY_MIN_RANGE, DISTANCE_MI_MAX, FLIGHTS_HEADER};
pub use source::Source;
pub use timestamp::CalendarDate;
