//! [`Tables`]: what a query needs of a store, live or frozen.

use crate::storage::archetype::Catalog;
use crate::storage::chunk_entry::ChunkEntry;
use crate::storage::column::RawColumn;
use crate::storage::rows::Rows;
use crate::storage::table::Table;
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::index::Location;

use super::error::GetError;
use super::sealed::SealedTables;

/// Archetypes with their columns, live or frozen, for reading.
///
/// Implemented by the world and by snapshots. It is sealed: it can be named in bounds but not
/// implemented outside.
pub trait Tables: SealedTables {
    /// The types and archetypes.
    #[doc(hidden)]
    fn catalog(&self) -> &Catalog;

    /// What may be read.
    #[doc(hidden)]
    fn readable(&self) -> &ComponentMask;

    /// The world that this is, or is a picture of.
    #[doc(hidden)]
    fn world_id(&self) -> WorldId;

    /// Which columns the tables have, where that is not all of their components: what was
    /// captured. With the catalog it tells where in a table a column is.
    #[doc(hidden)]
    fn layout(&self) -> Option<&ComponentMask>;

    /// How many tables there are, empty ones included.
    fn table_count(&self) -> usize;

    /// The table of archetype number `index`.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`Tables::table_count`].
    #[track_caller]
    fn table(&self, index: usize) -> TableRef<'_>;

    /// Where an entity is, if it is alive; `None` as well in a replica without handles.
    ///
    /// # Errors
    ///
    /// When the handles were not captured, or are not among what may be read.
    #[doc(hidden)]
    fn locate(&self, entity: Entity) -> Result<Option<Location>, GetError>;

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
    /// Which columns the table has, and which of all columns were captured.
    pub(crate) mask: &'a ComponentMask,
    pub(crate) captured: &'a ComponentMask,
    /// Where the chunks of each captured column start in `chunks`, in the order of component ids.
    pub(crate) starts: &'a [u32],
    pub(crate) chunks: &'a [ChunkEntry],
    pub(crate) catalog: &'a Catalog,
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

    /// Where a column is that may be read, or `None` when the table has no such component.
    pub(crate) fn place(&self, id: ComponentId) -> Option<ColumnPlace> {
        match self.columns {
            Columns::Live(table) => ColumnPlace::in_table(table, id),
            Columns::Frozen(columns) => columns.place(id),
        }
    }

    /// The chunks of the column at a place of this table, or of one of the same archetype in a
    /// store of the same layout.
    #[inline]
    pub(crate) fn column(&self, place: ColumnPlace) -> RawColumn {
        match self.columns {
            Columns::Live(table) => table.column_at(usize::from(place.position)).raw(self.rows),
            Columns::Frozen(columns) => columns.column(place, self.rows),
        }
    }
}

/// Where the column of a component is in every table of one archetype, among stores of the same
/// layout: for the live, the position among the columns; for snapshots of one mask, the position
/// among the captured ones.
#[derive(Clone, Copy, Debug)]
pub struct ColumnPlace {
    pub(crate) position: u16,
    pub(crate) rows_log2: u8,
    has_chunks: bool,
}

impl ColumnPlace {
    fn in_table(table: &Table, id: ComponentId) -> Option<Self> {
        let position = table.position(id)?;
        let column = table.column_at(position);
        Some(Self::new(position, column.rows_log2(), column.size()))
    }

    pub(crate) fn new(position: usize, rows_log2: u8, size: usize) -> Self {
        Self { position: position as u16, rows_log2, has_chunks: size > 0 }
    }
}

impl FrozenColumns<'_> {
    fn place(&self, id: ComponentId) -> Option<ColumnPlace> {
        let Self { mask, captured, catalog, .. } = self;
        if !mask.contains(id) || !captured.contains(id) {
            return None;
        }
        let info = catalog.registry.info(id);
        Some(ColumnPlace::new(mask.rank_in_both(captured, id), info.rows_log2(), info.size()))
    }

    #[inline]
    fn column(&self, place: ColumnPlace, rows: usize) -> RawColumn {
        let ColumnPlace { position, rows_log2, has_chunks } = place;
        let start = self.starts[usize::from(position)] as usize;
        let count = if has_chunks { rows.div_ceil(1 << rows_log2) } else { 0 };
        let chunks = &self.chunks[start..start + count];
        RawColumn { chunks: chunks.as_ptr(), rows_log2 }
    }
}
