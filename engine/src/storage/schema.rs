//! Schemas: the types of an application, under names that last and in an order that is fixed.
//!
//! A world numbers its types as it meets them, and knows them by names that compilers may change.
//! Files, packets and other languages need more. A schema says once, for every world that is made
//! from it, which types there are, with their lasting names, their versions and their ids.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::component::{
    ChunkShape, Component, ComponentDescription, Kind, RegisterError, Registry, TypeShape,
};
use super::component_id::ComponentId;
use super::entity::Entity;
use super::hash::hash_bytes;
use super::layout::{Layout, LayoutKind, TypeLayout};
use super::links::engine_owns;
use super::mask::ComponentMask;
use super::names::intern;

/// The types that worlds are made for: components, events, resources and toggles with names that
/// last, in an order that fixes their ids.
///
/// A clone is the same schema, for one increment. Worlds of one schema give their types the same
/// ids, whichever comes first in them; types that a schema lacks are registered on first use, after
/// those of the schema.
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use convoy_engine::World;
/// use convoy_engine::schema::{Schema, TypeEntry, TypeLayout};
///
/// #[derive(Clone, Copy, Pod, Zeroable, TypeLayout)]
/// #[repr(C)]
/// struct Position([f32; 2]);
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[repr(C)]
/// struct Collision([u64; 2]);
///
/// let schema = Schema::builder()
///     .component(TypeEntry::<Position>::new().named("position", 1).with_layout())
///     .event(TypeEntry::<Collision>::new().named("collision", 3))
///     .archetype(&["position"])
///     .build()
///     .unwrap();
/// assert!(schema.is_stable());
///
/// let mut world = World::with_schema(&schema);
/// let ship = world.spawn((Position([1.0, 2.0]),));
/// let id = world.component_id_by_name("position").unwrap();
/// assert_eq!(world.component_info(id).unwrap().version(), 1);
/// assert_eq!(format!("{:?}", world.value(ship, id).unwrap()), "Position([1.0, 2.0])");
/// ```
#[derive(Clone)]
pub struct Schema(Arc<Contents>);

struct Contents {
    types: Vec<(Declared, TypeShape)>,
    archetypes: Vec<ComponentMask>,
    fingerprint: u64,
}

/// The declaration of a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Declared {
    Component,
    Toggle,
    Event,
    Resource,
}

/// One type of a [`Schema`], with its name, version and layout.
#[derive(Clone, Copy)]
pub struct TypeEntry<T> {
    shape: TypeShape,
    of: PhantomData<fn() -> T>,
}

impl<T: Component> TypeEntry<T> {
    /// The type under the name that the compiler gives it, in version 0. Such a name is not stable:
    /// other compilers, and other places in the program, give it another one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "there is no entry that would be the usual one")]
    pub fn new() -> Self {
        Self { shape: TypeShape::of::<T>(), of: PhantomData }
    }

    /// Calls the type `name` from now on, wherever it is asked for or reported by name. The version
    /// is the user's: it tells layouts of one name apart.
    ///
    /// The name is kept for as long as the process runs, once.
    #[must_use]
    pub fn named(self, name: &str, version: u32) -> Self {
        let name = intern(name);
        Self { shape: TypeShape { name, is_stable: true, version, ..self.shape }, ..self }
    }

    /// Notes the layout of the type, for readers of values by id.
    #[must_use]
    pub fn with_layout(self) -> Self
    where
        T: TypeLayout,
    {
        Self { shape: TypeShape { layout: Some(&T::LAYOUT), ..self.shape }, ..self }
    }
}

impl<T: Component> fmt::Debug for TypeEntry<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TypeShape { name, version, .. } = self.shape;
        formatter.debug_struct("TypeEntry").field("name", &name).field("version", &version).finish()
    }
}

/// Collects the types of a [`Schema`].
#[derive(Clone, Default)]
#[must_use = "a builder makes a schema by `build`"]
pub struct SchemaBuilder {
    types: Vec<(Declared, TypeShape)>,
    archetypes: Vec<Vec<&'static str>>,
}

/// Why a schema can't be built.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SchemaError {
    /// Two components, two events or two resources have one name.
    Name {
        /// The name.
        name: &'static str,
    },
    /// A name is empty.
    Empty,
    /// A type is declared twice as the same kind of thing.
    Type {
        /// The name of its second declaration.
        name: &'static str,
    },
    /// An archetype names a component that the schema lacks, or one twice.
    Archetype {
        /// The name.
        component: &'static str,
    },
    /// An archetype is declared twice; that of no components always exists.
    Repeated,
    /// [`Entity`](crate::Entity) is declared as a component: every world has that column.
    Reserved,
    /// A type can't be registered.
    Register(RegisterError),
}

impl fmt::Display for SchemaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name } => {
                write!(formatter, "two types of the schema have the name {name:?}")
            }
            Self::Empty => formatter.write_str("a type of the schema has an empty name"),
            Self::Type { name } => {
                write!(formatter, "the type called {name:?} is in the schema a second time")
            }
            Self::Archetype { component } => write!(
                formatter,
                "an archetype names {component:?}, which the schema has not declared as a \
                 component, or names it twice"
            ),
            Self::Repeated => formatter.write_str("an archetype is declared a second time"),
            Self::Reserved => formatter.write_str(
                "Entity is the entity column itself: wrap it in a type of your own to store one",
            ),
            Self::Register(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for SchemaError {}

impl From<RegisterError> for SchemaError {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

impl SchemaBuilder {
    fn add(mut self, declared: Declared, shape: TypeShape) -> Self {
        self.types.push((declared, shape));
        self
    }

    /// Adds a component, which gets the next id.
    pub fn component<T: Component>(self, entry: TypeEntry<T>) -> Self {
        self.add(Declared::Component, entry.shape)
    }

    /// Adds a component that can be switched off, as
    /// [`World::register_toggle`](crate::World::register_toggle) does. It gets the next two ids.
    pub fn toggle<T: Component>(self, entry: TypeEntry<T>) -> Self {
        self.add(Declared::Toggle, entry.shape)
    }

    /// Adds lists of a type, which get the next id. The entry names the lists.
    ///
    /// ```
    /// # use convoy_engine::list::List;
    /// # use convoy_engine::schema::{Schema, TypeEntry};
    /// # use convoy_engine::World;
    /// let path = TypeEntry::<[f32; 2]>::new().named("path", 1);
    /// let schema = Schema::builder().list(path).build().unwrap();
    /// let mut world = World::with_schema(&schema);
    /// let ship = world.spawn((List::<[f32; 2]>::new(),));
    /// assert!(world.list::<[f32; 2]>(ship).unwrap().is_empty());
    /// assert_eq!(world.component_id_by_name("path"), Some(world.register_list::<[f32; 2]>().unwrap()));
    /// ```
    pub fn list<T: Component>(self, entry: TypeEntry<T>) -> Self {
        let TypeShape { name, is_stable, version, layout, .. } = entry.shape;
        let name = if is_stable { name } else { TypeShape::of_list::<T>().name };
        let shape = TypeShape::of_list::<T>();
        let layout = layout.or(shape.layout);
        let shape = TypeShape { name, is_stable, version, layout, ..shape };
        self.add(Declared::Component, shape)
    }

    /// Adds an event type, which gets the next id.
    pub fn event<T: Component>(self, entry: TypeEntry<T>) -> Self {
        self.add(Declared::Event, entry.shape)
    }

    /// Adds a resource, which gets the next id.
    pub fn resource<T: Component>(self, entry: TypeEntry<T>) -> Self {
        self.add(Declared::Resource, entry.shape)
    }

    /// Adds a component that no Rust type stands for, in a version of the user's. It gets the next id.
    pub fn described(self, description: ComponentDescription<'_>, version: u32) -> Self {
        let shape = TypeShape::described(&description);
        self.add(Declared::Component, TypeShape { is_stable: true, version, ..shape })
    }

    /// Adds an archetype by the names of its components. Worlds have the declared archetypes first,
    /// in this order, which is the order in which queries visit them.
    pub fn archetype(mut self, components: &[&str]) -> Self {
        self.archetypes.push(components.iter().map(|name| intern(name)).collect());
        self
    }

    /// Makes the schema.
    ///
    /// # Errors
    ///
    /// When two types of one kind share a name, a type is declared twice, an archetype names a type
    /// that is no component of the schema, or [`World::register`](crate::World::register) would refuse
    /// a type.
    pub fn build(self) -> Result<Schema, SchemaError> {
        let Self { types, archetypes } = self;
        for (number, (declared, shape)) in types.iter().enumerate() {
            if shape.name.is_empty() {
                return Err(SchemaError::Empty);
            }
            let is_entity = shape.type_id == Some(TypeId::of::<Entity>());
            if is_entity && declared.kind() == Kind::Component {
                return Err(SchemaError::Reserved);
            }
            if *declared == Declared::Toggle && shape.type_id.is_some_and(engine_owns) {
                return Err(RegisterError::EngineOwned { component: shape.name }.into());
            }
            let mut before = types[..number].iter();
            let same_kind = before.by_ref().filter(|(other, _)| other.kind() == declared.kind());
            for (_, other) in same_kind {
                if other.name == shape.name {
                    return Err(SchemaError::Name { name: shape.name });
                }
                if other.type_id.is_some() && other.type_id == shape.type_id {
                    return Err(SchemaError::Type { name: shape.name });
                }
            }
        }
        // Ids don't depend on the shape of chunks.
        let mut registry = Registry::new(ChunkShape { bytes_max: 1, rows_max: 1 });
        register_all(&types, &mut registry)?;
        let mut masks: Vec<ComponentMask> = Vec::with_capacity(archetypes.len());
        for names in archetypes {
            let mut mask = ComponentMask::NONE;
            for name in names {
                let id = registry.id_by_name(name).filter(|&id| id != ComponentId::ENTITY);
                if !id.is_some_and(|id| mask.insert(id)) {
                    return Err(SchemaError::Archetype { component: name });
                }
            }
            let mask = registry.with_toggles(&mask);
            if mask.is_empty() || masks.contains(&mask) {
                return Err(SchemaError::Repeated);
            }
            masks.push(mask);
        }
        let fingerprint = fingerprint(&registry, &masks);
        Ok(Schema(Arc::new(Contents { types, archetypes: masks, fingerprint })))
    }
}

impl Declared {
    fn kind(self) -> Kind {
        match self {
            Self::Component | Self::Toggle => Kind::Component,
            Self::Event => Kind::Event,
            Self::Resource => Kind::Resource,
        }
    }
}

fn register_all(
    types: &[(Declared, TypeShape)],
    registry: &mut Registry,
) -> Result<(), RegisterError> {
    for (declared, shape) in types {
        let id = registry.register_shape(shape, declared.kind(), &|_, _| true)?;
        if *declared == Declared::Toggle {
            registry.add_toggle(id)?;
        }
    }
    Ok(())
}

impl Schema {
    /// A schema without types, to add to.
    pub fn builder() -> SchemaBuilder {
        SchemaBuilder::default()
    }

    /// A number that follows from the types in their order, with names, versions, sizes, alignments
    /// and layouts, and from the declared archetypes: two processes agree about all of these if it is
    /// the same. The same on every machine for which layouts are the same.
    ///
    /// It tells mistakes apart, not forgeries: it is no cryptographic hash.
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }

    /// Whether all types have names that were chosen, and no compiler can change.
    pub fn is_stable(&self) -> bool {
        self.0.types.iter().all(|(_, shape)| shape.is_stable)
    }

    /// Registers all types in a registry that has none yet.
    pub(crate) fn register(&self, registry: &mut Registry) {
        register_all(&self.0.types, registry).expect("the schema was built of these types");
    }

    /// The archetypes that come first, by components and their toggles.
    pub(crate) fn archetypes(&self) -> &[ComponentMask] {
        &self.0.archetypes
    }
}

impl PartialEq for Schema {
    /// Whether the schemas agree, by their fingerprints.
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl Eq for Schema {}

impl fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.types.iter().map(|(_, shape)| shape.name).collect();
        formatter
            .debug_struct("Schema")
            .field("types", &names)
            .field("archetypes", &self.0.archetypes.len())
            .field("fingerprint", &format_args!("{:016x}", self.0.fingerprint))
            .finish()
    }
}

/// The hash of all that two processes have to agree about. Numbers are little-endian, and lists begin
/// with their length, so that no two schemas are one text.
fn fingerprint(registry: &Registry, archetypes: &[ComponentMask]) -> u64 {
    let mut text = Vec::new();
    for id in registry.ids().iter() {
        let info = registry.info(id);
        text.push(info.kind() as u8);
        put_text(&mut text, info.name());
        put_number(&mut text, u64::from(info.version()));
        put_number(&mut text, info.size() as u64);
        put_number(&mut text, info.align() as u64);
        if let Some(list) = info.list() {
            text.push(2);
            put_number(&mut text, list.size as u64);
            put_number(&mut text, list.align as u64);
        }
        text.push(u8::from(info.layout().is_some()));
        info.layout().into_iter().for_each(|layout| put_layout(&mut text, layout));
    }
    for mask in archetypes {
        put_number(&mut text, mask.len() as u64);
        mask.iter().for_each(|id| put_number(&mut text, id.index() as u64));
    }
    hash_bytes(&text)
}

fn put_number(text: &mut Vec<u8>, number: u64) {
    text.extend(number.to_le_bytes());
}

fn put_text(text: &mut Vec<u8>, part: &str) {
    put_number(text, part.len() as u64);
    text.extend(part.as_bytes());
}

/// Names of nested types are left out: they are the program's, and say nothing of the bytes.
pub(crate) fn put_layout(text: &mut Vec<u8>, layout: &Layout) {
    put_number(text, layout.size() as u64);
    match layout.kind() {
        LayoutKind::Number(kind) => text.extend([1, kind as u8]),
        LayoutKind::Bool => text.push(2),
        LayoutKind::Char => text.push(3),
        LayoutKind::Entity => text.push(4),
        LayoutKind::Text => text.push(8),
        LayoutKind::Array { element, count } => {
            text.push(5);
            put_number(text, count as u64);
            put_layout(text, element);
        }
        LayoutKind::Struct(fields) => {
            text.push(6);
            put_number(text, fields.len() as u64);
            for field in fields {
                put_text(text, field.name);
                put_number(text, field.offset as u64);
                put_layout(text, field.layout);
            }
        }
        LayoutKind::Enum { tag, variants } => {
            text.extend([7, tag as u8]);
            put_number(text, variants.len() as u64);
            for variant in variants {
                put_text(text, variant.name);
                text.extend(variant.value.to_le_bytes());
            }
        }
    }
}
