//! The counts of a host, as plain values.

use std::fmt;
use std::time::Duration;

use convoy_pool::CellPoolStatistics;

use crate::provider::{ProviderKind, ProviderStatistics};
use crate::storage::{ComponentMask, CopyStatistics};
use crate::world::commands::Playback;
use crate::world::statistics::WorldMemory;

use super::rate::Rate;
use super::spec::{Mode, Tier};
use super::systems::SystemStatistics;

/// Counts of a host since its first frame. Reading them resets nothing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HostStatistics {
    /// Frames run.
    pub frames: u64,
    /// Time spent on the host's thread in providers: captures, syncs and joins.
    pub acquire_time: Duration,
    /// Where the world's memory is now.
    pub memory: WorldMemory,
    /// Copies that the world has made on writes.
    pub copies: CopyStatistics,
    /// The cells of the host's own snapshots.
    pub pool: CellPoolStatistics,
    /// Per convoy, in the order of their first members.
    pub convoys: Vec<ConvoyStatistics>,
    /// Per module, in the order of registration.
    pub modules: Vec<ModuleStatistics>,
    /// Per system, in the order in which they run.
    pub systems: Vec<SystemStatistics>,
}

/// One convoy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConvoyStatistics {
    /// Tier of the members.
    pub tier: Tier,
    /// Mode of the members; `None` for Fast ones, which share a snapshot whatever their modes.
    pub mode: Option<Mode>,
    /// Rate of the members.
    pub rate: Rate,
    /// The provider's policy.
    pub kind: ProviderKind,
    /// Whether the provider was assigned by hand.
    pub manual: bool,
    /// How many modules share the provider.
    pub members: usize,
    /// The union of the types that the members read.
    pub mask: ComponentMask,
    /// Counts of the provider.
    pub provider: ProviderStatistics,
    /// Panics of the provider. A module that the host wanted a view for is refused then.
    pub provider_panics: u64,
    /// Age in ticks of the oldest snapshot that a reader holds; zero when none is held.
    pub oldest_lag: u64,
    /// Bytes of replaced chunks that the provider's snapshots retain in the world.
    pub retained_bytes: usize,
    /// Bytes of physical copies that the provider keeps, as one of replicas does.
    pub copied_bytes: usize,
    /// Bytes that one private copy of the convoy's columns would take now.
    pub copy_bytes: usize,
    /// Bytes that private copies for all members would take, less the bytes that the provider's
    /// snapshots retain and that it copies; zero where these are more.
    pub saved_bytes: usize,
}

/// One module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModuleStatistics {
    /// The module's name.
    pub name: String,
    /// The module was removed: its counts are kept until another one takes its place.
    pub removed: bool,
    /// The module declared that it reads everything.
    pub reads_all: bool,
    /// Runs that have landed.
    pub runs: u64,
    /// Runs that ended in a panic.
    pub panics: u64,
    /// Whether the module is switched off after faults, and only tried now and then:
    /// [`HostConfig::faults_max`](super::HostConfig::faults_max).
    pub switched_off: bool,
    /// Times that the module was due while its last run had not landed.
    pub overruns: u64,
    /// Times that the module was due and its provider refused a view, or panicked.
    pub refused: u64,
    /// Snapshots that views of the module hold now: that of its run, and those that it keeps. They
    /// are charged to it: see [`WhenBusy`](crate::provider::WhenBusy).
    pub snapshots_held: usize,
    /// Runs that took longer than their deadline: see [`ModuleSpec::deadline`](super::ModuleSpec::deadline).
    pub missed_deadlines: u64,
    /// Commands that were dropped: of runs that had missed their deadline, and of those under way when another world
    /// took the place of the one that they were recorded for, also where that has come back since. Those of runs that
    /// a restore or a sync has overtaken are counted as dead in `playback`.
    pub dropped_commands: u64,
    /// Due runs that were skipped because the run before had missed its deadline: at most one for
    /// each.
    pub skipped: u64,
    /// Events that were dropped from their logs before the module came to them, of those that it reads by
    /// [`ModuleContext::events`](super::ModuleContext::events).
    pub lost_events: u64,
    /// Events that were dropped because the runs that read them failed too often.
    pub dropped_events: u64,
    /// Time spent in its runs.
    pub run_time: Duration,
    /// The time that 99 of 100 of its runs did not exceed, up to a quarter too long.
    pub run_time_p99: Duration,
    /// By how many ticks the world was ahead of the view of the last run that landed in the state that it was for:
    /// how old the picture was that its commands answer.
    pub view_age: u64,
    /// The highest [`ModuleStatistics::view_age`] of all runs.
    pub view_age_max: u64,
    /// The message of the last run that ended in a panic.
    pub last_panic: Option<String>,
    /// The outcome of its commands.
    pub playback: Playback,
}

impl ModuleStatistics {
    /// The mean time of a run; zero without runs.
    pub fn mean_run_time(&self) -> Duration {
        self.run_time / u32::try_from(self.runs.max(1)).unwrap_or(u32::MAX)
    }
}

/// A table of the modules, and one of the convoys.
///
/// ```
/// # use std::time::Duration;
/// # use convoy_engine::World;
/// # use convoy_engine::host::{ModuleHost, ModuleSpec};
/// let (mut world, mut host) = (World::new(), ModuleHost::default());
/// host.add(ModuleSpec::fast("minimap").reads::<()>(), |_| {}).unwrap();
/// host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
/// let text = host.statistics(&world).to_string();
/// assert!(text.contains("minimap"));
/// ```
impl fmt::Display for HostStatistics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frames, acquire_time, memory, .. } = self;
        writeln!(
            formatter,
            "{frames} frames, {acquire_time:.1?} in providers, {} bytes retained",
            memory.retained_bytes
        )?;
        for system in &self.systems {
            let SystemStatistics { name, phase, runs, run_time, run_time_p99 } = system;
            let mean = *run_time / u32::try_from((*runs).max(1)).unwrap_or(u32::MAX);
            writeln!(
                formatter,
                "{name:<24} {runs:>9} runs, mean {mean:.1?}, p99 {run_time_p99:.1?}, system of {phase:?}",
            )?;
        }
        writeln!(
            formatter,
            "{:<24} {:>9} {:>7} {:>8} {:>7} {:>7} {:>7} {:>7} {:>11} {:>11} {:>9} state",
            "module",
            "runs",
            "panics",
            "overruns",
            "refused",
            "late",
            "skipped",
            "lost",
            "mean",
            "p99",
            "oldest"
        )?;
        for module in &self.modules {
            let (mean, p99) = (module.mean_run_time(), module.run_time_p99);
            let ModuleStatistics { name, runs, panics, overruns, refused, .. } = module;
            let state = match (module.removed, module.switched_off) {
                (true, _) => "removed",
                (false, true) => "off",
                (false, false) => "on",
            };
            write!(
                formatter,
                "{name:<24} {runs:>9} {panics:>7} {overruns:>8} {refused:>7} {:>7} {:>7} {:>7} {:>11} {:>11} {:>3} ticks {state}",
                module.missed_deadlines,
                module.skipped,
                module.lost_events + module.dropped_events,
                format!("{mean:.1?}"),
                format!("{p99:.1?}"),
                module.view_age_max,
            )?;
            match &module.last_panic {
                Some(message) => writeln!(formatter, ", last panic: {message}")?,
                None => writeln!(formatter)?,
            }
        }
        writeln!(
            formatter,
            "{:<24} {:>9} {:>9} {:>11} {:>14} {:>14} {:>14}",
            "convoy",
            "members",
            "captures",
            "oldest",
            "bytes copied",
            "bytes retained",
            "bytes saved"
        )?;
        for convoy in &self.convoys {
            writeln!(
                formatter,
                "{:<24} {:>9} {:>9} {:>5} ticks {:>14} {:>14} {:>14}",
                match convoy.mode {
                    Some(mode) => format!("{}, {mode:?}", convoy.rate),
                    None => convoy.rate.to_string(),
                },
                convoy.members,
                convoy.provider.captures,
                convoy.oldest_lag,
                convoy.copied_bytes,
                convoy.retained_bytes,
                convoy.saved_bytes,
            )?;
        }
        Ok(())
    }
}
