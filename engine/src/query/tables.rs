//! [`Tables`]: what a query needs of a store, live or frozen.

use crate::storage::archetype::Schema;
use crate::storage::chunk_entry::ChunkEntry;
use crate::storage::column::RawColumn;
use crate::storage::rows::Rows;
use crate::storage::table::Table;
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentId, ComponentMask};

/// Archetypes with their columns, live or frozen, for reading.
///
/// Implemented by the world and by snapshots. Its methods hand out engine types that can't be
/// made elsewhere, so it can be named in bounds but not implemented outside.
pub trait Tables {
    /// The types and archetypes.
    #[doc(hidden)]
    fn schema(&self) -> &Schema;

    /// What may be read.
    #[doc(hidden)]
    fn readable(&self) -> ComponentMask;

    /// The world that this is, or is a picture of.
    #[doc(hidden)]
    fn world_id(&self) -> WorldId;

    /// How many tables there are, empty ones included.
    fn table_count(&self) -> usize;

    /// The table of archetype number `index`, below [`Tables::table_count`].
    fn table(&self, index: usize) -> TableRef<'_>;

    /// The rows of one column of a table, or `None` when they can't be read or the table has no
    /// such component.
    #[doc(hidden)]
    fn rows(&self, index: usize, id: ComponentId) -> Option<Rows<'_>>;

    /// The slots of the entity index, or `None` when entities can't be looked up.
    #[doc(hidden)]
    fn slots(&self) -> Option<Rows<'_>>;
}

/// One archetype's rows, for reading.
#[derive(Clone, Copy)]
pub struct TableRef<'a> {
    mask: &'a ComponentMask,
    rows: usize,
    columns: Columns<'a>,
}

#[derive(Clone, Copy)]
enum Columns<'a> {
    Live(&'a Table),
    Frozen(FrozenColumns<'a>),
}

/// The columns of one table in a snapshot.
#[derive(Clone, Copy)]
pub(crate) struct FrozenColumns<'a> {
    /// Which of the table's columns were captured.
    pub(crate) mask: ComponentMask,
    /// Where the chunks of each captured column start in `chunks`, in the order of component ids.
    pub(crate) starts: &'a [u32],
    pub(crate) chunks: &'a [ChunkEntry],
    pub(crate) schema: &'a Schema,
}

impl<'a> TableRef<'a> {
    pub(crate) fn live(table: &'a Table) -> Self {
        Self { mask: table.mask(), rows: table.rows(), columns: Columns::Live(table) }
    }

    pub(crate) fn frozen(mask: &'a ComponentMask, rows: usize, columns: FrozenColumns<'a>) -> Self {
        Self { mask, rows, columns: Columns::Frozen(columns) }
    }

    /// The archetype's components; the bit of the entity column is always set.
    pub fn mask(&self) -> &'a ComponentMask {
        self.mask
    }

    /// Rows in the table.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The chunks of a column that may be read, or `None` when the table has no such component.
    pub(crate) fn column(&self, id: ComponentId) -> Option<RawColumn> {
        match self.columns {
            Columns::Live(table) => table.raw_column(id),
            Columns::Frozen(columns) => columns.column(id, self.rows),
        }
    }
}

impl FrozenColumns<'_> {
    fn column(&self, id: ComponentId, rows: usize) -> Option<RawColumn> {
        if !self.mask.contains(id) {
            return None;
        }
        let info = self.schema.registry.info(id);
        let start = self.starts[self.mask.rank(id)] as usize;
        let count = if info.size() == 0 { 0 } else { rows.div_ceil(info.chunk_rows()) };
        let chunks = &self.chunks[start..start + count];
        Some(RawColumn { chunks: chunks.as_ptr(), rows_log2: info.rows_log2() })
    }
}
