//! [`Seen`]: the views that a module which tracks changes has seen.
//!
//! The module and its host share them, also while a worker has the module: a view is let go when the host lands
//! a run, and not when a worker comes to it. The set of live snapshots decides which views others are given, so
//! in lock step it must not follow from the clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::snapshot::View;

use super::world_state::Era;

/// The views that a module has seen.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Views>>);

#[derive(Default)]
struct Views {
    /// That of the last run that has landed and taken effect.
    landed: Option<View>,
    /// Those of the runs that have ended since, oldest first. The first may have landed without effect.
    ended: VecDeque<Ended>,
    /// Those that nobody is compared with any more but runs that may have begun with them: up to the one of that
    /// frame.
    let_go: VecDeque<(u64, View)>,
}

/// A run that has ended.
struct Ended {
    /// The frame on which it was given its view.
    since: u64,
    era: Era,
    /// The view that the module has seen then: the one before, where the run failed.
    view: Option<View>,
}

impl Seen {
    fn views(&self) -> MutexGuard<'_, Views> {
        // The views are whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets all views go.
    pub(super) fn forget(&self) {
        let views = std::mem::take(&mut *self.views());
        // Outside of the lock.
        drop(views);
    }

    /// The view that a run of an era is compared with.
    pub(super) fn last(&self, era: Era) -> Option<View> {
        let views = self.views();
        let last = views.ended.back().filter(|run| run.era == era);
        last.map_or_else(|| views.landed.clone(), |run| run.view.clone())
    }

    /// Ends a run with the view that the module has seen then.
    pub(super) fn end(&self, (since, era): (u64, Era), view: Option<View>) {
        self.views().ended.push_back(Ended { since, era, view });
    }

    /// Lands the run that was given its view on the frame `since`, and takes effect or not. The last run that has
    /// its view was given it on the frame `newest`.
    pub(super) fn land(&self, (since, newest): (u64, u64), takes_effect: bool) {
        let mut views = self.views();
        let Views { landed, ended, let_go } = &mut *views;
        // Those before it took no effect. They stayed so long for the run after them.
        let mut goes = |view: Option<View>| let_go.extend(view.map(|view| (newest, view)));
        while ended.front().is_some_and(|run| run.since < since) {
            goes(ended.pop_front().and_then(|run| run.view));
        }
        if takes_effect && ended.front().is_some_and(|run| run.since == since) {
            let view = ended.pop_front().and_then(|run| run.view);
            goes(std::mem::replace(landed, view));
        }
        // One at a time, outside of the lock.
        while views.let_go.front().is_some_and(|(until, _)| *until <= since) {
            let gone = views.let_go.pop_front();
            drop(views);
            drop(gone);
            views = self.views();
        }
    }
}
