//! Lanes: the handles that each command buffer holds and draws from, as the world knows them.
//!
//! A buffer starts a recording with a *stock* of handles that the world's thread took off the index
//! for it: as many as its largest recording has needed, until that is long ago
//! ([`LaneHead::note_recording`]). Beyond that it draws from its lane
//! (see [`territory`](super::territory)), on whichever thread records. Lanes are numbered in the
//! order in which buffers are made, and the lane of a dropped buffer goes to the next one that is
//! made, with all that it holds. So handles follow from the order in which buffers are made, recorded
//! to and played back, and from nothing else.
//!
//! Snapshots and replicas take stocks, needs and counters along: after a restore each buffer goes on with
//! the handles that its lane held then, and in a branch or a replica the buffer that is made for the lane
//! does. Nothing else tells for which buffer a slot was reserved.

use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::storage::Entity;
use crate::storage::index_state::{LaneHead, LaneId};
use crate::storage::room::shrink_list;

use super::territory::lane_run;

/// The lanes of a world, in the order of their numbers.
#[derive(Default)]
pub(super) struct Lanes {
    pub(super) lanes: Vec<Lane>,
}

/// A lane, and the handles of the buffer that draws from it.
#[derive(Default)]
pub(super) struct Lane {
    /// Whether a buffer draws from the lane.
    pub(super) is_taken: bool,
    /// The handles for that buffer after a restore, where it finds out by itself.
    renewal: Option<Arc<Renewal>>,
    pub(super) head: LaneHead,
    /// The stock as of its last filling.
    pub(super) held: Vec<Entity>,
}

/// The handles with which a buffer that is recorded to away from the world goes on after a restore.
#[derive(Default)]
pub(crate) struct Renewal(Mutex<Renewed>);

#[derive(Default)]
struct Renewed {
    lineage: u64,
    used: u32,
    held: Vec<Entity>,
}

impl Renewal {
    fn set(&self, lineage: u64, lane: &Lane) {
        let mut renewed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (renewed.lineage, renewed.used) = (lineage, lane.head.used);
        renewed.held.clear();
        renewed.held.extend_from_slice(&lane.held);
    }

    fn trim(&self) -> usize {
        shrink_list(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).held)
    }

    /// Forgets the lane that it was for, and keeps its memory.
    pub(crate) fn reset(&mut self) {
        let renewed = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        (renewed.lineage, renewed.used) = (0, 0);
        renewed.held.clear();
    }

    /// Sets a buffer's stock and cursor to their state in the lineage that is returned.
    pub(crate) fn take_up(&self, stock: &mut Vec<Entity>, cursor: &mut LaneCursor) -> u64 {
        let renewed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stock.clear();
        stock.extend_from_slice(&renewed.held);
        cursor.reset(renewed.used);
        renewed.lineage
    }
}

/// Where a recording draws handles from a lane.
pub(crate) struct LaneCursor {
    pub(crate) lane: LaneId,
    /// How many indices earlier recordings have drawn, and this one.
    used: u32,
    pub(crate) drawn: u32,
    /// The indices that come next.
    run: Range<u32>,
    /// How many handles a recording would have needed for which the lane had too few.
    wish: usize,
}

impl LaneCursor {
    pub(crate) fn new(lane: LaneId, used: u32) -> Self {
        Self { lane, used, drawn: 0, run: 0..0, wish: 0 }
    }

    /// Goes to the unused indices after the first `used`, in another lineage or lane.
    pub(crate) fn reset(&mut self, used: u32) {
        *self = Self::new(self.lane, used);
    }

    /// Takes back the handles that were drawn. The wish stays known, also where the recording is
    /// discarded for it: the next one finds a stock of as many.
    pub(crate) fn rewind(&mut self) {
        (self.drawn, self.run) = (0, 0..0);
    }

    /// Goes on behind the indices that were drawn.
    pub(crate) fn advance(&mut self) {
        (self.used, self.drawn) = (self.used + self.drawn, 0);
    }

    /// Notes that a recording needs one handle more than the `taken` ones of its stock and those
    /// that it has drawn.
    #[cold]
    pub(crate) fn wish(&mut self, taken: usize) {
        self.wish = self.wish.max(taken + self.drawn as usize + 1);
    }

    pub(crate) fn take_wish(&mut self) -> usize {
        mem::take(&mut self.wish)
    }

    /// The next handle; `None` when the lane is used up.
    pub(crate) fn draw(&mut self) -> Option<Entity> {
        if self.run.is_empty() {
            self.run = lane_run(self.lane.0, self.used + self.drawn);
        }
        let index = self.run.next()?;
        self.drawn += 1;
        Some(Entity::new(index, 1))
    }
}

impl Lanes {
    /// The lowest lane without a buffer, for a new one.
    pub(super) fn take(&mut self, renewal: Option<Arc<Renewal>>) -> LaneId {
        let vacant = self.lanes.iter().position(|lane| !lane.is_taken);
        let number = vacant.unwrap_or_else(|| {
            self.lanes.push(Lane::default());
            self.lanes.len() - 1
        });
        let lane = &mut self.lanes[number];
        (lane.is_taken, lane.renewal) = (true, renewal);
        LaneId(number as u32)
    }

    /// Takes the lane of a number for a new buffer, if it is there and has none.
    pub(super) fn take_number(&mut self, lane: LaneId) -> bool {
        let found = self.lanes.get_mut(lane.0 as usize).filter(|lane| !lane.is_taken);
        found.map(|lane| lane.is_taken = true).is_some()
    }

    /// Whether there is a lane of this number, and whether it has no buffer.
    pub(super) fn is_vacant(&self, lane: LaneId) -> Option<bool> {
        self.lanes.get(lane.0 as usize).map(|lane| !lane.is_taken)
    }

    pub(super) fn vacate(&mut self, lane: LaneId) {
        let lane = &mut self.lanes[lane.0 as usize];
        (lane.is_taken, lane.renewal) = (false, None);
    }

    pub(super) fn of(&mut self, lane: LaneId) -> &mut Lane {
        &mut self.lanes[lane.0 as usize]
    }

    /// How many indices of the lane of number `lane` recordings have drawn that were played back.
    pub(super) fn used(&self, lane: u32) -> u32 {
        self.lanes.get(lane as usize).map_or(0, |lane| lane.head.used)
    }

    /// Whether a lane without a buffer holds handles.
    pub(super) fn hold_surplus(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.is_taken && !lane.held.is_empty())
    }

    /// Gives back room in the lists. Returns its bytes.
    pub(super) fn trim_lists(&mut self) -> usize {
        let lists = self.lanes.iter_mut().map(|lane| {
            shrink_list(&mut lane.held) + lane.renewal.as_ref().map_or(0, |renewal| renewal.trim())
        });
        lists.sum()
    }

    /// Goes on with the lanes of a snapshot or of another world, which hold nothing yet.
    pub(super) fn restore(&mut self, heads: &[LaneHead]) {
        let count = self.lanes.len().max(heads.len());
        self.lanes.resize_with(count, Lane::default);
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            lane.head = heads.get(number).copied().unwrap_or_default();
            lane.held.clear();
        }
    }

    /// Tells the buffers with which handles they go on in `lineage`.
    pub(super) fn announce(&self, lineage: u64) {
        for lane in &self.lanes {
            if let Some(renewal) = &lane.renewal {
                renewal.set(lineage, lane);
            }
        }
    }
}
