//! Branch: a second world from a snapshot, for looking ahead.

use convoy_pool::ArenaConfig;

use crate::world::World;

use super::restore::RestoreError;
use super::view::View;

/// # Branching off
impl World {
    /// A second world that begins in the state that `view` shows: same entities under the same
    /// handles, rows, resources, events and tick. It can do all that a world can, on any thread,
    /// and the first one never sees its changes.
    ///
    /// Copies no component data: the branch shares the chunks of the snapshot, and copies one when
    /// it first writes to it, into memory of its own. So its own memory holds only chunks that it
    /// wrote. For as long as the branch, or a snapshot of it, has a chunk of the snapshot, it
    /// counts as a reader of that; all three may be dropped in any order. A branch that has written
    /// every chunk is on its own, so a world may be replaced by its branch in every frame.
    /// [`World::detach`] copies the unwritten chunks when there is time for it.
    ///
    /// Types, archetypes and the retention of events are those of the first world. Handles that
    /// were reserved there are reserved in the branch; command buffers and local resources stay
    /// behind.
    ///
    /// ```
    /// use convoy_engine::{ComponentMask, SnapshotPool, World};
    ///
    /// let mut world = World::new();
    /// let ships: Vec<_> = (0..1_000_u32).map(|speed| world.spawn((speed, 0.0_f64))).collect();
    /// let now = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    ///
    /// let mut ahead = World::branch(&now).unwrap();
    /// for (speed, place) in ahead.query_mut::<(&u32, &mut f64)>() {
    ///     *place += f64::from(*speed);
    /// }
    /// assert_eq!(*ahead.get::<f64>(ships[7]).unwrap(), 7.0);
    /// assert_eq!(*world.get::<f64>(ships[7]).unwrap(), 0.0);
    /// ```
    ///
    /// # Errors
    ///
    /// [`RestoreError::NotCaptured`] when the snapshot lacks something that the world knew then.
    pub fn branch(view: &View) -> Result<Self, RestoreError> {
        Self::branch_with(view, ArenaConfig::default())
    }

    /// A branch, as by [`World::branch`], whose own memory is limited and mapped as `memory` says.
    ///
    /// ```
    /// # use convoy_engine::memory::ArenaConfig;
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let mut world = World::new();
    /// # let entity = world.spawn((1_u32,));
    /// # let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    /// let memory = ArenaConfig::default().limit_bytes(0);
    /// let mut ahead = World::branch_with(&view, memory).unwrap();
    /// assert_eq!(*ahead.get::<u32>(entity).unwrap(), 1);
    /// assert!(ahead.get_mut::<u32>(entity).is_err(), "no memory to write");
    /// ```
    ///
    /// # Errors
    ///
    /// As [`World::branch`].
    pub fn branch_with(view: &View, memory: ArenaConfig) -> Result<Self, RestoreError> {
        match view.frozen().missing() {
            Some(component) => Err(RestoreError::NotCaptured { component }),
            None => Ok(Self::branch_frozen(view.frozen(), view.charge(), memory)),
        }
    }
}
