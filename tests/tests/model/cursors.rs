//! Cursors that random programs keep: whatever happens to the world, what a cursor has read must be
//! what the world says was sent, once it has caught up.

use convoy_engine::{EventCursor, Events};
use convoy_tests::{Alert, Ping, Value};

use crate::pair::Pair;

/// A cursor, and what it has read by the number of the event; nothing for what it has lost.
pub(crate) struct Follower<T> {
    cursor: EventCursor<T>,
    read: Vec<Option<u64>>,
    /// Whether the world was put into another state since it caught up.
    pub(crate) disturbed: bool,
}

impl<T> Default for Follower<T> {
    fn default() -> Self {
        Self { cursor: EventCursor::default(), read: Vec::new(), disturbed: false }
    }
}

impl<T> Clone for Follower<T> {
    fn clone(&self) -> Self {
        let (cursor, read) = (self.cursor.clone(), self.read.clone());
        Self { cursor, read, disturbed: self.disturbed }
    }
}

impl<T: Value> Follower<T> {
    /// Reads what is new, and keeps it under its numbers.
    fn read(&mut self, events: impl FnOnce(&mut EventCursor<T>) -> Option<Vec<u64>>) {
        let (known, taken_back) = (self.read.len(), self.cursor.taken_back());
        let Some(values) = events(&mut self.cursor) else { return };
        let start = self.cursor.next_sequence() as usize - values.len();
        let taken_back = (self.cursor.taken_back() - taken_back) as usize;
        assert!(taken_back == 0 || self.disturbed, "each event comes once");
        self.read.truncate(known - taken_back);
        assert!(self.read.len() <= start, "what is taken back is counted");
        self.read.resize(start, None);
        self.read.extend(values.into_iter().map(Some));
    }

    /// After reading from the world.
    fn assert_caught_up(&mut self, sent: &[u64]) {
        assert_eq!(self.read.len(), sent.len());
        let mut both = self.read.iter().zip(sent);
        assert!(both.all(|(read, sent)| read.is_none_or(|read| read == *sent)), "what was sent");
        self.disturbed = false;
    }
}

fn numbers<T: Value>(events: Events<'_, T>) -> Vec<u64> {
    events.map(|event| event.seed()).collect()
}

/// One cursor for each type.
#[derive(Clone, Default)]
pub(crate) struct Followers {
    pings: Follower<Ping>,
    alerts: Follower<Alert>,
}

impl Followers {
    pub(crate) fn disturb(&mut self) {
        (self.pings.disturbed, self.alerts.disturbed) = (true, true);
    }
}

impl Pair {
    /// Lets the cursors read a view, if it has the number, and then the world.
    pub(crate) fn follow(&mut self, view: usize) {
        let Followers { pings, alerts } = &mut self.followers;
        if let Some(kept) = self.views.get(view) {
            // It may be of a future that was taken back.
            pings.disturbed = true;
            alerts.disturbed = true;
            pings.read(|cursor| Some(numbers(kept.view.events(cursor).ok()?)));
            alerts.read(|cursor| Some(numbers(kept.view.events(cursor).ok()?)));
        }
        pings.read(|cursor| Some(numbers(self.world.events(cursor))));
        alerts.read(|cursor| Some(numbers(self.world.events(cursor))));
        pings.assert_caught_up(&self.model.events[Ping::KIND]);
        alerts.assert_caught_up(&self.model.events[Alert::KIND]);
    }
}
