//! [`World::apply_mapped`]: a world with entities of its own takes over what has changed elsewhere.
//!
//! A delta is physical: it says which rows have other bytes, and not whose they were. So a map keeps the
//! state of the source as a world of its own, applies the delta to that, and takes the logical changes from
//! the difference before and after: who came and went, and what each has, lost, or has another value of.

use std::collections::HashMap;
use std::fmt;

use crate::snapshot::SnapshotPool;
use crate::snapshot::diff::Diff;
use crate::storage::component::{DISABLED, ENABLED, Kind};
use crate::storage::layout::{Layout, LayoutKind};
use crate::storage::links::ChildOf;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::hierarchy::HierarchyError;
use crate::world::{ComponentError, SpawnError, World, WorldConfig};

use super::error::DeltaError;
use super::parse::Delta;

/// Which entities of a source are which ones of a world that follows it by [`World::apply_mapped`], and the
/// state of the source.
///
/// It takes as much memory as the source, as a delta says what has changed only to those who know what was.
pub struct EntityMap {
    source: World,
    pool: SnapshotPool,
    own: HashMap<Entity, Entity>,
}

/// The changes that [`World::apply_mapped`] has made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct MappedReport {
    /// Entities that came.
    pub spawned: usize,
    /// Entities that went.
    pub despawned: usize,
    /// Components that entities got or lost.
    pub moved: usize,
    /// Values that changed.
    pub changed: usize,
}

impl EntityMap {
    /// A map of no entities, of a source with this configuration: its schema, and the size of its chunks.
    pub fn new(config: WorldConfig) -> Self {
        let (source, pool) = (World::with_config(config), SnapshotPool::default());
        Self { source, pool, own: HashMap::new() }
    }

    /// The entity that stands for one of the source.
    pub fn get(&self, theirs: Entity) -> Option<Entity> {
        self.own.get(&theirs).copied()
    }

    /// Lets an entity that is there already stand for one of the source, also one that comes later. Returns
    /// the one that did before.
    pub fn insert(&mut self, theirs: Entity, own: Entity) -> Option<Entity> {
        self.own.insert(theirs, own)
    }

    /// All pairs of an entity of the source and the one that stands for it, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Entity, Entity)> {
        self.own.iter().map(|(&theirs, &own)| (theirs, own))
    }

    /// The state of the source as of the last delta, to read, and to register types in that a schema lacks.
    pub fn source_mut(&mut self) -> &mut World {
        &mut self.source
    }
}

impl fmt::Debug for EntityMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EntityMap")
            .field("entities", &self.own.len())
            .finish_non_exhaustive()
    }
}

/// # Deltas
impl World {
    /// Makes the changes of `delta` to the entities that stand for those of its source, among others that
    /// this world has: spawns, despawns, inserts, removes, switches and links them, and sets the values that
    /// have changed. Handles in components are translated where layouts tell of them; one that nobody stands
    /// for becomes [`Entity::NONE`]. Resources, events and the tick are left alone.
    ///
    /// Types are found by their names, and handles by `map`. The changes that this world has made to the entities
    /// since stay, but for the values that the source has changed; entities that it has despawned stay away. Costs
    /// memory for the state of the source, and a copy of each chunk that is written, for the case of an error.
    ///
    /// ```
    /// use convoy_engine::delta::{Delta, EntityMap};
    /// use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
    ///
    /// let (mut source, pool) = (World::new(), SnapshotPool::default());
    /// let ship = source.spawn((7_u32,));
    /// let view = source.capture(ComponentMask::ALL, &pool);
    /// let mut bytes = Vec::new();
    /// Delta::encode(None, &view, &mut bytes).unwrap();
    ///
    /// let mut world = World::new();
    /// let harbour = world.spawn((0_u32, 1.5_f32));
    /// let mut map = EntityMap::new(WorldConfig::default());
    /// map.source_mut().register::<u32>().unwrap();
    /// world.apply_mapped(&Delta::parse(&bytes).unwrap(), &mut map).unwrap();
    /// let own = map.get(ship).unwrap();
    /// assert_ne!(own, harbour);
    /// assert_eq!(world.get::<u32>(own), Ok(&7));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`World::apply`], for the state of the source that `map` has; when this world lacks a type of the
    /// source, or has another one under its name; and when its memory runs out. World and map are unchanged.
    pub fn apply_mapped(
        &mut self,
        delta: &Delta<'_>,
        map: &mut EntityMap,
    ) -> Result<MappedReport, DeltaError> {
        if self.role.is_partial() {
            return Err(DeltaError::PartialReplica);
        }
        let (before, own) = (
            map.source.capture(ComponentMask::ALL, &map.pool),
            self.capture(ComponentMask::ALL, &map.pool),
        );
        map.source.apply(delta)?;
        let handles = map.own.clone();
        let merged = Merging::new(self, map).and_then(|mut merging| {
            let diff = merging.source.changed_since(&before);
            merging.merge(&diff.expect("a view of the same world"))?;
            Ok(merging.report)
        });
        if merged.is_err() {
            self.restore(&own).expect("a whole view of this world");
            map.source.restore(&before).expect("a whole view of that world");
            map.own = handles;
        }
        merged
    }
}

/// A type of the source: its id here, and where handles lie in its values.
struct MappedType {
    own: ComponentId,
    /// Bytes of an element, where it is a list.
    size: Option<usize>,
    /// In a value, or in each element of a list.
    handles: Vec<usize>,
}

/// Changes on their way from the source to a world.
struct Merging<'a> {
    world: &'a mut World,
    source: &'a World,
    own: &'a mut HashMap<Entity, Entity>,
    /// By the ids of the source; none for those that only the engine writes, and for other kinds.
    types: Vec<Option<MappedType>>,
    report: MappedReport,
}

impl<'a> Merging<'a> {
    fn new(world: &'a mut World, map: &'a mut EntityMap) -> Result<Self, DeltaError> {
        let EntityMap { source, own, .. } = map;
        let source = &*source;
        let (registry, theirs) = (&world.catalog.registry, &source.catalog.registry);
        let mut types = Vec::new();
        for id in theirs.ids().iter() {
            let info = theirs.info(id);
            let is_mapped =
                info.kind() == Kind::Component && id != ComponentId::ENTITY && !info.is_link();
            let mapped: Option<Result<_, DeltaError>> = is_mapped.then(|| {
                let known = registry.id_of_name(info.name(), Kind::Component);
                let own = known.filter(|&own| {
                    let own = registry.info(own);
                    own.size() == info.size()
                        && own.list() == info.list()
                        && own.toggle().is_some() == info.toggle().is_some()
                });
                let own = own.ok_or(DeltaError::UnknownType { component: info.name() })?;
                let mut handles = Vec::new();
                info.layout().into_iter().for_each(|layout| add_handles(layout, 0, &mut handles));
                Ok(MappedType { own, size: info.list().map(|list| list.size), handles })
            });
            types.push(mapped.transpose()?);
        }
        world.texts.absorb(&source.texts);
        world.sweep_heaps();
        Ok(Self { world, source, own, types, report: MappedReport::default() })
    }

    fn merge(&mut self, diff: &Diff<'_>) -> Result<(), DeltaError> {
        for theirs in diff.despawned() {
            let Some(own) = self.own.remove(&theirs) else { continue };
            if self.world.contains(own) {
                self.world.despawn(own).map_err(refused)?;
                self.report.despawned += 1;
            }
        }
        let spawned: Vec<Entity> = diff.spawned().collect();
        for &theirs in &spawned {
            if !self.own.contains_key(&theirs) {
                let own = self.world.try_spawn(()).map_err(|error| refused(error.into()))?;
                self.own.insert(theirs, own);
                self.report.spawned += 1;
            }
        }
        for &theirs in &spawned {
            let at = self.source.store().locate(theirs).ok().flatten();
            let table = at.expect("it is alive there").archetype.index();
            let mask = *self.source.store().table(table).mask();
            self.insert(theirs, mask.iter())?;
        }
        let inserted: Vec<_> = diff.inserted().collect();
        for &(theirs, id) in &inserted {
            self.insert(theirs, [id].into_iter())?;
        }
        let removed: Vec<_> = diff.removed().collect();
        for &(theirs, id) in &removed {
            let Some((own, id)) = self.target(theirs, id) else { continue };
            if self.has(own, id) {
                self.world.remove_described(own, &[id]).map_err(refused)?;
                self.report.moved += 1;
            }
        }
        self.set_changed(diff)?;
        self.switch(diff)?;
        let linked = spawned.into_iter().chain(inserted.iter().map(|(theirs, _)| *theirs));
        self.link(diff, linked.collect(), &removed)
    }

    /// The entity here, and the component, if there are both.
    fn target(&self, theirs: Entity, id: ComponentId) -> Option<(Entity, ComponentId)> {
        let own = self.own.get(&theirs).copied().filter(|&own| self.world.contains(own))?;
        Some((own, self.types[id.index()].as_ref()?.own))
    }

    fn has(&self, own: Entity, id: ComponentId) -> bool {
        let at = self.world.store().locate(own).ok().flatten();
        at.is_some_and(|at| self.world.store().table(at.archetype.index()).mask().contains(id))
    }

    /// Adds the value that an entity has in the source, with its handles translated.
    fn translate(&self, id: ComponentId, value: &[u8], bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(value);
        let Some(MappedType { size, handles, .. }) = &self.types[id.index()] else { return };
        let step = size.unwrap_or(value.len()).max(1);
        for first in (start..bytes.len()).step_by(step).filter(|_| !handles.is_empty()) {
            for place in handles.iter().map(|place| first + place) {
                let place = place..place + size_of::<Entity>();
                let theirs: Entity = bytemuck::pod_read_unaligned(&bytes[place.clone()]);
                let own = self.own.get(&theirs).copied().unwrap_or(Entity::NONE);
                bytes[place].copy_from_slice(bytemuck::bytes_of(&own));
            }
        }
    }

    /// Inserts components with their values in the source, switched as there.
    fn insert(
        &mut self,
        theirs: Entity,
        ids: impl Iterator<Item = ComponentId>,
    ) -> Result<(), DeltaError> {
        let store = self.source.store();
        let at = store.locate(theirs).ok().flatten().expect("it is alive there");
        let (table, row) = (at.archetype.index(), at.row as usize);
        let (mut bytes, mut parts, mut own) = (Vec::new(), Vec::new(), None);
        let (mut off, mut lists) = (Vec::new(), Vec::new());
        for id in ids {
            let Some((entity, target)) = self.target(theirs, id) else { continue };
            let rows = store.rows(table, id).expect("the archetype has it");
            own = Some(entity);
            let start = bytes.len();
            self.translate(id, store.value_bytes(rows, id, row), &mut bytes);
            if self.is_list(id) {
                lists.push((target, start..bytes.len()));
                continue;
            }
            parts.push((target, start..bytes.len()));
            let toggle = self.source.catalog.registry.info(id).toggle();
            let toggle = toggle.and_then(|toggle| store.rows(table, toggle));
            if toggle.is_some_and(|rows| *rows.get::<u8>(row) == DISABLED) {
                off.push(target);
            }
        }
        let Some(own) = own else { return Ok(()) };
        let values: Vec<_> = parts.iter().map(|(id, at)| (*id, &bytes[at.clone()])).collect();
        self.world.insert_described(own, &values).map_err(refused)?;
        for (id, at) in &lists {
            self.world.insert_empty_list(own, *id).map_err(refused)?;
            self.set_list(own, *id, &bytes[at.clone()])?;
        }
        self.report.moved += parts.len() + lists.len();
        off.into_iter().try_for_each(|id| self.set_toggle(own, id, false))
    }

    /// Whether a component of the source is a list.
    fn is_list(&self, id: ComponentId) -> bool {
        self.types[id.index()].as_ref().is_some_and(|mapped| mapped.size.is_some())
    }

    fn set_list(
        &mut self,
        own: Entity,
        id: ComponentId,
        elements: &[u8],
    ) -> Result<(), DeltaError> {
        let info = self.world.catalog.registry.info(id);
        let (check, size) = (info.element_check(), info.list().map_or(1, |list| list.size));
        if !elements.chunks_exact(size).all(|element| check.passes(element)) {
            return Err(DeltaError::Value { component: info.name() });
        }
        self.world.set_list_bytes(own, id, elements).map_err(refused)
    }

    fn set_changed(&mut self, diff: &Diff<'_>) -> Result<(), DeltaError> {
        let mut bytes = Vec::new();
        let ids: Vec<ComponentId> =
            diff.components().filter(|id| self.types[id.index()].is_some()).collect();
        for id in ids {
            for change in diff.changed_bytes(id).expect("everything can be read") {
                let Some((own, target)) = self.target(change.entity, id) else { continue };
                if self.has(own, target) {
                    bytes.clear();
                    self.translate(id, change.newer, &mut bytes);
                    if self.is_list(id) {
                        self.set_list(own, target, &bytes)?;
                    } else {
                        self.world.set_bytes(own, target, &bytes).map_err(refused)?;
                    }
                    self.report.changed += 1;
                }
            }
        }
        Ok(())
    }

    fn switch(&mut self, diff: &Diff<'_>) -> Result<(), DeltaError> {
        let registry = &self.source.catalog.registry;
        for id in diff.components() {
            let Some(toggle) = registry.info(id).toggle() else { continue };
            for (theirs, is_on) in diff.switched_by(toggle) {
                let Some((own, target)) = self.target(theirs, id) else { continue };
                self.set_toggle(own, target, is_on)?;
            }
        }
        Ok(())
    }

    fn set_toggle(&mut self, own: Entity, id: ComponentId, is_on: bool) -> Result<(), DeltaError> {
        let at = self.world.store().locate(own).ok().flatten();
        let World { catalog, state, memory, .. } = &mut *self.world;
        let toggle = catalog.registry.info(id).toggle();
        let Some((at, toggle)) = at.zip(toggle) else { return Ok(()) };
        let table = &mut state.tables[at.archetype.index()];
        if let Some(position) = table.position(toggle) {
            let value = if is_on { ENABLED } else { DISABLED };
            table.own_value(position, at.row as usize, memory)?.write(value);
            self.report.changed += 1;
        }
        Ok(())
    }

    /// Gives entities the parents that they have in the source, and these the order of their children.
    fn link(
        &mut self,
        diff: &Diff<'_>,
        mut touched: Vec<Entity>,
        removed: &[(Entity, ComponentId)],
    ) -> Result<(), DeltaError> {
        let Some(child_of) = self.source.catalog.registry.id_of::<ChildOf>(Kind::Component) else {
            return Ok(());
        };
        let changes = diff.changed_bytes(child_of).into_iter().flatten();
        touched.extend(changes.map(|change| change.entity));
        touched.retain(|&theirs| self.source.parent(theirs).ok().flatten().is_some());
        let orphans = removed.iter().filter(|(_, id)| *id == child_of).map(|(theirs, _)| theirs);
        for theirs in touched.iter().chain(orphans) {
            let own = self.own.get(theirs).filter(|own| self.world.contains(**own));
            own.map_or(Ok(None), |&own| self.world.remove_parent(own)).map_err(unlinked)?;
        }
        let parents =
            touched.iter().filter_map(|&theirs| self.source.parent(theirs).ok().flatten());
        let mut parents: Vec<Entity> = parents.collect();
        parents.sort_unstable();
        parents.dedup();
        for parent in parents {
            let Some(&own_parent) = self.own.get(&parent) else { continue };
            for child in self.source.children(parent).into_iter().flatten() {
                let Some(&own) = self.own.get(&child) else { continue };
                match self.world.set_parent(own, own_parent) {
                    // This world has despawned one of them, or linked them otherwise.
                    Ok(())
                    | Err(HierarchyError::NotAlive { .. } | HierarchyError::Cycle { .. }) => {}
                    Err(error) => return Err(unlinked(error)),
                }
            }
        }
        Ok(())
    }
}

fn refused(error: ComponentError) -> DeltaError {
    match error {
        ComponentError::Memory(error) | ComponentError::Bundle(SpawnError::Memory(error)) => {
            DeltaError::Memory(error)
        }
        error => DeltaError::Entities(error),
    }
}

fn unlinked(error: HierarchyError) -> DeltaError {
    match error {
        HierarchyError::Memory(error) => DeltaError::Memory(error),
        HierarchyError::Rows(error) => refused(error.into()),
        HierarchyError::NotAlive { entity } => refused(ComponentError::NotAlive { entity }),
        _ => refused(ComponentError::PartialReplica),
    }
}

/// Where handles lie in a value.
fn add_handles(layout: &Layout, offset: usize, handles: &mut Vec<usize>) {
    match layout.kind() {
        LayoutKind::Entity => handles.push(offset),
        LayoutKind::Array { element, count } => {
            (0..count)
                .for_each(|each| add_handles(element, offset + each * element.size(), handles));
        }
        LayoutKind::Struct(fields) => {
            fields
                .iter()
                .for_each(|field| add_handles(field.layout, offset + field.offset, handles));
        }
        _ => {}
    }
}
