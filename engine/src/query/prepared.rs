//! [`PreparedQuery`]: a query that keeps which archetypes it visits, and where their columns are.
//!
//! A plain query asks every table of the world whether it matches, and then looks its columns up. A
//! prepared one has done both before. It notices additions by the catalog's stamps: of archetypes
//! only those that were added are looked at, and when types were registered, or on another world,
//! it starts anew.

#![allow(unsafe_code, reason = "vouches for choices that were just made")]

use std::fmt;
use std::marker::PhantomData;

use crate::world::World;

use super::error::{QueryError, or_panic};
use super::filter::Filter;
use super::plan::Kept;
use super::query::Query;
use super::query_mut::QueryMut;
use super::readable::Readable;
use super::terms::{ReadOnly, Terms};

/// A query that is made once and run often, on any world or view: it keeps its matches.
///
/// [`PreparedQuery::query`] and [`PreparedQuery::query_mut`] bring it up to date, which costs a few
/// compares when nothing is new, and then visit only the archetypes that match. It pays where
/// archetypes are many and small, and for [`Query::get`] and [`QueryMut::get`] in loops.
/// Its lists grow with the archetypes and never shrink; in the
/// steady state nothing is allocated.
///
/// Changing between worlds, between a world and its views, or between views of different masks
/// makes it start anew each time: keep one for each.
///
/// ```
/// # use convoy_engine::query::PreparedQuery;
/// # use convoy_engine::{With, World};
/// let mut world = World::new();
/// let mut moving = PreparedQuery::<(&mut f32, &u32), With<u8>>::new();
/// world.spawn((1.0_f32, 2_u32, 3_u8));
/// moving.query_mut(&mut world).for_each(|(value, number)| *value += *number as f32);
/// world.spawn((1.0_f32, 4_u32, 5_u8, 6_u64)); // a new archetype, noticed by itself
/// moving.query_mut(&mut world).for_each(|(value, number)| *value += *number as f32);
///
/// let mut values = PreparedQuery::<&f32>::new();
/// values.query(&world).for_each(|&value| assert_eq!(value, 5.0));
/// assert_eq!(values.query(&world).count(), 2);
/// ```
pub struct PreparedQuery<Q: Terms, F = ()> {
    kept: Kept<Q>,
    filter: PhantomData<fn() -> F>,
}

impl<Q: Terms, F> Default for PreparedQuery<Q, F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Q: Terms, F> PreparedQuery<Q, F> {
    /// A query that is not prepared for anything yet.
    pub const fn new() -> Self {
        Self { kept: Kept::NONE, filter: PhantomData }
    }
}

impl<Q: Terms, F: Filter> PreparedQuery<Q, F> {
    /// The query on a world or a view, to read.
    ///
    /// # Panics
    ///
    /// Where [`PreparedQuery::try_query`] returns an error.
    #[inline]
    #[track_caller]
    pub fn query<'a>(&'a mut self, readable: &'a (impl Readable + ?Sized)) -> Query<'a, Q, F>
    where
        Q: ReadOnly,
    {
        or_panic(self.try_query(readable))
    }

    /// The query on a world or a view, to read. The cost is that of the archetypes that are new.
    ///
    /// # Errors
    ///
    /// When a component was not captured, not synced, or a view may not read it.
    #[inline]
    pub fn try_query<'a>(
        &'a mut self,
        readable: &'a (impl Readable + ?Sized),
    ) -> Result<Query<'a, Q, F>, QueryError>
    where
        Q: ReadOnly,
    {
        Ok(Query::new(self.kept.planned::<F>(readable.store())?))
    }

    /// The query on an exclusive world, to read and write.
    ///
    /// # Panics
    ///
    /// Where [`PreparedQuery::try_query_mut`] returns an error.
    #[inline]
    #[track_caller]
    pub fn query_mut<'a>(&'a mut self, world: &'a mut World) -> QueryMut<'a, Q, F> {
        or_panic(self.try_query_mut(world))
    }

    /// The query on an exclusive world, to read and write. The cost is that of the archetypes
    /// that are new.
    ///
    /// # Errors
    ///
    /// As [`World::try_query_mut`].
    #[inline]
    pub fn try_query_mut<'a>(
        &'a mut self,
        world: &'a mut World,
    ) -> Result<QueryMut<'a, Q, F>, QueryError> {
        let choice = self.kept.choice::<F>(&world.store())?;
        // SAFETY: the choice was just made for the world.
        Ok(unsafe { QueryMut::resumed(world, choice) })
    }
}

impl<Q: Terms, F> fmt::Debug for PreparedQuery<Q, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PreparedQuery")
            .field("prepared", &self.kept.is_prepared())
            .field("archetypes", &self.kept.match_count())
            .finish_non_exhaustive()
    }
}
