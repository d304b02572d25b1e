//! [`Readable`]: everything that can be read, a world or a view, through one trait.
//!
//! The methods are written once, by a macro, and stand on the trait, on worlds and on views: generic
//! code has the trait, and everybody else needs no import.

use crate::storage::{Component, Entity};
use crate::world::World;
use crate::world::read_error::ReadError;
use crate::world::store::Store;

use super::sealed::SealedReadable;

/// The methods of everything that can be read, for a type or trait with a method `store`.
macro_rules! reading_methods {
    ($vis:vis methods) => {
        /// A query that only reads.
        ///
        /// ```
        /// # use convoy_engine::query::QueryError;
        /// # use convoy_engine::{SnapshotPool, World};
        /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
        /// world.spawn((1_u32, 2.5_f32));
        /// let numbers = world.mask_of::<(u32,)>().unwrap();
        /// let view = world.capture(numbers, &pool);
        /// assert_eq!(view.query::<&u32>().single(), world.query::<&u32>().single());
        /// let error = QueryError::NotReadable { component: "f32" };
        /// assert_eq!(view.try_query::<&f32>().err(), Some(error));
        /// ```
        ///
        /// # Panics
        ///
        /// Where [`try_query`](Self::try_query) returns an error.
        #[inline]
        #[track_caller]
        $vis fn query<Q: $crate::query::ReadOnly>(&self) -> $crate::query::Query<'_, Q> {
            $crate::query::error::or_panic(self.try_query())
        }

        /// A query that only reads.
        ///
        /// # Errors
        ///
        /// When a component was not captured, not synced, or not declared by the reader.
        $vis fn try_query<Q: $crate::query::ReadOnly>(
            &self,
        ) -> Result<$crate::query::Query<'_, Q>, $crate::query::QueryError> {
            $crate::query::Query::scan(self.store())
        }

        /// A query by component ids: every entity that has all components of `required`, none of them
        /// switched off, and none of `excluded`, run by run, with the values of `required` as bytes.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// # use convoy_engine::component::ComponentDescription;
        /// let mut world = World::new();
        /// let wind = ComponentDescription { name: "wind", size: 2, align: 1 };
        /// let wind = world.register_described(wind).unwrap();
        /// world.spawn_described(&[(wind, &[1, 2])]).unwrap();
        /// world.spawn_described(&[(wind, &[3, 4])]).unwrap();
        /// let mut bytes = Vec::new();
        /// for run in &world.query_described(&[wind], &[]).unwrap() {
        ///     assert_eq!(run.entities().unwrap().len(), run.len());
        ///     bytes.extend_from_slice(run.column(0));
        /// }
        /// assert_eq!(bytes, [1, 2, 3, 4]);
        /// ```
        ///
        /// # Errors
        ///
        /// When no component has an id of `required` or `excluded`, or one of `required` may not be
        /// read.
        $vis fn query_described<'a>(
            &'a self,
            required: &'a [$crate::storage::ComponentId],
            excluded: &[$crate::storage::ComponentId],
        ) -> Result<$crate::query::DescribedQuery<'a>, $crate::query::QueryError> {
            $crate::query::DescribedQuery::new(self.store(), required, excluded)
        }

        /// Prepares reading `T` of many entities by handle: the work that a look-up repeats for every
        /// entity is done once. A type that no component has yet is found nowhere. The cost grows with
        /// archetypes, up to 64 of them; nothing is allocated.
        ///
        /// # Errors
        ///
        /// When `T` or [`Entity`](crate::Entity) may not be read.
        $vis fn reader<T: $crate::storage::Component>(
            &self,
        ) -> Result<$crate::query::Reader<'_, T>, $crate::query::QueryError> {
            $crate::query::Reader::new(self.store())
        }

        /// Whether `entity` is alive.
        ///
        /// # Panics
        ///
        /// Where [`try_contains`](Self::try_contains) returns an error.
        #[inline]
        #[track_caller]
        $vis fn contains(&self, entity: $crate::storage::Entity) -> bool {
            $crate::query::error::or_panic(self.try_contains(entity))
        }

        /// Whether `entity` is alive.
        ///
        /// # Errors
        ///
        /// When [`Entity`](crate::Entity) may not be read.
        #[inline]
        $vis fn try_contains(
            &self,
            entity: $crate::storage::Entity,
        ) -> Result<bool, $crate::world::read_error::ReadError> {
            self.store().contains(entity)
        }

        /// Whether the component `T` of `entity` is switched on.
        ///
        /// ```
        /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
        /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
        /// world.register_toggle::<u8>().unwrap();
        /// let entity = world.spawn((1_u8,));
        /// let view = world.capture(ComponentMask::ALL, &pool);
        /// world.disable::<u8>(entity).unwrap();
        /// assert_eq!((view.is_enabled::<u8>(entity), world.is_enabled::<u8>(entity)), (Ok(true), Ok(false)));
        /// ```
        ///
        /// # Errors
        ///
        /// When the handle is stale, `entity` has no `T`, `T` is no toggle, or may not be read.
        $vis fn is_enabled<T: $crate::storage::Component>(
            &self,
            entity: $crate::storage::Entity,
        ) -> Result<bool, $crate::world::read_error::ReadError> {
            self.store().is_enabled::<T>(entity)
        }

        /// The elements of the list of `T` of `entity`.
        ///
        /// ```
        /// # use convoy_engine::list::List;
        /// # use convoy_engine::{ComponentMask, Entity, SnapshotPool, World};
        /// let mut world = World::new();
        /// let ship = world.spawn((List::<Entity>::new(),));
        /// world.list_mut::<Entity>(ship).unwrap().push(ship);
        /// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
        /// assert_eq!(view.list::<Entity>(ship).unwrap(), [ship]);
        /// assert!(view.list::<u8>(ship).is_err());
        /// ```
        ///
        /// # Errors
        ///
        /// When the handle is stale, `entity` has no list of `T`, or it may not be read.
        #[inline]
        $vis fn list<T: $crate::storage::Component>(
            &self,
            entity: $crate::storage::Entity,
        ) -> Result<&[T], $crate::world::read_error::ReadError> {
            self.store().list::<T>(entity)
        }

        /// The bytes of the component `id` of `entity`, described or typed, aligned for a value; those of the
        /// elements of a list.
        ///
        /// # Errors
        ///
        /// When the handle is stale, the id is unknown, `entity` lacks the component, or it may not be
        /// read.
        $vis fn get_bytes(
            &self,
            entity: $crate::storage::Entity,
            id: $crate::storage::ComponentId,
        ) -> Result<&[u8], $crate::world::read_error::ReadError> {
            self.store().get_bytes(entity, id)
        }

        /// The component `id` of `entity`, with the meaning of its bytes where a
        /// [`Schema`](crate::schema::Schema) tells it: to be printed, or read field by field.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// # use convoy_engine::schema::{Schema, TypeEntry};
        /// let velocity = TypeEntry::<[f32; 2]>::new().named("velocity", 1).with_layout();
        /// let schema = Schema::builder().component(velocity).build().unwrap();
        /// let mut world = World::with_schema(&schema);
        /// let ship = world.spawn(([1.5_f32, -2.0],));
        /// let velocity = world.component_id_by_name("velocity").unwrap();
        /// assert_eq!(format!("{:?}", world.value(ship, velocity).unwrap()), "[1.5, -2.0]");
        /// ```
        ///
        /// # Errors
        ///
        /// As [`get_bytes`](Self::get_bytes).
        $vis fn value(
            &self,
            entity: $crate::storage::Entity,
            id: $crate::storage::ComponentId,
        ) -> Result<$crate::storage::Value<'_>, $crate::world::read_error::ReadError> {
            self.store().value(entity, id)
        }

        /// The resource of type `T`.
        ///
        /// # Errors
        ///
        /// When there is none, or it may not be read.
        $vis fn resource<T: $crate::storage::Component>(
            &self,
        ) -> Result<&T, $crate::world::read_error::ReadError> {
            self.store().resource()
        }

        /// Whether there is a resource of type `T` that may be read.
        $vis fn contains_resource<T: $crate::storage::Component>(&self) -> bool {
            self.resource::<T>().is_ok()
        }

        /// The bytes of the resource `id`, aligned for a value.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// let mut world = World::new();
        /// let id = world.register_resource::<u32>().unwrap();
        /// assert!(world.resource_bytes(id).is_err(), "it has no value yet");
        /// world.set_resource_bytes(id, &9_u32.to_ne_bytes()).unwrap();
        /// assert_eq!(world.resource::<u32>().unwrap(), &9);
        /// assert_eq!(world.resource_bytes(id).unwrap(), 9_u32.to_ne_bytes());
        /// ```
        ///
        /// # Errors
        ///
        /// When no resource has the id, there is no value, or it may not be read.
        $vis fn resource_bytes(
            &self,
            id: $crate::storage::ComponentId,
        ) -> Result<&[u8], $crate::world::read_error::ReadError> {
            self.store().resource_bytes(id)
        }

        /// The events of type `T` that `cursor` has not seen yet.
        ///
        /// # Panics
        ///
        /// Where [`try_events`](Self::try_events) returns an error.
        #[track_caller]
        $vis fn events<'a, T: $crate::storage::Component>(
            &'a self,
            cursor: &'a mut $crate::world::events::EventCursor<T>,
        ) -> $crate::world::events::Events<'a, T> {
            $crate::query::error::or_panic(self.try_events(cursor))
        }

        /// The events of type `T` that `cursor` has not seen yet.
        ///
        /// # Errors
        ///
        /// When the events may not be read.
        $vis fn try_events<'a, T: $crate::storage::Component>(
            &'a self,
            cursor: &'a mut $crate::world::events::EventCursor<T>,
        ) -> Result<$crate::world::events::Events<'a, T>, $crate::world::read_error::ReadError> {
            self.store().events(cursor)
        }

        /// A cursor that starts with the next event of type `T`: in a view, with the first one after the
        /// capture. With the oldest one where the events may not be read.
        ///
        /// ```
        /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
        /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
        /// world.send_event(1_u32);
        /// let view = world.capture(ComponentMask::ALL, &pool);
        /// world.send_event(2_u32);
        /// assert!(world.events(&mut view.event_cursor::<u32>()).eq([2]));
        /// ```
        $vis fn event_cursor<T: $crate::storage::Component>(&self) -> $crate::world::events::EventCursor<T> {
            self.store().event_cursor()
        }

        /// The events of the type `id` from number `from` on, by their bytes. Numbers begin with zero
        /// for the life of the world, but those of events that a
        /// [`World::restore`](crate::World::restore) took back are given again: an
        /// [`EventCursor`](crate::events::EventCursor) knows, a number does not.
        ///
        /// # Errors
        ///
        /// When no event type has the id, or the events may not be read.
        $vis fn event_bytes(
            &self,
            id: $crate::storage::ComponentId,
            from: u64,
        ) -> Result<$crate::world::untyped::EventBytes<'_>, $crate::world::read_error::ReadError> {
            self.store().event_bytes(id, from)
        }

        /// The parent of `entity`.
        ///
        /// ```
        /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
        /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
        /// let [ship, turret] = [1_u32, 2].map(|number| world.spawn((number,)));
        /// world.set_parent(turret, ship).unwrap();
        /// let view = world.capture(ComponentMask::ALL, &pool);
        /// world.despawn_tree(ship).unwrap();
        /// assert_eq!(view.parent(turret), Ok(Some(ship)));
        /// assert!(view.children(ship).unwrap().eq([turret]));
        /// ```
        ///
        /// # Errors
        ///
        /// When the handle is stale, or [`ChildOf`](crate::hierarchy::ChildOf) may not be read.
        $vis fn parent(
            &self,
            entity: $crate::storage::Entity,
        ) -> Result<Option<$crate::storage::Entity>, $crate::world::read_error::ReadError> {
            self.store().parent(entity)
        }

        /// The children of `entity` in their order.
        ///
        /// # Errors
        ///
        /// When the handle is stale, or [`ChildOf`](crate::hierarchy::ChildOf) or
        /// [`Children`](crate::hierarchy::Children) may not be read.
        $vis fn children(
            &self,
            entity: $crate::storage::Entity,
        ) -> Result<$crate::world::family::ChildIter<'_>, $crate::world::read_error::ReadError> {
            self.store().children(entity)
        }

        /// All descendants of `entity`, depth first, each before its own children.
        ///
        /// # Errors
        ///
        /// As [`children`](Self::children).
        $vis fn descendants(
            &self,
            entity: $crate::storage::Entity,
        ) -> Result<$crate::world::family::Descendants<'_>, $crate::world::read_error::ReadError> {
            self.store().descendants(entity)
        }

        /// Name, size and chunk shape of a component, event type or resource; `None` when nothing has
        /// the id.
        ///
        /// ```
        /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
        /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
        /// let id = world.register::<[f32; 3]>().unwrap();
        /// assert_eq!(world.component_info(id).unwrap().size(), 12);
        /// assert!(World::new().component_info(id).is_none(), "ids are of one world");
        /// let view = world.capture(ComponentMask::ALL, &pool);
        /// let later = world.register::<u64>().unwrap();
        /// assert!(view.component_id::<u64>().is_none() && view.component_info(later).is_none());
        /// ```
        $vis fn component_info(
            &self,
            id: $crate::storage::ComponentId,
        ) -> Option<&$crate::storage::ComponentInfo> {
            self.store().component_info(id)
        }

        /// The id of the component `T`, if it is registered.
        $vis fn component_id<T: $crate::storage::Component>(
            &self,
        ) -> Option<$crate::storage::ComponentId> {
            self.store().component_id::<T>()
        }

        /// The id of the component of this name, if one is registered. Of several types that share a
        /// name it is the one that was registered first.
        $vis fn component_id_by_name(&self, name: &str) -> Option<$crate::storage::ComponentId> {
            self.store().id_by_name(name, $crate::storage::component::Kind::Component)
        }

        /// The id of the event type of this name, if one is registered.
        $vis fn event_id_by_name(&self, name: &str) -> Option<$crate::storage::ComponentId> {
            self.store().id_by_name(name, $crate::storage::component::Kind::Event)
        }

        /// The id of the resource of this name, if one is registered.
        $vis fn resource_id_by_name(&self, name: &str) -> Option<$crate::storage::ComponentId> {
            self.store().id_by_name(name, $crate::storage::component::Kind::Resource)
        }

        /// The components that `entity` has, with their ids, names and shapes.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// let mut world = World::new();
        /// let ship = world.spawn((7_u32, 0.5_f64));
        /// let names: Vec<_> = world.components_of(ship).unwrap().map(|(_, info)| info.name()).collect();
        /// assert_eq!(names, ["u32", "f64"]);
        /// for (id, info) in world.components_of(ship).unwrap() {
        ///     println!("{} = {:?}", info.name(), world.value(ship, id).unwrap());
        /// }
        /// ```
        ///
        /// # Errors
        ///
        /// When the handle is stale, or [`Entity`](crate::Entity) may not be read.
        $vis fn components_of(
            &self,
            entity: $crate::storage::Entity,
        ) -> Result<$crate::world::Components<'_>, $crate::world::read_error::ReadError> {
            self.store().components_of(entity)
        }

        /// All archetypes with their components and the memory of those that may be read, in the
        /// order of iteration, empty ones included. The cost grows with columns, not with rows.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// let mut world = World::new();
        /// world.spawn_batch((0..1000_u32).map(|number| (number, 0.5_f64))).unwrap();
        /// let largest = world.archetypes().max_by_key(|archetype| archetype.rows).unwrap();
        /// assert!(largest.names().eq(["u32", "f64"]));
        /// assert_eq!((largest.rows, largest.bytes_used), (1000, 1000 * (8 + 4 + 8)));
        /// println!("{world:#?}"); // the same for all archetypes, as a table
        /// ```
        $vis fn archetypes(&self) -> $crate::world::Archetypes<'_> {
            self.store().archetypes()
        }

        /// Bytes of the rows in the columns of `mask` that may be read, and of such resources: the size of
        /// one packed copy.
        ///
        /// ```
        /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
        /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
        /// world.spawn((1_u32, 2_u64));
        /// let view = world.capture(ComponentMask::ALL, &pool);
        /// assert_eq!(view.row_bytes(&ComponentMask::ALL), 8 + 4 + 8);
        /// assert_eq!(view.row_bytes(&ComponentMask::ALL), world.row_bytes(&ComponentMask::ALL));
        /// ```
        $vis fn row_bytes(&self, mask: &$crate::storage::ComponentMask) -> usize {
            self.store().row_bytes(mask)
        }

        /// Entities alive.
        $vis fn entity_count(&self) -> usize {
            self.store().entity_count()
        }

        /// The frame counter: how often [`World::advance_tick`](crate::World::advance_tick) was called.
        $vis fn tick(&self) -> u64 {
            self.store().tick()
        }
    };
}

pub(crate) use reading_methods;

/// Everything that can be read: a [`World`], be it an ordinary one, a branch or a replica, or a
/// [`View`](crate::View). The same methods stand on both, so this trait is for generic code only.
///
/// Sealed.
///
/// ```
/// use convoy_engine::query::Readable;
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
///
/// fn total(readable: &impl Readable) -> u32 {
///     readable.query::<&u32>().iter().sum()
/// }
///
/// let mut world = World::new();
/// world.spawn((3_u32,));
/// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
/// world.spawn((4_u32,));
/// assert_eq!((total(&view), total(&world)), (3, 7));
/// ```
pub trait Readable: SealedReadable {
    /// Where to read.
    #[doc(hidden)]
    fn store(&self) -> Store<'_>;

    /// The component `T` of `entity`.
    ///
    /// # Errors
    ///
    /// When the handle is stale, `entity` has no `T`, or `T` or [`Entity`](crate::Entity) may not be
    /// read.
    fn get<T: Component>(&self, entity: Entity) -> Result<&T, ReadError> {
        self.store().get(entity)
    }

    reading_methods!(methods);
}

impl SealedReadable for World {}

impl Readable for World {
    fn store(&self) -> Store<'_> {
        Self::store(self)
    }

    fn get<T: Component>(&self, entity: Entity) -> Result<&T, ReadError> {
        Self::get(self, entity)
    }
}

/// # Queries and reading, as on views
impl World {
    reading_methods!(pub methods);
}
