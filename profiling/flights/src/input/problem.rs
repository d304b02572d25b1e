//! Rows that cannot be used: their problems, and the report of a load.
//!
//! A [`RowProblem`] is a small copyable value, so that a file of bad rows costs no allocation for
//! each of them.

use std::error::Error;
use std::fmt;
use std::mem;

/// How many skipped rows a load explains; the others are counted.
pub const EXAMPLES_MAX: usize = 5;

/// How many lines a load names for each reason to skip rows.
pub const REASON_LINES_MAX: usize = 3;

/// How a load treats rows that it cannot use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Whether the first unusable row ends the load with an error, instead of being skipped.
    pub strict: bool,
}

/// The result of a load: the data and an account of the rows.
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
    /// The reasons, in the order of their first rows.
    pub reasons: Vec<SkipReason>,
}

impl SkippedRows {
    /// Counts one more row, and keeps it as an example if there is room.
    pub(super) fn add(&mut self, line: u64, problem: RowProblem) {
        self.count += 1;
        if self.first.len() < EXAMPLES_MAX {
            self.first.push(SkippedRow { line, problem });
        }
        let kind = mem::discriminant(&problem);
        let mut reasons = self.reasons.iter_mut();
        match reasons.find(|reason| mem::discriminant(&reason.example) == kind) {
            Some(reason) => reason.add(line),
            None => self.reasons.push(SkipReason {
                example: problem,
                count: 1,
                first_lines: [line; REASON_LINES_MAX],
            }),
        }
    }

    /// All reasons with their counts and first lines, for messages.
    pub fn by_reason(&self) -> String {
        let reasons: Vec<String> = self.reasons.iter().map(SkipReason::to_string).collect();
        reasons.join(", ")
    }
}

/// A reason to leave out rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkipReason {
    /// The problem of the first of them.
    pub example: RowProblem,
    /// How many there are.
    pub count: u64,
    first_lines: [u64; REASON_LINES_MAX],
}

impl SkipReason {
    /// Lines of the first of these rows, at most [`REASON_LINES_MAX`].
    pub fn first_lines(&self) -> &[u64] {
        let named = usize::try_from(self.count).unwrap_or(usize::MAX);
        &self.first_lines[..named.min(REASON_LINES_MAX)]
    }

    fn add(&mut self, line: u64) {
        if let Some(next) = self.first_lines.get_mut(self.count as usize) {
            *next = line;
        }
        self.count += 1;
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.first_lines();
        let word = if lines.len() == 1 { "line" } else { "lines" };
        let lines: Vec<String> = lines.iter().map(u64::to_string).collect();
        let more = if self.count > lines.len() as u64 { ", …" } else { "" };
        let (reason, count) = (self.example.reason(), self.count);
        write!(formatter, "{reason} in {count} ({word} {}{more}", lines.join(", "))?;
        match self.example.detail() {
            Some(detail) => write!(formatter, "; first {detail})"),
            None => write!(formatter, ")"),
        }
    }
}

/// One row that a load has left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedRow {
    /// Line in the unpacked file; the header is line 1.
    pub line: u64,
    /// The problem with it.
    pub problem: RowProblem,
}

impl fmt::Display for SkippedRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.problem)
    }
}

/// The problem with a row.
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
    /// The date is not of the form `YYYY-MM-DD`, or does not exist.
    Date(Fragment),
    /// The time of departure is not of the form `hhmm`, or does not exist.
    Time(Fragment),
    /// The delay is no number, or out of range.
    Delay(Fragment),
    /// The distance is no number, not positive, or beyond half the Earth's circumference.
    Distance(Fragment),
    /// Neither 0 nor 1 tells whether the flight is cancelled.
    Cancelled(Fragment),
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

impl RowProblem {
    /// The reason in words, without the text of the row.
    fn reason(&self) -> &'static str {
        match self {
            Self::Columns { .. } => "wrong number of columns",
            Self::TooLong => "line too long",
            Self::Departure(_) => "invalid departure",
            Self::Date(_) => "invalid date",
            Self::Time(_) => "invalid time of departure",
            Self::Delay(_) => "impossible delay",
            Self::Distance(_) => "impossible distance",
            Self::Cancelled(_) => "neither cancelled nor not",
            Self::Origin(_) => "unknown origin",
            Self::Destination(_) => "unknown destination",
            Self::SameAirport(_) => "origin and destination are both",
            Self::Code(_) => "invalid airport code",
            Self::DuplicateCode(_) => "second airport with the code",
            Self::Latitude(_) => "invalid latitude",
            Self::Longitude(_) => "invalid longitude",
        }
    }

    /// The part of the row that the problem is about.
    fn detail(&self) -> Option<String> {
        match self {
            Self::Columns { expected, found } => Some(format!("{found} instead of {expected}")),
            Self::TooLong => None,
            Self::Departure(fragment)
            | Self::Date(fragment)
            | Self::Time(fragment)
            | Self::Delay(fragment)
            | Self::Distance(fragment)
            | Self::Cancelled(fragment)
            | Self::Origin(fragment)
            | Self::Destination(fragment)
            | Self::SameAirport(fragment)
            | Self::Code(fragment)
            | Self::DuplicateCode(fragment)
            | Self::Latitude(fragment)
            | Self::Longitude(fragment) => Some(format!("`{fragment}`")),
        }
    }
}

impl fmt::Display for RowProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.detail()) {
            (Self::Columns { expected, found }, _) => {
                write!(formatter, "{found} columns instead of {expected}")
            }
            (_, Some(detail)) => write!(formatter, "{} {detail}", self.reason()),
            (_, None) => formatter.write_str(self.reason()),
        }
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
        let mut length = field.len().min(Self::BYTES_MAX);
        // A character isn't cut in two: its further bytes begin with the bits 10.
        let is_within = |length: usize| field.get(length).is_some_and(|byte| byte >> 6 == 0b10);
        while length > Self::BYTES_MAX - 3 && is_within(length) {
            length -= 1;
        }
        let mut bytes = [0; Self::BYTES_MAX];
        bytes[..length].copy_from_slice(&field[..length]);
        Self { bytes, length: length as u8, shortened: length < field.len() }
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = &self.bytes[..usize::from(self.length)];
        let end = if self.shortened { "…" } else { "" };
        write!(formatter, "{}{end}", show_bytes(bytes))
    }
}

impl fmt::Debug for Fragment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

/// Bytes for a message of one line: letters and figures of any script and visible ASCII as they
/// are, everything else escaped.
pub(super) fn show_bytes(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                _ if letter.is_ascii() => {
                    text.extend(std::ascii::escape_default(letter as u8).map(char::from));
                }
                _ if letter.is_alphanumeric() => text.push(letter),
                _ => text.extend(letter.escape_unicode()),
            }
        }
        text.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragment_shows_any_bytes_on_one_line() {
        assert_eq!(Fragment::of(b"ABC").to_string(), "ABC");
        assert_eq!(Fragment::of(b"\0\n\xff").to_string(), "\\x00\\n\\xff");
        assert_eq!(Fragment::of(&[b'x'; 40]).to_string(), format!("{}…", "x".repeat(22)));
        assert_eq!(
            Fragment::of("Zürich\u{202e}東京".as_bytes()).to_string(),
            "Zürich\\u{202e}東京"
        );
        let long = format!("{}東京", "x".repeat(20));
        assert_eq!(Fragment::of(long.as_bytes()).to_string(), format!("{}…", "x".repeat(20)));
        let rest_bytes = [0x80; 40];
        assert_eq!(Fragment::of(&rest_bytes).to_string(), format!("{}…", "\\x80".repeat(19)));
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

    #[test]
    fn every_reason_is_counted_with_its_first_lines() {
        let mut skipped = SkippedRows::default();
        for line in 2..7 {
            skipped.add(line, RowProblem::Origin(Fragment::of(b"QQQ")));
        }
        skipped.add(7, RowProblem::TooLong);
        skipped.add(8, RowProblem::Columns { expected: 5, found: 4 });
        skipped.add(9, RowProblem::Columns { expected: 5, found: 6 });
        assert_eq!(skipped.reasons[0].first_lines(), [2, 3, 4]);
        assert_eq!(
            skipped.by_reason(),
            "unknown origin in 5 (lines 2, 3, 4, …; first `QQQ`), line too long in 1 (line 7), \
             wrong number of columns in 2 (lines 8, 9; first 4 instead of 5)"
        );
    }
}
