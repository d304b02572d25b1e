//! The state of modules as bytes, and that of the whole host.

use crate::provider::contain::contain;
use crate::snapshot::View;
use crate::storage::encoding::{put_number, put_piece};

use super::bytes::{put_flag, put_long};
use super::config::HostError;
use super::convoy::Convoy;
use super::job::{Job, Run};
use super::module::ModuleId;
use super::module_host::ModuleHost;
use super::saved::{CONVOY_COUNTERS, VERSION};
use super::slot::{Slot, to_numbers};
use super::world_state::Era;

/// # The state of modules
impl ModuleHost {
    /// The state of a module as bytes; `None` where it has none: see [`Module::save`](super::Module::save), with an
    /// example at [`Declared`](super::Declared).
    ///
    /// # Errors
    ///
    /// [`HostError::UnknownModule`]; [`HostError::Busy`] while runs of it have not landed, whose results would be half
    /// in the state and half not: [`ModuleHost::finish`] comes first. [`HostError::State`] where the module panics.
    pub fn save_module(&self, id: ModuleId) -> Result<Option<Vec<u8>>, HostError> {
        let (name, job) = self.resting(id)?;
        save_own(name, job)
    }

    /// Has a module take up a state that [`ModuleHost::save_module`] gave.
    ///
    /// # Errors
    ///
    /// As [`ModuleHost::save_module`]; [`HostError::State`] as well where the module does not take the bytes.
    pub fn load_module(&mut self, id: ModuleId, bytes: &[u8]) -> Result<(), HostError> {
        self.resting(id)?;
        let slot = &mut self.modules[id.index()];
        let job = slot.job.as_mut().expect("a module that rests is here");
        let loaded = contain(|| job.module_mut().load(bytes));
        loaded
            .unwrap_or_else(|| Err("it panicked".into()))
            .map_err(|error| HostError::State { module: slot.spec.name().to_owned(), error })
    }

    /// A module that has no run under way.
    fn resting(&self, id: ModuleId) -> Result<(&str, &Job), HostError> {
        let known = self.modules.get(id.index()).filter(|slot| slot.id == id && !slot.has_left);
        let slot = known.ok_or(HostError::UnknownModule { id })?;
        match &slot.job {
            Some(job) if !slot.is_under_way() => Ok((slot.spec.name(), job)),
            _ => Err(HostError::Busy { module: slot.spec.name().to_owned() }),
        }
    }
}

/// # The state of the host
impl ModuleHost {
    /// Whether the host can be saved: no module is running or about to, and of the runs that have ended and not landed
    /// none has recorded commands or texts, or failed. In lock step a removed module counts until its runs have landed.
    /// Asynchronous modules that always have a run under way are brought here by [`ModuleHost::finish`].
    pub fn is_at_rest(&self) -> bool {
        self.first_busy().is_none()
    }

    /// The first module with a run that can't be saved.
    fn first_busy(&self) -> Option<&Slot> {
        self.modules.iter().find(|slot| match slot.has_left {
            true => self.awaits(slot),
            false => {
                let are_over = slot.ended.iter().all(|run| run.has_no_effect(self.era));
                slot.is_away() || !slot.waiting.is_empty() || !are_over
            }
        })
    }

    /// Whether a module was removed whose runs have not landed, and land on certain frames: these keep their handles
    /// until then.
    pub(super) fn awaits(&self, slot: &Slot) -> bool {
        slot.has_left && slot.is_under_way() && self.config.lock_step.is_some()
    }

    /// Appends the state of the host to `bytes`, for [`ModuleHost::load`]: frames and time, pace, the cursors and
    /// counters of all modules, their own states by [`Module::save`](super::Module::save), and which handles of the
    /// world their commands spawn with. Save it together with `view`, a view of everything that was captured since the
    /// last frame, as an [attachment](crate::checkpoint::Checkpoint::write_attached) of a checkpoint.
    ///
    /// Takes microseconds for a few modules, and allocates as the bytes need more room and as modules do in their
    /// `save`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::checkpoint::{Checkpoint, CheckpointReader};
    /// use convoy_engine::host::{ModuleHost, ModuleSpec, Rate};
    /// use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
    /// # use convoy_engine::schema::{Schema, TypeEntry};
    ///
    /// # let builder = Schema::builder().event(TypeEntry::<u32>::new()).event(TypeEntry::<u64>::new());
    /// # let config = WorldConfig::default().schema(builder.build().unwrap());
    /// fn new_host() -> ModuleHost {
    ///     let mut host = ModuleHost::default();
    ///     host.add(ModuleSpec::slow("sum", Rate::every_frames(3)).reads_events::<u32>(), |context| {
    ///         let sum: u64 = context.events::<u32>().map(u64::from).sum();
    ///         context.commands().send_event(sum);
    ///     })
    ///     .unwrap();
    ///     host
    /// }
    ///
    /// let (mut world, mut host) = (World::with_config(config.clone()), new_host());
    /// let frame = |world: &mut World, host: &mut ModuleHost, number: u32| {
    ///     world.send_event(number);
    ///     host.run_frame(world, Duration::from_millis(10)).unwrap();
    /// };
    /// (1..=5).for_each(|number| frame(&mut world, &mut host, number));
    ///
    /// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    /// let mut state = Vec::new();
    /// host.save(&view, &mut state).unwrap();
    /// let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    /// checkpoint.write_attached(&view, &[("host", &state)]).unwrap();
    ///
    /// // The next day, in another process.
    /// let reader = CheckpointReader::new(checkpoint.into_medium()).unwrap();
    /// let mut world = reader.read(config).unwrap();
    /// let mut host = new_host();
    /// host.load(&mut world, reader.attachment("host").unwrap()).unwrap();
    /// frame(&mut world, &mut host, 6);
    /// let mut sums = convoy_engine::events::EventCursor::<u64>::default();
    /// assert!(world.events(&mut sums).eq([1 + 2 + 3, 4 + 5 + 6]));
    /// ```
    ///
    /// # Errors
    ///
    /// [`HostError::Busy`] names a module with a run under way: see [`ModuleHost::is_at_rest`].
    /// [`HostError::OtherWorld`] for a view of another world than that of the last frame. [`HostError::State`] where a
    /// module panics. Nothing is appended then.
    pub fn save(&mut self, view: &View, bytes: &mut Vec<u8>) -> Result<(), HostError> {
        if self.is_running() && view.id().world != self.world {
            return Err(HostError::OtherWorld);
        }
        if let Some(slot) = self.first_busy() {
            return Err(HostError::Busy { module: slot.spec.name().to_owned() });
        }
        let start = bytes.len();
        let saved = self.put(view, bytes);
        if saved.is_err() {
            bytes.truncate(start);
        }
        saved
    }

    fn put(&mut self, view: &View, bytes: &mut Vec<u8>) -> Result<(), HostError> {
        bytes.push(VERSION);
        put_number(bytes, self.frame);
        put_long(self.now.nanos(), bytes);
        self.pace.put(bytes);
        put_long(self.acquire_time.as_nanos(), bytes);
        put_number(bytes, self.modules.iter().filter(|slot| !slot.has_left).count() as u64);
        let is_running = self.is_running();
        let moment = Moment { view, era: self.era, is_running };
        for slot in self.modules.iter_mut().filter(|slot| !slot.has_left) {
            slot.put(&moment, bytes)?;
        }
        let convoys = self.convoys.iter().filter(|convoy| !convoy.members.is_empty());
        put_number(bytes, convoys.clone().count() as u64);
        for convoy in convoys {
            put_piece(bytes, self.modules[convoy.members[0]].spec.name().as_bytes());
            convoy.counters().iter().for_each(|&count| put_number(bytes, count));
        }
        put_number(bytes, self.systems.len() as u64);
        self.systems.iter().for_each(|system| system.put(bytes));
        Ok(())
    }
}

impl Convoy {
    /// The counters that are saved.
    pub(super) fn counters(&self) -> [u64; CONVOY_COUNTERS] {
        let counts = self.provider.ask(|provider| provider.statistics()).unwrap_or_default();
        let counts = counts.after(&self.earlier);
        [counts.captures, counts.joins, counts.refused, counts.stale, counts.callback_panics]
    }
}

/// The state of a module of this name.
fn save_own(name: &str, job: &Job) -> Result<Option<Vec<u8>>, HostError> {
    let saved = contain(|| job.module().save());
    saved.ok_or_else(|| HostError::State { module: name.to_owned(), error: "it panicked".into() })
}

/// When a host is saved.
struct Moment<'a> {
    view: &'a View,
    era: Era,
    /// Whether masks are known.
    is_running: bool,
}

impl Run {
    /// Whether nothing but counts will come of the run, which has ended.
    fn has_no_effect(&self, era: Era) -> bool {
        let is_in_order = self.panic.is_none() && !self.late && self.era == era;
        is_in_order && self.commands.is_empty() && !self.commands.has_texts()
    }

    /// Writes a run that has ended and will have no effect.
    fn put(&self, bytes: &mut Vec<u8>) {
        [self.since, self.tick].iter().for_each(|&number| put_number(bytes, number));
        put_long(self.run_time.as_nanos(), bytes);
        put_flag(self.commands.lane().is_some(), bytes);
        self.commands.lane().iter().for_each(|lane| put_number(bytes, lane.0.into()));
    }
}

impl Slot {
    /// Writes the state of a module at rest.
    fn put(&mut self, moment: &Moment<'_>, bytes: &mut Vec<u8>) -> Result<(), HostError> {
        let job = self.job.as_mut().expect("a module that rests is here");
        // As its next run begins.
        let tries = job.event_tries();
        job.inbox.begin(moment.era, tries);
        put_piece(bytes, self.spec.name().as_bytes());
        let state = save_own(self.spec.name(), job)?;
        put_flag(state.is_some(), bytes);
        state.iter().for_each(|state| put_piece(bytes, state));
        put_flag(self.comes_again, bytes);
        put_flag(self.skips_next, bytes);
        put_long(self.accounted.nanos(), bytes);
        self.put_counts(bytes);
        put_flag(self.last_panic.is_some(), bytes);
        self.last_panic.iter().for_each(|message| put_piece(bytes, message.as_bytes()));
        let lanes = self.idle.iter().filter_map(|run| run.commands.lane());
        put_number(bytes, lanes.clone().count() as u64);
        lanes.for_each(|lane| put_number(bytes, lane.0.into()));
        put_number(bytes, self.ended.len() as u64);
        self.ended.iter().for_each(|run| run.put(bytes));
        let job = self.job.as_ref().expect("a module that rests is here");
        job.inbox.put(moment.view, bytes);
        put_number(bytes, self.causes.len() as u64);
        self.causes.iter().for_each(|cause| cause.put_cursor(moment.view, bytes));
        let view = moment.view.clone();
        let own = if moment.is_running { view.narrow_to(&self.mask) } else { view };
        let last = self.compared.as_ref();
        put_flag(self.causes.iter().any(|cause| cause.has_changes(&own, last)), bytes);
        Ok(())
    }

    /// Writes counters and times.
    fn put_counts(&self, bytes: &mut Vec<u8>) {
        let numbers = to_numbers(&self.counts, &self.record);
        numbers.iter().for_each(|&count| put_number(bytes, count));
        put_long(self.record.run_time.as_nanos(), bytes);
        self.run_times.put(bytes);
    }
}
