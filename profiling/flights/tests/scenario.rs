//! The promises of the scenario: traffic that follows the timetable, and module results that depend
//! neither on threads nor on where views come from.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::{Arc, OnceLock};

use convoy_engine::provider::ProviderKind;
use convoy_engine::{Entity, With, Without};
use profiling::input::{
    EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS, FLIGHTS_HEADER, LoadOptions, Source, load_airports,
    load_flights,
};
use profiling::measure::{Measurement, measure};
use profiling::modules::{
    ArrivalWatch, ConflictDetection, DelayWatch, Egress, SectorWatch, mask_of,
};
use profiling::scenario::{CopyMasks, Scenario, ScenarioConfig, Sharing};
use profiling::traffic::{Active, Alert, FlightLanded, FlightPath, Position, Schedule, Timetable};

/// Two minutes in a frame: 300 frames are ten hours, and the morning's traffic is in the air.
const FRAME_S: f64 = 120.0;

const FRAMES: u64 = 300;

fn timetable() -> Arc<Timetable> {
    static TIMETABLE: OnceLock<Arc<Timetable>> = OnceLock::new();
    let timetable = TIMETABLE.get_or_init(|| {
        let options = LoadOptions { strict: true };
        let airports = load_airports(&EMBEDDED_AIRPORTS, options).unwrap().data;
        let flights = load_flights(&EMBEDDED_FLIGHTS, &airports, options).unwrap().data;
        Arc::new(Timetable::new(&flights, &airports))
    });
    Arc::clone(timetable)
}

fn scenario(sharing: Sharing, threads: usize) -> Scenario {
    let config = ScenarioConfig { sharing, threads, overlap: true, frame_s: FRAME_S, seed: 7 };
    Scenario::new(timetable(), config).unwrap()
}

fn run(sharing: Sharing, threads: usize) -> Measurement {
    measure(&mut scenario(sharing, threads), FRAMES, |_| {}).unwrap()
}

#[test]
fn both_ways_of_sharing_give_the_same_results_with_any_threads() {
    for threads in [0, 1, 3] {
        let convoy = run(Sharing::Convoy, threads);
        assert_eq!(convoy.faults, 0);
        for masks in [CopyMasks::Convoy, CopyMasks::Own] {
            let individual = run(Sharing::Individual(masks), threads);
            assert_eq!(individual.results, convoy.results, "{threads} threads, {masks:?}");
            assert_eq!(individual.checksum, convoy.checksum);
            assert_eq!(individual.alert_commands, convoy.alert_commands);
        }
    }
}

#[test]
fn number_of_workers_does_not_show() {
    let one = run(Sharing::Convoy, 1);
    assert_eq!(one.results, run(Sharing::Convoy, 1).results, "a run can be repeated");
    assert_eq!(one.results, run(Sharing::Convoy, 4).results);
    let other_seed = ScenarioConfig { seed: 8, ..config_of_one() };
    let mut other = Scenario::new(timetable(), other_seed).unwrap();
    assert_ne!(measure(&mut other, FRAMES, |_| {}).unwrap().checksum, one.checksum);
}

fn config_of_one() -> ScenarioConfig {
    ScenarioConfig {
        sharing: Sharing::Convoy,
        threads: 1,
        overlap: false,
        frame_s: FRAME_S,
        seed: 7,
    }
}

#[test]
fn modules_run_at_their_rates() {
    let results = run(Sharing::Convoy, 1).results;
    let runs: Vec<u64> = results.iter().map(|result| result.runs).collect();
    let ten = FRAMES / 6;
    assert_eq!(runs[..7], [FRAMES, ten, ten, ten, ten, ten, 5]);
    assert!((10..=ten).contains(&runs[7]), "when alerts have changed: {} times", runs[7]);
}

#[test]
fn five_modules_are_one_convoy_with_the_union_of_their_reads() {
    let mut scenario = scenario(Sharing::Convoy, 1);
    let convoys = scenario.statistics().convoys;
    let shapes: Vec<_> = convoys.iter().map(|convoy| (convoy.kind, convoy.members)).collect();
    let alone = (ProviderKind::OnDemand, 1);
    let expected = [(ProviderKind::DoubleBuffer, 1), (ProviderKind::Shared, 5), alone, alone];
    assert_eq!(shapes, expected);
    let world = scenario.world_mut();
    let union = mask_of::<ConflictDetection>(world)
        .unwrap()
        .union(&mask_of::<SectorWatch>(world).unwrap())
        .union(&mask_of::<ArrivalWatch>(world).unwrap())
        .union(&mask_of::<DelayWatch>(world).unwrap())
        .union(&mask_of::<Egress>(world).unwrap());
    assert_eq!(convoys[1].mask, union);
    assert!(scenario.statistics().modules.iter().all(|module| !module.reads_all));
}

#[test]
fn every_module_has_its_own_copy_in_the_individual_run() {
    let convoys = scenario(Sharing::Individual(CopyMasks::Convoy), 0).statistics().convoys;
    assert_eq!(convoys.len(), 8);
    for convoy in convoys {
        assert_eq!((convoy.kind, convoy.members, convoy.manual), (ProviderKind::Replica, 1, true));
    }
}

#[test]
fn flights_are_where_the_timetable_says() {
    let mut scenario = scenario(Sharing::Convoy, 0);
    for _ in 0..FRAMES {
        scenario.step().unwrap();
    }
    let now_s = scenario.simulation().clock().at(FRAMES);
    let flights = timetable();
    let schedules = || flights.flights().iter().map(|flight| flight.schedule);
    let departed = schedules().filter(|each| f64::from(each.departure_s) <= now_s).count();
    let landed = schedules().filter(|each| f64::from(each.arrival_s) <= now_s).count();
    assert!(landed > 1_000 && departed - landed > 1_000);
    assert_eq!(scenario.progress().landed(), landed);
    assert_eq!(scenario.progress().airborne(), departed - landed);

    let world = scenario.world();
    let all = flights.flights().len();
    assert_eq!(world.entity_count(), all);
    assert_eq!(world.query::<&Schedule>().filter::<Without<Active>>().count(), landed);
    let airborne = world.query::<(&Position, &FlightPath, &Schedule)>();
    assert_eq!(airborne.count(), departed - landed);
    for (position, path, schedule) in airborne {
        assert_eq!(*position, path.position(schedule, now_s));
        assert!(f64::from(schedule.departure_s) <= now_s);
        assert!(f64::from(schedule.arrival_s) > now_s);
    }
}

/// The world kept 16,384 events of a type, so modules at 10 Hz missed landings where more flights
/// land between two of their runs.
#[test]
fn no_landing_is_lost_however_many_flights_land_at_once() {
    let airports = load_airports(&EMBEDDED_AIRPORTS, LoadOptions::default()).unwrap().data;
    let row = "2001-01-01T00:01,33,2176,LAS,PHL\n";
    let text = format!("{FLIGHTS_HEADER}\n{}", row.repeat(40_000));
    let source = Source::Bytes { name: "one minute", bytes: text.as_bytes() };
    let flights = load_flights(&source, &airports, LoadOptions::default()).unwrap().data;
    let timetable = Arc::new(Timetable::new(&flights, &airports));
    let config = ScenarioConfig { frame_s: 1_000.0, threads: 0, ..config_of_one() };
    let mut scenario = Scenario::new(timetable, config).unwrap();
    let mut cursor = scenario.world().event_cursor::<FlightLanded>();
    let mut landed = 0;
    for frame in 0..60 {
        scenario.step().unwrap();
        // A module at 10 Hz reads in every sixth frame.
        if frame % 6 == 5 {
            landed += scenario.world().events(&mut cursor).count();
        }
    }
    assert_eq!((landed, cursor.lost()), (40_000, 0));
}

#[test]
fn all_flights_land_in_the_end() {
    let config = ScenarioConfig { frame_s: 1_000.0, threads: 0, ..config_of_one() };
    let mut scenario = Scenario::new(timetable(), config).unwrap();
    for _ in 0..800 {
        scenario.step().unwrap();
    }
    scenario.finish();
    assert_eq!(scenario.progress().landed(), timetable().flights().len());
    assert_eq!(scenario.world().query::<Entity>().filter::<With<Active>>().count(), 0);
    assert_eq!(scenario.world().query::<&Alert>().count(), 0, "alerts end with the flights");
}

#[test]
fn snapshots_cost_a_fraction_of_copies_and_map_nothing() {
    let individual = run(Sharing::Individual(CopyMasks::Convoy), 1);
    let convoy = run(Sharing::Convoy, 1);
    assert!(convoy.airborne_peak > 1_000);
    assert!(convoy.alert_commands > 100);
    let ratio = convoy.snapshot_bytes as f64 / individual.snapshot_bytes as f64;
    assert!(ratio <= 0.05, "{ratio}");
    assert!(convoy.reuse_rate >= 0.95, "{}", convoy.reuse_rate);
    assert_eq!(convoy.mapped_growth_bytes, 0);
    assert_eq!(convoy.heap, None, "this test has no counting allocator");
}
