//! [`ConflictDetection`]: the module that changes the world.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use convoy_engine::commands::Commands;
use convoy_engine::host::{Module, ModuleContext, Rate};
use convoy_engine::{Entity, With};

use crate::analysis::ConflictGrid;
use crate::traffic::{Alert, Position};

use super::ledger::Ledger;
use super::watch::Watch;

/// Finds flights that are too close to each other, and keeps an [`Alert`] on each of them by
/// commands: inserted when a conflict begins, removed when it is over or the flight has landed.
#[derive(Debug)]
pub struct ConflictDetection {
    grid: ConflictGrid,
    /// Flights with an alert, ascending.
    alerted: Vec<u64>,
    peak: ConflictPeak,
    ledger: Ledger,
}

/// The most pairs in conflict that a [`ConflictDetection`] has counted at one time, readable from
/// outside. Clones share it.
///
/// Accesses are relaxed, as those of a ledger.
#[derive(Debug, Clone, Default)]
pub struct ConflictPeak(Arc<AtomicU64>);

impl ConflictPeak {
    /// The most pairs up to the last run that the host has taken back. Of so many, a detection lists
    /// no more than the first [`PAIRS_LISTED_MAX`](crate::analysis::PAIRS_LISTED_MAX).
    pub fn pairs(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl ConflictDetection {
    /// A detection with room for `airborne_max` aircraft, which keeps `peak`.
    pub fn new(airborne_max: usize, peak: ConflictPeak, ledger: Ledger) -> Self {
        Self {
            grid: ConflictGrid::with_capacity(airborne_max),
            // Every aircraft of one run may have landed by the next.
            alerted: Vec::with_capacity(2 * airborne_max),
            peak,
            ledger,
        }
    }
}

impl Watch for ConflictDetection {
    const NAME: &'static str = "conflict detection";
    const RATE: Option<Rate> = Some(Rate::hz(10));
    type Reads = (Entity, Position, Alert);
}

impl Module for ConflictDetection {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        let view = context.view();
        let airborne = view.query::<(Entity, &Position)>();
        self.grid.update(airborne.iter().map(|(entity, position)| position.aircraft(entity)));
        let alerted = view.query::<Entity>();
        self.alerted.clear();
        self.alerted.extend(alerted.filter::<With<Alert>>().iter().map(Entity::to_bits));
        self.alerted.sort_unstable();
        let alert = Alert { since_tick: view.tick() };
        command_alerts(context.commands(), alert, &self.alerted, self.grid.ids());
        self.peak.0.fetch_max(self.grid.pair_count(), Ordering::Relaxed);
        self.ledger.enter(view, |checksum| {
            self.grid.fold(checksum);
            checksum.add_u64(self.alerted.len() as u64);
            self.alerted.iter().for_each(|&id| checksum.add_u64(id));
        });
    }
}

/// Records the changes from the flights `alerted` to the flights `in_conflict`. Both are ascending.
fn command_alerts(commands: &mut Commands, alert: Alert, alerted: &[u64], in_conflict: &[u64]) {
    for &id in in_conflict {
        if alerted.binary_search(&id).is_err() {
            commands.insert(Entity::from_bits(id), (alert,));
        }
    }
    for &id in alerted {
        if in_conflict.binary_search(&id).is_err() {
            commands.remove::<(Alert,)>(Entity::from_bits(id));
        }
    }
}
