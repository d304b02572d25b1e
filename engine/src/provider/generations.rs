//! Generations: the snapshots of one provider that readers may still hold, and their bound.
//!
//! The bound is charged to those who hold. Readers without a membership are all one, and are
//! refused at the bound. Members have a *share* of it each. A member that holds fewer generations
//! than that is served at the bound, too; one that holds its share or more is refused. So nobody is
//! kept from running by what others keep, and what is alive at a time is bounded all the same: see
//! [`Generations::generations_max`].

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use convoy_pool::{Publication, Watch};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::frozen::Frozen;
use crate::storage::{ComponentMask, SnapshotId, SnapshotUse};
use crate::world::World;

use super::contain::{Contained, contain};
use super::member::{Member, Seat};
use super::slow_readers::{SlowReader, SlowReaderLimits, SlowReaders, Told};
use super::traits::{AcquireError, ProviderStatistics};

/// What a provider does when readers hold as many generations as it may keep alive.
///
/// What is held is charged to its holder. Each [`Member`] of a provider, as every module of a host
/// is, has a share of the bound: of `b` generations, `m` members have `b / m` each, but not less
/// than two (one, where `b` is one), so that each can compare two pictures. A member whose views
/// hold fewer than its share gets a fresh picture at the bound, too, whatever the others keep. What
/// a member gets that holds its share or more depends on this choice, until it has let go of some.
/// Readers without a membership are charged together, and refused at the bound.
///
/// At most `b + m * share` generations are alive at a time: `b` when the bound is passed, and
/// since then each member has got its share. With the default bound of 8, two members come to 16 at
/// the worst, five to 18 and `m` to `8 + 2 * m`.
///
/// Views that are joined without a membership count among these, also those of pictures that were
/// opened past the bound for a member. Nobody is refused a join, as that takes no lock. So readers
/// who join one picture after the other and keep them all can come to hold `b + m * share`: then
/// every member is refused a fresh picture, also one that holds nothing, until they let go of some.
/// Let such readers keep few, or enrol them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum WhenBusy {
    /// Refuses with [`AcquireError::Backpressure`]. A module of a host is not run then, which is
    /// counted as refused. It stays so until views that it keeps are dropped; one that lets go of
    /// old ones only in its runs is never run again, so give it a bound above what it keeps.
    #[default]
    Refuse,
    /// Gives the newest picture there is, and a member the newest of those that it holds already,
    /// so that it comes to hold no more; [`View::lag`] tells its age, and it counts as stale. Where
    /// none of them is of the present world, it is refused.
    Newest,
}

/// The most generations that a provider keeps alive unless told otherwise.
pub(super) const GENERATIONS_MAX: usize = 8;

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
    told: Told,
}

/// For whom a generation is opened.
#[derive(Clone, Copy)]
pub(super) enum Opener<'a> {
    /// A reader without a membership.
    Anybody,
    Member(&'a Member),
    /// The provider, which drops the generation before.
    Provider,
}

impl Generation {
    /// Whether nobody holds it: no view, and no branch of `world`.
    fn has_ended(&self, world: &World) -> bool {
        self.watch.ended() && world.snapshot(self.id).is_none()
    }

    /// What it costs `world`; `None` when it is of another world or has ended.
    fn usage(&self, world: &World, own_views: usize) -> Option<SnapshotUse> {
        let mut usage = world.snapshot(self.id)?;
        usage.readers = usage.readers.saturating_sub(own_views);
        Some(usage).filter(|usage| usage.readers > 0)
    }
}

impl Generations {
    pub(super) fn new(mask: ComponentMask, pool: SnapshotPool, limit: usize) -> Self {
        let state = State {
            mask,
            live: Vec::with_capacity(limit.clamp(1, GENERATIONS_MAX)),
            statistics: ProviderStatistics::default(),
        };
        Self {
            pool,
            publication: Publication::new(),
            limit: limit.max(1),
            max_age: 0,
            own_views: 0,
            slow: None,
            seat: Seat::default(),
            joins: AtomicU64::new(0),
            listed: AtomicUsize::new(0),
            state: Mutex::new(state),
        }
    }

    /// For a provider that keeps a view of its newest generation.
    pub(super) fn keeping_newest(self) -> Self {
        Self { own_views: 1, ..self }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
        self.reserve();
    }

    /// A member, for whom there is room in the list.
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

    /// How many generations a member comes to hold whatever the others do.
    fn share(&self) -> usize {
        (self.limit / self.seat.members().max(1)).max(self.limit.min(2))
    }

    /// The most generations that are alive at a time: the bound, and a share for each member. What
    /// is opened past the bound is held by members that have come to their share since, so only
    /// readers without a membership, who may join that, ever make it a limit.
    fn generations_max(&self) -> usize {
        self.limit.saturating_add(self.seat.members().saturating_mul(self.share()))
    }

    pub(super) fn set_max_age(&mut self, ticks: u64) {
        self.max_age = ticks;
    }

    /// Whether a picture is of `world` and no older than readers may be given.
    #[inline]
    pub(super) fn is_fresh(&self, view: &View, world: &World) -> bool {
        view.is_past_of(world) && view.lag(world).is_some_and(|lag| lag <= self.max_age)
    }

    pub(super) fn set_slow_readers(
        &mut self,
        limits: SlowReaderLimits,
        tell: impl Fn(&SlowReader) + Send + Sync + 'static,
    ) {
        self.slow = Some(SlowReaders { limits, tell: Contained::new(Box::new(tell)) });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The counters are whole after every statement, also when a caller panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The published snapshot, whatever its age, unless a restore has taken it back. Lock-free, on
    /// any thread.
    #[inline]
    pub(super) fn join(&self) -> Option<View> {
        self.publication.join().map(View::new).filter(|view| !view.is_superseded())
    }

    /// Gives a picture that is there to a reader, unless that is a member which holds too many.
    #[inline]
    pub(super) fn admit(
        &self,
        view: View,
        reader: Option<&mut Member>,
        world: &World,
    ) -> Result<View, AcquireError> {
        let Some(member) = reader else { return Ok(view) };
        // Relaxed: the list is of this thread, unless threads share the provider, and then either
        // answer is right. What has ended since only makes it shorter.
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

    /// The newest picture of `world` that somebody holds, or that views of a member hold.
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
        state.live.push(Generation { watch, id, tick, told: Told::default() });
        // Relaxed: as where it is read.
        self.listed.store(state.live.len(), Ordering::Relaxed);
        state.statistics.captures += 1;
        Ok(view)
    }

    /// Tells of the generations that have come past a limit since the last time. The callback
    /// runs outside the lock, and a panic of it is contained and counted.
    pub(super) fn tell_slow(&self, world: &World) {
        let Some(slow) = &self.slow else { return };
        while let Some(reader) = self.next_slow(&slow.limits, world) {
            if contain(|| (slow.tell)(&reader)).is_none() {
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
            let reason = limits.crossed(&usage, &mut generation.told)?;
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

    /// What the generations of `world` retain, whoever holds them.
    pub(super) fn retained_bytes(&self, world: &World) -> usize {
        let state = self.state();
        let uses = state.live.iter().filter_map(|generation| generation.usage(world, 0));
        uses.map(|usage| usage.retained_bytes).sum()
    }

    /// Counts an acquire that was given a picture which was there.
    pub(super) fn count_join(&self) {
        // Relaxed: a statistic that orders nothing.
        self.joins.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an acquire that was given a picture which is too old.
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
