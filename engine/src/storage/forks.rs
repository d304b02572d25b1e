//! Forks: where restores have cut an event log, so that a cursor can tell how much it has read of a
//! future that was taken back.
//!
//! Every restore begins a new *timeline* of each log, and so does a branch. A fork says that the
//! records of a timeline agree with all earlier ones only up to a number. A cursor knows the
//! timeline that it last read in; the records that it has read still hold up to the lowest of the
//! forks since. Timelines have numbers that no other log in the process has, each higher than all
//! before, and a log begins with one, its *origin*. So a cursor can be taken from any world to any
//! other: both logs have the records in common that both have been through.

use std::sync::atomic::{AtomicU64, Ordering};

use super::encoding::{Part, Reader, put_number};

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forks {
    /// The first timeline of the log, which it shares with its branches and replicas.
    origin: u64,
    timeline: u64,
    count: usize,
    /// In ascending order of timelines and of numbers: a fork hides earlier ones that are higher.
    forks: [Fork; FORKS],
}

impl Default for Forks {
    fn default() -> Self {
        Self::NONE
    }
}

/// A timeline that no log has had.
fn new_timeline() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: only the order of the numbers matters, which one counter has by itself.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Forks {
    /// Those of no log.
    pub(crate) const NONE: Self =
        Self { origin: 0, timeline: 0, count: 0, forks: [Fork { timeline: 0, number: 0 }; FORKS] };

    /// Those of a new log.
    pub(crate) fn new() -> Self {
        let origin = new_timeline();
        Self { origin, timeline: origin, ..Self::NONE }
    }

    pub(crate) fn timeline(&self) -> u64 {
        self.timeline
    }

    /// Whether the log has left its first timeline.
    pub(crate) fn has_forked(&self) -> bool {
        self.count > 0
    }

    /// Whether both are of logs that have begun as one.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.origin == other.origin
    }

    /// Up to which number the records of two logs are the same, as far as that can be told: the
    /// records of their last common timeline, unless one has forked lower since.
    pub(crate) fn common_with(&self, other: &Self) -> u64 {
        if !self.same_origin(other) {
            return 0;
        }
        let own = self.forks[..self.count].iter().map(|fork| fork.timeline);
        let theirs = &other.forks[..other.count];
        let shared = own.rev().find(|&own| theirs.iter().any(|fork| fork.timeline == own));
        let shared = shared.unwrap_or(self.origin);
        let common = [self, other].map(|forks| forks.common_since(shared).unwrap_or(u64::MAX));
        common[0].min(common[1])
    }

    /// How far the records of `timeline` are those of the current one, where they are not all.
    pub(crate) fn common_since(&self, timeline: u64) -> Option<u64> {
        let fork = self.forks[..self.count].iter().find(|fork| fork.timeline > timeline);
        fork.map(|fork| fork.number)
    }

    /// Writes the timelines down: the origin, how many forks there are, and the timeline and the number of each.
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        put_number(buffer, self.origin);
        put_number(buffer, self.count as u64);
        for fork in &self.forks[..self.count] {
            put_number(buffer, fork.timeline);
            put_number(buffer, fork.number);
        }
    }

    /// Reads the timelines of a log of another process.
    pub(crate) fn decode<P: Part>(reader: &mut Reader<'_, P>) -> Result<Self, P::Error> {
        let origin = reader.number()?;
        let mut forks = Self { origin, timeline: origin, ..Self::NONE };
        for _ in 0..reader.number()? {
            let fork = Fork { timeline: reader.number()?, number: reader.number()? };
            let last = forks.forks[..forks.count].last().map_or(0, |last| last.number);
            if forks.count == FORKS || fork.timeline <= forks.timeline || fork.number < last {
                return reader.malformed();
            }
            forks.forks[forks.count] = fork;
            (forks.timeline, forks.count) = (fork.timeline, forks.count + 1);
        }
        Ok(forks)
    }

    /// Whether no record beyond `end` is told apart.
    pub(crate) fn end_by(&self, end: u64) -> bool {
        self.forks[..self.count].iter().all(|fork| fork.number <= end)
    }

    /// The same forks under timelines that no log of this process has had.
    pub(crate) fn renewed(mut self) -> Self {
        self.origin = new_timeline();
        self.timeline = self.origin;
        for fork in &mut self.forks[..self.count] {
            fork.timeline = new_timeline();
            self.timeline = fork.timeline;
        }
        self
    }

    /// Begins a timeline that agrees with the present one up to `number`.
    pub(crate) fn fork(&mut self, number: u64) {
        self.timeline = new_timeline();
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
        let mut forks = Forks::new();
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
        let mut forks = Forks::new();
        let timelines: Vec<_> = (1..=20).map(|number| forked(&mut forks, 10 * number)).collect();
        for (number, &timeline) in (2..).zip(&timelines) {
            let common = forks.common_since(timeline).unwrap_or(0);
            assert!(common <= 10 * number, "{timeline}: {common}");
        }
        assert_eq!(forks.common_since(timelines[17]), Some(190));
        assert_eq!(forks.common_since(timelines[19]), None);
    }

    #[test]
    fn two_logs_have_in_common_what_both_have_been_through() {
        let mut base = Forks::new();
        let other = Forks::new();
        assert_eq!((base.common_with(&base), base.common_with(&other)), (u64::MAX, 0));
        base.fork(20);
        let (mut left, mut right) = (base, base);
        left.fork(30);
        right.fork(28);
        assert_eq!((base.common_with(&left), left.common_with(&base)), (30, 30));
        assert_eq!((left.common_with(&right), right.common_with(&left)), (28, 28));
        base.fork(7);
        assert_eq!((base.common_with(&left), right.common_with(&base)), (7, 7));
        (0..FORKS as u64).for_each(|number| right.fork(40 + number));
        assert!(left.common_with(&right) <= 28);
    }
}
