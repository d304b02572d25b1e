//! The grid against a comparison of all pairs.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::geodesy::Coordinates;

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
    assert_eq!(grid.pairs(), compare_all(aircraft));
    grid.pairs().len()
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

proptest! {
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
