//! Why a type can't be registered.

use std::fmt;

use convoy_pool::CHUNK_ALIGN;

use crate::storage::component_id::COMPONENTS_MAX;

/// Why a type can't be registered.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RegisterError {
    /// The world knows as many types as a mask has bits.
    TooManyTypes {
        /// The type that found no place.
        component: &'static str,
    },
    /// The type wants a stricter alignment than chunks have.
    Alignment {
        /// The type at fault.
        component: &'static str,
        /// Its alignment in bytes.
        align: usize,
    },
    /// One value is larger than the largest chunk.
    TooLarge {
        /// The type at fault.
        component: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The size of the largest chunk in bytes.
        limit_bytes: usize,
    },
    /// A component was described without bytes. Only types can be tags.
    ZeroSize {
        /// The component at fault.
        component: &'static str,
    },
    /// A component was described with an alignment that is not a power of two.
    NotPowerOfTwo {
        /// The component at fault.
        component: &'static str,
        /// The alignment of the description.
        align: usize,
    },
    /// A component was described with a size that is not a multiple of its alignment.
    Stride {
        /// The component at fault.
        component: &'static str,
        /// The size of the description in bytes.
        bytes: usize,
        /// The alignment of the description in bytes.
        align: usize,
    },
    /// The component can't become a toggle, because entities may have it already.
    InUse {
        /// The component at fault.
        component: &'static str,
    },
    /// The component can't become a toggle, because only the engine writes it.
    EngineOwned {
        /// The component at fault.
        component: &'static str,
    },
    /// The world knows a component of this name with another size or alignment.
    Shape {
        /// The name that stands for two shapes.
        component: &'static str,
    },
    /// Two types of another world would be one here, as names stand for other types there.
    Names {
        /// The name of the second one there.
        component: &'static str,
    },
    /// The component was described, and entities have bytes of it that are no value of the type.
    Values {
        /// The component at fault.
        component: &'static str,
    },
}

impl fmt::Display for RegisterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyTypes { component } => write!(
                formatter,
                "{component} can't be registered: a world holds at most {COMPONENTS_MAX} types"
            ),
            Self::Alignment { component, align } => write!(
                formatter,
                "{component} wants an alignment of {align} bytes, chunks have {CHUNK_ALIGN}"
            ),
            Self::TooLarge { component, bytes, limit_bytes } => write!(
                formatter,
                "{component} has {bytes} bytes, and a chunk at most {limit_bytes}: a value lies in \
                 one chunk"
            ),
            Self::ZeroSize { component } => write!(
                formatter,
                "{component} is described without bytes: only a type can be a tag"
            ),
            Self::NotPowerOfTwo { component, align } => write!(
                formatter,
                "{component} is described with an alignment of {align}, not a power of two"
            ),
            Self::Stride { component, bytes, align } => write!(
                formatter,
                "{component} is described with {bytes} bytes, not a multiple of its alignment {align}"
            ),
            Self::InUse { component } => write!(
                formatter,
                "{component} can't become a toggle: an archetype with it exists already, so \
                 register it before the first entity has it"
            ),
            Self::EngineOwned { component } => {
                write!(formatter, "{component} can't become a toggle: the engine alone writes it")
            }
            Self::Shape { component } => write!(
                formatter,
                "a component {component} of another size or alignment is registered already"
            ),
            Self::Names { component } => write!(
                formatter,
                "{component} and another type of the source would be one component here: the two \
                 worlds call different types by one name"
            ),
            Self::Values { component } => write!(
                formatter,
                "{component} was described by its bytes, and some that entities have are no value of \
                 the type"
            ),
        }
    }
}

impl std::error::Error for RegisterError {}
