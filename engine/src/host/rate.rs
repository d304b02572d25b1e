//! Rates: how often a module runs, in time or in frames, without drift.

use super::time::Time;

/// How often a module runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rate(Unit);

/// How many nanoseconds earlier than in time a frame may be for a rate to be due on it.
const TOLERANCE: u128 = 100_000;

/// The length of one run, in nanoseconds times millihertz.
const RUN: u128 = 1_000_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Unit {
    Millihertz(u64),
    Frames(u64),
    Never,
}

impl Rate {
    /// At no time: for modules that run on triggers alone.
    pub const NEVER: Self = Self(Unit::Never);

    /// Every frame.
    pub const EVERY_FRAME: Self = Self::every_frames(1);

    /// `hertz` times a second of the time that the frames add up to. Drift-free: after `t`
    /// seconds a module has been due `floor(t * hertz)` times, at any frame rate that is not
    /// lower. Below that it is due every frame, and missed runs are not made up for. A frame
    /// counts as reaching a point in time that it misses by up to 0.1 ms, so that frame times
    /// rounded to nanoseconds postpone nothing.
    ///
    /// # Panics
    ///
    /// When `hertz` is zero.
    #[track_caller]
    pub const fn hz(hertz: u32) -> Self {
        Self::millihertz(hertz as u64 * 1000)
    }

    /// `millihertz` times in 1,000 seconds: 500 is every other second.
    ///
    /// # Panics
    ///
    /// When `millihertz` is zero.
    #[track_caller]
    pub const fn millihertz(millihertz: u64) -> Self {
        assert!(millihertz > 0, "a rate is above zero");
        Self(Unit::Millihertz(millihertz))
    }

    /// Every `frames` frames: on frame `frames`, `2 * frames` and so on.
    ///
    /// # Panics
    ///
    /// When `frames` is zero.
    #[track_caller]
    pub const fn every_frames(frames: u64) -> Self {
        assert!(frames > 0, "a rate is above zero");
        Self(Unit::Frames(frames))
    }

    /// On how many of so many frames it may be due.
    pub(super) fn runs_in(self, frames: usize) -> usize {
        match self.0 {
            Unit::Millihertz(_) | Unit::Never => frames,
            Unit::Frames(each) => usize::try_from(each).map_or(1, |each| frames.div_ceil(each)),
        }
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Unit::Millihertz(millihertz) => write!(formatter, "{} Hz", millihertz as f64 / 1000.0),
            Unit::Never => formatter.write_str("on triggers"),
            Unit::Frames(1) => formatter.write_str("every frame"),
            Unit::Frames(frames) => write!(formatter, "every {frames} frames"),
        }
    }
}

/// When a rate is due next.
///
/// A rate in time keeps how far it is into the current run and adds the time of each frame, so it
/// neither drifts nor comes to an end: no count of runs and no sum of times has to fit anywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    rate: Rate,
    /// The point that was asked for last.
    last: (Time, u64),
    /// How far a rate in time is into its current run: below `RUN`.
    phase: u128,
}

impl Schedule {
    /// The schedule of `rate` from time zero and frame zero on.
    pub(super) fn new(rate: Rate) -> Self {
        // Every point is the tolerance later than it is.
        let phase = match rate.0 {
            Unit::Millihertz(millihertz) => TOLERANCE * u128::from(millihertz) % RUN,
            Unit::Frames(_) | Unit::Never => 0,
        };
        Self { rate, last: (Time::ZERO, 0), phase }
    }

    /// The schedule of a rate that is first asked for at this point: the times that it is due are those that it would
    /// have been due on since time zero.
    pub(super) fn from(rate: Rate, now: Time, frame: u64) -> Self {
        let mut schedule = Self::new(rate);
        schedule.is_due(now, frame);
        schedule
    }

    /// Whether the rate is due at this point, which lies after those asked for before.
    pub(super) fn is_due(&mut self, now: Time, frame: u64) -> bool {
        let last = std::mem::replace(&mut self.last, (now, frame));
        match self.rate.0 {
            Unit::Millihertz(millihertz) => self.advance(now.since(last.0), millihertz.into()),
            Unit::Frames(frames) => frame / frames > last.1 / frames,
            Unit::Never => false,
        }
    }

    /// Goes on by `passed` nanoseconds; whether at least one run has begun.
    fn advance(&mut self, passed: u128, millihertz: u128) -> bool {
        // `RUN` nanoseconds, 1,000 seconds, are one run a millihertz: a whole number of runs, which
        // leaves the phase as it is. The rest is below 2^40 and a rate below 2^64.
        let (whole, rest) = if passed < RUN { (false, passed) } else { (true, passed % RUN) };
        self.phase += rest * millihertz;
        let due = whole || self.phase >= RUN;
        if self.phase >= RUN {
            self.phase %= RUN;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn runs(rate: Rate, frames_per_second: u64, seconds: u64) -> u64 {
        let mut schedule = Schedule::new(rate);
        let frames = frames_per_second * seconds;
        (1..=frames)
            .filter(|&frame| {
                let elapsed = Duration::from_nanos(frame * 1_000_000_000 / frames_per_second);
                schedule.is_due(Time::ZERO.after(elapsed), frame)
            })
            .count() as u64
    }

    #[test]
    fn a_rate_in_hertz_is_kept_at_every_frame_rate() {
        for frames_per_second in [30, 60, 144] {
            for hertz in [1, 7, 10, 30] {
                assert_eq!(runs(Rate::hz(hertz), frames_per_second, 60), 60 * u64::from(hertz));
            }
        }
        assert_eq!(runs(Rate::millihertz(500), 60, 60), 30);
    }

    #[test]
    fn a_rate_above_the_frame_rate_is_due_every_frame() {
        assert_eq!(runs(Rate::hz(100), 60, 2), 120);
        assert_eq!(runs(Rate::millihertz(u64::MAX), 60, 2_000), 120_000);
    }

    #[test]
    fn a_rate_in_frames_counts_frames() {
        assert_eq!(runs(Rate::every_frames(7), 60, 7), 60);
        assert_eq!(runs(Rate::EVERY_FRAME, 60, 1), 60);
        assert_eq!(runs(Rate::every_frames(u64::MAX), 60, 1), 0);
    }

    /// A whole number as large as it needs to be: digits of 32 bits, the lowest first.
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Big(Vec<u64>);

    impl Big {
        fn new(number: u128) -> Self {
            Self((0..4).map(|digit| (number >> (32 * digit)) as u64 & 0xffff_ffff).collect())
        }

        fn plus(&self, other: &Self) -> Self {
            let (mut digits, mut carry) = (Vec::new(), 0);
            for digit in 0..self.0.len().max(other.0.len()) + 1 {
                let of = |number: &Self| number.0.get(digit).copied().unwrap_or(0);
                let sum = of(self) + of(other) + carry;
                digits.push(sum & 0xffff_ffff);
                carry = sum >> 32;
            }
            let length = digits.iter().rposition(|&digit| digit > 0).map_or(0, |last| last + 1);
            digits.truncate(length);
            Self(digits)
        }

        fn times(&self, factor: u64) -> Self {
            let mut sum = Self::new(0);
            for bit in (0..64).rev() {
                sum = sum.plus(&sum);
                if factor >> bit & 1 == 1 {
                    sum = sum.plus(self);
                }
            }
            sum
        }

        /// The quotient by 10^12, as four divisions by 1,000.
        fn in_runs(&self) -> Self {
            (0..4).fold(self.clone(), |number, _| {
                let mut rest = 0;
                let mut digits = number.0;
                for digit in digits.iter_mut().rev() {
                    let dividend = rest << 32 | *digit;
                    (*digit, rest) = (dividend / 1_000, dividend % 1_000);
                }
                Self(digits)
            })
        }

        fn exceeds(&self, other: &Self) -> bool {
            let of = |number: &Self, digit| number.0.get(digit).copied().unwrap_or(0);
            let digits = self.0.len().max(other.0.len());
            let differing = (0..digits).rev().find(|&digit| of(self, digit) != of(other, digit));
            differing.is_some_and(|digit| of(self, digit) > of(other, digit))
        }
    }

    /// How often a rate has been due was kept in 64 bits, and the time in a `Duration`: the fastest
    /// rates stopped after a quarter of an hour, and the second frame of `Duration::MAX` panicked.
    #[test]
    fn rates_agree_with_whole_numbers_of_any_size_at_every_length_of_frame() {
        let rates = [1, 7, 500, 7_000, 60_000, 1_000_003, u64::from(u32::MAX) * 1_000];
        let rates = rates.into_iter().chain([u64::MAX - 1, u64::MAX]);
        let century = Duration::from_secs(36_525 * 24 * 60 * 60);
        let lengths = [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_nanos(16_666_667),
            Duration::from_millis(33),
            Duration::from_secs(1_000) - Duration::from_nanos(1),
            Duration::from_secs(1_000),
            century,
            Duration::MAX - Duration::from_nanos(7),
            Duration::MAX,
        ];
        let mut state = 1_u64;
        let mut pick = |count: usize| {
            // The constants of Knuth's MMIX.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % count
        };
        for millihertz in rates {
            for _ in 0..8 {
                let mut schedule = Schedule::new(Rate::millihertz(millihertz));
                let (mut now, mut elapsed) = (Time::ZERO, Big::new(TOLERANCE));
                let mut count = elapsed.times(millihertz).in_runs();
                let usual = lengths[pick(4)];
                for frame in 1..200 {
                    let length = if pick(4) == 0 { lengths[pick(lengths.len())] } else { usual };
                    now = now.after(length);
                    elapsed = elapsed.plus(&Big::new(length.as_nanos()));
                    let before = std::mem::replace(&mut count, elapsed.times(millihertz).in_runs());
                    let due = schedule.is_due(now, frame);
                    assert_eq!(due, count.exceeds(&before), "{millihertz} mHz, {length:?}");
                }
            }
        }
    }
}
