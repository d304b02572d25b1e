//! The pace of a host: pausing, single steps, and the speed of simulated time.

use std::time::Duration;

use super::config::HostError;
use super::module_host::ModuleHost;

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

/// So many nanoseconds, or as many as a `Duration` can hold.
fn nanoseconds(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    match u64::try_from(nanos / SECOND) {
        Ok(seconds) => Duration::new(seconds, (nanos % SECOND) as u32),
        Err(_) => Duration::MAX,
    }
}

/// # Pace
impl ModuleHost {
    /// Stops the simulation: frames do nothing until [`ModuleHost::resume`]. No tick passes and no time, no
    /// module is due, and runs that are under way land on the first frame that runs. Events that are sent
    /// meanwhile wait in their logs.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{ModuleHost, ModuleSpec};
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// host.add(ModuleSpec::fast("idle").reads::<()>(), |_| {}).unwrap();
    /// let frame = Duration::from_millis(16);
    /// host.run_frame(&mut world, frame).unwrap();
    /// host.pause();
    /// host.run_frame(&mut world, frame).unwrap();
    /// assert_eq!((world.tick(), host.is_paused()), (1, true));
    /// host.step();
    /// host.run_frame(&mut world, frame).unwrap();
    /// host.run_frame(&mut world, frame).unwrap();
    /// assert_eq!(world.tick(), 2, "one step, and no more");
    /// host.resume();
    /// host.run_frame(&mut world, frame).unwrap();
    /// assert_eq!((world.tick(), host.time()), (3, 3 * frame));
    /// ```
    pub fn pause(&mut self) {
        self.pace.state = State::Paused { steps: 0 };
    }

    /// Goes on after [`ModuleHost::pause`].
    pub fn resume(&mut self) {
        self.pace.state = State::Running;
    }

    /// Lets one frame run of a host that is paused, and pauses one that runs after its next frame. Each call
    /// adds a frame.
    pub fn step(&mut self) {
        let steps = match self.pace.state {
            State::Running => 0,
            State::Paused { steps } => steps,
        };
        self.pace.state = State::Paused { steps: steps.saturating_add(1) };
    }

    /// Whether the next frame does nothing.
    pub fn is_paused(&self) -> bool {
        self.pace.state == State::Paused { steps: 0 }
    }

    /// Sets how much simulated time passes in a frame, as a multiple of its `dt`: 1 unless set, 0.5 for slow
    /// motion. The multiple is kept to 2^-32, and what a frame leaves over goes to the next, so that times add up.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::ModuleHost;
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// host.set_time_scale(0.25).unwrap();
    /// for _ in 0..1_000 {
    ///     host.run_frame(&mut world, Duration::from_nanos(16_666_667)).unwrap();
    /// }
    /// assert_eq!(host.time(), Duration::from_nanos(16_666_667) * 1_000 / 4);
    /// ```
    ///
    /// # Errors
    ///
    /// [`HostError::TimeScale`] unless it lies between 0 and 2^31. The scale stays as it was.
    pub fn set_time_scale(&mut self, scale: f64) -> Result<(), HostError> {
        if !(0.0..=f64::from(1_u32 << 31)).contains(&scale) {
            return Err(HostError::TimeScale { scale });
        }
        self.pace.scale = (scale * (1_u64 << FRACTION_BITS) as f64).round() as u64;
        Ok(())
    }

    /// The simulated time that has passed: the sum of the frames that were run, scaled, or as much of it as a
    /// `Duration` can hold.
    pub fn time(&self) -> Duration {
        self.now.duration_since(super::time::Time::ZERO)
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
