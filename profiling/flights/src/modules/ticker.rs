//! [`FrameTicker`]: the Fast module.

use convoy_engine::host::{LoadError, Module, ModuleContext, Rate};

use super::ledger::Ledger;
use super::watch::Watch;

/// Counts frames and the flights in the world, in every frame.
#[derive(Debug)]
pub struct FrameTicker {
    ledger: Ledger,
}

impl FrameTicker {
    /// A ticker that enters its counts in `ledger`.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }
}

impl Watch for FrameTicker {
    const NAME: &'static str = "frame ticker";
    const RATE: Option<Rate> = None;
    type Reads = ();
}

impl Module for FrameTicker {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        let view = context.view();
        self.ledger.enter(view, |checksum| checksum.add_u64(view.entity_count() as u64));
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(self.ledger.save())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.ledger.load(bytes)
    }
}
