//! [`Overlay`]: a column as a delta will make it, before anything is written.

use std::cell::Cell;

use bytemuck::AnyBitPattern;

use crate::storage::component::Component;
use crate::storage::rows::Rows;
use crate::world::delta_notes::DeltaRun;

/// The rows of a column after a delta: those that it brings, and below them those that are there.
pub(super) struct Overlay<'a> {
    bytes: &'a [u8],
    runs: &'a [DeltaRun],
    rows: Rows<'a>,
    len: usize,
    /// The run that was asked for last.
    last: Cell<usize>,
}

impl<'a> Overlay<'a> {
    /// `len` rows: `rows` under the `runs` of `bytes`.
    pub(super) fn new(bytes: &'a [u8], runs: &'a [DeltaRun], rows: Rows<'a>, len: usize) -> Self {
        Self { bytes, runs, rows, len, last: Cell::new(0) }
    }

    /// How many rows there will be.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The rows that are there now.
    pub(super) fn before(&self) -> Rows<'a> {
        self.rows
    }

    /// The run that brings a row, if one does.
    #[inline]
    pub(super) fn run_of(&self, row: usize) -> Option<&'a DeltaRun> {
        let row = row as u32;
        let holds = |run: &DeltaRun| run.rows.0 <= row && row < run.rows.1;
        let last = self.last.get();
        if let Some(run) = self.runs.get(last).filter(|run| holds(run)) {
            return Some(run);
        }
        let found = self.runs.partition_point(|run| run.rows.1 <= row);
        self.last.set(found);
        self.runs.get(found).filter(|run| holds(run))
    }

    /// The value of a row; `None` where neither the delta nor the column has it.
    #[inline]
    pub(super) fn get<T: Component + AnyBitPattern>(&self, row: usize) -> Option<T> {
        if let Some(run) = self.run_of(row) {
            let at = run.at + (row - run.rows.0 as usize) * size_of::<T>();
            return Some(bytemuck::pod_read_unaligned(&self.bytes[at..at + size_of::<T>()]));
        }
        let is_there = row < self.rows.len() && row < self.len;
        is_there.then(|| *self.rows.get::<T>(row))
    }

    /// The rows that the delta brings, with their values.
    pub(super) fn brought<T: Component + AnyBitPattern>(
        &self,
    ) -> impl Iterator<Item = (usize, T)> + Clone + use<'a, T> {
        let bytes = self.bytes;
        self.runs.iter().flat_map(move |run| {
            let rows = run.rows.0 as usize..run.rows.1 as usize;
            let values = &bytes[run.at..run.at + rows.len() * size_of::<T>()];
            rows.zip(values.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned))
        })
    }
}
