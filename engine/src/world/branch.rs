//! Branch: a second world that begins with the chunks of a snapshot.
//!
//! The branch has a base, which keeps the chunks of the snapshot mapped and unchanged, and so have
//! the snapshots of the branch that hold some of them. To the branch they are *foreign*: it never
//! writes them in place, not even past the captured rows, and never gives them to its own arena; a
//! write copies the chunk into memory of the branch. Where the last of them is gone, the base is let
//! go of at the next tick, capture or other reclaim.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use convoy_pool::{ArenaConfig, MemoryError};

use crate::storage::charge::Charge;
use crate::storage::column::Column;
use crate::storage::epoch::Epoch;
use crate::storage::frozen::Frozen;
use crate::storage::history::Memory;
use crate::storage::history::restore::SnapshotOf;

use super::config::WorldConfig;
use super::core::World;
use super::parts::Progress;

/// The chunks that [`World::detach`] copied, and those that are left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct DetachReport {
    /// Chunks that were copied.
    pub chunks: usize,
    /// Bytes of rows copied with them.
    pub bytes: usize,
    /// Chunks that the world still shares with others.
    pub chunks_left: usize,
    /// Whether none is left. Otherwise the next call goes on from here.
    pub complete: bool,
}

/// One call of [`World::detach`].
struct Detaching {
    began: Instant,
    budget: Duration,
    /// The birth of the copies.
    born: Epoch,
    report: DetachReport,
}

/// # Branches
impl World {
    /// A world with everything that a complete capture has, and an empty arena.
    pub(crate) fn branch_frozen(
        base: &Frozen,
        charge: Option<&Charge>,
        memory: ArenaConfig,
    ) -> Self {
        let shape = base.catalog().registry.shape();
        let mut world = Self::with_config(WorldConfig {
            memory,
            chunk_bytes_max: shape.bytes_max,
            chunk_rows_max: shape.rows_max,
            event_retention: base.head.event_retention,
            text_bytes_max: base.texts.bytes_max(),
            schema: None,
        });
        world.take_catalog(base.shared_catalog());
        world.memory.history.bases.begin_branch(base.hold(charge), base.bases());
        world.restore_frozen(base, SnapshotOf::AnotherWorld);
        world.memory.history.bases.end_branch();
        world
    }

    /// Copies the chunks that a branch still shares with the world it comes from, so that nothing of
    /// that is held any more: neither its memory nor the chunks that its snapshot retains. In a world
    /// that is no branch, or has written every chunk, there is nothing to do.
    ///
    /// Copies one chunk at the least, and stops when the budget is spent; the next call goes on from
    /// there. Nothing that can be read changes, and nothing counts as written. Snapshots of the
    /// branch that hold shared chunks keep them until they end.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # use std::time::Duration;
    /// # let mut world = World::new();
    /// # let ship = world.spawn((7_u32,));
    /// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    /// let mut branch = World::branch(&view).unwrap();
    /// drop((world, view)); // whose memory the branch still holds
    /// let report = branch.detach(Duration::MAX).unwrap();
    /// assert!(report.complete && report.chunks > 0);
    /// assert_eq!(*branch.get::<u32>(ship).unwrap(), 7);
    /// ```
    ///
    /// # Errors
    ///
    /// When memory for a copy runs out. Copies made before stay, and nothing is lost.
    pub fn detach(&mut self, budget: Duration) -> Result<DetachReport, MemoryError> {
        let began = Instant::now();
        self.memory.reclaim();
        let mut detaching =
            Detaching { began, budget, born: Epoch::NEVER, report: DetachReport::default() };
        if self.memory.history.bases.live() > 0 {
            detaching.born = self.memory.history.close_epoch();
            self.detach_chunks(&mut detaching)?;
            // The replaced chunks have no reader any more.
            self.memory.reclaim();
        }
        let chunks_left = self.memory.history.bases.live();
        Ok(DetachReport { chunks_left, complete: chunks_left == 0, ..detaching.report })
    }

    fn detach_chunks(&mut self, detaching: &mut Detaching) -> Result<(), MemoryError> {
        let Self { state, memory, progress: Progress { detach_next, .. }, .. } = self;
        // A restore may have brought chunks back to holders that are done, and a sync moved them.
        let visited = state.visit_from(detach_next, |holder| {
            let (columns, rows) = holder.columns();
            columns.iter_mut().try_for_each(|column| match detaching.visit(column, rows, memory) {
                Ok(false) => ControlFlow::Continue(()),
                Ok(true) => ControlFlow::Break(Ok(())),
                Err(error) => ControlFlow::Break(Err(error)),
            })
        });
        visited.break_value().unwrap_or(Ok(()))
    }
}

impl Detaching {
    /// Copies the foreign chunks of a column of `rows` rows. Tells whether nothing is left, or no
    /// time.
    fn visit(
        &mut self,
        column: &mut Column,
        rows: usize,
        memory: &mut Memory,
    ) -> Result<bool, MemoryError> {
        let mut next = 0;
        while memory.history.bases.live() > 0 {
            let Some(chunk) = column.next_foreign(next) else { return Ok(false) };
            let live = rows.saturating_sub(chunk << column.rows_log2());
            self.report.bytes += column.detach(chunk, live, self.born, memory)?;
            self.report.chunks += 1;
            if self.began.elapsed() >= self.budget {
                return Ok(true);
            }
            next = chunk + 1;
        }
        Ok(true)
    }
}
