//! [`RunScratch`]: memory for the length of a run.

use bumpalo::Bump;

/// A bump allocator that is reset after each run. Resetting one keeps its last chunk alone, so that a run that
/// needs several would take them from the heap again each time: it is replaced by one that has room for all.
#[derive(Default)]
pub(super) struct RunScratch {
    bump: Bump,
    /// The room of the one chunk that it had after the last reset.
    room: usize,
}

impl RunScratch {
    pub(super) fn bump(&self) -> &Bump {
        &self.bump
    }

    pub(super) fn reset(&mut self) {
        let used = self.bump.allocated_bytes();
        if used > self.room {
            self.bump = Bump::with_capacity(used);
            self.room = self.bump.allocated_bytes();
        } else {
            self.bump.reset();
        }
    }
}
