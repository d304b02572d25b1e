//! Restore: a world goes back to a snapshot of itself, by taking chunk pointers back.

use std::fmt;

use crate::storage::ComponentId;
use crate::storage::component::Kind;
use crate::storage::frozen::Frozen;
use crate::storage::history::restore::SnapshotOf;
use crate::trace::span;
use crate::world::World;
use crate::world::restore::RestoreReport;

use super::view::View;

/// Why a world can't go back to a snapshot. The world is unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// The snapshot is of another world.
    OtherWorld,
    /// The snapshot lacks a component, event or resource that the world knew when it was captured,
    /// or [`Entity`](crate::Entity): the handles and the index.
    NotCaptured {
        /// The first type that is missing.
        component: &'static str,
    },
    /// The component was only described when the snapshot was captured, has a type since, and some of
    /// the captured bytes are no value of it.
    Values {
        /// The component.
        component: &'static str,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherWorld => formatter.write_str(
                "the snapshot is of another world: make a world of it by `World::branch`",
            ),
            Self::NotCaptured { component } => write!(
                formatter,
                "the snapshot was captured without {component}: capture with `ComponentMask::ALL` \
                 what is to be restored"
            ),
            Self::Values { component } => write!(
                formatter,
                "{component} was described by its bytes when the snapshot was captured, and some of \
                 them are no value of the type that it has now"
            ),
        }
    }
}

impl std::error::Error for RestoreError {}

/// # Going back to a snapshot
impl World {
    /// Goes back to the state of the world when `view` was captured: entities under their handles,
    /// in their rows, the handles that are given out next, components, the hierarchy, resources,
    /// events and the tick. The same operations then lead to the same world again.
    ///
    /// Copies no row and takes no memory: the chunks that changed since are taken back, the others
    /// stay. The cost is one comparison a chunk, and the work for the changed chunks. Unchanged
    /// chunks do not count as written, so replicas of this world copy the difference only.
    ///
    /// * All views stay as they are, the one restored to as well: it can be restored to again, and
    ///   so can later snapshots, though their timeline was undone.
    /// * Events that were sent since are gone, and their numbers are given again. A cursor that has
    ///   read some of them goes on with the events that are sent in their place and counts them:
    ///   [`EventCursor::taken_back`](crate::events::EventCursor::taken_back).
    /// * Types and archetypes that were added since stay, without rows, values or events. Local
    ///   resources stay as they are.
    /// * Handles that were reserved at the capture are reserved again, those reserved since are
    ///   stale.
    /// * Command buffers keep their commands, and their next [`World::play_back`] discards those
    ///   from before the restore, as they name entities of a timeline that was undone.
    /// * A world that is a replica is an ordinary world then, and copied whole by its next sync.
    ///
    /// ```
    /// use convoy_engine::{ComponentMask, SnapshotPool, World};
    ///
    /// let mut world = World::new();
    /// let ship = world.spawn((100_u32,));
    /// let pool = SnapshotPool::default();
    /// let before = world.capture(ComponentMask::ALL, &pool);
    /// let shot = world.spawn((1_u8,));
    /// *world.get_mut::<u32>(ship).unwrap() -= 7;
    /// world.advance_tick();
    ///
    /// let report = world.restore(&before).unwrap();
    /// assert_eq!((*world.get::<u32>(ship).unwrap(), world.tick()), (100, 0));
    /// assert!(!world.contains(shot));
    /// assert!(report.chunks_restored <= report.chunks);
    /// assert_eq!(world.spawn((2_u8,)), shot, "the same handles are given out again");
    /// ```
    ///
    /// # Errors
    ///
    /// When the snapshot is of another world, or was captured without something that the world knew
    /// then, or has bytes of a component that are no value of the type that it got since. The mask
    /// of the view does not matter. The world is unchanged.
    pub fn restore(&mut self, view: &View) -> Result<RestoreReport, RestoreError> {
        if !view.is_of(self) {
            return Err(RestoreError::OtherWorld);
        }
        span!("restore", tick = view.tick());
        let frozen = view.frozen();
        if let Some(component) = frozen.missing() {
            return Err(RestoreError::NotCaptured { component });
        }
        if let Some(component) = self.find_refused(frozen) {
            return Err(RestoreError::Values { component });
        }
        Ok(self.restore_frozen(frozen, SnapshotOf::ThisWorld))
    }
}

impl World {
    /// A component that got a type since the capture, with captured bytes that are no value of it.
    fn find_refused(&self, frozen: &Frozen) -> Option<&'static str> {
        let (then, now) = (&frozen.catalog().registry, &self.catalog.registry);
        if then.stamp() == now.stamp() {
            return None;
        }
        let is_refused = |id: &ComponentId| {
            let check = now.info(*id).check();
            let became = then.info(*id).is_described() && !check.is_none();
            became
                && (0..frozen.table_count())
                    .filter_map(|table| frozen.column(table, *id))
                    .any(|rows| (0..rows.len()).any(|row| !check.passes(rows.bytes(row..row + 1))))
        };
        then.ids_of(Kind::Component).find(is_refused).map(|id| now.info(id).name())
    }
}
