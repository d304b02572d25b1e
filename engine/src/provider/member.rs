//! [`Member`]: a reader that its provider knows, and that is charged with the snapshots that its
//! views hold.

use std::sync::Arc;

use crate::snapshot::View;
use crate::storage::SnapshotId;
use crate::storage::charge::Charge;

/// A reader of a provider that is charged with the snapshots that it holds.
///
/// Views that [`SnapshotProvider::acquire_for`](crate::provider::SnapshotProvider::acquire_for) gives are
/// charged to the member, with all their clones and branches, wherever those go, until the last of
/// them is dropped. So a provider that is at its bound refuses members that hold their share or more,
/// and goes on serving the others: see [`WhenBusy`](crate::provider::WhenBusy). Every module of a host is a
/// member.
///
/// ```
/// use convoy_engine::provider::{SharedSnapshotProvider, SnapshotProvider, WhenBusy};
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
///
/// let mut world = World::new();
/// let provider = SharedSnapshotProvider::new(ComponentMask::ALL, SnapshotPool::default())
///     .with_generations_max(4, WhenBusy::Refuse);
/// let (mut keeps, mut reads) = (provider.enroll(), provider.enroll());
/// let mut kept = Vec::new();
/// for tick in 0..10 {
///     kept.extend(provider.acquire_for(&mut world, &mut keeps));
///     let view = provider.acquire_for(&mut world, &mut reads).unwrap();
///     assert_eq!((view.tick(), reads.snapshots_held()), (tick, 1));
///     world.advance_tick();
/// }
/// assert_eq!((kept.len(), keeps.snapshots_held()), (4, 4));
/// ```
#[derive(Debug, Default)]
pub struct Member {
    /// One for each snapshot that its views hold, and some that none holds any more.
    holdings: Vec<Holding>,
    #[expect(dead_code, reason = "counts by being there")]
    seat: Option<Seat>,
}

#[derive(Debug)]
struct Holding {
    snapshot: SnapshotId,
    charge: Charge,
}

/// Counts the members of a provider, by its clones.
#[derive(Clone, Debug, Default)]
pub(super) struct Seat(Arc<()>);

impl Seat {
    /// How many members have one, besides the provider's own.
    pub(super) fn members(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// How many snapshots a member holds before its list grows: that of its run, and one kept.
const HOLDINGS: usize = 4;

impl Member {
    /// A member that no provider counts: [`SnapshotProvider::enroll`] gives one unless the provider
    /// has bounds.
    ///
    /// [`SnapshotProvider::enroll`]: crate::provider::SnapshotProvider::enroll
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn seated(seat: &Seat) -> Self {
        Self { holdings: Vec::with_capacity(HOLDINGS), seat: Some(seat.clone()) }
    }

    /// How many snapshots are held by views that the member was given.
    pub fn snapshots_held(&self) -> usize {
        self.holdings.iter().filter(|holding| holding.charge.is_carried()).count()
    }

    /// Charges a view to this member instead of to the one before: for providers that give views of
    /// their own. Touches the heap only where the member holds more snapshots at a time than ever
    /// before.
    #[must_use]
    pub fn charge(&mut self, view: View) -> View {
        let (snapshot, holdings) = (view.id(), &mut self.holdings);
        let same = holdings.iter().position(|each| each.snapshot == snapshot);
        let unused = || holdings.iter().position(|each| !each.charge.is_carried());
        let number = same.or_else(unused).unwrap_or_else(|| {
            holdings.push(Holding { snapshot, charge: Charge::default() });
            holdings.len() - 1
        });
        holdings[number].snapshot = snapshot;
        view.charged_to(holdings[number].charge.clone())
    }

    /// Whether a view that the member was given holds `snapshot`.
    pub(super) fn holds(&self, snapshot: SnapshotId) -> bool {
        let mut holdings = self.holdings.iter();
        holdings.any(|holding| holding.snapshot == snapshot && holding.charge.is_carried())
    }
}
