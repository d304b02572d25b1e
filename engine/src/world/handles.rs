//! Handles before their entities: reserved on any thread through `&World`, filled later.
//!
//! A reserved handle is not alive. It stays reserved, independent of other entities, until
//! [`World::spawn_at`] or a command gives it an entity, or [`World::unreserve_entity`] gives it
//! back. Nothing turns it into an empty entity behind its owner's back: no unrelated operation
//! gains a row, or an error, from it.
//!
//! Handles come from the free list first and from fresh indices then. On one thread the order is
//! that of the calls, so that the same operations give the same handles. Threads that reserve at
//! the same time race for them; the host gives its modules command buffers, which do not. The
//! module [`index`](super::index) tells how reserving works without a lock.

use crate::storage::Entity;
use crate::storage::archetype::ArchetypeId;
use crate::storage::epoch::Now;

use super::bundle::{Bundle, Values};
use super::commands::Commands;
use super::core::World;
use super::error::SpawnError;
use super::error::fail;
use super::index::vacancy::Vacancy;
use super::index::{EntityIndex, TakenHandles};

/// Handles that [`World::reserve_entities`] reserved. Those that are not taken out before it is
/// dropped go back to the world: free slots at its next tick, and indices that were never used when
/// it claims its next ones, at the next tick at the latest. These are kept as a range, however many
/// they are.
#[must_use = "handles that are not taken out are given back"]
pub struct ReservedEntities<'w> {
    index: &'w EntityIndex,
    lineage: u64,
    taken: TakenHandles,
}

impl Iterator for ReservedEntities<'_> {
    type Item = Entity;

    fn next(&mut self) -> Option<Entity> {
        self.index.next_taken(&mut self.taken)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.taken.len(), Some(self.taken.len()))
    }
}

impl ExactSizeIterator for ReservedEntities<'_> {}

impl Drop for ReservedEntities<'_> {
    fn drop(&mut self) {
        let fresh = self.taken.take_fresh();
        let handles = self.index.returned();
        if !fresh.is_empty() {
            handles.give_back_fresh(self.lineage, fresh);
        }
        if self.len() > 0 {
            handles.give_back(self.lineage, self);
        }
    }
}

impl std::fmt::Debug for ReservedEntities<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ReservedEntities").field("len", &self.len()).finish()
    }
}

/// # Handles before their entities
impl World {
    /// Reserves a handle for an entity to come. Any thread may, at the same time as others: one
    /// atomic exchange, and no lock.
    ///
    /// The handle is not alive until [`World::spawn_at`] gives it an entity. Which thread gets which
    /// handle depends on their timing: where runs must be reproduced, reserve on one thread, or let
    /// threads record [`Commands`], whose handles never depend on timing.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// let handles = std::thread::scope(|scope| {
    ///     let threads = [(); 2].map(|()| scope.spawn(|| world.reserve_entity()));
    ///     threads.map(|thread| thread.join().unwrap())
    /// });
    /// assert!(handles[0] != handles[1] && !world.contains(handles[0]));
    /// world.spawn_at(handles[0], (1_u32,)).unwrap();
    /// assert_eq!(*world.get::<u32>(handles[0]).unwrap(), 1);
    /// world.unreserve_entity(handles[1]).unwrap();
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`World::try_reserve_entity`] returns an error.
    #[track_caller]
    pub fn reserve_entity(&self) -> Entity {
        match self.try_reserve_entity() {
            Ok(entity) => entity,
            Err(error) => fail("reserve an entity", &error),
        }
    }

    /// Reserves a handle for an entity to come, as [`World::reserve_entity`].
    ///
    /// # Errors
    ///
    /// When all 4,007,362,558 entity slots are taken.
    pub fn try_reserve_entity(&self) -> Result<Entity, SpawnError> {
        self.state.index.take_handle()
    }

    /// Reserves `count` handles at once: two atomic exchanges, and a walk along the free list.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// let handles: Vec<_> = world.reserve_entities(3).unwrap().collect();
    /// for handle in handles {
    ///     world.spawn_at(handle, (0.5_f32,)).unwrap();
    /// }
    /// assert_eq!(world.entity_count(), 3);
    /// ```
    ///
    /// # Errors
    ///
    /// When fewer than `count` entity slots are left. Nothing is reserved then.
    pub fn reserve_entities(&self, count: usize) -> Result<ReservedEntities<'_>, SpawnError> {
        let taken = self.state.index.take_handles(count);
        let reserved =
            ReservedEntities { index: &self.state.index, lineage: self.lineage.current(), taken };
        if reserved.len() < count { Err(SpawnError::Entities) } else { Ok(reserved) }
    }

    /// Spawns an entity with the components of `bundle` under a handle of the caller's choice: one that
    /// was reserved for it, or any other whose slot is vacant, as a file, a server or an earlier run
    /// brings it.
    ///
    /// The slot gets the handle's generation, and goes on from there when the entity is despawned. So
    /// handles of the slot are stale whose generation is another one now; those of a later generation
    /// than this, which had been given out before, come alive again in their turn.
    ///
    /// A slot that was free comes off the free list, and the others are given out in the order that
    /// they had. Where the index was never given out, those before it are given out next, the lowest
    /// first. Constant time for fresh indices in ascending order; a look through the handles that
    /// command buffers hold for reserved ones; for a free slot the list is walked up to it, and
    /// indices far away cost a list entry for each chunk of slots before them.
    ///
    /// ```
    /// # use convoy_engine::{Entity, World};
    /// let mut world = World::new();
    /// let saved = Entity::from_bits(7 << 32 | 3);
    /// world.spawn_at(saved, (1_u32,)).unwrap();
    /// assert_eq!((saved.index(), saved.generation()), (3, 7));
    /// assert!(world.spawn_at(saved, (2_u32,)).is_err(), "it is alive");
    /// world.despawn(saved).unwrap();
    /// world.spawn_at(saved, (2_u32,)).unwrap();
    /// assert_eq!(world.spawn((3_u32,)).index(), 0);
    /// ```
    ///
    /// # Errors
    ///
    /// [`SpawnError::Taken`] when the slot holds an entity, is reserved for another handle, when a
    /// command buffer holds the handle or alone gives out its index, or when it is one that no entity
    /// ever has, such as [`Entity::NONE`]; otherwise as [`World::try_spawn`]. The world is
    /// unchanged, and the handle stays reserved if it was.
    pub fn spawn_at<B: Bundle>(&mut self, entity: Entity, bundle: B) -> Result<(), SpawnError> {
        self.spawn_under::<B>(entity, &bundle)?.ok_or(SpawnError::Taken { entity })
    }

    /// Gives a reserved handle back, so that its slot is used again. The handle becomes stale.
    ///
    /// # Errors
    ///
    /// [`SpawnError::NotReserved`] when the handle was not reserved, its entity was spawned before, or a sync
    /// has replaced the entities since, and when memory runs out for copying the slot that a snapshot shares.
    /// The world is unchanged.
    pub fn unreserve_entity(&mut self, entity: Entity) -> Result<(), SpawnError> {
        self.check_whole()?;
        let prepared = self.state.index.prepare_reserved(entity, &mut self.memory)?;
        prepared.ok_or(SpawnError::NotReserved { entity })?;
        self.state.index.free(entity, self.memory.now());
        Ok(())
    }
}

impl World {
    /// Spawns an entity under a handle that was reserved for it. `None` when the handle is not a
    /// reserved one of this world.
    pub(crate) fn spawn_reserved<B: Bundle>(
        &mut self,
        entity: Entity,
        values: &impl Values<B>,
    ) -> Result<Option<()>, SpawnError> {
        self.check_whole()?;
        if !self.state.index.check_reserved(entity, &mut self.memory)? {
            return Ok(None);
        }
        self.spawn_given(entity, values).map(Some)
    }

    /// Spawns an entity under a handle that was found reserved for it.
    fn spawn_given<B: Bundle>(
        &mut self,
        entity: Entity,
        values: &impl Values<B>,
    ) -> Result<(), SpawnError> {
        loop {
            let occupy = |index: &mut EntityIndex, at, now: Now<'_>| {
                index.owns_known(entity, now).then(|| index.occupy(entity, at, now))?;
                Some(entity)
            };
            if self.append_row::<B>(values, occupy).is_some() {
                return Ok(());
            }
            match self.known_target::<B>() {
                Some((archetype, _)) => self.prepare_spawn_at(entity, archetype)?,
                None => self.all_or_nothing(|world| {
                    let (archetype, _) = world.find_target::<B>()?;
                    world.prepare_spawn_at(entity, archetype)
                })?,
            }
        }
    }

    /// Spawns an entity under a handle of the caller's choice. `None` when its slot is taken.
    pub(crate) fn spawn_under<B: Bundle>(
        &mut self,
        entity: Entity,
        values: &impl Values<B>,
    ) -> Result<Option<()>, SpawnError> {
        self.check_whole()?;
        let Some(vacancy) = self.state.index.find_vacancy(entity, &mut self.memory)? else {
            return Ok(None);
        };
        if vacancy == Vacancy::Reserved {
            return self.spawn_given(entity, values).map(Some);
        }
        self.all_or_nothing(|world| {
            let (archetype, _) = world.target::<B>()?;
            world.attempt(|world| {
                world.state.tables[archetype.index()].prepare_append(&mut world.memory)?;
                world.state.index.prepare_vacancy(entity, vacancy, &mut world.memory)
            })?;
            Ok::<_, SpawnError>(())
        })?;
        let occupy = |index: &mut EntityIndex, at, now: Now<'_>| {
            index.take_vacancy(entity, vacancy, now);
            index.occupy(entity, at, now);
            Some(entity)
        };
        self.append_row::<B>(values, occupy).expect("the row and the slot were prepared");
        Ok(Some(()))
    }

    /// Makes the next row of an archetype and the slot of a reserved handle writable.
    #[cold]
    fn prepare_spawn_at(
        &mut self,
        entity: Entity,
        archetype: ArchetypeId,
    ) -> Result<(), SpawnError> {
        self.attempt(|world| {
            world.state.tables[archetype.index()].prepare_append(&mut world.memory)?;
            world.state.index.prepare_given(entity, &mut world.memory)?;
            Ok(())
        })
    }
}

impl Commands {
    /// Records the spawning of an entity under a handle of [`World::reserve_entity`]. At playback
    /// the command is skipped and counted as dead when the handle is not reserved any more.
    pub fn spawn_at<B: Bundle>(&mut self, entity: Entity, bundle: B) {
        self.record_spawn_at(entity, bundle);
    }
}
