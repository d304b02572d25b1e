//! [`Role`]: whether a world is an original or a replica, and which columns of it may be read.

use crate::storage::epoch::Epoch;
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentId, ComponentMask};

/// Whether a world is an original, which changes by its own operations, or a replica, which holds the
/// columns that the last sync copied.
#[expect(clippy::large_enum_variant, reason = "a world has one, and reading asks it")]
pub(crate) enum Role {
    Original,
    Replica {
        /// The components, event types and resources that were copied: all, or some of them.
        readable: ComponentMask,
        /// The state that the replica holds, where the next sync from the same source can build on it.
        mark: Option<SyncMark>,
    },
}

/// The state of a source that a replica holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyncMark {
    pub(crate) source: WorldId,
    pub(crate) mask: ComponentMask,
    /// The source's epoch that the sync closed.
    pub(crate) source_epoch: Epoch,
    /// The replica's own epoch that the sync closed.
    pub(crate) own_epoch: Epoch,
}

static ALL: ComponentMask = ComponentMask::ALL;

impl Role {
    /// The components, event types and resources that may be read.
    #[inline]
    pub(crate) fn readable(&self) -> &ComponentMask {
        match self {
            Self::Original => &ALL,
            Self::Replica { readable, .. } => readable,
        }
    }

    #[inline]
    pub(crate) fn may_read(&self, id: ComponentId) -> bool {
        match self {
            Self::Original => true,
            Self::Replica { readable, .. } => readable.contains(id),
        }
    }

    /// Whether rows lack columns, so that none can be added, moved or removed.
    #[inline]
    pub(crate) fn is_partial(&self) -> bool {
        match self {
            Self::Original => false,
            Self::Replica { readable, .. } => !readable.is_all(),
        }
    }

    /// The state of `source` that is held, if a sync of `mask` can build on it.
    pub(crate) fn mark(&self, source: WorldId, mask: &ComponentMask) -> Option<SyncMark> {
        let Self::Replica { mark, .. } = self else { return None };
        mark.filter(|mark| mark.source == source && mark.mask == *mask)
    }

    /// Makes the next sync copy everything, as columns are those of other types now.
    pub(crate) fn forget_mark(&mut self) {
        if let Self::Replica { mark, .. } = self {
            *mark = None;
        }
    }
}
