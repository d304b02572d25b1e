//! Slow readers: their limits, and the callback for snapshots that pass one.

use std::fmt;

use crate::storage::SnapshotUse;

use super::contain::Contained;

/// The cost of a snapshot past which its readers count as slow. No reader is slow by default.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use convoy_engine::provider::{SharedSnapshotProvider, SlowReaderLimits, SnapshotProvider};
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
///
/// let limits = SlowReaderLimits::default().lag_max(2);
/// let lag = Arc::new(AtomicU64::new(0));
/// let provider = SharedSnapshotProvider::new(ComponentMask::ALL, SnapshotPool::default())
///     .with_slow_readers(limits, {
///         let lag = Arc::clone(&lag);
///         move |slow| {
///             lag.store(slow.usage.lag, Ordering::Relaxed);
///         }
///     });
/// let mut world = World::new();
/// let view = provider.acquire(&mut world).unwrap();
/// for _ in 0..5 {
///     world.advance_tick();
///     provider.update(&mut world).unwrap();
/// }
/// assert_eq!(lag.load(Ordering::Relaxed), 3, "called once, on the first tick past the limit");
/// drop(view);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlowReaderLimits {
    lag_max: Option<u64>,
    retained_bytes_max: Option<usize>,
}

impl SlowReaderLimits {
    /// The most ticks from the capture of a snapshot until its last reader leaves; `None`, the
    /// default, sets no limit.
    #[must_use]
    pub fn lag_max(mut self, ticks: impl Into<Option<u64>>) -> Self {
        self.lag_max = ticks.into();
        self
    }

    /// The most bytes that a snapshot retains; `None`, the default, sets no limit.
    #[must_use]
    pub fn retained_bytes_max(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.retained_bytes_max = bytes.into();
        self
    }
}

/// The limit that a snapshot is past.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SlowReason {
    /// [`SlowReaderLimits::lag_max`].
    Lag,
    /// [`SlowReaderLimits::retained_bytes_max`].
    RetainedBytes,
}

/// A snapshot whose readers are slow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SlowReader {
    /// The limit that it is past.
    pub reason: SlowReason,
    /// The snapshot, its lag, its readers and the bytes that it retains.
    pub usage: SnapshotUse,
}

impl fmt::Display for SlowReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SnapshotUse { id, lag, readers, retained_bytes, .. } = self.usage;
        write!(
            formatter,
            "{readers} readers hold {id}, which is {lag} ticks old and retains {retained_bytes} \
             bytes"
        )
    }
}

/// The limits that a generation has passed, so that there is one call for each.
#[derive(Clone, Copy, Default)]
pub(super) struct Notified {
    lag: bool,
    retained_bytes: bool,
}

impl SlowReaderLimits {
    /// A limit that the snapshot is past and that was not notified before.
    pub(super) fn crossed(&self, usage: &SnapshotUse, past: &mut Notified) -> Option<SlowReason> {
        if !past.lag && self.lag_max.is_some_and(|most| usage.lag > most) {
            past.lag = true;
            return Some(SlowReason::Lag);
        }
        let most = self.retained_bytes_max;
        if !past.retained_bytes && most.is_some_and(|most| usage.retained_bytes > most) {
            past.retained_bytes = true;
            return Some(SlowReason::RetainedBytes);
        }
        None
    }
}

type Callback = dyn Fn(&SlowReader) + Send + Sync;

/// The limits and the callback.
pub(super) struct SlowReaders {
    pub(super) limits: SlowReaderLimits,
    pub(super) notify: Contained<Box<Callback>>,
}
