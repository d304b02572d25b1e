//! [`DelayWatch`]: how late landed flights were.

use convoy_engine::host::{LoadError, Module, ModuleContext, Rate};

use crate::analysis::{DelayStatistics, LandedFlight};
use crate::traffic::FlightLanded;

use super::ledger::Ledger;
use super::state::{StateReader, StateWriter};
use super::watch::{EventsRead, Watch};

/// Keeps statistics of delays from the events of landings.
#[derive(Debug)]
pub struct DelayWatch {
    delays: DelayStatistics,
    ledger: Ledger,
}

impl DelayWatch {
    /// A watch that has seen no landing.
    pub fn new(ledger: Ledger) -> Self {
        Self { delays: DelayStatistics::default(), ledger }
    }
}

impl Watch for DelayWatch {
    const NAME: &'static str = "delay statistics";
    const RATE: Option<Rate> = Some(Rate::hz(10));
    type Reads = ();
    const EVENTS: EventsRead = EventsRead { departed: false, landed: true, alerts: false };
}

impl Module for DelayWatch {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        for landed in context.events::<FlightLanded>() {
            let scheduled_s = landed.departure_s - landed.delay_s;
            // No flight is scheduled before the first midnight.
            let departure_s = u32::try_from(scheduled_s).unwrap_or(0);
            self.delays.record(LandedFlight { departure_s, delay_s: landed.delay_s });
        }
        self.ledger.enter(context.view(), |checksum| self.delays.fold(checksum));
    }

    fn save(&self) -> Option<Vec<u8>> {
        let mut state = StateWriter::default();
        self.ledger.put(&mut state);
        self.delays.numbers().for_each(|number| state.number(number));
        Some(state.finish())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let mut state = StateReader::new(bytes);
        let entries = Ledger::take(&mut state)?;
        let numbers = std::iter::from_fn(|| state.number().ok());
        let delays = DelayStatistics::from_numbers(numbers).ok_or("the state is cut off")?;
        state.end()?;
        self.delays = delays;
        self.ledger.resume(entries);
        Ok(())
    }
}
