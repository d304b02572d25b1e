//! The part of a snapshot that a restore reads: its lists of chunks as they are.

use super::*;

/// The records of a captured log: the number of the first, the forks of the log, and the chunks of
/// so many records. The default is a log that did not exist.
#[derive(Clone, Copy, Default)]
pub(crate) struct LogEntries<'a> {
    pub(crate) first: u64,
    pub(crate) forks: Forks,
    pub(crate) entries: &'a [ChunkEntry],
    pub(crate) rows: usize,
}

impl Frozen {
    /// The first of the types known at the capture that was not captured.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let registry = &self.catalog().registry;
        let id = registry.ids().difference(&self.head.mask).iter().next()?;
        Some(registry.info(id).name())
    }

    /// The `chunks` chunks of one captured column of a table.
    pub(crate) fn entries(&self, table: usize, column: usize, chunks: usize) -> &[ChunkEntry] {
        let start = self.table(table).1[column] as usize;
        &self.state.chunks[start..start + chunks]
    }

    /// The chunks of the captured entity index, and how many slots they hold.
    pub(crate) fn index_entries(&self) -> Option<(&[ChunkEntry], usize)> {
        let FrozenIndex { rows, rows_log2: log2, .. } = self.state.index?;
        Some((self.list(rows, rows.rows.div_ceil(1 << log2)), rows.rows))
    }

    /// A captured log.
    pub(crate) fn log_entries(&self, id: ComponentId) -> Option<LogEntries<'_>> {
        let log = self.state.logs.iter().find(|log| log.component == id)?;
        let chunks = self.chunk_count(id, log.rows);
        let (entries, rows) = (self.list(log.rows, chunks), log.rows.rows);
        Some(LogEntries { first: log.first, forks: log.forks, entries, rows })
    }

    /// The chunks of a captured resource, and how many values they hold: one or none.
    pub(crate) fn resource_entries(&self, id: ComponentId) -> Option<(&[ChunkEntry], usize)> {
        let resource = self.state.resources.iter().find(|resource| resource.component == id)?;
        let chunks = self.chunk_count(id, resource.rows);
        Some((self.list(resource.rows, chunks), resource.rows.rows))
    }

    fn chunk_count(&self, id: ComponentId, rows: FrozenRows) -> usize {
        let info = self.catalog().registry.info(id);
        if info.size() == 0 { 0 } else { rows.rows.div_ceil(info.chunk_rows()) }
    }

    fn list(&self, rows: FrozenRows, chunks: usize) -> &[ChunkEntry] {
        &self.state.chunks[rows.start..rows.start + chunks]
    }
}
