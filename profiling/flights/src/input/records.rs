//! [`Records`]: the rows of a CSV file.
//!
//! The parser of the `csv` crate splits lines into fields and undoes quotes; this file finds out
//! which lines are a record. All buffers have a fixed size and are reused for every record.
//!
//! A record is a line. Where the line ends within quotes, the next lines belong to the record if
//! they give it the number of columns that it has to have, within [`RECORD_LINES_MAX`] lines and
//! the length of one. Otherwise the quote is a stray one and costs its own line, not the rest of
//! the file. So a line is split at most [`RECORD_LINES_MAX`] times.

use std::io;
use std::path::PathBuf;

use csv_core::{ReadRecordResult, Terminator};

use super::error::{LoadError, TextProblem};
use super::gzip::TrailingBytes;
use super::header::{HeaderProblem, Layout, Names};
use super::problem::{LoadOptions, RowProblem, SkippedRows};
use super::source::Source;
use super::window::{LINE_BYTES_MAX, Window};

/// Lines that a record may have: a few more than any text in quotes.
const RECORD_LINES_MAX: usize = 8;

/// Columns of a record: a comma between each two of them fits into the longest line.
const COLUMNS_MAX: usize = LINE_BYTES_MAX + 1;

/// The records of one source, and the account of those that are unusable.
pub(super) struct Records<'a> {
    path: PathBuf,
    compressed: bool,
    window: Window<'a>,
    options: LoadOptions,
    splitter: Splitter,
    rows: u64,
    skipped: SkippedRows,
}

impl<'a> Records<'a> {
    /// Opens `source`, and reads its header: the first line that isn't blank.
    ///
    /// # Errors
    ///
    /// Those of opening and reading, [`LoadError::NotText`], and [`LoadError::Header`] with what
    /// `recognise` finds wrong or, if there is no header, that `expected` is absent.
    pub(super) fn open<T>(
        source: &Source<'a>,
        options: LoadOptions,
        expected: &'static str,
        recognise: impl FnOnce(&Names<'_>) -> Result<T, HeaderProblem>,
    ) -> Result<(Self, T), LoadError> {
        let opened = source.open()?;
        let mut records = Self {
            path: source.path(),
            compressed: opened.compressed,
            window: Window::new(opened.text),
            options,
            splitter: Splitter::new(),
            rows: 0,
            skipped: SkippedRows::default(),
        };
        let layout = records.read_header(expected, recognise)?;
        Ok((records, layout))
    }

    /// Reads every row, gives the fields of each that `layout` names to `accept`, trimmed, and
    /// accounts for the rest.
    ///
    /// # Errors
    ///
    /// Those of reading; if the load is strict, [`LoadError::Row`] at the first unusable row.
    pub(super) fn for_each<const COLUMNS: usize>(
        &mut self,
        layout: Layout<COLUMNS>,
        mut accept: impl FnMut([&[u8]; COLUMNS]) -> Result<(), RowProblem>,
    ) -> Result<(), LoadError> {
        while let Some(line) = self.window.line(0).map_err(|error| self.failure(error))? {
            let (outcome, lines) = if !line.fits {
                (Err(RowProblem::TooLong), 1)
            } else if self.window.bytes()[..line.end].trim_ascii().is_empty() {
                self.window.pass(1);
                continue;
            } else {
                let lines = self
                    .splitter
                    .split(&mut self.window, &layout)
                    .map_err(|error| self.failure(error))?;
                (self.splitter.select(&layout).and_then(&mut accept), lines)
            };
            self.rows += 1;
            if let Err(problem) = outcome {
                let line = self.window.number();
                if self.options.strict {
                    return Err(LoadError::Row { path: self.path.clone(), line, problem });
                }
                self.skipped.add(line, problem);
            }
            self.window.pass(lines);
        }
        Ok(())
    }

    /// The account of a finished load: path, rows seen and rows skipped.
    pub(super) fn finish(self) -> (PathBuf, u64, SkippedRows) {
        (self.path, self.rows, self.skipped)
    }

    fn read_header<T>(
        &mut self,
        expected: &'static str,
        recognise: impl FnOnce(&Names<'_>) -> Result<T, HeaderProblem>,
    ) -> Result<T, LoadError> {
        let header =
            |path: &PathBuf, line, problem| LoadError::Header { path: path.clone(), line, problem };
        loop {
            let line = self.window.line(0).map_err(|error| self.failure(error))?;
            let Some(line) = line else {
                let problem = HeaderProblem::Absent { expected };
                return Err(header(&self.path, self.window.number(), problem));
            };
            let text = &self.window.bytes()[..line.end];
            if line.fits && text.trim_ascii().is_empty() {
                self.window.pass(1);
                continue;
            }
            if let Some(problem) = TextProblem::of_line(text, line.fits) {
                let (path, line) = (self.path.clone(), self.window.number());
                return Err(LoadError::NotText { path, line, problem });
            }
            self.splitter.split_alone(text);
            let names = self.splitter.fields().collect();
            let layout = recognise(&names)
                .map_err(|problem| header(&self.path, self.window.number(), problem))?;
            self.window.pass(1);
            return Ok(layout);
        }
    }

    /// The error for a failure of the reader of this source.
    fn failure(&self, source: io::Error) -> LoadError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let (path, line) = (self.path.clone(), self.window.number_of_last());
        let trailing = source.get_ref().and_then(|inner| inner.downcast_ref::<TrailingBytes>());
        if let Some(&TrailingBytes { offset, found }) = trailing {
            return LoadError::TrailingBytes { path, offset, found };
        }
        let corrupt = matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof);
        if self.compressed && corrupt {
            LoadError::Compression { path, line, source }
        } else {
            LoadError::Read { path, source }
        }
    }
}

/// Splits lines into fields.
struct Splitter {
    parser: csv_core::Reader,
    /// The fields of a record, one behind the other.
    text: Box<[u8]>,
    /// Where each field ends in `text`.
    ends: Box<[usize]>,
    written: usize,
    columns: usize,
}

impl Splitter {
    fn new() -> Self {
        Self {
            parser: csv_core::ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build(),
            text: vec![0; LINE_BYTES_MAX + 2].into_boxed_slice(),
            // The parser asks for room for one more field than there is.
            ends: vec![0; COLUMNS_MAX + 1].into_boxed_slice(),
            written: 0,
            columns: 0,
        }
    }

    /// Splits the record that begins with the first line of `window`, which must fit. Returns how
    /// many lines it has.
    fn split<const COLUMNS: usize>(
        &mut self,
        window: &mut Window<'_>,
        layout: &Layout<COLUMNS>,
    ) -> io::Result<usize> {
        let (mut start, mut lines) = (0, 0);
        self.begin();
        while let Some(line) = window.line(lines)? {
            if !line.fits || line.end > self.text.len() || lines == RECORD_LINES_MAX {
                break;
            }
            lines += 1;
            let ends_record = self.feed(&window.bytes()[start..line.end]);
            start = line.end;
            if ends_record && (lines == 1 || self.fits(layout)) {
                return Ok(lines);
            }
            if ends_record || self.columns > layout.columns + 1 {
                break;
            }
        }
        let first = window.line(0)?.map_or(0, |line| line.end);
        self.split_alone(&window.bytes()[..first]);
        Ok(1)
    }

    /// Splits a line that is a record, even if it ends within quotes.
    fn split_alone(&mut self, line: &[u8]) {
        self.begin();
        if !self.feed(line) {
            self.feed(&[]);
        }
    }

    /// The fields of `layout` in the last record.
    fn select<const COLUMNS: usize>(
        &self,
        layout: &Layout<COLUMNS>,
    ) -> Result<[&[u8]; COLUMNS], RowProblem> {
        if !self.fits(layout) {
            return Err(RowProblem::Columns { expected: layout.columns, found: self.columns });
        }
        Ok(layout.positions.map(|position| self.field(position)))
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.columns).map(|position| self.field(position))
    }

    /// A field of the last record without the white space round it.
    #[inline]
    fn field(&self, position: usize) -> &[u8] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] };
        self.text[start..self.ends[position]].trim_ascii()
    }

    /// Whether the last record has this layout.
    fn fits<const COLUMNS: usize>(&self, layout: &Layout<COLUMNS>) -> bool {
        layout.fits(self.columns, || self.field(self.columns - 1).is_empty())
    }

    fn begin(&mut self) {
        self.parser.reset();
        (self.written, self.columns) = (0, 0);
    }

    /// Splits more of a record: a line with its end, or nothing to end the record. Returns whether
    /// the record is over.
    fn feed(&mut self, line: &[u8]) -> bool {
        let (result, _, written, columns) = self.parser.read_record(
            line,
            &mut self.text[self.written..],
            &mut self.ends[self.columns..],
        );
        self.written += written;
        self.columns += columns;
        // Input ends before its record only within quotes, or if all of it is a byte order mark.
        // Neither buffer is ever full, as a record is no longer than the longest line.
        result != ReadRecordResult::InputEmpty || (self.written == 0 && !line.contains(&b'"'))
    }
}
