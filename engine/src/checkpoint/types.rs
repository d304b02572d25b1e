//! Types of a file, and those of a world: which one is which, and which ones are dropped or migrated.

use crate::storage::component::{ComponentInfo, Kind, Registry, TypeShape};
use crate::storage::links::{ChildOf, Children};
use crate::storage::{ComponentDescription, ComponentId};

use super::error::{CheckpointError, TypeDifference};
use super::manifest::{Link, TypeRecord, layout_of};
use super::migration::Migration;
use super::plan::{ReadPlan, Unknown};
use super::plan_error::PlanError;

/// The decision about a type of a file.
#[derive(Clone, Copy)]
pub(super) enum Fate<'p> {
    /// Nothing of it is read.
    Dropped,
    /// Its bytes are values of a type of the world.
    Kept(ComponentId),
    /// As [`Fate::Kept`], of a described component that the schema lacks.
    KeptBytes(ComponentId),
    /// Values of a type of the world are made of its bytes.
    Migrated(ComponentId, &'p Migration),
}

impl<'p> Fate<'p> {
    /// The type of the world, unless it is dropped.
    pub(super) fn id(self) -> Option<ComponentId> {
        match self {
            Self::Dropped => None,
            Self::Kept(id) | Self::KeptBytes(id) | Self::Migrated(id, _) => Some(id),
        }
    }

    pub(super) fn migration(self) -> Option<&'p Migration> {
        if let Self::Migrated(_, migration) = self { Some(migration) } else { None }
    }
}

fn differs(record: &TypeRecord, difference: TypeDifference) -> CheckpointError {
    CheckpointError::DifferentType { component: record.name.clone(), difference }
}

/// The fates of the types of a file, in their order, by `plan`. Components that `registry` lacks are registered by
/// their bytes. `in_use` tells whether an archetype has a component.
pub(super) fn register_types<'p>(
    types: &[TypeRecord],
    registry: &mut Registry,
    in_use: impl Fn(ComponentId) -> bool,
    plan: &'p ReadPlan,
) -> Result<Vec<Fate<'p>>, CheckpointError> {
    let mut fates = Vec::with_capacity(types.len());
    let mut ids = Vec::with_capacity(types.len());
    for (number, record) in types.iter().enumerate() {
        let fate = match record.kind {
            // The parser has found it to be the column of handles.
            _ if number == 0 => Fate::Kept(ComponentId::ENTITY),
            Kind::Toggle => {
                let switched = &types[record.switches];
                register_toggle(fates[record.switches], switched, registry, &in_use)?
            }
            kind if plan.drops(kind, &record.name) => Fate::Dropped,
            _ if record.link.is_some() => Fate::Kept(register_link(record, registry)?),
            kind => {
                let name = plan.renamed(kind, &record.name, registry);
                match registry.id_of_name(name, kind) {
                    Some(id) => fate_of_known(record, (id, name), registry, plan)?,
                    None => register_unknown(record, registry, plan.about_unknown())?,
                }
            }
        };
        fates.push(fate);
        let Some(id) = fate.id() else { continue };
        let difference = match fate {
            Fate::Migrated(..) => None,
            _ => difference(record, registry.info(id)),
        };
        if let Some(difference) = difference {
            return Err(differs(record, difference));
        }
        if ids.contains(&id) {
            return Err(differs(record, TypeDifference::Name));
        }
        ids.push(id);
    }
    for (record, fate) in types.iter().zip(&fates) {
        let toggle = fate.id().and_then(|id| registry.info(id).toggle());
        if toggle.is_some_and(|toggle| !ids.contains(&toggle)) {
            return Err(differs(record, TypeDifference::Toggle));
        }
    }
    check_links(types, &fates)?;
    Ok(fates)
}

fn register_toggle<'p>(
    of: Fate<'p>,
    switched: &TypeRecord,
    registry: &mut Registry,
    in_use: impl Fn(ComponentId) -> bool,
) -> Result<Fate<'p>, CheckpointError> {
    let Some(component) = of.id() else { return Ok(Fate::Dropped) };
    let (toggle, info) = (registry.info(component).toggle(), registry.info(component));
    let id = match toggle {
        Some(toggle) => toggle,
        None if in_use(component) || info.is_engine_owned() => {
            return Err(differs(switched, TypeDifference::Toggle));
        }
        None => registry.add_toggle(component)?,
    };
    Ok(if let Fate::KeptBytes(_) = of { Fate::KeptBytes(id) } else { Fate::Kept(id) })
}

fn register_link(
    record: &TypeRecord,
    registry: &mut Registry,
) -> Result<ComponentId, CheckpointError> {
    Ok(match record.link {
        Some(Link::ChildOf) => registry.register::<ChildOf>(Kind::Component, &|_, _| true)?,
        _ => registry.register::<Children>(Kind::Component, &|_, _| true)?,
    })
}

/// The fate of a type that has the name of one of the schema.
fn fate_of_known<'p>(
    record: &TypeRecord,
    (id, name): (ComponentId, &str),
    registry: &Registry,
    plan: &'p ReadPlan,
) -> Result<Fate<'p>, CheckpointError> {
    let info = registry.info(id);
    let migration = plan.migration(record.kind, name, record.version);
    let Some(migration) = migration.filter(|_| difference(record, info).is_some()) else {
        return Ok(Fate::Kept(id));
    };
    if record.list.is_some() != info.list().is_some() {
        return Err(differs(record, TypeDifference::List));
    }
    let file = record.list.map_or(record.size, |list| list.size);
    if file != migration.size {
        let component = record.name.clone();
        return Err(CheckpointError::MigrationSize { component, file, migration: migration.size });
    }
    Ok(Fate::Migrated(id, migration))
}

/// Registers a component that the schema lacks by its bytes, or drops the type.
fn register_unknown<'p>(
    record: &TypeRecord,
    registry: &mut Registry,
    unknown: Unknown,
) -> Result<Fate<'p>, CheckpointError> {
    let TypeRecord { name, is_stable, version, size, align, .. } = record;
    let is_bytes = record.kind == Kind::Component && record.list.is_none() && *size > 0;
    match unknown {
        Unknown::Drop => return Ok(Fate::Dropped),
        Unknown::Keep if is_bytes => {}
        _ => return Err(CheckpointError::UnknownType { component: name.clone() }),
    }
    let description = ComponentDescription { name, size: *size, align: *align };
    let shape = TypeShape {
        is_stable: *is_stable,
        version: *version,
        ..TypeShape::described(&description)
    };
    let id = registry.register_shape(&shape, Kind::Component, &|_, _| true)?;
    Ok(Fate::KeptBytes(id))
}

/// The links of the hierarchy are dropped together or not at all: each names the other in other rows.
fn check_links(types: &[TypeRecord], fates: &[Fate<'_>]) -> Result<(), PlanError> {
    let links = || types.iter().zip(fates).filter(|(record, _)| record.link.is_some());
    let dropped = links().find(|(_, fate)| fate.id().is_none());
    let kept = links().find(|(_, fate)| fate.id().is_some());
    match (dropped, kept) {
        (Some((dropped, _)), Some((kept, _))) => {
            let (name, partner) = (dropped.name.clone(), kept.name.clone());
            Err(PlanError::Partner { name, partner })
        }
        _ => Ok(()),
    }
}

/// The difference of a type of the file and the one that has its name.
fn difference(record: &TypeRecord, info: &ComponentInfo) -> Option<TypeDifference> {
    let (version, list) = (info.version(), info.list());
    // The engine's own have names and versions of the program, and toggles those of their components.
    let is_own = record.link.is_some() || record.kind == Kind::Toggle;
    if !is_own && record.version != version {
        return Some(TypeDifference::Version { file: record.version, schema: version });
    }
    if record.list.is_some() != list.is_some() {
        return Some(TypeDifference::List);
    }
    let of_file = record.list.map_or((record.size, record.align), |list| (list.size, list.align));
    let own = list.map_or((info.size(), info.align()), |list| (list.size, list.align));
    if of_file.0 != own.0 {
        return Some(TypeDifference::Size { file: of_file.0, schema: own.0 });
    }
    if of_file.1 != own.1 {
        return Some(TypeDifference::Align { file: of_file.1, schema: own.1 });
    }
    let layouts = record.layout.as_ref().zip(layout_of(info));
    layouts.filter(|(file, own)| *file != own).map(|_| TypeDifference::Layout)
}
