//! [`DelayWatch`]: how late landed flights were.

use convoy_engine::events::EventCursor;
use convoy_engine::host::{Module, ModuleContext, Rate};

use crate::analysis::{DelayStatistics, LandedFlight};
use crate::traffic::FlightLanded;

use super::ledger::Ledger;
use super::watch::{EventsRead, Watch};

/// Keeps statistics of delays from the events of landings.
#[derive(Debug)]
pub struct DelayWatch {
    delays: DelayStatistics,
    landings: EventCursor<FlightLanded>,
    ledger: Ledger,
}

impl DelayWatch {
    /// A watch that starts with the event at `landings`.
    pub fn new(landings: EventCursor<FlightLanded>, ledger: Ledger) -> Self {
        Self { delays: DelayStatistics::default(), landings, ledger }
    }
}

impl Watch for DelayWatch {
    const NAME: &'static str = "delay statistics";
    const RATE: Option<Rate> = Some(Rate::hz(10));
    type Reads = ();
    const EVENTS: EventsRead = EventsRead { departed: false, landed: true };
}

impl Module for DelayWatch {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        let view = context.view();
        let landings = view.events(&mut self.landings);
        for landed in landings {
            let scheduled_s = landed.departure_s - landed.delay_s;
            // No flight is scheduled before the first midnight.
            let departure_s = u32::try_from(scheduled_s).unwrap_or(0);
            self.delays.record(LandedFlight { departure_s, delay_s: landed.delay_s });
        }
        self.ledger.enter(view, |checksum| {
            checksum.add_u64(self.landings.lost());
            self.delays.fold(checksum);
        });
    }
}
