//! The component registry: which types a world knows, under which ids, with which chunk shape.

use std::any::TypeId;
use std::fmt;

use bytemuck::Pod;
use convoy_pool::{CHUNK_ALIGN, SizeClass};

use super::component_id::{COMPONENTS_MAX, ComponentId};
use super::entity::Entity;
use super::hash::{hash_bytes, join};
use super::links::engine_owns;
use super::mask::ComponentMask;
use super::names::{intern, name_of};
use super::stamp::Stamp;

use super::type_map::{NearIds, TypeMap};

pub(crate) mod adopt;
mod forget;

/// What can be a component, an event or a resource: any plain old data that may cross threads.
///
/// Implemented for every such type; there is nothing to derive but `bytemuck::Pod`, which asks for
/// `Copy` and for a layout without padding. Numbers, arrays and [`Entity`](crate::Entity) are
/// components, and so is a struct of them:
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use convoy_engine::{Entity, World};
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[repr(C)]
/// struct Turret {
///     target: Entity,
///     angle: f32,
///     rounds: u32,
/// }
///
/// let mut world = World::new();
/// world.spawn((Turret { target: Entity::default(), angle: 0.5, rounds: 20 },));
/// ```
///
/// The engine copies, compares, hashes and restores components as bytes. So a `String`, a `Vec`, a
/// `Box` or a reference is none, as its bytes only point to its value, and neither are `bool`,
/// `char` and enums, of which not all bytes are values. Instead of
///
/// * a text: its bytes in an array, or a number that stands for it in a list of your own,
/// * a `bool`: a tag, which is a component without fields, a toggle
///   ([`World::register_toggle`](crate::World::register_toggle)), or a `u8`,
/// * an enum: a number in a struct, with methods that turn it into the enum and back,
/// * an array of a length that `bytemuck` does not know, as it does up to 32 and of some powers of
///   two: the same with its feature `min_const_generics`, or several arrays,
/// * an `Option<Entity>`: an `Entity`, where `Entity::default()` stands for none,
/// * a type that is no plain data at all: a local resource
///   ([`World::insert_local`](crate::World::insert_local)), which no snapshot captures.
///
/// ```compile_fail,E0277
/// # use convoy_engine::World;
/// let mut world = World::new();
/// world.spawn((String::from("Aurora"),)); // "`String` can't be a component, an event or ..."
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a component, an event or a resource",
    label = "not plain old data",
    note = "a component is plain old data: `#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]` \
            and `#[repr(C)]` make one of a struct of numbers, arrays and `Entity`",
    note = "the page of `convoy_engine::Component` says what stands for strings, lists, `bool`, enums \
            and long arrays"
)]
pub trait Component: Pod + Send + Sync {}

#[diagnostic::do_not_recommend]
impl<T: Pod + Send + Sync> Component for T {}

/// What a registered type is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Component,
    Event,
    Resource,
    /// Which rows have a component switched off: a column that comes and goes with it.
    Toggle,
}

/// The value of a toggle where its component is switched on.
pub(crate) const ENABLED: u8 = 0;
/// The value of a toggle where its component is switched off.
pub(crate) const DISABLED: u8 = 1;

/// A component that no Rust type stands for, or one that is not known at compile time: what
/// [`World::register_described`](crate::World::register_described) takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ComponentDescription<'a> {
    /// The name, unique among the components of a world.
    pub name: &'a str,
    /// Bytes of one value: a multiple of `align`, and more than zero.
    pub size: usize,
    /// The alignment of a value in bytes, a power of two no larger than a chunk's.
    pub align: usize,
}

/// The shape of a registered type and of its chunks.
#[derive(Clone, Debug)]
pub struct ComponentInfo {
    name: &'static str,
    size: usize,
    align: usize,
    /// `None` for a described component until a type of its name and shape is registered.
    type_id: Option<TypeId>,
    kind: Kind,
    /// The column that tells which rows have the component switched off, if it can be.
    toggle: Option<ComponentId>,
    rows_log2: u8,
    /// What stands for the type in the hash of a state, in every world: it follows from the name and
    /// the shape, and for types that share both, from which one was registered first.
    key: u64,
}

impl ComponentInfo {
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// The type's name, or the one it was described by.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Bytes of one value.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The alignment of a value in bytes.
    pub fn align(&self) -> usize {
        self.align
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the component is known by its description only, and by no type.
    pub fn is_described(&self) -> bool {
        self.type_id.is_none()
    }

    pub(crate) fn toggle(&self) -> Option<ComponentId> {
        self.toggle
    }

    /// Rows in one full chunk, a power of two: the granularity of copy-on-write.
    pub fn chunk_rows(&self) -> usize {
        1 << self.rows_log2
    }

    pub(crate) fn rows_log2(&self) -> u8 {
        self.rows_log2
    }

    /// Whether `other` is the same component, and known by type where this one is.
    fn is_part_of(&self, other: &Self) -> bool {
        let same_type = match self.type_id {
            Some(_) => self.type_id == other.type_id,
            None => self.name == other.name,
        };
        // Archetypes tell apart what holds the component with its toggle and what without.
        let same_toggle = self.toggle.is_none() || self.toggle == other.toggle;
        let same_type = same_type && same_toggle;
        same_type && (self.kind, self.size, self.align) == (other.kind, other.size, other.align)
    }

    /// Whether only the engine writes values of this component.
    pub(crate) fn is_engine_owned(&self) -> bool {
        self.kind == Kind::Component && self.type_id.is_some_and(engine_owns)
    }

    /// The shape of a column that no component id stands for.
    pub(crate) fn unregistered<T: Component>(shape: ChunkShape) -> Self {
        Self {
            name: name_of::<T>(),
            size: size_of::<T>(),
            align: align_of::<T>(),
            type_id: Some(TypeId::of::<T>()),
            kind: Kind::Component,
            toggle: None,
            rows_log2: shape.rows_log2(size_of::<T>()),
            key: 0,
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
        let bytes_max = self.bytes_max.min(SizeClass::MAX.bytes());
        let rows = (bytes_max / size.max(1)).clamp(1, self.rows_max.max(1));
        rows.ilog2() as u8
    }
}

/// All types that a world knows, in the order of their registration.
#[derive(Clone)]
pub struct Registry {
    shape: ChunkShape,
    infos: Vec<ComponentInfo>,
    near: NearIds,
    components: TypeMap<ComponentId>,
    events: TypeMap<ComponentId>,
    resources: TypeMap<ComponentId>,
    stamp: Stamp,
    /// The components that can be switched off, and the columns that tell where they are.
    toggled: ComponentMask,
    toggles: ComponentMask,
    /// Whether there are any: one byte to look at where queries ask for each row.
    has_toggles: bool,
}

impl Registry {
    pub(crate) fn new(shape: ChunkShape) -> Self {
        let mut registry = Self::empty(shape);
        let entity = registry.register::<Entity>(Kind::Component);
        assert_eq!(entity, Ok(ComponentId::ENTITY), "the entity column comes first");
        registry
    }

    /// A registry that lacks even the handles of entities.
    fn empty(shape: ChunkShape) -> Self {
        Self {
            shape,
            infos: Vec::new(),
            near: NearIds::new(),
            components: TypeMap::default(),
            events: TypeMap::default(),
            resources: TypeMap::default(),
            stamp: Stamp::next(),
            toggled: ComponentMask::NONE,
            toggles: ComponentMask::NONE,
            has_toggles: false,
        }
    }

    /// The id of `T`, if it is registered.
    #[inline]
    pub(crate) fn id_of<T: Component>(&self, kind: Kind) -> Option<ComponentId> {
        self.map(kind).get(TypeId::of::<T>()).copied()
    }

    /// The id of the component `T`, if it is registered: [`Registry::id_of`] for look-ups that
    /// count instructions.
    #[inline]
    pub(crate) fn component_of<T: Component>(&self) -> Option<ComponentId> {
        match self.near.get(TypeId::of::<T>()) {
            Some(id) => Some(id),
            None => self.id_of::<T>(Kind::Component),
        }
    }

    /// The id of the component of this type, if one is registered.
    #[inline]
    pub(crate) fn component_by_type(&self, component: TypeId) -> Option<ComponentId> {
        self.components.get(component).copied()
    }

    /// The id of `T`, registered now if it is new.
    pub(crate) fn register<T: Component>(
        &mut self,
        kind: Kind,
    ) -> Result<ComponentId, RegisterError> {
        if let Some(id) = self.id_of::<T>(kind) {
            return Ok(id);
        }
        let shape = (name_of::<T>(), size_of::<T>(), align_of::<T>());
        self.register_shape(TypeId::of::<T>(), shape, kind)
    }

    /// The id of the type `type_id`, registered now if it is new, whose name, size and alignment
    /// are those of `shape`.
    fn register_shape(
        &mut self,
        type_id: TypeId,
        shape: (&'static str, usize, usize),
        kind: Kind,
    ) -> Result<ComponentId, RegisterError> {
        if let Some(&id) = self.map(kind).get(type_id) {
            return Ok(id);
        }
        let described = match kind {
            // Whoever describes a link by its name gets no say in the hierarchy.
            Kind::Component if !engine_owns(type_id) => self.find_described(shape)?,
            _ => None,
        };
        let id = match described {
            Some(id) => {
                self.infos[id.index()].type_id = Some(type_id);
                self.stamp = Stamp::next();
                id
            }
            None => self.add(shape, Some(type_id), kind)?,
        };
        match kind {
            Kind::Component => {
                self.near.insert(type_id, id);
                self.components.insert(type_id, id);
            }
            Kind::Event => self.events.insert(type_id, id),
            Kind::Resource => self.resources.insert(type_id, id),
            Kind::Toggle => unreachable!("no type stands for a toggle"),
        };
        Ok(id)
    }

    /// Makes `T`, which is registered now if it is new, a component that can be switched off.
    /// `in_use` tells whether an archetype has a component.
    pub(crate) fn register_toggle<T: Component>(
        &mut self,
        in_use: impl FnOnce(ComponentId) -> bool,
    ) -> Result<ComponentId, RegisterError> {
        let known = self.id_of::<T>(Kind::Component);
        if known.is_some_and(|id| self.info(id).toggle.is_some()) {
            return Ok(known.expect("it was just looked at"));
        }
        let component = name_of::<T>();
        if engine_owns(TypeId::of::<T>()) {
            return Err(RegisterError::EngineOwned { component });
        }
        if known.is_some_and(in_use) {
            return Err(RegisterError::InUse { component });
        }
        if self.infos.len() + 1 + usize::from(known.is_none()) > COMPONENTS_MAX {
            return Err(RegisterError::TooManyTypes { component });
        }
        let id = self.register::<T>(Kind::Component)?;
        self.add_toggle(id)?;
        Ok(id)
    }

    /// Gives a component that has none a column that tells where it is switched off.
    fn add_toggle(&mut self, id: ComponentId) -> Result<ComponentId, RegisterError> {
        let name = intern(&format!("{} (toggle)", self.info(id).name));
        let toggle = self.add((name, 1, 1), None, Kind::Toggle)?;
        self.infos[id.index()].toggle = Some(toggle);
        self.toggled.insert(id);
        self.toggles.insert(toggle);
        self.has_toggles = true;
        Ok(toggle)
    }

    /// The columns that tell which rows have a component switched off.
    pub(crate) fn toggles(&self) -> &ComponentMask {
        &self.toggles
    }

    /// Whether there are components that can be switched off.
    #[inline]
    pub(crate) fn has_toggles(&self) -> bool {
        self.has_toggles
    }

    /// The mask with the toggles of its components: they are never parted.
    #[inline]
    pub(crate) fn closed(&self, mask: &ComponentMask) -> ComponentMask {
        if self.has_toggles && !mask.is_all() { self.with_toggles(mask) } else { *mask }
    }

    fn with_toggles(&self, mask: &ComponentMask) -> ComponentMask {
        let mut closed = mask.difference(&self.toggles);
        for id in mask.intersection(&self.toggled).iter() {
            closed.insert(self.info(id).toggle.expect("the component has a toggle"));
        }
        closed
    }

    /// The id of a component that is described by name, size and alignment: registered now if it
    /// is new, else the one of this name, which must have the same shape.
    pub(crate) fn register_described(
        &mut self,
        description: &ComponentDescription<'_>,
    ) -> Result<ComponentId, RegisterError> {
        let ComponentDescription { name, size, align } = *description;
        let component = intern(name);
        if size == 0 {
            return Err(RegisterError::ZeroSize { component });
        }
        if !align.is_power_of_two() {
            return Err(RegisterError::NotPowerOfTwo { component, align });
        }
        if !size.is_multiple_of(align) {
            return Err(RegisterError::Stride { component, bytes: size, align });
        }
        let mut known = None;
        for id in self.named(name) {
            let info = self.info(id);
            if (info.size, info.align) == (size, align) {
                return Ok(id);
            }
            known = Some(id);
        }
        match known {
            Some(_) => Err(RegisterError::Shape { component }),
            None => self.add((component, size, align), None, Kind::Component),
        }
    }

    /// The first component of this name. Types may share one; descriptions don't.
    pub(crate) fn id_by_name(&self, name: &str) -> Option<ComponentId> {
        self.named(name).next()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = ComponentId> {
        let ids = (0..self.infos.len()).map(ComponentId::new);
        ids.filter(move |id| {
            let info = self.info(*id);
            info.kind == Kind::Component && info.name == name
        })
    }

    /// The component that was described with the name, size and alignment of a type.
    fn find_described(
        &self,
        (name, size, align): (&'static str, usize, usize),
    ) -> Result<Option<ComponentId>, RegisterError> {
        let described = self.named(name).find(|id| self.info(*id).is_described());
        let Some(id) = described else { return Ok(None) };
        let info = self.info(id);
        if (info.size, info.align) == (size, align) {
            Ok(Some(id))
        } else {
            Err(RegisterError::Shape { component: name })
        }
    }

    /// Adds a shape that is new.
    fn add(
        &mut self,
        (name, size, align): (&'static str, usize, usize),
        type_id: Option<TypeId>,
        kind: Kind,
    ) -> Result<ComponentId, RegisterError> {
        if self.infos.len() == COMPONENTS_MAX {
            return Err(RegisterError::TooManyTypes { component: name });
        }
        if align > CHUNK_ALIGN {
            return Err(RegisterError::Alignment { component: name, align });
        }
        if SizeClass::for_bytes(size).is_err() {
            let limit_bytes = SizeClass::MAX.bytes();
            return Err(RegisterError::TooLarge { component: name, bytes: size, limit_bytes });
        }
        let id = ComponentId::new(self.infos.len());
        let rows_log2 = self.shape.rows_log2(size);
        let toggle = None;
        let key = self.key_of((name, size, align), kind);
        self.infos.push(ComponentInfo { name, size, align, type_id, kind, toggle, rows_log2, key });
        self.stamp = Stamp::next();
        Ok(id)
    }

    fn key_of(&self, (name, size, align): (&str, usize, usize), kind: Kind) -> u64 {
        let shape = join(size as u64, align as u64);
        let mut key = join(hash_bytes(name.as_bytes()), join(shape, kind as u64));
        while self.infos.iter().any(|info| info.key == key) {
            key = join(key, 0);
        }
        key
    }

    /// Two registries of one stamp know the same types under the same ids.
    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The shape of all chunks.
    pub(crate) fn shape(&self) -> ChunkShape {
        self.shape
    }

    pub(crate) fn info(&self, id: ComponentId) -> &ComponentInfo {
        &self.infos[id.index()]
    }

    /// The type of this id; `None` when none of this world has it.
    pub(crate) fn get(&self, id: ComponentId) -> Option<&ComponentInfo> {
        self.infos.get(id.index())
    }

    /// The component of this id; `None` when no component of this world has it.
    pub(crate) fn component(&self, id: ComponentId) -> Option<&ComponentInfo> {
        self.get(id).filter(|info| info.kind == Kind::Component)
    }

    /// All ids that are registered.
    pub(crate) fn ids(&self) -> ComponentMask {
        ComponentMask::first(self.infos.len())
    }

    /// The ids of the types of `kind`, in the order of their registration.
    pub(crate) fn ids_of(&self, kind: Kind) -> impl Iterator<Item = ComponentId> {
        let ids = (0..self.infos.len()).map(ComponentId::new);
        ids.filter(move |id| self.info(*id).kind == kind)
    }

    /// Whether `self` knows the same types under the same ids as the first ones of `other`, which
    /// may know a type where `self` has only its description.
    pub(crate) fn is_prefix_of(&self, other: &Self) -> bool {
        self.shape == other.shape
            && self.infos.len() <= other.infos.len()
            && self.infos.iter().zip(&other.infos).all(|(mine, theirs)| mine.is_part_of(theirs))
    }

    fn map(&self, kind: Kind) -> &TypeMap<ComponentId> {
        match kind {
            Kind::Component => &self.components,
            Kind::Event => &self.events,
            Kind::Resource => &self.resources,
            Kind::Toggle => unreachable!("no type stands for a toggle"),
        }
    }
}
