//! The flights, with synchronous modules and with asynchronous ones.

use crate::common::*;

use convoy_engine::host::{HostError, ModuleContext, ModuleHost, ModuleSpec, Rate};
use profiling::input::{
    EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS, LoadOptions, load_airports, load_flights,
};
use profiling::scenario::{Scenario, ScenarioConfig, Sharing};
use profiling::traffic::Timetable;

/// A day and eleven hours: the steady frames then cover the busiest time of a day, and one as busy was
/// before.
const WARM_UP_FRAMES: u64 = 8_640 + 4_000;

pub(crate) fn measure(threads: usize) -> Report {
    let name = format!("flights, modules on {threads} workers");
    measure_with(&name, threads, |_| Ok(()))
}

/// A fresh `Vec` in every run of a module is noticed.
pub(crate) fn check_control() {
    let report =
        measure_with("flights with a module that allocates", 1, add_a_module_that_allocates);
    assert!(report.heap().allocations >= 150, "{report}");
    assert!(report.to_string().contains("add_a_module_that_allocates"), "{report}");
}

fn add_a_module_that_allocates(host: &mut ModuleHost) -> Result<(), HostError> {
    let spec = ModuleSpec::slow("allocates", Rate::hz(10)).reads::<()>();
    let module = |context: &mut ModuleContext<'_>| {
        let mut fresh = Vec::new();
        fresh.extend([context.view().tick()]);
        black_box(&fresh);
    };
    host.add(spec, module).map(|_| ())
}

fn measure_with(
    name: &str,
    threads: usize,
    add: impl FnOnce(&mut ModuleHost) -> Result<(), HostError>,
) -> Report {
    let airports = load_airports(&EMBEDDED_AIRPORTS, LoadOptions::default()).unwrap().data;
    let flights = load_flights(&EMBEDDED_FLIGHTS, &airports, LoadOptions::default()).unwrap().data;
    let timetable = Arc::new(Timetable::new(&flights, &airports));
    let config =
        ScenarioConfig { sharing: Sharing::Convoy, threads, overlap: true, frame_s: 10.0, seed: 1 };
    let test = SteadyState::new(name).warm_up(WARM_UP_FRAMES).frames(FRAMES.into()).alone();
    let mut scenario = Scenario::with_modules(timetable, config, |host| {
        let threads = test.threads().clone();
        host.on_worker_start(move |_| threads.enroll())?;
        add(host)
    })
    .unwrap();
    let report = test.run_world(&mut scenario, Scenario::world, |scenario, _| {
        scenario.step().unwrap();
    });
    assert!(scenario.progress().airborne() > 100, "the frames have traffic");
    report
}
