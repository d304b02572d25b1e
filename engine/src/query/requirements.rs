//! [`Requirements`]: the components a table must have to be visited, and the toggles that decide on
//! its rows.

use std::any::TypeId;

use crate::storage::component::{Component, Kind, Registry};
use crate::storage::links::engine_owns;
use crate::storage::mask::MaskWord;
use crate::storage::names::name_of;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::store::{Store, TableRef};

use super::error::{GetError, QueryError, TOGGLES_MAX, not_readable};

/// The requirements of a query's terms: filled while the terms are resolved, which don't
/// conflict (`claims.rs`).
#[derive(Clone, Copy)]
pub struct Requirements {
    /// The components that an archetype must have.
    required: ComponentMask,
    /// A required component that the world does not know, so that no archetype has it.
    unknown: Option<Name>,
    /// The toggles of the required components, which must be on.
    enabled: ToggleIds,
    /// The toggles of the optional components: a run of rows has each of them on or off throughout.
    uniform: ToggleIds,
}

/// The few toggles that a query looks at, each once.
#[derive(Clone, Copy)]
struct ToggleIds {
    ids: [ComponentId; TOGGLES_MAX],
    len: u8,
}

impl ToggleIds {
    const NONE: Self = Self { ids: [ComponentId::ENTITY; TOGGLES_MAX], len: 0 };

    fn ids(&self) -> &[ComponentId] {
        &self.ids[..usize::from(self.len)]
    }

    /// Adds `toggle`, unless it is there. Tells whether there was room.
    fn insert(&mut self, toggle: ComponentId) -> bool {
        let is_known = self.ids().contains(&toggle);
        let place = self.ids.get_mut(usize::from(self.len)).filter(|_| !is_known);
        let has_room = place.is_some();
        place.into_iter().for_each(|place| *place = toggle);
        self.len += u8::from(has_room);
        is_known || has_room
    }
}

/// The name of a component, worked out where it is wanted.
pub(super) type Name = fn() -> &'static str;

/// One use of a component by a term.
#[derive(Clone, Copy)]
pub struct Claim {
    pub(super) component: TypeId,
    pub(super) name: Name,
    pub(super) writes: bool,
}

impl Claim {
    #[inline(always)]
    pub(super) fn of<T: Component>(writes: bool) -> Self {
        Self { component: TypeId::of::<T>(), name: name_of::<T>, writes }
    }
}

impl Requirements {
    pub(super) const NONE: Self = Self {
        required: ComponentMask::NONE,
        unknown: None,
        enabled: ToggleIds::NONE,
        uniform: ToggleIds::NONE,
    };

    /// Requires a component, switched on if it has a toggle.
    pub(super) fn require(
        &mut self,
        registry: &Registry,
        id: ComponentId,
    ) -> Result<(), QueryError> {
        self.required.insert(id);
        let Some(toggle) = registry.info(id).toggle() else { return Ok(()) };
        let has_room = self.enabled.insert(toggle);
        self.check_toggles(has_room, registry, id)
    }

    /// Requires a component that the world does not know.
    pub(super) fn require_unknown<T: Component>(&mut self) {
        self.unknown = Some(name_of::<T>);
    }

    /// Notes an optional component, whose toggle ends runs if it has one.
    pub(super) fn allow(&mut self, registry: &Registry, id: ComponentId) -> Result<(), QueryError> {
        let Some(toggle) = registry.info(id).toggle() else { return Ok(()) };
        let has_room = self.uniform.insert(toggle);
        self.check_toggles(has_room, registry, id)
    }

    #[cold]
    fn check_toggles(
        &self,
        has_room: bool,
        registry: &Registry,
        id: ComponentId,
    ) -> Result<(), QueryError> {
        if !has_room || self.enabled.ids().len() + self.uniform.ids().len() > TOGGLES_MAX {
            return Err(QueryError::TooManyToggles { component: registry.info(id).name() });
        }
        Ok(())
    }

    /// Whether an archetype has the required components.
    #[inline]
    pub(super) fn are_met_by(&self, archetype: &ComponentMask) -> bool {
        self.unknown.is_none() && self.required.is_subset(archetype)
    }

    /// The required components, where they are known and lie in one word of a mask: all that it takes to tell whether
    /// an archetype has them is [`ComponentMask::has_word`].
    #[inline]
    pub(super) fn only_word(&self) -> Option<MaskWord> {
        if self.unknown.is_some() { None } else { self.required.only_word() }
    }

    /// The toggles that must be on.
    pub(super) fn enabled(&self) -> &[ComponentId] {
        self.enabled.ids()
    }

    /// The toggles that end runs.
    pub(super) fn uniform(&self) -> &[ComponentId] {
        self.uniform.ids()
    }

    /// Why a table that the query does not visit has no row for it.
    #[cold]
    pub(super) fn refusal(
        &self,
        registry: &Registry,
        table: &TableRef<'_>,
        entity: Entity,
    ) -> GetError {
        if let Some(name) = self.unknown {
            return GetError::Missing { entity, component: name() };
        }
        match self.required.difference(table.mask()).iter().next() {
            Some(id) => GetError::Missing { entity, component: registry.info(id).name() },
            None => GetError::Filtered { entity },
        }
    }
}

/// Finds `T`, and checks that a term may read it, or write it.
pub(super) fn find<T: Component>(
    store: &Store<'_>,
    writes: bool,
) -> Result<Option<ComponentId>, QueryError> {
    if writes && engine_owns(TypeId::of::<T>()) {
        return Err(QueryError::EngineOwned { component: name_of::<T>() });
    }
    match store.catalog().registry.id_of::<T>(Kind::Component) {
        Some(id) if store.readable().contains(id) => Ok(Some(id)),
        // No entity has a component that was never registered, but only a store that may be read in
        // full can say so: elsewhere it was not declared.
        None if writes || store.readable().is_all() => Ok(None),
        _ => Err(not_readable::<T>()),
    }
}
