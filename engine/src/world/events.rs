//! Events: messages between modules, read through cursors.
//!
//! Every type has an append-only log whose records are numbered from zero for the life of the
//! world. A reader's [`EventCursor`] holds the number it wants next, so each event reaches each
//! reader exactly once and in order, at any rate; events dropped before it came are counted.
//!
//! A cursor knows the log that it last read, so it can be taken to any other world: it goes on where
//! the records of the two differ, or at the beginning where they have none in common.

use std::any::{TypeId, type_name};
use std::marker::PhantomData;
use std::slice;

use crate::storage::column::access::RowMut;
use crate::storage::component::{Component, Kind};
use crate::storage::forks::Forks;
use crate::storage::names::public_name;
use crate::storage::recorded::RecordedValue;
use crate::storage::rows::Rows;
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentId, RegisterError};

use super::core::World;
use super::error::SpawnError;
use super::error::fail;
use super::state::State;

/// How far one reader has come in the events of type `T`.
///
/// The default cursor starts with the oldest event that is still kept;
/// [`World::event_cursor`] makes one that starts with the next.
pub struct EventCursor<T> {
    next: u64,
    lost: u64,
    taken_back: u64,
    /// The world that the cursor last read in; none before it has read.
    world: WorldId,
    /// The forks of the log as it last read it.
    forks: Forks,
    events: PhantomData<fn() -> T>,
}

impl<T> EventCursor<T> {
    /// A cursor that wants event number `next` first. Nothing before it counts as lost.
    pub const fn starting_at(next: u64) -> Self {
        let (world, forks) = (WorldId::NONE, Forks::NONE);
        Self { next, lost: 0, taken_back: 0, world, forks, events: PhantomData }
    }

    /// The cursor of an earlier program, with its counts of events that were lost and taken back.
    pub(crate) const fn resumed(next: u64, (lost, taken_back): (u64, u64)) -> Self {
        Self { lost, taken_back, ..Self::starting_at(next) }
    }

    /// The number of the event that comes next.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Events that this cursor has read and that a [`World::restore`](crate::World::restore) took
    /// back. It goes on with those that were sent in their place, under the same numbers. Taken
    /// back are also those of another world that this one has not sent, when the cursor comes from
    /// there.
    ///
    /// ```
    /// # use convoy_engine::events::EventCursor;
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let mut world = World::new();
    /// let mut cursor = EventCursor::<u32>::default();
    /// world.send_event(1_u32);
    /// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    /// world.send_event(2_u32);
    /// assert!(world.events(&mut cursor).eq([1, 2]));
    /// world.restore(&view).unwrap();
    /// world.send_event(3_u32);
    /// assert!(world.events(&mut cursor).eq([3]));
    /// assert_eq!((cursor.taken_back(), cursor.lost()), (1, 0));
    /// ```
    pub fn taken_back(&self) -> u64 {
        self.taken_back
    }

    /// Events that were dropped before this cursor came to them.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl<T> EventCursor<T> {
    /// Goes on in a log, with the first event that is not as it was read. Tells whether the records
    /// are news for the cursor: a snapshot of a future that was taken back, or of before, has
    /// nothing new, and events that it has lost are not lost to the cursor.
    fn enter(&mut self, records: &EventRecords<'_>) -> bool {
        let Some(forks) = records.forks else { return true };
        if self.world == WorldId::NONE {
            self.forks = *forks;
        } else if self.forks.timeline() != forks.timeline() {
            let older = self.forks.timeline() > forks.timeline();
            let common = if self.world == records.world && self.forks.same_origin(forks) {
                if older {
                    return false;
                }
                forks.common_since(self.forks.timeline()).unwrap_or(self.next)
            } else {
                let common = forks.common_with(&self.forks);
                let has_begun = records.end() > 0 || forks.has_forked();
                if records.end() <= common.min(self.next) && (older || !has_begun) {
                    return false;
                }
                common
            };
            if common < self.next {
                self.taken_back += self.next - common;
                self.next = common;
            }
            self.forks = *forks;
        }
        self.world = records.world;
        true
    }
}

impl<T> Default for EventCursor<T> {
    fn default() -> Self {
        Self::starting_at(0)
    }
}

impl<T> Clone for EventCursor<T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T> std::fmt::Debug for EventCursor<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EventCursor")
            .field("event", &public_name(type_name::<T>()))
            .field("next", &self.next)
            .field("lost", &self.lost)
            .field("taken_back", &self.taken_back)
            .finish()
    }
}

/// The records of one event type, live or captured.
#[derive(Clone, Copy)]
pub(crate) struct EventRecords<'a> {
    pub(crate) world: WorldId,
    pub(crate) rows: Rows<'a>,
    /// The sequence number of the first record.
    pub(crate) first: u64,
    /// The forks of the log, where there is one.
    pub(crate) forks: Option<&'a Forks>,
}

impl EventRecords<'_> {
    pub(crate) const EMPTY: EventRecords<'static> =
        EventRecords { world: WorldId::NONE, rows: Rows::EMPTY, first: 0, forks: None };

    /// The number after the last record.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.rows.len() as u64
    }
}

/// The events that a cursor has not seen yet, oldest first. Each one that is taken moves the
/// cursor; the rest stay for the next time.
pub struct Events<'a, T> {
    records: EventRecords<'a>,
    cursor: &'a mut EventCursor<T>,
    /// Those of the cursor's next events that lie in one chunk, as far as they were looked up.
    run: slice::Iter<'a, T>,
}

impl<'a, T: Component> Events<'a, T> {
    pub(crate) fn new(mut records: EventRecords<'a>, cursor: &'a mut EventCursor<T>) -> Self {
        if !cursor.enter(&records) {
            records = EventRecords::EMPTY;
        }
        if cursor.next < records.first {
            cursor.lost += records.first - cursor.next;
            cursor.next = records.first;
        }
        Self { records, cursor, run: [].iter() }
    }

    /// The cursor's next events that lie in one chunk; `None` after the last one.
    fn next_run(&self) -> Option<&'a [T]> {
        // A cursor may be ahead of an older snapshot.
        let row = self.cursor.next.checked_sub(self.records.first)? as usize;
        (row < self.records.rows.len()).then(|| self.records.rows.chunk_from(row))
    }
}

impl<T: Component> Iterator for Events<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let event = match self.run.next() {
            Some(event) => event,
            None => {
                self.run = self.next_run()?.iter();
                self.run.next()?
            }
        };
        self.cursor.next += 1;
        Some(*event)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let seen = self.cursor.next.saturating_sub(self.records.first) as usize;
        let left = self.records.rows.len().saturating_sub(seen);
        (left, Some(left))
    }
}

impl<T: Component> ExactSizeIterator for Events<'_, T> {}

/// # Events
impl World {
    /// Registers `T` as an event type, or finds it registered. Its id shares the range of the
    /// components, and a mask with it captures the log.
    ///
    /// # Errors
    ///
    /// As [`World::register`].
    pub fn register_event<T: Component>(&mut self) -> Result<ComponentId, RegisterError> {
        if let Some(id) = self.catalog.registry.id_of::<T>(Kind::Event) {
            return Ok(id);
        }
        let registry = &mut std::sync::Arc::make_mut(&mut self.catalog).registry;
        let id = registry.register::<T>(Kind::Event, &|_, _| true)?;
        self.state.grow(&self.catalog, self.event_retention);
        Ok(id)
    }

    /// Appends an event to the log of its type.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use convoy_engine::events::EventCursor;
    /// let mut world = World::new();
    /// world.send_event(7_u32);
    /// let mut cursor = EventCursor::default();
    /// assert_eq!(world.events::<u32>(&mut cursor).collect::<Vec<_>>(), [7]);
    /// assert_eq!(world.events::<u32>(&mut cursor).count(), 0, "each event comes once");
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`World::try_send_event`] returns an error.
    #[inline]
    #[track_caller]
    pub fn send_event<T: Component>(&mut self, event: T) {
        if let Err(error) = self.try_send_event(event) {
            fail("send an event", &error);
        }
    }

    /// Appends an event to the log of its type, dropping the oldest ones beyond the retention.
    ///
    /// # Errors
    ///
    /// When the type can't be registered or memory runs out. The log is unchanged.
    #[inline]
    pub fn try_send_event<T: Component>(&mut self, event: T) -> Result<(), SpawnError> {
        let Self { state: State { logs, .. }, plans, memory, event_retention, .. } = self;
        let recent = plans.recent_log.find(TypeId::of::<T>());
        let log = recent.and_then(|number| logs.get_mut(number));
        let write = |row: RowMut<'_>| row.write(event);
        if log.is_some_and(|log| log.push_now::<T>(write, *event_retention, memory.now())) {
            return Ok(());
        }
        self.send_elsewhere(event)
    }

    /// Appends many events of one type, in their order: the log is looked up once, and each event costs a
    /// write to its place.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use convoy_engine::events::EventCursor;
    /// let mut world = World::new();
    /// world.send_events((0..1_000_u32).filter(|number| number % 3 == 0));
    /// let mut cursor = EventCursor::<u32>::default();
    /// assert_eq!(world.events(&mut cursor).len(), 334);
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`World::try_send_events`] returns an error.
    #[track_caller]
    pub fn send_events<T: Component>(&mut self, events: impl IntoIterator<Item = T>) {
        if let Err(error) = self.try_send_events(events) {
            fail("send events", &error);
        }
    }

    /// [`World::send_events`], dropping the oldest events beyond the retention.
    ///
    /// # Errors
    ///
    /// When the type can't be registered: nothing is taken from the iterator then. When memory runs out for a row
    /// that another event might need: the events that were taken are sent, an iterator that was lent (`by_ref`)
    /// has the others, and the type stays registered.
    pub fn try_send_events<T: Component>(
        &mut self,
        events: impl IntoIterator<Item = T>,
    ) -> Result<(), SpawnError> {
        let number = match self.log_of::<T>() {
            Some(number) => number,
            None => {
                self.register_event::<T>()?;
                self.log_of::<T>().expect("the event type was just registered")
            }
        };
        let Self { state: State { logs, .. }, memory, event_retention, .. } = self;
        Ok(logs[number].extend(events.into_iter(), *event_retention, memory)?)
    }

    /// The number of the log of `T`, if it is registered, noted as the one that was sent to last.
    fn log_of<T: Component>(&mut self) -> Option<usize> {
        let id = self.catalog.registry.id_of::<T>(Kind::Event)?;
        let number = self.state.log_number(id).expect("a registered event type has a log");
        self.plans.recent_log.set(TypeId::of::<T>(), number);
        Some(number)
    }

    /// [`World::try_send_event`] of another type than the one that was sent last, or one that needs more
    /// than a row.
    #[inline(never)]
    fn send_elsewhere<T: Component>(&mut self, event: T) -> Result<(), SpawnError> {
        self.send_recorded(RecordedValue::from(&event))
    }

    /// Appends an event that was recorded.
    #[inline]
    pub(crate) fn send_recorded<T: Component>(
        &mut self,
        event: RecordedValue<'_, T>,
    ) -> Result<(), SpawnError> {
        let Self { state: State { logs, .. }, plans, memory, event_retention, .. } = self;
        match plans.recent_log.find(TypeId::of::<T>()).and_then(|number| logs.get_mut(number)) {
            Some(log) => Ok(log.push(event, *event_retention, memory)?),
            None => self.send_other(event),
        }
    }

    /// Sends an event of another type than the one that was sent last.
    #[inline(never)]
    fn send_other<T: Component>(&mut self, event: RecordedValue<'_, T>) -> Result<(), SpawnError> {
        let Some(number) = self.log_of::<T>() else { return self.send_first(event) };
        let log = &mut self.state.logs[number];
        Ok(log.push(event, self.event_retention, &mut self.memory)?)
    }

    /// Sends the first event of its type, which it registers.
    #[cold]
    #[inline(never)]
    fn send_first<T: Component>(&mut self, event: RecordedValue<'_, T>) -> Result<(), SpawnError> {
        self.all_or_nothing(|world| {
            world.register_event::<T>()?;
            world.send_recorded(event)
        })
    }
}
