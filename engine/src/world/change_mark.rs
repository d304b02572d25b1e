//! [`ChangeMark`]: a moment of a world, for finding the changes after it.

use crate::storage::epoch::Epoch;
use crate::storage::world_id::WorldId;

use super::core::World;

/// A moment of a world. Queries with [`Changed`](crate::query::Changed) or
/// [`Added`](crate::query::Added) find the rows written after it. It costs no memory, never
/// expires, and is not used up: any number of readers keep marks of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangeMark {
    pub(crate) world: WorldId,
    pub(crate) epoch: Epoch,
}

/// # Change detection
impl World {
    /// Marks this moment: later writes count as changes since the mark.
    ///
    /// Constant time. As after a capture, the first write to a chunk after a mark notes the epoch,
    /// which costs a few nanoseconds and copies nothing.
    ///
    /// A mark is good for this world and for snapshots of it, whenever they are captured. A
    /// replica or a branch is another world, with marks of its own.
    ///
    /// ```
    /// # use convoy_engine::query::{Changed, QueryError};
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// let mut world = World::new();
    /// let ship = world.spawn((1_u32,));
    /// let mark = world.change_mark();
    /// let pool = SnapshotPool::default();
    /// let before = world.capture(ComponentMask::ALL, &pool);
    /// *world.get_mut::<u32>(ship).unwrap() = 2;
    /// let after = world.capture(ComponentMask::ALL, &pool);
    /// let changed = |view: &convoy_engine::View| {
    ///     let query = view.query::<&u32>().filter::<Changed<u32>>();
    ///     query.since(mark).count()
    /// };
    /// assert_eq!((changed(&before), changed(&after)), (0, 1));
    /// let other = World::new();
    /// assert_eq!(other.query::<&u32>().try_since(mark).err(), Some(QueryError::ForeignMark));
    /// ```
    pub fn change_mark(&self) -> ChangeMark {
        ChangeMark { world: self.id, epoch: self.memory.history.close_epoch() }
    }
}
