//! [`World`]: construction, and everything that spawns, moves, reads and removes entities.
//!
//! Every operation that can fail does all of its failing first: it makes the chunks that it is
//! going to write writable, which may run out of memory and changes nothing that can be seen, and
//! only then moves rows. So an error always leaves the world as it was.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use convoy_pool::MemoryError;

use crate::storage::archetype::{ArchetypeId, Catalog};
use crate::storage::component::{Check, ChunkShape, Component, ComponentInfo, Kind, Registry};
use crate::storage::epoch::Now;
use crate::storage::history::Memory;
use crate::storage::lineage::Lineage;
use crate::storage::links::engine_owns;
use crate::storage::names::name_of;
use crate::storage::room::push_tight;
use crate::storage::schema::Schema;
use crate::storage::state_hash::StateHashes;
use crate::storage::table::Table;
use crate::storage::table::rows_mut::{NextRow, Removal};
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentId, ComponentMask, Entity, RegisterError};

use super::bundle::{
    AppendSink, Bundle, BundleInfo, ComponentSource, Flat, Positions, RowSink, Values,
};
use super::config::WorldConfig;
use super::edges::{Direction, Edge, EdgeName};
use super::error::{ComponentError, EntityError, SpawnError};
use super::index::{EntityIndex, Location, Slot};
use super::locals::Locals;
use super::parts::{Plans, Progress, ScratchLists};
use super::read_error::{ReadError, not_readable};
use super::role::Role;
use super::source_ids::SourceIds;
use super::state::State;

/// The live, single-writer database of entities, 4,007,362,558 at the most: indices have 32
/// bits, of which command buffers have their shares.
///
/// Components are any `bytemuck::Pod` types, registered on first use or up front with
/// [`World::register`]. Rows of a table are packed: despawning or moving an entity puts the last
/// row in its place, so iteration order is deterministic but changes with removals.
///
/// ```
/// use convoy_engine::World;
///
/// let mut world = World::new();
/// let ship = world.spawn((10.0_f32, 3_u32));
/// world.insert(ship, (7_u8,)).unwrap();
/// *world.get_mut::<u32>(ship).unwrap() += 1;
/// assert_eq!(*world.get::<u32>(ship).unwrap(), 4);
/// assert_eq!(world.remove::<(u8,)>(ship).unwrap(), (7,));
/// assert!(world.get::<u8>(ship).is_err());
/// world.despawn(ship).unwrap();
/// assert!(!world.contains(ship));
/// ```
pub struct World {
    pub(crate) id: WorldId,
    pub(crate) catalog: Arc<Catalog>,
    /// Everything that snapshots capture, but for the counters below.
    pub(crate) state: State,
    pub(crate) memory: Memory,
    pub(crate) event_retention: usize,
    pub(crate) locals: Locals,
    pub(crate) role: Role,
    pub(crate) tick: u64,
    /// How often a sync or a restore has replaced all entities, which voids command buffers.
    pub(crate) lineage: Lineage,
    /// Which types of the source of the last sync are which ones here.
    pub(crate) source_ids: SourceIds,
    pub(crate) plans: Plans,
    pub(crate) scratch: ScratchLists,
    pub(crate) progress: Progress,
    pub(crate) hashes: StateHashes,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty world with the default configuration. Maps no memory yet.
    pub fn new() -> Self {
        Self::with_config(WorldConfig::default())
    }

    /// An empty world that knows the types of `schema`, with the default configuration.
    pub fn with_schema(schema: &Schema) -> Self {
        Self::with_config(WorldConfig::default().schema(schema.clone()))
    }

    /// The schema that the world was made from, or that whose snapshot or types it took over. It may
    /// know other types by now, which come after those of the schema.
    pub fn schema(&self) -> Option<&Schema> {
        self.catalog.schema()
    }

    /// An empty world. Every configuration works, up to what memory holds: each of its numbers is a
    /// wish or a bound, and one beyond what there can be stands for as much as there can be.
    ///
    /// ```
    /// # use convoy_engine::{World, WorldConfig};
    /// let mut world = World::with_config(WorldConfig::default().memory_limit_bytes(0));
    /// assert!(world.try_spawn((1_u32,)).is_err(), "no memory, and no panic");
    /// assert_eq!(world.entity_count(), 0);
    /// ```
    pub fn with_config(config: WorldConfig) -> Self {
        let bytes_max = config.chunk_bytes_max.min(WorldConfig::CHUNK_BYTES_LIMIT);
        let shape = ChunkShape { bytes_max, rows_max: config.chunk_rows_max };
        let catalog = Catalog::new(Registry::new(shape), config.schema);
        let tables =
            catalog.archetypes().iter().map(|each| Table::new(each, &catalog.registry)).collect();
        let slot = ComponentInfo::unregistered::<Slot>(shape);
        let mut world = Self {
            id: WorldId::next(),
            catalog: Arc::new(catalog),
            state: State {
                tables,
                index: EntityIndex::new(&slot),
                logs: Vec::new(),
                resources: Vec::new(),
            },
            memory: Memory::new(config.memory),
            event_retention: config.event_retention,
            locals: Locals::default(),
            role: Role::Original,
            tick: 0,
            lineage: Lineage::default(),
            source_ids: SourceIds::default(),
            plans: Plans::default(),
            scratch: ScratchLists::default(),
            progress: Progress::default(),
            hashes: StateHashes::default(),
        };
        world.add_logs();
        world.add_resources();
        world
    }

    /// Registers `T` as a component, or finds it registered.
    ///
    /// # Errors
    ///
    /// When the world knows [`COMPONENTS_MAX`](crate::COMPONENTS_MAX) types already, or when `T`
    /// is too large or too strictly aligned for a chunk.
    pub fn register<T: Component>(&mut self) -> Result<ComponentId, RegisterError> {
        if let Some(id) = self.catalog.registry.id_of::<T>(Kind::Component) {
            return Ok(id);
        }
        let tables = &self.state.tables;
        let registry = &mut Arc::make_mut(&mut self.catalog).registry;
        registry.register::<T>(Kind::Component, &|id, check| rows_pass(tables, id, check))
    }

    /// The ids of the components of `B`, which are registered if they are new, and of the toggles
    /// of those that can be switched off. Here, and only here, a bundle may also hold [`Entity`]:
    /// it stands for the entity handles.
    ///
    /// # Errors
    ///
    /// As [`World::register`].
    ///
    /// ```
    /// # use convoy_engine::{Entity, World};
    /// let mut world = World::new();
    /// assert_eq!(world.mask_of::<(Entity, f32, u8)>().unwrap().len(), 3);
    /// ```
    pub fn mask_of<B: Bundle>(&mut self) -> Result<ComponentMask, RegisterError> {
        let (mask, registry) = self.look_at_types::<B, _, _>(|registry| {
            let mut mask = ComponentMask::NONE;
            B::find(registry, &mut |id| mask.extend(id));
            Ok::<_, RegisterError>(registry.with_toggles(&mask))
        })?;
        self.take_registry(registry);
        Ok(mask)
    }

    /// Looks at a registry that knows the components of `B`: that of the world, or where some are
    /// new to that, a copy, which is returned as well. So nobody registers a type for an operation
    /// that is refused.
    fn look_at_types<B: Bundle, R, E: From<RegisterError>>(
        &self,
        look: impl FnOnce(&Registry) -> Result<R, E>,
    ) -> Result<(R, Option<Registry>), E> {
        let mut is_known = true;
        B::find(&self.catalog.registry, &mut |id| is_known &= id.is_some());
        if is_known {
            return Ok((look(&self.catalog.registry)?, None));
        }
        let mut registry = self.catalog.registry.clone();
        B::register(&mut registry, &|id, check| rows_pass(&self.state.tables, id, check))?;
        Ok((look(&registry)?, Some(registry)))
    }

    /// Takes a registry over that knows more than the world's.
    fn take_registry(&mut self, registry: Option<Registry>) {
        if let Some(registry) = registry {
            Arc::make_mut(&mut self.catalog).registry = registry;
        }
    }

    /// Ends a frame: the tick grows by one, and the memory of snapshots whose last reader has
    /// left goes back to the arena.
    pub fn advance_tick(&mut self) {
        self.tick += 1;
        self.memory.reclaim();
        self.state.index.take_returned(&mut self.memory);
    }

    /// Spawns an entity with the components of `bundle`.
    ///
    /// # Panics
    ///
    /// Where [`World::try_spawn`] returns an error.
    #[inline]
    #[track_caller]
    pub fn spawn<B: Bundle>(&mut self, bundle: B) -> Entity {
        match self.spawn_row(&bundle) {
            Ok(entity) => entity,
            Err(error) => fail("spawn", &error),
        }
    }

    /// Spawns an entity with the components of `bundle`. Amortised constant time, and one copy of
    /// the components.
    ///
    /// # Errors
    ///
    /// When a component can't be registered or stands in the bundle twice, when memory runs out,
    /// or when all entity slots are taken. The world is unchanged.
    #[inline]
    pub fn try_spawn<B: Bundle>(&mut self, bundle: B) -> Result<Entity, SpawnError> {
        self.spawn_row(&bundle)
    }

    #[inline]
    fn spawn_row<B: Bundle>(&mut self, bundle: &B) -> Result<Entity, SpawnError> {
        self.check_whole()?;
        match self.known_target::<B>() {
            Some(target) => self.spawn_into(target, bundle),
            None => self.spawn_first(bundle),
        }
    }

    /// Spawns the first entity of a bundle.
    #[cold]
    #[inline(never)]
    fn spawn_first<B: Bundle>(&mut self, bundle: &B) -> Result<Entity, SpawnError> {
        self.all_or_nothing(|world| {
            let target = world.find_target::<B>()?;
            world.spawn_into(target, bundle)
        })
    }

    // Always: a bundle that is lent has to be in memory.
    #[inline(always)]
    fn spawn_into<B: Bundle>(
        &mut self,
        (archetype, number): (ArchetypeId, usize),
        bundle: &B,
    ) -> Result<Entity, SpawnError> {
        loop {
            let Self {
                state: State { tables, index, .. },
                plans: Plans { bundles, .. },
                memory,
                ..
            } = self;
            let now = memory.now();
            if let Some(next) = tables[archetype.index()].next_row(now)
                && let location = (Location { archetype, row: next.row() as u32 })
                && let Some(entity) = index.place_next(location, now)
            {
                fill_row::<B>(next, entity, bundles.get(number).own_positions(), bundle);
                return Ok(entity);
            }
            self.prepare_spawn(archetype)?;
        }
    }

    /// Makes the next row of an archetype and the next slot of the index writable.
    #[cold]
    pub(crate) fn prepare_spawn(&mut self, archetype: ArchetypeId) -> Result<(), SpawnError> {
        self.attempt(|world| {
            world.state.tables[archetype.index()].prepare_append(&mut world.memory)?;
            world.state.index.prepare_next(&mut world.memory)
        })
    }

    /// Bars changes of structure where rows lack columns.
    #[inline]
    pub(crate) fn check_whole(&self) -> Result<(), SpawnError> {
        if self.role.is_partial() { Err(SpawnError::PartialReplica) } else { Ok(()) }
    }

    /// The archetype of exactly the components of `B`, to which rows may be added, and the number
    /// of the bundle.
    #[inline]
    pub(crate) fn target<B: Bundle>(&mut self) -> Result<(ArchetypeId, usize), SpawnError> {
        self.check_whole()?;
        match self.known_target::<B>() {
            Some(target) => Ok(target),
            None => self.find_target::<B>(),
        }
    }

    /// The archetype of exactly the components of `B`, and the number of the bundle, if both are
    /// known.
    #[inline]
    pub(crate) fn known_target<B: Bundle>(&mut self) -> Option<(ArchetypeId, usize)> {
        let number = self.plans.bundles.find(TypeId::of::<B>())?;
        Some((self.plans.bundles.get(number).archetype?, number))
    }

    #[cold]
    pub(crate) fn find_target<B: Bundle>(&mut self) -> Result<(ArchetypeId, usize), SpawnError> {
        let number = self.bundle::<B>()?;
        let archetype = self.archetype_of(&{ self.plans.bundles.get(number).mask });
        let mask = *self.catalog.archetype(archetype).mask();
        self.plans.bundles.get_mut(number).set_archetype(archetype, &mask);
        Ok((archetype, number))
    }

    /// The number of the bundle type `B`, whose components are registered if they are new.
    pub(crate) fn bundle<B: Bundle>(&mut self) -> Result<usize, SpawnError> {
        if let Some(number) = self.plans.bundles.find(TypeId::of::<B>()) {
            return Ok(number);
        }
        let (info, registry) = self.look_at_types::<B, _, _>(BundleInfo::new::<B>)?;
        self.take_registry(registry);
        Ok(self.plans.bundles.add(TypeId::of::<B>(), info))
    }

    /// The archetype of these components, created if it is new.
    pub(crate) fn archetype_of(&mut self, components: &ComponentMask) -> ArchetypeId {
        if let Some(archetype) = self.catalog.find(components) {
            return archetype;
        }
        let catalog = Arc::make_mut(&mut self.catalog);
        debug_assert_eq!(
            *components,
            catalog.registry.with_toggles(components),
            "toggles come along"
        );
        let archetype = catalog.add_archetype(*components);
        push_tight(
            &mut self.state.tables,
            Table::new(catalog.archetype(archetype), &catalog.registry),
        );
        archetype
    }

    /// Makes room for `rows` more entities with exactly the components of `B`, so that spawning
    /// them takes no memory from the system.
    ///
    /// ```
    /// # use convoy_engine::{SpawnError, World};
    /// let mut world = World::new();
    /// world.reserve::<(u32,)>(1_000_000).unwrap();
    /// assert!(matches!(world.reserve::<(u32,)>(1 << 50), Err(SpawnError::Entities)));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`World::try_spawn`]. More entities than a world has slots for, or than memory holds, are
    /// refused before any memory is taken.
    pub fn reserve<B: Bundle>(&mut self, rows: usize) -> Result<(), SpawnError> {
        self.all_or_nothing(|world| {
            let (archetype, _) = world.target::<B>()?;
            let missing_bytes = world.state.index.missing_bytes(rows)?;
            let table = &world.state.tables[archetype.index()];
            let missing_bytes = missing_bytes.saturating_add(table.missing_bytes(rows));
            world.memory.check_room(missing_bytes)?;
            world.reserve_rows(archetype, rows)
        })
    }

    fn reserve_rows(&mut self, archetype: ArchetypeId, rows: usize) -> Result<(), SpawnError> {
        self.attempt(|world| {
            world.state.tables[archetype.index()].reserve(rows, &mut world.memory)?;
            world.state.index.reserve(rows, &mut world.memory)?;
            Ok(())
        })
    }

    /// Makes room to *list* the chunks of `rows` entities with exactly the components of `B`:
    /// eight bytes and two epochs a chunk. Where entities move between archetypes, the chunks
    /// that one table gives back are the ones that the other takes, and only the lists need to be
    /// sized up front for a run without heap allocations.
    ///
    /// # Errors
    ///
    /// As [`World::try_spawn`].
    pub fn reserve_lists<B: Bundle>(&mut self, rows: usize) -> Result<(), SpawnError> {
        self.all_or_nothing(|world| {
            let (archetype, _) = world.target::<B>()?;
            world.state.index.missing_bytes(rows)?;
            world.state.tables[archetype.index()].reserve_lists(rows)?;
            Ok(())
        })
    }

    #[inline]
    pub(crate) fn locate(&self, entity: Entity) -> Result<Location, EntityError> {
        self.state.index.locate(entity).ok_or(EntityError::NotAlive { entity })
    }

    /// Despawns `entity` with all its components. Constant time, but for a parent, whose children
    /// become roots one by one; [`World::despawn_tree`] takes them along.
    ///
    /// # Errors
    ///
    /// When the handle is stale, or when memory runs out for copying a chunk that a snapshot
    /// shares. The world is unchanged.
    pub fn despawn(&mut self, entity: Entity) -> Result<(), ComponentError> {
        let at = self.locate(entity)?;
        self.check_whole()?;
        if self.state.tables[at.archetype.index()].is_linked() {
            return Ok(self.despawn_linked(entity)?);
        }
        loop {
            let Self { state: State { tables, index, .. }, memory, .. } = self;
            let (table, now) = (&mut tables[at.archetype.index()], memory.now());
            let last = table.entity(table.rows() - 1);
            if index.is_settled()
                && index.owns(entity, now)
                && index.owns(last, now)
                && let Some(removal) = table.removal(at.row as usize, now)
            {
                if let Some(moved) = removal.finish() {
                    index.relocate(moved, at, now);
                }
                index.free(entity, now);
                table.release_empty(memory);
                return Ok(());
            }
            self.prepare_despawn_of(entity, at)?;
        }
    }

    /// Makes what a removal writes writable.
    #[cold]
    fn prepare_despawn_of(&mut self, entity: Entity, at: Location) -> Result<(), MemoryError> {
        self.attempt(|world| {
            let Self { state: State { tables, index, .. }, memory, .. } = world;
            let table = &mut tables[at.archetype.index()];
            index.prepare_free(entity, memory)?;
            index.prepare_move(table.entity(table.rows() - 1), memory)?;
            table.prepare_remove(at.row as usize, memory)
        })
    }

    /// Inserts the components of `bundle`, replacing those that `entity` has already.
    ///
    /// Moves the entity's row to another table unless it has all of them. Constant time, and one
    /// copy of the row.
    ///
    /// # Errors
    ///
    /// When the handle is stale, the bundle can't be used, or memory runs out. The world is
    /// unchanged.
    #[inline]
    pub fn insert<B: Bundle>(&mut self, entity: Entity, bundle: B) -> Result<(), ComponentError> {
        self.insert_values::<B>(entity, &bundle)
    }

    pub(crate) fn insert_values<B: Bundle>(
        &mut self,
        entity: Entity,
        values: &impl Values<B>,
    ) -> Result<(), ComponentError> {
        let from = self.locate(entity)?;
        self.check_whole()?;
        let number =
            match self.plans.edges.find(from.archetype, TypeId::of::<B>(), Direction::Insert) {
                Some(number) => number,
                None => self.first_edge::<B>((entity, from), Direction::Insert)?,
            };
        let to = self.reach::<B>(number, (entity, from))?;
        self.put_along(number, to, |sink| values.put_row(sink));
        Ok(())
    }

    /// Fills what an edge inserts into a row that [`World::reach`] made writable.
    #[inline]
    pub(crate) fn put_along(
        &mut self,
        number: usize,
        at: Location,
        put: impl FnOnce(&mut RowSink<'_>),
    ) {
        let Self { plans: Plans { edges, .. }, state: State { tables, .. }, memory, .. } = self;
        let (edge, row, now) = (edges.get(number), at.row as usize, memory.now());
        let table = &mut tables[at.archetype.index()];
        table.enable(edge.enabled(), row..row + 1, now);
        put(&mut RowSink { table, positions: &edge.positions, row, now });
    }

    /// Moves an entity along an edge that inserts a `B`, or, where it stays, makes writable what
    /// the bundle replaces. Returns where it is.
    #[inline]
    pub(crate) fn reach<B: Bundle>(
        &mut self,
        number: usize,
        (entity, from): (Entity, Location),
    ) -> Result<Location, MemoryError> {
        let edge = self.plans.edges.get(number);
        if edge.target != from.archetype {
            return self.move_row(number, (entity, from));
        }
        let (table, row) = (&self.state.tables[from.archetype.index()], from.row as usize);
        let mut written = edge.positions[..B::LEN].iter().chain(edge.enabled());
        let now = self.memory.now();
        if !written.all(|&position| table.owns_value(usize::from(position), row, now)) {
            self.own_written(number, B::LEN, from)?;
        }
        Ok(from)
    }

    /// Makes writable what an edge that leads nowhere writes.
    #[cold]
    fn own_written(
        &mut self,
        number: usize,
        positions: usize,
        at: Location,
    ) -> Result<(), MemoryError> {
        self.attempt(|world| {
            let Self { plans: Plans { edges, .. }, state: State { tables, .. }, memory, .. } =
                world;
            let (edge, table) = (edges.get(number), &mut tables[at.archetype.index()]);
            let mut written = edge.positions[..positions].iter().chain(edge.enabled());
            written.try_for_each(|&position| {
                table.own_value(usize::from(position), at.row as usize, memory).map(drop)
            })
        })
    }

    /// Removes the components of `B` from `entity` and returns them. Constant time, and one copy
    /// of the row.
    ///
    /// # Errors
    ///
    /// When the handle is stale, `entity` lacks one of the components, or memory runs out. The
    /// world is unchanged.
    pub fn remove<B: Bundle>(&mut self, entity: Entity) -> Result<B, ComponentError> {
        let (from, number) = self.find_removal::<B>(entity)?;
        let edge = self.plans.edges.get(number);
        let table = &self.state.tables[from.archetype.index()];
        let bundle = B::take(&mut RowSource {
            table,
            positions: edge.positions.iter(),
            row: from.row as usize,
        });
        if edge.target != from.archetype {
            self.move_row(number, (entity, from))?;
        }
        Ok(bundle)
    }

    /// The number of an edge that is new, and along which `entity` can move: memory that it needs for
    /// that runs out here, if it does.
    #[cold]
    fn first_edge<B: Bundle>(
        &mut self,
        (entity, from): (Entity, Location),
        direction: Direction,
    ) -> Result<usize, ComponentError> {
        self.all_or_nothing(|world| {
            let number = world.add_bundle_edge::<B>(from.archetype, direction)?;
            world.prepare_edge(number, (entity, from))?;
            Ok(number)
        })
    }

    /// Moves an entity's row to the table at the other end of an edge, without what the bundle of
    /// an insertion brings. Returns where it is now; on an error nothing has moved.
    #[inline]
    pub(crate) fn move_row(
        &mut self,
        number: usize,
        (entity, from): (Entity, Location),
    ) -> Result<Location, MemoryError> {
        loop {
            let Self {
                plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, ..
            } = self;
            let (edge, now) = (edges.get(number), memory.now());
            let pair = tables.get_disjoint_mut([from.archetype.index(), edge.target.index()]);
            let [source, target] = pair.expect("an edge leads to another table of the world");
            let last = source.entity(source.rows() - 1);
            if let Some(next) = target.next_row(now)
                && index.owns(entity, now)
                && index.owns(last, now)
                && let Some(removal) = source.removal(from.row as usize, now)
            {
                let to = finish_move((edge, entity, from), removal, next, index, now);
                source.release_empty(memory);
                return Ok(to);
            }
            self.prepare_edge(number, (entity, from))?;
        }
    }

    /// Makes everything writable that moving `entity` along an edge will write.
    #[cold]
    pub(crate) fn prepare_edge(
        &mut self,
        number: usize,
        (entity, from): (Entity, Location),
    ) -> Result<(), MemoryError> {
        if self.plans.edges.get(number).target == from.archetype {
            return Ok(());
        }
        self.attempt(|world| {
            let Self {
                plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, ..
            } = world;
            tables[edges.get(number).target.index()].prepare_append(memory)?;
            let source = &mut tables[from.archetype.index()];
            index.prepare_move(entity, memory)?;
            index.prepare_move(source.entity(source.rows() - 1), memory)?;
            source.prepare_remove(from.row as usize, memory)
        })
    }

    /// Checks that the entities of `archetype` have every component of `B`.
    #[cold]
    pub(crate) fn check_held<B: Bundle>(
        &self,
        entity: Entity,
        archetype: ArchetypeId,
    ) -> Result<(), ComponentError> {
        let held = self.catalog.archetype(archetype).mask();
        let (missing, _) = self.look_at_types::<B, _, SpawnError>(|registry| {
            let missing = BundleInfo::new::<B>(registry)?.mask.difference(held).iter().next();
            Ok(missing.map(|id| registry.info(id).name()))
        })?;
        match missing {
            None => Ok(()),
            Some(component) => Err(ComponentError::Missing { entity, component }),
        }
    }

    /// [`World::remove`] without a look at what is removed.
    pub(crate) fn remove_unseen<B: Bundle>(
        &mut self,
        entity: Entity,
    ) -> Result<(), ComponentError> {
        let (from, number) = self.find_removal::<B>(entity)?;
        if self.plans.edges.get(number).target != from.archetype {
            self.move_row(number, (entity, from))?;
        }
        Ok(())
    }

    /// Where `entity` is, and the number of the edge that it takes without the components of `B`.
    #[inline]
    fn find_removal<B: Bundle>(
        &mut self,
        entity: Entity,
    ) -> Result<(Location, usize), ComponentError> {
        let from = self.locate(entity)?;
        self.check_whole()?;
        let number =
            match self.plans.edges.find(from.archetype, TypeId::of::<B>(), Direction::Remove) {
                Some(number) => number,
                None => {
                    self.check_held::<B>(entity, from.archetype)?;
                    self.first_edge::<B>((entity, from), Direction::Remove)?
                }
            };
        Ok((from, number))
    }

    /// The number of the edge that `B` leads along, worked out now if it is new. An archetype
    /// that a removal starts from has every component of `B`.
    #[inline]
    pub(crate) fn edge<B: Bundle>(
        &mut self,
        source: ArchetypeId,
        direction: Direction,
    ) -> Result<usize, SpawnError> {
        match self.plans.edges.find(source, TypeId::of::<B>(), direction) {
            Some(number) => Ok(number),
            None => self.add_bundle_edge::<B>(source, direction),
        }
    }

    #[cold]
    fn add_bundle_edge<B: Bundle>(
        &mut self,
        source: ArchetypeId,
        direction: Direction,
    ) -> Result<usize, SpawnError> {
        let number = self.bundle::<B>()?;
        let bundle = *self.plans.bundles.get(number);
        let name = EdgeName::Type(TypeId::of::<B>());
        Ok(self.add_edge(source, (name, direction), direction.ends(bundle)))
    }

    /// Works out the edge from `source` along which the components of one bundle go and those of
    /// another come. The archetype at its end is created if it is new. Returns the edge's number.
    #[cold]
    pub(crate) fn add_edge(
        &mut self,
        source: ArchetypeId,
        name: (EdgeName, Direction),
        (removed, inserted): (BundleInfo, BundleInfo),
    ) -> usize {
        let mask = *self.catalog.archetype(source).mask();
        let target = self.archetype_of(&mask.difference(&removed.mask).union(&inserted.mask));
        let Self { plans: Plans { edges, .. }, catalog, .. } = self;
        let target = (target, catalog.archetype(target).mask());
        let edge = Edge::new(&mask, target, (&removed, &inserted), catalog.registry.toggles());
        edges.add(source, name, edge)
    }

    /// The component `T` of `entity`.
    ///
    /// # Errors
    ///
    /// When the handle is stale or `entity` has no `T`.
    #[inline]
    pub fn get<T: Component>(&self, entity: Entity) -> Result<&T, ReadError> {
        // Random access waits for memory, and the fewer instructions it has, the more of it waits
        // at one time. So errors are told apart only where there is one.
        match self.find(entity) {
            Some(value) => Ok(value),
            None => Err(self.why_unreadable::<T>(entity)),
        }
    }

    #[inline]
    fn find<T: Component>(&self, entity: Entity) -> Option<&T> {
        let (table, row) = self.state.index.place_of(entity)?;
        let id = self.catalog.registry.component_of::<T>()?;
        if !self.role.may_read(id) {
            return None;
        }
        Some(self.state.tables.get(table)?.column(id)?.get(row as usize))
    }

    /// Why [`World::get`] found nothing.
    #[cold]
    #[inline(never)]
    fn why_unreadable<T: Component>(&self, entity: Entity) -> ReadError {
        self.store().get::<T>(entity).err().unwrap_or_else(not_readable::<T>)
    }

    /// The component `T` of `entity`, for writing. Its chunk is copied first when a snapshot
    /// shares it.
    ///
    /// # Errors
    ///
    /// When the handle is stale, `entity` has no `T`, `T` is written by the engine only, or memory
    /// runs out.
    #[inline]
    pub fn get_mut<T: Component>(&mut self, entity: Entity) -> Result<&mut T, ComponentError> {
        let at = self.locate(entity)?;
        if engine_owns(TypeId::of::<T>()) {
            return Err(ComponentError::EngineOwned { component: name_of::<T>() });
        }
        let id = self.catalog.registry.id_of::<T>(Kind::Component);
        let table = &mut self.state.tables[at.archetype.index()];
        let id = id.filter(|&id| id != ComponentId::ENTITY);
        match id.and_then(|id| Some((id, table.position(id)?))) {
            Some((id, position)) if self.role.may_read(id) => {
                let value = table.own_value(position, at.row as usize, &mut self.memory)?;
                Ok(value.into_mut())
            }
            Some(_) => Err(not_synced::<T>()),
            None => Err(missing::<T>(entity)),
        }
    }

    /// Despawns every entity and drops all events; resources keep their values. Chunks go back to
    /// the arena in bulk, and every capacity is kept, so that filling the world again takes no
    /// memory from the system. All handles become stale; snapshots are unaffected. A replica
    /// becomes an ordinary world.
    ///
    /// # Errors
    ///
    /// When memory runs out for copying the entity index that a snapshot shares. The world is
    /// unchanged.
    pub fn clear(&mut self) -> Result<(), MemoryError> {
        self.attempt(|world| world.state.index.prepare_all(&mut world.memory))?;
        self.state.index.free_all(self.memory.now());
        for table in &mut self.state.tables {
            table.clear(&mut self.memory);
        }
        for log in &mut self.state.logs {
            log.clear(&mut self.memory);
        }
        self.role = Role::Original;
        Ok(())
    }
}

/// Whether all rows of a component that was only described are values by `check`.
pub(crate) fn rows_pass(tables: &[Table], id: ComponentId, check: Check) -> bool {
    check.is_none()
        || tables.iter().all(|table| {
            // A replica may have rows without what it was not synced with.
            let rows = table.rows();
            let column = table.column(id).filter(|column| column.capacity() >= rows);
            column.is_none_or(|column| (0..rows).all(|row| check.passes(column.bytes(row))))
        })
}

/// Fills a row that is appended with an entity and its components.
#[inline]
pub(crate) fn fill_row<B: Bundle>(
    mut next: NextRow<'_>,
    entity: Entity,
    positions: &Positions,
    values: &impl Values<B>,
) {
    let mut row = next.columns();
    row.column_mut(0).write(entity);
    values.put_row(&mut AppendSink { row, positions });
    next.finish_new();
}

/// Moves an entity's row along an edge; the slots of both entities that change their rows were made
/// writable. Chunks stay. Returns where the entity is now.
#[inline]
pub(crate) fn finish_move(
    (edge, entity, from): (&Edge, Entity, Location),
    removal: Removal<'_>,
    next: NextRow<'_>,
    index: &mut EntityIndex,
    now: Now<'_>,
) -> Location {
    let to = Location { archetype: edge.target, row: next.row() as u32 };
    if let Some(moved) = removal.finish_move(next, &edge.targets) {
        index.relocate(moved, from, now);
    }
    index.relocate(entity, to, now);
    to
}

/// Reads a bundle from one row of a table.
pub(crate) struct RowSource<'a> {
    pub(crate) table: &'a Table,
    pub(crate) positions: std::slice::Iter<'a, u16>,
    pub(crate) row: usize,
}

impl ComponentSource for RowSource<'_> {
    #[inline]
    fn take<T: Component>(&mut self) -> T {
        let position = self.positions.next().expect("a bundle has at most BUNDLE_MAX components");
        *self.table.columns()[usize::from(*position)].get(self.row)
    }
}

#[cold]
fn missing<T: Component>(entity: Entity) -> ComponentError {
    ComponentError::Missing { entity, component: name_of::<T>() }
}

#[cold]
fn not_synced<T: Component>() -> ComponentError {
    ComponentError::NotReadable { component: name_of::<T>() }
}

/// Panics for the caller, whose function is tracked as this one is.
#[cold]
#[track_caller]
pub(crate) fn fail(action: &str, error: &dyn fmt::Display) -> ! {
    panic!("{action}: {error}")
}
