//! Aircraft that come too close to each other.
//!
//! Two aircraft are in conflict if they are closer than 5 NM over ground and 1,000 ft in height. To
//! find all pairs without comparing all aircraft, the grid works in two steps:
//!
//! 1. A counting sort puts aircraft into *bands* of latitude a little higher than 5 NM, and each
//!    band is sorted by longitude. A pair in conflict is in one band or in two adjacent ones.
//! 2. For each aircraft, its own band and the next one to the north are searched within a *window*
//!    of longitude. Meridians converge, so every band has its own window, wide enough for the
//!    latitude in its reach that is nearest to a pole. Near a pole it is the whole circle;
//!    elsewhere it wraps round at the antimeridian.
//!
//! Bands and windows only nominate; the chord between unit vectors decides, so the result equals
//! that of comparing all pairs. Both are widened by far more than the rounding of `f32`.
//!
//! Cost: n log n for the sort, plus one comparison for each nominated pair.

use std::f32::consts::{FRAC_PI_2, PI};
use std::ops::Range;

use super::{Aircraft, Checksum};
use crate::geodesy::{EARTH_RADIUS_NM, UnitVector, chord_squared_of};

/// Distance over ground below which two aircraft may be in conflict.
pub const SEPARATION_NM: f64 = 5.0;

/// Difference in height below which two aircraft may be in conflict.
pub const SEPARATION_FT: f32 = 1_000.0;

/// The separation as an angle at the Earth's centre.
const SEPARATION_RAD: f64 = SEPARATION_NM / EARTH_RADIUS_NM;

/// Height of a band: the separation and 1 %, some hundred times the rounding of a latitude.
const BAND_RAD: f32 = (SEPARATION_RAD * 1.01) as f32;

/// Bands from pole to pole, the last of them in part beyond it: 180° / 0.084°.
const BANDS: usize = (std::f64::consts::PI / (SEPARATION_RAD * 1.01)) as usize + 1;

/// Two aircraft in conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConflictPair {
    /// The smaller id.
    pub low: u64,
    /// The greater id.
    pub high: u64,
}

/// Finds all pairs of aircraft in conflict.
///
/// # Example
///
/// ```
/// use profiling::analysis::{Aircraft, ConflictGrid, ConflictPair};
/// use profiling::geodesy::Coordinates;
///
/// let aircraft = |id, longitude_deg, altitude_ft| Aircraft {
///     id,
///     position: Coordinates { latitude_deg: 52.0, longitude_deg }.into(),
///     altitude_ft,
/// };
/// let mut grid = ConflictGrid::with_capacity(8);
/// grid.update([
///     aircraft(3, 179.96, 31_000.0),
///     aircraft(1, -179.96, 31_500.0),
///     aircraft(2, -179.96, 35_000.0),
/// ]);
/// assert_eq!(grid.pairs(), [ConflictPair { low: 1, high: 3 }]);
/// assert_eq!(grid.ids(), [1, 3]);
/// ```
#[derive(Debug, Clone)]
pub struct ConflictGrid {
    /// Aircraft as they came.
    arrived: Vec<Entry>,
    /// The same, by band and then by longitude.
    sorted: Vec<Entry>,
    /// Where each band begins in `sorted`, and where the last one ends.
    band_starts: Box<[u32]>,
    /// Width of the search to either side, by band.
    windows_rad: Box<[f32]>,
    /// Square of the chord under the separation.
    limit_squared: f32,
    pairs: Vec<ConflictPair>,
    ids: Vec<u64>,
}

/// An aircraft in the grid.
#[derive(Debug, Clone, Copy)]
struct Entry {
    id: u64,
    position: UnitVector,
    altitude_ft: f32,
    longitude_rad: f32,
    band: u32,
}

impl Entry {
    fn new(aircraft: Aircraft) -> Self {
        let Aircraft { id, position, altitude_ft } = aircraft;
        let from_south_pole_rad = (position.latitude_rad() + FRAC_PI_2).max(0.0);
        let band = ((from_south_pole_rad / BAND_RAD) as u32).min(BANDS as u32 - 1);
        Self { id, position, altitude_ft, longitude_rad: position.longitude_rad(), band }
    }

    #[inline]
    fn conflicts_with(&self, other: &Self, limit_squared: f32) -> bool {
        (self.altitude_ft - other.altitude_ft).abs() < SEPARATION_FT
            && self.position.chord_squared(other.position) < limit_squared
    }
}

impl ConflictGrid {
    /// An empty grid with room for `aircraft` aircraft and as many pairs.
    pub fn with_capacity(aircraft: usize) -> Self {
        Self {
            arrived: Vec::with_capacity(aircraft),
            sorted: Vec::with_capacity(aircraft),
            band_starts: vec![0; BANDS + 1].into_boxed_slice(),
            windows_rad: (0..BANDS).map(window_rad).collect(),
            limit_squared: chord_squared_of(SEPARATION_NM),
            pairs: Vec::with_capacity(aircraft),
            // A pair brings two aircraft, at most, before equal ones are removed.
            ids: Vec::with_capacity(2 * aircraft),
        }
    }

    /// Forgets the previous aircraft and finds all conflicts among these.
    ///
    /// An aircraft whose position or altitude is not finite is in conflict with nobody. Allocates
    /// only if there are more aircraft or pairs than ever before and than the capacity.
    pub fn update(&mut self, aircraft: impl IntoIterator<Item = Aircraft>) {
        let usable =
            |aircraft: &Aircraft| aircraft.position.is_finite() && aircraft.altitude_ft.is_finite();
        self.arrived.clear();
        self.arrived.extend(aircraft.into_iter().filter(usable).map(Entry::new));
        self.sort();
        self.pairs.clear();
        for band in 0..BANDS {
            self.search_band(band);
        }
        self.pairs.sort_unstable();
        self.ids.clear();
        self.ids.extend(self.pairs.iter().flat_map(|pair| [pair.low, pair.high]));
        self.ids.sort_unstable();
        self.ids.dedup();
    }

    /// The conflicts found, in ascending order.
    pub fn pairs(&self) -> &[ConflictPair] {
        &self.pairs
    }

    /// The ids of all aircraft in a conflict, ascending and each once.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// Adds all pairs to `checksum`.
    pub fn fold(&self, checksum: &mut Checksum) {
        checksum.add_u64(self.pairs.len() as u64);
        for pair in &self.pairs {
            checksum.add_u64(pair.low);
            checksum.add_u64(pair.high);
        }
    }

    /// Fills `sorted` and `band_starts` from `arrived`.
    fn sort(&mut self) {
        let starts = &mut self.band_starts;
        starts.fill(0);
        for entry in &self.arrived {
            starts[entry.band as usize] += 1;
        }
        let mut end = 0;
        for start in starts.iter_mut() {
            end += *start;
            *start = end;
        }
        // Every start stands at the end of its band and moves down by one for each entry.
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.arrived);
        for entry in &self.arrived {
            let start = &mut starts[entry.band as usize];
            *start -= 1;
            self.sorted[*start as usize] = *entry;
        }
        for band in 0..BANDS {
            let range = self.band_range(band);
            self.sorted[range].sort_unstable_by(|left, right| {
                left.longitude_rad.total_cmp(&right.longitude_rad).then(left.id.cmp(&right.id))
            });
        }
    }

    /// Finds the conflicts of one band's aircraft within the band and with the next.
    fn search_band(&mut self, band: usize) {
        let own = self.band_range(band);
        if own.is_empty() {
            return;
        }
        let next = if band + 1 < BANDS { self.band_range(band + 1) } else { 0..0 };
        let window = self.windows_rad[band];
        for index in own.clone() {
            let longitude = self.sorted[index].longitude_rad;
            let (west, east) = (longitude - window, longitude + window);
            // Within the band, each pair is found from its western aircraft.
            self.search(index, index + 1..own.end, f32::NEG_INFINITY, east);
            self.search(index, next.clone(), west, east);
            if window < PI {
                if east > PI {
                    let beyond = east - 2.0 * PI;
                    self.search(index, own.start..index, f32::NEG_INFINITY, beyond);
                    self.search(index, next.clone(), f32::NEG_INFINITY, beyond);
                }
                if west < -PI {
                    self.search(index, next.clone(), west + 2.0 * PI, f32::INFINITY);
                }
            }
        }
    }

    /// Finds the conflicts of the aircraft at `index` with those of `range`, which lies in one
    /// band, at longitudes from `west` to `east`.
    fn search(&mut self, index: usize, range: Range<usize>, west: f32, east: f32) {
        let one = self.sorted[index];
        let candidates = &self.sorted[range];
        let first = candidates.partition_point(|other| other.longitude_rad < west);
        for other in &candidates[first..] {
            if other.longitude_rad > east {
                break;
            }
            if one.conflicts_with(other, self.limit_squared) {
                let (low, high) = (one.id.min(other.id), one.id.max(other.id));
                self.pairs.push(ConflictPair { low, high });
            }
        }
    }

    fn band_range(&self, band: usize) -> Range<usize> {
        self.band_starts[band] as usize..self.band_starts[band + 1] as usize
    }
}

/// How far apart in longitude two aircraft in conflict can be, if one is in `band` and the other in
/// it or in the next; infinite if the answer is "anywhere".
///
/// The haversine formula bounds the difference: sin(λ/2) <= sin(δ/2) / cos(φ), where δ is the
/// separation and φ the latitude nearest to a pole.
fn window_rad(band: usize) -> f32 {
    let south_rad = band as f32 * BAND_RAD - FRAC_PI_2;
    let north_rad = south_rad + 2.0 * BAND_RAD;
    let polar_rad = south_rad.abs().max(north_rad.abs()).min(FRAC_PI_2);
    // 2 % and a ten-thousandth of a radian: far more than the rounding of a longitude.
    let sine = 1.02 * (SEPARATION_RAD as f32 / 2.0).sin() / polar_rad.cos().max(f32::MIN_POSITIVE);
    if sine < 1.0 { 2.0 * sine.asin() + 1e-4 } else { f32::INFINITY }
}

#[cfg(test)]
#[path = "conflict_tests.rs"]
mod tests;
