//! [`first_difference`]: where two worlds that should be equal first differ.
//!
//! Two runs in lock step compare one number a frame, the hash of their states. Once those differ,
//! this finds the value that went wrong, and reads everything to do so.

use std::fmt;

use crate::query::readable::Readable;
use crate::storage::component::{ComponentInfo, Kind, Registry};
use crate::storage::layout::Value;
use crate::storage::rows::Rows;
use crate::storage::{ComponentId, Entity};
use crate::world::index::{Location, Slot};
use crate::world::store::Store;

/// Where two states differ.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Difference<'a> {
    /// An entity is alive in one of them only.
    Alive {
        /// The entity.
        entity: Entity,
        /// Whether it is alive in the first of the two.
        in_first: bool,
    },
    /// An entity has a component in one of them only.
    Has {
        /// The entity.
        entity: Entity,
        /// The component.
        component: &'static str,
        /// Whether it has it in the first of the two.
        in_first: bool,
    },
    /// A component has another value.
    Value {
        /// The entity.
        entity: Entity,
        /// The component.
        component: &'static str,
        /// The value in the first of the two.
        first: Value<'a>,
        /// The value in the second.
        second: Value<'a>,
    },
    /// A resource has another value, or a value in one of them only.
    Resource {
        /// The resource.
        resource: &'static str,
        /// The value in the first of the two.
        first: Option<Value<'a>>,
        /// The value in the second.
        second: Option<Value<'a>>,
    },
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |in_first: &bool| if *in_first { "first" } else { "second" };
        match self {
            Self::Alive { entity, in_first } => {
                write!(formatter, "entity {entity} is alive in the {} only", name(in_first))
            }
            Self::Has { entity, component, in_first } => {
                write!(formatter, "entity {entity} has {component} in the {} only", name(in_first))
            }
            Self::Value { entity, component, first, second } => {
                write!(formatter, "{component} of entity {entity} is {first:?} and {second:?}")
            }
            Self::Resource { resource, first, second } => {
                write!(formatter, "resource {resource} is {first:?} and {second:?}")
            }
        }
    }
}

/// The first difference of two worlds or views: in the order of entity indices, there in that of
/// component ids in the first one, and then of resources. `None` where all that both can read is
/// equal: the handles of entities, their components by name, and resources.
///
/// For two processes, two runs or a world and its replica; of one schema, or of types under the same
/// names. Reads everything, until it finds something. The rows of entities in their tables, and
/// events, do not matter.
///
/// ```
/// # use convoy_engine::World;
/// # use convoy_engine::snapshot::first_difference;
/// let (mut one, mut other) = (World::new(), World::new());
/// let ships = [&mut one, &mut other].map(|world| world.spawn((1.5_f32, 7_u32)));
/// assert!(first_difference(&one, &other).is_none());
/// *other.get_mut::<f32>(ships[1]).unwrap() += 0.25;
/// let difference = first_difference(&one, &other).unwrap();
/// assert!(difference.to_string().starts_with("f32 of entity 0v1 is"));
/// ```
pub fn first_difference<'a>(
    first: &'a impl Readable,
    second: &'a impl Readable,
) -> Option<Difference<'a>> {
    let (first, second) = (first.store(), second.store());
    let (registry, other) = (&first.catalog().registry, &second.catalog().registry);
    let shared = shared_ids(registry, other);
    let entities = first.slots().zip(second.slots());
    let found = entities.and_then(|(slots, others)| {
        (0..slots.len().max(others.len())).find_map(|index| {
            let pair = [&slots, &others].map(|slots| occupant(slots, index));
            compare_entities(&first, &second, pair, &shared)
        })
    });
    found.or_else(|| {
        let pairs = shared.iter().filter(|(id, _)| registry.info(*id).kind() == Kind::Resource);
        pairs.into_iter().find_map(|&(id, other_id)| {
            let rows = (first.resource_rows(id)?, second.resource_rows(other_id)?);
            let bytes = |rows: Rows<'a>| (rows.len() > 0).then(|| rows.bytes(0..1));
            let (mine, theirs) = (bytes(rows.0), bytes(rows.1));
            (mine != theirs).then(|| Difference::Resource {
                resource: registry.info(id).name(),
                first: mine.map(|bytes| value(registry.info(id), bytes)),
                second: theirs.map(|bytes| value(other.info(other_id), bytes)),
            })
        })
    })
}

/// The ids of types that both know under one name, with one size.
fn shared_ids(first: &Registry, second: &Registry) -> Vec<(ComponentId, ComponentId)> {
    let known = first.ids();
    let ids = known.iter().skip(1).filter_map(|id| {
        let info = first.info(id);
        let other = second.id_of_name(info.name(), info.kind())?;
        (second.info(other).size() == info.size()).then_some((id, other))
    });
    ids.collect()
}

fn occupant(slots: &Rows<'_>, index: usize) -> Option<(Entity, Location)> {
    (index < slots.len()).then(|| slots.get::<Slot>(index).occupant(index)).flatten()
}

fn value<'a>(info: &ComponentInfo, bytes: &'a [u8]) -> Value<'a> {
    Value::new(info.layout().filter(|_| info.list().is_none()), bytes)
}

/// The first difference of the entities at one index.
fn compare_entities<'a>(
    first: &Store<'a>,
    second: &Store<'a>,
    pair: [Option<(Entity, Location)>; 2],
    shared: &[(ComponentId, ComponentId)],
) -> Option<Difference<'a>> {
    let (entity, at, other_at) = match pair {
        [Some((entity, at)), Some((other, other_at))] if entity == other => (entity, at, other_at),
        [Some((entity, _)), _] => return Some(Difference::Alive { entity, in_first: true }),
        [None, Some((entity, _))] => return Some(Difference::Alive { entity, in_first: false }),
        [None, None] => return None,
    };
    let (table, other_table) = (at.archetype.index(), other_at.archetype.index());
    shared.iter().find_map(|&(id, other_id)| {
        let (info, other_info) =
            (first.catalog().registry.info(id), second.catalog().registry.info(other_id));
        if info.kind() == Kind::Event || info.kind() == Kind::Resource {
            return None;
        }
        let has = first.table(table).mask().contains(id);
        if has != second.table(other_table).mask().contains(other_id) {
            return Some(Difference::Has { entity, component: info.name(), in_first: has });
        }
        // Neither has it, or one of the two can't read it.
        let (rows, others) = (first.rows(table, id)?, second.rows(other_table, other_id)?);
        let (row, other_row) = (at.row as usize, other_at.row as usize);
        let bytes =
            (first.value_bytes(rows, id, row), second.value_bytes(others, other_id, other_row));
        (bytes.0 != bytes.1).then(|| Difference::Value {
            entity,
            component: info.name(),
            first: value(info, bytes.0),
            second: value(other_info, bytes.1),
        })
    })
}
