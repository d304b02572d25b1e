//! [`diff`]: the changes from one snapshot of a world to another, or to the world as it is.
//!
//! The entity index of both snapshots tells which entities came, went and moved. A row that stands
//! at the same location in both is compared there, chunk by chunk, so that chunks that both
//! snapshots share cost one comparison of addresses. A row that moved is looked up on both sides,
//! and the components that it has on both are compared. The index has a changed slot for every one
//! of these, so nothing is looked at that lies in shared chunks only.
//!
//! Values are equal if their bytes are. Epochs and ticks aren't asked: they tell when a chunk was
//! written, and not whether it differs, least of all in a world that was restored in between.

use std::fmt;

use crate::query::readable::Readable;
use crate::storage::archetype::Catalog;
use crate::storage::component::{Component, ComponentInfo, ENABLED, Kind};
use crate::storage::difference::DifferentRows;
use crate::storage::list::ListHandle;
use crate::storage::names::name_of;
use crate::storage::rows::Rows;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::World;
use crate::world::index::{Location, Slot};
use crate::world::read_error::ReadError;
use crate::world::store::Store;

use super::view::View;

/// Why two views can't be compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DiffError {
    /// The views are of two different worlds.
    DifferentWorlds,
    /// [`Entity`], by which rows are matched, is not among the types that this view may read.
    NoEntities {
        /// Whether it is the newer view that lacks the handles.
        newer: bool,
    },
}

impl fmt::Display for DiffError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DifferentWorlds => formatter.write_str("the views are of two different worlds"),
            Self::NoEntities { newer } => write!(
                formatter,
                "the {} view was captured, or is read, without {}: add Entity to its mask",
                if *newer { "newer" } else { "older" },
                name_of::<Entity>()
            ),
        }
    }
}

impl std::error::Error for DiffError {}

/// Compares two snapshots of one world. Exact: everything listed differs, and everything else is equal,
/// byte for byte.
///
/// This itself costs nothing; each list of the [`Diff`] costs as much as there are chunk pointers,
/// and beyond that is proportional to the chunks that the snapshots do not share. Nothing is
/// allocated. The order of the views is the reader's: with the later snapshot as `older`, the lists
/// tell the way back.
///
/// # Errors
///
/// When the views are of different worlds, or one of them can't read the handles. The diff speaks
/// of the components and resources that both views may read.
///
/// ```
/// use convoy_engine::snapshot::diff;
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
///
/// let (mut world, pool) = (World::new(), SnapshotPool::default());
/// let [still, moving] = [1.0_f32, 2.0].map(|place| world.spawn((place,)));
/// let older = world.capture(ComponentMask::ALL, &pool);
///
/// *world.get_mut::<f32>(moving).unwrap() += 0.5;
/// *world.get_mut::<f32>(still).unwrap() += 0.0;
/// let guest = world.spawn((3.0_f32,));
/// let newer = world.capture(ComponentMask::ALL, &pool);
///
/// let diff = diff(&older, &newer).unwrap();
/// assert!(diff.spawned().eq([guest]));
/// let changed: Vec<_> = diff.changed::<f32>().unwrap().collect();
/// assert_eq!(changed.len(), 1, "and no row that merely shares a chunk with it");
/// assert_eq!((changed[0].entity, changed[0].older, changed[0].newer), (moving, &2.0, &2.5));
/// ```
pub fn diff<'a>(older: &'a View, newer: &'a View) -> Result<Diff<'a>, DiffError> {
    Diff::of(older.store(), newer.store())
}

impl World {
    /// What has changed since `view` was captured: exactly the rows whose bytes differ, with what was
    /// spawned, despawned, inserted, removed and switched. Where [`Changed`](crate::query::Changed) tells chunks, this
    /// compares them. Nothing is captured: `newer` is the live world.
    ///
    /// This itself costs nothing; each list of the [`Diff`] costs as much as there are chunk pointers, and beyond that
    /// is proportional to the chunks that were written since. The view makes the first write to each of these copy it,
    /// as any snapshot does.
    ///
    /// ```
    /// use convoy_engine::{ComponentMask, SnapshotPool, World};
    ///
    /// let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let ships: Vec<_> = (0..100).map(|number| world.spawn((number, [0.0_f32; 2]))).collect();
    /// let last = world.capture(ComponentMask::ALL, &pool);
    /// *world.get_mut::<i32>(ships[3]).unwrap() += 100;
    /// world.query_mut::<&mut [f32; 2]>().for_each(|place| place[0] += 0.0);
    /// let changes = world.changed_since(&last).unwrap();
    /// let changed: Vec<_> = changes.changed::<i32>().unwrap().collect();
    /// assert_eq!((changed.len(), changed[0].entity, *changed[0].newer), (1, ships[3], 103));
    /// assert_eq!(changes.changed::<[f32; 2]>().unwrap().count(), 0, "written, and as before");
    /// ```
    ///
    /// # Errors
    ///
    /// When the view is of another world, or it or this world, a replica, can't read the handles.
    pub fn changed_since<'a>(&'a self, view: &'a View) -> Result<Diff<'a>, DiffError> {
        Diff::of(view.store(), self.store())
    }
}

/// The differences of two snapshots: see [`diff`].
///
/// Lists are made while they are read and can be read any number of times. Entities come in the
/// order of their indices, unless said otherwise.
#[derive(Clone, Copy)]
pub struct Diff<'a> {
    older: Side<'a>,
    newer: Side<'a>,
    mask: ComponentMask,
    /// Archetypes below this number have it in both snapshots.
    common: usize,
}

/// The older and newer value of a component, or their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change<V> {
    /// The entity, which is alive in both snapshots.
    pub entity: Entity,
    /// The value in the older snapshot.
    pub older: V,
    /// The value in the newer snapshot.
    pub newer: V,
}

/// The older and newer value of a resource, or their bytes; `None` where it had no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResourceChange<V> {
    /// The id of the resource's type.
    pub id: ComponentId,
    /// The value in the older snapshot.
    pub older: Option<V>,
    /// The value in the newer snapshot.
    pub newer: Option<V>,
}

/// One of the two snapshots, or the live world.
#[derive(Clone, Copy)]
struct Side<'a> {
    store: Store<'a>,
    slots: Rows<'a>,
}

/// An entity and where it is.
type Occupant = Option<(Entity, Location)>;

/// An entity that is alive in both snapshots, at different locations.
struct Moved {
    entity: Entity,
    older: Location,
    newer: Location,
}

/// One row of one component in both snapshots.
struct RowPair<'a> {
    entity: Entity,
    older: (Rows<'a>, usize),
    newer: (Rows<'a>, usize),
}

impl<'a> Side<'a> {
    fn new(store: Store<'a>) -> Option<Self> {
        Some(Self { store, slots: store.slots()? })
    }

    fn occupant(&self, index: usize) -> Occupant {
        if index < self.slots.len() { self.slots.get::<Slot>(index).occupant(index) } else { None }
    }

    fn archetype(&self, at: Location) -> &'a ComponentMask {
        self.store.catalog().archetypes()[at.archetype.index()].mask()
    }

    fn column(&self, at: Location, id: ComponentId) -> Option<Rows<'a>> {
        self.store.rows(at.archetype.index(), id)
    }

    /// The rows of two columns of component `id` that differ, here and on the newer side: lists by their elements.
    fn different_rows(
        &self,
        newer: &Self,
        id: ComponentId,
        columns: (Rows<'a>, Rows<'a>),
    ) -> impl Iterator<Item = usize> + use<'a> {
        let sides = (*self, *newer);
        let are_lists = sides.1.store.catalog().registry.info(id).list().is_some();
        let bytes = (!are_lists).then(|| DifferentRows::new(columns.0, columns.1));
        let (both, value) = (if are_lists { columns.0.len().min(columns.1.len()) } else { 0 }, id);
        let differs = move |&row: &usize| {
            // A list that was written has its handle in another chunk.
            !columns.1.shares_chunk(&columns.0, row)
                && sides.0.store.value_bytes(columns.0, value, row)
                    != sides.1.store.value_bytes(columns.1, value, row)
        };
        bytes.into_iter().flatten().chain((0..both).filter(differs))
    }
}

impl<'a> Diff<'a> {
    fn of(older: Store<'a>, newer: Store<'a>) -> Result<Self, DiffError> {
        if older.world_id() != newer.world_id() {
            return Err(DiffError::DifferentWorlds);
        }
        Ok(Self {
            mask: older.readable().intersection(newer.readable()),
            common: common_archetypes(older.catalog(), newer.catalog()),
            older: Side::new(older).ok_or(DiffError::NoEntities { newer: false })?,
            newer: Side::new(newer).ok_or(DiffError::NoEntities { newer: true })?,
        })
    }

    /// The mask of the diff: the components that both views may read.
    pub fn mask(&self) -> ComponentMask {
        self.mask
    }

    /// The components that the diff speaks of, [`Entity`] excluded: those for which
    /// [`Diff::changed_bytes`] has an answer.
    pub fn components(&self) -> impl Iterator<Item = ComponentId> + use<'a> {
        self.ids_of(Kind::Component).filter(|&id| id != ComponentId::ENTITY)
    }

    /// Whether the two snapshots are equal in all that the diff speaks of: entities, components, toggles, the
    /// hierarchy and resources. Rows may be in another order, and other handles free, so
    /// [`View::state_hash`] may differ all the same.
    pub fn is_empty(&self) -> bool {
        self.spawned().chain(self.despawned()).next().is_none()
            && self.inserted().chain(self.removed()).next().is_none()
            && self.resources().next().is_none()
            && self.components().all(|id| self.row_pairs(id).next().is_none())
            && self.ids_of(Kind::Toggle).all(|id| self.row_pairs(id).next().is_none())
    }

    /// Whether any entity has another value of a component, or has one in one of the snapshots only.
    pub(crate) fn concerns(&self, id: ComponentId) -> bool {
        let Self { older: before, newer: after, .. } = self;
        let has = |side: &Side<'_>, occupant: Occupant| {
            occupant.is_some_and(|(_, at)| side.archetype(at).contains(id))
        };
        self.row_pairs(id).next().is_some()
            || self.inserted().chain(self.removed()).any(|(_, each)| each == id)
            || self.occupants().any(|(older, newer)| {
                came(older, newer).is_some() && has(after, newer)
                    || came(newer, older).is_some() && has(before, older)
            })
    }

    /// The entities that are alive in the newer snapshot and not in the older one. Read
    /// their components from the newer view.
    pub fn spawned(&self) -> impl Iterator<Item = Entity> + use<'a> {
        self.occupants().filter_map(|(older, newer)| came(older, newer))
    }

    /// The entities that are alive in the older snapshot and not in the newer one.
    pub fn despawned(&self) -> impl Iterator<Item = Entity> + use<'a> {
        self.occupants().filter_map(|(older, newer)| came(newer, older))
    }

    /// The components that entities of both snapshots have in the newer one only. Their values are
    /// read from the newer view.
    pub fn inserted(&self) -> impl Iterator<Item = (Entity, ComponentId)> + use<'a> {
        let diff = *self;
        diff.moved().flat_map(move |moved| {
            let (held, holds) = diff.archetypes(&moved);
            let new = holds.difference(held).intersection(&diff.mask);
            diff.components_of(&new).map(move |id| (moved.entity, id))
        })
    }

    /// The components that entities of both snapshots have in the older one only.
    pub fn removed(&self) -> impl Iterator<Item = (Entity, ComponentId)> + use<'a> {
        let diff = *self;
        diff.moved().flat_map(move |moved| {
            let (held, holds) = diff.archetypes(&moved);
            let gone = held.difference(holds).intersection(&diff.mask);
            diff.components_of(&gone).map(move |id| (moved.entity, id))
        })
    }

    /// The values of `T` that differ, of entities that have one in both snapshots. First those of
    /// entities that kept their location, by table and row, then those of entities that were moved.
    ///
    /// # Errors
    ///
    /// When `T` is not among the types that both views may read.
    pub fn changed<T: Component>(
        &self,
    ) -> Result<impl Iterator<Item = Change<&'a T>> + use<'a, T>, ReadError> {
        let id = self.readable::<T>(Kind::Component)?;
        Ok(id
            .into_iter()
            .flat_map({
                let diff = *self;
                move |id| diff.row_pairs(id)
            })
            .map(|RowPair { entity, older, newer }| Change {
                entity,
                older: older.0.get(older.1),
                newer: newer.0.get(newer.1),
            }))
    }

    /// The entities that have `T` in both snapshots and switched on in only one, each with whether
    /// it is on in the newer one. In the order of [`Diff::changed`].
    ///
    /// ```
    /// # use convoy_engine::snapshot::diff;
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// world.register_toggle::<u8>().unwrap();
    /// let entity = world.spawn((1_u8,));
    /// let older = world.capture(ComponentMask::ALL, &pool);
    /// world.disable::<u8>(entity).unwrap();
    /// let newer = world.capture(ComponentMask::ALL, &pool);
    /// let diff = diff(&older, &newer).unwrap();
    /// assert!(diff.switched::<u8>().unwrap().eq([(entity, false)]));
    /// ```
    ///
    /// # Errors
    ///
    /// When `T` is not among the types that both views may read, or is no toggle in the newer one.
    pub fn switched<T: Component>(
        &self,
    ) -> Result<impl Iterator<Item = (Entity, bool)> + use<'a, T>, ReadError> {
        let id = self.readable::<T>(Kind::Component)?;
        let toggle = id.and_then(|id| self.info(id)?.toggle());
        let toggle = toggle.ok_or_else(|| ReadError::NotToggle { component: name_of::<T>() })?;
        let switched = self.row_pairs(toggle);
        Ok(switched
            .map(|RowPair { entity, newer, .. }| (entity, *newer.0.get::<u8>(newer.1) == ENABLED)))
    }

    /// [`Diff::switched`] by the id of a toggle.
    pub(crate) fn switched_by(
        &self,
        toggle: ComponentId,
    ) -> impl Iterator<Item = (Entity, bool)> + use<'a> {
        let switched = self.row_pairs(toggle);
        switched
            .map(|RowPair { entity, newer, .. }| (entity, *newer.0.get::<u8>(newer.1) == ENABLED))
    }

    /// The bytes of the values of component `id` that differ, in the order of [`Diff::changed`].
    ///
    /// # Errors
    ///
    /// When no component has the id, or it is not among the types that both views may read.
    pub fn changed_bytes(
        &self,
        id: ComponentId,
    ) -> Result<impl Iterator<Item = Change<&'a [u8]>> + use<'a>, ReadError> {
        let info = self.info(id).filter(|info| info.kind() == Kind::Component);
        let component = info.ok_or(ReadError::Unknown { id })?.name();
        if !self.mask.contains(id) {
            return Err(ReadError::NotReadable { component });
        }
        let diff = *self;
        Ok(self.row_pairs(id).map(move |pair| {
            let (older, newer) = diff.bytes_of(&pair, id);
            Change { entity: pair.entity, older, newer }
        }))
    }

    /// The lists of `T` that differ in an element or in their length, in the order of [`Diff::changed`].
    ///
    /// ```
    /// # use convoy_engine::list::List;
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let bags = [(); 2].map(|()| world.spawn((List::<u8>::new(),)));
    /// let last = world.capture(ComponentMask::ALL, &pool);
    /// world.list_mut::<u8>(bags[1]).unwrap().push(7);
    /// let changes = world.changed_since(&last).unwrap();
    /// let change = changes.changed_lists::<u8>().unwrap().next().unwrap();
    /// assert_eq!((change.entity, change.older, change.newer), (bags[1], &[][..], &[7][..]));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Diff::changed`].
    pub fn changed_lists<T: Component>(
        &self,
    ) -> Result<impl Iterator<Item = Change<&'a [T]>> + use<'a, T>, ReadError> {
        let id = self.readable::<ListHandle<T>>(Kind::Component)?;
        let (diff, list) = (*self, |side: Side<'a>, (rows, row): (Rows<'a>, usize), id| {
            let lists = side.store.lists(id).expect("the component is a list");
            lists.get(rows.get::<ListHandle<T>>(row))
        });
        Ok(id.into_iter().flat_map(move |id| {
            diff.row_pairs(id).map(move |RowPair { entity, older, newer }| Change {
                entity,
                older: list(diff.older, older, id),
                newer: list(diff.newer, newer, id),
            })
        }))
    }

    /// The bytes of both values of component `id`: those of the elements of lists.
    fn bytes_of(&self, pair: &RowPair<'a>, id: ComponentId) -> (&'a [u8], &'a [u8]) {
        let bytes = |side: Side<'a>, (rows, row)| side.store.value_bytes(rows, id, row);
        (bytes(self.older, pair.older), bytes(self.newer, pair.newer))
    }

    /// The resource of type `T`, if it differs.
    ///
    /// # Errors
    ///
    /// When `T` is not among the types that both views may read.
    pub fn resource<T: Component>(&self) -> Result<Option<ResourceChange<&'a T>>, ReadError> {
        let Some(id) = self.readable::<T>(Kind::Resource)? else { return Ok(None) };
        let value = |side: Side<'a>| Some(side.store.resource_rows(id)?.get(0));
        let change = self.resource_bytes(id);
        Ok(change.map(|change| ResourceChange {
            id,
            older: change.older.and_then(|_| value(self.older)),
            newer: change.newer.and_then(|_| value(self.newer)),
        }))
    }

    /// The bytes of the resources that differ, in the order of their ids.
    pub fn resources(&self) -> impl Iterator<Item = ResourceChange<&'a [u8]>> + use<'a> {
        let diff = *self;
        diff.ids_of(Kind::Resource).filter_map(move |id| diff.resource_bytes(id))
    }

    fn resource_bytes(&self, id: ComponentId) -> Option<ResourceChange<&'a [u8]>> {
        let bytes = |side: Side<'a>| {
            let rows = side.store.resource_rows(id)?;
            (rows.len() > 0).then(|| rows.bytes(0..1))
        };
        let (older, newer) = (bytes(self.older), bytes(self.newer));
        (older != newer).then_some(ResourceChange { id, older, newer })
    }

    /// The id of `T`, `None` when neither world knew the type and both views read everything.
    fn readable<T: Component>(&self, kind: Kind) -> Result<Option<ComponentId>, ReadError> {
        let id = |side: Side<'_>| side.store.catalog().registry.id_of::<T>(kind);
        match id(self.newer).or_else(|| id(self.older)) {
            Some(id) if self.mask.contains(id) => Ok(Some(id)),
            None if self.mask == ComponentMask::ALL => Ok(None),
            _ => Err(ReadError::NotReadable { component: name_of::<T>() }),
        }
    }

    fn info(&self, id: ComponentId) -> Option<&'a ComponentInfo> {
        let known = |side: Side<'a>| side.store.catalog().registry.get(id);
        known(self.newer).or_else(|| known(self.older))
    }

    /// The components of a mask, without the types of other kinds.
    fn components_of(&self, mask: &ComponentMask) -> impl Iterator<Item = ComponentId> + use<'a> {
        let diff = *self;
        let is_component = |info: &ComponentInfo| info.kind() == Kind::Component;
        mask.iter().filter(move |&id| diff.info(id).is_some_and(is_component))
    }

    /// The ids of the types of `kind` that the diff speaks of.
    fn ids_of(&self, kind: Kind) -> impl Iterator<Item = ComponentId> + use<'a> {
        let diff = *self;
        let is_kind =
            move |&id: &ComponentId| diff.info(id).is_some_and(|info| info.kind() == kind);
        diff.mask.iter().filter(is_kind)
    }

    /// The occupants of the slots of the index that differ. Where a sync has put the archetypes in
    /// another order between the snapshots, equal slots may tell of different locations, and all are
    /// looked at.
    fn occupants(&self) -> impl Iterator<Item = (Occupant, Occupant)> + use<'a> {
        let Self { older, newer, .. } = *self;
        let lens = (older.slots.len(), newer.slots.len());
        let (both, either) = (lens.0.min(lens.1), lens.0.max(lens.1));
        let is_comparable = self.common == usize::MAX;
        let different = is_comparable.then(|| DifferentRows::new(older.slots, newer.slots));
        let others = if is_comparable { both..either } else { 0..either };
        let slots = different.into_iter().flatten().chain(others);
        slots.map(move |index| (older.occupant(index), newer.occupant(index)))
    }

    /// The entities of both snapshots that are not at the same location.
    fn moved(&self) -> impl Iterator<Item = Moved> + use<'a> {
        let common = self.common;
        self.occupants().filter_map(move |pair| {
            let ((entity, older), (same, newer)) = (pair.0?, pair.1?);
            let is_elsewhere = older != newer || older.archetype.index() >= common;
            (entity == same && is_elsewhere).then_some(Moved { entity, older, newer })
        })
    }

    fn archetypes(&self, moved: &Moved) -> (&'a ComponentMask, &'a ComponentMask) {
        (self.older.archetype(moved.older), self.newer.archetype(moved.newer))
    }

    /// The rows of component `id` that differ.
    fn row_pairs(&self, id: ComponentId) -> impl Iterator<Item = RowPair<'a>> + use<'a> {
        self.row_pairs_in_place(id).chain(self.row_pairs_moved(id))
    }

    /// Those of entities that are at the same location in both snapshots.
    fn row_pairs_in_place(&self, id: ComponentId) -> impl Iterator<Item = RowPair<'a>> + use<'a> {
        let (older, newer) = (self.older.store, self.newer.store);
        let tables = 0..older.table_count().min(newer.table_count()).min(self.common);
        let columns = tables.filter_map(move |table| {
            let column = (older.rows(table, id)?, newer.rows(table, id)?);
            let handles = ComponentId::ENTITY;
            let entities = (older.rows(table, handles)?, newer.rows(table, handles)?);
            Some((column, entities))
        });
        let sides = (self.older, self.newer);
        columns.flat_map(move |(column, entities)| {
            sides.0.different_rows(&sides.1, id, column).filter_map(move |row| {
                let entity = *entities.1.get::<Entity>(row);
                let (older, newer) = ((column.0, row), (column.1, row));
                (*entities.0.get::<Entity>(row) == entity).then_some(RowPair {
                    entity,
                    older,
                    newer,
                })
            })
        })
    }

    /// Those of entities that were moved.
    fn row_pairs_moved(&self, id: ComponentId) -> impl Iterator<Item = RowPair<'a>> + use<'a> {
        let diff = *self;
        diff.moved().filter_map(move |Moved { entity, older, newer }| {
            let older = (diff.older.column(older, id)?, older.row as usize);
            let newer = (diff.newer.column(newer, id)?, newer.row as usize);
            let pair = RowPair { entity, older, newer };
            let (older, newer) = diff.bytes_of(&pair, id);
            (older != newer).then_some(pair)
        })
    }
}

impl fmt::Debug for Diff<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Diff")
            .field("spawned", &self.spawned().count())
            .field("despawned", &self.despawned().count())
            .field("inserted", &self.inserted().count())
            .field("removed", &self.removed().count())
            .finish_non_exhaustive()
    }
}

/// Below which number both catalogs have the same archetypes: there is no bound where one begins with
/// the other.
fn common_archetypes(older: &Catalog, newer: &Catalog) -> usize {
    if older.begins_with(newer) || newer.begins_with(older) {
        return usize::MAX;
    }
    let pairs = older.archetypes().iter().zip(newer.archetypes());
    pairs.take_while(|(older, newer)| older.mask() == newer.mask()).count()
}

/// The entity of `newer`, unless it is that of `older`.
fn came(older: Occupant, newer: Occupant) -> Option<Entity> {
    let entity = newer?.0;
    (older.map(|older| older.0) != Some(entity)).then_some(entity)
}
