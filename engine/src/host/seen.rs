//! [`Seen`]: the views that a module which tracks changes has seen.
//!
//! The module and its host share them, also while a worker has the module: a view is let go when the host lands
//! a run, and not when a worker comes to it. The set of live snapshots decides which views others are given, so
//! in lock step it must not follow from the clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::snapshot::View;

use super::world_state::WorldState;

/// The views that a module has seen.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Views>>);

#[derive(Default)]
struct Views {
    /// That of the last run that has landed and taken effect.
    landed: Option<View>,
    /// Those of the runs that have ended since, oldest first.
    ended: VecDeque<Ended>,
    /// That of a run that took no effect. The one after it may have begun with it.
    dropped: Option<View>,
}

/// A run that has ended.
struct Ended {
    /// The frame on which it was given its view.
    since: u64,
    state: WorldState,
    /// The view that the module has seen then: the one before, where the run failed.
    view: Option<View>,
}

impl Seen {
    fn views(&self) -> MutexGuard<'_, Views> {
        // The views are whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The view that a run on a state of the world is compared with.
    pub(super) fn last(&self, state: WorldState) -> Option<View> {
        let views = self.views();
        let last = views.ended.back().filter(|run| run.state == state);
        last.map_or_else(|| views.landed.clone(), |run| run.view.clone())
    }

    /// Ends a run with the view that the module has seen then.
    pub(super) fn end(&self, (since, state): (u64, WorldState), view: Option<View>) {
        self.views().ended.push_back(Ended { since, state, view });
    }

    /// Lands a run, which takes effect or not.
    pub(super) fn land(&self, since: u64, takes_effect: bool) {
        let mut views = self.views();
        if views.ended.front().is_none_or(|run| run.since != since) {
            return;
        }
        let Some(run) = views.ended.pop_front() else { return };
        let gone = if takes_effect {
            std::mem::replace(&mut views.landed, run.view)
        } else {
            std::mem::replace(&mut views.dropped, run.view)
        };
        drop(views);
        drop(gone);
    }
}
