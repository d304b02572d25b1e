//! [`TypeName`]: names types of a file, of one kind or of all.

use std::fmt;

use crate::storage::component::Kind;

/// The use of a type in a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TypeKind {
    /// A component, or lists.
    Component,
    /// An event.
    Event,
    /// A resource.
    Resource,
    /// Which rows have a component switched off.
    Toggle,
}

impl TypeKind {
    pub(super) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Component => Self::Component,
            Kind::Event => Self::Event,
            Kind::Resource => Self::Resource,
            Kind::Toggle => Self::Toggle,
        }
    }
}

impl fmt::Display for TypeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Component => "component",
            Self::Event => "event",
            Self::Resource => "resource",
            Self::Toggle => "toggle",
        })
    }
}

/// The types of one name: a component, an event and a resource may share it. A `&str` stands for all of them.
///
/// ```
/// use convoy_engine::checkpoint::{ReadPlan, TypeName};
///
/// let plan = ReadPlan::new().drop_type("debug marks").drop_type(TypeName::event("mode changed"));
/// # let plan = plan.drop_type(TypeName::component("mode")).drop_type(TypeName::resource("mode"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypeName {
    kind: Option<Kind>,
    name: String,
}

impl TypeName {
    /// The component of a name, or the lists.
    pub fn component(name: &str) -> Self {
        Self { kind: Some(Kind::Component), name: name.to_owned() }
    }

    /// The event of a name.
    pub fn event(name: &str) -> Self {
        Self { kind: Some(Kind::Event), name: name.to_owned() }
    }

    /// The resource of a name.
    pub fn resource(name: &str) -> Self {
        Self { kind: Some(Kind::Resource), name: name.to_owned() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The kinds that it stands for.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> + use<> {
        let kind = self.kind;
        let all = [Kind::Component, Kind::Event, Kind::Resource];
        all.into_iter().filter(move |each| kind.is_none_or(|kind| kind == *each))
    }

    /// Whether it stands for the type of this kind and name.
    pub(super) fn is(&self, kind: Kind, name: &str) -> bool {
        self.name == name && self.kinds().any(|each| each == kind)
    }

    /// Whether a type may have both names.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.kinds().any(|kind| other.is(kind, &self.name))
    }
}

impl From<&str> for TypeName {
    fn from(name: &str) -> Self {
        Self { kind: None, name: name.to_owned() }
    }
}
