//! [`ReadReport`]: the fate of each type of a file.

use std::fmt;

use super::type_name::TypeKind;

/// The decision about a type of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TypeDecision {
    /// The schema has it as the file does.
    Kept,
    /// The schema lacks it: a described component has its bytes.
    KeptBytes,
    /// Its values were made of those of the file.
    Migrated {
        /// The version in the file.
        from: u32,
        /// The version in the schema.
        to: u32,
    },
    /// Nothing of it was read.
    Dropped,
}

/// The fate of a type of a file, and how much of it the file has.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TypeReport {
    /// Its kind.
    pub kind: TypeKind,
    /// Its name in the file.
    pub name: String,
    /// Its name in the world, where that is another one: by an alias, or of a link of the hierarchy.
    pub renamed: Option<&'static str>,
    /// Its version in the file.
    pub version: u32,
    /// The decision.
    pub decision: TypeDecision,
    /// Entities that have it in the file, records of an event, or 1 for the value of a resource.
    pub rows: u64,
    /// Bytes of these rows in the file; of lists, with the blocks of their elements.
    pub bytes: u64,
}

/// The fate of each type of a file that was read: every decision, so that nothing is lost unnoticed.
///
/// `{}` prints a line for each type. [`ReadPlan`](super::ReadPlan) has an example.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReadReport {
    pub(super) types: Vec<TypeReport>,
    pub(super) merged: usize,
}

impl ReadReport {
    /// All types of the file, in its order, without the handles of entities.
    pub fn types(&self) -> &[TypeReport] {
        &self.types
    }

    /// The types that were dropped.
    pub fn dropped(&self) -> impl Iterator<Item = &TypeReport> {
        self.types.iter().filter(|each| each.decision == TypeDecision::Dropped)
    }

    /// Whether rows of the file were dropped: rows of a component, records of an event, or the value of a resource.
    pub fn has_losses(&self) -> bool {
        self.dropped().any(|each| each.rows > 0)
    }

    /// Archetypes of the file that became part of others, as they differ by dropped types only.
    pub fn merged_archetypes(&self) -> usize {
        self.merged
    }
}

impl fmt::Display for TypeReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, renamed, decision, rows, bytes, .. } = self;
        write!(formatter, "{kind} {name:?}")?;
        if let Some(renamed) = renamed {
            write!(formatter, " as {renamed:?}")?;
        }
        match decision {
            TypeDecision::Kept => formatter.write_str(": kept")?,
            TypeDecision::KeptBytes => formatter.write_str(": kept by its bytes")?,
            TypeDecision::Migrated { from, to } => {
                write!(formatter, ": migrated from version {from} to {to}")?;
            }
            TypeDecision::Dropped => formatter.write_str(": dropped")?,
        }
        let ending = |count: u64| if count == 1 { "" } else { "s" };
        write!(formatter, ", {rows} row{}, {bytes} byte{}", ending(*rows), ending(*bytes))
    }
}

impl fmt::Display for ReadReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.types.iter().try_for_each(|each| writeln!(formatter, "{each}"))?;
        match self.merged {
            0 => Ok(()),
            1 => writeln!(formatter, "1 archetype became part of another"),
            merged => writeln!(formatter, "{merged} archetypes became part of others"),
        }
    }
}
