//! Headers: which columns a file has, and how its header differs from the expected one.

use std::fmt;

use super::problem::show_bytes;

/// Bytes of a name that a message shows: the longest name that the Bureau has, and a half more.
const NAME_BYTES_MAX: usize = 64;

/// Marks between columns that other programs write.
const OTHER_SEPARATORS: [u8; 3] = [b';', b'\t', b'|'];

/// The fields of a header line, trimmed.
pub(super) type Names<'a> = Vec<&'a [u8]>;

/// Where `COLUMNS` fields stand in a row, and how long the row is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<const COLUMNS: usize> {
    /// The columns that are read.
    pub(super) positions: [usize; COLUMNS],
    /// How many columns a row has.
    pub(super) columns: usize,
    /// Whether a row may have an empty column more: it ends with a comma.
    pub(super) may_trail: bool,
}

impl<const COLUMNS: usize> Layout<COLUMNS> {
    /// The layout of a file whose header is exactly `header`.
    pub(super) fn exact(names: &Names<'_>, header: &'static str) -> Result<Self, HeaderProblem> {
        let mut position = 0;
        for expected in header.split(',') {
            match names.get(position) {
                Some(found) if *found == expected.as_bytes() => position += 1,
                Some(found) => {
                    return Err(HeaderProblem::of_other(names).unwrap_or(HeaderProblem::Differs {
                        column: position + 1,
                        expected,
                        found: shown(found),
                    }));
                }
                None => return Err(HeaderProblem::Ends { column: position + 1, expected }),
            }
        }
        if let Some(found) = names.get(position) {
            return Err(HeaderProblem::GoesOn { column: position + 1, found: shown(found) });
        }
        let positions = std::array::from_fn(|column| column);
        Ok(Self { positions, columns: COLUMNS, may_trail: false })
    }

    /// The layout of a file whose header has `wanted` somewhere, each once.
    pub(super) fn named(
        names: &Names<'_>,
        wanted: [&'static str; COLUMNS],
    ) -> Result<Self, HeaderProblem> {
        let mut positions = [0; COLUMNS];
        for (position, name) in positions.iter_mut().zip(wanted) {
            let mut found = (0..names.len()).filter(|column| names[*column] == name.as_bytes());
            *position = found.next().ok_or(HeaderProblem::Lacks { name })?;
            if let Some(second) = found.next() {
                return Err(HeaderProblem::Repeats { name, column: second + 1 });
            }
        }
        // A comma at the end of the header makes a last column without a name.
        let trails = names.last().is_some_and(|name| name.is_empty());
        Ok(Self { positions, columns: names.len() - usize::from(trails), may_trail: true })
    }

    /// Whether a row with `found` columns has this layout. If it is the length of a row with a
    /// comma at its end, `ends_empty` is asked whether the last column is empty.
    #[inline]
    pub(super) fn fits(&self, found: usize, ends_empty: impl FnOnce() -> bool) -> bool {
        found == self.columns || (self.may_trail && found == self.columns + 1 && ends_empty())
    }
}

/// Why a header isn't one that a load understands. Columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderProblem {
    /// There is no header: the file is empty or has only blank lines.
    Absent {
        /// The columns that are needed.
        expected: &'static str,
    },
    /// A column has another name; those before it are right.
    Differs {
        /// The column.
        column: usize,
        /// Its name.
        expected: &'static str,
        /// The text in its place.
        found: String,
    },
    /// A column is missing at the end; those before it are right.
    Ends {
        /// The column.
        column: usize,
        /// Its name.
        expected: &'static str,
    },
    /// There are more columns than there should be; those before it are right.
    GoesOn {
        /// The first that is too many.
        column: usize,
        /// Its text.
        found: String,
    },
    /// Something other than commas is between the columns.
    Separator {
        /// The separator that it seems to be.
        found: char,
    },
    /// The columns may stand anywhere, but this one is nowhere.
    Lacks {
        /// Its name.
        name: &'static str,
    },
    /// The columns may stand anywhere, but this one stands twice.
    Repeats {
        /// Its name.
        name: &'static str,
        /// Where it stands the second time.
        column: usize,
    },
}

impl HeaderProblem {
    /// The problem of a header that is one column, in which other marks stand for commas.
    fn of_other(names: &Names<'_>) -> Option<Self> {
        let [only] = names[..] else { return None };
        let found = OTHER_SEPARATORS.into_iter().find(|separator| only.contains(separator))?;
        Some(Self::Separator { found: char::from(found) })
    }
}

impl fmt::Display for HeaderProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { expected } => write!(formatter, "there is none, expected `{expected}`"),
            Self::Differs { column, expected, found } => {
                write!(formatter, "column {column} is `{found}`, expected `{expected}`")
            }
            Self::Ends { column, expected } => {
                write!(formatter, "column {column} is missing, expected `{expected}`")
            }
            Self::GoesOn { column, found } => {
                write!(formatter, "column {column} is `{found}`, expected no more columns")
            }
            Self::Separator { found } => {
                let found = found.escape_default();
                write!(formatter, "columns are separated by `{found}`, expected commas")
            }
            Self::Lacks { name } => write!(formatter, "no column is `{name}`"),
            Self::Repeats { name, column } => {
                write!(formatter, "column {column} is a second `{name}`")
            }
        }
    }
}

/// The name of a column for messages.
fn shown(name: &[u8]) -> String {
    let shortened = &name[..name.len().min(NAME_BYTES_MAX)];
    let end = if shortened.len() < name.len() { "…" } else { "" };
    format!("{}{end}", show_bytes(shortened))
}
