//! Events and resources by id and bytes: for files, scripts, other languages, and programs that
//! show a world without knowing its types.
//!
//! Their types are registered as always, by a [`Schema`](crate::schema::Schema) or on first use. Bytes are
//! checked where they come in.

use crate::storage::ComponentId;
use crate::storage::component::{ComponentInfo, Kind};
use crate::storage::rows::Rows;

use super::core::World;
use super::error::{RefusedBytes, SpawnError};
use super::resources::ResourceError;

/// The events of one type by their bytes, oldest first, each with its number.
#[derive(Clone)]
pub struct EventBytes<'a> {
    rows: Rows<'a>,
    first: u64,
    next: u64,
    lost: u64,
}

impl<'a> EventBytes<'a> {
    /// The records from number `from` on. The first of `rows` has the number `first`.
    pub(crate) fn new(rows: Rows<'a>, first: u64, from: u64) -> Self {
        Self { rows, first, next: from.max(first), lost: first.saturating_sub(from) }
    }

    /// Events that were asked for and dropped before.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The number to ask for the next time: after the events that were taken so far.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }
}

impl<'a> Iterator for EventBytes<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.next;
        let row = (number - self.first) as usize;
        if row >= self.rows.len() {
            return None;
        }
        self.next += 1;
        Some((number, self.rows.bytes(row..row + 1)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rows.len().saturating_sub((self.next - self.first) as usize);
        (left, Some(left))
    }
}

impl ExactSizeIterator for EventBytes<'_> {}

/// # Events and resources by id and bytes
impl World {
    /// Appends an event by its bytes to the log of the type `id`, as [`World::try_send_event`].
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use convoy_engine::events::EventCursor;
    /// let mut world = World::new();
    /// let id = world.register_event::<u32>().unwrap();
    /// world.send_event_bytes(id, &7_u32.to_ne_bytes()).unwrap();
    /// assert!(world.events::<u32>(&mut EventCursor::default()).eq([7]));
    /// let mut events = world.event_bytes(id, 0).unwrap();
    /// assert_eq!(events.next(), Some((0, &7_u32.to_ne_bytes()[..])));
    /// assert_eq!(world.event_bytes(id, events.next_sequence()).unwrap().count(), 0);
    /// ```
    ///
    /// # Errors
    ///
    /// When no event type has the id, the bytes are not as many as an event has or none of its
    /// type, or memory runs out. The log is unchanged.
    pub fn send_event_bytes(&mut self, id: ComponentId, bytes: &[u8]) -> Result<(), SpawnError> {
        let info = self.info_of_kind(id, Kind::Event).ok_or(SpawnError::Unknown { id })?;
        let (component, expected, found) = (info.name(), info.size(), bytes.len());
        if found != expected {
            return Err(SpawnError::Bytes { component, expected, found });
        }
        let Some(event) = self.catalog.registry.value(id, bytes) else {
            let value = RefusedBytes::new(bytes);
            return Err(SpawnError::Value { entity: None, component, value });
        };
        let log = self.state.log_mut(id).expect("a registered event type has a log");
        Ok(log.push_bytes(event, self.event_retention, &mut self.memory)?)
    }

    /// Sets the resource `id` by its bytes, whether it has a value or not.
    ///
    /// # Errors
    ///
    /// When no resource has the id, the bytes are not as many as a value has or none of its type, in a
    /// replica that was synced without it, or when memory runs out. The value is unchanged.
    pub fn set_resource_bytes(
        &mut self,
        id: ComponentId,
        bytes: &[u8],
    ) -> Result<(), ResourceError> {
        let info = self.resource_info(id)?;
        let (resource, expected, found) = (info.name(), info.size(), bytes.len());
        if found != expected {
            return Err(ResourceError::Bytes { resource, expected, found });
        }
        let Some(value) = self.catalog.registry.value(id, bytes) else {
            return Err(ResourceError::Value { resource, value: RefusedBytes::new(bytes) });
        };
        let held = self.state.resource_mut(id).expect("a registered resource type has a column");
        Ok(held.insert_bytes(value, &mut self.memory)?)
    }

    fn info_of_kind(&self, id: ComponentId, kind: Kind) -> Option<&ComponentInfo> {
        self.catalog.registry.get(id).filter(|info| info.kind() == kind)
    }

    fn resource_info(&self, id: ComponentId) -> Result<&ComponentInfo, ResourceError> {
        let info = self.info_of_kind(id, Kind::Resource).ok_or(ResourceError::Unknown { id })?;
        if !self.role.may_read(id) {
            return Err(ResourceError::NotReadable { resource: info.name() });
        }
        Ok(info)
    }
}
