//! The bases of a branch, and how many of its chunks each of them keeps.
//!
//! Every foreign chunk names its base by its birth, [`Epoch::foreign`]; so the count of a base is
//! kept as chunks change hands, and a capture finds out which bases it needs as it looks at its
//! entries. A base without a live chunk goes at the next reclaim and not at once: a
//! chunk that was just replaced is still copied from until then.

use crate::storage::base::Base;
use crate::storage::epoch::Epoch;

/// A branch's hold on one world, and the number of chunks it is for.
struct Held {
    /// `None` once nothing was left of it. A restore brings it back.
    base: Option<Base>,
    live: usize,
    /// The last snapshot that was found to need it.
    captured: Epoch,
}

/// The bases of one world, in an order that lasts: none in a world that is no branch.
#[derive(Default)]
pub(crate) struct Bases {
    held: Vec<Held>,
    /// Foreign chunks in all.
    live: usize,
    /// Whether the last chunk of a base has gone since bases were let go of.
    is_unused: bool,
    /// While a branch is made: which numbers the bases of the world that it comes from have here.
    numbers: Vec<u32>,
}

/// Stands for a base that the snapshot does not need.
const NO_BASE: u32 = u32::MAX;

impl Bases {
    /// Begins a branch of a snapshot, which `base` keeps. `bases` are those that the snapshot needs
    /// itself, under the numbers that they have in its world.
    pub(crate) fn begin_branch(&mut self, base: Base, bases: &[(u32, Base)]) {
        self.add(base);
        for (number, base) in bases {
            self.numbers.resize(self.numbers.len().max(*number as usize + 1), NO_BASE);
            self.numbers[*number as usize] = self.add(base.clone());
        }
    }

    /// Ends the making of a branch, after [`Bases::begin_branch`].
    pub(crate) fn end_branch(&mut self) {
        self.numbers = Vec::new();
        // Holds without a chunk go at the first reclaim.
        self.is_unused = true;
    }

    /// Which base a chunk of the snapshot is of that has this birth there.
    pub(super) fn number_of(&self, born: Epoch) -> u32 {
        born.base().map_or(0, |base| self.numbers[base as usize])
    }

    /// Adds a base. Returns its number.
    fn add(&mut self, base: Base) -> u32 {
        let number = u32::try_from(self.held.len());
        self.held.push(Held { base: Some(base), live: 0, captured: Epoch::NEVER });
        number.expect("each base takes more than a byte")
    }

    /// How many live chunks are foreign.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// A chunk of base `number` has become live.
    pub(super) fn count(&mut self, number: u32) {
        self.held[number as usize].live += 1;
        self.live += 1;
    }

    /// A live chunk of base `number` has gone.
    pub(super) fn forget(&mut self, number: u32) {
        let held = &mut self.held[number as usize];
        held.live -= 1;
        self.is_unused |= held.live == 0;
        self.live -= 1;
    }

    /// Lets go of the bases without live chunks.
    #[inline]
    pub(super) fn let_go(&mut self) {
        if self.is_unused {
            self.let_go_of_unused();
        }
    }

    #[cold]
    fn let_go_of_unused(&mut self) {
        self.is_unused = false;
        for held in self.held.iter_mut().filter(|held| held.live == 0) {
            held.base = None;
        }
    }

    /// The base of this number, if the snapshot of `epoch` was not found to need it before.
    pub(crate) fn needed_by(&mut self, epoch: Epoch, number: u32) -> Option<Base> {
        let held = &mut self.held[number as usize];
        if std::mem::replace(&mut held.captured, epoch) == epoch {
            return None;
        }
        assert!(held.base.is_some(), "a base is held while a live chunk is its");
        held.base.clone()
    }

    /// Takes bases back that a snapshot has kept, for its chunks to be restored.
    pub(crate) fn take_back(&mut self, bases: &[(u32, Base)]) {
        for (number, base) in bases {
            // Should no chunk come of it, it goes at the next reclaim.
            self.is_unused = true;
            self.held[*number as usize].base.get_or_insert_with(|| base.clone());
        }
    }
}
