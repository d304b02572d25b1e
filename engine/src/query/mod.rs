//! Queries: typed iteration over every table that has the wanted components.
//!
//! A query runs on anything that is [`Tables`]: the live world, a snapshot, and whatever else
//! offers archetypes with columns. It walks table by table and, inside a table, run by run: the
//! rows that lie in one chunk of every column it reads. The inner loop is over plain slices.

pub(crate) mod ahead;
pub(crate) mod batch;
pub(crate) mod condition;
pub(crate) mod described;
pub(crate) mod error;
pub(crate) mod fetch;
pub(crate) mod filter;
pub(crate) mod has;
#[cfg(feature = "rayon")]
pub(crate) mod parallel;
pub(crate) mod prepared;
pub(crate) mod prepared_iter;
pub(crate) mod random;
pub(crate) mod read;
pub(crate) mod reader;
pub(crate) mod sealed;
pub(crate) mod selection;
pub(crate) mod shared;
pub(crate) mod tables;
pub(crate) mod terms;
pub(crate) mod tuples;
pub(crate) mod write;
pub(crate) mod write_iter;
pub(crate) mod write_term;

pub use described::{DescribedQuery, DescribedRun, DescribedRuns};
pub use error::{GetError, QueryError};
pub use fetch::{ReadOnly, Terms};
pub use filter::{Added, Changed, Filter, Or, With, Without};
pub use has::Has;
#[cfg(feature = "rayon")]
pub use parallel::terms::ParallelTerms;
pub use prepared::{PreparedMut, PreparedQuery, PreparedRef};
pub use prepared_iter::{PreparedIter, PreparedIterMut};
pub use read::{Query, QueryIter};
pub use reader::Reader;
pub use shared::{SharedQuery, SharedWorld};
pub use tables::{TableRef, Tables};
pub use write::QueryMut;
pub use write_iter::QueryIterMut;
