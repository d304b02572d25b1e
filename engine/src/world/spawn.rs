//! Spawning and despawning one entity, and room for more.

use std::any::TypeId;

use convoy_pool::MemoryError;

use crate::storage::Entity;
use crate::storage::archetype::ArchetypeId;
use crate::storage::epoch::Now;

use super::bundle::Bundle;
use super::core::World;
use super::error::{ComponentError, SpawnError, fail};
use super::index::{EntityIndex, Location};
use super::state::State;

/// # Spawning and despawning
impl World {
    /// Spawns an entity with the components of `bundle`.
    ///
    /// # Panics
    ///
    /// Where [`World::try_spawn`] returns an error.
    #[inline]
    #[track_caller]
    pub fn spawn<B: Bundle>(&mut self, bundle: B) -> Entity {
        match self.spawn_row(&bundle) {
            Ok(entity) => entity,
            Err(error) => fail("spawn", &error),
        }
    }

    /// Spawns an entity with the components of `bundle`. Amortised constant time, and one copy of
    /// the components.
    ///
    /// # Errors
    ///
    /// When a component can't be registered or stands in the bundle twice, when memory runs out,
    /// or when all entity slots are taken. The world is unchanged.
    #[inline]
    pub fn try_spawn<B: Bundle>(&mut self, bundle: B) -> Result<Entity, SpawnError> {
        self.spawn_row(&bundle)
    }

    /// Makes room for `rows` more entities with exactly the components of `B`, so that spawning
    /// them takes no memory from the system.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use convoy_engine::world::SpawnError;
    /// let mut world = World::new();
    /// world.reserve::<(u32,)>(1_000_000).unwrap();
    /// assert!(matches!(world.reserve::<(u32,)>(1 << 50), Err(SpawnError::Entities)));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`World::try_spawn`]. More entities than a world has slots for, or than memory holds, are
    /// refused before any memory is taken.
    pub fn reserve<B: Bundle>(&mut self, rows: usize) -> Result<(), SpawnError> {
        self.all_or_nothing(|world| {
            let (archetype, _) = world.target::<B>()?;
            let missing_bytes = world.state.index.missing_bytes(rows)?;
            let table = &world.state.tables[archetype.index()];
            let missing_bytes = missing_bytes.saturating_add(table.missing_bytes(rows));
            world.memory.check_room(missing_bytes)?;
            world.reserve_rows(archetype, rows)
        })
    }

    /// Makes room to *list* the chunks of `rows` entities with exactly the components of `B`:
    /// eight bytes and two epochs a chunk. Where entities move between archetypes, the chunks
    /// that one table gives back are the ones that the other takes, and only the lists need to be
    /// sized up front for a run without heap allocations.
    ///
    /// # Errors
    ///
    /// As [`World::try_spawn`].
    pub fn reserve_lists<B: Bundle>(&mut self, rows: usize) -> Result<(), SpawnError> {
        self.all_or_nothing(|world| {
            let (archetype, _) = world.target::<B>()?;
            world.state.index.missing_bytes(rows)?;
            world.state.tables[archetype.index()].reserve_lists(rows)?;
            Ok(())
        })
    }

    /// Despawns `entity` with all its components. Constant time, but for a parent, whose children
    /// become roots one by one; [`World::despawn_tree`] takes them along.
    ///
    /// # Errors
    ///
    /// When the handle is stale, or when memory runs out for copying a chunk that a snapshot
    /// shares. The world is unchanged.
    pub fn despawn(&mut self, entity: Entity) -> Result<(), ComponentError> {
        let at = self.locate(entity)?;
        self.check_whole()?;
        if self.state.tables[at.archetype.index()].is_linked() {
            return Ok(self.despawn_linked(entity)?);
        }
        loop {
            let Self { state: State { tables, index, .. }, memory, .. } = self;
            let (table, now) = (&mut tables[at.archetype.index()], memory.now());
            if let Some(removal) = table.removal(at.row as usize, now)
                && index.remove(entity, (removal.moved(), at), now)
            {
                removal.finish();
                table.release_empty(memory);
                return Ok(());
            }
            self.prepare_despawn_of(entity, at)?;
        }
    }
}

impl World {
    #[inline]
    fn spawn_row<B: Bundle>(&mut self, bundle: &B) -> Result<Entity, SpawnError> {
        self.check_whole()?;
        loop {
            let occupy = |index: &mut EntityIndex, at, now: Now<'_>| index.occupy_next(at, now);
            if let Some(entity) = self.append_row::<B>(bundle, occupy) {
                return Ok(entity);
            }
            self.prepare_spawn_of::<B>()?;
        }
    }

    /// Makes the next row of a bundle, which may be new, and the next slot of the index writable.
    #[cold]
    #[inline(never)]
    fn prepare_spawn_of<B: Bundle>(&mut self) -> Result<(), SpawnError> {
        match self.known_target::<B>() {
            Some((archetype, _)) => self.prepare_spawn(archetype),
            None => self.all_or_nothing(|world| {
                let (archetype, _) = world.find_target::<B>()?;
                world.prepare_spawn(archetype)
            }),
        }
    }

    /// Makes the next row of an archetype and the next slot of the index writable.
    #[cold]
    pub(crate) fn prepare_spawn(&mut self, archetype: ArchetypeId) -> Result<(), SpawnError> {
        self.attempt(|world| {
            world.state.tables[archetype.index()].prepare_append(&mut world.memory)?;
            world.state.index.prepare_next(&mut world.memory)
        })
    }

    /// The archetype of exactly the components of `B`, to which rows may be added, and the number
    /// of the bundle.
    #[inline]
    pub(crate) fn target<B: Bundle>(&mut self) -> Result<(ArchetypeId, usize), SpawnError> {
        self.check_whole()?;
        match self.known_target::<B>() {
            Some(target) => Ok(target),
            None => self.find_target::<B>(),
        }
    }

    /// The archetype of exactly the components of `B`, and the number of the bundle, if both are
    /// known.
    #[inline]
    pub(crate) fn known_target<B: Bundle>(&mut self) -> Option<(ArchetypeId, usize)> {
        let number = self.plans.bundles.find(TypeId::of::<B>())?;
        Some((self.plans.bundles.get(number).archetype?, number))
    }

    #[cold]
    pub(crate) fn find_target<B: Bundle>(&mut self) -> Result<(ArchetypeId, usize), SpawnError> {
        let number = self.bundle::<B>()?;
        let archetype = self.archetype_of(&{ self.plans.bundles.get(number).mask });
        let mask = *self.catalog.archetype(archetype).mask();
        self.plans.bundles.get_mut(number).set_archetype(archetype, &mask);
        Ok((archetype, number))
    }

    fn reserve_rows(&mut self, archetype: ArchetypeId, rows: usize) -> Result<(), SpawnError> {
        self.attempt(|world| {
            world.state.tables[archetype.index()].reserve(rows, &mut world.memory)?;
            world.state.index.reserve(rows, &mut world.memory)?;
            Ok(())
        })
    }

    /// Makes the rows and slots writable that a removal writes.
    #[cold]
    fn prepare_despawn_of(&mut self, entity: Entity, at: Location) -> Result<(), MemoryError> {
        self.attempt(|world| {
            let Self { state: State { tables, index, .. }, memory, .. } = world;
            let table = &mut tables[at.archetype.index()];
            index.prepare_free(entity, memory)?;
            index.prepare_move(table.entity(table.rows() - 1), memory)?;
            table.prepare_remove(at.row as usize, memory)
        })
    }
}
