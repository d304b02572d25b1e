//! Writes a trace of some seconds of the flights, for <https://ui.perfetto.dev>: frames, captures, runs of modules on
//! their threads, playbacks, and copies on write.
//!
//! `cargo run --release -p profiling --features tracing --example trace -- [FILE]`
#![deny(unsafe_code)]

use std::error::Error;
use std::sync::Arc;

use profiling::input::{
    EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS, LoadOptions, load_airports, load_flights,
};
use profiling::scenario::{Scenario, ScenarioConfig, Sharing};
use profiling::traffic::Timetable;
use tracing_chrome::ChromeLayerBuilder;
use tracing_subscriber::prelude::*;

/// Frames before the trace, so that there is traffic.
const WARM_UP: u32 = 4_000;
/// Frames of the trace: five seconds.
const FRAMES: u32 = 300;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "trace.json".to_owned());
    let airports = load_airports(&EMBEDDED_AIRPORTS, LoadOptions::default())?.data;
    let flights = load_flights(&EMBEDDED_FLIGHTS, &airports, LoadOptions::default())?.data;
    let timetable = Arc::new(Timetable::new(&flights, &airports));
    let config = ScenarioConfig {
        sharing: Sharing::Convoy,
        threads: 2,
        overlap: true,
        frame_s: 10.0,
        seed: 2001,
    };
    let mut scenario = Scenario::new(timetable, config)?;
    for _ in 0..WARM_UP {
        scenario.step()?;
    }
    let (layer, written) = ChromeLayerBuilder::new().file(&path).include_args(true).build();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing_subscriber::util::SubscriberInitExt::try_init(subscriber)?;
    for _ in 0..FRAMES {
        scenario.step()?;
    }
    scenario.finish();
    drop(written);
    println!("{path}: open it in https://ui.perfetto.dev");
    Ok(())
}
