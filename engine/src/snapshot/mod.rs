//! Snapshots: capture, the views that read them, and the pool of their cells.

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
