//! [`CapturingProvider`]: captures the world by one of three policies.

use std::sync::{Mutex, PoisonError};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::{ComponentMask, SnapshotUse};
use crate::world::World;

use super::generations::{Generations, Opener, WhenBusy};
use super::member::Member;
use super::slow_readers::{SlowReader, SlowReaderLimits};
use super::traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};

/// Captures into cells of a pool, and lets readers join the published snapshot as its policy says.
pub(crate) struct CapturingProvider {
    pub(super) generations: Generations,
    pub(super) policy: Policy,
}

/// When a provider captures, and which readers share a snapshot.
pub(crate) enum Policy {
    /// Captures at every update, and holds the newest snapshot itself.
    DoubleBuffer { newest: Mutex<Option<View>> },
    /// Captures at every acquire, for that reader alone.
    OnDemand,
    /// Captures at the first acquire; later ones join.
    Shared(WhenBusy),
}

impl Policy {
    pub(crate) fn double_buffer() -> Self {
        Self::DoubleBuffer { newest: Mutex::new(None) }
    }
}

impl CapturingProvider {
    pub(crate) fn new(policy: Policy, mask: ComponentMask, pool: SnapshotPool) -> Self {
        let own_views = usize::from(matches!(policy, Policy::DoubleBuffer { .. }));
        Self { generations: Generations::new(mask, pool, own_views), policy }
    }

    #[must_use]
    pub(crate) fn with_slow_readers(
        mut self,
        limits: SlowReaderLimits,
        notify: impl Fn(&SlowReader) + Send + Sync + 'static,
    ) -> Self {
        self.generations.set_slow_readers(limits, notify);
        self
    }

    /// Captures `mask` from the next snapshot on.
    pub(crate) fn set_mask(&self, mask: ComponentMask) {
        self.generations.set_mask(mask);
    }

    /// Captures and publishes a snapshot.
    fn capture(&self, world: &mut World, reader: Option<&Member>) -> Result<View, AcquireError> {
        let opener = match (&self.policy, reader) {
            (Policy::DoubleBuffer { .. }, _) => Opener::Provider,
            (_, Some(member)) => Opener::Member(member),
            (_, None) => Opener::Anybody,
        };
        let captured = self.generations.open(world, opener);
        if let (Policy::DoubleBuffer { newest }, Ok(view)) = (&self.policy, &captured) {
            // The snapshot before ends only now, so that there is always one to join.
            *newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(view.clone());
        }
        self.generations.notify_slow_readers(world);
        captured
    }

    fn give(
        &self,
        world: &mut World,
        mut reader: Option<&mut Member>,
    ) -> Result<View, AcquireError> {
        let given = self.join_or_capture(world, reader.as_deref_mut());
        if given.is_err()
            && matches!(self.policy, Policy::Shared(WhenBusy::Newest))
            && let Some(view) = self.generations.newest(reader, world)
        {
            self.generations.count_stale();
            return Ok(view);
        }
        given
    }

    fn join_or_capture(
        &self,
        world: &mut World,
        reader: Option<&mut Member>,
    ) -> Result<View, AcquireError> {
        let generations = &self.generations;
        // A view that is too old is dropped before a capture, so that it doesn't count as held.
        if !matches!(self.policy, Policy::OnDemand)
            && let Some(view) = generations.join()
            && generations.is_fresh(&view, world)
        {
            let view = generations.admit(view, reader, world)?;
            generations.count_join();
            return Ok(view);
        }
        match self.capture(world, reader.as_deref()) {
            Ok(view) => generations.admit(view, reader, world),
            Err(refusal) => {
                let is_kept = matches!(self.policy, Policy::DoubleBuffer { .. });
                let kept = generations.join().filter(|view| is_kept && view.is_past_of(world));
                let view = generations.admit(kept.ok_or(refusal)?, reader, world)?;
                generations.count_stale();
                Ok(view)
            }
        }
    }
}

impl SnapshotProvider for CapturingProvider {
    fn kind(&self) -> ProviderKind {
        match self.policy {
            Policy::DoubleBuffer { .. } => ProviderKind::DoubleBuffer,
            Policy::OnDemand => ProviderKind::OnDemand,
            Policy::Shared(_) => ProviderKind::Shared,
        }
    }

    fn mask(&self) -> ComponentMask {
        self.generations.mask()
    }

    fn acquire(&self, world: &mut World) -> Result<View, AcquireError> {
        self.give(world, None)
    }

    fn enroll(&self) -> Member {
        self.generations.enroll()
    }

    fn acquire_for(&self, world: &mut World, member: &mut Member) -> Result<View, AcquireError> {
        self.give(world, Some(member))
    }

    fn update(&self, world: &mut World) -> Result<(), AcquireError> {
        if let Policy::DoubleBuffer { .. } = self.policy {
            return self.capture(world, None).map(drop);
        }
        self.generations.notify_slow_readers(world);
        Ok(())
    }

    fn statistics(&self) -> ProviderStatistics {
        self.generations.statistics()
    }

    fn held(&self, world: &World) -> Vec<SnapshotUse> {
        self.generations.held(world)
    }

    fn retained_bytes(&self, world: &World) -> usize {
        self.generations.retained_bytes(world)
    }
}
