//! Epochs, active captures and their dead lists: who still sees a chunk, and when it is free.
//!
//! The world's epoch grows with every capture. Each chunk remembers the epoch in which the world
//! came to own it, `born`; a capture of epoch `e` sees the chunks with `born <= e` in the columns
//! of its mask. A chunk that the world replaces while a capture sees it is *retired* to the dead
//! list of the newest active capture that sees it. When that capture ends, each entry moves to the
//! next older capture that sees it, or back to the arena. These are the dead lists of ZFS
//! snapshots, in memory: no chunk carries a reference count, and the cost is proportional to what
//! was written.
//!
//! Only the thread that owns the world comes here. A reader that leaves flips its cell's state,
//! and [`History::reclaim`] notices.

#![allow(unsafe_code, reason = "returns retired chunks to the arena")]

use std::time::{Duration, Instant};

use convoy_pool::{Arena, ArenaConfig, ChunkPtr, MemoryError, SizeClass, Watch};

use super::component_id::{COMPONENTS_MAX, ComponentId};
use super::epoch::{Epoch, EpochCounter};
use super::frozen::Frozen;
use super::mask::ComponentMask;

/// Counts of copy-on-write since the world was created.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct CopyStatistics {
    /// Chunks copied because an active snapshot still sees them.
    pub chunks_copied: u64,
    /// Bytes of rows copied with them.
    pub bytes_copied: u64,
    /// Chunks that no active snapshot saw any more and that were taken back without a copy.
    pub chunks_reowned: u64,
    /// Time spent copying; counted only under [`World::set_copy_timing`](crate::World).
    pub copy_time: Duration,
}

/// A chunk that the world has let go of while a snapshot sees it.
struct DeadChunk {
    chunk: ChunkPtr,
    born: Epoch,
    component: ComponentId,
    class: SizeClass,
}

/// A capture whose readers may not all have left yet.
struct ActiveCapture {
    epoch: Epoch,
    mask: ComponentMask,
    watch: Watch<Frozen>,
    dead: Vec<DeadChunk>,
}

impl ActiveCapture {
    fn sees(&self, born: Epoch, component: ComponentId) -> bool {
        born <= self.epoch && self.mask.contains(component)
    }
}

/// The memory of one world: its arena and the history of what snapshots keep of it.
pub struct Memory {
    pub(crate) arena: Arena,
    pub(crate) history: History,
}

impl Memory {
    pub(crate) fn new(config: ArenaConfig) -> Self {
        Self { arena: Arena::new(config), history: History::new() }
    }

    #[inline]
    pub(crate) fn epoch(&self) -> Epoch {
        self.history.epoch()
    }

    /// A chunk of `class`; ended captures are reclaimed before a limit is reported.
    #[inline]
    pub(crate) fn allocate(&mut self, class: SizeClass) -> Result<ChunkPtr, MemoryError> {
        match self.arena.allocate(class) {
            Ok(chunk) => Ok(chunk),
            Err(error) => self.allocate_after_reclaim(class, error),
        }
    }

    #[cold]
    fn allocate_after_reclaim(
        &mut self,
        class: SizeClass,
        error: MemoryError,
    ) -> Result<ChunkPtr, MemoryError> {
        if self.reclaim() == 0 {
            return Err(error);
        }
        self.arena.allocate(class)
    }

    /// Gives a chunk that the world no longer uses to the arena, or to the dead list of the
    /// newest capture that sees it.
    ///
    /// # Safety
    ///
    /// `chunk` came from this memory's arena with `class`, belonged to a column of `component`
    /// with this `born`, and the world does not reach it any more.
    pub(crate) unsafe fn release(
        &mut self,
        chunk: ChunkPtr,
        class: SizeClass,
        born: Epoch,
        component: ComponentId,
    ) {
        let history = &mut self.history;
        if born <= history.newest(component) {
            let viewer = history.active.iter_mut().rfind(|capture| capture.sees(born, component));
            let viewer = viewer.expect("the newest epoch of a component is an active capture's");
            viewer.dead.push(DeadChunk { chunk, born, component, class });
            history.retained_bytes += class.bytes();
            history.retained_bytes_peak = history.retained_bytes_peak.max(history.retained_bytes);
        } else {
            // SAFETY: the caller's contract, and no active capture sees the chunk.
            unsafe { self.arena.recycle(chunk, class) };
        }
    }

    /// Ends the captures that have no reader left and passes on what their dead lists hold.
    /// Returns how many captures ended.
    pub(crate) fn reclaim(&mut self) -> usize {
        let Self { arena, history } = self;
        let mut ended = 0;
        let mut index = 0;
        while index < history.active.len() {
            if !history.active[index].watch.ended() {
                index += 1;
                continue;
            }
            let mut capture = history.active.remove(index);
            // Backwards, so that the arena, which gives the last chunk back first, hands them out
            // in the order in which they were replaced: side by side, if they lay so.
            for dead in capture.dead.drain(..).rev() {
                let older = &mut history.active[..index];
                match older.iter_mut().rfind(|older| older.sees(dead.born, dead.component)) {
                    Some(older) => older.dead.push(dead),
                    None => {
                        history.retained_bytes -= dead.class.bytes();
                        // SAFETY: the chunk was retired under the contract of `release`, so it is
                        // the arena's and out of the world's reach; the last capture that saw it
                        // has ended, which happened after its readers' last access.
                        unsafe { arena.recycle(dead.chunk, dead.class) };
                    }
                }
            }
            history.find_newest(&capture.mask);
            history.spare.push(capture.dead);
            ended += 1;
        }
        ended
    }
}

/// The active captures of a world, oldest first.
pub(crate) struct History {
    epoch: EpochCounter,
    /// Per component: the epoch of the newest active capture that holds it.
    newest: Box<[Epoch; COMPONENTS_MAX]>,
    active: Vec<ActiveCapture>,
    spare: Vec<Vec<DeadChunk>>,
    retained_bytes: usize,
    retained_bytes_peak: usize,
    pub(crate) statistics: CopyStatistics,
    pub(crate) timing: bool,
}

impl History {
    /// How many captures may be active before their list grows.
    const ACTIVE_EXPECTED: usize = 32;

    fn new() -> Self {
        Self {
            epoch: EpochCounter::new(),
            newest: Box::new([Epoch::ZERO; COMPONENTS_MAX]),
            active: Vec::with_capacity(Self::ACTIVE_EXPECTED),
            spare: Vec::with_capacity(Self::ACTIVE_EXPECTED),
            retained_bytes: 0,
            retained_bytes_peak: 0,
            statistics: CopyStatistics::default(),
            timing: false,
        }
    }

    #[inline]
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch.current()
    }

    /// Ends the current epoch and returns it: what is written from now on is newer.
    pub(crate) fn close_epoch(&self) -> Epoch {
        self.epoch.close()
    }

    #[inline]
    pub(crate) fn newest(&self, component: ComponentId) -> Epoch {
        self.newest[component.index()]
    }

    /// Adds the capture that just closed `epoch`.
    ///
    /// `chunks` bounds how many chunk pointers it took. Its dead list never holds more: every
    /// entry is a different one of them, retired once.
    pub(crate) fn add(
        &mut self,
        epoch: Epoch,
        mask: ComponentMask,
        watch: Watch<Frozen>,
        chunks: usize,
    ) {
        let mut dead = self.spare.pop().unwrap_or_default();
        if dead.capacity() < chunks {
            dead.reserve_exact(chunks);
        }
        for id in mask.iter() {
            self.newest[id.index()] = epoch;
        }
        self.active.push(ActiveCapture { epoch, mask, watch, dead });
    }

    /// Makes dead lists for `count` captures of `chunks` chunks each.
    pub(crate) fn reserve(&mut self, count: usize, chunks: usize) {
        self.active.reserve(count.saturating_sub(self.active.len()));
        self.spare.reserve(count);
        for dead in &mut self.spare {
            dead.reserve_exact(chunks);
        }
        while self.active.len() + self.spare.len() < count {
            self.spare.push(Vec::with_capacity(chunks));
        }
    }

    /// How many captures are active.
    pub(crate) fn active_count(&self) -> usize {
        self.active.len()
    }

    /// Bytes of chunks that only snapshots keep.
    pub(crate) fn retained_bytes(&self) -> usize {
        self.retained_bytes
    }

    /// The largest value of [`History::retained_bytes`] so far, or since the last reset.
    pub(crate) fn retained_bytes_peak(&self) -> usize {
        self.retained_bytes_peak
    }

    pub(crate) fn reset_retained_peak(&mut self) {
        self.retained_bytes_peak = self.retained_bytes;
    }

    /// Chunks on dead lists.
    pub(crate) fn retained_chunks(&self) -> usize {
        self.active.iter().map(|capture| capture.dead.len()).sum()
    }

    /// Runs `copy`, which copies one chunk of `bytes`, and counts it.
    #[inline]
    pub(crate) fn count_copy(&mut self, bytes: usize, copy: impl FnOnce()) {
        self.statistics.chunks_copied += 1;
        self.statistics.bytes_copied += bytes as u64;
        if self.timing {
            let start = Instant::now();
            copy();
            self.statistics.copy_time += start.elapsed();
        } else {
            copy();
        }
    }

    /// Finds the newest captures of the components of `mask` anew.
    fn find_newest(&mut self, mask: &ComponentMask) {
        for id in mask.iter() {
            let holder = self.active.iter().rfind(|capture| capture.mask.contains(id));
            self.newest[id.index()] = holder.map_or(Epoch::ZERO, |capture| capture.epoch);
        }
    }
}
