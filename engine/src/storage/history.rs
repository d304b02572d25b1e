//! Epochs, active snapshots and their dead lists: which snapshots see a chunk, and when it is free.
//!
//! The world's epoch grows with every capture. Each chunk remembers the epoch in which the world
//! came to own it, `born`; a snapshot of epoch `e` sees the chunks with `born <= e` in the columns
//! of its mask. A chunk that the world replaces while a snapshot sees it is *retired* to the dead
//! list of the newest active snapshot that sees it. When that snapshot ends, each entry moves to the
//! next older snapshot that sees it, or back to the arena. These are the dead lists of ZFS
//! snapshots, in memory: no chunk carries a reference count, and the cost is proportional to the
//! chunks that were written.
//!
//! Only the thread that owns the world comes here. A reader that leaves flips its cell's state,
//! and [`History::reclaim`] notices.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::trace::event;
use convoy_pool::{
    Arena, ArenaConfig, ArenaStatistics, ChunkPtr, ChunkRun, Mapping, MemoryError, SizeClass, Watch,
};

use super::base::Holds;
use super::chunk_list::LooseChunk;
use super::component_id::{COMPONENTS_MAX, ComponentId};
use super::epoch::{Epoch, EpochCounter, Now};
use super::frozen::Frozen;
use super::mask::ComponentMask;
use super::spares::Spares;
use bases::Bases;
use ledger::{Ledger, Tallies};

pub(crate) use steps::Step;

pub(crate) mod bases;

mod ledger;
pub(crate) mod restore;
mod steps;
pub(crate) mod usage;

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
    /// Bytes of those chunks.
    pub bytes_reowned: u64,
    /// Time spent copying; counted only under [`World::set_copy_timing`](crate::World).
    pub copy_time: Duration,
}

/// A chunk that the world has let go of while a snapshot sees it.
struct DeadChunk {
    /// By which a revival finds the chunk, and goes on to do so when that was taken.
    address: usize,
    /// Always there, but during a revival.
    chunk: Option<LooseChunk>,
}

/// The lists of a snapshot, used again and again.
struct SnapshotLists {
    /// Chunks that this snapshot is the newest to see, and that the world has replaced.
    dead: Vec<DeadChunk>,
    /// Bytes of the chunks in `dead`.
    dead_bytes: usize,
    /// Live chunks that this snapshot is the oldest to see, for the components of its mask; other
    /// entries are unspecified.
    oldest: Tallies,
    /// The branches that hold the snapshot.
    holds: Holds,
    /// The components that it took. A box, as snapshots move in their list.
    mask: Box<ComponentMask>,
}

impl SnapshotLists {
    fn with_capacity(chunks: usize) -> Self {
        Self {
            dead: Vec::with_capacity(chunks),
            dead_bytes: 0,
            oldest: Tallies::default(),
            holds: Holds::default(),
            mask: Box::default(),
        }
    }

    fn push(&mut self, chunk: LooseChunk) {
        self.dead_bytes += chunk.class().bytes();
        let address = chunk.chunk().as_ptr().addr();
        self.dead.push(DeadChunk { address, chunk: Some(chunk) });
    }
}

/// A snapshot whose readers may not all have left yet.
struct ActiveSnapshot {
    epoch: Epoch,
    tick: u64,
    watch: Watch<Frozen>,
    lists: SnapshotLists,
    /// How many entries of the dead list are sorted by address, during a revival.
    sorted: usize,
}

impl ActiveSnapshot {
    /// Whether the last reader has left, and the last branch has let go.
    fn ended(&self) -> bool {
        // In this order: while there are readers there may be more branches.
        self.watch.ended() && self.lists.holds.count() == 0
    }

    fn sees(&self, born: Epoch, component: ComponentId) -> bool {
        born <= self.epoch && self.lists.mask.contains(component)
    }
}

/// The memory of one world: its arena and the history of the chunks that snapshots keep.
///
/// It can give chunks out, which may fail, so code that holds it *prepares*. Code that *commits* holds
/// [`Returns`], to which a `Memory` derefs.
pub struct Memory(Returns);

/// The memory of one world for code that only gives back, and so can't fail.
pub struct Returns {
    arena: Arena,
    pub(crate) history: History,
    steps: steps::Steps,
    /// Chunks that a query was given for the shared ones that it is about to replace.
    pub(crate) spares: Spares,
}

impl Deref for Memory {
    type Target = Returns;

    #[inline]
    fn deref(&self) -> &Returns {
        &self.0
    }
}

impl DerefMut for Memory {
    #[inline]
    fn deref_mut(&mut self) -> &mut Returns {
        &mut self.0
    }
}

impl Drop for Returns {
    /// The chunks of dead lists go with the slabs, when the last snapshot has ended.
    fn drop(&mut self) {
        let dead = self.history.active.iter_mut().flat_map(|each| each.lists.dead.drain(..));
        let old = self.steps.end().into_iter().filter_map(|step| step.old);
        dead.filter_map(|dead| dead.chunk).chain(old).for_each(|chunk| _ = chunk.into_entry());
    }
}

/// A snapshot that is being captured. Its epoch has ended, so that later writes have a later one,
/// and while it lives there is no [`Now`].
pub(crate) struct NewCapture<'m> {
    memory: &'m mut Returns,
    epoch: Epoch,
    /// Whether older snapshots are active.
    joins_others: bool,
}

impl NewCapture<'_> {
    /// The epoch that it ends.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The slabs that all chunks lie in.
    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        self.memory.mapping()
    }

    /// Whether older snapshots are active.
    #[inline]
    pub(crate) fn joins_others(&self) -> bool {
        self.joins_others
    }

    /// Makes the snapshot an active one, on the world's tick `tick`.
    ///
    /// `chunks` bounds how many chunk pointers it took. Its dead list never holds more: every
    /// entry is a different one of them, retired once. Only after a restore to an older snapshot it
    /// may grow, by chunks of that one. Returns the count of the branches that hold the snapshot.
    pub(crate) fn finish(
        self,
        tick: u64,
        mask: &ComponentMask,
        watch: Watch<Frozen>,
        chunks: usize,
    ) -> Holds {
        self.memory.history.add((self.epoch, tick), mask, watch, chunks)
    }
}

impl Memory {
    pub(crate) fn new(config: ArenaConfig) -> Self {
        let (arena, history) = (Arena::new(config), History::new());
        let (steps, spares) = (steps::Steps::default(), Spares::default());
        Self(Returns { arena, history, steps, spares })
    }

    /// Maps ahead, so that `bytes` of chunks need no new mapping.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<(), MemoryError> {
        self.arena.reserve(bytes)
    }

    /// A chunk of `class` for a column of `component`, born now; ended snapshots are reclaimed
    /// before a limit is reported.
    #[inline]
    pub(crate) fn allocate(
        &mut self,
        class: SizeClass,
        component: ComponentId,
    ) -> Result<LooseChunk, MemoryError> {
        match self.allocate_now(class, component) {
            Err(error) if self.reclaim() == 0 => Err(error),
            Err(_) => self.allocate_now(class, component),
            chunk => chunk,
        }
    }

    /// As [`Memory::allocate`], for a column that takes one chunk after the other: the next of `run`,
    /// or the first of another run, of `want` chunks.
    #[inline]
    pub(crate) fn allocate_next(
        &mut self,
        class: SizeClass,
        component: ComponentId,
        run: &mut ChunkRun,
        want: usize,
    ) -> Result<LooseChunk, MemoryError> {
        let mut chunk = self.allocate_in_run(class, component, run, want);
        if chunk.is_err() && self.reclaim() > 0 {
            chunk = self.allocate_in_run(class, component, run, want);
        }
        chunk
    }

    #[inline]
    fn allocate_in_run(
        &mut self,
        class: SizeClass,
        component: ComponentId,
        run: &mut ChunkRun,
        want: usize,
    ) -> Result<LooseChunk, MemoryError> {
        let (epoch, wish) = (self.epoch(), (class, run, want));
        let chunk = LooseChunk::allocate_next(&mut self.arena, wish, component, epoch)?;
        self.history.ledger.allocate(component, class);
        Ok(chunk)
    }

    /// Finds out whether chunks of together `bytes` bytes can be had, after ended snapshots have
    /// given back their chunks.
    pub(crate) fn check_room(&mut self, bytes: usize) -> Result<(), MemoryError> {
        if bytes > 0 {
            self.reclaim();
            self.arena.check_room(bytes)?;
        }
        Ok(())
    }

    /// A chunk of `class` for a column of `component`, born now, of memory that is free now.
    pub(crate) fn allocate_now(
        &mut self,
        class: SizeClass,
        component: ComponentId,
    ) -> Result<LooseChunk, MemoryError> {
        let epoch = self.epoch();
        let chunk = LooseChunk::allocate(&mut self.arena, class, component, epoch)?;
        self.history.ledger.allocate(component, class);
        Ok(chunk)
    }

    /// Notes that `chunk` becomes number `number` of its column, which had none there, if steps are
    /// noted.
    pub(crate) fn note_added(&mut self, chunk: &LooseChunk, number: usize) {
        if self.steps.open {
            let (component, new) = (chunk.component(), chunk.chunk());
            self.steps.note(Step { component, new, number, old: None });
        }
    }
}

impl Returns {
    #[inline]
    pub(crate) fn epoch(&self) -> Epoch {
        self.history.epoch()
    }

    /// The current epoch, and that it lasts while this is borrowed.
    #[inline]
    pub(crate) fn now(&self) -> Now<'_> {
        self.history.epoch.now()
    }

    /// Ends the current epoch with a snapshot.
    pub(crate) fn begin_capture(&mut self) -> NewCapture<'_> {
        let epoch = self.history.close_epoch();
        let joins_others = self.history.active_count() > 0;
        NewCapture { memory: self, epoch, joins_others }
    }

    /// The slabs that all chunks lie in.
    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        self.arena.mapping()
    }

    pub(crate) fn arena_statistics(&self) -> ArenaStatistics {
        self.arena.statistics()
    }

    /// Gives free pages back to the system, until the budget is spent. Returns their bytes.
    pub(crate) fn trim(&mut self, budget: Duration) -> usize {
        self.arena.trim(budget)
    }

    /// Gives back the spare chunks that were not needed.
    pub(crate) fn release_spares(&mut self) {
        if self.spares.end() {
            return;
        }
        let mut spares = mem::take(&mut self.spares);
        spares.drain().for_each(|chunk| self.release(chunk));
        self.spares = spares;
    }

    /// Gives a chunk that the world no longer uses, or never did, to the arena, or to the dead list
    /// of the newest snapshot that sees it. One of another world is only forgotten.
    pub(crate) fn release(&mut self, chunk: LooseChunk) {
        let (born, component, class) = (chunk.born(), chunk.component(), chunk.class());
        let history = &mut self.history;
        if born.is_foreign() {
            born.base().into_iter().for_each(|base| history.bases.forget(base));
            chunk.into_entry();
            return;
        }
        if born <= history.newest(component) {
            let mut viewers =
                history.active.iter_mut().filter(|snapshot| snapshot.sees(born, component));
            let oldest = viewers.next();
            let oldest = oldest.expect("the newest epoch of a component is an active snapshot's");
            history.ledger.retire(oldest.lists.oldest.of(component), class);
            let newest = viewers.next_back().unwrap_or(oldest);
            newest.lists.push(chunk);
        } else {
            history.ledger.free(component, class);
            chunk.recycle(&mut self.arena);
        }
    }

    /// Begins to note the chunks that a preparation takes, until [`Returns::end_steps`].
    pub(crate) fn begin_steps(&mut self) {
        self.steps.begin();
    }

    /// Keeps `want` neighbours for [`Memory::allocate_next`], or not fewer than `least`, if they are
    /// free.
    pub(crate) fn start_run(
        &mut self,
        class: SizeClass,
        run: &mut ChunkRun,
        want: usize,
        least: usize,
    ) -> bool {
        self.arena.start_run(class, run, want, least)
    }

    /// Lets go of the chunks that are kept for a column that needs none any more.
    pub(crate) fn end_run(&mut self, run: &mut ChunkRun) {
        self.arena.end_run(run);
    }

    /// Notes no more steps, and hands those out that were noted, oldest first.
    pub(crate) fn end_steps(&mut self) -> Vec<Step> {
        self.steps.end()
    }

    /// Keeps an empty list of steps for its room.
    pub(crate) fn keep_step_list(&mut self, steps: Vec<Step>) {
        self.steps.keep_list(steps);
    }

    /// Lets go of `old`, in whose place `new` is now, as number `number` of its column: at once, or
    /// when all has been prepared.
    pub(crate) fn let_go(&mut self, old: LooseChunk, number: usize, new: ChunkPtr) {
        if self.steps.open {
            let component = old.component();
            self.steps.note(Step { component, new, number, old: Some(old) });
        } else {
            self.release(old);
        }
    }

    /// Gives back room of lists. Returns its bytes.
    pub(crate) fn trim_list(&mut self) -> usize {
        self.steps.trim_list() + self.spares.trim_list()
    }

    /// Lets go of the bases without live chunks, ends the snapshots that have no reader left and
    /// passes on the chunks of their dead lists. Returns how many snapshots ended.
    pub(crate) fn reclaim(&mut self) -> usize {
        let Self { arena, history, .. } = self;
        history.bases.let_go();
        let mut ended = 0;
        let mut index = 0;
        while index < history.active.len() {
            if !history.active[index].ended() {
                index += 1;
                continue;
            }
            let mut snapshot = history.active.remove(index);
            // Backwards, so that the arena, which gives the last chunk back first, hands them out
            // in the order in which they were replaced: side by side, if they lay so.
            for dead in snapshot.lists.dead.drain(..).rev().filter_map(|dead| dead.chunk) {
                let older = &mut history.active[..index];
                match older.iter_mut().rfind(|older| older.sees(dead.born(), dead.component())) {
                    Some(older) => older.lists.push(dead),
                    None => {
                        // The last snapshot that saw it has ended, which happened after its
                        // readers' last access.
                        history.ledger.retained.subtract(dead.class());
                        dead.recycle(arena);
                    }
                }
            }
            snapshot.lists.dead_bytes = 0;
            history.find_newest(&snapshot.lists.mask);
            history.unshare(&mut snapshot, index);
            history.spare.push(snapshot.lists);
            ended += 1;
        }
        ended
    }
}

/// Finds out whether the heap gives `bytes` bytes, which are about to be taken in pieces: where it
/// doesn't, the first piece that is missing would end the process.
pub(crate) fn ask_heap(bytes: usize) -> Result<(), MemoryError> {
    let asked = Vec::<u8>::new().try_reserve_exact(bytes);
    asked.map_err(|_| MemoryError::Heap { requested_bytes: bytes })
}

/// The active snapshots of a world, oldest first.
pub(crate) struct History {
    epoch: EpochCounter,
    /// Per component: the epoch of the newest active snapshot that holds it.
    newest: Box<[Epoch; COMPONENTS_MAX]>,
    active: Vec<ActiveSnapshot>,
    spare: Vec<SnapshotLists>,
    pub(crate) ledger: Ledger,
    pub(crate) statistics: CopyStatistics,
    pub(crate) timing: bool,
    /// In a branch: the worlds whose chunks it shares.
    pub(crate) bases: Bases,
}

impl History {
    /// How many snapshots may be active before their list grows.
    const ACTIVE_EXPECTED: usize = 32;

    fn new() -> Self {
        Self {
            epoch: EpochCounter::new(),
            newest: Box::new([Epoch::NEVER; COMPONENTS_MAX]),
            active: Vec::with_capacity(Self::ACTIVE_EXPECTED),
            spare: Vec::with_capacity(Self::ACTIVE_EXPECTED),
            ledger: Ledger::new(),
            statistics: CopyStatistics::default(),
            timing: false,
            bases: Bases::default(),
        }
    }

    #[inline]
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch.current()
    }

    /// Ends the current epoch and returns it: later writes are newer.
    pub(crate) fn close_epoch(&self) -> Epoch {
        self.epoch.close()
    }

    #[inline]
    pub(crate) fn newest(&self, component: ComponentId) -> Epoch {
        self.newest[component.index()]
    }

    /// [`NewCapture::finish`].
    fn add(
        &mut self,
        (epoch, tick): (Epoch, u64),
        mask: &ComponentMask,
        watch: Watch<Frozen>,
        chunks: usize,
    ) -> Holds {
        let spare = self.spare.pop();
        let mut lists = spare.unwrap_or_else(|| SnapshotLists::with_capacity(chunks));
        if lists.dead.capacity() < chunks {
            lists.dead.reserve_exact(chunks);
        }
        for id in mask.ids() {
            self.newest[id.index()] = epoch;
            *lists.oldest.of(id) = self.ledger.share(id);
        }
        let holds = lists.holds.clone();
        *lists.mask = *mask;
        self.active.push(ActiveSnapshot { epoch, tick, watch, lists, sorted: 0 });
        holds
    }

    /// Makes lists for `count` snapshots of `chunks` chunks of `types` types each.
    pub(crate) fn reserve(
        &mut self,
        count: usize,
        chunks: usize,
        types: usize,
    ) -> Result<(), MemoryError> {
        let lists_bytes = chunks.saturating_mul(size_of::<DeadChunk>());
        let places_bytes = size_of::<ActiveSnapshot>() + size_of::<SnapshotLists>();
        let capture_bytes = lists_bytes.saturating_add(places_bytes + Tallies::bytes(types));
        ask_heap(capture_bytes.saturating_mul(count))?;
        self.active.reserve(count.saturating_sub(self.active.len()));
        self.spare.reserve(count);
        while self.active.len() + self.spare.len() < count {
            self.spare.push(SnapshotLists::with_capacity(chunks));
        }
        for lists in &mut self.spare {
            lists.dead.reserve_exact(chunks);
            lists.oldest.reserve(types);
        }
        Ok(())
    }

    /// How many snapshots are active.
    pub(crate) fn active_count(&self) -> usize {
        self.active.len()
    }

    /// Counts a chunk of `bytes` that is copied because a snapshot sees it.
    #[inline]
    pub(crate) fn note_copy(&mut self, bytes: usize) {
        self.statistics.chunks_copied += 1;
        self.statistics.bytes_copied += bytes as u64;
        event!("copy on write", bytes = bytes);
    }

    /// Runs `copy`, which copies one chunk and returns how many bytes, and counts it.
    #[inline]
    pub(crate) fn count_copy(&mut self, copy: impl FnOnce() -> usize) {
        let bytes = if self.timing {
            let start = Instant::now();
            let bytes = copy();
            self.statistics.copy_time += start.elapsed();
            bytes
        } else {
            copy()
        };
        self.note_copy(bytes);
    }

    /// Finds the newest snapshots of the components of `mask` anew.
    fn find_newest(&mut self, mask: &ComponentMask) {
        for id in mask.ids() {
            let holder = self.active.iter().rfind(|snapshot| snapshot.lists.mask.contains(id));
            self.newest[id.index()] = holder.map_or(Epoch::NEVER, |snapshot| snapshot.epoch);
        }
    }

    /// Passes the live chunks that `ended`, which stood at `index`, was the oldest to see on to
    /// the next newer snapshot of their component.
    fn unshare(&mut self, ended: &mut ActiveSnapshot, index: usize) {
        for id in ended.lists.mask.ids() {
            let tally = *ended.lists.oldest.of(id);
            match self.active[index..].iter_mut().find(|snapshot| snapshot.lists.mask.contains(id))
            {
                Some(newer) => newer.lists.oldest.of(id).add_all(tally),
                None => self.ledger.unshare(id, tally),
            }
        }
    }
}
