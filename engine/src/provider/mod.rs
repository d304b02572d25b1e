//! Providers: when to capture, and who joins.
//!
//! One mechanism, the published snapshot cell, under three policies behind [`SnapshotProvider`].
//! All of them take `&self`: a provider may be shared, and its counters are behind a lock that
//! only the world's thread takes. Joining and leaving never come near it.

pub(crate) mod contain;
mod double_buffer;
mod generations;
mod member;
mod on_demand;
mod replica;
mod shared;
mod slow_readers;
mod traits;

pub use double_buffer::DoubleBufferProvider;
pub use generations::WhenBusy;
pub use member::Member;
pub use on_demand::OnDemandProvider;
pub use replica::ReplicaProvider;
pub use shared::SharedSnapshotProvider;
pub use slow_readers::{SlowReader, SlowReaderLimits, SlowReason};
pub use traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};
