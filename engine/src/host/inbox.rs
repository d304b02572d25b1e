//! [`Inbox`]: how far a module has come in the events that it reads.
//!
//! Events count as read once a run has taken effect. Those of a run that failed or was late come again, so
//! often and no more, so that one event that a module can't cope with does not stop it for good.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::mem;

use crate::snapshot::View;
use crate::storage::component::{Component, Kind, Registry};
use crate::storage::encoding::put_number;
use crate::storage::names::name_of;
use crate::world::events::{EventCursor, Events};
use crate::world::read_error::ReadError;

use super::saved::{CursorPlace, SavedCursor};
use super::world_state::Era;

/// The cursors of a module, by type.
///
/// Runs read one after the other, and land later, in the same order: in lock step several of them may have ended
/// before the first lands. So each cursor keeps the place that each of these has come to.
pub(super) struct Inbox {
    cursors: Vec<Box<dyn Cursor>>,
    /// Cursors that were saved, of types that the module has not asked for since.
    saved: Vec<SavedCursor>,
    /// Runs in a row that have read events and taken no effect.
    failed: u32,
    /// The runs that have ended and not landed.
    ended: VecDeque<Ended>,
    /// That of the last run.
    era: Era,
    /// Events that were dropped because the runs that read them failed too often.
    dropped: u64,
    /// Whether the module is told changes, which come again as events do.
    tracks_changes: bool,
}

/// A run that has ended.
#[derive(Clone, Copy)]
struct Ended {
    /// How many had failed before it.
    failed: u32,
    /// Whether it recorded commands, which may be dropped, or takes no effect anyway.
    records: bool,
}

/// A cursor of any type.
trait Cursor: Send {
    fn as_any(&mut self) -> &mut dyn Any;

    /// How many events were read since the last run ended, or since the last landed.
    fn read(&self, since: Since) -> u64;

    /// Goes back to that point.
    fn revert(&mut self, since: Since);

    /// Ends a run here.
    fn end(&mut self);

    /// The oldest run that has ended lands.
    fn land(&mut self);

    /// All runs that have ended have landed.
    fn settle(&mut self);

    /// Events that were dropped before the module came to them.
    fn lost(&self) -> u64;

    /// Writes where it is, as a view has the events.
    fn put(&self, view: &View, buffer: &mut Vec<u8>);
}

/// The end of the run that a cursor is compared with.
#[derive(Clone, Copy)]
enum Since {
    LastEnd,
    LastLanding,
}

struct CursorOf<T> {
    /// After the last run that has landed.
    landed: EventCursor<T>,
    /// After each run that has ended since.
    ended: VecDeque<EventCursor<T>>,
    now: EventCursor<T>,
}

impl<T> CursorOf<T> {
    fn at(&self, since: Since) -> &EventCursor<T> {
        match since {
            Since::LastEnd => self.ended.back().unwrap_or(&self.landed),
            Since::LastLanding => &self.landed,
        }
    }
}

impl<T: Component> Cursor for CursorOf<T> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn read(&self, since: Since) -> u64 {
        let before = self.at(since);
        // A restore takes a cursor back before it goes on.
        let taken_back = self.now.taken_back() - before.taken_back();
        let passed = (self.now.next_sequence() + taken_back) - before.next_sequence();
        passed - (self.now.lost() - before.lost())
    }

    fn revert(&mut self, since: Since) {
        self.now = self.at(since).clone();
    }

    fn end(&mut self) {
        self.ended.push_back(self.now.clone());
    }

    fn land(&mut self) {
        // None where the module first asked for the type in a later run.
        if let Some(landed) = self.ended.pop_front() {
            self.landed = landed;
        }
    }

    fn settle(&mut self) {
        self.ended.clear();
        self.landed = self.now.clone();
    }

    fn lost(&self) -> u64 {
        self.landed.lost()
    }

    fn put(&self, view: &View, buffer: &mut Vec<u8>) {
        place_in(&self.now, view).put(event_name::<T>(&view.frozen().catalog().registry), buffer);
    }
}

/// The name of an event type, under which its cursors are saved.
pub(super) fn event_name<T: Component>(registry: &Registry) -> &'static str {
    registry.id_of::<T>(Kind::Event).map_or_else(name_of::<T>, |id| registry.info(id).name())
}

/// Where a cursor is in the events of a view, whatever log it read last.
pub(super) fn place_in<T: Component>(cursor: &EventCursor<T>, view: &View) -> CursorPlace {
    let mut cursor = cursor.clone();
    let mut next = cursor.next_sequence();
    // This goes to the first event that is new.
    if view.try_events(&mut cursor).is_ok() {
        next = cursor.next_sequence().min(view.event_cursor::<T>().next_sequence());
    }
    CursorPlace { next, lost: cursor.lost(), taken_back: cursor.taken_back() }
}

impl CursorPlace {
    /// A cursor that goes on here.
    pub(super) fn cursor<T>(self) -> EventCursor<T> {
        EventCursor::resumed(self.next, (self.lost, self.taken_back))
    }
}

impl Inbox {
    /// Of a module that tracks changes, or does not.
    pub(super) fn new(tracks_changes: bool) -> Self {
        Self {
            tracks_changes,
            cursors: Vec::new(),
            saved: Vec::new(),
            failed: 0,
            ended: VecDeque::new(),
            era: Era::default(),
            dropped: 0,
        }
    }

    /// The events of type `T` that are new to the module.
    pub(super) fn events<'a, T: Component>(
        &'a mut self,
        view: &'a View,
    ) -> Result<Events<'a, T>, ReadError> {
        let found = self.cursors.iter_mut().position(|cursor| cursor.as_any().is::<CursorOf<T>>());
        let place = found.unwrap_or_else(|| {
            let start = self.take_saved::<T>(view);
            // The runs that have ended have read nothing of the type.
            let ended = self.ended.iter().map(|_| start.clone()).collect();
            self.cursors.push(Box::new(CursorOf { landed: start.clone(), ended, now: start }));
            self.cursors.len() - 1
        });
        let cursor = self.cursors[place].as_any().downcast_mut::<CursorOf<T>>();
        view.try_events(&mut cursor.expect("the place has this type").now)
    }

    /// The cursor that was saved for a type, or one at the beginning.
    fn take_saved<T: Component>(&mut self, view: &View) -> EventCursor<T> {
        let name = if self.saved.is_empty() {
            ""
        } else {
            event_name::<T>(&view.frozen().catalog().registry)
        };
        let found = self.saved.iter().position(|saved| saved.event == name);
        found.map_or_else(EventCursor::default, |at| self.saved.swap_remove(at).place.cursor())
    }

    /// Writes all of it, between two runs.
    pub(super) fn put(&self, view: &View, buffer: &mut Vec<u8>) {
        put_number(buffer, self.failed.into());
        put_number(buffer, self.dropped);
        put_number(buffer, (self.cursors.len() + self.saved.len()) as u64);
        self.cursors.iter().for_each(|cursor| cursor.put(view, buffer));
        self.saved.iter().for_each(|saved| saved.place.put(&saved.event, buffer));
    }

    /// Goes on where another one was saved, with so many runs that have ended without effect and not landed.
    pub(super) fn resume(
        &mut self,
        (failed, dropped): (u32, u64),
        cursors: Vec<SavedCursor>,
        ended: usize,
    ) {
        let (era, tracks_changes) = (self.era, self.tracks_changes);
        let ended = (0..ended).map(|_| Ended { failed, records: false }).collect();
        *self = Self { saved: cursors, failed, dropped, era, ended, ..Self::new(tracks_changes) };
    }

    /// Begins a run. Where the runs before were of another era, those that have not landed take no effect, from the
    /// first one on that recorded anything.
    pub(super) fn begin(&mut self, era: Era, tries: u32) {
        if mem::replace(&mut self.era, era) == era {
            return;
        }
        while self.ended.front().is_some_and(|run| !run.records) {
            self.land();
        }
        if !self.ended.is_empty() {
            self.undo(tries);
        }
    }

    /// Ends a run that has not panicked.
    pub(super) fn end(&mut self, records: bool) {
        self.ended.push_back(Ended { failed: self.failed, records });
        self.failed = 0;
        self.cursors.iter_mut().for_each(|cursor| cursor.end());
    }

    /// The last run that has ended came after its deadline: it takes no effect, whether it recorded anything or not.
    pub(super) fn note_late(&mut self) {
        if let Some(run) = self.ended.back_mut() {
            run.records = true;
        }
    }

    /// Ends a run that has panicked: its events and changes come again, unless that has happened in `tries` runs now.
    /// Then they are dropped. Tells whether they come again.
    pub(super) fn end_failed(&mut self, tries: u32) -> bool {
        let failed = self.failed;
        let come_again = self.give_back(Since::LastEnd, tries);
        self.ended.push_back(Ended { failed, records: false });
        self.cursors.iter_mut().for_each(|cursor| cursor.end());
        come_again
    }

    /// The oldest run that has ended lands, and has taken effect, or has failed and ended so.
    pub(super) fn land(&mut self) {
        self.ended.pop_front();
        self.cursors.iter_mut().for_each(|cursor| cursor.land());
    }

    /// The runs that have ended and not landed take no effect after all: events and changes come again, as after
    /// [`Inbox::end_failed`].
    pub(super) fn undo(&mut self, tries: u32) -> bool {
        if let Some(run) = self.ended.front() {
            self.failed = run.failed;
        }
        self.ended.clear();
        let come_again = self.give_back(Since::LastLanding, tries);
        self.cursors.iter_mut().for_each(|cursor| cursor.settle());
        come_again
    }

    /// Lets come again what was read; `false` where it was given so often that it is dropped, or where there
    /// is nothing.
    fn give_back(&mut self, since: Since, tries: u32) -> bool {
        let read: u64 = self.cursors.iter().map(|cursor| cursor.read(since)).sum();
        let has_any = read > 0 || self.tracks_changes;
        self.failed = self.failed.saturating_add(u32::from(has_any));
        if has_any && self.failed >= tries {
            self.failed = 0;
            self.dropped += read;
            return false;
        }
        self.cursors.iter_mut().for_each(|cursor| cursor.revert(since));
        has_any
    }

    /// Events that were dropped before the module came to them.
    pub(super) fn lost(&self) -> u64 {
        let saved = self.saved.iter().map(|saved| saved.place.lost);
        let all = saved.chain(self.cursors.iter().map(|cursor| cursor.lost()));
        // Those that were saved may be any numbers.
        all.fold(0, u64::saturating_add)
    }

    /// Events that were dropped because the runs that read them failed too often.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inbox").field("types", &self.cursors.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts that were saved may be any numbers, and their sum was made with a check for overflow.
    #[test]
    fn losses_of_any_saved_cursors_add_up() {
        let mut inbox = Inbox::new(false);
        let place = CursorPlace { next: 0, lost: u64::MAX / 4, taken_back: 0 };
        let cursors = (0..9).map(|number| SavedCursor { event: number.to_string(), place });
        inbox.resume((0, 0), cursors.collect(), 0);
        assert_eq!(inbox.lost(), u64::MAX);
    }
}
