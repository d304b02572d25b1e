//! What random programs keep beside a world: cursors, prepared queries, and the ties of branches.
//! Whatever happens to the world, a cursor that has caught up has read the events that the world
//! sent.

use std::rc::Rc;

use convoy_engine::events::EventCursor;
use convoy_engine::query::PreparedQuery;
use convoy_engine::{Entity, Without};
use convoy_tests::{Alert, Byte, Ping, Triple, Value};

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
    pub(crate) fn read(&mut self, events: impl FnOnce(&mut EventCursor<T>) -> Option<Vec<u64>>) {
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
    pub(crate) fn assert_caught_up(&mut self, sent: &[u64]) {
        assert_eq!(self.read.len(), sent.len());
        let mut both = self.read.iter().zip(sent);
        assert!(both.all(|(read, sent)| read.is_none_or(|read| read == *sent)), "what was sent");
        self.disturbed = false;
    }
}

/// One cursor for each type.
#[derive(Clone, Default)]
pub(crate) struct Followers {
    pub(crate) pings: Follower<Ping>,
    pub(crate) alerts: Follower<Alert>,
}

impl Followers {
    pub(crate) fn disturb(&mut self) {
        (self.pings.disturbed, self.alerts.disturbed) = (true, true);
    }
}

/// Queries that one world after another hands on, so that they meet schemas that look alike.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) read: PreparedQuery<(Entity, &'static Triple), Without<Byte>>,
    pub(crate) write: PreparedQuery<(Entity, &'static mut Triple)>,
}

/// Tells for how long branches of a world, and branches of those, share its chunks.
#[derive(Clone, Default)]
pub(crate) struct Ties {
    own: Rc<()>,
    bases: Vec<Rc<()>>,
}

impl Ties {
    /// The ties of a branch.
    pub(crate) fn branch(&self) -> Self {
        let bases = self.bases.iter().chain([&self.own]).cloned().collect();
        Self { own: Rc::new(()), bases }
    }

    /// The world shares nothing any more.
    pub(crate) fn cut(&mut self) {
        self.bases.clear();
    }

    /// Whether a branch is alive.
    pub(crate) fn is_base(&self) -> bool {
        Rc::strong_count(&self.own) > 1
    }
}
