//! The state of modules as bytes.

use crate::provider::contain::contain;

use super::config::HostError;
use super::job::Job;
use super::module::ModuleId;
use super::module_host::ModuleHost;

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
        let saved = contain(|| job.module().save());
        saved.ok_or_else(|| HostError::State {
            module: name.to_owned(),
            error: "it panicked".into(),
        })
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
