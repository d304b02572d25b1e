//! Convoys: which modules share a provider, and when they are due.

use std::sync::Arc;
use std::time::Duration;

use crate::provider::{
    DoubleBufferProvider, OnDemandProvider, SharedSnapshotProvider, SlowReader, SlowReaderLimits,
    SnapshotProvider,
};
use crate::snapshot::SnapshotPool;
use crate::storage::ComponentMask;

use super::module::{Mode, Tier};
use super::rate::{Rate, Schedule};

/// The modules of one tier, mode and rate, and the provider that they share.
pub(super) struct Convoy {
    pub(super) key: ConvoyKey,
    /// The union of what the members read.
    pub(super) mask: ComponentMask,
    pub(super) provider: Arc<dyn SnapshotProvider>,
    /// Numbers of the member modules, in the order of registration.
    pub(super) members: Vec<usize>,
    pub(super) schedule: Schedule,
    /// Whether the members chose the provider themselves.
    pub(super) manual: bool,
    /// Whether this is the first convoy with its provider, which is updated once per frame.
    pub(super) updates: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ConvoyKey {
    pub(super) tier: Tier,
    pub(super) mode: Mode,
    pub(super) rate: Rate,
}

/// The picture of a convoy is held for too long or retains too much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SlowConvoy {
    /// The convoy's place in [`HostStatistics::convoys`](super::HostStatistics::convoys).
    pub convoy: usize,
    /// The limit, and what the picture costs.
    pub reader: SlowReader,
}

/// The limits of a host, and whom to tell.
pub(super) struct SlowConvoys {
    pub(super) limits: SlowReaderLimits,
    pub(super) tell: Arc<dyn Fn(&SlowConvoy) + Send + Sync>,
}

/// What grouping needs to know of a module.
pub(super) struct Candidate {
    pub(super) key: ConvoyKey,
    pub(super) mask: ComponentMask,
    pub(super) provider: Option<Arc<dyn SnapshotProvider>>,
}

/// Groups modules into convoys: in the order of their first members, and with the union of the
/// members' masks. Fast ones share a double buffer, a single Slow one gets a private picture on
/// demand, several share one snapshot. A provider that a module chose is left alone.
pub(super) fn group(
    candidates: &[Candidate],
    pool: &SnapshotPool,
    slow: Option<&SlowConvoys>,
) -> Vec<Convoy> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (number, candidate) in candidates.iter().enumerate() {
        let same = groups.iter_mut().find(|members| {
            let first = &candidates[members[0]];
            let providers = (first.provider.as_ref(), candidate.provider.as_ref());
            first.key == candidate.key && same_provider(providers.0, providers.1)
        });
        match same {
            Some(members) => members.push(number),
            None => groups.push(vec![number]),
        }
    }
    let mut convoys: Vec<Convoy> = Vec::with_capacity(groups.len());
    for members in groups {
        let Candidate { key, provider, .. } = &candidates[members[0]];
        let (key, manual) = (*key, provider.is_some());
        let masks = members.iter().map(|&number| candidates[number].mask);
        let mask = masks.fold(ComponentMask::NONE, |union, mask| union.union(&mask));
        let slow = slow.map(|slow| slow.of(convoys.len()));
        let provider = provider
            .clone()
            .unwrap_or_else(|| choose((key.tier, members.len()), mask, pool.clone(), slow));
        let schedule = Schedule::new(key.rate, Duration::ZERO, 0);
        let updates = !convoys.iter().any(|other| Arc::ptr_eq(&other.provider, &provider));
        convoys.push(Convoy { key, mask, provider, members, schedule, manual, updates });
    }
    convoys
}

impl SlowConvoys {
    /// The limits, and a callback for a provider that tells which convoy it is.
    fn of(
        &self,
        convoy: usize,
    ) -> (SlowReaderLimits, impl Fn(&SlowReader) + Send + Sync + 'static) {
        let tell = Arc::clone(&self.tell);
        (self.limits, move |reader: &SlowReader| tell(&SlowConvoy { convoy, reader: *reader }))
    }
}

fn choose(
    (tier, members): (Tier, usize),
    mask: ComponentMask,
    pool: SnapshotPool,
    slow: Option<(SlowReaderLimits, impl Fn(&SlowReader) + Send + Sync + 'static)>,
) -> Arc<dyn SnapshotProvider> {
    macro_rules! make {
        ($provider:ident) => {{
            let provider = $provider::new(mask, pool);
            match slow {
                Some((limits, tell)) => Arc::new(provider.with_slow_readers(limits, tell)),
                None => Arc::new(provider),
            }
        }};
    }
    match tier {
        Tier::Fast => make!(DoubleBufferProvider),
        Tier::Slow if members == 1 => make!(OnDemandProvider),
        Tier::Slow => make!(SharedSnapshotProvider),
    }
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
