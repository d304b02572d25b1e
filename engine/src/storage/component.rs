//! The component registry: which types a world knows, under which ids, with which chunk shape.

use std::any::{TypeId, type_name};
use std::fmt;

use bytemuck::Pod;
use convoy_pool::{CHUNK_ALIGN, SizeClass};

use super::component_id::{COMPONENTS_MAX, ComponentId};
use super::entity::Entity;
use super::mask::ComponentMask;
use super::type_map::TypeMap;

/// What can be a component, and an event: any plain old data that may cross threads.
///
/// Implemented for every such type; there is nothing to derive but `bytemuck::Pod`.
pub trait Component: Pod + Send + Sync {}

impl<T: Pod + Send + Sync> Component for T {}

/// What a registered type is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Component,
    Event,
}

/// The shape of a registered type and of its chunks.
#[derive(Clone, Debug)]
pub struct ComponentInfo {
    name: &'static str,
    size: usize,
    type_id: TypeId,
    kind: Kind,
    rows_log2: u8,
}

impl ComponentInfo {
    /// The type's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Bytes of one value.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Rows in one full chunk, a power of two: the granularity of copy-on-write.
    pub fn chunk_rows(&self) -> usize {
        1 << self.rows_log2
    }

    pub(crate) fn rows_log2(&self) -> u8 {
        self.rows_log2
    }

    /// The shape of a column that no component id stands for.
    pub(crate) fn unregistered<T: Component>(shape: ChunkShape) -> Self {
        Self {
            name: type_name::<T>(),
            size: size_of::<T>(),
            type_id: TypeId::of::<T>(),
            kind: Kind::Component,
            rows_log2: shape.rows_log2(size_of::<T>()),
        }
    }
}

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
            Self::TooLarge { component, bytes } => {
                write!(formatter, "{component} has {bytes} bytes, more than the largest chunk")
            }
        }
    }
}

impl std::error::Error for RegisterError {}

/// The shape of chunks: how many bytes and rows one may have at the most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChunkShape {
    pub(crate) bytes_max: usize,
    pub(crate) rows_max: usize,
}

impl ChunkShape {
    /// log2 of the rows of a full chunk: the largest power of two of rows that fits, or one row.
    fn rows_log2(self, size: usize) -> u8 {
        let rows = (self.bytes_max / size.max(1)).clamp(1, self.rows_max.max(1));
        rows.ilog2() as u8
    }
}

/// All types that a world knows, in the order of their registration.
#[derive(Clone)]
pub struct Registry {
    shape: ChunkShape,
    infos: Vec<ComponentInfo>,
    components: TypeMap<ComponentId>,
    events: TypeMap<ComponentId>,
}

impl Registry {
    pub(crate) fn new(shape: ChunkShape) -> Self {
        let mut registry = Self {
            shape,
            infos: Vec::new(),
            components: TypeMap::default(),
            events: TypeMap::default(),
        };
        let entity = registry.register::<Entity>(Kind::Component);
        assert_eq!(entity, Ok(ComponentId::ENTITY), "the entity column comes first");
        registry
    }

    /// The id of `T`, if it is registered.
    #[inline]
    pub(crate) fn id_of<T: Component>(&self, kind: Kind) -> Option<ComponentId> {
        self.map(kind).get(&TypeId::of::<T>()).copied()
    }

    /// The id of `T`, registered now if it is new.
    pub(crate) fn register<T: Component>(
        &mut self,
        kind: Kind,
    ) -> Result<ComponentId, RegisterError> {
        if let Some(id) = self.id_of::<T>(kind) {
            return Ok(id);
        }
        let component = type_name::<T>();
        if self.infos.len() == COMPONENTS_MAX {
            return Err(RegisterError::TooManyTypes { component });
        }
        if align_of::<T>() > CHUNK_ALIGN {
            return Err(RegisterError::Alignment { component, align: align_of::<T>() });
        }
        let size = size_of::<T>();
        if SizeClass::for_bytes(size).is_err() {
            return Err(RegisterError::TooLarge { component, bytes: size });
        }
        let id = ComponentId::new(self.infos.len());
        let rows_log2 = self.shape.rows_log2(size);
        let type_id = TypeId::of::<T>();
        self.infos.push(ComponentInfo { name: component, size, type_id, kind, rows_log2 });
        match kind {
            Kind::Component => self.components.insert(type_id, id),
            Kind::Event => self.events.insert(type_id, id),
        };
        Ok(id)
    }

    /// The shape of all chunks.
    pub(crate) fn shape(&self) -> ChunkShape {
        self.shape
    }

    pub(crate) fn info(&self, id: ComponentId) -> &ComponentInfo {
        &self.infos[id.index()]
    }

    /// All ids that are registered.
    pub(crate) fn ids(&self) -> ComponentMask {
        (0..self.infos.len()).map(ComponentId::new).collect()
    }

    /// The ids of event types, in the order of their registration.
    pub(crate) fn events(&self) -> impl Iterator<Item = ComponentId> {
        let ids = (0..self.infos.len()).map(ComponentId::new);
        ids.filter(|id| self.info(*id).kind == Kind::Event)
    }

    /// Whether `self` knows the same types under the same ids as the first ones of `other`.
    pub(crate) fn is_prefix_of(&self, other: &Self) -> bool {
        self.shape == other.shape
            && self.infos.len() <= other.infos.len()
            && self
                .infos
                .iter()
                .zip(&other.infos)
                .all(|(mine, theirs)| mine.type_id == theirs.type_id && mine.kind == theirs.kind)
    }

    fn map(&self, kind: Kind) -> &TypeMap<ComponentId> {
        match kind {
            Kind::Component => &self.components,
            Kind::Event => &self.events,
        }
    }
}
