//! Convoys: which modules share a provider, and when they are due.

use std::cell::Cell;
use std::sync::Arc;

use crate::provider::capturing::{CapturingProvider, Policy};
use crate::provider::contain::{Contained, contain};
use crate::provider::{
    ProviderKind, ProviderStatistics, SlowReader, SlowReaderLimits, SnapshotProvider, WhenBusy,
};
use crate::snapshot::SnapshotPool;
use crate::storage::ComponentMask;
use crate::world::World;

use super::rate::{Rate, Schedule};
use super::spec::{Mode, ModuleSpec, Tier};

/// The Fast modules, or the Slow ones of one mode and rate, and the provider that they share.
pub(super) struct Convoy {
    pub(super) key: ConvoyKey,
    /// The union of the types that the members read.
    pub(super) mask: ComponentMask,
    pub(super) provider: ConvoyProvider,
    /// The provider's policy.
    pub(super) kind: ProviderKind,
    /// Numbers of the member modules, in the order of registration.
    pub(super) members: Vec<usize>,
    pub(super) schedule: Schedule,
    /// Whether a member has causes to run besides the rate.
    pub(super) has_causes: bool,
    /// Whether this is the first convoy with its provider, which is updated once per frame.
    pub(super) updates: bool,
    /// The counts of the providers whose place this one has taken.
    pub(super) earlier: ProviderStatistics,
}

/// A provider as a host uses it. It may be the user's, so its panics end here.
pub(super) struct ConvoyProvider {
    provider: Contained<Arc<dyn SnapshotProvider>>,
    /// The provider again, if the host made it.
    own: Option<Arc<CapturingProvider>>,
    /// Panics contained.
    panics: Cell<u64>,
}

impl ConvoyProvider {
    /// A provider that the members chose.
    fn manual(provider: Arc<dyn SnapshotProvider>) -> Self {
        Self { provider: Contained::new(provider), own: None, panics: Cell::new(0) }
    }

    pub(super) fn is_manual(&self) -> bool {
        self.own.is_none()
    }

    /// Captures `mask` from now on, unless the members chose the provider.
    pub(super) fn set_mask(&self, mask: ComponentMask) {
        if let Some(own) = &self.own {
            own.set_mask(mask);
        }
    }

    /// Captures nothing in a frame that no member has a view of. A snapshot that is kept for the next one to ask
    /// is let go.
    pub(super) fn rest(&self, world: &World) {
        if let Some(own) = &self.own {
            own.rest(world);
        }
    }

    /// The answer of `ask`; `None` when the provider panics, which is counted.
    pub(super) fn ask<T>(&self, ask: impl FnOnce(&dyn SnapshotProvider) -> T) -> Option<T> {
        let answer = contain(|| ask(&**self.provider));
        if answer.is_none() {
            self.panics.set(self.panics.get() + 1);
        }
        answer
    }

    pub(super) fn panics(&self) -> u64 {
        self.panics.get()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ConvoyKey {
    pub(super) tier: Tier,
    /// `None` for Fast modules, which share a snapshot whatever their modes.
    pub(super) mode: Option<Mode>,
    pub(super) rate: Rate,
}

impl ConvoyKey {
    pub(super) fn of(spec: &ModuleSpec) -> Self {
        let mode = match spec.tier {
            Tier::Fast => None,
            Tier::Slow => Some(spec.mode),
        };
        Self { tier: spec.tier, mode, rate: spec.rate }
    }
}

/// A snapshot of a convoy that is held for too long or retains too much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SlowConvoy {
    /// The convoy's place in [`HostStatistics::convoys`](super::HostStatistics::convoys).
    pub convoy: usize,
    /// The limit, and the cost of the snapshot.
    pub reader: SlowReader,
}

/// The limits of a host, and the callback.
pub(super) struct SlowConvoys {
    pub(super) limits: SlowReaderLimits,
    pub(super) notify: SlowConvoyCallback,
}

/// The callback of a host for slow readers. The providers share it, and the last of them drops it.
pub(super) type SlowConvoyCallback = Contained<Arc<dyn Fn(&SlowConvoy) + Send + Sync>>;

/// A module as grouping sees it.
pub(super) struct Candidate {
    pub(super) number: usize,
    pub(super) key: ConvoyKey,
    pub(super) mask: ComponentMask,
    pub(super) provider: Option<Arc<dyn SnapshotProvider>>,
    pub(super) has_causes: bool,
    pub(super) tracks_changes: bool,
}

/// Groups modules into convoys: in the order of their first members, and with the union of the
/// members' masks. Fast ones share a double buffer, a single Slow one captures on demand, several
/// share one snapshot. A provider that a module chose is left alone.
pub(super) fn group(
    candidates: &[Candidate],
    pool: &SnapshotPool,
    (runs_max, slow): (usize, Option<&SlowConvoys>),
) -> Vec<Convoy> {
    let mut groups: Vec<Vec<&Candidate>> = Vec::new();
    for candidate in candidates {
        match groups.iter_mut().find(|members| members[0].goes_with(candidate)) {
            Some(members) => members.push(candidate),
            None => groups.push(vec![candidate]),
        }
    }
    let mut convoys: Vec<Convoy> = Vec::with_capacity(groups.len());
    for members in groups {
        let schedule = Schedule::new(members[0].key.rate);
        convoys.push(Convoy::of(&members, schedule, pool, (convoys.len(), runs_max, slow)));
    }
    update_once(&mut convoys);
    convoys
}

/// Has each provider updated once a frame, by the first convoy with members that has it.
pub(super) fn update_once(convoys: &mut [Convoy]) {
    for place in 0..convoys.len() {
        let (before, rest) = convoys.split_at_mut(place);
        let convoy = &mut rest[0];
        // Those of the host's own providers have one each.
        let is_mine = convoy.provider.own.is_some();
        let same = |other: &Convoy| {
            !other.members.is_empty()
                && Arc::ptr_eq(&other.provider.provider, &convoy.provider.provider)
        };
        convoy.updates = is_mine || !convoy.members.is_empty() && !before.iter().any(same);
    }
}

impl Candidate {
    /// Whether two modules share a convoy.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        let providers = (self.provider.as_ref(), other.provider.as_ref());
        self.key == other.key && same_provider(providers.0, providers.1)
    }
}

impl Convoy {
    /// A convoy of some modules, which stands at `place`.
    pub(super) fn of(
        members: &[&Candidate],
        schedule: Schedule,
        pool: &SnapshotPool,
        (place, runs_max, slow): (usize, usize, Option<&SlowConvoys>),
    ) -> Self {
        let Candidate { key, provider: chosen, .. } = members[0];
        let mask = union_of(members.iter().map(|member| member.mask));
        let slow = slow.map(|slow| slow.of(place));
        // Beyond the bound: those of runs that wait their turn, and those that are kept to be compared, which may be
        // twice as many.
        let tracking = members.iter().filter(|member| member.tracks_changes).count();
        let more = (runs_max - 1) + tracking * (2 * runs_max + 2);
        let provider = match chosen {
            Some(provider) => ConvoyProvider::manual(Arc::clone(provider)),
            None => choose((key.tier, members.len(), more), mask, pool.clone(), slow),
        };
        Self {
            key: *key,
            mask,
            kind: provider.ask(|provider| provider.kind()).unwrap_or(ProviderKind::Other),
            provider,
            members: members.iter().map(|member| member.number).collect(),
            schedule,
            has_causes: members.iter().any(|member| member.has_causes),
            updates: true,
            earlier: ProviderStatistics::default(),
        }
    }
}

/// The types that any of the members reads.
pub(super) fn union_of(masks: impl Iterator<Item = ComponentMask>) -> ComponentMask {
    masks.fold(ComponentMask::NONE, |union, mask| union.union(&mask))
}

impl SlowConvoys {
    /// The limits, and a callback that names the convoy of its provider.
    fn of(
        &self,
        convoy: usize,
    ) -> (SlowReaderLimits, impl Fn(&SlowReader) + Send + Sync + 'static) {
        let notify: SlowConvoyCallback = Contained::new(Arc::clone(&self.notify));
        (self.limits, move |reader: &SlowReader| notify(&SlowConvoy { convoy, reader: *reader }))
    }
}

fn choose(
    (tier, members, more): (Tier, usize, usize),
    mask: ComponentMask,
    pool: SnapshotPool,
    slow: Option<(SlowReaderLimits, impl Fn(&SlowReader) + Send + Sync + 'static)>,
) -> ConvoyProvider {
    let policy = match tier {
        Tier::Fast => Policy::DoubleBuffer,
        Tier::Slow if members == 1 => Policy::OnDemand,
        Tier::Slow => Policy::Shared(WhenBusy::default()),
    };
    let provider = CapturingProvider::new(policy, mask, pool).with_more_generations(more);
    let own = Arc::new(match slow {
        Some((limits, notify)) => provider.with_slow_readers(limits, notify),
        None => provider,
    });
    ConvoyProvider { own: Some(Arc::clone(&own)), ..ConvoyProvider::manual(own) }
}

fn same_provider(
    one: Option<&Arc<dyn SnapshotProvider>>,
    other: Option<&Arc<dyn SnapshotProvider>>,
) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}
