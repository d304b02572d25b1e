//! Random access: the rows of single entities, by their handles, in the shape of a query.
//!
//! A look-up goes from the handle to the table and row of the entity, checks that the query visits
//! that table, and starts a run of one row. A prepared query knows the columns already.

#![allow(unsafe_code, reason = "hands out fetched rows")]

use convoy_pool::MemoryError;

use crate::storage::Entity;
use crate::storage::history::Memory;
use crate::storage::table::Table;
use crate::world::World;
use crate::world::index::Location;

use super::error::GetError;
use super::fetch::{ReadOnly, Terms, not_visited};
use super::filter::Filter;
use super::prepared::{PreparedMut, PreparedRef};
use super::read::{self, Query};
use super::selection::Selection;
use super::tables::{TableRef, Tables};
use super::write::{self, QueryMut};

/// Where a living entity is.
#[inline]
fn locate<S: Tables + ?Sized>(tables: &S, entity: Entity) -> Result<Location, GetError> {
    tables.locate(entity)?.ok_or(GetError::NotAlive { entity })
}

/// The item of one row, if the selection does not leave it out.
///
/// # Safety
///
/// `place` was found in a table of the same archetype, in a store of the same layout, and the
/// selection is the table's.
#[inline]
unsafe fn item_at<'a, Q: ReadOnly, F: Filter>(
    place: Q::Place,
    table: TableRef<'a>,
    selection: Option<Selection<F>>,
    (entity, row): (Entity, u32),
) -> Result<Q::Item<'a>, GetError> {
    let row = row as usize;
    assert!(row < table.rows(), "the index names a row of the table");
    // SAFETY: the caller's contract, and the table has the row; terms that only read may coexist.
    let item = unsafe { read::item::<Q, F>(place, table, selection, row) };
    item.ok_or(GetError::Filtered { entity })
}

/// Checks that what decides row by row passes the row.
fn check_selected<F: Filter>(
    table: &TableRef<'_>,
    selection: Option<Selection<F>>,
    (entity, row): (Entity, u32),
) -> Result<(), GetError> {
    let row = row as usize;
    assert!(row < table.rows(), "the index names a row of the table");
    match selection {
        // SAFETY: the table is borrowed and has the row.
        Some(selection) if !unsafe { selection.selects(row) } => Err(GetError::Filtered { entity }),
        _ => Ok(()),
    }
}

/// Makes one row writable and returns where it is.
///
/// # Safety
///
/// `place` was found in a live table of the same archetype, and `memory` is the table's and
/// exclusive.
#[inline]
unsafe fn own_row<Q: Terms>(
    place: Q::Place,
    table: &mut Table,
    row: u32,
    memory: *mut Memory,
) -> Result<Q::Run, MemoryError> {
    let row = row as usize;
    assert!(row < table.rows(), "the index names a row of the table");
    // SAFETY: the caller's contract, and the table has the row.
    unsafe { write::own_row::<Q>(place, table, row, memory) }
}

/// Checks that no entity is asked for twice.
fn check_distinct(entities: &[Entity]) -> Result<(), GetError> {
    for (index, &entity) in entities.iter().enumerate() {
        if entities[..index].contains(&entity) {
            return Err(GetError::Duplicate { entity });
        }
    }
    Ok(())
}

/// The items of several rows, all of which are found and made writable before the first is handed
/// out.
fn items_of<'w, Q: Terms, const N: usize>(
    world: &'w mut World,
    entities: [Entity; N],
    find: impl Fn(&World, Entity) -> Result<(Location, Q::Place), GetError>,
) -> Result<[Q::Item<'w>; N], GetError> {
    check_distinct(&entities)?;
    for entity in entities {
        find(world, entity)?;
    }
    let memory = &raw mut world.memory;
    let mut runs = [None; N];
    for (entity, run) in entities.into_iter().zip(&mut runs) {
        let (at, place) = find(world, entity)?;
        let table = &mut world.tables[at.archetype.index()];
        // SAFETY: `find` found the place in this archetype, and the memory is the world's, which is
        // borrowed exclusively.
        *run = Some(unsafe { own_row::<Q>(place, table, at.row, memory)? });
    }
    Ok(runs.map(|run| {
        let run = run.expect("a run was started for every entity");
        // SAFETY: the run has a row, which is owned. Rows that are owned stay where they are while
        // others are made writable, and all are of different entities.
        unsafe { Q::item(run, 0) }
    }))
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly, F: Filter> Query<'a, S, Q, F> {
    /// The item of one entity.
    ///
    /// ```
    /// # use convoy_engine::{GetError, With, World};
    /// let mut world = World::new();
    /// let ship = world.spawn((1_u32, 0.5_f32));
    /// assert_eq!(world.query::<(&u32, &f32)>().get(ship).unwrap(), (&1, &0.5));
    /// let error = world.query::<&u32>().filter::<With<u8>>().get(ship).unwrap_err();
    /// assert!(matches!(error, GetError::Filtered { entity } if entity == ship));
    /// ```
    ///
    /// # Errors
    ///
    /// When the handle is stale, the entity lacks a component or does not pass the filter, or the
    /// handles were not captured.
    pub fn get(&self, entity: Entity) -> Result<Q::Item<'a>, GetError> {
        let at = locate(self.tables, entity)?;
        let table = self.tables.table(at.archetype.index());
        if !self.visits(&table) {
            let registry = &self.tables.catalog().registry;
            return Err(not_visited(&self.access, registry, &table, entity));
        }
        let place = Q::place(self.resolved, &table);
        // SAFETY: the place was found in this table, and the selection is its own.
        unsafe { item_at::<Q, F>(place, table, self.selection(&table), (entity, at.row)) }
    }
}

impl<Q: Terms, F: Filter> QueryMut<'_, Q, F> {
    /// The item of one entity, for reading and writing. A chunk that a snapshot shares is copied
    /// first.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// let ship = world.spawn((1_u32, 0.5_f32));
    /// let mut query = world.query_mut::<(&mut u32, &f32)>();
    /// *query.get(ship).unwrap().0 += 1;
    /// assert_eq!(world.query::<&u32>().get(ship).unwrap(), &2);
    /// ```
    ///
    /// # Errors
    ///
    /// When the handle is stale, the entity lacks a component or does not pass the filter, or
    /// memory runs out. The world is unchanged.
    pub fn get(&mut self, entity: Entity) -> Result<Q::Item<'_>, GetError> {
        self.get_many_mut([entity]).map(|[item]| item)
    }

    /// The items of several entities at once, for reading and writing.
    ///
    /// ```
    /// # use convoy_engine::{GetError, World};
    /// let mut world = World::new();
    /// let [one, other] = [1_u32, 2].map(|number| world.spawn((number,)));
    /// let mut query = world.query_mut::<&mut u32>();
    /// let [first, second] = query.get_many_mut([one, other]).unwrap();
    /// std::mem::swap(first, second);
    /// let error = query.get_many_mut([one, other, one]).unwrap_err();
    /// assert!(matches!(error, GetError::Duplicate { entity } if entity == one));
    /// assert_eq!(*world.get::<u32>(one).unwrap(), 2);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`QueryMut::get`], and when an entity is named twice. The world is unchanged.
    pub fn get_many_mut<const N: usize>(
        &mut self,
        entities: [Entity; N],
    ) -> Result<[Q::Item<'_>; N], GetError> {
        let (resolved, access, since) = (self.resolved, self.access, self.since);
        let (world, _) = self.parts();
        items_of::<Q, N>(world, entities, |world, entity| {
            let at = locate(world, entity)?;
            let table = world.table(at.archetype.index());
            let registry = &world.catalog.registry;
            if !access.matches(table.mask()) || !F::passes(registry, table.mask()) {
                return Err(not_visited(&access, registry, &table, entity));
            }
            let selection = Selection::<F>::bind(&table, registry, &access, since);
            check_selected(&table, selection, (entity, at.row))?;
            Ok((at, Q::place(resolved, &table)))
        })
    }

    /// The one entity that the query finds; `None` when there is none or more than one.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn((7_u32,));
    /// *world.query_mut::<&mut u32>().single().unwrap() += 1;
    /// assert_eq!(world.query::<&u32>().single(), Some(&8));
    /// world.spawn((8_u32,));
    /// assert_eq!(world.query_mut::<&mut u32>().single(), None);
    /// ```
    ///
    /// # Panics
    ///
    /// When memory runs out for copying a chunk that a snapshot shares.
    #[track_caller]
    pub fn single(&mut self) -> Option<Q::Item<'_>> {
        let mut iter = self.iter();
        if iter.len() == 1 { iter.next() } else { None }
    }

    /// All items, sorted by a key. Allocates the list that it returns.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn_columns((&[3_u32, 1, 2][..],)).unwrap();
    /// let mut query = world.query_mut::<&mut u32>();
    /// for (rank, number) in query.sorted_by_key(|number| **number).into_iter().enumerate() {
    ///     *number = 10 * rank as u32;
    /// }
    /// assert!(world.query::<&u32>().iter().eq(&[20, 0, 10]));
    /// ```
    ///
    /// # Panics
    ///
    /// When memory runs out for copying a chunk that a snapshot shares.
    #[track_caller]
    pub fn sorted_by_key<K: Ord>(
        &mut self,
        key: impl FnMut(&Q::Item<'_>) -> K,
    ) -> Vec<Q::Item<'_>> {
        let iter = self.iter();
        let mut items = Vec::with_capacity(iter.len());
        // Not by `collect`, in which a panic would be a panic of the standard library.
        for item in iter {
            items.push(item);
        }
        items.sort_by_key(key);
        items
    }
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly, F: Filter> PreparedRef<'_, 'a, S, Q, F> {
    /// The item of one entity, without a look at the types: as fast as the look-up of the handle
    /// and of the row allow.
    ///
    /// ```
    /// # use convoy_engine::{PreparedQuery, World};
    /// let mut world = World::new();
    /// let ship = world.spawn((1_u32, 0.5_f32));
    /// let mut numbers = PreparedQuery::<&u32>::new();
    /// let numbers = numbers.query(&world);
    /// assert_eq!(numbers.get(ship).unwrap(), &1);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Query::get`].
    #[inline]
    pub fn get(&self, entity: Entity) -> Result<Q::Item<'a>, GetError> {
        let at = locate(self.tables, entity)?;
        let table = self.tables.table(at.archetype.index());
        match self.query.place_in(at.archetype) {
            // SAFETY: the query is up to date, so the place was found in this archetype, and the
            // selection is the table's.
            Some(place) => unsafe {
                item_at::<Q, F>(place, table, self.selection(&table), (entity, at.row))
            },
            None => Err(self.query.not_visited(self.tables, &table, entity)),
        }
    }
}

impl<Q: Terms, F: Filter> PreparedMut<'_, '_, Q, F> {
    /// The item of one entity, for reading and writing. A chunk that a snapshot shares is copied
    /// first.
    ///
    /// # Errors
    ///
    /// As [`QueryMut::get`].
    #[inline]
    pub fn get(&mut self, entity: Entity) -> Result<Q::Item<'_>, GetError> {
        self.get_many_mut([entity]).map(|[item]| item)
    }

    /// The items of several entities at once, for reading and writing, as
    /// [`QueryMut::get_many_mut`].
    ///
    /// # Errors
    ///
    /// As [`QueryMut::get_many_mut`].
    #[inline]
    pub fn get_many_mut<const N: usize>(
        &mut self,
        entities: [Entity; N],
    ) -> Result<[Q::Item<'_>; N], GetError> {
        let (query, since) = (self.query, self.since);
        items_of::<Q, N>(self.world, entities, |world, entity| {
            let at = locate(world, entity)?;
            let table = world.table(at.archetype.index());
            let Some(place) = query.place_in(at.archetype) else {
                return Err(query.not_visited(world, &table, entity));
            };
            let selection = query.selection(&table, &world.catalog.registry, since);
            check_selected(&table, selection, (entity, at.row))?;
            Ok((at, place))
        })
    }
}
