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
//! Cost: n log n for the sort, plus one comparison for each nominated pair. Where traffic is so
//! dense that these are more than [`COMPARISONS_PER_AIRCRAFT`] for each aircraft, or conflicts are
//! more than are listed, the search is given up and a [`Crowd`] counts them in bulk. Both ways give
//! the same result.

use std::f32::consts::{FRAC_PI_2, PI};
use std::ops::{ControlFlow, Range};

use super::crowd::Crowd;
use super::separation::{ConflictPair, Entry, PAIRS_LISTED_MAX, SEPARATION_RAD, Separation};
use super::{Aircraft, Checksum};

/// Height of a band: the separation and 1 %, some hundred times the rounding of a latitude.
const BAND_RAD: f32 = (SEPARATION_RAD * 1.01) as f32;

/// Bands from pole to pole, the last of them in part beyond it: 180° / 0.084°.
const BANDS: usize = (std::f64::consts::PI / (SEPARATION_RAD * 1.01)) as usize + 1;

/// Comparisons in a search of the bands for each aircraft, on average, above which a [`Crowd`] is
/// cheaper: a few times the cost of its sorts.
const COMPARISONS_PER_AIRCRAFT: usize = 256;

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
/// assert_eq!(grid.pair_count(), 1);
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
    separation: Separation,
    /// Comparisons that the search of the bands may still make.
    comparisons_left: usize,
    crowd: Crowd,
    pair_count: u64,
    pairs: Vec<ConflictPair>,
    ids: Vec<u64>,
}

impl ConflictGrid {
    /// An empty grid with room for `aircraft` aircraft, and for as many pairs as are listed.
    pub fn with_capacity(aircraft: usize) -> Self {
        let separation = Separation::new();
        let pairs = (aircraft.saturating_mul(aircraft) / 2).min(PAIRS_LISTED_MAX);
        Self {
            arrived: Vec::with_capacity(aircraft),
            sorted: Vec::with_capacity(aircraft),
            band_starts: vec![0; BANDS + 1].into_boxed_slice(),
            windows_rad: (0..BANDS).map(window_rad).collect(),
            separation,
            comparisons_left: 0,
            crowd: Crowd::with_capacity(separation, aircraft),
            pair_count: 0,
            pairs: Vec::with_capacity(pairs),
            // A listed pair brings two aircraft, at most, before equal ones are removed.
            ids: Vec::with_capacity((2 * pairs).max(aircraft)),
        }
    }

    /// Forgets the previous aircraft and finds all conflicts among these.
    ///
    /// An aircraft whose position or altitude is not finite is in conflict with no other. Allocates
    /// only if there are more aircraft than ever before and than the capacity.
    pub fn update(&mut self, aircraft: impl IntoIterator<Item = Aircraft>) {
        let usable =
            |aircraft: &Aircraft| aircraft.position.is_finite() && aircraft.altitude_ft.is_finite();
        self.arrived.clear();
        let in_band = |aircraft: Aircraft| Entry::new(aircraft, band_of(&aircraft));
        self.arrived.extend(aircraft.into_iter().filter(usable).map(in_band));
        self.sort();
        if self.search_bands().is_break() {
            self.pair_count = self.crowd.count(&self.sorted, &mut self.ids, &mut self.pairs);
            return;
        }
        self.pairs.sort_unstable();
        self.pair_count = self.pairs.len() as u64;
        self.ids.clear();
        self.ids.extend(self.pairs.iter().flat_map(|pair| [pair.low, pair.high]));
        self.ids.sort_unstable();
        self.ids.dedup();
    }

    /// How many conflicts there are, listed or not.
    pub fn pair_count(&self) -> u64 {
        self.pair_count
    }

    /// The conflicts in ascending order: all of them, or the first [`PAIRS_LISTED_MAX`].
    pub fn pairs(&self) -> &[ConflictPair] {
        &self.pairs
    }

    /// The ids of all aircraft in a conflict, listed or not, ascending and each once.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// Adds the count of pairs and all that are listed to `checksum`.
    pub fn fold(&self, checksum: &mut Checksum) {
        checksum.add_u64(self.pair_count);
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
            self.sorted[range].sort_unstable_by(Entry::order);
        }
    }

    /// Fills `pairs`, in no order. Breaks off if there are too many comparisons or pairs.
    fn search_bands(&mut self) -> ControlFlow<()> {
        self.pairs.clear();
        self.comparisons_left = PAIRS_LISTED_MAX + COMPARISONS_PER_AIRCRAFT * self.sorted.len();
        (0..BANDS).try_for_each(|band| self.search_band(band))
    }

    /// Finds the conflicts of one band's aircraft within the band and with the next.
    fn search_band(&mut self, band: usize) -> ControlFlow<()> {
        let own = self.band_range(band);
        if own.is_empty() {
            return ControlFlow::Continue(());
        }
        let next = if band + 1 < BANDS { self.band_range(band + 1) } else { 0..0 };
        let window = self.windows_rad[band];
        for index in own.clone() {
            let longitude = self.sorted[index].longitude_rad;
            let (west, east) = (longitude - window, longitude + window);
            // Within the band, each pair is found from its western aircraft.
            self.search(index, index + 1..own.end, f32::NEG_INFINITY, east)?;
            self.search(index, next.clone(), west, east)?;
            if window < PI {
                if east > PI {
                    let beyond = east - 2.0 * PI;
                    self.search(index, own.start..index, f32::NEG_INFINITY, beyond)?;
                    self.search(index, next.clone(), f32::NEG_INFINITY, beyond)?;
                }
                if west < -PI {
                    self.search(index, next.clone(), west + 2.0 * PI, f32::INFINITY)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Finds the conflicts of the aircraft at `index` with those of `range`, which lies in one
    /// band, at longitudes from `west` to `east`.
    fn search(
        &mut self,
        index: usize,
        range: Range<usize>,
        west: f32,
        east: f32,
    ) -> ControlFlow<()> {
        let one = self.sorted[index];
        let candidates = &self.sorted[range];
        let first = candidates.partition_point(|other| other.longitude_rad < west);
        let mut compared = 0;
        for other in &candidates[first..] {
            if other.longitude_rad > east {
                break;
            }
            compared += 1;
            if self.separation.is_violated(&one, other) {
                if self.pairs.len() == PAIRS_LISTED_MAX {
                    return ControlFlow::Break(());
                }
                self.pairs.push(ConflictPair::of(one.id, other.id));
            }
        }
        match self.comparisons_left.checked_sub(compared) {
            Some(left) => {
                self.comparisons_left = left;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    }

    fn band_range(&self, band: usize) -> Range<usize> {
        self.band_starts[band] as usize..self.band_starts[band + 1] as usize
    }
}

/// The band of an aircraft.
fn band_of(aircraft: &Aircraft) -> u32 {
    let from_south_pole_rad = (aircraft.position.latitude_rad() + FRAC_PI_2).max(0.0);
    ((from_south_pole_rad / BAND_RAD) as u32).min(BANDS as u32 - 1)
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
