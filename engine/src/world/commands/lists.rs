//! The lists of command buffers, which outlive them.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use convoy_pool::Scratch;

use crate::storage::Entity;
use crate::world::core::World;
use crate::world::index::Renewal;

use super::order::Command;

/// How many handles the stock of a buffer of its own has at the least.
pub(super) const STOCK: usize = 64;
/// How many commands a buffer takes before its list grows.
const QUEUE: usize = 256;
/// Scratch bytes that a buffer starts with.
const SCRATCH_BYTES: usize = 16 * 1024;

/// The lists of a buffer that was dropped, all of them empty, for the next one that is made. There
/// are as many as buffers were there at once.
#[derive(Clone, Default)]
pub(super) struct SpareLists(Arc<Mutex<Vec<Lists>>>);

/// The heap of a buffer.
pub(super) struct Lists {
    pub(super) scratch: Scratch,
    pub(super) queue: Vec<Command>,
    pub(super) stock: Vec<Entity>,
    pub(super) failed: Vec<Entity>,
    pub(super) bytes: Vec<u8>,
    pub(super) texts: RecordedTexts,
    pub(super) renewal: Option<Arc<Renewal>>,
}

/// The contents of long texts, one after the other.
#[derive(Default)]
pub(super) struct RecordedTexts {
    contents: String,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl RecordedTexts {
    pub(super) fn push(&mut self, content: &str) {
        self.contents.push_str(content);
        self.ends.push(self.contents.len());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.contents[mem::replace(&mut start, end)..end])
    }

    pub(super) fn clear(&mut self) {
        self.contents.clear();
        self.ends.clear();
    }

    /// Bytes that there is room for.
    fn bytes(&self) -> usize {
        self.contents.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

impl Lists {
    fn new() -> Self {
        Self {
            scratch: Scratch::with_capacity(SCRATCH_BYTES),
            queue: Vec::with_capacity(QUEUE),
            stock: Vec::with_capacity(STOCK),
            failed: Vec::new(),
            bytes: Vec::with_capacity(256),
            texts: RecordedTexts::default(),
            renewal: None,
        }
    }

    /// Bytes that the lists have room for.
    fn bytes(&self) -> usize {
        self.scratch.statistics().capacity_bytes
            + self.queue.capacity() * size_of::<Command>()
            + (self.stock.capacity() + self.failed.capacity()) * size_of::<Entity>()
            + self.bytes.capacity()
            + self.texts.bytes()
    }

    /// A renewal that no lane has any more, or a new one.
    pub(super) fn take_renewal(&mut self) -> Arc<Renewal> {
        let mut renewal = self.renewal.take().unwrap_or_default();
        match Arc::get_mut(&mut renewal) {
            Some(free) => free.reset(),
            None => renewal = Arc::default(),
        }
        renewal
    }
}

impl SpareLists {
    /// Those of a world. It keeps them beside its local resources, as it does not know commands.
    pub(super) fn of(world: &mut World) -> Self {
        if let Some(spares) = world.locals.get::<Self>() {
            return spares.clone();
        }
        let spares = Self::default();
        world.locals.insert(spares.clone());
        spares
    }

    pub(super) fn take(&self) -> Lists {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(Lists::new)
    }

    pub(super) fn give(&self, lists: Lists) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(lists);
    }
}

/// Gives back the lists of dropped buffers. Returns their bytes.
pub(crate) fn trim_spares(world: &World) -> usize {
    let Some(spares) = world.locals.get::<SpareLists>() else { return 0 };
    let spares = mem::take(&mut *spares.0.lock().unwrap_or_else(PoisonError::into_inner));
    let bytes = spares.iter().map(Lists::bytes).sum::<usize>();
    bytes + spares.capacity() * size_of::<Lists>()
}
