//! [`Charge`]: the reader that a snapshot is charged to.

use std::sync::Arc;

/// Stands for one reader's holding of one snapshot. The views that the reader was given carry clones
/// of it, as do the clones of those views and branches of them, so the keeper of one can tell
/// whether any are left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charge(Arc<()>);

impl Charge {
    /// Whether a view or a branch carries it.
    pub(crate) fn is_carried(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}
