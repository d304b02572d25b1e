//! Which types and archetypes a world knows: registered here, or taken over with a bundle.

use std::any::TypeId;
use std::sync::Arc;

use crate::storage::archetype::ArchetypeId;
use crate::storage::component::{Check, Component, Kind, Registry};
use crate::storage::table::Table;
use crate::storage::{ComponentId, ComponentMask, RegisterError};

use super::bundle::{Bundle, BundleInfo, Flat};
use super::core::World;
use super::error::SpawnError;

/// # Types and archetypes
impl World {
    /// Registers `T` as a component, or finds it registered.
    ///
    /// # Errors
    ///
    /// When the world knows [`COMPONENTS_MAX`](crate::component::COMPONENTS_MAX) types already, or when `T`
    /// is too large or too strictly aligned for a chunk.
    pub fn register<T: Component>(&mut self) -> Result<ComponentId, RegisterError> {
        if let Some(id) = self.catalog.registry.id_of::<T>(Kind::Component) {
            return Ok(id);
        }
        let tables = &self.state.tables;
        let registry = &mut Arc::make_mut(&mut self.catalog).registry;
        registry.register::<T>(Kind::Component, &|id, check| rows_pass(tables, id, check))
    }

    /// The ids of the components of `B`, which are registered if they are new, and of the toggles
    /// of those that can be switched off. Here, and only here, a bundle may also hold
    /// [`Entity`](crate::Entity): it stands for the entity handles.
    ///
    /// # Errors
    ///
    /// As [`World::register`].
    ///
    /// ```
    /// # use convoy_engine::{Entity, World};
    /// let mut world = World::new();
    /// assert_eq!(world.mask_of::<(Entity, f32, u8)>().unwrap().len(), 3);
    /// ```
    pub fn mask_of<B: Bundle>(&mut self) -> Result<ComponentMask, RegisterError> {
        let (mask, registry) = self.look_at_types::<B, _, _>(|registry| {
            let mut mask = ComponentMask::NONE;
            B::find(registry, &mut |id| mask.extend(id));
            Ok::<_, RegisterError>(registry.with_toggles(&mask))
        })?;
        self.take_registry(registry);
        Ok(mask)
    }
}

impl World {
    /// Looks at a registry that knows the components of `B`: that of the world, or where some are
    /// new to that, a copy, which is returned as well. So an operation that is refused registers no
    /// type.
    pub(crate) fn look_at_types<B: Bundle, R, E: From<RegisterError>>(
        &self,
        look: impl FnOnce(&Registry) -> Result<R, E>,
    ) -> Result<(R, Option<Registry>), E> {
        let mut is_known = true;
        B::find(&self.catalog.registry, &mut |id| is_known &= id.is_some());
        if is_known {
            return Ok((look(&self.catalog.registry)?, None));
        }
        let mut registry = self.catalog.registry.clone();
        B::register(&mut registry, &|id, check| rows_pass(&self.state.tables, id, check))?;
        Ok((look(&registry)?, Some(registry)))
    }

    /// Takes a registry over that knows more than the world's.
    fn take_registry(&mut self, registry: Option<Registry>) {
        if let Some(registry) = registry {
            Arc::make_mut(&mut self.catalog).registry = registry;
            self.state.add_heaps(&self.catalog);
        }
    }

    /// The number of the bundle type `B`, whose components are registered if they are new.
    pub(crate) fn bundle<B: Bundle>(&mut self) -> Result<usize, SpawnError> {
        if let Some(number) = self.plans.bundles.find(TypeId::of::<B>()) {
            return Ok(number);
        }
        let (info, registry) = self.look_at_types::<B, _, _>(BundleInfo::new::<B>)?;
        self.take_registry(registry);
        Ok(self.plans.bundles.add(TypeId::of::<B>(), info))
    }

    /// The components of `B` at one end of an edge; `links` are no bundle that a user may name.
    pub(crate) fn edge_end<B: Bundle>(&mut self, links: bool) -> Result<BundleInfo, SpawnError> {
        if links {
            let (info, registry) = self.look_at_types::<B, _, _>(BundleInfo::of_links::<B>)?;
            self.take_registry(registry);
            return Ok(info);
        }
        let number = self.bundle::<B>()?;
        Ok(*self.plans.bundles.get(number))
    }

    /// The archetype of these components, created if it is new.
    pub(crate) fn archetype_of(&mut self, components: &ComponentMask) -> ArchetypeId {
        if let Some(archetype) = self.catalog.find(components) {
            return archetype;
        }
        let catalog = Arc::make_mut(&mut self.catalog);
        debug_assert_eq!(
            *components,
            catalog.registry.with_toggles(components),
            "toggles come along"
        );
        let archetype = catalog.add_archetype(*components);
        self.state.add_tables(&self.catalog);
        archetype
    }
}

/// Whether all rows of a component that was only described are values by `check`.
pub(crate) fn rows_pass(tables: &[Table], id: ComponentId, check: Check) -> bool {
    check.is_none()
        || tables.iter().all(|table| {
            // A replica may have rows without the columns that it was not synced with.
            let rows = table.rows();
            let column = table.column(id).filter(|column| column.capacity() >= rows);
            column.is_none_or(|column| (0..rows).all(|row| check.passes(column.bytes(row))))
        })
}
