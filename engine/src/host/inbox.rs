//! [`Inbox`]: how far a module has come in the events that it reads.
//!
//! Events count as read once a run has taken effect. Those of a run that failed or was late come again, so
//! often and no more, so that one event that a module can't cope with does not stop it for good.

use std::any::Any;
use std::fmt;

use crate::snapshot::View;
use crate::storage::component::Component;
use crate::world::events::{EventCursor, Events};
use crate::world::read_error::ReadError;

/// The cursors of a module, by type.
#[derive(Default)]
pub(super) struct Inbox {
    cursors: Vec<Box<dyn Cursor>>,
    /// Runs in a row that have read events and taken no effect.
    failed: u32,
}

/// A cursor of any type.
trait Cursor: Send {
    fn as_any(&mut self) -> &mut dyn Any;

    /// How many events the run has read.
    fn read(&self) -> u64;

    /// Counts them as read.
    fn commit(&mut self);

    /// Lets them come again.
    fn revert(&mut self);

    /// Events that were dropped before the module came to them.
    fn lost(&self) -> u64;
}

struct CursorOf<T> {
    /// Before the run.
    kept: EventCursor<T>,
    now: EventCursor<T>,
}

impl<T: Component> Cursor for CursorOf<T> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn read(&self) -> u64 {
        // A restore takes a cursor back before it goes on.
        let taken_back = self.now.taken_back() - self.kept.taken_back();
        let passed = (self.now.next_sequence() + taken_back) - self.kept.next_sequence();
        passed - (self.now.lost() - self.kept.lost())
    }

    fn commit(&mut self) {
        self.kept = self.now.clone();
    }

    fn revert(&mut self) {
        self.now = self.kept.clone();
    }

    fn lost(&self) -> u64 {
        self.kept.lost()
    }
}

impl Inbox {
    /// The events of type `T` that are new to the module.
    pub(super) fn events<'a, T: Component>(
        &'a mut self,
        view: &'a View,
    ) -> Result<Events<'a, T>, ReadError> {
        let found = self.cursors.iter_mut().position(|cursor| cursor.as_any().is::<CursorOf<T>>());
        let place = found.unwrap_or_else(|| {
            let start = EventCursor::<T>::default();
            self.cursors.push(Box::new(CursorOf { kept: start.clone(), now: start }));
            self.cursors.len() - 1
        });
        let cursor = self.cursors[place].as_any().downcast_mut::<CursorOf<T>>();
        view.try_events(&mut cursor.expect("the place has this type").now)
    }

    /// Ends a run that has taken effect.
    pub(super) fn commit(&mut self) {
        self.failed = 0;
        self.cursors.iter_mut().for_each(|cursor| cursor.commit());
    }

    /// Ends a run that has taken no effect: its events come again, unless that has happened in `tries` runs now.
    /// Returns how many events are dropped then.
    pub(super) fn give_back(&mut self, tries: u32) -> u64 {
        let read: u64 = self.cursors.iter().map(|cursor| cursor.read()).sum();
        self.failed = self.failed.saturating_add(u32::from(read > 0));
        if read > 0 && self.failed >= tries {
            self.commit();
            return read;
        }
        self.cursors.iter_mut().for_each(|cursor| cursor.revert());
        0
    }

    /// Events that were dropped before the module came to them.
    pub(super) fn lost(&self) -> u64 {
        self.cursors.iter().map(|cursor| cursor.lost()).sum()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inbox").field("types", &self.cursors.len()).finish_non_exhaustive()
    }
}
