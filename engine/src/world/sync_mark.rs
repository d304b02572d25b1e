//! Which state of which world a replica holds.

use crate::storage::ComponentMask;
use crate::storage::epoch::Epoch;
use crate::storage::world_id::WorldId;

/// Which state of which source a replica holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyncMark {
    pub(crate) source: WorldId,
    pub(crate) mask: ComponentMask,
    /// The source's epoch that the sync closed.
    pub(crate) source_epoch: Epoch,
    /// The replica's own epoch that the sync closed.
    pub(crate) own_epoch: Epoch,
}
