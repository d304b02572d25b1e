//! [`FrameTicker`]: the Fast module.

use convoy_engine::host::{Module, ModuleContext, Rate};

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
}
