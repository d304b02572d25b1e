//! Providers: when to capture, and which readers join.
//!
//! A [`SnapshotProvider`] is updated once a frame by the thread of the world, and readers on any thread
//! acquire its newest view. [`OnDemandProvider`] gives each reader a snapshot of its own,
//! [`SharedSnapshotProvider`] one to all that come before the next update, and [`DoubleBufferProvider`]
//! captures at every update. A [`ReplicaProvider`] serves views of a replica that it synchronizes.
//! [Hosts](crate::host) make providers for the modules of each rate.
//!
//! ```
//! use convoy_engine::provider::{SharedSnapshotProvider, SnapshotProvider};
//! use convoy_engine::{ComponentMask, SnapshotPool, World};
//!
//! let mut world = World::new();
//! let entity = world.spawn((1_u32,));
//! let provider = SharedSnapshotProvider::new(ComponentMask::ALL, SnapshotPool::for_world(&world));
//! provider.update(&mut world).unwrap();
//! let (first, second) = (provider.acquire(&mut world).unwrap(), provider.join().unwrap());
//! assert!(first.shares_with(&second));
//! ```

// One mechanism, the published snapshot cell, under three policies behind `SnapshotProvider`. All of them
// take `&self`: a provider may be shared, and its counters are behind a lock that only the world's thread
// takes. Joining and leaving never come near it.

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
