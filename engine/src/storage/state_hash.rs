//! State hashes: one number for the rows of columns, chunk by chunk, so that chunks that were not
//! written since the last time need not be read again.
//!
//! A column's hash joins those of its chunks in their order; a table's adds up those of its
//! columns, each joined with a key that tells the component; a state's adds up those of its parts.
//! So order counts among rows, and neither among the ids of components nor among archetypes. A
//! chunk's hash follows from its rows alone: not from its address, its room or its epochs.

use std::ops::Range;

use super::column::Column;
use super::component::Registry;
use super::component_id::ComponentId;
use super::epoch::Epoch;
use super::hash::{hash_bytes, join};
use super::room::shrink_list;
use super::rows::Rows;

/// Stands for a column without a chunk.
pub(crate) const NO_CHUNKS: u64 = 0;
/// The key of the entity index, which is of no component.
const INDEX_KEY: u64 = 1;

/// The hash of the bytes of a run of rows.
pub(crate) fn hash_run(rows: &Rows<'_>, run: Range<usize>) -> u64 {
    hash_bytes(rows.bytes(run))
}

/// The hash of a column, for which every row is read.
pub(crate) fn hash_rows(
    rows: &Rows<'_>,
    mut hash_chunk: impl FnMut(&Rows<'_>, Range<usize>) -> u64,
) -> u64 {
    let (mut last, mut last_hash) = (0..0, 0);
    chunk_runs(rows).fold(NO_CHUNKS, |hash, run| {
        if !repeats(rows, &last, &run) {
            last_hash = hash_chunk(rows, run.clone());
        }
        last = run;
        join(hash, last_hash)
    })
}

/// Whether a run is the memory of the run before it once more: that of unused slots.
fn repeats(rows: &Rows<'_>, before: &Range<usize>, run: &Range<usize>) -> bool {
    before.len() == run.len() && rows.is_same_chunk(before.start, run.start)
}

/// The rows of each chunk.
fn chunk_runs(rows: &Rows<'_>) -> impl Iterator<Item = Range<usize>> {
    let end = if rows.size() == 0 { 0 } else { rows.len() };
    let mut next = 0;
    std::iter::from_fn(move || {
        let run = (next < end).then(|| rows.rest_of_chunk(next))?;
        next = run.end;
        Some(run)
    })
}

/// The hashes of a live column's chunks, as they were the last time.
#[derive(Default)]
pub(crate) struct ChunkHashes {
    hashes: Vec<u64>,
    /// How many rows were hashed.
    rows: usize,
}

impl ChunkHashes {
    /// The hash of the first `rows` rows of `column`. Reads the chunks that were written after
    /// `since`, when this was asked for the last time, or that have more or fewer rows than then.
    ///
    /// Allocates only when the column's list of chunks has got more room.
    pub(crate) fn hash(
        &mut self,
        column: &Column,
        rows: usize,
        since: Epoch,
        hash_chunk: impl Fn(&Rows<'_>, Range<usize>) -> u64,
    ) -> u64 {
        let room = column.chunk_capacity().saturating_sub(self.hashes.len());
        self.hashes.reserve(room);
        let (values, mut hash, mut chunks) = (column.rows(rows), NO_CHUNKS, 0);
        let mut last = 0..0;
        for run in chunk_runs(&values) {
            let rows_then = self.rows.min(run.start + column.chunk_rows());
            let is_known = chunks < self.hashes.len()
                && rows_then == run.end
                && column.written(chunks) <= since;
            if !is_known {
                let fresh = match repeats(&values, &last, &run) {
                    true => self.hashes[chunks - 1],
                    false => hash_chunk(&values, run.clone()),
                };
                match self.hashes.get_mut(chunks) {
                    Some(known) => *known = fresh,
                    None => self.hashes.push(fresh),
                }
            }
            hash = join(hash, self.hashes[chunks]);
            (chunks, last) = (chunks + 1, run);
        }
        // Chunks that are not read this time may be written unnoticed before the next.
        self.hashes.truncate(chunks);
        self.rows = rows;
        hash
    }

    /// Forgets a column that can't be read.
    pub(crate) fn clear(&mut self) {
        self.hashes.clear();
    }
}

/// The hashes of all chunks of a world, as they were the last time.
#[derive(Default)]
pub(crate) struct StateHashes {
    /// The epoch that was closed then: later writes are newer.
    pub(crate) since: Epoch,
    /// By table and column.
    tables: Vec<Box<[ChunkHashes]>>,
    pub(crate) index: ChunkHashes,
    resources: Vec<ChunkHashes>,
}

impl StateHashes {
    /// Those of the columns of table `number`: of one that comes after those known, as well.
    pub(crate) fn table(&mut self, number: usize, columns: usize) -> &mut [ChunkHashes] {
        if number == self.tables.len() {
            self.tables.push((0..columns).map(|_| ChunkHashes::default()).collect());
        }
        &mut self.tables[number]
    }

    /// Those of resource `number`: of one that comes after those known, as well.
    pub(crate) fn resource(&mut self, number: usize) -> &mut ChunkHashes {
        if number == self.resources.len() {
            self.resources.push(ChunkHashes::default());
        }
        &mut self.resources[number]
    }

    /// Gives back room in lists. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        let Self { since: _, tables, index, resources } = self;
        let columns = tables.iter_mut().flat_map(|columns| columns.iter_mut());
        let hashes = columns.chain([index]).chain(resources);
        hashes.map(|column| shrink_list(&mut column.hashes)).sum()
    }
}

/// The hash of a state, part by part.
pub(crate) struct StateHasher<'a> {
    registry: &'a Registry,
    sum: u64,
}

impl<'a> StateHasher<'a> {
    pub(crate) fn new(registry: &'a Registry) -> Self {
        Self { registry, sum: 0 }
    }

    /// Adds a table: its rows, and the hashes of those of its columns that can be read. One without
    /// rows or without such columns adds nothing.
    pub(crate) fn add_table(
        &mut self,
        rows: usize,
        columns: impl Iterator<Item = (ComponentId, u64)>,
    ) {
        let parts = columns.map(|(id, hash)| join(self.registry.info(id).key(), hash));
        let sum =
            parts.fold(None, |sum: Option<u64>, part| Some(sum.unwrap_or(0).wrapping_add(part)));
        if let Some(sum) = sum.filter(|_| rows > 0) {
            self.add(join(rows as u64, sum));
        }
    }

    /// Adds the entity index.
    pub(crate) fn add_index(&mut self, hash: u64) {
        self.add(join(INDEX_KEY, hash));
    }

    /// Adds a resource that has a value.
    pub(crate) fn add_resource(&mut self, id: ComponentId, hash: u64) {
        self.add(join(self.registry.info(id).key(), hash));
    }

    fn add(&mut self, part: u64) {
        self.sum = self.sum.wrapping_add(part);
    }

    pub(crate) fn finish(self) -> u64 {
        hash_bytes(&self.sum.to_ne_bytes())
    }
}
