//! Rows that cannot be used: what is wrong with them, and how a load reports them.
//!
//! A [`RowProblem`] is a small copyable value, so that a file of bad rows costs no allocation for
//! each of them.

use std::error::Error;
use std::fmt;

/// How many skipped rows a load explains; the others are counted.
pub const EXAMPLES_MAX: usize = 5;

/// How a load treats rows that it cannot use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Whether the first unusable row ends the load with an error, instead of being skipped.
    pub strict: bool,
}

/// What a load returns: the data and an account of the rows.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The usable rows.
    pub data: T,
    /// Rows seen after the header, usable or not; blank lines are no rows.
    pub rows: u64,
    /// The rows that are missing from `data`.
    pub skipped: SkippedRows,
}

/// The rows that a load has left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkippedRows {
    /// How many there are.
    pub count: u64,
    /// The first [`EXAMPLES_MAX`] of them, in the order of the file.
    pub first: Vec<SkippedRow>,
}

impl SkippedRows {
    /// Counts one more row, and keeps it as an example if there is room.
    pub(super) fn add(&mut self, line: u64, problem: RowProblem) {
        self.count += 1;
        if self.first.len() < EXAMPLES_MAX {
            self.first.push(SkippedRow { line, problem });
        }
    }
}

/// One row that a load has left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedRow {
    /// Line in the unpacked file; the header is line 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: RowProblem,
}

impl fmt::Display for SkippedRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.problem)
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowProblem {
    /// The row has too few or too many columns.
    Columns {
        /// How many it should have.
        expected: usize,
        /// How many it has; counting stops a little above `expected`.
        found: usize,
    },
    /// The line is longer than any row can be.
    TooLong,
    /// The departure is no date and time of the form `YYYY-MM-DDTHH:MM`, or does not exist.
    Departure(Fragment),
    /// The delay is no whole number, or beyond what a delay can be.
    Delay(Fragment),
    /// The distance is no whole number, not positive, or beyond half the Earth's circumference.
    Distance(Fragment),
    /// The list of airports has no such origin.
    Origin(Fragment),
    /// The list of airports has no such destination.
    Destination(Fragment),
    /// Origin and destination are the same.
    SameAirport(Fragment),
    /// An airport's code is not three capital letters.
    Code(Fragment),
    /// An airport's code has appeared before.
    DuplicateCode(Fragment),
    /// The latitude is no number from -90 to 90.
    Latitude(Fragment),
    /// The longitude is no number from -180 to 180.
    Longitude(Fragment),
}

impl fmt::Display for RowProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, fragment) = match self {
            Self::Columns { expected, found } => {
                return write!(formatter, "{found} columns instead of {expected}");
            }
            Self::TooLong => return write!(formatter, "line too long"),
            Self::Departure(fragment) => ("invalid departure", fragment),
            Self::Delay(fragment) => ("impossible delay", fragment),
            Self::Distance(fragment) => ("impossible distance", fragment),
            Self::Origin(fragment) => ("unknown origin", fragment),
            Self::Destination(fragment) => ("unknown destination", fragment),
            Self::SameAirport(fragment) => ("origin and destination are both", fragment),
            Self::Code(fragment) => ("invalid airport code", fragment),
            Self::DuplicateCode(fragment) => ("second airport with the code", fragment),
            Self::Latitude(fragment) => ("invalid latitude", fragment),
            Self::Longitude(fragment) => ("invalid longitude", fragment),
        };
        write!(formatter, "{what} `{fragment}`")
    }
}

impl Error for RowProblem {}

/// The beginning of a field, for messages: at most [`Fragment::BYTES_MAX`] bytes, held in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    bytes: [u8; Fragment::BYTES_MAX],
    length: u8,
    shortened: bool,
}

impl Fragment {
    /// Bytes kept: a timestamp and a little more.
    pub const BYTES_MAX: usize = 22;

    /// The beginning of `field`.
    pub fn of(field: &[u8]) -> Self {
        let length = field.len().min(Self::BYTES_MAX);
        let mut bytes = [0; Self::BYTES_MAX];
        bytes[..length].copy_from_slice(&field[..length]);
        Self { bytes, length: length as u8, shortened: length < field.len() }
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = &self.bytes[..usize::from(self.length)];
        let end = if self.shortened { "…" } else { "" };
        write!(formatter, "{}{end}", bytes.escape_ascii())
    }
}

impl fmt::Debug for Fragment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragment_shows_any_bytes_on_one_line() {
        assert_eq!(Fragment::of(b"ABC").to_string(), "ABC");
        assert_eq!(Fragment::of(b"\0\n\xff").to_string(), "\\x00\\n\\xff");
        assert_eq!(Fragment::of(&[b'x'; 40]).to_string(), format!("{}…", "x".repeat(22)));
    }

    #[test]
    fn only_the_first_rows_are_explained() {
        let mut skipped = SkippedRows::default();
        for line in 2..12 {
            skipped.add(line, RowProblem::TooLong);
        }
        assert_eq!((skipped.count, skipped.first.len()), (10, EXAMPLES_MAX));
        assert_eq!(skipped.first[0].to_string(), "line 2: line too long");
    }
}
