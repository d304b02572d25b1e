//! Why a data set as a whole cannot be loaded.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::problem::RowProblem;

/// Why [`load_airports`](super::load_airports) or [`load_flights`](super::load_flights) failed.
///
/// Every variant names the file; the message is one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The file does not exist or may not be opened.
    Open {
        /// The file at fault.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Reading failed after opening, for example because the path is a directory.
    Read {
        /// The file at fault.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file begins as gzip, but it is truncated or corrupt.
    Compression {
        /// The file at fault.
        path: PathBuf,
        /// The line of the unpacked text that could not be completed.
        line: u64,
        /// What the decoder says.
        source: io::Error,
    },
    /// The first line is not text, so the file is neither CSV nor gzip.
    NotText {
        /// The file at fault.
        path: PathBuf,
    },
    /// The first line does not name the expected columns.
    Header {
        /// The file at fault.
        path: PathBuf,
        /// The columns that are needed.
        expected: &'static str,
        /// The first line, shortened; empty if the file is.
        found: String,
    },
    /// A row is unusable and the load is strict.
    Row {
        /// The file at fault.
        path: PathBuf,
        /// Line in the unpacked file; the header is line 1.
        line: u64,
        /// What is wrong with it.
        problem: RowProblem,
    },
    /// Not one row is usable.
    Empty {
        /// The file at fault.
        path: PathBuf,
        /// How many rows there are, all of them skipped.
        skipped: u64,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, source } => {
                write!(formatter, "cannot open {}: {source}", path.display())
            }
            Self::Read { path, source } => {
                write!(formatter, "cannot read {}: {source}", path.display())
            }
            Self::Compression { path, line, source } => write!(
                formatter,
                "{}: truncated or corrupt gzip at line {line} of the text: {source}",
                path.display()
            ),
            Self::NotText { path } => {
                write!(formatter, "{}: neither CSV text nor gzip", path.display())
            }
            Self::Header { path, expected, found } if found.is_empty() => write!(
                formatter,
                "{}: the file is empty, expected the header `{expected}`",
                path.display()
            ),
            Self::Header { path, expected, found } => write!(
                formatter,
                "{}: wrong header `{found}`, expected `{expected}`",
                path.display()
            ),
            Self::Row { path, line, problem } => {
                write!(formatter, "{}: line {line}: {problem}", path.display())
            }
            Self::Empty { path, skipped } => {
                write!(formatter, "{}: no usable row, {skipped} skipped", path.display())
            }
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Open { source, .. }
            | Self::Read { source, .. }
            | Self::Compression { source, .. } => Some(source),
            Self::Row { problem, .. } => Some(problem),
            _ => None,
        }
    }
}
