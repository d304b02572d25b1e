//! [`PlanError`]: why no file can be read with a plan.

use std::fmt;

/// Why no file can be read with a [`ReadPlan`](super::ReadPlan). Found before any row is read.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PlanError {
    /// Two migrations are for one name and version, or two aliases for one name.
    Repeated {
        /// The name.
        name: String,
    },
    /// A type is both dropped and renamed.
    Conflict {
        /// The name in the file.
        name: String,
    },
    /// An alias or a migration is for a name that the schema lacks.
    UnknownName {
        /// The name.
        name: String,
    },
    /// The type is the engine's own: [`Entity`](crate::Entity), which no plan can touch, or a link of the hierarchy,
    /// which can be dropped and nothing else.
    Reserved {
        /// The name.
        name: String,
    },
    /// One link of the hierarchy would be dropped, and the other one stay.
    Partner {
        /// The name of the dropped one in the file.
        name: String,
        /// The name of the other one in the file.
        partner: String,
    },
    /// A migration makes values of another type than the schema has under the name.
    MigrationType {
        /// The name.
        name: String,
        /// The type that the migration makes.
        made: &'static str,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeated { name } => {
                write!(formatter, "two migrations of one version, or two aliases, are for {name:?}")
            }
            Self::Conflict { name } => write!(formatter, "{name:?} is both dropped and renamed"),
            Self::UnknownName { name } => {
                write!(formatter, "an alias or a migration is for {name:?}, which the schema lacks")
            }
            Self::Reserved { name } => write!(formatter, "{name:?} is the engine's own type"),
            Self::Partner { name, partner } => write!(
                formatter,
                "{name:?} is dropped, and its counterpart {partner:?} is not: links of the hierarchy go together"
            ),
            Self::MigrationType { name, made } => {
                write!(
                    formatter,
                    "a migration makes {made} of {name:?}, which the schema has as another type"
                )
            }
        }
    }
}

impl std::error::Error for PlanError {}
