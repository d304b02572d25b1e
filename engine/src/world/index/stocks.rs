//! Which handles command buffers hold, as the world knows it.
//!
//! A snapshot takes the lists along, because nobody else can tell what a reserved slot was reserved
//! for: after a restore each buffer gets the handles back that it held then, and those of buffers
//! that are gone are freed.

use crate::storage::Entity;
use crate::storage::frozen::BufferId;

/// What each command buffer held when it was last filled, in the order of their making.
#[derive(Default)]
pub(super) struct Stocks {
    pub(super) stocks: Vec<Stock>,
    pub(super) made: u64,
}

pub(super) struct Stock {
    pub(super) buffer: BufferId,
    pub(super) handles: Vec<Entity>,
}

impl Stocks {
    pub(super) fn of(&mut self, buffer: BufferId) -> &mut Vec<Entity> {
        let number = self.stocks.iter().position(|stock| stock.buffer == buffer);
        let number = number.unwrap_or_else(|| {
            self.stocks.push(Stock { buffer, handles: Vec::new() });
            self.stocks.len() - 1
        });
        &mut self.stocks[number].handles
    }

    /// Forgets what the buffers hold, whose slots belong to others now.
    pub(super) fn clear(&mut self) {
        self.stocks.iter_mut().for_each(|stock| stock.handles.clear());
    }

    /// Forgets a buffer. Returns what it held; some of it may have been used since.
    pub(super) fn remove(&mut self, buffer: BufferId) -> Vec<Entity> {
        let number = self.stocks.iter().position(|stock| stock.buffer == buffer);
        number.map_or_else(Vec::new, |number| self.stocks.remove(number).handles)
    }
}
