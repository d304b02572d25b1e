//! The phases of a frame in which systems run.

use std::time::Duration;

use crate::world::World;

use super::module_host::ModuleHost;
use super::systems::{Frame, Phase, System};

/// # Systems
impl ModuleHost {
    /// Adds a part of the simulation, which runs in every frame on the thread that calls it, on the live world: see
    /// [`Phase`]. May be called at any time. A simulation that is called between two frames needs
    /// none of this.
    ///
    /// A panic of a system is one of [`ModuleHost::run_frame`]: the world is as the system left it, the rest of
    /// the frame is not run, and the next one is a frame as any other.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{ModuleHost, ModuleSpec, Phase};
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// world.spawn((0.0_f32,));
    /// host.add_system(Phase::Simulation, "move", |world, frame| {
    ///     world.query_mut::<&mut f32>().for_each(|place| *place += frame.dt.as_secs_f32());
    /// });
    /// host.add(ModuleSpec::fast("watch").reads::<(f32,)>(), |context| {
    ///     let place = *context.view().query::<&f32>().single().unwrap();
    ///     assert_eq!(place, context.tick() as f32 * 0.25);
    /// })
    /// .unwrap();
    /// (0..8).for_each(|_| host.run_frame(&mut world, Duration::from_millis(250)).unwrap());
    /// assert_eq!(host.statistics(&world).systems[0].runs, 8);
    /// ```
    pub fn add_system(
        &mut self,
        phase: Phase,
        name: impl Into<String>,
        run: impl FnMut(&mut World, Frame) + Send + 'static,
    ) {
        let system = System::new(phase, name.into(), Box::new(run));
        let place = self.systems.partition_point(|other| other.phase <= phase);
        self.systems.insert(place, system);
    }

    /// Runs the systems of a phase.
    pub(super) fn run_phase(&mut self, phase: Phase, world: &mut World, dt: Duration) {
        if self.systems.is_empty() {
            return;
        }
        let frame = Frame { dt, time: self.time(), tick: world.tick() };
        let systems = self.systems.iter_mut().filter(|system| system.phase == phase);
        systems.for_each(|system| system.run(world, frame));
    }
}
