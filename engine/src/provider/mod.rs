//! Providers: when to capture, and which readers join.
//!
//! One mechanism, the published snapshot cell, under three policies behind [`SnapshotProvider`].
//! All of them take `&self`: a provider may be shared, and its counters are behind a lock that
//! only the world's thread takes. Joining and leaving never come near it.

pub(crate) mod capturing;
pub(crate) mod contain;
mod generations;
mod member;
mod policies;
mod replica;
mod slow_readers;
mod traits;

pub use generations::WhenBusy;
pub use member::Member;
pub use policies::{DoubleBufferProvider, OnDemandProvider, SharedSnapshotProvider};
pub use replica::ReplicaProvider;
pub use slow_readers::{SlowReader, SlowReaderLimits, SlowReason};
pub use traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};
