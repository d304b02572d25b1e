//! Adoption: a registry learns the types of another world's, each under an id of its own.
//!
//! Ids are in users' hands, in masks and in caches, so the meaning of one in a world never changes.
//! Types that both registries know keep their ids here, even if they differ there, and the others
//! follow after all that are known.

use super::*;

/// Why a registry can't know the types of another one beside its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum AdoptError {
    Register(RegisterError),
    /// Rows have a column that tells where the component is switched off in one of the two worlds
    /// only.
    Toggle {
        component: &'static str,
    },
}

impl From<RegisterError> for AdoptError {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

impl Registry {
    /// The ids that the types of `other` have here, in the order of their ids there; those that are
    /// new are registered. `in_use` tells whether an archetype has a component.
    ///
    /// An error may come after some were registered: adopt into a copy.
    pub(crate) fn adopt(
        &mut self,
        other: &Self,
        in_use: impl Fn(ComponentId) -> bool,
        rows_pass: RowsPass<'_>,
    ) -> Result<Box<[ComponentId]>, AdoptError> {
        let mut ids = Vec::with_capacity(other.infos.len());
        for (number, info) in other.infos.iter().enumerate() {
            let id = match info.kind {
                Kind::Toggle => {
                    let toggle = Some(ComponentId::new(number));
                    let switched = other.infos.iter().position(|each| each.toggle == toggle);
                    let switched = switched.expect("a toggle belongs to a component");
                    self.adopt_toggle(ids[switched], &in_use)?
                }
                kind => self.register_shape(&info.shape, kind, rows_pass)?,
            };
            if info.toggle.is_none() && self.info(id).toggle.is_some() {
                return Err(AdoptError::Toggle { component: info.name() });
            }
            if ids.contains(&id) {
                return Err(RegisterError::Names { component: info.name() }.into());
            }
            ids.push(id);
        }
        Ok(ids.into_boxed_slice())
    }

    /// The toggle of the component `id`, which gets one if it has none.
    fn adopt_toggle(
        &mut self,
        id: ComponentId,
        in_use: impl Fn(ComponentId) -> bool,
    ) -> Result<ComponentId, AdoptError> {
        match self.info(id).toggle {
            Some(toggle) => Ok(toggle),
            None if in_use(id) => Err(AdoptError::Toggle { component: self.info(id).name() }),
            None => Ok(self.add_toggle(id)?),
        }
    }
}
