//! The grid, and the crowd that it hands dense traffic to, against a comparison of all pairs.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{SEPARATION_FT, SEPARATION_NM};
use super::*;
use crate::geodesy::{Coordinates, EARTH_RADIUS_NM, UnitVector, chord_squared_of};

fn aircraft(id: u64, latitude_deg: f64, longitude_deg: f64, altitude_ft: f32) -> Aircraft {
    let position = Coordinates { latitude_deg, longitude_deg }.into();
    Aircraft { id, position, altitude_ft }
}

/// All conflicts, by comparing every aircraft with every other.
fn compare_all(aircraft: &[Aircraft]) -> Vec<ConflictPair> {
    let limit_squared = chord_squared_of(SEPARATION_NM);
    let mut pairs = Vec::new();
    for (index, one) in aircraft.iter().enumerate() {
        for other in &aircraft[index + 1..] {
            if (one.altitude_ft - other.altitude_ft).abs() < SEPARATION_FT
                && one.position.chord_squared(other.position) < limit_squared
            {
                let (low, high) = (one.id.min(other.id), one.id.max(other.id));
                pairs.push(ConflictPair { low, high });
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

fn numbered(places: Vec<(f64, f64, f32)>) -> Vec<Aircraft> {
    let number = |(id, (latitude_deg, longitude_deg, altitude_ft))| {
        aircraft(id as u64, latitude_deg, longitude_deg, altitude_ft)
    };
    places.into_iter().enumerate().map(number).collect()
}

fn assert_exact(aircraft: &[Aircraft]) -> usize {
    let mut grid = ConflictGrid::with_capacity(aircraft.len());
    grid.update(aircraft.iter().copied());
    let all = compare_all(aircraft);
    assert_eq!(grid.pair_count(), all.len() as u64);
    assert_eq!(grid.pairs(), &all[..all.len().min(PAIRS_LISTED_MAX)]);
    // Whichever way the grid took, the crowd finds the same.
    let (mut ids, mut pairs) = (Vec::new(), Vec::new());
    assert_eq!(grid.crowd.count(&grid.sorted, &mut ids, &mut pairs), all.len() as u64);
    assert_eq!((ids.as_slice(), pairs.as_slice()), (grid.ids(), grid.pairs()));
    all.len()
}

#[test]
fn distance_and_height_both_count() {
    let five_nm_deg = (5.0 / EARTH_RADIUS_NM).to_degrees();
    let pair = |north_deg: f64, up_ft: f32| {
        assert_exact(&[
            aircraft(1, 40.0, -100.0, 30_000.0),
            aircraft(2, 40.0 + north_deg, -100.0, 30_000.0 + up_ft),
        ])
    };
    assert_eq!(pair(five_nm_deg * 0.99, 999.0), 1);
    assert_eq!(pair(five_nm_deg * 1.01, 0.0), 0);
    assert_eq!(pair(0.0, 1_000.0), 0);
    assert_eq!(pair(0.0, -999.0), 1);
}

#[test]
fn conflicts_over_pole_and_antimeridian_are_found() {
    assert_eq!(
        assert_exact(&[
            aircraft(1, 89.97, 0.0, 0.0),
            aircraft(2, 89.97, 180.0, 0.0),
            aircraft(3, 90.0, 77.0, 0.0),
            aircraft(4, -89.98, -90.0, 0.0),
            aircraft(5, -89.98, 90.0, 0.0),
        ]),
        4
    );
    for latitude_deg in [0.0, 52.0, 71.3, -60.0] {
        let east =
            [aircraft(1, latitude_deg, 179.99, 0.0), aircraft(2, latitude_deg, -179.99, 0.0)];
        assert_eq!(assert_exact(&east), 1);
        let upwards = [
            aircraft(1, latitude_deg, -179.99, 0.0),
            aircraft(2, latitude_deg + 0.05, 179.99, 0.0),
        ];
        assert_eq!(assert_exact(&upwards), 1);
    }
}

#[test]
fn parallel_traffic_is_exact_at_every_latitude() {
    // Rows of aircraft 4.9 NM apart along a parallel: each conflicts with both neighbours.
    for latitude_deg in (-89..=89).map(f64::from) {
        let step_deg = 4.9 / EARTH_RADIUS_NM.to_radians() / latitude_deg.to_radians().cos();
        let places = (0..20).map(|step| (latitude_deg, f64::from(step) * step_deg - 170.0, 0.0));
        let places = places.filter(|place| place.1 < 180.0).collect::<Vec<_>>();
        let count = places.len();
        assert!(assert_exact(&numbered(places)) >= count - 1, "{latitude_deg}");
    }
}

#[test]
fn positions_that_are_not_finite_are_in_conflict_with_nobody() {
    let mut lost = aircraft(1, 40.0, -100.0, 0.0);
    lost.position = UnitVector([f32::NAN, 0.0, 0.0]);
    let mut grid = ConflictGrid::with_capacity(4);
    let found = [aircraft(2, 40.0, -100.0, 0.0), aircraft(3, 40.0, -100.0, 0.0)];
    grid.update([lost, found[0], found[1], aircraft(4, 40.0, -100.0, f32::NAN)]);
    assert_eq!(grid.ids(), [2, 3]);
}

#[test]
fn order_of_input_does_not_matter_and_buffers_are_reused() {
    let mut crowd: Vec<Aircraft> = (0..500)
        .map(|id| aircraft(id, 40.0 + (id % 23) as f64 * 0.05, (id % 37) as f64 * 0.05, 0.0))
        .collect();
    let mut grid = ConflictGrid::with_capacity(crowd.len());
    grid.update(crowd.iter().copied());
    let pairs = grid.pairs().to_vec();
    let mut checksum = Checksum::new(0);
    grid.fold(&mut checksum);
    let capacities = [grid.arrived.capacity(), grid.sorted.capacity(), grid.pairs.capacity()];
    crowd.reverse();
    grid.update(crowd.iter().copied());
    assert_eq!(grid.pairs(), pairs);
    let mut again = Checksum::new(0);
    grid.fold(&mut again);
    assert_eq!(checksum.value(), again.value());
    let reused = [grid.arrived.capacity(), grid.sorted.capacity(), grid.pairs.capacity()];
    assert_eq!(capacities, reused);
    grid.update([]);
    assert!(grid.pairs().is_empty() && grid.ids().is_empty());
}

/// The grid listed all pairs of flights in conflict and visited each: 200,000 flights of one minute
/// on one route are 20,000 million pairs, 320 GB.
#[test]
fn flights_of_one_minute_on_one_route_are_counted_in_bulk() {
    let aircraft: Vec<Aircraft> =
        (0..200_000).map(|id| aircraft(id, 36.1, -115.2, 3_000.0)).collect();
    let mut grid = ConflictGrid::with_capacity(aircraft.len());
    let capacities = |grid: &ConflictGrid| (grid.pairs.capacity(), grid.ids.capacity());
    let before = capacities(&grid);
    grid.update(aircraft.iter().rev().copied());
    assert_eq!(grid.pair_count(), 200_000 * 199_999 / 2);
    assert_eq!(grid.pairs().len(), PAIRS_LISTED_MAX);
    let first = (1..=PAIRS_LISTED_MAX as u64).map(|high| ConflictPair { low: 0, high });
    assert!(grid.pairs().iter().copied().eq(first));
    assert!(grid.ids().iter().copied().eq(0..200_000));
    assert_eq!(capacities(&grid), before);
}

#[test]
fn dense_traffic_that_is_spread_out_is_exact() {
    // A lattice of 60 x 40 aircraft 0.3 NM apart, in five heights 700 ft apart.
    let place = |step: u32| {
        let (row, column) = (f64::from(step / 60), f64::from(step % 60));
        (41.9 + row * 0.005, -87.9 + column * 0.0067, (step % 5) as f32 * 700.0)
    };
    assert!(assert_exact(&numbered((0..2_400).map(place).collect())) > PAIRS_LISTED_MAX);
}

#[test]
fn longest_list_is_no_longer_than_its_bound() {
    // 363 aircraft at one place have 65,703 pairs, 362 have 65,341.
    for (count, pairs) in [(362, 65_341), (363, 65_703)] {
        let crowd: Vec<Aircraft> =
            (0..count).map(|id| aircraft(7 * id, 36.1, -115.2, 0.0)).collect();
        assert_eq!(assert_exact(&crowd), pairs);
    }
}

#[test]
fn crowd_keeps_within_its_capacity() {
    for count in [1, 2, 8, 9, 17, 33, 1_000, 4_099] {
        let place = |step: u32| (40.0 + f64::from(step) * 1e-4, 7.0, 0.0);
        let aircraft = numbered((0..count).map(place).collect());
        let mut grid = ConflictGrid::with_capacity(aircraft.len());
        grid.update(aircraft);
        let before = grid.crowd.capacities();
        grid.crowd.count(&grid.sorted, &mut grid.ids, &mut grid.pairs);
        assert_eq!(grid.crowd.capacities(), before, "{count}");
    }
}

proptest! {
    #[test]
    fn crowd_equals_comparison_of_all_pairs(
        places in vec((0..20_u32, 0..20_u32, 0..12_u32), 0..400),
        step_deg in prop_oneof![Just(0.004), Just(0.02), Just(0.0833)],
    ) {
        let place = |(north, east, up): (u32, u32, u32)| {
            let north_deg = 40.0 + f64::from(north) * step_deg;
            (north_deg, -100.0 + f64::from(east) * step_deg, up as f32 * 250.0)
        };
        assert_exact(&numbered(places.into_iter().map(place).collect()));
    }

    #[test]
    fn grid_equals_comparison_of_all_pairs(
        south in prop_oneof![Just(-90.0), Just(89.0), Just(40.0), Just(71.0), -90.0..89.0],
        west in prop_oneof![Just(179.5), Just(-180.0), Just(-100.0), -180.0..180.0],
        spread in prop_oneof![Just(1.0), Just(0.2), Just(360.0)],
        places in vec((0.0..1.0, 0.0..1.0, 0.0f32..4_000.0), 0..120),
    ) {
        let place = |(north, east, up)| {
            let longitude_deg: f64 = west + east * spread;
            (south + north, (longitude_deg + 180.0).rem_euclid(360.0) - 180.0, up)
        };
        assert_exact(&numbered(places.into_iter().map(place).collect()));
    }
}
