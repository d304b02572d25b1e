//! The ledger: how many chunks there are, and from where they are reached.
//!
//! Every count is kept as chunks change hands, so that reading one costs nothing, and nothing is
//! counted per row. Chunks that the world reaches are *live*, those that only snapshots reach are
//! *retained*.
//!
//! *Shared* chunks are reached by the world and by a snapshot, and become so without being touched:
//! a capture shares all that it takes, and its end unshares those that no other capture sees. So
//! live chunks are told apart by component and by the oldest active snapshot that sees them. A
//! capture takes over the counts of its components that no capture had ([`Ledger::share`]); when it
//! ends they go to the next newer snapshot of the component, or back ([`Ledger::unshare`]). Both
//! cost a few instructions per component, and capturing stays a copy of chunk pointers.

use convoy_pool::SizeClass;

use crate::storage::component_id::ComponentId;

/// A number of chunks and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) chunks: usize,
    pub(crate) bytes: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, class: SizeClass) {
        self.chunks += 1;
        self.bytes += class.bytes();
    }

    pub(crate) fn subtract(&mut self, class: SizeClass) {
        self.chunks -= 1;
        self.bytes -= class.bytes();
    }

    pub(super) fn add_all(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.bytes += other.bytes;
    }

    fn subtract_all(&mut self, other: Self) {
        self.chunks -= other.chunks;
        self.bytes -= other.bytes;
    }
}

/// A tally for each component up to the last one that was counted, or that room was made for.
#[derive(Default)]
pub(super) struct Tallies(Vec<Tally>);

impl Tallies {
    /// Tallies are added by so many, for more types than most worlds have.
    const STEP: usize = 64;

    /// The bytes of the tallies of `types` types.
    pub(super) fn bytes(types: usize) -> usize {
        types.next_multiple_of(Self::STEP) * size_of::<Tally>()
    }

    /// Makes room for `types` types.
    pub(super) fn reserve(&mut self, types: usize) {
        if types > self.0.len() {
            self.0.resize(types.next_multiple_of(Self::STEP), Tally::default());
        }
    }

    #[inline]
    pub(super) fn of(&mut self, component: ComponentId) -> &mut Tally {
        let number = component.index();
        if number < self.0.len() { &mut self.0[number] } else { self.grow(number) }
    }

    #[cold]
    fn grow(&mut self, number: usize) -> &mut Tally {
        self.reserve(number + 1);
        &mut self.0[number]
    }
}

/// The counts of one world.
pub(crate) struct Ledger {
    pub(crate) live: Tally,
    /// Live chunks that an active snapshot sees.
    pub(crate) shared: Tally,
    pub(crate) retained: Tally,
    pub(crate) retained_bytes_peak: usize,
    /// Per component: live chunks that no active snapshot sees.
    unshared: Tallies,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            live: Tally::default(),
            shared: Tally::default(),
            retained: Tally::default(),
            retained_bytes_peak: 0,
            unshared: Tallies::default(),
        }
    }

    /// A chunk came from the arena.
    #[inline]
    pub(super) fn allocate(&mut self, component: ComponentId, class: SizeClass) {
        self.live.add(class);
        self.unshared.of(component).add(class);
    }

    /// A chunk that no snapshot sees goes back to the arena.
    #[inline]
    pub(super) fn free(&mut self, component: ComponentId, class: SizeClass) {
        self.live.subtract(class);
        self.unshared.of(component).subtract(class);
    }

    /// The world lets go of a chunk that snapshots see; `oldest` is the tally of the oldest of
    /// them.
    pub(super) fn retire(&mut self, oldest: &mut Tally, class: SizeClass) {
        self.live.subtract(class);
        self.shared.subtract(class);
        oldest.subtract(class);
        self.retained.add(class);
        self.retained_bytes_peak = self.retained_bytes_peak.max(self.retained.bytes);
    }

    /// The world takes a chunk back that snapshots see; `oldest` is the tally of the oldest of
    /// them.
    pub(super) fn revive(&mut self, oldest: &mut Tally, class: SizeClass) {
        self.live.add(class);
        self.shared.add(class);
        oldest.add(class);
        self.retained.subtract(class);
    }

    /// A capture of `component` begins. Returns the chunks that it is the only one to see.
    pub(super) fn share(&mut self, component: ComponentId) -> Tally {
        let tally = std::mem::take(self.unshared.of(component));
        self.shared.add_all(tally);
        tally
    }

    /// The only snapshot that saw these chunks of `component` has ended.
    pub(super) fn unshare(&mut self, component: ComponentId, tally: Tally) {
        self.shared.subtract_all(tally);
        self.unshared.of(component).add_all(tally);
    }
}
