//! The columns of a snapshot in the order in which a file has them, and the rows of their chunks.

use std::ops::Range;

use crate::storage::component::Kind;
use crate::storage::frozen::Frozen;
use crate::storage::rows::Rows;
use crate::world::index::Slot;

use super::error::CheckpointError;

/// Which column of a world: of a table, by its number and that of the component, of the index, of a log, of a
/// resource, or of the blocks of a list, by size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Key {
    Table(usize, usize),
    Index,
    Log(usize),
    Resource(usize),
    /// The elements, 0, or the owners, 1.
    Blocks(usize, usize, u8),
}

/// The rows of each chunk.
pub(super) fn runs(rows: &Rows<'_>) -> impl Iterator<Item = Range<usize>> + use<> {
    let (end, rows_log2) = (rows.len(), rows.rows_log2());
    let chunks = 0..end.div_ceil(1 << rows_log2);
    chunks.map(move |chunk| (chunk << rows_log2)..end.min((chunk + 1) << rows_log2))
}

/// Whether a chunk of the index, but for the first, has slots only that were never used.
pub(super) fn is_blank(rows: &Rows<'_>, run: &Range<usize>) -> bool {
    run.start > 0 && rows.run::<Slot>(run.clone()).iter().all(|slot| *slot == Slot::UNUSED)
}

/// Visits the columns that have bytes, in ascending order of their keys, with the number of the first row in a log.
pub(super) fn for_each_column<'v>(
    frozen: &'v Frozen,
    mut visit: impl FnMut(Key, Rows<'v>, u64) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let catalog = frozen.catalog();
    let registry = &catalog.registry;
    let mut visit = |key, rows: Rows<'v>, first| match rows.size() > 0 && rows.len() > 0 {
        true => visit(key, rows, first),
        false => Ok(()),
    };
    for (table, archetype) in catalog.archetypes().iter().enumerate().take(frozen.table_count()) {
        if frozen.table(table).0 == 0 {
            continue;
        }
        for id in archetype.mask().iter() {
            let column = frozen.column(table, id).expect("everything was captured");
            visit(Key::Table(table, id.index()), column, 0)?;
        }
    }
    visit(Key::Index, frozen.index().unwrap_or(Rows::EMPTY), 0)?;
    for id in registry.ids_of(Kind::Event) {
        let (rows, first, _) = frozen.log(id).expect("everything was captured");
        visit(Key::Log(id.index()), rows, first)?;
    }
    for id in registry.ids_of(Kind::Resource) {
        visit(Key::Resource(id.index()), frozen.resource(id).unwrap_or(Rows::EMPTY), 0)?;
    }
    for (id, shape) in registry.lists() {
        for (class, blocks) in frozen.heap(id).iter().enumerate() {
            let elements = frozen.elements(blocks, shape.block_bytes(class));
            visit(Key::Blocks(id.index(), class, 0), elements, 0)?;
            visit(Key::Blocks(id.index(), class, 1), frozen.owners(blocks), 0)?;
        }
    }
    Ok(())
}
