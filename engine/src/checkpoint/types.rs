//! Types of a file, and those of a world: which one is which.

use crate::storage::component::{ComponentInfo, Kind, Registry, TypeShape};
use crate::storage::links::{ChildOf, Children};
use crate::storage::{ComponentDescription, ComponentId};

use super::error::{CheckpointError, TypeDifference};
use super::manifest::{Link, TypeRecord, layout_of};

/// The ids that the types of a file have in `registry`, in their order; components that it lacks are registered by
/// their bytes. `in_use` tells whether an archetype has a component.
pub(super) fn register_types(
    types: &[TypeRecord],
    registry: &mut Registry,
    in_use: impl Fn(ComponentId) -> bool,
) -> Result<Vec<ComponentId>, CheckpointError> {
    let mut ids = Vec::with_capacity(types.len());
    let differs = |record: &TypeRecord, difference| CheckpointError::DifferentType {
        component: record.name.clone(),
        difference,
    };
    for (number, record) in types.iter().enumerate() {
        let id = match record.kind {
            // The parser has found it to be the column of handles.
            _ if number == 0 => ComponentId::ENTITY,
            Kind::Toggle => {
                let component: ComponentId = ids[record.switches];
                match registry.info(component).toggle() {
                    Some(toggle) => toggle,
                    None if in_use(component) || registry.info(component).is_engine_owned() => {
                        return Err(differs(&types[record.switches], TypeDifference::Toggle));
                    }
                    None => registry.add_toggle(component)?,
                }
            }
            _ if record.link.is_some() => register_link(record, registry)?,
            kind => match registry.id_of_name(&record.name, kind) {
                Some(id) => id,
                None => register_unknown(record, registry)?,
            },
        };
        if let Some(difference) = difference(record, registry.info(id)) {
            return Err(differs(record, difference));
        }
        if ids.contains(&id) {
            return Err(differs(record, TypeDifference::Name));
        }
        ids.push(id);
    }
    for (record, &id) in types.iter().zip(&ids) {
        let is_parted = registry.info(id).toggle().is_some_and(|toggle| !ids.contains(&toggle));
        if is_parted {
            return Err(differs(record, TypeDifference::Toggle));
        }
    }
    Ok(ids)
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

/// Registers a component by its bytes.
fn register_unknown(
    record: &TypeRecord,
    registry: &mut Registry,
) -> Result<ComponentId, CheckpointError> {
    let TypeRecord { name, is_stable, version, size, align, .. } = record;
    let is_bytes = record.kind == Kind::Component && record.list.is_none() && *size > 0;
    if !is_bytes {
        return Err(CheckpointError::UnknownType { component: name.clone() });
    }
    let description = ComponentDescription { name, size: *size, align: *align };
    let shape = TypeShape {
        is_stable: *is_stable,
        version: *version,
        ..TypeShape::described(&description)
    };
    Ok(registry.register_shape(&shape, Kind::Component, &|_, _| true)?)
}

/// The difference of a type of the file and the one that has its name.
fn difference(record: &TypeRecord, info: &ComponentInfo) -> Option<TypeDifference> {
    let (version, list) = (info.version(), info.list());
    // The engine's own have names and versions of the program.
    if record.link.is_none() && record.version != version {
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
