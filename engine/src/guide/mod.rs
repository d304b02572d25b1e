//! Pages by purpose: each shows one way to use Convoy, from the first line to its cost.

#[doc = include_str!("getting_started.md")]
pub mod getting_started {}

#[doc = include_str!("snapshots.md")]
pub mod snapshots {}

#[doc = include_str!("rollback.md")]
pub mod rollback {}

#[doc = include_str!("replication.md")]
pub mod replication {}

#[doc = include_str!("saving.md")]
pub mod saving {}

#[doc = include_str!("change_detection.md")]
pub mod change_detection {}

#[doc = include_str!("heap_profiling.md")]
pub mod heap_profiling {}
