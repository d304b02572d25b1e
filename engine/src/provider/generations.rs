//! Generations: the snapshots of one provider that readers may still hold, and their bound.
//!
//! Held generations are charged to their holders. Readers without a membership are charged together,
//! and are refused at the bound. Each member has a *share* of the bound. A member that holds fewer
//! generations than its share is served at the bound, too; one that holds its share or more is
//! refused. So no member is kept from running by the views that others keep, and the number of live
//! generations is bounded all the same: see [`Generations::generations_max`].

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use convoy_pool::{Publication, Watch};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::frozen::Frozen;
use crate::storage::{ComponentMask, SnapshotId, SnapshotUse};
use crate::world::World;

use super::contain::{Contained, contain};
use super::member::{Member, Seat};
use super::slow_readers::{Notified, SlowReader, SlowReaderLimits, SlowReaders};
use super::traits::{AcquireError, ProviderStatistics};

/// The choice for a member that asks for a view when readers hold as many generations as the
/// provider may keep alive.
///
/// Generations are charged to their holders. Each [`Member`] of a provider has a share of the bound;
/// every module of a host is a member. Of `b` generations, `m` members have `b / m` each, but at
/// least two (one, where `b` is one), so that each can compare two snapshots. A member whose views
/// hold fewer than its share gets a fresh snapshot at the bound, too, however many the others keep.
/// A member that holds its share or more gets a view by this choice, until it drops some. Readers
/// without a membership are charged together, and refused at the bound.
///
/// At most `b + m * share` generations are alive at a time: `b` when the bound is passed, and a
/// share for each member since then. With the default bound of 8, two members come to 16 at the
/// worst, five to 18 and `m` to `8 + 2 * m`.
///
/// Views that are joined without a membership count among these, also those of snapshots that were
/// opened past the bound for a member. Joins are never refused, as they take no lock. So readers
/// that join one snapshot after the other and keep them all can come to hold `b + m * share`: then
/// every member is refused a fresh snapshot, also one that holds none, until they drop some. Let
/// such readers keep few, or enrol them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum WhenBusy {
    /// Refuses with [`AcquireError::Backpressure`]. A module of a host is not run then, which is
    /// counted as refused. It stays so until views that it keeps are dropped; a module that drops
    /// old views only in its runs is never run again, so give it a bound above the number it keeps.
    #[default]
    Refuse,
    /// Gives the newest snapshot there is, and a member the newest of those that it holds already,
    /// so that it comes to hold no more; [`View::lag`] tells its age, and it counts as stale. Where
    /// none of them is of the present world, the acquire is refused.
    Newest,
}

/// The most generations that a provider keeps alive unless set.
const GENERATIONS_MAX: usize = 8;

/// How many generations a list has room for before it grows, at the most.
const LISTED_MAX: usize = 256;

/// The published snapshots of one provider.
pub(super) struct Generations {
    pool: SnapshotPool,
    publication: Publication<Frozen>,
    limit: usize,
    max_age: u64,
    /// Views that the provider itself keeps of its newest generation.
    own_views: usize,
    slow: Option<SlowReaders>,
    seat: Seat,
    /// Views given of a generation that was there, also those that no lock was taken for.
    joins: AtomicU64,
    /// How long the list of the live ones is. Written under the lock.
    listed: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    mask: ComponentMask,
    /// Oldest first.
    live: Vec<Generation>,
    statistics: ProviderStatistics,
}

struct Generation {
    watch: Watch<Frozen>,
    id: SnapshotId,
    tick: u64,
    notified: Notified,
}

/// The reader that a generation is opened for.
#[derive(Clone, Copy)]
pub(super) enum Opener<'a> {
    /// A reader without a membership.
    Anybody,
    Member(&'a Member),
    /// The provider, which drops the generation before.
    Provider,
}

impl Generation {
    /// Whether neither a view nor a branch of `world` holds it.
    fn has_ended(&self, world: &World) -> bool {
        self.watch.ended() && world.snapshot(self.id).is_none()
    }

    /// Its cost to `world`; `None` when it is of another world or has ended.
    fn usage(&self, world: &World, own_views: usize) -> Option<SnapshotUse> {
        let mut usage = world.snapshot(self.id)?;
        usage.readers = usage.readers.saturating_sub(own_views);
        Some(usage).filter(|usage| usage.readers > 0)
    }
}

impl Generations {
    /// For a provider that keeps `own_views` of its newest generation.
    pub(super) fn new(mask: ComponentMask, pool: SnapshotPool, own_views: usize) -> Self {
        let state = State {
            mask,
            live: Vec::with_capacity(GENERATIONS_MAX),
            statistics: ProviderStatistics::default(),
        };
        Self {
            pool,
            publication: Publication::new(),
            limit: GENERATIONS_MAX,
            max_age: 0,
            own_views,
            slow: None,
            seat: Seat::default(),
            joins: AtomicU64::new(0),
            listed: AtomicUsize::new(0),
            state: Mutex::new(state),
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
        self.reserve();
    }

    pub(super) fn raise_limit(&mut self, more: usize) {
        self.set_limit(self.limit.saturating_add(more));
    }

    /// A member, with room for it in the list.
    pub(super) fn enroll(&self) -> Member {
        let member = Member::seated(&self.seat);
        self.reserve();
        member
    }

    fn reserve(&self) {
        let mut state = self.state();
        let more = self.generations_max().min(LISTED_MAX).saturating_sub(state.live.len());
        state.live.reserve(more);
    }

    pub(super) fn mask(&self) -> ComponentMask {
        self.state().mask
    }

    /// Captures `mask` from now on.
    pub(super) fn set_mask(&self, mask: ComponentMask) {
        self.state().mask = mask;
    }

    /// How many generations a member may come to hold, however many the others hold.
    fn share(&self) -> usize {
        (self.limit / self.seat.members().max(1)).max(self.limit.min(2))
    }

    /// The most generations that are alive at a time: the bound, and a share for each member. Those
    /// opened past the bound are held by members that have come to their share since, so only
    /// readers without a membership, which may join them, ever reach it.
    fn generations_max(&self) -> usize {
        self.limit.saturating_add(self.seat.members().saturating_mul(self.share()))
    }

    pub(super) fn set_max_age(&mut self, ticks: u64) {
        self.max_age = ticks;
    }

    /// Whether a view is of `world` and no older than readers may be given.
    #[inline]
    pub(super) fn is_fresh(&self, view: &View, world: &World) -> bool {
        view.is_past_of(world) && view.lag(world).is_some_and(|lag| lag <= self.max_age)
    }

    pub(super) fn set_slow_readers(
        &mut self,
        limits: SlowReaderLimits,
        notify: impl Fn(&SlowReader) + Send + Sync + 'static,
    ) {
        self.slow = Some(SlowReaders { limits, notify: Contained::new(Box::new(notify)) });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The counters are whole after every statement, also when a caller panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The published snapshot, of any age, unless a restore has taken it back. Lock-free, on any
    /// thread.
    #[inline]
    pub(super) fn join(&self) -> Option<View> {
        self.publication.join().map(View::new).filter(|view| !view.is_superseded())
    }

    /// Gives a view to a reader, unless that is a member which holds too many snapshots.
    #[inline]
    pub(super) fn admit(
        &self,
        view: View,
        reader: Option<&mut Member>,
        world: &World,
    ) -> Result<View, AcquireError> {
        let Some(member) = reader else { return Ok(view) };
        // Relaxed: the list is of this thread, unless threads share the provider, and then either
        // answer is right. Generations that ended since only make it shorter.
        if self.listed.load(Ordering::Relaxed) <= self.limit {
            return Ok(member.charge(view));
        }
        self.admit_at_the_bound(view, member, world)
    }

    #[cold]
    fn admit_at_the_bound(
        &self,
        view: View,
        member: &mut Member,
        world: &World,
    ) -> Result<View, AcquireError> {
        let mut state = self.state();
        self.forget_ended(&mut state, world);
        let free = member.holds(view.id()) || state.live.len() <= self.limit;
        if free || state.held_by(member) < self.share() {
            return Ok(member.charge(view));
        }
        state.statistics.refused += 1;
        Err(state.backpressure(Some(member), world))
    }

    /// A view of the newest snapshot of `world` that readers hold, or that views of a member hold.
    pub(super) fn newest(&self, reader: Option<&mut Member>, world: &World) -> Option<View> {
        let state = self.state();
        let holds = |id| reader.as_ref().is_none_or(|member| member.holds(id));
        let mut held = state.live.iter().rev().filter(|generation| holds(generation.id));
        let newest = held.find_map(|generation| {
            generation.watch.join().map(View::new).filter(|view| view.is_past_of(world))
        });
        match reader {
            Some(member) => newest.map(|view| member.charge(view)),
            None => newest,
        }
    }

    fn forget_ended(&self, state: &mut State, world: &World) {
        state.live.retain(|generation| !generation.has_ended(world));
        // Relaxed: as where it is read.
        self.listed.store(state.live.len(), Ordering::Relaxed);
    }

    /// Captures a new generation and publishes it, unless too many are held.
    pub(super) fn open(&self, world: &mut World, opener: Opener<'_>) -> Result<View, AcquireError> {
        let mut state = self.state();
        self.forget_ended(&mut state, world);
        let live = state.live.len();
        let member = if let Opener::Member(member) = opener { Some(member) } else { None };
        let may_open = live < self.limit
            || live < self.generations_max()
                && match opener {
                    Opener::Anybody => false,
                    Opener::Member(member) => state.held_by(member) < self.share(),
                    Opener::Provider => true,
                };
        if !may_open {
            state.statistics.refused += 1;
            return Err(state.backpressure(member, world));
        }
        let (view, watch) = world.capture_published(&self.pool, state.mask, &self.publication);
        let (id, tick) = (view.id(), view.tick());
        state.live.push(Generation { watch, id, tick, notified: Notified::default() });
        // Relaxed: as where it is read.
        self.listed.store(state.live.len(), Ordering::Relaxed);
        state.statistics.captures += 1;
        Ok(view)
    }

    /// Calls back for generations that have passed a limit since the last call. The callback runs
    /// outside the lock, and a panic of it is contained and counted.
    #[inline]
    pub(super) fn notify_slow_readers(&self, world: &World) {
        if let Some(slow) = &self.slow {
            self.notify(slow, world);
        }
    }

    fn notify(&self, slow: &SlowReaders, world: &World) {
        while let Some(reader) = self.next_slow(&slow.limits, world) {
            if contain(|| (slow.notify)(&reader)).is_none() {
                self.state().statistics.callback_panics += 1;
            }
        }
    }

    fn next_slow(&self, limits: &SlowReaderLimits, world: &World) -> Option<SlowReader> {
        let mut state = self.state();
        let newest = state.live.len().saturating_sub(1);
        state.live.iter_mut().enumerate().find_map(|(place, generation)| {
            let own_views = if place == newest { self.own_views } else { 0 };
            let usage = generation.usage(world, own_views)?;
            let reason = limits.crossed(&usage, &mut generation.notified)?;
            Some(SlowReader { reason, usage })
        })
    }

    /// The generations of `world` that readers hold, oldest first.
    pub(super) fn held(&self, world: &World) -> Vec<SnapshotUse> {
        let state = self.state();
        let newest = state.live.len().saturating_sub(1);
        let held = state.live.iter().enumerate().filter_map(|(place, generation)| {
            let own_views = if place == newest { self.own_views } else { 0 };
            generation.usage(world, own_views)
        });
        held.collect()
    }

    /// Bytes that the generations of `world` retain, the provider's own hold included.
    pub(super) fn retained_bytes(&self, world: &World) -> usize {
        let state = self.state();
        let uses = state.live.iter().filter_map(|generation| generation.usage(world, 0));
        uses.map(|usage| usage.retained_bytes).sum()
    }

    /// Counts an acquire that was given a snapshot which was there.
    pub(super) fn count_join(&self) {
        // Relaxed: a statistic that orders nothing.
        self.joins.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an acquire that was given a snapshot which is too old.
    pub(super) fn count_stale(&self) {
        self.count_join();
        self.state().statistics.stale += 1;
    }

    pub(super) fn statistics(&self) -> ProviderStatistics {
        let state = self.state();
        let live = state.live.iter().filter(|generation| !generation.watch.ended());
        // Relaxed: a statistic that orders nothing.
        let joins = self.joins.load(Ordering::Relaxed);
        ProviderStatistics { live_generations: live.count(), joins, ..state.statistics }
    }
}

impl State {
    /// How many of the generations views of `member` hold.
    fn held_by(&self, member: &Member) -> usize {
        self.live.iter().filter(|generation| member.holds(generation.id)).count()
    }

    fn backpressure(&self, member: Option<&Member>, world: &World) -> AcquireError {
        let oldest = self.live.first().and_then(|generation| generation.usage(world, 0));
        AcquireError::Backpressure {
            generations: self.live.len(),
            own_generations: member.map_or(0, |member| self.held_by(member)),
            newest_tick: self.live.last().map_or(0, |generation| generation.tick),
            oldest_lag: oldest.map_or(0, |usage| usage.lag),
            oldest_retained_bytes: oldest.map_or(0, |usage| usage.retained_bytes),
        }
    }
}
