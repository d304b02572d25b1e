//! [`Lists`]: reading the elements of lists, of a world or of a snapshot.

#![allow(unsafe_code, reason = "takes the handles of a store for lists of its elements")]

use std::mem;
use std::ops::Range;
use std::{ptr, slice};

use crate::storage::chunk_entry::ChunkEntry;
use crate::storage::column::RawColumn;
use crate::storage::component::Component;
use crate::storage::frozen::{Frozen, FrozenBlocks};
use crate::storage::heap::{Blocks, elements_in, hash_lists};
use crate::storage::list::{BlockPlace, Handle, ListHandle, ListShape};
use crate::storage::rows::Rows;

/// The elements of the lists of one component.
#[derive(Clone, Copy)]
pub(crate) struct Lists<'a> {
    shape: ListShape,
    blocks: ListBlocks<'a>,
}

/// Size classes that a query has at hand.
const SMALL: usize = 4;

/// Where the blocks of the smallest classes are, for as long as the lists that this was made from are borrowed.
#[derive(Clone, Copy)]
pub(crate) struct SmallBlocks([SmallClass; SMALL]);

/// Where the blocks of a class are.
#[derive(Clone, Copy)]
struct SmallClass {
    /// So far before the first chunk that the chunk of a block is at the block's place, in units of a chunk's blocks:
    /// what tells the class needs no mask.
    chunks: *const ChunkEntry,
    /// The blocks of a chunk, less one.
    mask: u32,
    /// log2 of the blocks of a chunk.
    blocks_log2: u8,
    /// log2 of the elements of a block.
    elements_log2: u8,
}

impl SmallClass {
    const NONE: Self = Self { chunks: ptr::null(), mask: 0, blocks_log2: 0, elements_log2: 0 };

    fn new(shape: ListShape, class: usize, chunks: *const ChunkEntry, blocks_log2: u8) -> Self {
        let first = BlockPlace::new(class, 0).bits() >> blocks_log2;
        Self {
            chunks: chunks.wrapping_sub(first as usize),
            mask: (1 << blocks_log2) - 1,
            blocks_log2,
            elements_log2: (shape.first_log2() as usize + class) as u8,
        }
    }
}

impl SmallBlocks {
    /// The elements of a list; `None` where its block is a large one, or it has none.
    ///
    /// # Safety
    ///
    /// The handle is one of the store that this was made from, whose lists are borrowed as long as this and the
    /// result are used.
    #[inline(always)]
    pub(crate) unsafe fn get<'a, T: Component>(&self, handle: &ListHandle<T>) -> Option<&'a [T]> {
        let handle = handle.get();
        let SmallClass { chunks, mask, blocks_log2, elements_log2 } =
            *self.0.get(handle.place.class())?;
        let entry = chunks.wrapping_add((handle.place.bits() >> blocks_log2) as usize);
        // SAFETY: the block is one of the class, so its list has the chunk.
        let chunk = unsafe { (*entry).chunk };
        let first = ((handle.place.bits() & mask) as usize) << elements_log2;
        // SAFETY: the block is in the chunk.
        let start = unsafe { chunk.as_ptr().cast::<T>().add(first) };
        // SAFETY: as in `Lists::get`.
        Some(unsafe { slice::from_raw_parts(start, handle.len as usize) })
    }
}

/// Blocks by their size.
#[derive(Clone, Copy)]
pub(super) enum ListBlocks<'a> {
    Live(&'a [Blocks]),
    Frozen(&'a Frozen, &'a [FrozenBlocks]),
}

impl<'a> Lists<'a> {
    pub(super) fn new(shape: ListShape, blocks: ListBlocks<'a>) -> Self {
        Self { shape, blocks }
    }

    pub(crate) fn shape(&self) -> ListShape {
        self.shape
    }

    /// The lists without their borrow.
    ///
    /// # Safety
    ///
    /// The result is used only as long as the lists are borrowed.
    pub(crate) unsafe fn unbound(self) -> Lists<'static> {
        // SAFETY: the caller's contract; only the lifetime differs.
        unsafe { mem::transmute::<Lists<'a>, Lists<'static>>(self) }
    }

    /// The chunks of the blocks of the smallest classes.
    #[inline]
    pub(crate) fn small(&self) -> SmallBlocks {
        let mut small = [SmallClass::NONE; SMALL];
        match self.blocks {
            ListBlocks::Live(classes) => {
                for (class, (small, blocks)) in small.iter_mut().zip(classes).enumerate() {
                    let RawColumn { chunks, rows_log2 } = blocks.columns()[0].list();
                    *small = SmallClass::new(self.shape, class, chunks, rows_log2);
                }
            }
            ListBlocks::Frozen(frozen, classes) => {
                for (class, (small, blocks)) in small.iter_mut().zip(classes).enumerate() {
                    let (chunks, rows_log2) = frozen.raw_elements(blocks);
                    *small = SmallClass::new(self.shape, class, chunks.as_ptr(), rows_log2);
                }
            }
        }
        SmallBlocks(small)
    }

    /// The bytes of the elements of a list.
    pub(crate) fn bytes(&self, handle: Handle) -> &'a [u8] {
        let Some((class, block)) = handle.place.get() else { return Rows::NO_BYTES };
        elements_in(&self.elements(class), block, handle.len as usize * self.shape.size)
    }

    /// The elements of a list, whose handle is one of the store's.
    #[inline]
    pub(crate) fn get<T: Component>(&self, handle: &ListHandle<T>) -> &'a [T] {
        let handle = handle.get();
        let Some((class, block)) = handle.place.get() else { return &[] };
        // SAFETY: a list has as many elements as its handle says, which were written as values of `T`.
        unsafe { self.elements(class).block(block, handle.len as usize) }
    }

    /// [`Lists::get`] apart from the loops that rarely need it, so that these stay small.
    #[cold]
    #[inline(never)]
    pub(crate) fn get_large<T: Component>(&self, handle: &ListHandle<T>) -> &'a [T] {
        self.get(handle)
    }

    /// The hash of the lists of a run of rows.
    pub(crate) fn hash(&self, handles: &Rows<'_>, run: Range<usize>) -> u64 {
        hash_lists(handles, run, |handle| self.bytes(handle))
    }

    /// The blocks of a size class.
    #[inline]
    fn elements(&self, class: usize) -> Rows<'a> {
        match self.blocks {
            ListBlocks::Live(classes) => classes[class].elements(),
            ListBlocks::Frozen(frozen, classes) => {
                frozen.elements(&classes[class], self.shape.block_bytes(class))
            }
        }
    }
}
