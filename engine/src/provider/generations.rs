//! Generations: the snapshots of one provider that readers may still hold, and their bound.

use std::sync::{Mutex, MutexGuard, PoisonError};

use convoy_pool::{Publication, Watch};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::ComponentMask;
use crate::storage::frozen::Frozen;
use crate::world::World;

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
    state: Mutex<State>,
}

struct State {
    live: Vec<(Watch<Frozen>, u64)>,
    statistics: ProviderStatistics,
}

impl Generations {
    pub(super) fn new(mask: ComponentMask, pool: SnapshotPool, limit: usize) -> Self {
        let state = State {
            live: Vec::with_capacity(limit.max(1)),
            statistics: ProviderStatistics::default(),
        };
        Self {
            mask,
            pool,
            publication: Publication::new(),
            limit: limit.max(1),
            state: Mutex::new(state),
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
        let mut state = self.state();
        let more = self.limit.saturating_sub(state.live.len());
        state.live.reserve(more);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The counters are whole after every statement, also when a caller panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The published snapshot, whatever its age. Lock-free, on any thread.
    pub(super) fn join(&self) -> Option<View> {
        self.publication.join().map(View::new)
    }

    /// Captures a new generation and publishes it, unless too many are held.
    pub(super) fn open(&self, world: &mut World) -> Result<View, AcquireError> {
        let mut state = self.state();
        state.live.retain(|(watch, _)| !watch.ended());
        if let Some(&(_, newest_tick)) = state.live.last().filter(|_| self.is_full(&state)) {
            state.statistics.refused += 1;
            let generations = state.live.len();
            return Err(AcquireError::Backpressure { generations, newest_tick });
        }
        let (view, watch) = world.capture_published(&self.pool, self.mask, &self.publication);
        state.live.push((watch, world.tick()));
        state.statistics.captures += 1;
        Ok(view)
    }

    fn is_full(&self, state: &State) -> bool {
        state.live.len() >= self.limit
    }

    pub(super) fn count_join(&self) {
        self.state().statistics.joins += 1;
    }

    pub(super) fn count_stale(&self) {
        self.state().statistics.stale += 1;
    }

    pub(super) fn statistics(&self) -> ProviderStatistics {
        let state = self.state();
        let live_generations = state.live.iter().filter(|(watch, _)| !watch.ended()).count();
        ProviderStatistics { live_generations, ..state.statistics }
    }
}
