//! [`CheckpointError`]: why a checkpoint was not written, or not read.

use std::error::Error;
use std::{fmt, io};

use convoy_pool::MemoryError;

use crate::storage::encoding::Part;
use crate::storage::{RegisterError, TextError};

use super::plan_error::PlanError;

/// Why a checkpoint was not written, or not read. A world that was to be saved is never touched, and what the file had
/// before stays readable.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is no room left on the disk, or for more of this user on it.
    DiskFull(io::Error),
    /// The system permits no access to the file.
    Denied(io::Error),
    /// There is a file of this name already: open it, or choose another name.
    Exists(io::Error),
    /// Another operation on the file failed.
    Io(io::Error),
    /// Another [`Checkpoint`](super::Checkpoint) writes to the file, in this process or in another.
    Locked,
    /// The file was moved or removed since it was opened, so that a compacted one can't take its place.
    Moved,
    /// A write or a flush failed earlier, after which nobody knows what the disk holds: go on in a new file.
    Broken,
    /// The machine stores numbers with the highest byte first; files have the lowest first.
    BigEndian,
    /// The file begins as no checkpoint does.
    NotCheckpoint,
    /// The file is of a version of the format that this one does not read.
    Version {
        /// The version.
        found: u32,
    },
    /// No checkpoint was completed in the file; or its first one was, and both copies of that header are lost.
    Empty,
    /// Bytes of the file are not those that were written, or are missing.
    Damaged {
        /// The part of the file at fault.
        part: CheckpointPart,
        /// Where the part begins in the file.
        at: u64,
    },
    /// The bytes say what no world can be, though nothing has damaged them.
    Malformed {
        /// The part of the file at fault.
        part: CheckpointPart,
    },
    /// The view can't read a type that its world knew: capture with
    /// [`ComponentMask::ALL`](crate::ComponentMask::ALL) what is saved.
    NotCaptured {
        /// The first type that is missing.
        component: &'static str,
    },
    /// The file has a type that the world's schema lacks, and that is not to be kept by its bytes or has none that can
    /// be: events, resources, lists, and components without bytes.
    UnknownType {
        /// The name of the type in the file.
        component: String,
    },
    /// A type has another version, size, alignment or layout in the file than in the world's schema.
    DifferentType {
        /// The name of the type.
        component: String,
        /// The difference.
        difference: TypeDifference,
    },
    /// No file can be read with the plan.
    Plan(PlanError),
    /// A value or an element of a type has other bytes in the file than the migration from its version takes.
    MigrationSize {
        /// The name of the type in the file.
        component: String,
        /// Bytes in the file.
        file: usize,
        /// Bytes that the migration takes.
        migration: usize,
    },
    /// A migration has refused a value, or made more of a list than one can have.
    Migration {
        /// The type in the schema.
        component: &'static str,
        /// The reason.
        error: Box<dyn Error + Send + Sync>,
    },
    /// The types of the file can't be registered.
    Register(RegisterError),
    /// Bytes are no value of the type, as not all are.
    Value {
        /// The type.
        component: &'static str,
    },
    /// A text can't be kept.
    Text(TextError),
    /// No memory for the rows.
    Memory(MemoryError),
    /// The callback asked for an end. Nothing was committed.
    Cancelled,
}

/// The difference of a type of a file and the type of that name in a schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TypeDifference {
    /// The version.
    Version {
        /// The version in the file.
        file: u32,
        /// The version in the schema.
        schema: u32,
    },
    /// The bytes of a value, or of an element of a list.
    Size {
        /// Bytes in the file.
        file: usize,
        /// Bytes in the schema.
        schema: usize,
    },
    /// The alignment of a value, or of an element of a list.
    Align {
        /// The alignment in the file.
        file: usize,
        /// The alignment in the schema.
        schema: usize,
    },
    /// The fields: their names, places or types.
    Layout,
    /// Values are lists in one of the two only.
    List,
    /// The component can be switched off in one of the two only.
    Toggle,
    /// Two types of the file have this name.
    Name,
}

/// The parts of a checkpoint file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CheckpointPart {
    /// The headers, which say where the last checkpoint is.
    Header,
    /// The manifest, which says what the blocks are.
    Manifest,
    /// A block, of any column or of texts.
    Block,
    /// The types in it.
    Types,
    /// The archetypes in it.
    Archetypes,
    /// The entity index.
    Index,
    /// The rows of tables.
    Tables,
    /// The elements of lists.
    Lists,
    /// The links of the hierarchy.
    Hierarchy,
    /// Event logs.
    Events,
    /// Resources.
    Resources,
    /// The contents of texts.
    Texts,
}

impl Part for CheckpointPart {
    type Error = CheckpointError;

    fn malformed(self) -> CheckpointError {
        CheckpointError::Malformed { part: self }
    }
}

impl fmt::Display for CheckpointPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Header => "header",
            Self::Manifest => "manifest",
            Self::Block => "block",
            Self::Types => "types",
            Self::Archetypes => "archetypes",
            Self::Index => "entity index",
            Self::Tables => "tables",
            Self::Lists => "lists",
            Self::Hierarchy => "hierarchy",
            Self::Events => "events",
            Self::Resources => "resources",
            Self::Texts => "texts",
        })
    }
}

impl fmt::Display for TypeDifference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { file, schema } => {
                write!(formatter, "version {file} in the file and {schema} in the schema")
            }
            Self::Size { file, schema } => {
                write!(formatter, "{file} bytes in the file and {schema} in the schema")
            }
            Self::Align { file, schema } => {
                write!(formatter, "alignment {file} in the file and {schema} in the schema")
            }
            Self::Layout => formatter.write_str("other fields in the file than in the schema"),
            Self::List => formatter.write_str("lists in either the file or the schema only"),
            Self::Toggle => formatter.write_str("a toggle in either the file or the schema only"),
            Self::Name => formatter.write_str("its name twice in the file"),
        }
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DiskFull(error) => write!(formatter, "no room on the disk: {error}"),
            Self::Denied(error) => write!(formatter, "no access to the file: {error}"),
            Self::Exists(error) => write!(
                formatter,
                "the file is there already ({error}): open it to go on with it, or remove it"
            ),
            Self::Io(error) => write!(formatter, "the file could not be used: {error}"),
            Self::Locked => formatter.write_str("another writer has the file open"),
            Self::Moved => formatter.write_str("the file was moved or removed since it was opened"),
            Self::Broken => formatter.write_str(
                "an earlier write or flush failed, and nobody knows what the disk holds: go on in a new file",
            ),
            Self::BigEndian => {
                formatter.write_str("files are little-endian, and this machine is not")
            }
            Self::NotCheckpoint => formatter.write_str("the file is no checkpoint"),
            Self::Version { found } => {
                write!(formatter, "the checkpoint is of version {found} of the format")
            }
            Self::Empty => formatter.write_str("no checkpoint was completed in the file"),
            Self::Damaged { part, at } => {
                write!(formatter, "the file is damaged at byte {at}, in the {part}")
            }
            Self::Malformed { part } => {
                write!(formatter, "the {part} of the checkpoint are of no world")
            }
            Self::NotCaptured { component } => write!(
                formatter,
                "the view can't read {component}: save views that were captured with \
                 `ComponentMask::ALL`"
            ),
            Self::UnknownType { component } => write!(
                formatter,
                "the file has {component}, which the schema lacks: add the type to it, or drop it by a `ReadPlan`"
            ),
            Self::DifferentType { component, difference } => {
                write!(formatter, "{component} has {difference}")
            }
            Self::Plan(error) => error.fmt(formatter),
            Self::MigrationSize { component, file, migration } => write!(
                formatter,
                "{component} has {file} bytes in the file, and its migration takes {migration}"
            ),
            Self::Migration { component, error } => {
                write!(formatter, "no value of {component} can be made: {error}")
            }
            Self::Register(error) => error.fmt(formatter),
            Self::Value { component } => {
                write!(formatter, "some bytes of the checkpoint are no value of {component}")
            }
            Self::Text(error) => error.fmt(formatter),
            Self::Memory(error) => error.fmt(formatter),
            Self::Cancelled => formatter.write_str("the checkpoint was cancelled"),
        }
    }
}

impl Error for CheckpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::DiskFull(error) | Self::Denied(error) | Self::Exists(error) | Self::Io(error) => {
                Some(error)
            }
            Self::Plan(error) => Some(error),
            Self::Migration { error, .. } => Some(&**error),
            Self::Register(error) => Some(error),
            Self::Text(error) => Some(error),
            Self::Memory(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for CheckpointError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Self::DiskFull(error),
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::Denied(error),
            Kind::AlreadyExists => Self::Exists(error),
            _ => Self::Io(error),
        }
    }
}

impl From<MemoryError> for CheckpointError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl From<RegisterError> for CheckpointError {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

impl From<PlanError> for CheckpointError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}
