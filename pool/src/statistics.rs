//! Reports of arenas, scratches and cell pools: plain values, taken at one
//! moment, that any number of observers may read without disturbing anything.

/// Where the bytes of an [`Arena`](crate::Arena) are. `allocated_bytes + free_bytes` is always
/// `mapped_bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaStatistics {
    /// Address space that chunks can come from. Pages become resident when first touched.
    pub mapped_bytes: usize,
    /// Bytes of the chunks that are handed out now.
    pub allocated_bytes: usize,
    /// Bytes on free lists and bytes not yet cut into chunks.
    pub free_bytes: usize,
    /// How many mappings there are.
    pub slabs: usize,
    /// The limit of mapped bytes, if there is one.
    pub limit_bytes: Option<usize>,
}

/// How full a [`Scratch`](crate::Scratch) is and was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScratchStatistics {
    /// Bytes stored since the last reset.
    pub used_bytes: usize,
    /// Bytes reserved on the heap.
    pub capacity_bytes: usize,
    /// The most bytes that were ever stored between two resets.
    pub peak_bytes: usize,
    /// How often a reset replaced the memory by one larger chunk.
    pub regrown: u64,
}

/// The history of the cells of a [`CellPool`](crate::CellPool).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CellPoolStatistics {
    /// Cells that were made, also those made by a warm-up.
    pub created: u64,
    /// Takes that were served by an idle cell.
    pub reused: u64,
    /// Takes that had to make a cell.
    pub missed: u64,
    /// Cells that are idle now.
    pub pooled: usize,
    /// Cells that left the pool for good: over capacity, trimmed, or failed to recycle.
    pub discarded: u64,
    /// Memory that the idle cells keep.
    pub idle_retained_bytes: usize,
}

impl CellPoolStatistics {
    /// The share of takes that were served by an idle cell, from 0 to 1; 0 before the first take.
    #[must_use]
    pub fn reuse_rate(&self) -> f64 {
        let takes = self.reused + self.missed;
        if takes == 0 { 0.0 } else { self.reused as f64 / takes as f64 }
    }
}
