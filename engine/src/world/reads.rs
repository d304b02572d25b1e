//! Reading single things of a [`Store`]: worlds, views, branches and replicas answer alike.

use crate::storage::component::{Component, ComponentInfo, ENABLED, Kind};
use crate::storage::layout::Value;
use crate::storage::links::{ChildOf, Children};
use crate::storage::list::{List, ListHandle};
use crate::storage::names::name_of;
use crate::storage::{ComponentId, ComponentMask, Entity};

use super::events::{EventCursor, EventRecords, Events};
use super::family::{ChildIter, Descendants};
use super::index::Location;
use super::read_error::{ReadError, not_readable};
use super::store::{NoHandles, Store};
use super::untyped::EventBytes;

impl<'a> Store<'a> {
    pub(crate) fn contains(&self, entity: Entity) -> Result<bool, ReadError> {
        match self.locate(entity) {
            Ok(at) => Ok(at.is_some()),
            Err(NoHandles) => Err(not_readable::<Entity>()),
        }
    }

    #[inline]
    pub(super) fn locate_alive(&self, entity: Entity) -> Result<Location, ReadError> {
        match self.locate(entity) {
            Ok(at) => at.ok_or(ReadError::NotAlive { entity }),
            Err(NoHandles) => Err(not_readable::<Entity>()),
        }
    }

    /// The id of `T`; `None` where nothing has it. A store that may be read only in part
    /// can't tell that of a type that it doesn't know.
    #[inline]
    fn readable_id<T: Component>(&self, kind: Kind) -> Result<Option<ComponentId>, ReadError> {
        match self.catalog().registry.id_of::<T>(kind) {
            Some(id) if self.readable().contains(id) => Ok(Some(id)),
            None if self.readable().is_all() => Ok(None),
            _ => Err(not_readable::<T>()),
        }
    }

    fn info_of_kind(&self, id: ComponentId, kind: Kind) -> Option<&'a ComponentInfo> {
        self.catalog().registry.get(id).filter(|info| info.kind() == kind)
    }

    /// The name of the type that has an id, which may be read.
    fn readable_name(&self, id: ComponentId, kind: Kind) -> Result<&'static str, ReadError> {
        let info = self.info_of_kind(id, kind).ok_or(ReadError::Unknown { id })?;
        let component = info.name();
        let is_readable = self.readable().contains(id);
        if is_readable { Ok(component) } else { Err(ReadError::NotReadable { component }) }
    }

    #[inline]
    pub(crate) fn get<T: Component>(&self, entity: Entity) -> Result<&'a T, ReadError> {
        let at = self.locate_alive(entity)?;
        let id = self.readable_id::<T>(Kind::Component)?;
        let rows = id.and_then(|id| self.rows(at.archetype.index(), id));
        let rows = rows.ok_or(ReadError::Missing { entity, component: name_of::<T>() })?;
        Ok(rows.get(at.row as usize))
    }

    pub(crate) fn get_bytes(&self, entity: Entity, id: ComponentId) -> Result<&'a [u8], ReadError> {
        let at = self.locate_alive(entity)?;
        let component = self.readable_name(id, Kind::Component)?;
        let rows = self.rows(at.archetype.index(), id);
        let rows = rows.ok_or(ReadError::Missing { entity, component })?;
        Ok(self.value_bytes(rows, id, at.row as usize))
    }

    /// The elements of the list of `T` of an entity.
    pub(crate) fn list<T: Component>(&self, entity: Entity) -> Result<&'a [T], ReadError> {
        let at = self.locate_alive(entity)?;
        let id = match self.catalog().registry.list_of::<T>() {
            Some(id) if self.readable().contains(id) => Some(id),
            None if self.readable().is_all() => None,
            _ => return Err(ReadError::NotReadable { component: name_of::<List<T>>() }),
        };
        let rows = id.and_then(|id| Some((id, self.rows(at.archetype.index(), id)?)));
        let component = name_of::<List<T>>;
        let (id, rows) =
            rows.ok_or_else(|| ReadError::Missing { entity, component: component() })?;
        let lists = self.lists(id).expect("the component is a list");
        Ok(lists.get(rows.get::<ListHandle<T>>(at.row as usize)))
    }

    pub(crate) fn value(&self, entity: Entity, id: ComponentId) -> Result<Value<'a>, ReadError> {
        let bytes = self.get_bytes(entity, id)?;
        let info = self.catalog().registry.info(id);
        Ok(Value::new(info.layout().filter(|_| info.list().is_none()), bytes))
    }

    pub(crate) fn is_enabled<T: Component>(&self, entity: Entity) -> Result<bool, ReadError> {
        let at = self.locate_alive(entity)?;
        let id = self.readable_id::<T>(Kind::Component)?;
        let toggle = id.and_then(|id| self.catalog().registry.info(id).toggle());
        let toggle = toggle.ok_or(ReadError::NotToggle { component: name_of::<T>() })?;
        let rows = self.rows(at.archetype.index(), toggle);
        let rows = rows.ok_or(ReadError::Missing { entity, component: name_of::<T>() })?;
        Ok(*rows.get::<u8>(at.row as usize) == ENABLED)
    }

    pub(crate) fn events<'e, T: Component>(
        &self,
        cursor: &'e mut EventCursor<T>,
    ) -> Result<Events<'e, T>, ReadError>
    where
        'a: 'e,
    {
        let records = self.records::<T>()?;
        Ok(Events::new(records.unwrap_or(EventRecords::EMPTY), cursor))
    }

    fn records<T: Component>(&self) -> Result<Option<EventRecords<'a>>, ReadError> {
        if self.is_live() {
            // Also a replica has events of its own, of types that it was synced without.
            let id = self.catalog().registry.id_of::<T>(Kind::Event);
            return Ok(id.and_then(|id| self.log(id)));
        }
        let Some(id) = self.readable_id::<T>(Kind::Event)? else { return Ok(None) };
        self.log(id).ok_or_else(not_readable::<T>).map(Some)
    }

    pub(crate) fn event_cursor<T: Component>(&self) -> EventCursor<T> {
        let records = self.records::<T>().ok().flatten();
        EventCursor::starting_at(records.map_or(0, |records| records.end()))
    }

    pub(crate) fn event_bytes(
        &self,
        id: ComponentId,
        from: u64,
    ) -> Result<EventBytes<'a>, ReadError> {
        let info = self.info_of_kind(id, Kind::Event).ok_or(ReadError::Unknown { id })?;
        let component = info.name();
        let EventRecords { rows, first, .. } =
            self.log(id).ok_or(ReadError::NotReadable { component })?;
        Ok(EventBytes::new(rows, first, from))
    }

    pub(crate) fn resource<T: Component>(&self) -> Result<&'a T, ReadError> {
        let missing = || ReadError::NoResource { resource: name_of::<T>() };
        let id = self.readable_id::<T>(Kind::Resource)?.ok_or_else(missing)?;
        let rows = self.resource_rows(id).ok_or_else(not_readable::<T>)?;
        if rows.len() > 0 { Ok(rows.get(0)) } else { Err(missing()) }
    }

    pub(crate) fn resource_bytes(&self, id: ComponentId) -> Result<&'a [u8], ReadError> {
        let component = self.readable_name(id, Kind::Resource)?;
        let rows = self.resource_rows(id).ok_or(ReadError::NotReadable { component })?;
        let value = (rows.len() > 0).then(|| rows.bytes(0..1));
        value.ok_or(ReadError::NoResource { resource: component })
    }

    pub(crate) fn row_bytes(&self, mask: &ComponentMask) -> usize {
        let registry = &self.catalog().registry;
        let mask = self.readable().intersection(mask);
        let columns = (0..self.table_count()).flat_map(|table| {
            let ids = self.table(table).mask().intersection(&mask).iter();
            ids.filter_map(move |id| self.rows(table, id))
        });
        let ids = registry.ids_of(Kind::Resource).filter(|&id| mask.contains(id));
        let resources = ids.filter_map(|id| self.resource_rows(id));
        columns.chain(resources).map(|rows| rows.size() * rows.len()).sum()
    }

    pub(crate) fn component_id<T: Component>(&self) -> Option<ComponentId> {
        self.catalog().registry.id_of::<T>(Kind::Component)
    }

    pub(crate) fn component_info(&self, id: ComponentId) -> Option<&'a ComponentInfo> {
        self.catalog().registry.get(id)
    }

    pub(crate) fn id_by_name(&self, name: &str, kind: Kind) -> Option<ComponentId> {
        self.catalog().registry.id_of_name(name, kind)
    }

    pub(crate) fn parent(&self, entity: Entity) -> Result<Option<Entity>, ReadError> {
        Ok(present(self.get::<ChildOf>(entity))?.map(|link| link.parent()))
    }

    pub(crate) fn children(&self, entity: Entity) -> Result<ChildIter<'a>, ReadError> {
        Ok(ChildIter::new(*self, self.first_children(entity)?))
    }

    pub(crate) fn descendants(&self, entity: Entity) -> Result<Descendants<'a>, ReadError> {
        Ok(Descendants::new(*self, entity, self.first_children(entity)?))
    }

    /// The link of `entity` to its children, which may be read as theirs may.
    fn first_children(&self, entity: Entity) -> Result<Option<Children>, ReadError> {
        let children = present(self.get::<Children>(entity))?.copied();
        if let Some(children) = children {
            self.get::<ChildOf>(children.first())?;
        }
        Ok(children)
    }
}

/// A link that may be missing.
fn present<T>(link: Result<&T, ReadError>) -> Result<Option<&T>, ReadError> {
    match link {
        Ok(link) => Ok(Some(link)),
        Err(ReadError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
