//! Forks: where restores have cut an event log, so that a cursor can tell what it has read of a
//! future that was taken back.
//!
//! Every restore begins a new *timeline* of each log, and so does a branch. A fork says that the
//! records of a timeline agree with all earlier ones only up to a number. A cursor knows the
//! timeline that it last read in; among the forks since, the lowest is as far as what it has read
//! still holds. Timelines have numbers that no other log in the process has, each higher than all
//! before, so that cursors can be taken from a world to a branch or a replica.

use std::sync::atomic::{AtomicU64, Ordering};

/// A place in the history of a log: a timeline, and where it left the one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Fork {
    timeline: u64,
    /// The number of the first record that is not the one of earlier timelines.
    number: u64,
}

/// How many forks are told apart. A cursor that has slept through more of them may read records
/// again that it has read before, but loses none.
const FORKS: usize = 8;

/// The current timeline of a log, and its forks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forks {
    timeline: u64,
    count: usize,
    /// In ascending order of timelines and of numbers: a fork hides earlier ones that are higher.
    forks: [Fork; FORKS],
}

impl Forks {
    pub(crate) fn timeline(&self) -> u64 {
        self.timeline
    }

    /// How far the records of `timeline` are those of the current one, where they are not all.
    pub(crate) fn common_since(&self, timeline: u64) -> Option<u64> {
        let fork = self.forks[..self.count].iter().find(|fork| fork.timeline > timeline);
        fork.map(|fork| fork.number)
    }

    /// Begins a timeline that agrees with the present one up to `number`.
    pub(crate) fn fork(&mut self, number: u64) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only the order of the numbers matters, which one counter has by itself.
        self.timeline = NEXT.fetch_add(1, Ordering::Relaxed);
        while self.count > 0 && self.forks[self.count - 1].number >= number {
            self.count -= 1;
        }
        if self.count == FORKS {
            // The two oldest become one that is as new as the one and as low as the other.
            self.forks[1].number = self.forks[0].number;
            self.forks.copy_within(1.., 0);
            self.count -= 1;
        }
        self.forks[self.count] = Fork { timeline: self.timeline, number };
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forked(forks: &mut Forks, number: u64) -> u64 {
        forks.fork(number);
        forks.timeline()
    }

    #[test]
    fn the_lowest_fork_since_a_timeline_counts() {
        let mut forks = Forks::default();
        assert_eq!(forks.common_since(0), None);
        let [one, two, three] = [10, 14, 12].map(|number| forked(&mut forks, number));
        assert!(0 < one && one < two && two < three);
        assert_eq!(
            [0, one, two, three].map(|timeline| forks.common_since(timeline)),
            [Some(10), Some(12), Some(12), None]
        );
        let four = forked(&mut forks, 3);
        assert_eq!(
            [0, one, three, four].map(|timeline| forks.common_since(timeline)),
            [Some(3), Some(3), Some(3), None]
        );
    }

    #[test]
    fn too_many_forks_never_hide_how_low_one_was() {
        let mut forks = Forks::default();
        let timelines: Vec<_> = (1..=20).map(|number| forked(&mut forks, 10 * number)).collect();
        for (number, &timeline) in (2..).zip(&timelines) {
            let common = forks.common_since(timeline).unwrap_or(0);
            assert!(common <= 10 * number, "{timeline}: {common}");
        }
        assert_eq!(forks.common_since(timelines[17]), Some(190));
        assert_eq!(forks.common_since(timelines[19]), None);
    }
}
