//! Why a data set as a whole cannot be loaded.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::header::HeaderProblem;
use super::problem::{Fragment, RowProblem, SkippedRows};
use super::window::LINE_BYTES_MAX;

/// First bytes of files that people have in place of text or gzip, and the names of their formats.
const FORMATS: [(&[u8], &str); 8] = [
    (b"PK\x03\x04", "a zip archive, which has to be unpacked first"),
    (b"\x1f\x8b", "gzip within gzip, which has to be unpacked once first"),
    (b"BZh", "bzip2, which has to be unpacked first"),
    (b"\xfd7zXZ", "xz, which has to be unpacked first"),
    (b"\x28\xb5\x2f\xfd", "zstd, which has to be unpacked first"),
    (b"PAR1", "Parquet"),
    (b"\xff\xfe", "text in UTF-16, which has to be saved as UTF-8 first"),
    (b"\xfe\xff", "text in UTF-16, which has to be saved as UTF-8 first"),
];

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
        /// The error of the system.
        source: io::Error,
    },
    /// Reading failed after opening, for example because the path is a directory.
    Read {
        /// The file at fault.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file begins as gzip, but it is truncated or corrupt.
    Compression {
        /// The file at fault.
        path: PathBuf,
        /// The line of the unpacked text that could not be completed.
        line: u64,
        /// The error of the decoder.
        source: io::Error,
    },
    /// Something that isn't gzip stands behind the last gzip member. Zero bytes may.
    TrailingBytes {
        /// The file at fault.
        path: PathBuf,
        /// Where it begins, in bytes of the compressed file.
        offset: u64,
        /// How it begins.
        found: Fragment,
    },
    /// The first line is not text, so the file is neither CSV nor gzip.
    NotText {
        /// The file at fault.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The text in their place.
        problem: TextProblem,
    },
    /// The header does not name the expected columns.
    Header {
        /// The file at fault.
        path: PathBuf,
        /// Line of the header: the first one that isn't blank.
        line: u64,
        /// The first column that differs.
        problem: HeaderProblem,
    },
    /// A row is unusable and the load is strict.
    Row {
        /// The file at fault.
        path: PathBuf,
        /// Line in the unpacked file; the header is line 1.
        line: u64,
        /// The problem with it.
        problem: RowProblem,
    },
    /// Not one row is usable.
    Empty {
        /// The file at fault.
        path: PathBuf,
        /// The rows; none was usable.
        skipped: SkippedRows,
        /// Rows of flights that were cancelled, which are none of the skipped.
        cancelled: u64,
    },
}

/// The format of a file that isn't text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextProblem {
    /// Another format.
    Format(&'static str),
    /// A first line that is longer than any header.
    LongLine,
    /// Bytes that are not UTF-8, or zeros.
    Binary,
}

impl TextProblem {
    /// Why `line` can't be a header: a line of text, or the beginning of one that doesn't fit.
    pub(super) fn of_line(line: &[u8], fits: bool) -> Option<Self> {
        if let Some((_, name)) = FORMATS.iter().find(|(magic, _)| line.starts_with(magic)) {
            return Some(Self::Format(name));
        }
        if line.contains(&0) || (fits && std::str::from_utf8(line).is_err()) {
            return Some(Self::Binary);
        }
        (!fits).then_some(Self::LongLine)
    }
}

impl fmt::Display for TextProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(name) => write!(formatter, "it is {name}"),
            Self::LongLine => write!(formatter, "it is longer than {LINE_BYTES_MAX} bytes"),
            Self::Binary => write!(formatter, "it has bytes that are no text in UTF-8"),
        }
    }
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
            Self::TrailingBytes { path, offset, found } => write!(
                formatter,
                "{}: trailing garbage after the gzip data: `{found}` at byte {offset}, where \
                 only zeros or more gzip may stand",
                path.display()
            ),
            Self::NotText { path, line, problem } => write!(
                formatter,
                "{}: line {line}: neither CSV text nor gzip: {problem}",
                path.display()
            ),
            Self::Header { path, problem: HeaderProblem::Absent { expected }, .. } => write!(
                formatter,
                "{}: the file is empty, expected the header `{expected}`",
                path.display()
            ),
            Self::Header { path, line, problem } => {
                write!(formatter, "{}: line {line}: wrong header: {problem}", path.display())
            }
            Self::Row { path, line, problem } => {
                write!(formatter, "{}: line {line}: {problem}", path.display())
            }
            Self::Empty { path, skipped, cancelled } => {
                write!(formatter, "{}: no usable row", path.display())?;
                match (skipped.count, cancelled) {
                    (0, 0) => write!(formatter, ", as there is none after the header"),
                    (0, _) => write!(formatter, ", as all flights are cancelled ({cancelled})"),
                    (count, 0) => write!(formatter, " of {count}: {}", skipped.by_reason()),
                    (count, _) => write!(
                        formatter,
                        " of {}: {cancelled} cancelled, {}",
                        count + cancelled,
                        skipped.by_reason()
                    ),
                }
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
