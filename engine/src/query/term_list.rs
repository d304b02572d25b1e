//! The terms of lists: `&List<T>`, whose items are slices, and `&mut List<T>`, whose items can grow as well.
//!
//! A run of lists is one of their handles. Before lists are lent out for writing, handles and blocks of the whole run
//! are made writable ([`Terms::open_lists`]), so that none of them moves while others are opened or grow.

#![allow(unsafe_code, reason = "lends out the lists of raw handles")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

use convoy_pool::{ChunkPtr, MemoryError};

use crate::storage::column::RawColumn;
use crate::storage::component::Component;
use crate::storage::epoch::Epoch;
use crate::storage::heap::Heap;
use crate::storage::history::Memory;
use crate::storage::list::{List, ListHandle};
use crate::storage::{ComponentId, Entity};
use crate::world::list_mut::{ListMemory, ListMut};
use crate::world::lists::{Lists, SmallBlocks};
use crate::world::store::{ColumnPlace, Store, TableRef};

use super::error::{QueryError, not_readable};
use super::requirements::{Claim, Requirements};
use super::sealed::{SealedReadOnly, SealedTerms};
use super::term_option::ComponentTerm;
use super::term_write::{WriteColumn, WriteRun};
use super::terms::{ReadOnly, Rest, Terms, reads_only, row_ptr};

/// The lists of a run of rows, one for each: what [`Query::for_each_run`](super::Query::for_each_run) lends of
/// `&List<T>`.
///
/// ```
/// # use convoy_engine::World;
/// # use convoy_engine::list::List;
/// let mut world = World::new();
/// let bag = world.spawn((List::<u32>::new(),));
/// world.list_mut::<u32>(bag).unwrap().extend([1, 2]);
/// world.query::<&List<u32>>().for_each_run(|run| {
///     assert_eq!((run.len(), run.get(0)), (1, Some(&[1, 2][..])));
///     assert_eq!(run.iter().map(<[u32]>::len).sum::<usize>(), 2);
/// });
/// ```
pub struct ListRun<'a, T> {
    run: ReadLists<T>,
    rows: usize,
    lists: PhantomData<&'a T>,
}

impl<T> Clone for ListRun<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ListRun<'_, T> {}

impl<'a, T: Component> ListRun<'a, T> {
    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The elements of the list at `row`; `None` beyond the last one.
    pub fn get(&self, row: usize) -> Option<&'a [T]> {
        // SAFETY: the row is in the run, whose items may coexist.
        (row < self.rows).then(|| unsafe { <&List<T> as Terms>::item(self.run, row) })
    }

    /// The elements of each list, in the order of rows.
    pub fn iter(&self) -> impl Iterator<Item = &'a [T]> {
        let run = *self;
        (0..self.rows).filter_map(move |row| run.get(row))
    }
}

impl<T> fmt::Debug for ListRun<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ListRun").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// The lists of a run of rows, one for each, for writing.
///
/// ```
/// # use convoy_engine::World;
/// # use convoy_engine::list::List;
/// let mut world = World::new();
/// let bag = world.spawn((List::<u32>::new(),));
/// world.query_mut::<&mut List<u32>>().for_each_run(|mut run| {
///     run.iter_mut().for_each(|mut list| list.push(7));
///     assert!(run.get_mut(1).is_none());
/// });
/// assert_eq!(world.list::<u32>(bag).unwrap(), [7]);
/// ```
pub struct ListRunMut<'a, T> {
    run: WriteLists<T>,
    rows: usize,
    lists: PhantomData<&'a mut T>,
}

impl<T: Component> ListRunMut<'_, T> {
    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The list at `row`; `None` beyond the last one.
    pub fn get_mut(&mut self, row: usize) -> Option<ListMut<'_, T>> {
        // SAFETY: the row is in the run, and the borrow bars another item of it.
        (row < self.rows).then(|| unsafe { <&mut List<T> as Terms>::item(self.run, row) })
    }

    /// Each list, in the order of rows.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = ListMut<'_, T>> {
        let run = self.run;
        // SAFETY: the rows are in the run, each comes once, and the borrow bars other items.
        (0..self.rows).map(move |row| unsafe { <&mut List<T> as Terms>::item(run, row) })
    }
}

impl<T> fmt::Debug for ListRunMut<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ListRunMut").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// The columns of handles, and the elements that they name.
pub struct ListColumn {
    handles: RawColumn,
    /// Of the store, for as long as the pass.
    lists: Lists<'static>,
    small: SmallBlocks,
}

impl Clone for ListColumn {
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for ListColumn {}

/// Where the lists of one run are, for reading.
pub struct ReadLists<T> {
    handles: *const ListHandle<T>,
    lists: Lists<'static>,
    small: SmallBlocks,
}

impl<T> Clone for ReadLists<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ReadLists<T> {}

impl<T: Component> SealedTerms for &List<T> {}
impl<T: Component> SealedReadOnly for &List<T> {}

// SAFETY: hands out shared elements of the lists of the bound column only, and claims to read it.
unsafe impl<T: Component> Terms for &List<T> {
    type Item<'a> = &'a [T];
    type Slices<'a> = ListRun<'a, T>;
    type Resolved = Option<ComponentId>;
    type Place = ColumnPlace;
    type Bound = ListColumn;
    type Run = ReadLists<T>;
    type Local = ReadLists<T>;

    #[inline(always)]
    fn claims(each: &mut impl FnMut(Claim)) {
        each(Claim::of::<ListHandle<T>>(false));
    }

    fn resolve(
        store: &Store<'_>,
        requirements: &mut Requirements,
    ) -> Result<Self::Resolved, QueryError> {
        <&ListHandle<T>>::resolve(store, requirements)
    }

    #[inline]
    fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place {
        <&ListHandle<T>>::place(resolved, table)
    }

    #[inline]
    unsafe fn bind(place: Self::Place, table: &TableRef<'_>) -> Self::Bound {
        let lists = table.lists(place).expect("the column is one of lists");
        let (handles, small) = (table.column(place), lists.small());
        // SAFETY: the caller's contract: the table, and the elements with it, are borrowed as long as this is used.
        ListColumn { handles, lists: unsafe { lists.unbound() }, small }
    }

    #[inline]
    fn run_log2(bound: &Self::Bound) -> u8 {
        bound.handles.rows_log2
    }

    #[inline]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, _: Epoch) -> Option<Self::Run> {
        // SAFETY: the caller's contract, and `bind` found the column of the handles.
        let handles = unsafe { row_ptr(bound.handles, row) };
        Some(ReadLists { handles, lists: bound.lists, small: bound.small })
    }

    #[inline]
    unsafe fn item<'a>(run: Self::Run, index: usize) -> &'a [T] {
        // SAFETY: the index is in the run, so the row is in its chunk.
        let handle = unsafe { run.handles.add(index) };
        // SAFETY: `frozen` in a snapshot, the query's borrow in a world; rows hold values (`valued`).
        let handle = unsafe { &*handle };
        // SAFETY: the handle is the store's, which the query borrows.
        match unsafe { run.small.get(handle) } {
            Some(elements) => elements,
            None => run.lists.get_large(handle),
        }
    }

    #[inline]
    unsafe fn slices<'a>(run: Self::Run, rows: usize) -> Self::Slices<'a> {
        ListRun { run, rows, lists: PhantomData }
    }

    #[inline]
    unsafe fn load(run: Self::Run, index: usize) -> Self::Local {
        // SAFETY: the index is in the run, so the row is in its chunk.
        ReadLists { handles: unsafe { run.handles.add(index) }, ..run }
    }

    #[inline]
    unsafe fn lend<'a>(local: *mut Self::Local) -> &'a [T] {
        // SAFETY: `local` is valid by contract.
        let run = unsafe { *local };
        // SAFETY: `load` made a run that starts with the row.
        unsafe { Self::item(run, 0) }
    }

    reads_only!();
}

// SAFETY: claims to read; items are shared slices.
unsafe impl<T: Component> ReadOnly for &List<T> {}

impl<T: Component> ComponentTerm for &List<T> {
    type Component = ListHandle<T>;
    const WRITES: bool = false;
}

/// A column of handles to write, the entities that have them, and the blocks that they name.
pub struct ListColumnMut<T> {
    handles: WriteColumn<ListHandle<T>>,
    entities: RawColumn,
    heap: NonNull<Heap>,
}

impl<T> Clone for ListColumnMut<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ListColumnMut<T> {}

/// Where the lists of one run are, for writing.
pub struct WriteLists<T> {
    handles: WriteRun<ListHandle<T>>,
    entities: *const Entity,
    heap: NonNull<Heap>,
    /// Noted when the lists were made writable.
    memory: Option<ListMemory>,
}

impl<T> Clone for WriteLists<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for WriteLists<T> {}

/// No list is lent out from a row in flight.
#[derive(Clone, Copy, Debug)]
pub enum NeverInFlight {}

/// The term that makes handles writable.
type Handles<'h, T> = &'h mut ListHandle<T>;

impl<T: Component> WriteLists<T> {
    /// # Safety
    ///
    /// `row` is in the bound table, and `handles` begin there.
    #[inline]
    unsafe fn new(bound: &ListColumnMut<T>, row: usize, handles: WriteRun<ListHandle<T>>) -> Self {
        // SAFETY: the caller's contract; all tables have a column of entities.
        let entities = unsafe { row_ptr(bound.entities, row) };
        Self { handles, entities, heap: bound.heap, memory: None }
    }
}

impl<T: Component> SealedTerms for &mut List<T> {}

// SAFETY: hands out each list of the bound column once per pass, after its handle and its block were made writable, and
// claims to write it, so that no other term reaches it. Lists of different rows have no block in common.
unsafe impl<T: Component> Terms for &mut List<T> {
    type Item<'a> = ListMut<'a, T>;
    type Slices<'a> = ListRunMut<'a, T>;
    type Resolved = Option<ComponentId>;
    type Place = ColumnPlace;
    type Bound = ListColumnMut<T>;
    type Run = WriteLists<T>;
    type Replaced = Option<ChunkPtr>;
    type Local = NeverInFlight;

    const NONE_REPLACED: Option<ChunkPtr> = None;
    const WRITES_LISTS: bool = true;

    #[inline(always)]
    fn claims(each: &mut impl FnMut(Claim)) {
        each(Claim::of::<ListHandle<T>>(true));
    }

    fn resolve(
        store: &Store<'_>,
        requirements: &mut Requirements,
    ) -> Result<Self::Resolved, QueryError> {
        if !store.readable().contains(ComponentId::ENTITY) {
            // A list that grows tells its block who has it.
            return Err(not_readable::<Entity>());
        }
        Handles::<T>::resolve(store, requirements)
    }

    #[inline]
    fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place {
        Handles::<T>::place(resolved, table)
    }

    #[inline]
    unsafe fn bind(place: Self::Place, table: &TableRef<'_>) -> Self::Bound {
        let entities = table.place(ComponentId::ENTITY).expect("every table has an entity column");
        ListColumnMut {
            // SAFETY: the caller's contract.
            handles: unsafe { Handles::<T>::bind(place, table) },
            entities: table.column(entities),
            heap: table.heap_to_write(place).expect("the column is one of lists"),
        }
    }

    #[inline]
    fn run_log2(bound: &Self::Bound) -> u8 {
        let entities = bound.entities.rows_log2;
        Handles::<T>::run_log2(&bound.handles).min(entities)
    }

    #[inline]
    unsafe fn start_owned(bound: &Self::Bound, row: usize, epoch: Epoch) -> Option<Self::Run> {
        // SAFETY: the caller's contract.
        let handles = unsafe { Handles::<T>::start_owned(&bound.handles, row, epoch) }?;
        // SAFETY: the caller's contract.
        Some(unsafe { WriteLists::new(bound, row, handles) })
    }

    #[inline]
    unsafe fn prepare(
        bound: &Self::Bound,
        row: usize,
        rest: Rest,
        memory: *mut Memory,
    ) -> Result<(), MemoryError> {
        // SAFETY: the caller's contract.
        unsafe { Handles::<T>::prepare(&bound.handles, row, rest, memory) }
    }

    #[inline]
    unsafe fn start(
        bound: &Self::Bound,
        run: Range<usize>,
        live: usize,
        rest: (Rest, &mut Option<ChunkPtr>),
        memory: *mut Memory,
    ) -> Self::Run {
        let row = run.start;
        // SAFETY: the caller's contract.
        let handles = unsafe { Handles::<T>::start(&bound.handles, run, live, rest, memory) };
        // SAFETY: the caller's contract.
        unsafe { WriteLists::new(bound, row, handles) }
    }

    unsafe fn open_lists(
        run: &mut Self::Run,
        rows: usize,
        (memory, lists): (&mut Memory, ListMemory),
    ) -> Result<(), MemoryError> {
        run.memory = Some(lists);
        for index in 0..rows {
            // SAFETY: the row is in the run, which is writable and was copied.
            let place = unsafe { Handles::<T>::item(run.handles, index) }.get().place;
            // SAFETY: the query has the heap exclusively, and no list uses it now.
            unsafe { run.heap.as_mut() }.own(place, memory)?;
        }
        Ok(())
    }

    #[inline]
    fn is_shared(run: &Self::Run) -> bool {
        Handles::<T>::is_shared(&run.handles)
    }

    #[inline]
    unsafe fn copy(run: Self::Run, from: usize, to: usize) {
        // SAFETY: the caller's contract.
        unsafe { Handles::<T>::copy(run.handles, from, to) };
    }

    #[inline]
    unsafe fn item<'a>(run: Self::Run, index: usize) -> ListMut<'a, T> {
        // SAFETY: the caller's contract.
        let handle = NonNull::from(unsafe { Handles::<T>::item(run.handles, index) });
        // SAFETY: the index is in the run, which lies in one chunk of entities.
        let owner = unsafe { run.entities.add(index) };
        // SAFETY: rows hold values (`valued`), and nobody writes handles of entities while a query runs.
        let owner = unsafe { *owner };
        let memory = run.memory.expect("the lists of a run are opened first");
        // SAFETY: handle and block are writable for as long as the pass, and no other item of the row is alive.
        unsafe { ListMut::new(handle, owner, run.heap, memory) }
    }

    #[inline]
    unsafe fn slices<'a>(run: Self::Run, rows: usize) -> Self::Slices<'a> {
        ListRunMut { run, rows, lists: PhantomData }
    }

    unsafe fn load(_: Self::Run, _: usize) -> NeverInFlight {
        unreachable!("the runs of terms that write lists are copied before they are visited")
    }

    unsafe fn lend<'a>(local: *mut NeverInFlight) -> ListMut<'a, T> {
        // SAFETY: `local` is valid by contract, so there is none.
        match unsafe { *local } {}
    }

    unsafe fn store(_: Self::Run, _: usize, local: NeverInFlight) {
        match local {}
    }
}

impl<T: Component> ComponentTerm for &mut List<T> {
    type Component = ListHandle<T>;
    const WRITES: bool = true;
}
