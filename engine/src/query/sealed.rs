//! Seals the traits of queries: each has one of these above it, which no other crate can name. So
//! `unsafe` code may rely on their implementations, and their hidden methods may change. Each has
//! its own, as a reference to a type of a user's counts as a type of the user's: being a term must
//! not open the way to becoming a filter.

/// Above [`Terms`](super::Terms).
pub trait SealedTerms {}

/// Above [`ReadOnly`](super::ReadOnly).
pub trait SealedReadOnly {}

/// Above [`Filter`](super::Filter).
pub trait SealedFilter {}

/// Above [`Readable`](super::Readable).
pub trait SealedReadable {}
