//! Queries: typed iteration over every table that has the wanted components.
//!
//! A query is two choices, which nothing else depends on:
//!
//! * its [`plan`], which tables it visits: all that match, found by a scan, or those that a prepared
//!   query has kept;
//! * its [`access`], how a run of rows opens: to read; to write, with the memory of the world at hand; to
//!   write a world that is shared out, with that memory behind a lock; or apart, for the threads of a
//!   parallel pass.
//!
//! One [`cursor`] goes through the tables of a plan and, inside a table, run by run: the rows that lie in
//! one chunk of every column of the query. The inner loop is over plain slices. A [`pass`] is a cursor
//! with an access, and all kinds of queries are made of it: they have the same methods, run by the same
//! loops. The [terms](terms) say what a loop receives, and [filters](filter) which of the tables and rows.

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
pub(crate) mod term_option;
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
pub use terms::{ReadOnly, Terms};
