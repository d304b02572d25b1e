//! [`ConflictDetection`]: the module that changes the world.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use convoy_engine::Entity;
use convoy_engine::commands::Commands;
use convoy_engine::host::{LoadError, Module, ModuleContext, Rate};

use crate::analysis::ConflictGrid;
use crate::traffic::{Alert, AlertSwitched, Position};

use super::ledger::Ledger;
use super::state::{StateReader, StateWriter};
use super::watch::Watch;

/// Finds flights that are too close to each other, and keeps an [`Alert`] on each of them by
/// commands: inserted when a conflict begins, removed when it is over or the flight has landed, each with an event.
#[derive(Debug)]
pub struct ConflictDetection {
    grid: ConflictGrid,
    /// Flights with an alert, ascending, and the ticks in which these began.
    alerted: Vec<(u64, u64)>,
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
        let alerted = view.query::<(Entity, &Alert)>();
        self.alerted.clear();
        self.alerted
            .extend(alerted.iter().map(|(flight, alert)| (flight.to_bits(), alert.since_tick)));
        self.alerted.sort_unstable();
        command_alerts(context.commands(), view.tick(), &self.alerted, self.grid.ids());
        self.peak.0.fetch_max(self.grid.pair_count(), Ordering::Relaxed);
        self.ledger.enter(view, |checksum| {
            self.grid.fold(checksum);
            checksum.add_u64(self.alerted.len() as u64);
            self.alerted.iter().for_each(|&(id, _)| checksum.add_u64(id));
        });
    }

    fn save(&self) -> Option<Vec<u8>> {
        let mut state = StateWriter::default();
        self.ledger.put(&mut state);
        state.number(self.peak.pairs());
        Some(state.finish())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let mut state = StateReader::new(bytes);
        let (entries, pairs) = (Ledger::take(&mut state)?, state.number()?);
        state.end()?;
        self.peak.0.store(pairs, Ordering::Relaxed);
        self.ledger.resume(entries);
        Ok(())
    }
}

/// Records the changes from the flights `alerted` to the flights `in_conflict`. Both are ascending.
fn command_alerts(commands: &mut Commands, tick: u64, alerted: &[(u64, u64)], in_conflict: &[u64]) {
    for &id in in_conflict {
        if alerted.binary_search_by_key(&id, |alert| alert.0).is_err() {
            let (entity, since_tick) = (Entity::from_bits(id), tick);
            commands.insert(entity, (Alert { since_tick },));
            commands.send_event(AlertSwitched { entity, since_tick, until_tick: 0 });
        }
    }
    for &(id, since_tick) in alerted {
        if in_conflict.binary_search(&id).is_err() {
            let entity = Entity::from_bits(id);
            commands.remove::<(Alert,)>(entity);
            commands.send_event(AlertSwitched { entity, since_tick, until_tick: tick });
        }
    }
}
