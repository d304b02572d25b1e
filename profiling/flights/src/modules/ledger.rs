//! [`Ledger`]: a module's account of its results, readable from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use convoy_engine::View;
use convoy_engine::host::LoadError;

use crate::analysis::Checksum;

use super::state::{StateReader, StateWriter};

/// The findings of a module so far, as a checksum over all its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleResult {
    /// The module's name.
    pub name: &'static str,
    /// How often it ran.
    pub runs: u64,
    /// The checksum of every run's tick and result.
    pub checksum: u64,
}

/// Where a module enters the result of each run.
#[derive(Debug)]
pub struct Ledger {
    checksum: Checksum,
    runs: u64,
    shared: Arc<Shared>,
}

/// The entries of a ledger that was saved.
pub(super) struct LedgerEntries {
    runs: u64,
    checksum: Checksum,
}

/// Reads a module's ledger from outside, after the host has finished.
#[derive(Debug, Clone)]
pub struct LedgerReader {
    name: &'static str,
    shared: Arc<Shared>,
}

/// All accesses are relaxed: the channel over which a worker returns its module to the host orders
/// them, and nothing is read before that.
#[derive(Debug, Default)]
struct Shared {
    runs: AtomicU64,
    checksum: AtomicU64,
    list_bytes_max: AtomicUsize,
}

impl Ledger {
    /// An empty ledger whose checksum starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { checksum: Checksum::new(seed), runs: 0, shared: Arc::default() }
    }

    /// A reader of this ledger, which calls the module `name`.
    pub fn reader(&self, name: &'static str) -> LedgerReader {
        LedgerReader { name, shared: Arc::clone(&self.shared) }
    }

    /// Puts the checksum and the number of runs into the state of its module.
    pub(super) fn put(&self, state: &mut StateWriter) {
        state.number(self.runs);
        state.piece(&self.checksum.save());
    }

    /// Takes both out again.
    pub(super) fn take(state: &mut StateReader<'_>) -> Result<LedgerEntries, LoadError> {
        let runs = state.number()?;
        Ok(LedgerEntries { runs, checksum: Checksum::from_saved(state.piece()?)? })
    }

    /// Goes on with these entries.
    pub(super) fn resume(&mut self, LedgerEntries { runs, checksum }: LedgerEntries) {
        (self.runs, self.checksum) = (runs, checksum);
        self.publish();
    }

    /// The state of a module that keeps nothing else from run to run.
    pub(super) fn save(&self) -> Vec<u8> {
        let mut state = StateWriter::default();
        self.put(&mut state);
        state.finish()
    }

    /// Takes the state of such a module up.
    pub(super) fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let mut state = StateReader::new(bytes);
        let entries = Self::take(&mut state)?;
        state.end()?;
        self.resume(entries);
        Ok(())
    }

    fn publish(&self) {
        self.shared.runs.store(self.runs, Ordering::Relaxed);
        self.shared.checksum.store(self.checksum.value(), Ordering::Relaxed);
    }

    /// Enters one run on `view`: its tick and the values that `fold` adds.
    pub fn enter(&mut self, view: &View, fold: impl FnOnce(&mut Checksum)) {
        self.checksum.add_u64(view.tick());
        fold(&mut self.checksum);
        self.runs += 1;
        self.publish();
        self.shared.list_bytes_max.fetch_max(view.list_bytes(), Ordering::Relaxed);
    }
}

impl LedgerReader {
    /// The results up to the last run that the host has taken back.
    pub fn result(&self) -> ModuleResult {
        ModuleResult {
            name: self.name,
            runs: self.shared.runs.load(Ordering::Relaxed),
            checksum: self.shared.checksum.load(Ordering::Relaxed),
        }
    }

    /// Bytes of the longest lists of chunks in a snapshot that the module was given.
    pub fn list_bytes_max(&self) -> usize {
        self.shared.list_bytes_max.load(Ordering::Relaxed)
    }
}
