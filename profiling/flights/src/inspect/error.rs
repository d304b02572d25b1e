//! [`InspectError`]: why a file can't be shown or exported.

use std::error::Error;
use std::path::PathBuf;
use std::{fmt, io};

use convoy_engine::Entity;
use convoy_engine::checkpoint::{CheckpointError, TypeKind};

/// Why a file can't be shown or exported. The message is one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum InspectError {
    /// The checkpoint can't be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: CheckpointError,
    },
    /// The contents can't be printed.
    Print(io::Error),
    /// The name of the file to export to ends in neither `.csv` nor `.npy`.
    Ending {
        /// The file.
        path: PathBuf,
    },
    /// The file to export to is the checkpoint.
    Same {
        /// The file.
        path: PathBuf,
    },
    /// The checkpoint has no component of the name.
    Unknown {
        /// The name.
        component: String,
    },
    /// The name is that of another type than a component.
    NotComponent {
        /// The name.
        name: String,
        /// Its kind.
        kind: TypeKind,
    },
    /// The component is a list, whose elements are no columns.
    List {
        /// The name.
        component: String,
    },
    /// A value would have more columns than a line of text can have.
    Columns {
        /// The name.
        component: String,
        /// How many it would have.
        columns: usize,
        /// The most that it can have.
        columns_max: usize,
    },
    /// The bytes of a value are none of its layout.
    Value {
        /// The component.
        component: String,
        /// The entity that has it.
        entity: Entity,
    },
    /// The export can't be written.
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

impl fmt::Display for InspectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => write!(formatter, "{}: {error}", path.display()),
            Self::Print(error) => write!(formatter, "the contents can't be printed: {error}"),
            Self::Ending { path } => write!(
                formatter,
                "{}: the name of an export ends in `.csv` or `.npy`",
                path.display()
            ),
            Self::Same { path } => {
                write!(formatter, "{} can't be the export: it is the checkpoint", path.display())
            }
            Self::Unknown { component } => write!(
                formatter,
                "the checkpoint has no component {component:?}: see all without `--export`"
            ),
            Self::NotComponent { name, kind } => {
                write!(formatter, "{name:?} is of kind {kind}: only components can be exported")
            }
            Self::List { component } => {
                write!(formatter, "{component:?} is a list: lists can't be exported")
            }
            Self::Columns { component, columns, columns_max } => write!(
                formatter,
                "{component:?} would have {columns} columns of at most {columns_max}: export it as `.npy`"
            ),
            Self::Value { component, entity } => write!(
                formatter,
                "the bytes of {component:?} of entity {entity:?} are no value of its layout"
            ),
            Self::Write { path, error } => {
                write!(formatter, "{} can't be written: {error}", path.display())
            }
        }
    }
}

impl Error for InspectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { error, .. } => Some(error),
            Self::Print(error) | Self::Write { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Why rows are not written.
pub(super) enum RowError {
    /// A value is none of its layout.
    Value(InspectError),
    /// The file can't be written.
    Io(io::Error),
}

impl From<io::Error> for RowError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
