//! [`AlertLog`]: when flights came too close to each other, and for how long.

use convoy_engine::host::{LoadError, Module, ModuleContext, Rate};

use crate::traffic::AlertSwitched;

use super::ledger::Ledger;
use super::state::{StateReader, StateWriter};
use super::watch::{EventsRead, Watch};

/// Lists alerts as they begin and end. It has no rate: the events of alerts are what it runs on.
#[derive(Debug)]
pub struct AlertLog {
    begun: u64,
    ended: u64,
    /// The ticks that ended ones have lasted, and the most that any did.
    ticks: u64,
    ticks_max: u64,
    ledger: Ledger,
}

impl AlertLog {
    /// A log without alerts.
    pub fn new(ledger: Ledger) -> Self {
        Self { begun: 0, ended: 0, ticks: 0, ticks_max: 0, ledger }
    }
}

impl Watch for AlertLog {
    const NAME: &'static str = "alert log";
    const RATE: Option<Rate> = Some(Rate::NEVER);
    type Reads = ();
    const EVENTS: EventsRead = EventsRead { departed: false, landed: false, alerts: true };
}

impl Module for AlertLog {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        let Self { begun, ended, ticks, ticks_max, ledger } = self;
        ledger.enter(context.view(), |checksum| {
            for AlertSwitched { entity, since_tick, until_tick } in context.events() {
                checksum.add_u64(entity.to_bits());
                if until_tick == 0 {
                    *begun += 1;
                } else {
                    *ended += 1;
                    let lasted = until_tick - since_tick;
                    *ticks += lasted;
                    *ticks_max = lasted.max(*ticks_max);
                }
            }
            [*begun, *ended, *ticks, *ticks_max]
                .into_iter()
                .for_each(|each| checksum.add_u64(each));
        });
    }

    fn save(&self) -> Option<Vec<u8>> {
        let mut state = StateWriter::default();
        self.ledger.put(&mut state);
        for each in [self.begun, self.ended, self.ticks, self.ticks_max] {
            state.number(each);
        }
        Some(state.finish())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let mut state = StateReader::new(bytes);
        let entries = Ledger::take(&mut state)?;
        let mut number = || state.number();
        let counts = [number()?, number()?, number()?, number()?];
        state.end()?;
        [self.begun, self.ended, self.ticks, self.ticks_max] = counts;
        self.ledger.resume(entries);
        Ok(())
    }
}
