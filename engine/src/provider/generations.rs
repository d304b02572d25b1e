//! Generations: the snapshots of one provider that readers may still hold, and their bound.

use std::sync::{Mutex, MutexGuard, PoisonError};

use convoy_pool::{Publication, Watch};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::frozen::Frozen;
use crate::storage::{ComponentMask, SnapshotId, SnapshotUse};
use crate::world::World;

use super::contain::contain;
use super::slow_readers::{SlowReader, SlowReaderLimits, SlowReaders, Told};
use super::traits::{AcquireError, ProviderStatistics};

/// What a provider does when readers hold as many generations as it may keep alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum WhenBusy {
    /// Refuses with [`AcquireError::Backpressure`].
    #[default]
    Refuse,
    /// Gives the newest picture there is; [`View::lag`] tells its age.
    Newest,
}

/// The most generations that a provider keeps alive unless told otherwise.
pub(super) const GENERATIONS_MAX: usize = 8;

/// The published snapshots of one provider.
pub(super) struct Generations {
    pub(super) mask: ComponentMask,
    pool: SnapshotPool,
    publication: Publication<Frozen>,
    limit: usize,
    max_age: u64,
    /// Views that the provider itself keeps of its newest generation.
    own_views: usize,
    slow: Option<SlowReaders>,
    state: Mutex<State>,
}

struct State {
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

impl Generation {
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
            live: Vec::with_capacity(limit.clamp(1, GENERATIONS_MAX)),
            statistics: ProviderStatistics::default(),
        };
        Self {
            mask,
            pool,
            publication: Publication::new(),
            limit: limit.max(1),
            max_age: 0,
            own_views: 0,
            slow: None,
            state: Mutex::new(state),
        }
    }

    /// For a provider that keeps a view of its newest generation.
    pub(super) fn keeping_newest(self) -> Self {
        Self { own_views: 1, ..self }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
        let mut state = self.state();
        let more = self.limit.saturating_sub(state.live.len());
        state.live.reserve(more);
    }

    pub(super) fn set_max_age(&mut self, ticks: u64) {
        self.max_age = ticks;
    }

    /// Whether a picture is of `world` and no older than readers may be given.
    pub(super) fn is_fresh(&self, view: &View, world: &World) -> bool {
        view.is_past_of(world) && view.lag(world).is_some_and(|lag| lag <= self.max_age)
    }

    pub(super) fn set_slow_readers(
        &mut self,
        limits: SlowReaderLimits,
        tell: impl Fn(&SlowReader) + Send + Sync + 'static,
    ) {
        self.slow = Some(SlowReaders { limits, tell: Box::new(tell) });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The counters are whole after every statement, also when a caller panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The published snapshot, whatever its age, unless a restore has taken it back. Lock-free, on
    /// any thread.
    pub(super) fn join(&self) -> Option<View> {
        self.publication.join().map(View::new).filter(|view| !view.is_superseded())
    }

    /// Captures a new generation and publishes it, unless too many are held.
    pub(super) fn open(&self, world: &mut World) -> Result<View, AcquireError> {
        let mut state = self.state();
        state.live.retain(|generation| !generation.watch.ended());
        if state.live.len() >= self.limit {
            state.statistics.refused += 1;
            return Err(backpressure(&state.live, world));
        }
        let (view, watch) = world.capture_published(&self.pool, self.mask, &self.publication);
        let (id, tick) = (view.id(), view.tick());
        state.live.push(Generation { watch, id, tick, told: Told::default() });
        state.statistics.captures += 1;
        Ok(view)
    }

    /// Tells of the generations that have come past a limit since the last time. The callback
    /// runs outside the lock, and a panic of it is contained and counted.
    pub(super) fn tell_slow(&self, world: &World) {
        let Some(slow) = &self.slow else { return };
        while let Some(reader) = self.next_slow(&slow.limits, world) {
            if !contain(|| (slow.tell)(&reader)) {
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

    pub(super) fn count_join(&self) {
        self.state().statistics.joins += 1;
    }

    pub(super) fn count_stale(&self) {
        self.state().statistics.stale += 1;
    }

    pub(super) fn statistics(&self) -> ProviderStatistics {
        let state = self.state();
        let live = state.live.iter().filter(|generation| !generation.watch.ended());
        ProviderStatistics { live_generations: live.count(), ..state.statistics }
    }
}

fn backpressure(live: &[Generation], world: &World) -> AcquireError {
    let oldest = live.first().and_then(|generation| generation.usage(world, 0));
    AcquireError::Backpressure {
        generations: live.len(),
        newest_tick: live.last().map_or(0, |generation| generation.tick),
        oldest_lag: oldest.map_or(0, |usage| usage.lag),
        oldest_retained_bytes: oldest.map_or(0, |usage| usage.retained_bytes),
    }
}
