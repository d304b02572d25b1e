//! [`Mailbox`]: a queue of fixed size between the host and its workers.
//!
//! Channels of the usual libraries allocate when a thread waits for the first time, and when more
//! threads wait at once than ever before: late, and only now and then. A deque that is sized once,
//! a lock and a condition variable never do. The lock is held for a push or a pop, never while
//! anything of the user's runs.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(super) struct Mailbox<T> {
    state: Mutex<State<T>>,
    /// Notified for each item, and for all when the mailbox closes.
    changed: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Mailbox<T> {
    /// A mailbox that never holds more than `capacity` items.
    pub(super) fn new(capacity: usize) -> Self {
        let state = State { items: VecDeque::with_capacity(capacity), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Makes room for so many items.
    pub(super) fn grow(&self, capacity: usize) {
        let mut state = self.state();
        let more = capacity.saturating_sub(state.items.len());
        state.items.reserve(more);
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // The state is whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item.
    pub(super) fn push(&self, item: T) {
        self.push_before(item, |_, _| false);
    }

    /// Adds an item before the first of those that it goes before, which all come last.
    pub(super) fn push_before(&self, item: T, goes_before: impl Fn(&T, &T) -> bool) {
        let mut state = self.state();
        if state.closed {
            // Outside of the lock, as it may be the user's.
            drop(state);
            drop(item);
            return;
        }
        assert!(state.items.len() < state.items.capacity(), "a mailbox has room for every item");
        let place = state.items.partition_point(|other| !goes_before(&item, other));
        state.items.insert(place, item);
        drop(state);
        self.changed.notify_one();
    }

    /// Takes the oldest item, if there is one.
    pub(super) fn try_pop(&self) -> Option<T> {
        self.state().items.pop_front()
    }

    /// Takes the first item, if there is one and `wanted` is true for it.
    pub(super) fn try_pop_if(&self, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut state = self.state();
        if state.items.front().is_some_and(wanted) { state.items.pop_front() } else { None }
    }

    /// Takes the oldest item, and waits for one if need be. `None` once the mailbox is closed and
    /// empty.
    pub(super) fn pop(&self) -> Option<T> {
        let waits = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let state = self.changed.wait_while(self.state(), waits);
        state.unwrap_or_else(PoisonError::into_inner).items.pop_front()
    }

    /// Takes the oldest item, and waits for one until `deadline` if need be.
    pub(super) fn pop_until(&self, deadline: Instant) -> Option<T> {
        let left = deadline.saturating_duration_since(Instant::now());
        let waits = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let waited = self.changed.wait_timeout_while(self.state(), left, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.items.pop_front()
    }

    /// Lets waiting threads go. Items that are added from now on are dropped.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_in_order_and_a_closed_mailbox_is_emptied_first() {
        let mailbox = Mailbox::new(4);
        mailbox.push(1);
        mailbox.push(2);
        mailbox.close();
        assert_eq!([mailbox.pop(), mailbox.pop(), mailbox.pop()], [Some(1), Some(2), None]);
        assert_eq!(mailbox.try_pop(), None);
    }

    #[test]
    fn what_is_urgent_goes_first_and_equals_keep_their_order() {
        let mailbox = Mailbox::new(5);
        for item in [(2, 'a'), (1, 'b'), (2, 'c'), (0, 'd'), (1, 'e')] {
            mailbox.push_before(item, |item, other| item.0 < other.0);
        }
        assert_eq!(mailbox.try_pop_if(|item| item.0 > 0), None);
        assert_eq!(mailbox.try_pop_if(|item| item.0 == 0), Some((0, 'd')));
        let rest: Vec<char> = std::iter::from_fn(|| mailbox.try_pop()).map(|item| item.1).collect();
        assert_eq!(rest, ['b', 'e', 'a', 'c']);
    }

    #[test]
    fn every_item_reaches_one_of_several_waiting_threads() {
        let mailbox = Mailbox::new(100);
        std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| std::iter::from_fn(|| mailbox.pop()).sum::<u32>()))
                .collect();
            (0..100).for_each(|item| mailbox.push(item));
            mailbox.close();
            let sum: u32 = takers.into_iter().filter_map(|taker| taker.join().ok()).sum();
            assert_eq!(sum, 99 * 100 / 2);
        });
    }
}
