//! Forks: where restores have cut an event log, so that a cursor can tell what it has read of a
//! future that was taken back.
//!
//! Every restore begins a new *timeline* of each log. A fork says that the records of a timeline
//! agree with all earlier ones only up to a number. A cursor knows the timeline that it last read
//! in; among the forks since, the lowest is as far as what it has read still holds.

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
        self.timeline += 1;
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

    #[test]
    fn the_lowest_fork_since_a_timeline_counts() {
        let mut forks = Forks::default();
        assert_eq!(forks.common_since(0), None);
        forks.fork(10);
        forks.fork(14);
        forks.fork(12);
        assert_eq!(forks.timeline(), 3);
        assert_eq!(
            [0, 1, 2, 3].map(|timeline| forks.common_since(timeline)),
            [Some(10), Some(12), Some(12), None]
        );
        forks.fork(3);
        assert_eq!(
            [0, 1, 3, 4].map(|timeline| forks.common_since(timeline)),
            [Some(3), Some(3), Some(3), None]
        );
    }

    #[test]
    fn too_many_forks_never_hide_how_low_one_was() {
        let mut forks = Forks::default();
        (1..=20).for_each(|number| forks.fork(10 * number));
        for timeline in 0..20 {
            let common = forks.common_since(timeline).unwrap_or(u64::MAX);
            assert!(common <= 10 * (timeline + 1), "{timeline}: {common}");
        }
        assert_eq!(forks.common_since(18), Some(190));
        assert_eq!(forks.common_since(20), None);
    }
}
