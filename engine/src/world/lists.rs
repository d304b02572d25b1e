//! [`Lists`]: reading the elements of lists, of a world or of a snapshot.

#![allow(unsafe_code, reason = "takes the handles of a store for lists of its elements")]

use std::mem;
use std::ops::Range;
use std::{ptr, slice};

use crate::storage::column::RawColumn;
use crate::storage::component::Component;
use crate::storage::frozen::{Frozen, FrozenBlocks};
use crate::storage::heap::{Blocks, elements_in, hash_lists};
use crate::storage::list::{Handle, ListHandle, ListShape};
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
pub(crate) struct SmallBlocks([RawColumn; SMALL]);

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
        let (class, block) = handle.place.parts();
        let RawColumn { chunks, rows_log2 } = *self.0.get(class)?;
        // SAFETY: the block is one of the class, so its list has the chunk.
        let entry = unsafe { chunks.add(block >> rows_log2) };
        // SAFETY: as above.
        let chunk = unsafe { (*entry).chunk };
        let log2 = const { ListShape::of::<T>().first_log2() } as usize + class;
        let first = (block & ((1 << rows_log2) - 1)) << log2;
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
        let none = RawColumn { chunks: ptr::null(), rows_log2: 0 };
        let mut small = [none; SMALL];
        match self.blocks {
            ListBlocks::Live(classes) => {
                for (small, blocks) in small.iter_mut().zip(classes) {
                    *small = blocks.columns()[0].list();
                }
            }
            ListBlocks::Frozen(frozen, classes) => {
                for (small, blocks) in small.iter_mut().zip(classes) {
                    let (chunks, rows_log2) = frozen.raw_elements(blocks);
                    *small = RawColumn { chunks: chunks.as_ptr(), rows_log2 };
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
