//! Snapshots: the views that read them, the pool of their cells, and the differences of two.
//!
//! [`World::capture`](crate::World::capture) makes one and [`World::restore`](crate::World::restore) goes
//! back to one: see the guides to [snapshots](crate::guide::snapshots) and
//! [rollback](crate::guide::rollback).
//!
//! ```
//! use convoy_engine::snapshot::{Change, diff};
//! use convoy_engine::{ComponentMask, SnapshotPool, World};
//!
//! let mut world = World::new();
//! let entity = world.spawn((1_u32,));
//! let pool = SnapshotPool::for_world(&world);
//! let before = world.capture(ComponentMask::ALL, &pool);
//! *world.get_mut::<u32>(entity).unwrap() = 2;
//! let after = world.capture(ComponentMask::ALL, &pool);
//!
//! let changes = diff(&before, &after).unwrap().changed::<u32>().unwrap();
//! assert!(changes.eq([Change { entity, older: &1, newer: &2 }]));
//! ```

pub(crate) mod branch;
pub(crate) mod capture;
pub(crate) mod diff;
pub(crate) mod first_difference;
pub(crate) mod pool;
pub(crate) mod restore;
pub(crate) mod state_hash;
pub(crate) mod view;

#[cfg(test)]
mod tests;

pub use diff::{Change, Diff, DiffError, ResourceChange, diff};
pub use first_difference::{Difference, first_difference};
pub use pool::{SnapshotPool, SnapshotPoolConfig, VacantSnapshot};
pub use restore::RestoreError;
pub use view::View;

pub use crate::storage::{SnapshotId, SnapshotShape, SnapshotUse};
pub use crate::world::branch::DetachReport;
pub use crate::world::restore::RestoreReport;
