//! Restore: the world takes the chunks of one of its captures back.
//!
//! Tables, the entity index, event logs and resources compare their chunks with the captured ones
//! by address. Those that are still the same stay; the others come off the dead lists. So no row
//! is copied, nothing is allocated, but for texts that were dropped since, and nothing can fail.

use crate::storage::frozen::Frozen;
use crate::storage::history::restore::SnapshotOf;

use super::core::World;
use super::role::Role;
use super::state::HolderMut;

/// The outcome of a restore.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Chunks that the world has now.
    pub chunks: u64,
    /// Chunks that had changed since the capture and were taken back. None was copied.
    pub chunks_restored: u64,
}

impl World {
    /// Goes back to `frozen`, a complete capture of this world that is active.
    pub(crate) fn restore_frozen(&mut self, frozen: &Frozen, of: SnapshotOf) -> RestoreReport {
        self.memory.reclaim();
        self.return_to_order(frozen.catalog());
        if of == SnapshotOf::ThisWorld {
            self.memory.history.bases.take_back(frozen.bases());
        }
        let mut revival = self.memory.revival(frozen.head.epoch, of);
        let mut restored = 0;
        let lineage = self.lineage.next();
        for (number, holder) in self.state.holders_mut().enumerate() {
            restored += match holder {
                HolderMut::Table(table) => table.restore(frozen, number, &mut revival),
                HolderMut::Index(index) => index.restore(frozen, lineage, &mut revival),
                HolderMut::Log(log) => {
                    let captured = frozen.log_entries(log.component());
                    log.restore(captured.unwrap_or_default(), &mut revival)
                }
                HolderMut::Resource(resource) => {
                    let captured = frozen.resource_entries(resource.component());
                    resource.restore(captured.unwrap_or_default(), &mut revival)
                }
                HolderMut::Blocks(blocks) => {
                    let (list, class) = (blocks.list(), blocks.class());
                    blocks.restore(frozen.block_entries(list, class), &mut revival)
                }
            };
        }
        drop(revival);
        self.lineage.begin_next();
        self.tick = frozen.head.tick;
        self.texts.absorb(&frozen.texts);
        self.role = Role::Original;
        self.progress.detach_next = 0;
        RestoreReport { chunks: frozen.shape().chunks as u64, chunks_restored: restored }
    }
}
