//! [`ListMut`]: the elements of an entity's list, for writing.
//!
//! A list is opened with its handle and its block writable: neither moves while others are opened or grow, so that
//! many lists of one query can be lent out at once. A list that outgrows its block gets a larger one, and the old one
//! is out of use as soon as the handle names the new one. Nothing is given back here, so an address of one list
//! never becomes another's.

#![allow(unsafe_code, reason = "lends out blocks, and grows them with the memory of their world")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use convoy_pool::MemoryError;

use crate::storage::component::Component;
use crate::storage::heap::{BlockError, Heap};
use crate::storage::history::Memory;
use crate::storage::list::{BlockPlace, Handle, List, ListHandle};
use crate::storage::names::name_of;
use crate::storage::{ComponentId, Entity, RegisterError};

use super::core::World;
use super::error::ComponentError;
use super::state::State;

/// Why a list has no room for more elements. It is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListError {
    /// A list has at most 128 MiB of elements, and a world 2^27 lists of one size of one component.
    TooLong {
        /// How many elements it would have had.
        elements: usize,
    },
    /// No memory for a larger block.
    Memory(MemoryError),
}

impl fmt::Display for ListError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { elements } => write!(
                formatter,
                "a list can't have {elements} elements: one has at most 128 MiB of them, and a world 2^27 lists of \
                 a size"
            ),
            Self::Memory(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for ListError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TooLong { .. } => None,
            Self::Memory(error) => Some(error),
        }
    }
}

/// Calls a function with the memory of a world, which is its alone meanwhile.
///
/// # Safety
///
/// The pointer is the one of its [`ListMemory`].
pub(crate) type WithMemory = unsafe fn(NonNull<()>, &mut dyn FnMut(&mut Memory));

/// How a list that was lent out gets at the memory of its world, when it grows.
#[derive(Clone, Copy)]
pub struct ListMemory {
    means: NonNull<()>,
    with: WithMemory,
}

impl ListMemory {
    /// # Safety
    ///
    /// `with` may be called with `means`, one call at a time on each thread, while lists are lent out with this.
    pub(crate) const unsafe fn new(means: NonNull<()>, with: WithMemory) -> Self {
        Self { means, with }
    }

    /// The memory of a world that is borrowed exclusively.
    ///
    /// # Safety
    ///
    /// The memory is exclusive, and nothing else refers to it while a list that was lent out with this grows.
    pub(crate) unsafe fn exclusive(memory: NonNull<Memory>) -> Self {
        unsafe fn with(means: NonNull<()>, each: &mut dyn FnMut(&mut Memory)) {
            // SAFETY: the pointer is that of `exclusive`, whose caller vouches for the memory.
            each(unsafe { means.cast::<Memory>().as_mut() });
        }
        // SAFETY: the caller's contract.
        unsafe { Self::new(memory.cast(), with) }
    }
}

/// The elements of the list of an entity, for writing: a slice that can grow and shrink, as a `Vec` does.
///
/// Made by [`World::list_mut`] and by queries with the term `&mut List<T>`. Elements lie side by side, in a block of a
/// power of two of them; a list that outgrows its block moves to one twice as large, and keeps it until the list goes.
///
/// ```
/// # use convoy_engine::World;
/// # use convoy_engine::list::List;
/// let mut world = World::new();
/// let squad = world.spawn((List::<u32>::new(),));
/// let mut members = world.list_mut::<u32>(squad).unwrap();
/// members.extend([3, 1, 2]);
/// members.sort();
/// members.insert(0, 9);
/// assert_eq!((members.pop(), members.remove(0), &*members), (Some(3), 9, &[1, 2][..]));
/// ```
pub struct ListMut<'a, T: Component> {
    handle: NonNull<ListHandle<T>>,
    elements: NonNull<T>,
    capacity: usize,
    heap: NonNull<Heap>,
    owner: Entity,
    memory: ListMemory,
    lent: PhantomData<&'a mut [T]>,
}

impl<'a, T: Component> ListMut<'a, T> {
    /// The list of a handle, whose block was made writable by [`Heap::own`].
    ///
    /// # Safety
    ///
    /// For `'a` the handle is a writable row of a list of `T`, that of `owner`, and this is the only one that refers to
    /// it or to the elements; the heap is the list's, moves nothing in the epoch that lasts for `'a`, and nothing else
    /// refers to it while a method of a list runs; the memory is that of the heap's world.
    #[inline]
    pub(crate) unsafe fn new(
        handle: NonNull<ListHandle<T>>,
        owner: Entity,
        heap: NonNull<Heap>,
        memory: ListMemory,
    ) -> Self {
        // SAFETY: the caller's contract.
        let place = unsafe { handle.as_ref() }.get().place;
        // SAFETY: the caller's contract.
        let held = unsafe { heap.as_ref() };
        let (elements, capacity) = (address(held, place), held.capacity(place));
        Self { handle, elements, capacity, heap, owner, memory, lent: PhantomData }
    }

    #[inline]
    fn len_mut(&mut self) -> &mut u32 {
        // SAFETY: the contract of `new`: only this refers to the handle.
        &mut unsafe { self.handle.as_mut() }.get_mut().len
    }

    #[inline]
    fn count(&self) -> usize {
        // SAFETY: as in `len_mut`.
        unsafe { self.handle.as_ref() }.get().len as usize
    }

    /// How many elements the list can have before it moves to a larger block.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The entity that has the list.
    #[must_use]
    pub fn owner(&self) -> Entity {
        self.owner
    }

    /// Makes room for `additional` more elements, so that adding them can't fail.
    ///
    /// ```
    /// # use convoy_engine::{World, WorldConfig};
    /// # use convoy_engine::list::List;
    /// let mut world = World::with_config(WorldConfig::default().memory_limit_bytes(1 << 20));
    /// let entity = world.spawn((List::<u64>::new(),));
    /// let mut list = world.list_mut::<u64>(entity).unwrap();
    /// assert!(list.try_reserve(100).is_ok());
    /// assert!(list.try_reserve(1_000_000).is_err() && list.try_reserve(usize::MAX).is_err());
    /// list.extend(0..100);
    /// ```
    ///
    /// # Errors
    ///
    /// When no block is so large, or there is no memory for it.
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), ListError> {
        if additional <= self.capacity - self.count() { Ok(()) } else { self.grow(additional) }
    }

    /// [`ListMut::try_reserve`] for elements that are added now.
    #[inline]
    #[track_caller]
    fn reserve(&mut self, additional: usize) {
        if additional > self.capacity - self.count() {
            self.grow_or_panic(additional);
        }
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn grow_or_panic(&mut self, additional: usize) {
        if let Err(error) = self.grow(additional) {
            panic!("the list of {} can't grow: {error}", self.owner);
        }
    }

    #[cold]
    fn grow(&mut self, additional: usize) -> Result<(), ListError> {
        let len = self.count();
        let elements = len.saturating_add(additional);
        let mut taken = Err(BlockError::TooLong);
        let (mut heap, owner) = (self.heap, self.owner);
        let ListMemory { means, with } = self.memory;
        let mut take = |memory: &mut Memory| {
            // SAFETY: the contract of `new`: nothing else refers to the heap now.
            taken = unsafe { heap.as_mut() }.take(elements.max(1), owner, memory);
        };
        // SAFETY: the means are those that `with` came with.
        unsafe { with(means, &mut take) };
        let place = taken.map_err(|error| match error {
            BlockError::TooLong => ListError::TooLong { elements },
            BlockError::Memory(error) => ListError::Memory(error),
        })?;
        // SAFETY: as above.
        let held = unsafe { self.heap.as_ref() };
        let (block, capacity) = (address(held, place), held.capacity(place));
        // SAFETY: the new block is larger and another one, and the old one has the elements.
        unsafe { ptr::copy_nonoverlapping(self.elements.as_ptr(), block.as_ptr(), len) };
        (self.elements, self.capacity) = (block, capacity);
        // SAFETY: as in `len_mut`.
        unsafe { self.handle.as_mut() }.get_mut().place = place;
        Ok(())
    }

    /// Adds an element at the end.
    ///
    /// # Panics
    ///
    /// Where [`try_reserve`](Self::try_reserve) of one element returns an error.
    #[inline]
    #[track_caller]
    pub fn push(&mut self, element: T) {
        self.reserve(1);
        let len = self.count();
        // SAFETY: the block has room for one more.
        let end = unsafe { self.elements.add(len) };
        // SAFETY: it does, and only this refers to it.
        unsafe { end.write(element) };
        *self.len_mut() += 1;
    }

    /// Takes the last element; `None` where there is none.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let last = *self.last()?;
        *self.len_mut() -= 1;
        Some(last)
    }

    /// Adds an element at `index`; those from there on move up.
    ///
    /// # Panics
    ///
    /// When `index` is beyond the end, and where [`push`](Self::push) does.
    #[track_caller]
    pub fn insert(&mut self, index: usize, element: T) {
        let len = self.count();
        assert!(index <= len, "index {index} is beyond the end of a list of {len}");
        self.push(element);
        self[index..].rotate_right(1);
    }

    /// Takes the element at `index`; those after it move down.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn remove(&mut self, index: usize) -> T {
        let element = self[index];
        self.copy_within(index + 1.., index);
        *self.len_mut() -= 1;
        element
    }

    /// Takes the element at `index`, whose place the last one gets.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn swap_remove(&mut self, index: usize) -> T {
        let last = self.count().saturating_sub(1);
        self.swap(index, last);
        *self.len_mut() -= 1;
        self.after_end()
    }

    /// The element that was the last one before the list got one shorter.
    fn after_end(&self) -> T {
        // SAFETY: the place after the last element was that of one.
        let end = unsafe { self.elements.add(self.count()) };
        // SAFETY: it holds a value still.
        unsafe { end.read() }
    }

    /// Keeps the elements for which `keep` returns true, in their order.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let mut kept = 0;
        for index in 0..self.count() {
            let element = self[index];
            if keep(&element) {
                self[kept] = element;
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Forgets the elements from `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len < self.count() {
            *self.len_mut() = len as u32;
        }
    }

    /// Forgets all elements. The block stays, for the next ones.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Adds elements at the end.
    ///
    /// # Panics
    ///
    /// Where [`try_reserve`](Self::try_reserve) of as many elements returns an error.
    #[track_caller]
    pub fn extend_from_slice(&mut self, elements: &[T]) {
        self.reserve(elements.len());
        // SAFETY: the block has room for them.
        let end = unsafe { self.elements.add(self.count()) };
        // SAFETY: it does; `elements` are not in the block, of which only this refers to.
        unsafe { ptr::copy_nonoverlapping(elements.as_ptr(), end.as_ptr(), elements.len()) };
        *self.len_mut() += elements.len() as u32;
    }
}

/// Where a block begins; any address that is aligned, where there is none.
#[inline]
fn address<T: Component>(heap: &Heap, place: BlockPlace) -> NonNull<T> {
    heap.address(place).map_or(NonNull::dangling(), NonNull::cast)
}

impl<T: Component> Deref for ListMut<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the block has as many elements, and only this refers to them.
        unsafe { slice::from_raw_parts(self.elements.as_ptr(), self.count()) }
    }
}

impl<T: Component> DerefMut for ListMut<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the block is writable.
        unsafe { slice::from_raw_parts_mut(self.elements.as_ptr(), self.count()) }
    }
}

impl<T: Component> Extend<T> for ListMut<'_, T> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        let elements = elements.into_iter();
        self.reserve(elements.size_hint().0);
        elements.for_each(|element| self.push(element));
    }
}

impl<'e, T: Component> Extend<&'e T> for ListMut<'_, T> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = &'e T>>(&mut self, elements: I) {
        self.extend(elements.into_iter().copied());
    }
}

impl<T: Component + fmt::Debug> fmt::Debug for ListMut<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl World {
    /// Makes a list of component `id`, which the entity has, have these elements, which were checked.
    pub(crate) fn set_list_bytes(
        &mut self,
        entity: Entity,
        id: ComponentId,
        elements: &[u8],
    ) -> Result<(), ComponentError> {
        let at = self.locate(entity)?;
        let Self { state: State { tables, heaps, .. }, catalog, memory, .. } = self;
        let (table, row) = (&mut tables[at.archetype.index()], at.row as usize);
        let position = table.position(id).expect("the entity has the list");
        let heap = heaps.get_mut(id).expect("a list has a heap");
        let count = elements.len() / heap.shape().size;
        let Handle { mut place, .. } = *table.column_at(position).rows(row + 1).get(row);
        table.own_value(position, row, memory)?;
        if heap.capacity(place) < count {
            place = heap.take(count, entity, memory).map_err(|error| match error {
                BlockError::TooLong => MemoryError::TooLarge { requested_bytes: elements.len() },
                BlockError::Memory(error) => error,
            })?;
        } else {
            heap.own(place, memory)?;
        }
        if count > 0 {
            heap.fill(place, elements, memory.now());
        }
        let handle = Handle { len: count as u32, place };
        let value = catalog.registry.value(id, bytemuck::bytes_of(&handle));
        let value = value.expect("all bytes of a handle are values");
        table.row_mut(position, row, memory.now()).write_bytes(value);
        Ok(())
    }
}

/// Blocks of each size that a sweep looks at before a list is lent out by itself.
const SWEPT_MAX: usize = 64;

impl World {
    /// Looks for blocks out of use, as far as those given out since the last time allow: before queries, which may
    /// take blocks and can't look for others meanwhile.
    pub(crate) fn sweep_heaps(&mut self) {
        if self.state.wants_sweep() && !self.role.is_partial() {
            self.state.sweep(usize::MAX);
        }
    }
}

/// # Lists
impl World {
    /// Registers the lists of `T`, or finds them registered, as bundles with a [`List`] do.
    ///
    /// # Errors
    ///
    /// As [`World::register`], for `T` and for the lists.
    pub fn register_list<T: Component>(&mut self) -> Result<ComponentId, RegisterError> {
        // Also where there is no value of the type: its elements have bytes.
        let _: List<T> = List::new();
        if let Some(id) = self.catalog.registry.list_of::<T>() {
            return Ok(id);
        }
        let id = Arc::make_mut(&mut self.catalog).registry.register_list::<T>()?;
        self.state.add_heaps(&self.catalog);
        Ok(id)
    }

    /// The list of `T` of `entity`, for writing. The chunks of its handle and of its elements are copied first
    /// where a snapshot shares them.
    ///
    /// In a replica that was synced with a part of its source, blocks out of use are not looked for, so lists that
    /// grow and shrink there take more memory until the next sync.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # use convoy_engine::list::List;
    /// let mut world = World::new();
    /// let bag = world.spawn((List::<u32>::new(),));
    /// world.list_mut::<u32>(bag).unwrap().extend([1, 2]);
    /// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    /// world.list_mut::<u32>(bag).unwrap().push(3);
    /// assert_eq!((view.list::<u32>(bag).unwrap(), world.list::<u32>(bag).unwrap().len()), (&[1, 2][..], 3));
    /// ```
    ///
    /// # Errors
    ///
    /// When the handle is stale, `entity` has no list of `T`, a replica was not synced with them, or memory runs out.
    pub fn list_mut<T: Component>(
        &mut self,
        entity: Entity,
    ) -> Result<ListMut<'_, T>, ComponentError> {
        let at = self.locate(entity)?;
        let list = self.catalog.registry.list_of::<T>();
        let table = &self.state.tables[at.archetype.index()];
        let place = list.and_then(|id| Some((id, table.position(id)?)));
        let component = name_of::<List<T>>;
        let Some((id, position)) = place else {
            return Err(ComponentError::Missing { entity, component: component() });
        };
        if !self.role.may_read(id) {
            return Err(ComponentError::NotReadable { component: component() });
        }
        if self.state.heaps.get(id).is_some_and(Heap::wants_sweep) && !self.role.is_partial() {
            self.state.sweep(SWEPT_MAX);
        }
        let memory = &mut self.memory;
        let table = &mut self.state.tables[at.archetype.index()];
        let handle =
            table.own_value(position, at.row as usize, memory)?.into_mut::<ListHandle<T>>();
        let handle = NonNull::from(handle);
        let heap = self.state.heaps.get_mut(id).expect("a list has a heap");
        // SAFETY: the row is borrowed with the world.
        heap.own(unsafe { handle.as_ref() }.get().place, memory)?;
        // SAFETY: the memory is borrowed with the world, and by nothing else meanwhile.
        let memory = unsafe { ListMemory::exclusive(NonNull::from(memory)) };
        // SAFETY: handle and block were made writable, and the world is borrowed exclusively for as long.
        Ok(unsafe { ListMut::new(handle, entity, NonNull::from(heap), memory) })
    }
}
