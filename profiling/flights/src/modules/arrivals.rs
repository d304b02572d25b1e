//! [`ArrivalWatch`]: the flights that are about to land.

use convoy_engine::With;
use convoy_engine::host::{LoadError, Module, ModuleContext, Rate};

use crate::analysis::{Arrival, ArrivalQueues};
use crate::profile::progress;
use crate::traffic::{Clock, Position, Route, Schedule};

use super::ledger::Ledger;
use super::watch::Watch;

/// Keeps the queue of each airport.
#[derive(Debug)]
pub struct ArrivalWatch {
    queues: ArrivalQueues,
    clock: Clock,
    ledger: Ledger,
}

impl ArrivalWatch {
    /// A watch over `airports` airports by the simulation's clock.
    pub fn new(airports: usize, clock: Clock, ledger: Ledger) -> Self {
        Self { queues: ArrivalQueues::new(airports), clock, ledger }
    }
}

impl Watch for ArrivalWatch {
    const NAME: &'static str = "arrival queues";
    const RATE: Option<Rate> = Some(Rate::hz(10));
    type Reads = (Route, Schedule, Position);
}

impl Module for ArrivalWatch {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        let view = context.view();
        let now_s = self.clock.at(view.tick());
        let flights = view.query::<(&Route, &Schedule)>();
        let airborne = flights.filter::<With<Position>>();
        self.queues.update(airborne.iter().map(|(route, schedule)| {
            let (elapsed_s, duration_s) = (schedule.elapsed_s(now_s), schedule.duration_s());
            let ahead = 1.0 - progress(elapsed_s, duration_s);
            Arrival {
                destination: route.destination,
                remaining_s: duration_s - elapsed_s,
                remaining_nm: ahead * route.distance_nm,
            }
        }));
        self.ledger.enter(view, |checksum| self.queues.fold(checksum));
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(self.ledger.save())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.ledger.load(bytes)
    }
}
