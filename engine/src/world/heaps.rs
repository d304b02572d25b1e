//! [`Heaps`]: the heaps of a world's lists, which queries share out among each other as they do columns.

#![allow(unsafe_code, reason = "points to heaps that queries share out")]

use std::ptr::NonNull;

use crate::storage::ComponentId;
use crate::storage::heap::Heap;
use crate::storage::history::Returns;

/// The heaps of lists, in the order of their components. These stand apart, so that looking one up refers to no
/// heap: another query may have it exclusively.
#[derive(Default)]
pub(crate) struct Heaps {
    lists: Vec<ComponentId>,
    heaps: Vec<Heap>,
}

impl Heaps {
    pub(crate) fn len(&self) -> usize {
        self.lists.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Heap> {
        self.heaps.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Heap> {
        self.heaps.iter_mut()
    }

    /// Adds the heap of a list that comes after those known.
    pub(crate) fn push(&mut self, heap: Heap) {
        assert!(self.lists.last().is_none_or(|&last| last < heap.component()), "in their order");
        self.lists.push(heap.component());
        self.heaps.push(heap);
    }

    /// Gives back the heaps of lists that are not `kept`, which are the last ones.
    pub(crate) fn shrink(&mut self, kept: impl Fn(ComponentId) -> bool, memory: &mut Returns) {
        let count = self.lists.partition_point(|&list| kept(list));
        self.lists.truncate(count);
        self.heaps.drain(count..).for_each(|mut heap| heap.clear(memory));
    }

    /// Notes how many blocks there are of each size.
    pub(crate) fn note_blocks(&self, counts: &mut Vec<u32>) {
        let blocks = self.heaps.iter().flat_map(Heap::classes);
        counts.extend(blocks.map(|blocks| blocks.rows() as u32));
    }

    /// Forgets the blocks that came after they were noted, and which are free.
    pub(crate) fn forget_blocks(&mut self, counts: &[u32]) {
        let blocks = self.heaps.iter_mut().flat_map(Heap::classes_mut);
        blocks.zip(counts).for_each(|(blocks, &count)| blocks.set_rows(count as usize));
    }

    #[inline]
    fn number(&self, list: ComponentId) -> Option<usize> {
        self.lists.binary_search(&list).ok()
    }

    #[inline]
    pub(crate) fn get(&self, list: ComponentId) -> Option<&Heap> {
        let heap = self.ptr(list)?;
        // SAFETY: nothing writes to the heap while these are borrowed, but for queries that have it exclusively, and no
        // other looks at it then.
        Some(unsafe { heap.as_ref() })
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, list: ComponentId) -> Option<&mut Heap> {
        let number = self.number(list)?;
        Some(&mut self.heaps[number])
    }

    /// The heap of a list, for a query that has it exclusively while the world is only borrowed shared. Makes no
    /// reference to a heap.
    #[inline]
    pub(crate) fn ptr(&self, list: ComponentId) -> Option<NonNull<Heap>> {
        let number = self.number(list)?;
        assert!(number < self.heaps.len(), "each list has a heap");
        // The vector's own pointer, which keeps the rights that the owner has.
        let heaps = self.heaps.as_ptr().cast_mut();
        // SAFETY: the number was checked.
        let heap = unsafe { heaps.add(number) };
        NonNull::new(heap)
    }
}
