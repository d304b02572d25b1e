//! The state of a cell: one atomic word that holds a generation and the number of readers.
//!
//! ```text
//!  63                              24 23                    0
//! +----------------------------------+-----------------------+
//! |            generation            |        readers        |
//! +----------------------------------+-----------------------+
//!
//!             open                 join, clone, leave
//!  (g, 0) ------------> (g + 1, 1) <----------------> (g + 1, n)
//!  vacant                    |
//!    ^                       | the last one leaves
//!    |       recycle         v
//!    +----------------- (g + 1, 0)  closed
//! ```
//!
//! A word without readers never gains one: joining exchanges the very word that it saw, and that
//! must show a reader (`closed`). The generation grows when a vacant cell is opened or given up
//! unopened, so once a generation is closed no word of it with readers comes back (short of 2^40
//! generations between the two halves of one exchange).

use crate::sync::{AtomicU64, Ordering};

/// How many bits count readers.
const READER_BITS: u32 = 24;

/// The number of readers at which joining panics. Half of the number that the bits hold, so that
/// threads that add at the same moment cannot run into the generation before they notice.
pub(crate) const READERS_MAX: u32 = 1 << (READER_BITS - 1);

/// The bits of a word that count readers.
const READER_MASK: u64 = (1 << READER_BITS) - 1;

/// The bits of a generation, as a number.
const GENERATION_MASK: u64 = u64::MAX >> READER_BITS;

/// A generation of a cell: from one opening to the next. Wraps around after 2^40.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Generation(u64);

impl Generation {
    /// The generation after this one.
    pub(crate) fn next(self) -> Generation {
        Generation(self.0.wrapping_add(1) & GENERATION_MASK)
    }

    /// The generation as a number.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// The state at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Word(u64);

impl Word {
    /// Composes a word.
    pub(crate) fn new(generation: Generation, readers: u32) -> Word {
        Word(generation.0 << READER_BITS | u64::from(readers))
    }

    /// The generation at that moment.
    pub(crate) fn generation(self) -> Generation {
        Generation(self.0 >> READER_BITS)
    }

    /// The number of readers at that moment.
    pub(crate) fn readers(self) -> u32 {
        (self.0 & READER_MASK) as u32
    }

    /// Whether there is no reader, and none can begin.
    pub(crate) fn is_closed(self) -> bool {
        self.readers() == 0
    }
}

/// The state of a cell.
#[derive(Debug)]
pub(crate) struct State(AtomicU64);

impl State {
    /// The state of a new cell: vacant.
    pub(crate) fn new() -> State {
        State(AtomicU64::new(0))
    }

    /// The state now.
    pub(crate) fn load(&self) -> Word {
        // Acquire: pairs with the Release in `leave`, so that a thread that sees the cell closed
        // comes after everything its readers did, and with the Release in `set`, so that one that
        // sees a generation comes after the end of the one before.
        Word(self.0.load(Ordering::Acquire))
    }

    /// Opens a vacant cell with one reader. Only the owner of the vacant cell calls it.
    pub(crate) fn open(&self) {
        self.set(Word::new(self.load().generation().next(), 1));
    }

    /// Ends the generation that was promised but never opened. Only the owner of the vacant cell
    /// calls it.
    pub(crate) fn give_up(&self) {
        self.set(Word::new(self.load().generation().next(), 0));
    }

    /// Replaces the word of a vacant cell.
    fn set(&self, word: Word) {
        // Release: pairs with the Acquire in `try_join` and `load`; the owner's writes into the
        // cell come before the reads of its readers.
        self.0.store(word.0, Ordering::Release);
    }

    /// Adds a reader if the state is still `seen`, which has readers.
    ///
    /// # Panics
    /// When there are too many readers.
    #[track_caller]
    pub(crate) fn try_join(&self, seen: Word) -> bool {
        assert!(!seen.is_closed(), "a closed cell gains no reader");
        assert!(seen.readers() < READERS_MAX, "a cell has fewer than {READERS_MAX} readers");
        // Acquire: pairs with the Release in `set`, so that the reader sees the value as the owner
        // left it. As a read-modify-write it also carries every Release in `leave` onwards.
        self.0.compare_exchange(seen.0, seen.0 + 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Adds a reader on behalf of another one, which keeps the cell open meanwhile.
    ///
    /// # Panics
    /// When there are too many readers.
    #[track_caller]
    pub(crate) fn add_reader(&self) {
        // Relaxed: the new reader gets its view of the value from the old one.
        let before = Word(self.0.fetch_add(1, Ordering::Relaxed));
        if before.readers() >= READERS_MAX {
            // Relaxed: takes back the unused count; the old reader still holds its own.
            self.0.fetch_sub(1, Ordering::Relaxed);
            panic!("a cell has fewer than {READERS_MAX} readers");
        }
    }

    /// Removes a reader. Returns whether it was the last one: the cell is closed then, and the
    /// caller owns it.
    pub(crate) fn leave(&self) -> bool {
        // Release: this reader's accesses come before any thread that sees the cell closed, in
        // `load` or here. Acquire: pairs with the Release of the readers that left before.
        let before = Word(self.0.fetch_sub(1, Ordering::AcqRel));
        debug_assert!(!before.is_closed(), "only a reader leaves");
        before.readers() == 1
    }

    /// The state of a cell with this many readers.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn with_readers(readers: u32) -> State {
        State(AtomicU64::new(Word::new(Generation(7), readers).0))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn word_keeps_generation_and_readers_apart() {
        let word = Word::new(Generation(GENERATION_MASK), READERS_MAX);
        assert_eq!(word.generation(), Generation(GENERATION_MASK));
        assert_eq!(word.readers(), READERS_MAX);
        assert_eq!(word.generation().next(), Generation(0));
    }

    #[test]
    fn closed_state_admits_nobody_and_the_next_generation_is_another() {
        let state = State::new();
        state.open();
        let open = state.load();
        assert!(state.try_join(open));
        assert!(!state.try_join(open), "the count changed since");
        assert!(!state.leave());
        assert!(state.leave());
        assert!(state.load().is_closed());
        assert!(!state.try_join(open), "a late exchange fails");
        state.open();
        assert!(!state.try_join(open), "also when the next generation has as many readers");
        assert_eq!(state.load().generation(), open.generation().next());
    }

    #[test]
    #[should_panic(expected = "fewer than")]
    fn joining_at_the_bound_panics() {
        let state = State::with_readers(READERS_MAX);
        state.try_join(state.load());
    }

    #[test]
    fn cloning_at_the_bound_panics_and_leaves_the_count() {
        let state = State::with_readers(READERS_MAX);
        let result = std::panic::catch_unwind(|| state.add_reader());
        assert!(result.is_err());
        assert_eq!(state.load().readers(), READERS_MAX);
    }
}
