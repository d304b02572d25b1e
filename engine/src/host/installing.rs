//! Modules that come and go while the host runs.

use crate::provider::contain::{Contained, contain};
use crate::world::World;

use super::causes::Cause;
use super::config::HostError;
use super::context::ModuleContext;
use super::convoy::{Candidate, Convoy, union_of, update_once};
use super::module::{Declared, Module, ModuleId};
use super::module_host::{ModuleHost, candidate, check_provider, declared_mask};
use super::rate::Schedule;
use super::spec::{Mode, ModuleSpec};
use super::workers::Workers;

/// # Modules that come and go
impl ModuleHost {
    /// Adds a closure as a module of a host that runs, as [`ModuleHost::add`] does before. It is due from the
    /// next frame on, with the others of its convoy, and the first time that it is given counts from now.
    ///
    /// Where the module reads more than its convoy has captured so far, or is the second one of a convoy that had
    /// one member, the convoy goes on with a new provider, and its counts go on. Views that are held stay as they are.
    /// The tick and the frames of others are not touched.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{ModuleHost, ModuleSpec};
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// let frame = Duration::from_millis(16);
    /// host.run_frame(&mut world, frame).unwrap();
    /// let late = host.install(&mut world, ModuleSpec::fast("late").reads::<()>(), |_| {}).unwrap();
    /// (0..3).for_each(|_| host.run_frame(&mut world, frame).unwrap());
    /// assert_eq!(host.statistics(&world).modules[late.index()].runs, 3);
    /// host.remove(late).unwrap();
    /// host.run_frame(&mut world, frame).unwrap();
    /// assert_eq!(host.statistics(&world).modules[late.index()].runs, 3);
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`ModuleHost::add`] and, of the module, those of [`ModuleHost::initialize`]. The host is as it was
    /// before, then, but for threads that were started.
    pub fn install(
        &mut self,
        world: &mut World,
        spec: ModuleSpec,
        run: impl FnMut(&mut ModuleContext<'_>) + Send + 'static,
    ) -> Result<ModuleId, HostError> {
        self.install_module(world, spec, run)
    }

    /// Adds a module that has a type of its own to a host that runs, as [`ModuleHost::install`].
    ///
    /// # Errors
    ///
    /// As [`ModuleHost::install`].
    pub fn install_module(
        &mut self,
        world: &mut World,
        spec: ModuleSpec,
        module: impl Module,
    ) -> Result<ModuleId, HostError> {
        let module: Contained<Box<dyn Module>> = Contained::new(Box::new(module));
        let causes: Vec<Box<dyn Cause>> = spec.causes.iter().map(|new_cause| new_cause()).collect();
        if !self.is_running() {
            return self.admit(spec, module, causes);
        }
        if let Err(error) = self.adopt(world) {
            let mut spec = spec;
            drop(spec.manual.take().map(|manual| Contained::new(manual.provider)));
            return Err(error);
        }
        let id = self.admit(spec, module, causes)?;
        if let Err(error) = self.start(id, world) {
            self.remove(id)?;
            return Err(error);
        }
        Ok(id)
    }

    /// Adds a module that comes with its declarations to a host that runs, as [`ModuleHost::install`].
    ///
    /// # Errors
    ///
    /// As [`ModuleHost::install`].
    pub fn install_declared(
        &mut self,
        world: &mut World,
        module: impl Declared,
    ) -> Result<ModuleId, HostError> {
        self.install_module(world, module.spec(), module)
    }

    /// Readies a module that was just taken in, and lets it join its convoy.
    fn start(&mut self, id: ModuleId, world: &mut World) -> Result<(), HostError> {
        let (number, places) = (id.index(), self.modules.len());
        let slot = &self.modules[number];
        let mask = declared_mask(world, &slot.spec)?;
        let provider = slot.provider.as_deref().cloned();
        if let Some(provider) = &provider {
            let captured = contain(|| provider.mask());
            check_provider(world, &slot.spec, &mask, captured.as_ref())?;
        }
        if slot.spec.mode != Mode::Synchronous && self.config.has_threads() {
            let patience = (self.config.abandon_after, Vec::new());
            let workers = self.workers.get_or_insert_with(|| Workers::new(patience));
            workers.name(number, &slot.spec.name);
            let threads = (self.config.workers_max(), places);
            let started = workers.serve(threads, self.on_worker_start.as_deref());
            started.map_err(HostError::Threads)?;
        }
        self.timeline.grow(places).map_err(HostError::Timeline)?;
        let slot = &mut self.modules[number];
        slot.mask = mask;
        slot.accounted = self.now;
        slot.make_runs(&self.config, world);
        // Short of memory, captures make room for themselves.
        _ = world.reserve_captures(self.snapshots_max());
        self.join(number);
        Ok(())
    }

    /// Lets a module join the convoy that it belongs to, or one of its own.
    fn join(&mut self, number: usize) {
        let new = candidate(&self.modules[number]);
        let found = self.convoys.iter().position(|convoy| {
            convoy
                .members
                .first()
                .is_some_and(|&member| candidate(&self.modules[member]).goes_with(&new))
        });
        let empty = || self.convoys.iter().position(|convoy| convoy.members.is_empty());
        let place = found.or_else(empty).unwrap_or(self.convoys.len());
        let mut members = match found {
            Some(place) => self.convoys[place].members.clone(),
            None => Vec::new(),
        };
        let before = members.len();
        members.push(number);
        members.sort_unstable();
        let members: Vec<Candidate> =
            members.iter().map(|&member| candidate(&self.modules[member])).collect();
        let goes_on = found.filter(|&place| {
            let convoy = &self.convoys[place];
            let is_wide = new.mask.is_subset(&convoy.mask) && !new.tracks_changes;
            convoy.provider.is_manual() || before > 1 && is_wide
        });
        if let Some(place) = goes_on {
            let convoy = &mut self.convoys[place];
            convoy.members = members.iter().map(|member| member.number).collect();
            convoy.mask = union_of(members.iter().map(|member| member.mask));
            convoy.has_causes |= new.has_causes;
            self.enroll(place, &[number]);
        } else {
            let rate = new.key.rate;
            let schedule = match found {
                Some(place) => self.convoys[place].schedule,
                None => Schedule::from(rate, self.now, self.frame),
            };
            let pool = self.pool.as_ref().expect("the host runs");
            let made = (place, self.config.runs_max(), self.slow_readers.as_ref());
            let mut convoy = Convoy::of(&members.iter().collect::<Vec<_>>(), schedule, pool, made);
            if let Some(place) = found {
                let before = &self.convoys[place];
                let counts = before.provider.ask(|provider| provider.statistics());
                convoy.earlier = counts.unwrap_or_default().after(&before.earlier);
            }
            let numbers = convoy.members.clone();
            if place == self.convoys.len() {
                self.convoys.push(convoy);
            } else {
                self.convoys[place] = convoy;
            }
            self.enroll(place, &numbers);
        }
        update_once(&mut self.convoys);
    }

    /// Makes modules members of the provider of their convoy.
    pub(super) fn enroll(&mut self, place: usize, numbers: &[usize]) {
        for &number in numbers {
            let member = self.convoys[place].provider.ask(|provider| provider.enroll());
            let slot = &mut self.modules[number];
            (slot.convoy, slot.member) = (place, member.unwrap_or_default());
        }
    }

    /// Removes a module. It is not due any more, and its convoy captures only what the others read: nothing,
    /// if there are none. Runs that have their view end on it (in lock step there may be several), and their commands
    /// are dropped. The module is dropped once they have landed, on this thread; one that never returns is treated as
    /// by a host that is dropped. Its counts stay in the statistics until another module takes its place.
    ///
    /// # Errors
    ///
    /// [`HostError::UnknownModule`] when it was removed before.
    pub fn remove(&mut self, id: ModuleId) -> Result<(), HostError> {
        let number = id.index();
        let known = self.modules.get_mut(number).filter(|slot| slot.id == id && !slot.has_left);
        let slot = known.ok_or(HostError::UnknownModule { id })?;
        slot.has_left = true;
        slot.causes.clear();
        self.names.remove(&slot.spec.name);
        drop(slot.provider.take());
        let place = slot.convoy;
        if slot.vacate() {
            self.vacant.insert(number);
        }
        let masks = |number: &usize| self.modules[*number].mask;
        if let Some(convoy) = self.convoys.get_mut(place)
            && convoy.members.contains(&number)
        {
            convoy.members.retain(|&member| member != number);
            let rest = union_of(convoy.members.iter().map(masks));
            convoy.mask = rest;
            convoy.provider.set_mask(rest);
            let has_causes = |number: &usize| !self.modules[*number].causes.is_empty();
            convoy.has_causes = convoy.members.iter().any(has_causes);
            update_once(&mut self.convoys);
        }
        Ok(())
    }
}
