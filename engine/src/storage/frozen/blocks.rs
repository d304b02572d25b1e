//! The blocks of lists in a snapshot: pairs of columns, of the elements and of the owners, by list and size.

use super::*;
use crate::storage::entity::Entity;

impl Frozen {
    /// Adds chunks. Returns where they start.
    pub(crate) fn push_chunks(&mut self, chunks: &[ChunkEntry]) -> usize {
        self.push_rows(chunks, 0).start
    }

    /// Adds the blocks of one size of a list: how many, log2 of the rows of a chunk, and where the chunks start,
    /// of the elements and of the owners.
    pub(crate) fn push_blocks(
        &mut self,
        list: ComponentId,
        (rows, rows_log2, starts): (usize, [u8; 2], [usize; 2]),
    ) {
        self.state.blocks.push(FrozenBlocks { list, rows, rows_log2, starts });
    }

    /// The blocks of a list, by size; none where it was not captured.
    pub(crate) fn heap(&self, list: ComponentId) -> &[FrozenBlocks] {
        let first = self.state.blocks.partition_point(|blocks| blocks.list < list);
        let blocks = &self.state.blocks[first..];
        &blocks[..blocks.partition_point(|blocks| blocks.list == list)]
    }

    /// The elements of some captured blocks.
    pub(crate) fn elements(&self, blocks: &FrozenBlocks, size: usize) -> Rows<'_> {
        let at = FrozenRows { start: blocks.starts[0], rows: blocks.rows };
        self.rows(at, size, blocks.rows_log2[0])
    }

    /// The owners of some captured blocks.
    pub(crate) fn owners(&self, blocks: &FrozenBlocks) -> Rows<'_> {
        let at = FrozenRows { start: blocks.starts[1], rows: blocks.rows };
        self.rows(at, size_of::<Entity>(), blocks.rows_log2[1])
    }

    /// Where the elements of some captured blocks are.
    pub(crate) fn raw_elements(&self, blocks: &FrozenBlocks) -> (&[ChunkEntry], u8) {
        (&self.state.chunks[blocks.starts[0]..], blocks.rows_log2[0])
    }

    /// The chunks of the elements and of the owners of the blocks of one size of a list, and how many blocks: none
    /// where there was no such list.
    pub(crate) fn block_entries(
        &self,
        list: ComponentId,
        class: usize,
    ) -> ([&[ChunkEntry]; 2], usize) {
        let Some(blocks) = self.heap(list).get(class) else { return ([&[], &[]], 0) };
        let entries = [0, 1].map(|column| {
            let start = blocks.starts[column];
            let chunks = blocks.rows.div_ceil(1 << blocks.rows_log2[column]);
            &self.state.chunks[start..start + chunks]
        });
        (entries, blocks.rows)
    }
}
