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
    /// The newest snapshot of a double buffer.
    newest: Mutex<Option<View>>,
}

/// When a provider captures, and which readers share a snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Captures at every update, and holds the newest snapshot itself.
    DoubleBuffer,
    /// Captures at every acquire, for that reader alone.
    OnDemand,
    /// Captures at the first acquire; later ones join.
    Shared(WhenBusy),
}

impl CapturingProvider {
    pub(crate) fn new(policy: Policy, mask: ComponentMask, pool: SnapshotPool) -> Self {
        let own_views = usize::from(policy == Policy::DoubleBuffer);
        let generations = Generations::new(mask, pool, own_views);
        Self { generations, policy, newest: Mutex::new(None) }
    }

    /// Lets readers hold so many generations more.
    #[must_use]
    pub(crate) fn with_more_generations(mut self, more: usize) -> Self {
        self.generations.raise_limit(more);
        self
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

    /// Goes without the snapshot of an update, and drops the last one where nobody else has it.
    pub(crate) fn rest(&self, world: &World) {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(newest);
        self.generations.notify_slow_readers(world);
    }

    /// Captures and publishes a snapshot.
    fn capture(&self, world: &mut World, reader: Option<&Member>) -> Result<View, AcquireError> {
        let opener = match (self.policy, reader) {
            (Policy::DoubleBuffer, _) => Opener::Provider,
            (_, Some(member)) => Opener::Member(member),
            (_, None) => Opener::Anybody,
        };
        let captured = self.generations.open(world, opener);
        if let (Policy::DoubleBuffer, Ok(view)) = (self.policy, &captured) {
            // The snapshot before ends only now, so that there is always one to join.
            *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(view.clone());
        }
        self.generations.notify_slow_readers(world);
        captured
    }

    #[inline]
    fn give(
        &self,
        world: &mut World,
        mut reader: Option<&mut Member>,
    ) -> Result<View, AcquireError> {
        let generations = &self.generations;
        // A view that is too old is dropped before a capture, so that it doesn't count as held.
        if self.policy != Policy::OnDemand
            && let Some(view) = generations.join()
            && generations.is_fresh(&view, world)
        {
            return match generations.admit(view, reader.as_deref_mut(), world) {
                Ok(view) => {
                    generations.count_join();
                    Ok(view)
                }
                Err(refusal) => self.newest_or(refusal, world, reader),
            };
        }
        self.capture_for(world, reader)
    }

    /// Captures for a reader. Where that is refused, a double buffer has its last snapshot.
    #[inline(never)]
    fn capture_for(
        &self,
        world: &mut World,
        reader: Option<&mut Member>,
    ) -> Result<View, AcquireError> {
        let generations = &self.generations;
        let refusal = match self.capture(world, reader.as_deref()) {
            Ok(view) => return generations.admit(view, reader, world),
            Err(refusal) => refusal,
        };
        if self.policy == Policy::DoubleBuffer {
            let kept = generations.join().filter(|view| view.is_past_of(world));
            let view = generations.admit(kept.ok_or(refusal)?, reader, world)?;
            generations.count_stale();
            return Ok(view);
        }
        self.newest_or(refusal, world, reader)
    }

    /// The newest snapshot for a reader that was refused a fresh one, where the policy has it.
    #[cold]
    fn newest_or(
        &self,
        refusal: AcquireError,
        world: &World,
        reader: Option<&mut Member>,
    ) -> Result<View, AcquireError> {
        if self.policy != Policy::Shared(WhenBusy::Newest) {
            return Err(refusal);
        }
        let view = self.generations.newest(reader, world).ok_or(refusal)?;
        self.generations.count_stale();
        Ok(view)
    }

    #[inline(never)]
    fn renew(&self, world: &mut World) -> Result<(), AcquireError> {
        self.capture(world, None).map(drop)
    }
}

impl SnapshotProvider for CapturingProvider {
    fn kind(&self) -> ProviderKind {
        match self.policy {
            Policy::DoubleBuffer => ProviderKind::DoubleBuffer,
            Policy::OnDemand => ProviderKind::OnDemand,
            Policy::Shared(_) => ProviderKind::Shared,
        }
    }

    fn mask(&self) -> ComponentMask {
        self.generations.mask()
    }

    #[inline]
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
        if self.policy == Policy::DoubleBuffer {
            return self.renew(world);
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
