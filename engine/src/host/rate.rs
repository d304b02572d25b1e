//! Rates: how often a module runs, in time or in frames, without drift.

use std::time::Duration;

/// How often a module runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rate(Unit);

/// How much earlier than in time a frame may be for a rate to be due on it.
const TOLERANCE: Duration = Duration::from_micros(100);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Unit {
    Millihertz(u64),
    Frames(u64),
}

impl Rate {
    /// Every frame.
    pub const EVERY_FRAME: Self = Self::every_frames(1);

    /// `hertz` times a second of the time that the frames add up to. Drift-free: after `t`
    /// seconds a module has been due `floor(t * hertz)` times, at any frame rate that is not
    /// lower. Below that it is due every frame, and what it missed is not made up for. A frame
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

    /// How often a module of this rate has been due after `elapsed` and `frame` frames.
    fn due_count(self, elapsed: Duration, frame: u64) -> u64 {
        match self.0 {
            Unit::Millihertz(millihertz) => {
                // Nanoseconds times millihertz: 10^12 make one run.
                let count =
                    (elapsed + TOLERANCE).as_nanos() * u128::from(millihertz) / 1_000_000_000_000;
                u64::try_from(count).unwrap_or(u64::MAX)
            }
            Unit::Frames(frames) => frame / frames,
        }
    }

    /// A time before which a module that has been due `count` times is not due again; zero for a
    /// rate in frames.
    fn not_before(self, count: u64) -> Duration {
        match self.0 {
            Unit::Millihertz(millihertz) => {
                let next = u128::from(count + 1) * 1_000_000_000_000 / u128::from(millihertz);
                let next = u64::try_from(next).unwrap_or(u64::MAX);
                Duration::from_nanos(next).saturating_sub(TOLERANCE)
            }
            Unit::Frames(_) => Duration::ZERO,
        }
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Unit::Millihertz(millihertz) => write!(formatter, "{} Hz", millihertz as f64 / 1000.0),
            Unit::Frames(1) => formatter.write_str("every frame"),
            Unit::Frames(frames) => write!(formatter, "every {frames} frames"),
        }
    }
}

/// When a rate was due last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    rate: Rate,
    count: u64,
    /// The time before which a rate in time is not due again.
    not_before: Duration,
}

impl Schedule {
    pub(super) fn new(rate: Rate, elapsed: Duration, frame: u64) -> Self {
        let count = rate.due_count(elapsed, frame);
        Self { rate, count, not_before: rate.not_before(count) }
    }

    /// Whether the rate is due at this point, which lies after those asked for before.
    pub(super) fn is_due(&mut self, elapsed: Duration, frame: u64) -> bool {
        if elapsed < self.not_before {
            return false;
        }
        let count = self.rate.due_count(elapsed, frame);
        let due = count > self.count;
        (self.count, self.not_before) = (count, self.rate.not_before(count));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(rate: Rate, frames_per_second: u64, seconds: u64) -> u64 {
        let mut schedule = Schedule::new(rate, Duration::ZERO, 0);
        let frames = frames_per_second * seconds;
        (1..=frames)
            .filter(|&frame| {
                let elapsed = Duration::from_nanos(frame * 1_000_000_000 / frames_per_second);
                schedule.is_due(elapsed, frame)
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
    }

    #[test]
    fn a_rate_in_frames_counts_frames() {
        assert_eq!(runs(Rate::every_frames(7), 60, 7), 60);
        assert_eq!(runs(Rate::EVERY_FRAME, 60, 1), 60);
    }
}
