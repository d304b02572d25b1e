//! [`WorldCounts`]: the counts of a world and of a pool of snapshots.

use std::fmt;

use crate::counts::plural;

/// The counts of a world in the measured frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct WorldCounts {
    /// Chunks copied because a snapshot shared them.
    pub chunks_copied: u64,
    /// Bytes of these.
    pub bytes_copied: u64,
    /// Bytes that the world mapped, less those that it unmapped.
    pub mapped_bytes: i64,
    /// Snapshots for which the [pool](crate::SteadyState::pool) had to make a cell; `None` where none was given.
    pub pool_misses: Option<u64>,
    /// Bytes of chunks that only snapshots keep, after the last frame.
    pub retained_bytes: usize,
    /// The most bytes of such chunks at one time since the world was made.
    pub retained_bytes_peak: usize,
    /// Captures with readers after the last frame.
    pub active_captures: usize,
}

impl WorldCounts {
    /// All that a world, and a pool, have counted since they were made.
    #[cfg(feature = "engine")]
    pub(crate) fn take(
        world: &convoy_engine::World,
        pool: Option<&convoy_engine::SnapshotPool>,
    ) -> Self {
        let (memory, copies) = (world.memory(), world.copy_statistics());
        Self {
            chunks_copied: copies.chunks_copied,
            bytes_copied: copies.bytes_copied,
            mapped_bytes: memory.mapped_bytes as i64,
            pool_misses: pool.map(|pool| pool.statistics().missed),
            retained_bytes: memory.retained_bytes,
            retained_bytes_peak: memory.retained_bytes_peak,
            active_captures: memory.active_captures,
        }
    }

    /// The counts since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            chunks_copied: self.chunks_copied.saturating_sub(before.chunks_copied),
            bytes_copied: self.bytes_copied.saturating_sub(before.bytes_copied),
            mapped_bytes: self.mapped_bytes - before.mapped_bytes,
            pool_misses: self.pool_misses.zip(before.pool_misses).map(|(now, then)| now - then),
            ..self
        }
    }
}

impl fmt::Display for WorldCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} copied, {} bytes mapped, {} bytes retained by {}, at most {} at one time",
            plural(self.chunks_copied, "chunk"),
            self.mapped_bytes,
            self.retained_bytes,
            plural(self.active_captures as u64, "snapshot"),
            self.retained_bytes_peak
        )?;
        match self.pool_misses {
            Some(cells) => write!(formatter, ", {} made", plural(cells, "cell")),
            None => Ok(()),
        }
    }
}
