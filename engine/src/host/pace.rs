//! [`Pace`]: how the time that frames are given becomes simulated time.

use std::time::Duration;

use crate::storage::encoding::put_number;

use super::bytes::{Reader, StateError, put_flag};
use super::time::nanoseconds;

/// Bits after the point of a time scale.
const FRACTION_BITS: u32 = 32;

/// How the time that frames are given becomes simulated time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    state: State,
    /// The scale, in units of 2^-32.
    scale: u64,
    /// What the last scaled frame left over, in units of 2^-32 nanoseconds.
    rest: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Running,
    /// Some frames run, and then no more.
    Paused {
        steps: u64,
    },
}

impl Pace {
    pub(super) const REAL_TIME: Self =
        Self { state: State::Running, scale: 1 << FRACTION_BITS, rest: 0 };

    /// The simulated time of a frame that takes `dt`; `None` for one that is not run.
    pub(super) fn advance(&mut self, dt: Duration) -> Option<Duration> {
        match &mut self.state {
            State::Running => {}
            State::Paused { steps: 0 } => return None,
            State::Paused { steps } => *steps -= 1,
        }
        if self.scale == 1 << FRACTION_BITS { Some(dt) } else { Some(self.scaled(dt)) }
    }

    #[cold]
    fn scaled(&mut self, dt: Duration) -> Duration {
        // A duration has fewer than 2^94 nanoseconds, so only its upper part can be too much.
        let (scale, nanos) = (u128::from(self.scale), dt.as_nanos());
        let whole = (nanos >> FRACTION_BITS) * scale;
        let low = (nanos & ((1 << FRACTION_BITS) - 1)) * scale + u128::from(self.rest);
        self.rest = low as u64 & ((1 << FRACTION_BITS) - 1);
        nanoseconds(whole.saturating_add(low >> FRACTION_BITS))
    }
}

impl Pace {
    pub(super) fn pause(&mut self) {
        self.state = State::Paused { steps: 0 };
    }

    pub(super) fn resume(&mut self) {
        self.state = State::Running;
    }

    /// Lets one more frame run, and none after it.
    pub(super) fn step(&mut self) {
        let steps = match self.state {
            State::Running => 0,
            State::Paused { steps } => steps,
        };
        self.state = State::Paused { steps: steps.saturating_add(1) };
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state == State::Paused { steps: 0 }
    }

    /// Sets the scale, if it lies between 0 and 2^31. Tells whether it does.
    pub(super) fn set_scale(&mut self, scale: f64) -> bool {
        let is_fine = (0.0..=f64::from(1_u32 << 31)).contains(&scale);
        if is_fine {
            self.scale = (scale * (1_u64 << FRACTION_BITS) as f64).round() as u64;
        }
        is_fine
    }

    /// Writes all of it.
    pub(super) fn put(&self, buffer: &mut Vec<u8>) {
        let steps = match self.state {
            State::Running => 0,
            State::Paused { steps } => steps,
        };
        put_flag(self.state != State::Running, buffer);
        [steps, self.scale, self.rest].iter().for_each(|&number| put_number(buffer, number));
    }

    /// Reads what [`Pace::put`] wrote.
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let is_paused = reader.flag()?;
        let (steps, scale, rest) = (reader.number()?, reader.number()?, reader.number()?);
        let is_sound = scale <= 1 << 63 && rest < 1 << FRACTION_BITS && (is_paused || steps == 0);
        if !is_sound {
            return reader.malformed();
        }
        let state = if is_paused { State::Paused { steps } } else { State::Running };
        Ok(Self { state, scale, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_frames_add_up_at_the_extremes() {
        let frames = [16_666_667, 3, 0, 1_000_000_007, 1, 99_999_999_999];
        let whole: u128 = frames.iter().map(|&nanos| u128::from(nanos)).sum();
        for scale in [0, 1, 1 << 31, (1 << 32) - 1, (1 << 32) + 1, 3 << 32, 1 << 63] {
            let mut pace = Pace { scale, ..Pace::REAL_TIME };
            let passed = frames.map(|nanos| pace.advance(Duration::from_nanos(nanos)));
            let passed: Duration = passed.into_iter().flatten().sum();
            assert_eq!(passed.as_nanos(), (whole * u128::from(scale)) >> FRACTION_BITS);
        }
        let mut fast = Pace { scale: 1 << 63, ..Pace::REAL_TIME };
        assert_eq!(fast.advance(Duration::MAX), Some(Duration::MAX));
    }
}
