//! [`Heap`]: the blocks that the elements of lists lie in, by size.
//!
//! A size class is a pair of columns with a row for each block: its elements, and the entity that it was given to. So
//! blocks are captured, copied on write, restored, synced and counted as the rows of tables are. A block is *in use*
//! if its owner is alive and the owner's handle names it; nothing else is recorded. Blocks out of use are found by a
//! *sweep*, which looks at four blocks for each that is given out, so that about a quarter of a class is out of use
//! where as many lists come as go, and the class grows no more.
//!
//! While blocks are lent out for writing their chunks don't move: a chunk is full-sized and the world's own in this
//! epoch before the first address of it is taken, and a class that grows gets more chunks.

#![allow(unsafe_code, reason = "says that all bytes are blocks")]

use std::ops::Range;
use std::ptr::NonNull;

use convoy_pool::MemoryError;

use super::chunk_entry::ChunkEntry;
use super::column::Column;
use super::component::ChunkShape;
use super::component::ComponentInfo;
use super::component_id::ComponentId;
use super::entity::Entity;
use super::epoch::Now;
use super::hash::{hash_bytes, join};
use super::history::restore::Revival;
use super::history::{Memory, Returns, ask_heap};
use super::list::{BLOCKS_MAX, BlockPlace, Handle, ListShape};
use super::rows::Rows;

/// Blocks that a sweep looks at for each that was given out.
const SWEPT_PER_BLOCK: usize = 4;
/// Blocks that are given out before a sweep is worth a call.
const TAKEN_MIN: usize = 16;

/// Blocks of a size that are known to be out of use, beyond which no sweep looks for more.
const FREE_MIN: usize = 64;

/// The blocks of one list component.
pub(crate) struct Heap {
    component: ComponentId,
    shape: ListShape,
    classes: Box<[Blocks]>,
    /// Blocks given out since the last sweep.
    taken: usize,
}

/// The blocks of one size.
pub(crate) struct Blocks {
    class: usize,
    /// The elements and the owners.
    columns: [Column; 2],
    blocks: u32,
    /// Blocks that a sweep found out of use, and that were not given out since.
    free: Vec<u32>,
    /// The block that the next sweep looks at first.
    hand: u32,
    /// How many blocks the next sweep may look at.
    credit: usize,
    /// How many were looked at since none was free: no more than there are, so that none is found twice.
    swept: usize,
    /// Blocks before this were in use when a compaction came by.
    compacted: usize,
}

/// What a compaction does with the blocks of one size.
pub(crate) enum NextMove {
    /// Moves the last block, of this owner, to one out of use.
    Move(Entity, usize),
    /// Stops, as there is no time left.
    Late,
    /// All blocks are in use.
    None,
}

/// Why a list gets no larger block.
#[derive(Debug)]
pub(crate) enum BlockError {
    /// There is no block of this size, or there are too many.
    TooLong,
    Memory(MemoryError),
}

impl From<MemoryError> for BlockError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl Heap {
    /// A heap without blocks.
    pub(crate) fn new(component: ComponentId, shape: ListShape, chunks: ChunkShape) -> Self {
        let owners = ComponentInfo::unregistered::<Entity>(chunks);
        let blocks = |class| {
            let elements = ComponentInfo::of_blocks(shape.block_bytes(class), shape.align, chunks);
            let columns = [Column::new(component, &elements), Column::new(component, &owners)];
            Blocks {
                class,
                columns,
                blocks: 0,
                free: Vec::new(),
                hand: 0,
                credit: 0,
                swept: 0,
                compacted: 0,
            }
        };
        let classes = (0..shape.classes()).map(blocks).collect();
        Self { component, shape, classes, taken: 0 }
    }

    pub(crate) fn component(&self) -> ComponentId {
        self.component
    }

    pub(crate) fn shape(&self) -> ListShape {
        self.shape
    }

    pub(crate) fn classes(&self) -> &[Blocks] {
        &self.classes
    }

    pub(crate) fn classes_mut(&mut self) -> &mut [Blocks] {
        &mut self.classes
    }

    /// The bytes of the elements of a list.
    pub(crate) fn bytes(&self, handle: Handle) -> &[u8] {
        let Some((class, block)) = handle.place.get() else { return Rows::NO_BYTES };
        elements_in(&self.classes[class].elements(), block, handle.len as usize * self.shape.size)
    }

    /// Makes the block of a list writable, at an address that stays until the epoch ends or the heap is compacted.
    pub(crate) fn own(
        &mut self,
        place: BlockPlace,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let Some((class, block)) = place.get() else { return Ok(()) };
        self.classes[class].own(block, memory)
    }

    /// A block for at least so many elements, which `owner` has from now on; its bytes are any, and it is
    /// writable as after [`Heap::own`].
    pub(crate) fn take(
        &mut self,
        elements: usize,
        owner: Entity,
        memory: &mut Memory,
    ) -> Result<BlockPlace, BlockError> {
        let class = self.shape.class_for(elements).ok_or(BlockError::TooLong)?;
        let blocks = self.classes.get_mut(class).ok_or(BlockError::TooLong)?;
        let block = match blocks.take_open(owner, memory.now()) {
            Some(block) => block,
            None => blocks.take(owner, memory)?,
        };
        self.taken += 1;
        Ok(BlockPlace::new(class, block))
    }

    /// Writes the elements of a block that was just taken.
    pub(crate) fn fill(&mut self, place: BlockPlace, elements: &[u8], now: Now<'_>) {
        let (class, block) = place.get().expect("there is a block");
        let row = self.classes[class].columns[0].writable_row(block, now);
        let row = row.expect("a block that was taken is writable");
        // SAFETY: a block is bytes; lists see to it that those below their length are elements.
        unsafe { row.write_first_bytes(elements) };
    }

    /// Where a block that was made writable begins.
    #[inline]
    pub(crate) fn address(&self, place: BlockPlace) -> Option<NonNull<u8>> {
        let (class, block) = place.get()?;
        Some(self.classes[class].columns[0].address(block))
    }

    /// How many elements fit a block.
    #[inline]
    pub(crate) fn capacity(&self, place: BlockPlace) -> usize {
        place.get().map_or(0, |(class, _)| self.shape.capacity(class))
    }

    /// Whether so many blocks were given out that a sweep is worth a call.
    #[inline]
    pub(crate) fn wants_sweep(&self) -> bool {
        self.taken >= TAKEN_MIN
    }

    /// Looks for blocks out of use, where few are known: at no more than `most` in each class, and at no more than
    /// those given out allow.
    pub(crate) fn sweep(&mut self, most: usize, is_in_use: impl Fn(Entity, BlockPlace) -> bool) {
        self.taken = 0;
        for (class, blocks) in self.classes.iter_mut().enumerate() {
            if blocks.free.len() < FREE_MIN {
                blocks.sweep(most, |owner, block| is_in_use(owner, BlockPlace::new(class, block)));
            }
        }
    }

    /// Drops all blocks.
    pub(crate) fn clear(&mut self, memory: &mut Returns) {
        self.classes.iter_mut().for_each(|blocks| blocks.clear(memory));
    }
}

impl Blocks {
    /// The component of the list.
    pub(crate) fn list(&self) -> ComponentId {
        self.columns[0].component()
    }

    /// The size class.
    pub(crate) fn class(&self) -> usize {
        self.class
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns of the elements and of the owners, whose chunks may be replaced.
    pub(crate) fn columns_mut(&mut self) -> &mut [Column; 2] {
        &mut self.columns
    }

    /// Blocks, in use or not.
    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.blocks as usize
    }

    /// Sets the number of blocks, after the columns were filled by themselves.
    pub(crate) fn set_rows(&mut self, rows: usize) {
        let has_them = |column: &Column| column.capacity() >= rows;
        assert!(self.columns.iter().all(has_them), "the columns hold the blocks");
        self.blocks = rows as u32;
        self.forget_free();
    }

    /// Writes the elements of blocks of new chunks, which nobody can reach yet.
    pub(crate) fn load(&mut self, blocks: Range<usize>, bytes: &[u8], now: Now<'_>) {
        let size = self.columns[0].size();
        assert_eq!(bytes.len(), blocks.len() * size, "there are bytes for each block");
        for (block, bytes) in blocks.zip(bytes.chunks_exact(size)) {
            let row = self.columns[0].writable_row(block, now);
            let row = row.expect("a block of a new chunk is writable");
            // SAFETY: a block is bytes; a check comes before anybody reads elements in it.
            unsafe { row.write_first_bytes(bytes) };
        }
    }

    /// The owners of all blocks.
    pub(crate) fn owners(&self) -> Rows<'_> {
        self.columns[1].rows(self.rows())
    }

    /// The elements of all blocks.
    #[inline]
    pub(crate) fn elements(&self) -> Rows<'_> {
        self.columns[0].rows(self.rows())
    }

    /// The entity that a block was given to.
    pub(crate) fn owner(&self, block: usize) -> Entity {
        *self.owners().get(block)
    }

    #[inline]
    fn own(&mut self, block: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let [elements, _] = &self.columns;
        let is_owned = elements.is_row_owned(block, memory.epoch());
        if is_owned && elements.capacity() >= elements.chunk_rows() {
            return Ok(());
        }
        self.own_older(block, memory)
    }

    #[cold]
    fn own_older(&mut self, block: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let (rows, [elements, _]) = (self.blocks as usize, &mut self.columns);
        assert!(block < rows, "the block is one of the class");
        elements.reserve(elements.chunk_rows(), rows, memory)?;
        elements.own_rows(block..block + 1, rows, memory)
    }

    /// The block after the last one, where none is free and it is writable.
    #[inline]
    fn take_open(&mut self, owner: Entity, now: Now<'_>) -> Option<usize> {
        let rows = self.rows();
        let [elements, owners] = &mut self.columns;
        let is_full_sized = elements.capacity() >= elements.chunk_rows();
        let is_open = is_full_sized && elements.is_row_owned(rows, now.epoch());
        if !is_open || !self.free.is_empty() || rows == BLOCKS_MAX {
            return None;
        }
        owners.writable_row(rows, now)?.write(owner);
        self.blocks += 1;
        self.credit = (self.credit + SWEPT_PER_BLOCK).min(self.blocks as usize);
        Some(rows)
    }

    #[cold]
    #[inline(never)]
    fn take(&mut self, owner: Entity, memory: &mut Memory) -> Result<usize, BlockError> {
        let (rows, [elements, owners]) = (self.blocks as usize, &mut self.columns);
        let block = match self.free.last() {
            Some(&block) => {
                let block = block as usize;
                elements.reserve(elements.chunk_rows(), rows, memory)?;
                elements.own_rows(block..block + 1, rows, memory)?;
                owners.own_row(block, rows, memory)?.write(owner);
                self.free.pop();
                if self.free.is_empty() {
                    self.swept = 0;
                }
                block
            }
            None if rows == BLOCKS_MAX => return Err(BlockError::TooLong),
            None => {
                // For all blocks, so that sweeps take none. It is empty.
                if self.free.capacity() <= rows {
                    ask_heap(2 * (rows + 1) * size_of::<u32>())?;
                    self.free.reserve(rows + 1);
                }
                elements.reserve(elements.chunk_rows().max(rows + 1), rows, memory)?;
                // The whole chunk, and not only its end: other blocks of it may be lent out next.
                elements.own_rows(rows..rows + 1, rows, memory)?;
                owners.append_row(rows, memory)?.write(owner);
                self.blocks += 1;
                rows
            }
        };
        self.credit = (self.credit + SWEPT_PER_BLOCK).min(self.blocks as usize);
        Ok(block)
    }

    fn sweep(&mut self, most: usize, is_in_use: impl Fn(Entity, usize) -> bool) {
        let count = self.credit.min(most).min(self.rows() - self.swept);
        (self.credit, self.swept) = (self.credit - count, self.swept + count);
        for _ in 0..count {
            let block = self.hand as usize % self.rows();
            self.hand = block as u32 + 1;
            if !is_in_use(self.owner(block), block) {
                self.free.push(block as u32);
            }
        }
        if self.free.is_empty() {
            self.swept = 0;
        }
    }

    /// Forgets the blocks after the last one in use, and looks for one out of use before it, from where the last call
    /// stopped, as long as there `is_time`. Returns what [`Blocks::move_last`] may do.
    pub(crate) fn next_move(
        &mut self,
        is_in_use: impl Fn(Entity, usize) -> bool,
        mut is_time: impl FnMut() -> bool,
    ) -> NextMove {
        // Those that are free now are moved to or forgotten.
        self.forget_free();
        while let Some(last) = self.rows().checked_sub(1) {
            if !is_time() {
                return NextMove::Late;
            }
            let owner = self.owner(last);
            if !is_in_use(owner, last) {
                self.blocks -= 1;
            } else if self.compacted >= last {
                break;
            } else if is_in_use(self.owner(self.compacted), self.compacted) {
                self.compacted += 1;
            } else {
                return NextMove::Move(owner, self.compacted);
            }
        }
        self.compacted = 0;
        NextMove::None
    }

    /// Moves the last block, which `owner` has, to one out of use: the [next move](Blocks::next_move).
    pub(crate) fn move_last(
        &mut self,
        (owner, to): (Entity, usize),
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let (rows, last) = (self.rows(), self.rows() - 1);
        let [elements, owners] = &mut self.columns;
        owners.own_row(to, rows, memory)?.write(owner);
        elements.own_row(to, rows, memory)?.copy_within(last);
        self.blocks -= 1;
        Ok(())
    }

    /// Exchanges two blocks, whose handles change with them.
    pub(crate) fn exchange(
        &mut self,
        one: usize,
        other: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let rows = self.rows();
        for column in &mut self.columns {
            for block in [one, other] {
                column.own_rows(block..block + 1, rows, memory)?;
            }
        }
        for column in &mut self.columns {
            column.swap_rows([one, other], memory.now());
        }
        self.forget_free();
        Ok(())
    }

    /// Gives the chunks back that no block lies in.
    pub(crate) fn release_surplus(&mut self, memory: &mut Returns) {
        let rows = self.rows();
        for column in &mut self.columns {
            column.truncate(rows.div_ceil(column.chunk_rows()), memory);
        }
    }

    /// Forgets which blocks are out of use, as others may be.
    fn forget_free(&mut self) {
        self.free.clear();
        (self.hand, self.credit, self.swept) = (0, self.blocks as usize, 0);
    }

    /// Gives back room in lists. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        super::room::shrink_list(&mut self.free)
    }

    pub(crate) fn clear(&mut self, memory: &mut Returns) {
        self.blocks = 0;
        self.forget_free();
        self.columns.iter_mut().for_each(|column| column.truncate(0, memory));
    }

    /// Takes the blocks of a capture back: the chunks of the elements and owners of so many. Returns how many
    /// chunks were taken back.
    pub(crate) fn restore(
        &mut self,
        (entries, rows): ([&[ChunkEntry]; 2], usize),
        revival: &mut Revival<'_>,
    ) -> u64 {
        let held = self.rows();
        let columns = self.columns.iter_mut().zip(entries);
        let taken =
            columns.map(|(column, entries)| column.restore(entries, (held, rows), revival)).sum();
        self.blocks = rows as u32;
        self.forget_free();
        taken
    }
}

/// The hash of a run of lists by their elements, whose bytes `elements` finds.
pub(crate) fn hash_lists<'a>(
    handles: &Rows<'_>,
    run: Range<usize>,
    elements: impl Fn(Handle) -> &'a [u8],
) -> u64 {
    handles.run::<Handle>(run).iter().fold(0, |hash, &handle| {
        join(hash, join(u64::from(handle.len), hash_bytes(elements(handle))))
    })
}

/// The first `bytes` bytes of a block.
pub(crate) fn elements_in<'a>(blocks: &Rows<'a>, block: usize, bytes: usize) -> &'a [u8] {
    &blocks.bytes(block..block + 1)[..bytes]
}
