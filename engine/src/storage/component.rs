//! The component registry: which types a world knows, under which ids, with which chunk shape.

use std::any::TypeId;
use std::fmt;

use bytemuck::{CheckedBitPattern, NoUninit};
use convoy_pool::{CHUNK_ALIGN, SizeClass};

use super::component_id::{COMPONENTS_MAX, ComponentId};
use super::entity::Entity;
use super::hash::{hash_bytes, join};
use super::layout::Layout;
use super::links::engine_owns;
use super::mask::ComponentMask;
use super::names::{intern, name_of};
use super::stamp::Stamp;

use super::type_map::{NearIds, TypeMap};

pub(crate) mod adopt;
mod forget;

/// What can be a component, an event or a resource: any type of a fixed size without pointers and
/// without padding, that may cross threads.
///
/// Implemented for every type that is `bytemuck::NoUninit` and `bytemuck::CheckedBitPattern`: there is
/// nothing to implement, only to derive. All that is `bytemuck::Pod` is both. Numbers, `bool`, `char`,
/// arrays and [`Entity`](crate::Entity) are components, and so are structs of them, and enums whose
/// representation is a number:
///
/// ```
/// use bytemuck::{CheckedBitPattern, NoUninit};
/// use convoy_engine::{Entity, World};
///
/// #[derive(Clone, Copy, PartialEq, Debug, NoUninit, CheckedBitPattern)]
/// #[repr(u8)]
/// enum Mode {
///     Idle,
///     Firing,
/// }
///
/// #[derive(Clone, Copy, NoUninit, CheckedBitPattern)]
/// #[repr(C)]
/// struct Turret {
///     target: Entity,
///     angle: f32,
///     mode: Mode,
///     is_manned: bool,
///     rounds: u16,
/// }
///
/// let mut world = World::new();
/// let (target, mode) = (Entity::NONE, Mode::Firing);
/// let turret = world.spawn((Turret { target, angle: 0.5, mode, is_manned: true, rounds: 20 },));
/// assert_eq!(world.get::<Turret>(turret).unwrap().mode, Mode::Firing);
/// ```
///
/// A program that has no `bytemuck` among its dependencies uses the one that this crate re-exports,
/// and tells the derives so. For a struct with fields that are not `Pod`, such as `bool` or an enum,
/// `bytemuck` must be a dependency: its derive of `CheckedBitPattern` names it there.
///
/// ```
/// use convoy_engine::bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[bytemuck(crate = "convoy_engine::bytemuck")]
/// #[repr(transparent)]
/// struct Health(f32);
///
/// #[derive(Clone, Copy, NoUninit, CheckedBitPattern)]
/// #[bytemuck(crate = "convoy_engine::bytemuck")]
/// #[repr(u8)]
/// enum Team {
///     Red,
///     Blue,
/// }
///
/// let mut world = convoy_engine::World::new();
/// world.spawn((Health(1.0), Team::Blue));
/// ```
///
/// # What can be a component
///
/// The engine copies, compares, hashes and restores components as bytes. All that a value needs must
/// lie in it, and every one of its bytes must mean something. So:
///
/// * **A struct** has `#[repr(C)]` or `#[repr(transparent)]`, derives `Clone`, `Copy` and either
///   `Pod` and `Zeroable`, if all its fields are numbers, or else `NoUninit` and `CheckedBitPattern`.
///   Where the compiler would leave bytes between or after fields, there must be a field: order
///   fields by size, or add one such as `unused: [u8; 3]`.
/// * **An enum** has a representation, `#[repr(u8)]`, and no fields, and derives `Clone`, `Copy`,
///   `NoUninit` and `CheckedBitPattern`. One with fields becomes a struct of a tag and what all
///   variants need together, or several components of which an entity has one.
/// * **An optional entity** is an [`Entity`](crate::Entity) that may be
///   [`Entity::NONE`](crate::Entity::NONE), and [`Entity::some`](crate::Entity::some) turns it into an
///   `Option`. Other options are a component that an entity has or lacks, or a field with a value
///   that means none.
/// * **A text** is its bytes in an array, or a number that stands for it in a list of your own.
/// * **A `Vec`, a map or a set** is entities of their own, with a component that names whom they
///   belong to (see [`World::set_parent`](crate::World::set_parent)), or an array with a length.
/// * **A pointer, a reference, an `Arc`, a handle of the system** goes into a local resource
///   ([`World::insert_local`](crate::World::insert_local)), which no snapshot captures, and the
///   component has a number that stands for it.
/// * **A long array**: `bytemuck` knows lengths up to 32 and some powers of two, and with its feature
///   `min_const_generics` all others.
/// * **A flag of the entity** is a tag, which is a struct without fields, or a toggle
///   ([`World::register_toggle`](crate::World::register_toggle)), which is switched in place.
///
/// ```compile_fail,E0277
/// # use convoy_engine::World;
/// let mut world = World::new();
/// world.spawn((String::from("Aurora"),)); // "`String` can't be a component, an event or ..."
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a component, an event or a resource",
    label = "not a type whose bytes are all it is",
    note = "a component has a fixed size, no pointers and no padding. Derive `Clone, Copy, \
            bytemuck::NoUninit, bytemuck::CheckedBitPattern` for a `#[repr(C)]` struct of numbers, \
            `bool`, arrays and `Entity`, or for a `#[repr(u8)]` enum without fields",
    note = "an optional entity is `Entity::NONE` and `entity.some()`; the page of \
            `convoy_engine::Component` says what stands for strings, lists, maps, enums and pointers",
    note = "in place of a tuple in a bundle there may be a struct that derives `convoy_engine::Bundle`"
)]
pub trait Component: NoUninit + CheckedBitPattern + Send + Sync {}

#[diagnostic::do_not_recommend]
impl<T: NoUninit + CheckedBitPattern + Send + Sync> Component for T {}

/// Which bytes are values of a type.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// All of them.
    None,
    /// Those that pass.
    Bytes(fn(&[u8]) -> bool),
}

impl Check {
    pub(crate) fn of<T: Component>() -> Self {
        // What stands for the bits of a type has no invalid ones, and is the type itself where that
        // has none either.
        if TypeId::of::<T>() == TypeId::of::<T::Bits>() {
            return Self::None;
        }
        Self::Bytes(|bytes| bytemuck::checked::try_pod_read_unaligned::<T>(bytes).is_ok())
    }

    /// Whether `bytes`, as many as a value has, are one.
    pub(crate) fn passes(self, bytes: &[u8]) -> bool {
        match self {
            Self::None => true,
            Self::Bytes(check) => check(bytes),
        }
    }

    pub(crate) fn is_none(self) -> bool {
        matches!(self, Self::None)
    }
}

/// A type as it is registered: its name, the size and alignment of a value, and more where that is
/// known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypeShape {
    pub(crate) name: &'static str,
    /// Whether the name was chosen, so that no compiler changes it.
    pub(crate) is_stable: bool,
    pub(crate) version: u32,
    pub(crate) size: usize,
    pub(crate) align: usize,
    /// None for a described component.
    pub(crate) type_id: Option<TypeId>,
    pub(crate) check: Check,
    pub(crate) layout: Option<&'static Layout>,
}

impl TypeShape {
    pub(crate) fn of<T: Component>() -> Self {
        Self {
            name: name_of::<T>(),
            is_stable: false,
            version: 0,
            size: size_of::<T>(),
            align: align_of::<T>(),
            type_id: Some(TypeId::of::<T>()),
            check: Check::of::<T>(),
            layout: None,
        }
    }

    pub(crate) fn described(description: &ComponentDescription<'_>) -> Self {
        let ComponentDescription { name, size, align } = *description;
        let (name, type_id, check) = (intern(name), None, Check::None);
        Self { name, is_stable: false, version: 0, size, align, type_id, check, layout: None }
    }
}

/// Tells whether all rows of a component are values by a check: asked before a type takes over what
/// was only described.
pub(crate) type RowsPass<'a> = &'a dyn Fn(ComponentId, Check) -> bool;

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
    /// `type_id` is `None` for a described component until a type of its name and shape is registered.
    shape: TypeShape,
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

    /// The name that a [`Schema`](crate::Schema) gave it, else the type's, or the one it was described
    /// by.
    pub fn name(&self) -> &'static str {
        self.shape.name
    }

    /// Whether the name was chosen by a [`Schema`](crate::Schema), so that it does not follow from how a
    /// compiler calls the type.
    pub fn is_stable(&self) -> bool {
        self.shape.is_stable
    }

    /// The version that a [`Schema`](crate::Schema) gave it, else 0.
    pub fn version(&self) -> u32 {
        self.shape.version
    }

    /// What the bytes of a value mean, where a [`Schema`](crate::Schema) says so.
    pub fn layout(&self) -> Option<&'static Layout> {
        self.shape.layout
    }

    /// Whether all bytes are values, so that none need be checked.
    pub fn accepts_any_bytes(&self) -> bool {
        self.shape.check.is_none()
    }

    /// Whether `bytes` are a value.
    pub fn is_value(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.size() && self.shape.check.passes(bytes)
    }

    pub(crate) fn check(&self) -> Check {
        self.shape.check
    }

    /// Bytes of one value.
    pub fn size(&self) -> usize {
        self.shape.size
    }

    /// The alignment of a value in bytes.
    pub fn align(&self) -> usize {
        self.shape.align
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the component is known by its description only, and by no type.
    pub fn is_described(&self) -> bool {
        self.shape.type_id.is_none()
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

    /// Whether `other` is the same component under the same name, and known by type where this one is,
    /// or known by a type that takes any bytes.
    fn is_part_of(&self, other: &Self) -> bool {
        let same_type = match self.shape.type_id {
            Some(_) => self.shape.type_id == other.shape.type_id,
            None => other.is_described() || other.accepts_any_bytes(),
        };
        let same_type = same_type && self.name() == other.name();
        // Archetypes tell apart what holds the component with its toggle and what without.
        let same_toggle = self.toggle.is_none() || self.toggle == other.toggle;
        let parts = |info: &Self| (info.kind, info.size(), info.align());
        same_type && same_toggle && parts(self) == parts(other)
    }

    /// Whether only the engine writes values of this component.
    pub(crate) fn is_engine_owned(&self) -> bool {
        self.kind == Kind::Component && self.shape.type_id.is_some_and(engine_owns)
    }

    /// The shape of a column that no component id stands for.
    pub(crate) fn unregistered<T: Component>(shape: ChunkShape) -> Self {
        Self {
            shape: TypeShape::of::<T>(),
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
    /// Whether there are types of which not all bytes are values.
    has_checks: bool,
    /// What types took over, as it was described, in the order in which they did.
    taken_over: Vec<(ComponentId, TypeShape)>,
}

impl Registry {
    pub(crate) fn new(shape: ChunkShape) -> Self {
        let mut registry = Self::empty(shape);
        let entity = registry.register::<Entity>(Kind::Component, &|_, _| true);
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
            has_checks: false,
            taken_over: Vec::new(),
        }
    }

    /// Whether there are types of which not all bytes are values.
    pub(crate) fn has_checks(&self) -> bool {
        self.has_checks
    }

    /// The id of `T`, if it is registered.
    #[inline]
    pub(crate) fn id_of<T: Component>(&self, kind: Kind) -> Option<ComponentId> {
        self.map(kind).get(TypeId::of::<T>()).copied()
    }

    /// The id of the component `T`, if it is registered, or else of the description that it would take
    /// over.
    pub(crate) fn id_or_described<T: Component>(&self) -> Option<ComponentId> {
        let described = || self.find_described(&TypeShape::of::<T>()).ok().flatten();
        self.id_of::<T>(Kind::Component).or_else(described)
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
        rows_pass: RowsPass<'_>,
    ) -> Result<ComponentId, RegisterError> {
        if let Some(id) = self.id_of::<T>(kind) {
            return Ok(id);
        }
        self.register_shape(&TypeShape::of::<T>(), kind, rows_pass)
    }

    /// The id of a type, or of a description, registered now if it is new.
    pub(crate) fn register_shape(
        &mut self,
        shape: &TypeShape,
        kind: Kind,
        rows_pass: RowsPass<'_>,
    ) -> Result<ComponentId, RegisterError> {
        let Some(type_id) = shape.type_id else { return self.register_bytes(shape) };
        if let Some(&id) = self.map(kind).get(type_id) {
            self.take_name(id, shape);
            return Ok(id);
        }
        let described = match kind {
            // Whoever describes a link by its name gets no say in the hierarchy.
            Kind::Component if !engine_owns(type_id) => self.find_described(shape)?,
            _ => None,
        };
        let id = match described {
            Some(id) if !rows_pass(id, shape.check) => {
                return Err(RegisterError::Values { component: shape.name });
            }
            Some(id) => {
                let known = &mut self.infos[id.index()].shape;
                self.taken_over.push((id, *known));
                // What a schema says of the component stays.
                let (is_stable, version) = (known.is_stable, known.version);
                let layout = known.layout.or(shape.layout);
                *known = TypeShape { is_stable, version, layout, ..*shape };
                self.stamp = Stamp::next();
                id
            }
            None => self.add(*shape, kind)?,
        };
        self.has_checks |= !shape.check.is_none();
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

    /// Calls a type as `shape` does, if that name was chosen and the one it has was not, and no other
    /// type has it. Two names that were chosen stay as they are.
    fn take_name(&mut self, id: ComponentId, shape: &TypeShape) {
        let known = &self.infos[id.index()];
        let is_free = || self.id_of_name(shape.name, known.kind).is_none_or(|other| other == id);
        if shape.is_stable && !known.is_stable() && is_free() {
            let (kind, layout) = (known.kind, known.layout().or(shape.layout));
            let key = self.key_of(shape, kind);
            let info = &mut self.infos[id.index()];
            (info.shape, info.key) = (TypeShape { layout, ..*shape }, key);
            self.stamp = Stamp::next();
        }
    }

    /// Makes `T`, which is registered now if it is new, a component that can be switched off.
    /// `in_use` tells whether an archetype has a component.
    pub(crate) fn register_toggle<T: Component>(
        &mut self,
        in_use: impl FnOnce(ComponentId) -> bool,
        rows_pass: RowsPass<'_>,
    ) -> Result<ComponentId, RegisterError> {
        let known = self.id_or_described::<T>();
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
        let id = self.register::<T>(Kind::Component, rows_pass)?;
        self.add_toggle(id)?;
        Ok(id)
    }

    /// Gives a component that has none a column that tells where it is switched off.
    pub(crate) fn add_toggle(&mut self, id: ComponentId) -> Result<ComponentId, RegisterError> {
        let TypeShape { name, is_stable, version, .. } = self.info(id).shape;
        let name = intern(&format!("{name} (toggle)"));
        let shape = TypeShape { name, is_stable, version, ..TypeShape::of::<u8>() };
        let toggle = self.add(TypeShape { type_id: None, ..shape }, Kind::Toggle)?;
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
        self.register_bytes(&TypeShape::described(description))
    }

    fn register_bytes(&mut self, shape: &TypeShape) -> Result<ComponentId, RegisterError> {
        let TypeShape { name: component, size, align, .. } = *shape;
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
        for id in self.named(component) {
            let info = self.info(id);
            if (info.size(), info.align()) == (size, align) {
                return Ok(id);
            }
            known = Some(id);
        }
        match known {
            Some(_) => Err(RegisterError::Shape { component }),
            None => self.add(*shape, Kind::Component),
        }
    }

    /// The first component of this name. Types may share one; descriptions don't.
    pub(crate) fn id_by_name(&self, name: &str) -> Option<ComponentId> {
        self.id_of_name(name, Kind::Component)
    }

    /// The first type of this name among those of `kind`.
    pub(crate) fn id_of_name(&self, name: &str, kind: Kind) -> Option<ComponentId> {
        self.ids_of(kind).find(|id| self.info(*id).name() == name)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = ComponentId> {
        self.ids_of(Kind::Component).filter(move |id| self.info(*id).name() == name)
    }

    /// The component that was described with the name, size and alignment of a type.
    fn find_described(&self, shape: &TypeShape) -> Result<Option<ComponentId>, RegisterError> {
        let described = self.named(shape.name).find(|id| self.info(*id).is_described());
        let Some(id) = described else { return Ok(None) };
        let info = self.info(id);
        if (info.size(), info.align()) == (shape.size, shape.align) {
            Ok(Some(id))
        } else {
            Err(RegisterError::Shape { component: shape.name })
        }
    }

    /// Adds a shape that is new.
    fn add(&mut self, shape: TypeShape, kind: Kind) -> Result<ComponentId, RegisterError> {
        let TypeShape { name, size, align, .. } = shape;
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
        let key = self.key_of(&shape, kind);
        self.infos.push(ComponentInfo { shape, kind, toggle, rows_log2, key });
        self.stamp = Stamp::next();
        Ok(id)
    }

    fn key_of(&self, shape: &TypeShape, kind: Kind) -> u64 {
        let name = hash_bytes(shape.name.as_bytes());
        let mut key = join(name, join(join(shape.size as u64, shape.align as u64), kind as u64));
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
