//! [`List`]: rows of an entity's own, as many as it likes, as plain old data.
//!
//! The column of a list has a *handle* for each entity: how many elements there are, and the *block* that they lie
//! in. Blocks are rows of the list's [heap](super::heap), which has a pair of columns for each size. Users never hold a
//! handle, so none can be copied or dangle; and a block is in use exactly if the entity that it was given to is alive
//! and its handle names the block. So nothing has to be told when a row goes, by whatever way: blocks that are not in
//! use are found when blocks are needed.

#![allow(unsafe_code, reason = "a derive can't see through the parameter of a type")]

use std::fmt;
use std::marker::PhantomData;

use bytemuck::{Pod, Zeroable};

/// The elements of type `T` that an entity has: in a bundle, an empty list of them; in a query, the elements as a
/// slice (`&List<T>`) or to add to and take from (`&mut List<T>`).
///
/// The elements lie in the world's columns like components: snapshots, branches, replicas, diffs and state hashes have
/// them, by content, and a running simulation that pushes and pops allocates nothing. They go when the entity or its
/// list does. A list is looked at by its own methods and terms: it is no [`Component`](crate::Component), since no
/// value of it can be copied out.
///
/// ```
/// use convoy_engine::World;
/// use convoy_engine::list::List;
///
/// let mut world = World::new();
/// let chest = world.spawn((7_u32, List::<u16>::new()));
/// world.list_mut::<u16>(chest).unwrap().extend(&[10, 11]);
/// world.query_mut::<&mut List<u16>>().for_each(|mut items| items.push(12));
/// assert_eq!(world.list::<u16>(chest).unwrap(), [10, 11, 12]);
///
/// for (number, items) in world.query::<(&u32, &List<u16>)>().iter() {
///     assert_eq!((*number, items.len()), (7, 3));
/// }
/// world.remove::<(List<u16>,)>(chest).unwrap();
/// assert!(world.list::<u16>(chest).is_err());
/// ```
pub struct List<T>(PhantomData<fn() -> T>);

impl<T> List<T> {
    /// An empty list, for bundles.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(size_of::<T>() > 0, "the elements of a list have bytes") };
        Self(PhantomData)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<T> {}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("List")
    }
}

/// The block of a list: its size class and its number there; zero for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct BlockPlace(u32);

/// Bits of the number of a block.
const BLOCK_BITS: u32 = 27;
/// Blocks of one size that a list can have.
pub(crate) const BLOCKS_MAX: usize = 1 << BLOCK_BITS;

impl BlockPlace {
    /// No block.
    pub(crate) const NONE: Self = Self(0);

    /// Block `block` of size class `class`.
    pub(crate) fn new(class: usize, block: usize) -> Self {
        assert!(class < CLASSES_MAX && block < BLOCKS_MAX, "a block of a heap");
        Self((class as u32 + 1) << BLOCK_BITS | block as u32)
    }

    /// The size class; one beyond all where there is no block.
    #[inline]
    pub(crate) fn class(self) -> usize {
        (self.0 >> BLOCK_BITS).wrapping_sub(1) as usize
    }

    /// The class and the block as a number: the blocks of a class follow one another.
    #[inline]
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// The size class and the number of the block, if there is one.
    #[inline]
    pub(crate) fn get(self) -> Option<(usize, usize)> {
        let class = (self.0 >> BLOCK_BITS).checked_sub(1)?;
        Some((class as usize, self.block()))
    }

    #[inline]
    fn block(self) -> usize {
        (self.0 & (BLOCKS_MAX as u32 - 1)) as usize
    }
}

/// A row of the column of a list, of elements of any type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Handle {
    pub(crate) len: u32,
    pub(crate) place: BlockPlace,
}

impl Handle {
    /// That of a list without elements and without a block.
    pub(crate) const EMPTY: Self = Self { len: 0, place: BlockPlace::NONE };
}

/// A row of the column of a list: the component that the engine has for `List<T>`.
#[repr(transparent)]
pub struct ListHandle<T>(Handle, PhantomData<fn() -> T>);

impl<T> Clone for ListHandle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ListHandle<T> {}

impl<T> ListHandle<T> {
    pub(crate) const EMPTY: Self = Self(Handle::EMPTY, PhantomData);

    #[inline]
    pub(crate) fn get(&self) -> Handle {
        self.0
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut Handle {
        &mut self.0
    }
}

/// The elements of a list and the sizes of its blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ListShape {
    /// Bytes of an element, at least one.
    pub(crate) size: usize,
    pub(crate) align: usize,
}

/// Size classes that a list has at the most: a class's number and a block's share 32 bits.
pub(crate) const CLASSES_MAX: usize = (1 << (32 - BLOCK_BITS)) - 1;
/// Bytes of the smallest block, where one element does not take more.
const BLOCK_BYTES_MIN: usize = 16;
/// Bytes of the largest block; a chunk can have 256 MiB.
const BLOCK_BYTES_MAX: usize = 128 << 20;

impl ListShape {
    pub(crate) const fn of<T>() -> Self {
        const { assert!(size_of::<T>() > 0, "the elements of a list have bytes") }
        Self { size: size_of::<T>(), align: align_of::<T>() }
    }

    /// log2 of the elements of the smallest block: as many as take 16 bytes, and four where that is not much.
    #[inline]
    pub(crate) const fn first_log2(self) -> u32 {
        match self.size {
            1 => BLOCK_BYTES_MIN.ilog2(),
            2 => 3,
            3..=64 => 2,
            _ => 0,
        }
    }

    /// Elements of a block of a class.
    #[inline]
    pub(crate) const fn capacity(self, class: usize) -> usize {
        1 << (self.first_log2() + class as u32)
    }

    /// Bytes of a block of a class.
    #[inline]
    pub(crate) const fn block_bytes(self, class: usize) -> usize {
        self.capacity(class) * self.size
    }

    /// How many size classes there are.
    pub(crate) fn classes(self) -> usize {
        (0..CLASSES_MAX).take_while(|&class| self.block_bytes(class) <= BLOCK_BYTES_MAX).count()
    }

    /// The class of the smallest blocks for so many elements, at least one: there may be none of it.
    #[inline]
    pub(crate) fn class_for(self, elements: usize) -> Option<usize> {
        let log2 = elements.checked_next_power_of_two()?.ilog2();
        Some(log2.saturating_sub(self.first_log2()) as usize)
    }
}

// SAFETY: a handle is one, and the rest has no bytes.
unsafe impl<T: 'static> Zeroable for ListHandle<T> {}
// SAFETY: as above: all bytes of a handle are values, and there is no padding.
unsafe impl<T: 'static> Pod for ListHandle<T> {}
