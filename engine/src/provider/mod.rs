//! Providers: when to capture, and who joins.
//!
//! One mechanism, the published snapshot cell, under three policies behind [`SnapshotProvider`].
//! All of them take `&self`: a provider may be shared, and its counters are behind a lock that
//! only the world's thread takes. Joining and leaving never come near it.

mod double_buffer;
mod generations;
mod on_demand;
mod replica;
mod shared;
mod traits;

pub use double_buffer::DoubleBufferProvider;
pub use generations::WhenBusy;
pub use on_demand::OnDemandProvider;
pub use replica::ReplicaProvider;
pub use shared::SharedSnapshotProvider;
pub use traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};
