//! CSV records, one for each line of a source.
//!
//! The parser of the `csv` crate splits a line into fields and undoes quotes; this file cuts the
//! text into lines. Lines are numbered from 1, including blank ones, which are passed over. Lines
//! end with a line feed, with or without a carriage return before it. All buffers have a fixed size
//! and are reused for every line.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use csv_core::{ReadRecordResult, Terminator};

use super::error::LoadError;
use super::problem::{Fragment, LoadOptions, RowProblem, SkippedRows};
use super::source::{Opened, Source};

/// Longest line: far above any row of either data set, and a bound for what is held of a file that
/// is not text.
pub(super) const LINE_BYTES_MAX: usize = 4_096;

/// Columns told apart in one line: more than either data set has.
const COLUMNS_MAX: usize = 16;

/// The records of one source, and the account of those that are unusable.
pub(super) struct Lines<'a> {
    path: PathBuf,
    opened: Opened<'a>,
    options: LoadOptions,
    parser: csv_core::Reader,
    /// Number of the line in `line`, 0 before the first.
    number: u64,
    line: Vec<u8>,
    fields: Vec<u8>,
    ends: [usize; COLUMNS_MAX],
    rows: u64,
    skipped: SkippedRows,
}

impl<'a> Lines<'a> {
    /// Opens `source` and checks that its first line is the header with the columns `header`.
    ///
    /// # Errors
    ///
    /// Those of opening and reading, [`LoadError::NotText`] and [`LoadError::Header`].
    pub(super) fn open(
        source: &Source<'a>,
        header: &'static str,
        options: LoadOptions,
    ) -> Result<Self, LoadError> {
        let mut lines = Self {
            path: source.path(),
            opened: source.open()?,
            options,
            parser: csv_core::ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build(),
            number: 0,
            // The longest line, its end and one byte that tells that it goes on.
            line: Vec::with_capacity(LINE_BYTES_MAX + 2),
            fields: vec![0; LINE_BYTES_MAX + 2],
            ends: [0; COLUMNS_MAX],
            rows: 0,
            skipped: SkippedRows::default(),
        };
        lines.check_header(header)?;
        Ok(lines)
    }

    /// Reads every row, gives the `COLUMNS` fields of each to `accept` and accounts for the rest.
    ///
    /// # Errors
    ///
    /// Those of reading; if the load is strict, [`LoadError::Row`] at the first unusable row.
    pub(super) fn for_each<const COLUMNS: usize>(
        &mut self,
        mut accept: impl FnMut([&[u8]; COLUMNS]) -> Result<(), RowProblem>,
    ) -> Result<(), LoadError> {
        while let Some(fits) = self.read_line()? {
            if fits && self.line.trim_ascii().is_empty() {
                continue;
            }
            self.rows += 1;
            let outcome = if fits {
                self.split::<COLUMNS>().and_then(&mut accept)
            } else {
                Err(RowProblem::TooLong)
            };
            if let Err(problem) = outcome {
                if self.options.strict {
                    let (path, line) = (self.path.clone(), self.number);
                    return Err(LoadError::Row { path, line, problem });
                }
                self.skipped.add(self.number, problem);
            }
        }
        Ok(())
    }

    /// The account of a finished load: path, rows seen and rows skipped.
    pub(super) fn finish(self) -> (PathBuf, u64, SkippedRows) {
        (self.path, self.rows, self.skipped)
    }

    fn check_header(&mut self, header: &'static str) -> Result<(), LoadError> {
        let fits = self.read_line()?.unwrap_or(true);
        let readable = std::str::from_utf8(&self.line).is_ok_and(|text| !text.contains('\0'));
        if !fits || !readable {
            return Err(LoadError::NotText { path: self.path.clone() });
        }
        let columns = header.split(',').count();
        let found = self.split_any();
        let mut start = 0;
        let matches = found == columns
            && header.split(',').zip(self.ends).all(|(name, end)| {
                let field = &self.fields[start..end];
                start = end;
                field.trim_ascii() == name.as_bytes()
            });
        if matches {
            return Ok(());
        }
        let found = Fragment::of(self.line.trim_ascii()).to_string();
        Err(LoadError::Header { path: self.path.clone(), expected: header, found })
    }

    /// Reads the next line without its end. `Some(false)` is a line that is too long to be held,
    /// `None` the end of the source.
    fn read_line(&mut self) -> Result<Option<bool>, LoadError> {
        self.line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let text = &mut self.opened.text;
        let read = text.take(limit).read_until(b'\n', &mut self.line);
        let outcome = match read {
            Ok(0) => return Ok(None),
            Ok(_) if self.line.ends_with(b"\n") => Ok(true),
            Ok(_) if self.line.len() <= LINE_BYTES_MAX => Ok(true),
            Ok(_) => self.opened.text.skip_until(b'\n').map(|_| false),
            Err(error) => Err(error),
        };
        self.number += 1;
        let fits = outcome.map_err(|error| self.failure(error))?;
        for end in [b'\n', b'\r'] {
            if self.line.last() == Some(&end) {
                self.line.pop();
            }
        }
        Ok(Some(fits))
    }

    /// The fields of the current line, trimmed of white space.
    fn split<const COLUMNS: usize>(&mut self) -> Result<[&[u8]; COLUMNS], RowProblem> {
        const { assert!(COLUMNS < COLUMNS_MAX, "one more column must be told apart") };
        let found = self.split_any();
        if found != COLUMNS {
            return Err(RowProblem::Columns { expected: COLUMNS, found });
        }
        let mut start = 0;
        Ok(std::array::from_fn(|column| {
            let field = &self.fields[start..self.ends[column]];
            start = self.ends[column];
            field.trim_ascii()
        }))
    }

    /// Splits the current line into `fields` and `ends`. Returns the number of columns, which
    /// counts no further than [`COLUMNS_MAX`].
    fn split_any(&mut self) -> usize {
        self.parser.reset();
        let (mut read, mut written, mut columns) = (0, 0, 0);
        // The end of the line ends a record; the empty input after it ends an open quote as well.
        self.line.push(b'\n');
        loop {
            let (result, input, output, ends) = self.parser.read_record(
                &self.line[read..],
                &mut self.fields[written..],
                &mut self.ends[columns..],
            );
            read += input;
            written += output;
            columns += ends;
            if result != ReadRecordResult::InputEmpty {
                self.line.pop();
                return columns;
            }
        }
    }

    /// What a failure of the reader means for this source.
    fn failure(&self, source: io::Error) -> LoadError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let path = self.path.clone();
        let corrupt = matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof);
        if self.opened.compressed && corrupt {
            LoadError::Compression { path, line: self.number, source }
        } else {
            LoadError::Read { path, source }
        }
    }
}
