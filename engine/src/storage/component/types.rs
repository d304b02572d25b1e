//! Components: the trait, the shape of a registered type, and that of its chunks.

use std::any::TypeId;

use bytemuck::{CheckedBitPattern, NoUninit};
use convoy_pool::SizeClass;

use crate::storage::component_id::ComponentId;
use crate::storage::entity::Entity;
use crate::storage::layout::{Layout, TypeLayout};
use crate::storage::links::engine_owns;
use crate::storage::list::{List, ListHandle, ListShape};
use crate::storage::names::{intern, name_of};
use crate::storage::text::Text;

/// A type that can be a component, an event or a resource: any type of a fixed size without pointers
/// and without padding, that may cross threads.
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
/// # Types that can be components
///
/// The engine copies, compares, hashes and restores components as bytes. All that a value needs must
/// lie in it, and every one of its bytes must mean something. So:
///
/// * **A struct** has `#[repr(C)]` or `#[repr(transparent)]`, derives `Clone`, `Copy` and either
///   `Pod` and `Zeroable`, if all its fields are numbers, or else `NoUninit` and `CheckedBitPattern`.
///   Where the compiler would leave bytes between or after fields, there must be a field: order
///   fields by size, or add one such as `unused: [u8; 3]`.
/// * **An enum** has a representation, `#[repr(u8)]`, and no fields, and derives `Clone`, `Copy`,
///   `NoUninit` and `CheckedBitPattern`. One with fields becomes a struct of a tag and the fields
///   of all variants, or several components, and an entity has one of them.
/// * **An optional entity** is an [`Entity`](crate::Entity) that may be
///   [`Entity::NONE`](crate::Entity::NONE), and [`Entity::some`](crate::Entity::some) turns it into an
///   `Option`. Other options are a component that an entity has or lacks, or a field with a value
///   that means none.
/// * **A string** is a [`Text`](crate::text::Text), eight bytes whose content the world keeps, or its bytes in an
///   array.
/// * **A `Vec`** is a [`List`](crate::list::List), whose elements lie in the world's columns. A map or a
///   set is a list that is kept sorted, or entities of their own, with a component that names their owner
///   (see [`World::set_parent`](crate::World::set_parent)).
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
            `bool`, arrays, `Entity` and `Text`, or for a `#[repr(u8)]` enum without fields",
    note = "an optional entity is `Entity::NONE` and `entity.some()`, a string is a `Text`, a `Vec` is a \
            `List`; the page of `convoy_engine::Component` says what stands for maps, enums and pointers",
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
        // `T::Bits` has no invalid bit pattern, and is the type itself where that has none either.
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
    /// The elements, where the rows are handles of lists.
    pub(crate) list: Option<ListShape>,
    /// Which bytes are an element.
    pub(crate) element_check: Check,
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
            list: None,
            element_check: Check::None,
        }
    }

    /// The shape of the handles of lists of `T`.
    pub(crate) fn of_list<T: Component>() -> Self {
        let (list, element) = (Some(ListShape::of::<T>()), TypeId::of::<T>());
        let layout = if element == TypeId::of::<Text>() {
            Some(&Text::LAYOUT)
        } else if element == TypeId::of::<Entity>() {
            Some(&Entity::LAYOUT)
        } else {
            None
        };
        let (name, element_check) = (name_of::<List<T>>(), Check::of::<T>());
        Self { name, layout, list, element_check, ..Self::of::<ListHandle<T>>() }
    }

    pub(crate) fn described(description: &ComponentDescription<'_>) -> Self {
        let ComponentDescription { name, size, align } = *description;
        let (name, type_id, check) = (intern(name), None, Check::None);
        let (is_stable, version, layout, list) = (false, 0, None, None);
        let element_check = Check::None;
        Self { name, is_stable, version, size, align, type_id, check, layout, list, element_check }
    }
}

/// Tells whether all rows of a component are values by a check: asked before a type takes over a
/// described component.
pub(crate) type RowsPass<'a> = &'a dyn Fn(ComponentId, Check) -> bool;

/// The use of a registered type.
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

/// A component that no Rust type stands for, or one that is not known at compile time, for
/// [`World::register_described`](crate::World::register_described).
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
    pub(super) shape: TypeShape,
    pub(super) kind: Kind,
    /// The column that tells which rows have the component switched off, if it can be.
    pub(super) toggle: Option<ComponentId>,
    pub(super) rows_log2: u8,
    /// The number of the type in the hash of a state, in every world: it follows from the name and
    /// the shape, and for types that share both, from which one was registered first.
    pub(super) key: u64,
}

impl ComponentInfo {
    /// The type, unless the component was described.
    pub(crate) fn type_id(&self) -> Option<TypeId> {
        self.shape.type_id
    }

    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// The name that a [`Schema`](crate::schema::Schema) gave it, else the type's, or the one it was described
    /// by.
    pub fn name(&self) -> &'static str {
        self.shape.name
    }

    /// Whether the name was chosen by a [`Schema`](crate::schema::Schema), so that it does not follow from how a
    /// compiler calls the type.
    pub fn is_stable(&self) -> bool {
        self.shape.is_stable
    }

    /// The version that a [`Schema`](crate::schema::Schema) gave it, else 0.
    pub fn version(&self) -> u32 {
        self.shape.version
    }

    /// The meaning of a value's bytes, where a [`Schema`](crate::schema::Schema) says so; of those of an element,
    /// where values are lists.
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

    /// Which bytes are an element of a list.
    pub(crate) fn element_check(&self) -> Check {
        self.shape.element_check
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

    /// The elements, where the rows are handles of lists.
    pub(crate) fn list(&self) -> Option<ListShape> {
        self.shape.list
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
    pub(super) fn is_part_of(&self, other: &Self) -> bool {
        let same_type = match self.shape.type_id {
            Some(_) => self.shape.type_id == other.shape.type_id,
            None => other.is_described() || other.accepts_any_bytes(),
        };
        let same_type = same_type && self.name() == other.name();
        // Archetypes with the toggle differ from those without it.
        let same_toggle = self.toggle.is_none() || self.toggle == other.toggle;
        let parts = |info: &Self| (info.kind, info.size(), info.align(), info.list());
        same_type && same_toggle && parts(self) == parts(other)
    }

    /// Whether rows are links of the hierarchy.
    pub(crate) fn is_link(&self) -> bool {
        self.kind == Kind::Component && self.shape.type_id.is_some_and(engine_owns)
    }

    /// Whether only the engine writes values of this component.
    pub(crate) fn is_engine_owned(&self) -> bool {
        self.is_link() || self.shape.list.is_some()
    }

    /// The shape of a column of blocks of so many bytes.
    pub(crate) fn of_blocks(size: usize, align: usize, shape: ChunkShape) -> Self {
        let rows_log2 = shape.rows_log2(size);
        let blocks = ComponentDescription { name: "", size, align };
        let (shape, kind) = (TypeShape::described(&blocks), Kind::Component);
        Self { shape, kind, toggle: None, rows_log2, key: 0 }
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

/// The shape of chunks: how many bytes and rows one may have at the most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChunkShape {
    pub(crate) bytes_max: usize,
    pub(crate) rows_max: usize,
}

impl ChunkShape {
    /// log2 of the rows of a full chunk: the largest power of two of rows that fits, or one row.
    pub(super) fn rows_log2(self, size: usize) -> u8 {
        let bytes_max = self.bytes_max.min(SizeClass::MAX.bytes());
        let rows = (bytes_max / size.max(1)).clamp(1, self.rows_max.max(1));
        rows.ilog2() as u8
    }
}
