//! The modules that watch the traffic.
//!
//! | module | rate | reads | does |
//! |---|---|---|---|
//! | [`FrameTicker`] | every frame | only the tick | counts frames and flights |
//! | [`ConflictDetection`] | 10 Hz | handles, positions, alerts | sets alerts by commands |
//! | [`SectorWatch`] | 10 Hz | positions | counts aircraft by sector |
//! | [`ArrivalWatch`] | 10 Hz | routes, schedules, positions | queues of the airports |
//! | [`DelayWatch`] | 10 Hz | landings | statistics of delays |
//! | [`Egress`] | 10 Hz | handles, positions, both events | encodes the changes |
//! | [`Recorder`] | 1 Hz | routes, schedules, positions, active flights | totals |
//! | [`AlertLog`] | when alerts change | events of alerts | lists them, and how long they lasted |
//!
//! The five at 10 Hz share a rate, a tier and a mode, so the host makes them one convoy. What a
//! module reads stands in its [`Watch`] implementation and nowhere else.
//!
//! Every run of a module adds its tick and its whole result to the module's [`Ledger`], so two runs
//! of a scenario whose modules ever saw something different end with different checksums.
//! Once warm, no module touches the heap, but to save its state.

mod alerts;
mod arrivals;
mod conflicts;
mod delays;
mod egress;
mod ledger;
mod recorder;
mod sectors;
mod state;
mod ticker;
mod watch;

pub use alerts::AlertLog;
pub use arrivals::ArrivalWatch;
pub use conflicts::{ConflictDetection, ConflictPeak};
pub use delays::DelayWatch;
pub use egress::Egress;
pub use ledger::{Ledger, LedgerReader, ModuleResult};
pub use recorder::Recorder;
pub use sectors::SectorWatch;
pub use ticker::FrameTicker;
pub use watch::{EventsRead, Watch, mask_of};

pub(crate) use watch::declare;
