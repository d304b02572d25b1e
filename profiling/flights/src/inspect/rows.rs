//! [`Rows`]: the values of one component of a file, with the entities that have them.

use std::path::Path;

use convoy_engine::checkpoint::{
    CheckpointContents, CheckpointReader, ReadPlan, StoredType, TypeKind, TypeName,
};
use convoy_engine::component::ComponentId;
use convoy_engine::schema::{Layout, Schema, TypeEntry, Value};
use convoy_engine::{Entity, World, WorldConfig};

use super::error::{InspectError, RowError};

/// The values of one component of a file.
pub(super) struct Rows<'c> {
    /// The component.
    pub(super) of: &'c StoredType,
    /// How many values there are.
    pub(super) count: u64,
    /// A world of the entities of the file, and of no other component.
    pub(super) world: World,
    id: ComponentId,
}

impl<'c> Rows<'c> {
    /// Reads the values of the component called `name`, and nothing else of the file but handles and texts.
    ///
    /// A component that is unknown here is kept by its bytes, and all other types are dropped.
    pub(super) fn read(
        (path, reader, contents): (&Path, &CheckpointReader, &'c CheckpointContents),
        name: &str,
    ) -> Result<Self, InspectError> {
        let place = find(contents, name)?;
        let of = &contents.types[place];
        let mut plan = ReadPlan::new();
        for each in &contents.types[1..] {
            // The links of the hierarchy are dropped together or not at all.
            let is_partner = each.is_link && of.is_link;
            match each.kind {
                // Another one of the name is an error of the file, which the reader tells.
                TypeKind::Component if each.name != name && !is_partner => {
                    plan = plan.drop_type(TypeName::component(&each.name));
                }
                TypeKind::Event => plan = plan.drop_type(TypeName::event(&each.name)),
                TypeKind::Resource => plan = plan.drop_type(TypeName::resource(&each.name)),
                _ => {}
            }
        }
        let mut config = WorldConfig::default();
        if of.size == 0 {
            // Bytes alone can't stand for a component without any. A type of this program does, by a migration, as
            // alignments may differ.
            let version = of.version.wrapping_add(1);
            let entry = TypeEntry::<()>::new().named(name, version);
            let schema = Schema::builder().component(entry).build();
            config = config.schema(schema.expect("a schema of one component"));
            plan = plan.migrate_bytes(TypeName::component(name), of.version, 0, |_, _| Ok(()));
        }
        let read = reader.read_with(config, &plan);
        let unreadable = |error| InspectError::Read { path: path.to_owned(), error };
        let (world, report) = read.map_err(unreadable)?;
        let count = contents.tables.iter().filter(|table| table.components.contains(&place));
        let count = count.map(|table| table.rows).sum();
        // Links go by their names in this program.
        let mut types = report.types().iter();
        let known = types.find(|each| each.kind == TypeKind::Component && each.name == name);
        let known = known.and_then(|each| each.renamed).unwrap_or(name);
        let id = world.component_id_by_name(known).expect("the component was not dropped");
        Ok(Self { of, count, world, id })
    }

    /// The name of the values, beside the handles in the column `entity`: no two columns have one name.
    pub(super) fn column_name(&self) -> &'c str {
        match self.of.name.as_str() {
            "entity" => "value",
            name => name,
        }
    }

    /// Whether values have bytes beside the handles of their entities.
    pub(super) fn has_bytes(&self) -> bool {
        self.of.size > 0 && self.id != ComponentId::ENTITY
    }

    /// The meaning of these bytes, where the file tells it.
    pub(super) fn layout(&self) -> Option<&'static Layout> {
        self.of.layout.filter(|_| self.has_bytes())
    }

    /// A value with the meaning of its bytes.
    pub(super) fn value<'b>(&self, bytes: &'b [u8]) -> Option<Value<'b>> {
        let value = self.layout().map(|layout| layout.value(bytes));
        value.map(|value| value.expect("a value is as large as its layout"))
    }

    /// The bytes of the value of an entity are none of the layout.
    pub(super) fn no_value(&self, entity: Entity) -> RowError {
        RowError::Value(InspectError::Value { component: self.of.name.clone(), entity })
    }

    /// Calls `visit` with each entity and the bytes of its value, in the order of tables and rows, until it fails.
    /// Values that are switched off are among them.
    pub(super) fn try_for_each<E>(
        &self,
        mut visit: impl FnMut(Entity, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut visited = 0;
        // A query for the component would leave out those that are switched off.
        let all = self.world.query_described(&[], &[]).expect("no component is asked for");
        for run in &all {
            for &entity in run.entities().expect("a world has its handles") {
                if let Ok(bytes) = self.world.get_bytes(entity, self.id) {
                    visit(entity, bytes)?;
                    visited += 1;
                }
            }
        }
        assert_eq!(visited, self.count, "the manifest has the rows of the world");
        Ok(())
    }
}

/// The place of the component called `name`.
fn find(contents: &CheckpointContents, name: &str) -> Result<usize, InspectError> {
    let named = |kind: TypeKind| {
        contents.types.iter().position(|each| each.kind == kind && each.name == name)
    };
    // No type has an empty name, though a file may say so.
    let Some(place) = named(TypeKind::Component).filter(|_| !name.is_empty()) else {
        let others = [TypeKind::Event, TypeKind::Resource, TypeKind::Toggle].into_iter();
        return Err(match others.into_iter().find(|&kind| named(kind).is_some()) {
            Some(kind) => InspectError::NotComponent { name: name.to_owned(), kind },
            None => InspectError::Unknown { component: name.to_owned() },
        });
    };
    match contents.types[place].list {
        Some(_) => Err(InspectError::List { component: name.to_owned() }),
        None => Ok(place),
    }
}
