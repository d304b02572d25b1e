//! Run-time components: described by name, size and alignment, written and read as bytes by id.
//!
//! A described component is a component like any other: it has a column in every table that
//! holds it, snapshots capture it, replicas copy it. All operations here take typed components as
//! well, and some bytes may be no value of those.
//!
//! Everything is checked before anything changes: ids, lengths, repetitions, values, the handle.

use std::ops::Range;
use std::sync::Arc;

use convoy_pool::MemoryError;

use crate::storage::archetype::ArchetypeId;
use crate::storage::component::ComponentInfo;
use crate::storage::list::Handle;
use crate::storage::{ComponentDescription, ComponentId, ComponentMask, Entity, RegisterError};

use super::bundle::BundleInfo;
use super::core::World;
use super::edges::{Direction, UntypedName};
use super::error::{ComponentError, RefusedBytes, SpawnError};
use super::index::Location;
use super::parts::Plans;
use super::state::State;

/// # Components by id and bytes
impl World {
    /// Registers a component by name, size and alignment, or finds it registered.
    ///
    /// Where a type of that name and shape is registered, the description stands for its column; where the
    /// type is registered later, by [`World::register`], it takes the description's column over, if all bytes
    /// that entities have of it are values of the type. The name of a type is that of `std::any::type_name`;
    /// types of this crate go by their public path, such as `convoy_engine::Entity`.
    ///
    /// The name is kept for as long as the process runs, once.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use convoy_engine::component::ComponentDescription;
    /// let mut world = World::new();
    /// let wind = ComponentDescription { name: "wind", size: 8, align: 4 };
    /// let wind = world.register_described(wind).unwrap();
    /// let entity = world.spawn_described(&[(wind, &[0; 8])]).unwrap();
    /// world.set_bytes(entity, wind, &[1; 8]).unwrap();
    /// assert_eq!(world.get_bytes(entity, wind).unwrap(), [1; 8]);
    /// assert_eq!(world.component_id_by_name("wind"), Some(wind));
    /// ```
    ///
    /// # Errors
    ///
    /// When the size is zero, not a multiple of the alignment, or larger than a chunk; when the
    /// alignment is not a power of two or stricter than that of chunks; when a component of this
    /// name has another shape; or when the world knows
    /// [`COMPONENTS_MAX`](crate::component::COMPONENTS_MAX) types already.
    pub fn register_described(
        &mut self,
        description: ComponentDescription<'_>,
    ) -> Result<ComponentId, RegisterError> {
        let known = self.component_id_by_name(description.name).map(|id| (id, self.info_of(id)));
        if let Some((id, info)) = known
            && (info.size(), info.align()) == (description.size, description.align)
            && info.size() > 0
            && info.list().is_none()
        {
            return Ok(id);
        }
        Arc::make_mut(&mut self.catalog).registry.register_described(&description)
    }

    fn info_of(&self, id: ComponentId) -> &ComponentInfo {
        self.catalog.registry.info(id)
    }

    /// Spawns an entity with components given as ids and bytes. Amortised constant time per
    /// component.
    ///
    /// # Errors
    ///
    /// When an id is unknown, repeated, or that of the entity handles; when bytes are not as many
    /// as one value has, or none of its type; otherwise as [`World::try_spawn`]. The world is
    /// unchanged.
    pub fn spawn_described(
        &mut self,
        components: &[(ComponentId, &[u8])],
    ) -> Result<Entity, SpawnError> {
        self.check_whole()?;
        let mask = self.check_values(None, components)?;
        self.all_or_nothing(|world| {
            let archetype = world.archetype_of(&mask);
            world.spawn_values(archetype, components)
        })
    }

    fn spawn_values(
        &mut self,
        archetype: ArchetypeId,
        components: &[(ComponentId, &[u8])],
    ) -> Result<Entity, SpawnError> {
        loop {
            if let Some(entity) = self.append_described(archetype, components) {
                return Ok(entity);
            }
            self.prepare_spawn(archetype)?;
        }
    }

    /// Inserts components given as ids and bytes, replacing those that `entity` has already.
    ///
    /// # Errors
    ///
    /// When the handle is stale; when an id is unknown, repeated, or that of the entity handles;
    /// when bytes are not as many as one value has, or none of its type; when memory runs out. The
    /// world is unchanged.
    pub fn insert_described(
        &mut self,
        entity: Entity,
        components: &[(ComponentId, &[u8])],
    ) -> Result<(), ComponentError> {
        let from = self.locate(entity)?;
        self.check_whole()?;
        let mask = self.check_values(Some(entity), components)?;
        self.insert_checked((entity, from), mask, components)
    }

    /// Gives an entity an empty list of component `id`, which is one.
    pub(crate) fn insert_empty_list(
        &mut self,
        entity: Entity,
        id: ComponentId,
    ) -> Result<(), ComponentError> {
        let from = self.locate(entity)?;
        self.check_whole()?;
        assert!(self.info_of(id).list().is_some(), "the component is a list");
        let empty = bytemuck::bytes_of(&Handle::EMPTY);
        self.insert_checked((entity, from), ComponentMask::from_iter([id]), &[(id, empty)])
    }

    /// Inserts components whose values were checked.
    fn insert_checked(
        &mut self,
        (entity, from): (Entity, Location),
        mask: ComponentMask,
        components: &[(ComponentId, &[u8])],
    ) -> Result<(), ComponentError> {
        let name = (Direction::Insert, mask);
        if self.untyped_edge((entity, from), name)? != from.archetype {
            return self.move_untyped((entity, from), name, components);
        }
        self.attempt(|world| world.own_values(name, from, components))?;
        let Self {
            plans: Plans { edges, .. }, state: State { tables, .. }, catalog, memory, ..
        } = self;
        let (row, now) = (from.row as usize, memory.now());
        let table = &mut tables[from.archetype.index()];
        let edge = edges.find_untyped(from.archetype, name).expect("the edge was worked out");
        table.enable(edge.enabled(), row..row + 1, now);
        for &(id, bytes) in components {
            let position = table.position(id).expect("the table has the component");
            let value = catalog.registry.value(id, bytes).expect("the bytes were checked");
            table.row_mut(position, row, now).write_bytes(value);
        }
        Ok(())
    }

    /// Makes the values of components that an entity has, and their toggles, writable.
    fn own_values(
        &mut self,
        name: UntypedName,
        at: Location,
        components: &[(ComponentId, &[u8])],
    ) -> Result<(), MemoryError> {
        let Self { plans: Plans { edges, .. }, state: State { tables, .. }, memory, .. } = self;
        let (table, row) = (&mut tables[at.archetype.index()], at.row as usize);
        for &(id, _) in components {
            let position = table.position(id).expect("the archetype has the component");
            table.own_value(position, row, memory)?;
        }
        let edge = edges.find_untyped(at.archetype, name).expect("the edge was worked out");
        for &toggle in edge.enabled() {
            table.own_value(usize::from(toggle), row, memory)?;
        }
        Ok(())
    }

    /// Removes the components of these ids from `entity`.
    ///
    /// # Errors
    ///
    /// When the handle is stale, an id is unknown, repeated, or that of the entity handles, the
    /// entity lacks one of the components, or memory runs out. The world is unchanged.
    pub fn remove_described(
        &mut self,
        entity: Entity,
        components: &[ComponentId],
    ) -> Result<(), ComponentError> {
        let from = self.locate(entity)?;
        self.check_whole()?;
        let mask = self.check_ids(components.iter().copied(), Direction::Remove)?;
        let held = self.catalog.archetype(from.archetype).mask();
        if let Some(id) = mask.difference(held).iter().next() {
            return Err(ComponentError::Missing { entity, component: self.info_of(id).name() });
        }
        let name = (Direction::Remove, mask);
        if self.untyped_edge((entity, from), name)? != from.archetype {
            self.move_untyped((entity, from), name, &[])?;
        }
        Ok(())
    }

    /// Overwrites the component `id` of `entity`. Its chunk is copied first when a snapshot shares
    /// it.
    ///
    /// # Errors
    ///
    /// When the handle is stale, the id is unknown or that of the entity handles, the bytes are
    /// not as many as one value has or no value of its type, `entity` lacks the component, or memory
    /// runs out. The world is unchanged.
    pub fn set_bytes(
        &mut self,
        entity: Entity,
        id: ComponentId,
        bytes: &[u8],
    ) -> Result<(), ComponentError> {
        let at = self.locate(entity)?;
        self.set_row_bytes((at.archetype.index(), at.row as usize), id, bytes)
    }

    /// Overwrites the component `id` of one row of a table, as [`World::set_bytes`].
    pub(crate) fn set_row_bytes(
        &mut self,
        (table, row): (usize, usize),
        id: ComponentId,
        bytes: &[u8],
    ) -> Result<(), ComponentError> {
        let held = &self.state.tables[table];
        // A replica may lack the handles.
        let handles = self.role.may_read(ComponentId::ENTITY);
        let entity = handles.then(|| held.entity(row));
        self.check_values(entity, &[(id, bytes)])?;
        let component = self.info_of(id).name();
        let table = &mut self.state.tables[table];
        match table.position(id) {
            Some(position) if self.role.may_read(id) => {
                let value = self.catalog.registry.value(id, bytes).expect("the bytes were checked");
                table.own_value(position, row, &mut self.memory)?.write_bytes(value);
                Ok(())
            }
            Some(_) => Err(ComponentError::NotReadable { component }),
            None => {
                let entity = entity.expect("a run of a query by ids has the components");
                Err(ComponentError::Missing { entity, component })
            }
        }
    }

    /// The bytes of a run of rows of a table, which lie in one chunk of the column of `id`, for writing.
    pub(crate) fn own_run_bytes(
        &mut self,
        (table, run): (usize, Range<usize>),
        id: ComponentId,
    ) -> Result<&mut [u8], ComponentError> {
        self.check_ids([id].into_iter(), Direction::Insert)?;
        let (info, component) = (self.info_of(id), self.info_of(id).name());
        if !info.accepts_any_bytes() {
            return Err(ComponentError::NotAnyBytes { component });
        }
        if !self.role.may_read(id) {
            return Err(ComponentError::NotReadable { component });
        }
        let Self { state: State { tables, .. }, catalog, memory, .. } = self;
        let bytes = tables[table].own_bytes(id, run, (&catalog.registry, memory))?;
        Ok(bytes.expect("a run of a query by ids has the components"))
    }

    /// Checks that ids are of components, none of them twice, and that bytes are values.
    fn check_values(
        &self,
        entity: Option<Entity>,
        components: &[(ComponentId, &[u8])],
    ) -> Result<ComponentMask, SpawnError> {
        let mask = self.check_ids(components.iter().map(|&(id, _)| id), Direction::Insert)?;
        for &(id, bytes) in components {
            let (info, found) = (self.info_of(id), bytes.len());
            if found != info.size() {
                let (component, expected) = (info.name(), info.size());
                return Err(SpawnError::Bytes { component, expected, found });
            }
            if !info.is_value(bytes) {
                let (component, value) = (info.name(), RefusedBytes::new(bytes));
                return Err(SpawnError::Value { entity, component, value });
            }
        }
        Ok(mask)
    }

    /// The components of these ids with their toggles. Lists are taken away by their ids, and given by no bytes.
    fn check_ids(
        &self,
        ids: impl Iterator<Item = ComponentId>,
        direction: Direction,
    ) -> Result<ComponentMask, SpawnError> {
        let mut mask = ComponentMask::NONE;
        for id in ids {
            let info = self.catalog.registry.component(id).ok_or(SpawnError::Unknown { id })?;
            if id == ComponentId::ENTITY {
                return Err(SpawnError::Reserved);
            }
            let is_refused = match direction {
                Direction::Insert => info.is_engine_owned(),
                Direction::Remove => info.is_link(),
            };
            if is_refused {
                return Err(SpawnError::EngineOwned { component: info.name() });
            }
            if !mask.insert(id) {
                return Err(SpawnError::Duplicate { component: info.name() });
            }
        }
        Ok(self.catalog.registry.with_toggles(&mask))
    }

    /// The end of the edge of this name. If it is new, it is worked out now, and the move of `entity` along
    /// it is prepared.
    fn untyped_edge(
        &mut self,
        (entity, from): (Entity, Location),
        name: UntypedName,
    ) -> Result<ArchetypeId, MemoryError> {
        if let Some(edge) = self.plans.edges.find_untyped(from.archetype, name) {
            return Ok(edge.target);
        }
        self.all_or_nothing(|world| {
            let (direction, bundle) = (name.0, BundleInfo::of(name.1));
            let ends = match direction {
                Direction::Insert => (&BundleInfo::NONE, &bundle),
                Direction::Remove => (&bundle, &BundleInfo::NONE),
            };
            let edge = world.new_edge(from.archetype, ends);
            let target = edge.target;
            world.plans.edges.add_untyped(from.archetype, name, edge);
            world.prepare_move_to(target, (entity, from))?;
            Ok(target)
        })
    }
}
