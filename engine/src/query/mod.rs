//! Queries: typed iteration over every table that has the wanted components.
//!
//! The [terms](Terms) of a query name the items that a loop receives, and [filters](Filter) the tables and
//! rows that it visits. Worlds, views, branches and replicas have the same queries, and all kinds of queries
//! have the same methods: loops over rows or over runs of slices, on one thread or on all, counts, single
//! rows, access by handle, sorting and filters. [`Query`] reads and [`QueryMut`] writes; those of a
//! [`SharedWorld`] write different columns at once; a [`PreparedQuery`] keeps the tables that it found;
//! described queries know their components at run time.
//!
//! ```
//! use convoy_engine::query::Changed;
//! use convoy_engine::{Entity, With, World};
//!
//! let mut world = World::new();
//! let entity = world.spawn((1_u32, 0.5_f32));
//! let mark = world.change_mark();
//! world.query_mut::<(&mut u32, Option<&f32>)>().for_each(|(number, _)| *number += 1);
//!
//! let changed = world.query::<(Entity, &u32)>().filter::<(Changed<u32>, With<f32>)>().since(mark);
//! assert_eq!(changed.iter().collect::<Vec<_>>(), [(entity, &2)]);
//! ```
//!
//! # Cost
//!
//! A query that isn't prepared looks at every table of its world once. Then it goes from run to run, the rows
//! that lie in one chunk of every column: some compares each, and a loop over plain slices inside. A write
//! copies a chunk that a snapshot shares, once.

// A query is two choices, which nothing else depends on:
//
// * its `plan`, which tables it visits: all that match, found by a scan, or those that a prepared query has
//   kept;
// * its `access`, how a run of rows opens: to read; to write, with the memory of the world at hand; to write
//   a world that is shared out, with that memory behind a lock; or apart, for the threads of a parallel pass.
//
// One `cursor` goes through the tables of a plan and, inside a table, run by run. A `pass` is a cursor with an
// access, and all kinds of queries are made of it: they have the same methods, run by the same loops.

pub(crate) mod access;
pub(crate) mod batch;
pub(crate) mod claims;
pub(crate) mod condition;
pub(crate) mod cursor;
pub(crate) mod described;
pub(crate) mod error;
pub(crate) mod filter;
pub(crate) mod has;
pub(crate) mod iter;
#[cfg(feature = "rayon")]
pub(crate) mod parallel;
pub(crate) mod pass;
pub(crate) mod plan;
pub(crate) mod prepared;
#[allow(clippy::module_inception, reason = "the module of `Query`")]
pub(crate) mod query;
pub(crate) mod query_mut;
pub(crate) mod random;
pub(crate) mod readable;
pub(crate) mod reader;
pub(crate) mod requirements;
pub(crate) mod sealed;
pub(crate) mod selection;
pub(crate) mod shared;
pub(crate) mod term_list;
mod term_option;
pub(crate) mod term_read;
pub(crate) mod term_write;
pub(crate) mod terms;
pub(crate) mod tuples;
pub(crate) mod writing;

pub use described::{
    DescribedQuery, DescribedQueryMut, DescribedRun, DescribedRunMut, DescribedRuns,
};
pub use error::{GetError, QueryError};
pub use filter::{Added, Changed, Filter, Or, With, Without};
pub use has::Has;
pub use iter::QueryIter;
pub use prepared::PreparedQuery;
pub use query::Query;
pub use query_mut::QueryMut;
pub use readable::Readable;
pub use reader::Reader;
pub use shared::{SharedQuery, SharedWorld};
pub use term_list::{ListRun, ListRunMut};
pub use terms::{ReadOnly, Terms};

pub use crate::world::change_mark::ChangeMark;
pub use crate::world::read_error::ReadError;
