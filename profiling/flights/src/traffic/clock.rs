//! [`Clock`]: from the world's tick to simulated time.

/// The simulated time of each frame: it starts at one moment and advances evenly.
///
/// Times are seconds since the first midnight of the data set, as everywhere in the simulation.
/// The clock is a plain value, so a module takes a copy of it and reads the time of its view
/// from the view's tick.
///
/// # Example
///
/// ```
/// use profiling::traffic::Clock;
///
/// let clock = Clock::new(-60, 10.0);
/// assert_eq!(clock.at(0), -60.0);
/// assert_eq!(clock.at(9), 30.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    start_s: f64,
    frame_s: f64,
}

impl Clock {
    /// A clock that shows `start_s` before the first frame and advances by `frame_s` in each.
    pub fn new(start_s: i32, frame_s: f64) -> Self {
        Self { start_s: f64::from(start_s), frame_s }
    }

    /// The time in frame `tick`; the first frame is 1.
    #[inline]
    pub fn at(&self, tick: u64) -> f64 {
        self.start_s + tick as f64 * self.frame_s
    }

    /// Simulated seconds in a frame.
    pub fn frame_s(&self) -> f64 {
        self.frame_s
    }
}
