//! [`View`]: a reader's lease on a snapshot.

use std::fmt;
use std::sync::Arc;

use convoy_pool::Lease;

use crate::query::described::DescribedQuery;
use crate::query::error::{GetError, QueryError};
use crate::query::fetch::ReadOnly;
use crate::query::read::Query;
use crate::query::reader::Reader;
use crate::query::sealed::SealedTables;
use crate::query::tables::{FrozenColumns, TableRef, Tables};
use crate::storage::archetype::Catalog;
use crate::storage::charge::Charge;
use crate::storage::component::{Component, ComponentInfo, ENABLED, Kind};
use crate::storage::frozen::Frozen;
use crate::storage::layout::Value;
use crate::storage::names::name_of;
use crate::storage::rows::Rows;
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentId, ComponentMask, Entity, SnapshotId, SnapshotUse};
use crate::world::EventBytes;
use crate::world::World;
use crate::world::events::{EventCursor, EventRecords, Events};
use crate::world::index::{Location, Slot};

/// Why a component of a snapshot can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The component, or [`Entity`] for look-ups, was not captured, or this reader did not
    /// declare it.
    NotCaptured {
        /// The component.
        component: &'static str,
    },
    /// The handle was stale when the snapshot was captured.
    NotAlive {
        /// The handle.
        entity: Entity,
    },
    /// The entity did not have the component when the snapshot was captured.
    Missing {
        /// The entity.
        entity: Entity,
        /// The component that it lacked.
        component: &'static str,
    },
    /// No component had the id when the snapshot was captured.
    Unknown {
        /// The id.
        id: ComponentId,
    },
    /// The component could not be switched off when the snapshot was captured.
    NotToggle {
        /// The component.
        component: &'static str,
    },
    /// The world had no value of the resource when the snapshot was captured.
    NoResource {
        /// The type of the resource.
        resource: &'static str,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCaptured { component } => QueryError::NotCaptured { component }.fmt(formatter),
            Self::NotAlive { entity } => {
                write!(formatter, "entity {entity} was not alive when the snapshot was captured")
            }
            Self::Missing { entity, component } => {
                write!(formatter, "entity {entity} had no {component} when it was captured")
            }
            Self::Unknown { id } => QueryError::Unknown { id: *id }.fmt(formatter),
            Self::NotToggle { component } => {
                write!(
                    formatter,
                    "{component} was no toggle when the snapshot was captured: it is one after \
                     `World::register_toggle`"
                )
            }
            Self::NoResource { resource } => {
                write!(formatter, "the world had no {resource} when the snapshot was captured")
            }
        }
    }
}

impl std::error::Error for ReadError {}

/// A reader's lease on a snapshot. Dropping it is the release; when the last view of a snapshot
/// is dropped, its cell goes back to its pool, and the world reuses the memory.
///
/// A view is `Clone + Send + Sync + 'static`: another reader costs one atomic operation, on any
/// thread, for as long as it likes, also after the world is gone. It never waits, and nobody
/// waits for it.
///
/// A release can't be written twice, as it takes the view:
///
/// ```compile_fail,E0382
/// # use convoy_engine::{ComponentMask, SnapshotPool, World};
/// # let (mut world, pool) = (World::new(), SnapshotPool::default());
/// let view = world.capture(ComponentMask::ALL, &pool);
/// drop(view);
/// drop(view);
/// ```
pub struct View {
    lease: Lease<Frozen>,
    /// Who is charged with what the lease holds, where anybody is. Dropped after the lease.
    charge: Option<Charge>,
    /// What this reader may read, where that is less than what was captured.
    narrowed: Option<Arc<ComponentMask>>,
}

impl Clone for View {
    /// One more reader of the snapshot. Neither locks nor allocates.
    ///
    /// # Panics
    ///
    /// When the snapshot has 2^23 readers.
    #[track_caller]
    fn clone(&self) -> Self {
        let (lease, charge) = (self.lease.clone(), self.charge.clone());
        Self { lease, charge, narrowed: self.narrowed.clone() }
    }
}

impl View {
    pub(crate) fn new(lease: Lease<Frozen>) -> Self {
        Self { lease, charge: None, narrowed: None }
    }

    /// What this view may read.
    #[inline]
    pub(super) fn readable(&self) -> &ComponentMask {
        match &self.narrowed {
            Some(mask) => mask,
            None => &self.lease.head.mask,
        }
    }

    /// The same view, charged to somebody with all its clones.
    pub(crate) fn charged_to(self, charge: Charge) -> Self {
        Self { charge: Some(charge), ..self }
    }

    /// Who is charged with the view.
    pub(crate) fn charge(&self) -> Option<&Charge> {
        self.charge.as_ref()
    }

    pub(crate) fn frozen(&self) -> &Frozen {
        &self.lease
    }

    /// A query over the picture, as [`World::query`].
    ///
    /// # Errors
    ///
    /// When a component was not captured, or is not among what this view may read.
    ///
    /// ```
    /// # use convoy_engine::{QueryError, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// world.spawn((1_u32, 2.5_f32));
    /// let numbers = world.mask_of::<(u32,)>().unwrap();
    /// let view = world.capture(numbers, &pool);
    /// assert_eq!(view.query::<&u32>().unwrap().iter().copied().sum::<u32>(), 1);
    /// assert_eq!(
    ///     view.query::<&f32>().err(),
    ///     Some(QueryError::NotCaptured { component: "f32" })
    /// );
    /// ```
    pub fn query<Q: ReadOnly>(&self) -> Result<Query<'_, Self, Q>, QueryError> {
        Query::new(self)
    }

    /// Prepares reading `T` of many entities, as [`World::reader`].
    ///
    /// # Errors
    ///
    /// When `T` or [`Entity`] is not among what this view may read.
    pub fn reader<T: Component>(&self) -> Result<Reader<'_, Self, T>, QueryError> {
        Reader::new(self)
    }

    /// The component `T` of `entity`.
    ///
    /// # Errors
    ///
    /// When `T` or [`Entity`] is not among what this view may read, the handle was stale, or the
    /// entity had no `T`.
    pub fn get<T: Component>(&self, entity: Entity) -> Result<&T, ReadError> {
        let at = self.locate(entity)?.ok_or(ReadError::NotAlive { entity })?;
        let missing = || ReadError::Missing { entity, component: name_of::<T>() };
        let id = match self.lease.catalog().registry.id_of::<T>(Kind::Component) {
            Some(id) if self.readable().contains(id) => id,
            None if self.readable().is_all() => return Err(missing()),
            _ => return Err(not_captured::<T>()),
        };
        let rows = self.lease.column(at.archetype.index(), id).ok_or_else(missing)?;
        Ok(rows.get(at.row as usize))
    }

    /// Whether the component `T` of `entity` was switched on.
    ///
    /// # Errors
    ///
    /// As [`View::get`], and when `T` was no toggle.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// world.register_toggle::<u8>().unwrap();
    /// let entity = world.spawn((1_u8,));
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// world.disable::<u8>(entity).unwrap();
    /// assert_eq!(view.is_enabled::<u8>(entity), Ok(true));
    /// ```
    pub fn is_enabled<T: Component>(&self, entity: Entity) -> Result<bool, ReadError> {
        let at = self.locate(entity)?.ok_or(ReadError::NotAlive { entity })?;
        let registry = &self.lease.catalog().registry;
        let id = registry.id_of::<T>(Kind::Component);
        if !id.is_some_and(|id| self.readable().contains(id)) && !self.readable().is_all() {
            return Err(not_captured::<T>());
        }
        let toggle = id.and_then(|id| registry.info(id).toggle());
        let not_toggle = || ReadError::NotToggle { component: name_of::<T>() };
        let toggle = toggle.ok_or_else(not_toggle)?;
        let rows = self.lease.column(at.archetype.index(), toggle);
        let missing = || ReadError::Missing { entity, component: name_of::<T>() };
        let rows = rows.ok_or_else(missing)?;
        Ok(*rows.get::<u8>(at.row as usize) == ENABLED)
    }

    /// The component `id` of `entity`, with what its bytes mean, as
    /// [`World::value`](crate::World::value).
    ///
    /// # Errors
    ///
    /// As [`View::get_bytes`].
    pub fn value(&self, entity: Entity, id: ComponentId) -> Result<Value<'_>, ReadError> {
        let bytes = self.get_bytes(entity, id)?;
        Ok(Value::new(self.lease.catalog().registry.info(id).layout(), bytes))
    }

    /// The bytes of the component `id` of `entity`, described or typed.
    ///
    /// # Errors
    ///
    /// As [`View::get`], and when no component had the id.
    pub fn get_bytes(&self, entity: Entity, id: ComponentId) -> Result<&[u8], ReadError> {
        let at = self.locate(entity)?.ok_or(ReadError::NotAlive { entity })?;
        let info = self.lease.catalog().registry.component(id).ok_or(ReadError::Unknown { id })?;
        let component = info.name();
        if !self.readable().contains(id) {
            return Err(ReadError::NotCaptured { component });
        }
        let rows = self.lease.column(at.archetype.index(), id);
        let rows = rows.ok_or(ReadError::Missing { entity, component })?;
        let row = at.row as usize;
        Ok(rows.bytes(row..row + 1))
    }

    /// A query by component ids, as [`World::query_described`].
    ///
    /// # Errors
    ///
    /// When no component had an id of `required` or `excluded` at the capture, or one of
    /// `required` is not among what this view may read.
    pub fn query_described<'a>(
        &'a self,
        required: &'a [ComponentId],
        excluded: &[ComponentId],
    ) -> Result<DescribedQuery<'a, Self>, QueryError> {
        DescribedQuery::new(self, required, excluded)
    }

    /// Whether `entity` was alive.
    ///
    /// # Errors
    ///
    /// When [`Entity`] is not among what this view may read.
    pub fn contains(&self, entity: Entity) -> Result<bool, ReadError> {
        Ok(self.locate(entity)?.is_some())
    }

    #[inline]
    pub(super) fn locate(&self, entity: Entity) -> Result<Option<Location>, ReadError> {
        let slots = self.slots();
        let slots = slots.ok_or_else(not_captured::<Entity>)?;
        let index = entity.index() as usize;
        if index >= slots.len() {
            return Ok(None);
        }
        Ok(slots.get::<Slot>(index).locate(entity.generation()))
    }

    /// The events of type `T` up to the capture that `cursor` has not seen yet.
    ///
    /// # Errors
    ///
    /// When the log was not captured, or is not among what this view may read.
    pub fn events<'a, T: Component>(
        &'a self,
        cursor: &'a mut EventCursor<T>,
    ) -> Result<Events<'a, T>, ReadError> {
        let records = match self.lease.catalog().registry.id_of::<T>(Kind::Event) {
            Some(id) if self.readable().contains(id) => {
                let (rows, first, forks) = self.lease.log(id).ok_or_else(not_captured::<T>)?;
                EventRecords { world: self.lease.head.world, rows, first, forks: Some(forks) }
            }
            None if self.readable().is_all() => EventRecords::EMPTY,
            _ => return Err(not_captured::<T>()),
        };
        Ok(Events::new(records, cursor))
    }

    /// The events of the type `id` up to the capture, from number `from` on, by their bytes, as
    /// [`World::event_bytes`](crate::World::event_bytes).
    ///
    /// # Errors
    ///
    /// When no event type had the id, or its log was not captured or may not be read.
    pub fn event_bytes(&self, id: ComponentId, from: u64) -> Result<EventBytes<'_>, ReadError> {
        let name = self.name_of_kind(id, Kind::Event)?;
        let log = self.lease.log(id).filter(|_| self.readable().contains(id));
        let (rows, first, _) = log.ok_or(ReadError::NotCaptured { component: name })?;
        Ok(EventBytes::new(rows, first, from))
    }

    /// The bytes of the resource `id` as it was at the capture.
    ///
    /// # Errors
    ///
    /// When no resource had the id, or as [`View::resource`].
    pub fn resource_bytes(&self, id: ComponentId) -> Result<&[u8], ReadError> {
        let name = self.name_of_kind(id, Kind::Resource)?;
        let rows = self.lease.resource(id).filter(|_| self.readable().contains(id));
        let rows = rows.ok_or(ReadError::NotCaptured { component: name })?;
        let value = (rows.len() > 0).then(|| rows.bytes(0..1));
        value.ok_or(ReadError::NoResource { resource: name })
    }

    fn name_of_kind(&self, id: ComponentId, kind: Kind) -> Result<&'static str, ReadError> {
        let info = self.lease.catalog().registry.get(id).filter(|info| info.kind() == kind);
        info.map(ComponentInfo::name).ok_or(ReadError::Unknown { id })
    }

    /// The resource of type `T` as it was at the capture.
    ///
    /// # Errors
    ///
    /// When the resource was not captured, is not among what this view may read, or had no value.
    pub fn resource<T: Component>(&self) -> Result<&T, ReadError> {
        let no_resource = || ReadError::NoResource { resource: name_of::<T>() };
        match self.lease.catalog().registry.id_of::<T>(Kind::Resource) {
            Some(id) if self.readable().contains(id) => {
                let rows = self.lease.resource(id).ok_or_else(not_captured::<T>)?;
                if rows.len() == 0 {
                    return Err(no_resource());
                }
                Ok(rows.get(0))
            }
            None if self.readable().is_all() => Err(no_resource()),
            _ => Err(not_captured::<T>()),
        }
    }

    /// Entities alive at the capture.
    pub fn entity_count(&self) -> usize {
        self.lease.head.alive as usize
    }

    /// The world's tick at the capture.
    pub fn tick(&self) -> u64 {
        self.lease.head.tick
    }

    /// Whether this is a picture of `world`.
    pub fn is_of(&self, world: &World) -> bool {
        self.lease.head.world == world.id
    }

    /// Whether this is a picture of what `world` is or was before: of the same world, and no
    /// restore or sync has put other entities in place since.
    pub fn is_past_of(&self, world: &World) -> bool {
        self.is_of(world) && !self.is_superseded()
    }

    /// Whether a restore or a sync has put another state in the place of what the world was or
    /// became after the capture: [`View::is_past_of`] without the world, on any thread.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let past = world.capture(ComponentMask::ALL, &pool);
    /// world.spawn((1_u32,));
    /// let present = world.capture(ComponentMask::ALL, &pool);
    /// world.restore(&past).unwrap();
    /// assert!(present.is_superseded());
    /// ```
    pub fn is_superseded(&self) -> bool {
        self.lease.is_superseded()
    }

    /// How many ticks `world` has advanced since the capture; `None` when this is not a picture of
    /// `world`. Zero where a restore has taken the tick back further.
    pub fn lag(&self, world: &World) -> Option<u64> {
        self.is_of(world).then(|| world.tick().saturating_sub(self.tick()))
    }

    /// Which snapshot of its world this is a view of.
    pub fn id(&self) -> SnapshotId {
        SnapshotId { world: self.lease.head.world, epoch: self.lease.head.epoch }
    }

    /// What the snapshot costs `world` now: its lag in ticks, its readers and what it retains.
    /// `None` when this is not a picture of `world`. The cost grows with the logarithm of the
    /// number of active snapshots.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let entity = world.spawn((1_u32,));
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// let other = view.clone();
    /// *world.get_mut::<u32>(entity).unwrap() = 2;
    /// world.advance_tick();
    /// let usage = view.usage(&world).unwrap();
    /// assert_eq!((usage.lag, usage.readers, usage.retained_chunks), (1, 2, 1));
    /// assert_eq!(view.exclusive_bytes(&world), usage.retained_bytes);
    /// assert_eq!(view.share_bytes(&world), usage.retained_bytes / 2);
    /// ```
    pub fn usage(&self, world: &World) -> Option<SnapshotUse> {
        world.snapshot(self.id())
    }

    /// Bytes that this snapshot alone keeps alive: what would be free if all its views were
    /// dropped now. Zero when this is not a picture of `world`. The cost grows with the chunks
    /// that the snapshot retains, times the older snapshots.
    pub fn exclusive_bytes(&self, world: &World) -> usize {
        world.exclusive_bytes(self.id())
    }

    /// This reader's share of [`View::exclusive_bytes`], which all readers of the snapshot keep
    /// alive together: all of it for a lone reader, a fifth in a convoy of five.
    pub fn share_bytes(&self, world: &World) -> usize {
        self.exclusive_bytes(world) / self.readers()
    }

    /// What this view may read.
    pub fn mask(&self) -> ComponentMask {
        *self.readable()
    }

    /// The same snapshot, with less to read: what is in both masks. A snapshot's cell keeps the first
    /// few masks that its views are narrowed to, one block of the heap each, from one capture to the
    /// next.
    #[must_use]
    pub fn narrow(self, mask: ComponentMask) -> Self {
        self.narrow_to(&mask)
    }

    pub(crate) fn narrow_to(mut self, mask: &ComponentMask) -> Self {
        let mask = self.lease.catalog().registry.closed(mask);
        if !self.readable().is_subset(&mask) {
            let mask = self.readable().intersection(&mask);
            self.narrowed = Some(self.lease.narrowing(&mask));
        }
        self
    }

    /// How many views of this snapshot there are, and how many branches, and snapshots of those, that
    /// have chunks of it.
    pub fn readers(&self) -> usize {
        self.lease.readers() as usize + self.frozen().holds().count()
    }

    /// Whether both are views of one snapshot.
    pub fn shares_with(&self, other: &Self) -> bool {
        self.lease.same_cell(&other.lease)
    }

    /// Bytes of the snapshot's own lists: chunk pointers and lengths. What it keeps of replaced
    /// chunks is counted by [`World::memory`].
    pub fn list_bytes(&self) -> usize {
        self.lease.list_bytes()
    }
}

impl SealedTables for View {}

impl Tables for View {
    fn catalog(&self) -> &Catalog {
        self.lease.catalog()
    }

    fn readable(&self) -> &ComponentMask {
        self.readable()
    }

    fn world_id(&self) -> WorldId {
        self.lease.head.world
    }

    fn layout(&self) -> Option<&ComponentMask> {
        Some(&self.lease.head.mask)
    }

    fn table_count(&self) -> usize {
        self.lease.table_count()
    }

    fn table(&self, index: usize) -> TableRef<'_> {
        let catalog = self.lease.catalog();
        let mask = catalog.archetypes()[index].mask();
        let (rows, starts) = self.lease.table(index);
        let (captured, chunks) = (&self.lease.head.mask, self.lease.chunks());
        TableRef::frozen(mask, rows, FrozenColumns { mask, captured, starts, chunks, catalog })
    }

    fn locate(&self, entity: Entity) -> Result<Option<Location>, GetError> {
        let not_captured = |_| GetError::NotCaptured { component: name_of::<Entity>() };
        Self::locate(self, entity).map_err(not_captured)
    }

    fn rows(&self, index: usize, id: ComponentId) -> Option<Rows<'_>> {
        self.lease.column(index, id).filter(|_| self.readable().contains(id))
    }

    fn slots(&self) -> Option<Rows<'_>> {
        let readable = self.readable().contains(ComponentId::ENTITY);
        self.lease.index(size_of::<Slot>()).filter(|_| readable)
    }
}

#[cold]
fn not_captured<T: Component>() -> ReadError {
    ReadError::NotCaptured { component: name_of::<T>() }
}
