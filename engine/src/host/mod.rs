//! The module host: background modules, their rates, their convoys, and their commands.

mod config;
mod convoy;
mod frame;
mod job;
mod mailbox;
mod module;
mod module_host;
mod rate;
mod statistics;
mod time;
mod workers;

pub use config::{HostConfig, HostError};
pub use convoy::SlowConvoy;
pub use module::{Mode, Module, ModuleContext, ModuleSpec, Tier};
pub use module_host::{ModuleHost, ModuleId};
pub use rate::Rate;
pub use statistics::{ConvoyStatistics, HostStatistics, ModuleStatistics};
