//! Queries that only read, on worlds and views.

use std::fmt;
use std::marker::PhantomData;

use crate::storage::Entity;
use crate::storage::epoch::Epoch;
use crate::world::change_mark::ChangeMark;
use crate::world::store::Store;

use super::cursor::count;
use super::error::{GetError, QueryError, or_panic};
use super::filter::Filter;
use super::iter::QueryIter;
use super::pass::Pass;
use super::plan::{Plan, Planned};
use super::random;
use super::terms::{ReadOnly, Terms};

/// A query that only reads, of a world or a view. Made by [`World::query`](crate::World::query), by a
/// view's `query` and by [`PreparedQuery::query`](crate::query::PreparedQuery::query); iterate it with `for`,
/// [`Query::iter`] or, fastest, [`Query::for_each`].
///
/// ```
/// # use convoy_engine::{Entity, World};
/// let mut world = World::new();
/// let entity = world.spawn((2_u32, 0.5_f32));
/// world.spawn((3_u32,));
/// let query = world.query::<(Entity, &u32, Option<&f32>)>();
/// assert_eq!(query.iter().len(), 2);
/// let rows: Vec<_> = query.iter().collect();
/// assert!(rows.contains(&(entity, &2, Some(&0.5))));
/// let mut sum = 0;
/// query.for_each(|(_, number, _)| sum += number);
/// assert_eq!(sum, 5);
/// ```
pub struct Query<'a, Q: Terms, F = ()> {
    planned: Planned<'a, Q>,
    pub(super) since: Epoch,
    filter: PhantomData<fn() -> F>,
}

impl<'a, Q: ReadOnly> Query<'a, Q> {
    pub(crate) fn scan(store: Store<'a>) -> Result<Self, QueryError> {
        Ok(Self::new(Planned::scan(store)?))
    }
}

impl<'a, Q: ReadOnly, F: Filter> Query<'a, Q, F> {
    #[inline]
    pub(super) fn new(planned: Planned<'a, Q>) -> Self {
        Self { planned, since: Epoch::BEFORE_ALL, filter: PhantomData }
    }

    #[inline]
    pub(super) fn plan(&self) -> Plan<'_, 'a, Q> {
        self.planned.plan()
    }

    #[inline]
    fn pass(&self) -> Pass<'_, 'a, Q, F> {
        Pass::reading(self.plan(), self.since)
    }

    /// Restricts the query to the entities that pass `G` as well.
    ///
    /// # Panics
    ///
    /// Where [`Query::try_filter`] returns an error.
    #[track_caller]
    pub fn filter<G: Filter>(self) -> Query<'a, Q, (F, G)> {
        or_panic(self.try_filter())
    }

    /// Restricts the query to the entities that pass `G` as well.
    ///
    /// # Errors
    ///
    /// When `G` looks at a column that may not be read: one that was not captured, synced, or
    /// declared by the reader. [`With`](crate::With) and [`Without`](crate::Without) look at none.
    pub fn try_filter<G: Filter>(self) -> Result<Query<'a, Q, (F, G)>, QueryError> {
        let Self { planned, since, .. } = self;
        G::check(&planned.store().catalog().registry, planned.store().readable())?;
        Ok(Query { planned: planned.filtered(), since, filter: PhantomData })
    }

    /// Counts only rows written after `mark` as changed or added, for the filters
    /// [`Changed`](crate::query::Changed) and [`Added`](crate::query::Added). Without a mark everything counts.
    ///
    /// # Panics
    ///
    /// Where [`Query::try_since`] returns an error.
    #[must_use]
    #[track_caller]
    pub fn since(self, mark: ChangeMark) -> Self {
        or_panic(self.try_since(mark))
    }

    /// Counts only rows written after `mark`, as [`Query::since`].
    ///
    /// # Errors
    ///
    /// When another world made the mark.
    pub fn try_since(mut self, mark: ChangeMark) -> Result<Self, QueryError> {
        self.since = epoch_of(mark, self.planned.store())?;
        Ok(self)
    }

    /// How many entities the query finds. The cost grows with archetypes, and with rows only where
    /// a filter decides on each of them.
    pub fn count(&self) -> usize {
        count::<Q, F>(&self.plan(), self.since)
    }

    /// An iterator of known length over every entity, in the order of archetypes and rows.
    pub fn iter(&self) -> QueryIter<'a, Q, F> {
        self.pass().iter()
    }

    /// Calls `each` for every entity, in the order of archetypes and rows.
    #[inline]
    pub fn for_each(&self, each: impl FnMut(Q::Item<'a>)) {
        self.pass().read_each(each);
    }

    /// Calls `each` for every run: the slices of the rows that lie in one chunk of every column
    /// the query reads, for loops written by hand. Runs come in the order of archetypes and rows.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn_columns((&[1.0_f32; 5000][..], &[2.0_f64; 5000][..])).unwrap();
    /// let mut rows = 0;
    /// world.query::<(&f32, &f64)>().for_each_run(|(narrow, wide)| {
    ///     assert_eq!(narrow.len(), wide.len());
    ///     rows += narrow.len();
    /// });
    /// assert_eq!(rows, 5000);
    /// ```
    #[inline]
    pub fn for_each_run(&self, each: impl FnMut(Q::Slices<'a>)) {
        self.pass().read_each_run(each);
    }

    /// The one entity that the query finds; `None` when there is none or more than one.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn((7_u32,));
    /// assert_eq!(world.query::<&u32>().single(), Some(&7));
    /// world.spawn((8_u32,));
    /// assert_eq!(world.query::<&u32>().single(), None);
    /// ```
    pub fn single(&self) -> Option<Q::Item<'a>> {
        self.pass().single().expect("reading takes no memory")
    }

    /// All items, sorted by a key. Allocates the list that it returns.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn_columns((&[3_u32, 1, 2][..],)).unwrap();
    /// assert_eq!(world.query::<&u32>().sorted_by_key(|&&number| number), [&1, &2, &3]);
    /// ```
    pub fn sorted_by_key<K: Ord>(&self, key: impl FnMut(&Q::Item<'a>) -> K) -> Vec<Q::Item<'a>> {
        self.pass().sorted_by_key(key).expect("reading takes no memory")
    }

    /// The item of one entity. In a prepared query as fast as the look-up of the handle and of the row
    /// allow, as nothing is asked about types.
    ///
    /// ```
    /// # use convoy_engine::query::GetError;
    /// # use convoy_engine::{With, World};
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
    /// handles may not be read.
    #[inline]
    pub fn get(&self, entity: Entity) -> Result<Q::Item<'a>, GetError> {
        self.get_many([entity]).map(|[item]| item)
    }

    /// The items of several entities at once.
    ///
    /// # Errors
    ///
    /// As [`Query::get`].
    #[inline]
    pub fn get_many<const N: usize>(
        &self,
        entities: [Entity; N],
    ) -> Result<[Q::Item<'a>; N], GetError> {
        random::read::<Q, F, N>(&self.plan(), self.since, entities)
    }
}

impl<'a, Q: ReadOnly, F: Filter> IntoIterator for Query<'a, Q, F> {
    type Item = Q::Item<'a>;
    type IntoIter = QueryIter<'a, Q, F>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<Q: Terms, F> fmt::Debug for Query<'_, Q, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Query").finish_non_exhaustive()
    }
}

/// The epoch after which changes count, when `mark` is of the world of `store`.
pub(super) fn epoch_of(mark: ChangeMark, store: &Store<'_>) -> Result<Epoch, QueryError> {
    if mark.world == store.world_id() { Ok(mark.epoch) } else { Err(QueryError::ForeignMark) }
}
