//! [`Time`]: the sum of the frames.

use std::time::Duration;

/// A point in the time that frames add up to, in nanoseconds since the first one. It has room for
/// 2^34 frames of [`Duration::MAX`], and stands still at its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Time(u128);

impl Time {
    pub(super) const ZERO: Self = Self(0);

    pub(super) const fn new(nanos: u128) -> Self {
        Self(nanos)
    }

    pub(super) const fn nanos(self) -> u128 {
        self.0
    }

    pub(super) fn after(self, passed: Duration) -> Self {
        Self(self.0.saturating_add(passed.as_nanos()))
    }

    /// Nanoseconds since `earlier`.
    pub(super) fn since(self, earlier: Self) -> u128 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time since `earlier`, or as much of it as a `Duration` can hold.
    pub(super) fn duration_since(self, earlier: Self) -> Duration {
        nanoseconds(self.since(earlier))
    }
}

/// So many nanoseconds, or as many as a `Duration` can hold.
pub(super) fn nanoseconds(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    match u64::try_from(nanos / SECOND) {
        Ok(seconds) => Duration::new(seconds, (nanos % SECOND) as u32),
        Err(_) => Duration::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_duration_cannot_hold_is_left_for_the_next_one() {
        let now =
            Time::ZERO.after(Duration::MAX).after(Duration::MAX).after(Duration::from_nanos(3));
        let mut given = Time::ZERO;
        let parts = [(); 4].map(|()| {
            let part = now.duration_since(given);
            given = given.after(part);
            part
        });
        assert_eq!(parts, [Duration::MAX, Duration::MAX, Duration::from_nanos(3), Duration::ZERO]);
        let mut end = Time(u128::MAX - 1);
        end = end.after(Duration::from_secs(1));
        assert_eq!((end, end.after(Duration::MAX)), (Time(u128::MAX), Time(u128::MAX)));
    }
}
