//! The module host: background modules, their rates, their convoys, and their commands.
//!
//! A [`ModuleHost`] runs each module at the rate of its [`ModuleSpec`]. Modules of one rate share a snapshot,
//! a *convoy*, and record commands that the host plays back into the world.
//!
//! ```
//! use std::time::Duration;
//!
//! use convoy_engine::World;
//! use convoy_engine::host::{ModuleHost, ModuleSpec};
//!
//! let (mut world, mut host) = (World::new(), ModuleHost::default());
//! world.spawn_batch([(20_u32,), (22,)]).unwrap();
//! host.add(ModuleSpec::fast("sum").reads::<(u32,)>(), |context| {
//!     let sum: u32 = context.view().query::<&u32>().iter().sum();
//!     context.commands().send_event(sum);
//! })
//! .unwrap();
//!
//! let mut cursor = world.event_cursor::<u32>();
//! host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
//! host.finish(&mut world);
//! assert!(world.events(&mut cursor).eq([42]));
//! ```

mod bytes;
mod callbacks;
mod causes;
mod config;
mod context;
mod convoy;
mod faults;
mod feed;
mod frame;
mod inbox;
mod installing;
mod job;
mod mailbox;
mod module;
mod module_host;
mod pace;
mod pausing;
mod phases;
mod rate;
mod resuming;
mod run_time;
mod saved;
mod saving;
mod scratch;
mod seen;
mod slot;
mod spec;
mod statistics;
mod systems;
mod time;
mod timeline;
mod workers;
mod world_state;

pub use config::{HostConfig, HostError};
pub use context::ModuleContext;
pub use convoy::SlowConvoy;
pub use faults::ModulePanic;
pub use feed::ViewFeed;
pub use module::{Declared, LoadError, Module, ModuleId};
pub use module_host::ModuleHost;
pub use rate::Rate;
pub use resuming::LoadReport;
pub use spec::{Mode, ModuleSpec, Tier};
pub use statistics::{ConvoyStatistics, HostStatistics, ModuleStatistics};
pub use systems::{Frame, Phase, SystemStatistics};
pub use timeline::ModuleRun;
