//! [`SectorWatch`]: how full the sky is.

use convoy_engine::Entity;
use convoy_engine::host::{LoadError, Module, ModuleContext, Rate};

use crate::analysis::SectorLoad;
use crate::traffic::Position;

use super::ledger::Ledger;
use super::watch::Watch;

/// Counts the aircraft in each sector of the sky.
#[derive(Debug)]
pub struct SectorWatch {
    load: SectorLoad,
    ledger: Ledger,
}

impl SectorWatch {
    /// A watch over an empty sky.
    pub fn new(ledger: Ledger) -> Self {
        Self { load: SectorLoad::new(), ledger }
    }
}

impl Watch for SectorWatch {
    const NAME: &'static str = "sector load";
    const RATE: Option<Rate> = Some(Rate::hz(10));
    type Reads = (Position,);
}

impl Module for SectorWatch {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        let view = context.view();
        let airborne = view.query::<&Position>();
        // Sectors count aircraft and don't ask which.
        let nobody = Entity::default();
        self.load.update(airborne.iter().map(|position| position.aircraft(nobody)));
        self.ledger.enter(view, |checksum| self.load.fold(checksum));
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(self.ledger.save())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.ledger.load(bytes)
    }
}
