//! [`Lists`]: reading the elements of lists, of a world or of a snapshot.

#![allow(unsafe_code, reason = "takes the handles of a store for lists of its elements")]

use std::mem;
use std::ops::Range;

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

    /// The lists without their borrow.
    ///
    /// # Safety
    ///
    /// The result is used only as long as the lists are borrowed.
    pub(crate) unsafe fn unbound(self) -> Lists<'static> {
        // SAFETY: the caller's contract; only the lifetime differs.
        unsafe { mem::transmute::<Lists<'a>, Lists<'static>>(self) }
    }

    /// The bytes of the elements of a list.
    pub(crate) fn bytes(&self, handle: Handle) -> &'a [u8] {
        let Some((class, block)) = handle.place.get() else { return &[] };
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
