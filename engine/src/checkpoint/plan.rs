//! [`ReadPlan`]: the decisions about types of a file that are not those of the program.

use std::error::Error;
use std::fmt;

use crate::storage::Entity;
use crate::storage::component::{Component, ComponentInfo, Kind, Registry};
use crate::storage::names::name_of;

use super::migration::Migration;
use super::plan_error::PlanError;
use super::type_name::TypeName;

/// The fate of types that the schema lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Unknown {
    /// Components are kept by their bytes, as described ones. Events, resources, lists and components without bytes
    /// are [refused](super::CheckpointError::UnknownType), since nothing can stand for them.
    #[default]
    Keep,
    /// All are dropped, and the [report](super::ReadReport) has them.
    Drop,
    /// All are [refused](super::CheckpointError::UnknownType).
    Refuse,
}

/// The decisions about types of a file that are not those of the program: which ones are renamed, migrated or
/// dropped. Types without a decision are found by name and must agree, as without a plan.
///
/// Names are matched in this order: a dropped type goes by its name in the file, an alias leads from the name in
/// the file to that in the schema, and a migration is for the name in the schema and the version in the file. A plan
/// may be for files of several ages: decisions about types that a file lacks do nothing.
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use convoy_engine::checkpoint::{Checkpoint, CheckpointReader, ReadPlan, Unknown};
/// use convoy_engine::schema::{Schema, TypeEntry};
/// use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[repr(C)]
/// struct Fuel {
///     litres: f32,
///     capacity: f32,
/// }
///
/// // A program of last year: fuel is a number, and there are events that nobody needs any more.
/// let old = Schema::builder()
///     .component(TypeEntry::<f32>::new().named("gas", 1))
///     .event(TypeEntry::<u32>::new().named("beep", 1));
/// let mut world = World::with_schema(&old.build().unwrap());
/// let ship = world.spawn((12.5_f32,));
/// world.send_event(7_u32);
/// let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
/// checkpoint.write(&world.capture(ComponentMask::ALL, &SnapshotPool::default())).unwrap();
///
/// let new = Schema::builder().component(TypeEntry::<Fuel>::new().named("fuel", 2));
/// let config = WorldConfig::default().schema(new.build().unwrap());
/// let plan = ReadPlan::new()
///     .unknown(Unknown::Drop)
///     .alias("gas", "fuel")
///     .migrate("fuel", 1, |litres: &f32| Fuel { litres: *litres, capacity: 50.0 });
/// let reader = CheckpointReader::new(checkpoint.into_medium()).unwrap();
/// let (loaded, report) = reader.read_with(config, &plan).unwrap();
/// assert_eq!(loaded.get::<Fuel>(ship).unwrap().litres, 12.5);
/// assert_eq!(
///     report.to_string(),
///     "component \"gas\" as \"fuel\": migrated from version 1 to 2, 1 row, 4 bytes\n\
///      event \"beep\": dropped, 1 row, 4 bytes\n"
/// );
/// ```
#[derive(Clone, Default)]
#[must_use = "a plan does nothing until a checkpoint is read with it"]
pub struct ReadPlan {
    unknown: Unknown,
    dropped: Vec<TypeName>,
    aliases: Vec<(TypeName, String)>,
    migrations: Vec<Migration>,
}

impl ReadPlan {
    /// A plan without decisions: unknown components are kept by their bytes, and other types must agree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides about types that the schema lacks.
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    /// Drops a type, whether the schema has it or not: a component in all rows, with its toggle, lists with their
    /// elements, an event with its log, a resource with its value. Entities stay. Archetypes that differ by nothing
    /// else become one, with the rows in the order of the file.
    ///
    /// The bytes of a dropped type are not read, so damage in them is not found. The links of the hierarchy, under
    /// their names in the file, go together or not at all. Contents of texts stay, until
    /// [`World::retain_texts`](crate::World::retain_texts) drops those without holders.
    pub fn drop_type(mut self, name: impl Into<TypeName>) -> Self {
        self.dropped.push(name.into());
        self
    }

    /// Takes the type that the file calls `old` for the one that the schema calls `new`, in each kind in which the
    /// schema has it.
    pub fn alias(mut self, old: impl Into<TypeName>, new: &str) -> Self {
        self.aliases.push((old.into(), new.to_owned()));
        self
    }

    /// Makes values of the schema's type `name` of those that a file has in version `from`: of components, events,
    /// resources, and elements of lists, by their names in the schema.
    ///
    /// A migration goes straight to the version of the schema, so older ones are made of newer ones:
    ///
    /// ```
    /// # use convoy_engine::checkpoint::ReadPlan;
    /// let second = |first: &u8| u16::from(*first) * 100;
    /// let third = |second: &u16| f32::from(*second) / 1000.0;
    /// let plan = ReadPlan::new()
    ///     .migrate("fuel", 1, move |first: &u8| third(&second(first)))
    ///     .migrate("fuel", 2, third);
    /// ```
    ///
    /// Types without bytes are migrated as well, to others and from others. A few bytes of a file stand for any
    /// number of events without bytes, so that more than 1 MiB and 64 times the file of new ones is
    /// [refused](super::CheckpointError::Migration).
    ///
    /// A file of the version that the schema has is migrated only if sizes, alignments or layouts differ, so that a
    /// world that was migrated and saved is not migrated again. Give a type another version where its bytes get another
    /// meaning.
    pub fn migrate<Old: Component, New: Component>(
        mut self,
        name: impl Into<TypeName>,
        from: u32,
        migrate: impl Fn(&Old) -> New + Send + Sync + 'static,
    ) -> Self {
        self.migrations.push(Migration::typed(name.into(), from, migrate));
        self
    }

    /// [`ReadPlan::migrate`] for types that no Rust type stands for, or for which there is none any more: `migrate`
    /// reads the `bytes_from` bytes of a value and writes those of a new one over zeros. The result is checked to be a
    /// value of the type.
    ///
    /// ```
    /// # use convoy_engine::checkpoint::ReadPlan;
    /// let plan = ReadPlan::new().migrate_bytes("hull", 1, 4, |old, new| {
    ///     let mark = old.first().filter(|mark| **mark < 100).ok_or("a mark out of range")?;
    ///     new[0] = *mark;
    ///     Ok(())
    /// });
    /// ```
    pub fn migrate_bytes(
        mut self,
        name: impl Into<TypeName>,
        from: u32,
        bytes_from: usize,
        migrate: impl Fn(&[u8], &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.migrations.push(Migration::of_bytes(name.into(), from, bytes_from, migrate));
        self
    }

    pub(super) fn about_unknown(&self) -> Unknown {
        self.unknown
    }

    /// Whether a type of the file is dropped by its name.
    pub(super) fn drops(&self, kind: Kind, name: &str) -> bool {
        self.dropped.iter().any(|dropped| dropped.is(kind, name))
    }

    /// The name in the schema of a type of the file.
    pub(super) fn renamed<'p>(&'p self, kind: Kind, name: &'p str, registry: &Registry) -> &'p str {
        let known = |new: &str| registry.id_of_name(new, kind).is_some();
        let alias = self.aliases.iter().find(|(old, new)| old.is(kind, name) && known(new));
        alias.map_or(name, |(_, new)| new)
    }

    /// The migration of a type from a version.
    pub(super) fn migration(&self, kind: Kind, name: &str, version: u32) -> Option<&Migration> {
        let mut migrations = self.migrations.iter();
        migrations.find(|each| each.name.is(kind, name) && each.version == version)
    }

    /// Checks all that can be known before a file is.
    pub(super) fn check(&self, registry: &Registry) -> Result<(), PlanError> {
        let repeated = |name: &TypeName| PlanError::Repeated { name: name.name().to_owned() };
        let reserved = |name: &TypeName| PlanError::Reserved { name: name.name().to_owned() };
        let is_entity = |name: &TypeName| name.is(Kind::Component, name_of::<Entity>());
        let aliased = self.aliases.iter().map(|(old, _)| old);
        if let Some(name) = self.dropped.iter().chain(aliased).find(|name| is_entity(name)) {
            return Err(reserved(name));
        }
        for (number, (old, new)) in self.aliases.iter().enumerate() {
            if self.aliases[..number].iter().any(|(other, _)| other.overlaps(old)) {
                return Err(repeated(old));
            }
            if self.dropped.iter().any(|dropped| dropped.overlaps(old)) {
                return Err(PlanError::Conflict { name: old.name().to_owned() });
            }
            check_name(old, new, registry, |_| Ok(()))?;
        }
        for (number, migration) in self.migrations.iter().enumerate() {
            let name = &migration.name;
            let mut before = self.migrations[..number].iter();
            let version = migration.version;
            if before.any(|other| other.version == version && other.name.overlaps(name)) {
                return Err(repeated(name));
            }
            check_name(name, name.name(), registry, |info| migration.check(info))?;
        }
        Ok(())
    }
}

/// Checks a name that the schema is to have, in some kind that `of` stands for, and each type that has it.
fn check_name(
    of: &TypeName,
    name: &str,
    registry: &Registry,
    check: impl Fn(&ComponentInfo) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    let mut is_known = false;
    for id in of.kinds().filter_map(|kind| registry.id_of_name(name, kind)) {
        let info = registry.info(id);
        let is_entity = (info.kind(), name) == (Kind::Component, name_of::<Entity>());
        if is_entity || info.is_link() {
            return Err(PlanError::Reserved { name: name.to_owned() });
        }
        check(info)?;
        is_known = true;
    }
    is_known.then_some(()).ok_or_else(|| PlanError::UnknownName { name: name.to_owned() })
}

impl fmt::Debug for ReadPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unknown, dropped, aliases, migrations } = self;
        let migrations: Vec<_> = migrations.iter().map(|each| (&each.name, each.version)).collect();
        formatter
            .debug_struct("ReadPlan")
            .field("unknown", unknown)
            .field("dropped", dropped)
            .field("aliases", aliases)
            .field("migrations", &migrations)
            .finish()
    }
}
