//! [`Recorder`]: the lone module at 1 Hz.

use convoy_engine::Without;
use convoy_engine::host::{LoadError, Module, ModuleContext, Rate};

use crate::profile::progress;
use crate::traffic::{Active, Clock, Position, Route, Schedule};

use super::ledger::Ledger;
use super::watch::Watch;

/// Records totals: flights in each state, the sum of altitudes, and all miles flown.
///
/// Sums are in double precision and in the order of rows, which is the same in every run.
#[derive(Debug)]
pub struct Recorder {
    clock: Clock,
    ledger: Ledger,
}

impl Recorder {
    /// A recorder by the simulation's clock.
    pub fn new(clock: Clock, ledger: Ledger) -> Self {
        Self { clock, ledger }
    }
}

impl Watch for Recorder {
    const NAME: &'static str = "recorder";
    const RATE: Option<Rate> = Some(Rate::hz(1));
    type Reads = (Route, Schedule, Position, Active);
}

impl Module for Recorder {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        let view = context.view();
        let now_s = self.clock.at(view.tick());
        let all = view.query::<&Route>().count();
        let landed = view.query::<&Route>();
        let landed = landed.filter::<Without<Active>>();
        let mut flown_nm = 0.0;
        landed.for_each(|route| flown_nm += f64::from(route.distance_nm));
        let airborne = view.query::<(&Route, &Schedule, &Position)>();
        let mut altitudes_ft = 0.0;
        airborne.for_each(|(route, schedule, position)| {
            let flown = progress(schedule.elapsed_s(now_s), schedule.duration_s());
            flown_nm += f64::from(flown * route.distance_nm);
            altitudes_ft += f64::from(position.altitude_ft);
        });
        let (landed, airborne) = (landed.count(), airborne.count());
        self.ledger.enter(view, |checksum| {
            for count in [all - airborne - landed, airborne, landed] {
                checksum.add_u64(count as u64);
            }
            checksum.add_u64(f64::to_bits(flown_nm));
            checksum.add_u64(f64::to_bits(altitudes_ft));
        });
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(self.ledger.save())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.ledger.load(bytes)
    }
}
