//! Pausing a host, single steps, and the speed of simulated time.

use std::time::Duration;

use super::config::HostError;
use super::module_host::ModuleHost;
use super::time::Time;

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
        self.pace.pause();
    }

    /// Goes on after [`ModuleHost::pause`].
    pub fn resume(&mut self) {
        self.pace.resume();
    }

    /// Lets one frame run of a host that is paused, and pauses one that runs after its next frame. Each call
    /// adds a frame.
    pub fn step(&mut self) {
        self.pace.step();
    }

    /// Whether the next frame does nothing.
    pub fn is_paused(&self) -> bool {
        self.pace.is_paused()
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
        if !self.pace.set_scale(scale) {
            return Err(HostError::TimeScale { scale });
        }
        Ok(())
    }

    /// The simulated time that has passed: the sum of the frames that were run, scaled, or as much of it as a
    /// `Duration` can hold.
    pub fn time(&self) -> Duration {
        self.now.duration_since(Time::ZERO)
    }
}
