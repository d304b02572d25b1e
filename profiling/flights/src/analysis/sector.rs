//! How many aircraft are in each sector of the sky.
//!
//! The sky is cut into sectors of 2° by 2° and each sector into four bands of flight levels. A
//! count for each takes 90 x 180 x 4 words of four bytes, 253 KiB, whatever the traffic.

use super::{Aircraft, Checksum};

/// Width and height of a sector.
pub const SECTOR_DEG: f32 = 2.0;

/// Sectors from pole to pole: 180° / 2°.
const ROWS: usize = 90;

/// Sectors round the Earth: 360° / 2°.
const COLUMNS: usize = 180;

/// A range of heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlightLevelBand {
    /// Below flight level 100, 10,000 ft: approach and departure.
    Low,
    /// From flight level 100 to 239.
    Middle,
    /// From flight level 240 to 339.
    High,
    /// Flight level 340 and above.
    Upper,
}

impl FlightLevelBand {
    /// All bands, from the ground up.
    pub const ALL: [Self; 4] = [Self::Low, Self::Middle, Self::High, Self::Upper];

    /// The band at a height.
    #[inline]
    pub fn of(altitude_ft: f32) -> Self {
        match altitude_ft {
            altitude_ft if altitude_ft >= 34_000.0 => Self::Upper,
            altitude_ft if altitude_ft >= 24_000.0 => Self::High,
            altitude_ft if altitude_ft >= 10_000.0 => Self::Middle,
            _ => Self::Low,
        }
    }
}

/// A sector in one band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sector {
    /// Counted from the South Pole.
    row: u8,
    /// Counted eastwards from the antimeridian.
    column: u8,
    band: FlightLevelBand,
}

impl Sector {
    /// The sector that an aircraft is in.
    #[inline]
    pub fn of(aircraft: &Aircraft) -> Self {
        let latitude_deg = aircraft.position.latitude_rad().to_degrees();
        let longitude_deg = aircraft.position.longitude_rad().to_degrees();
        let row = ((latitude_deg + 90.0) / SECTOR_DEG) as usize;
        let column = ((longitude_deg + 180.0) / SECTOR_DEG) as usize;
        Self {
            row: row.min(ROWS - 1) as u8,
            column: (column % COLUMNS) as u8,
            band: FlightLevelBand::of(aircraft.altitude_ft),
        }
    }

    /// Its southern edge.
    pub fn south_deg(&self) -> f32 {
        f32::from(self.row) * SECTOR_DEG - 90.0
    }

    /// Its western edge.
    pub fn west_deg(&self) -> f32 {
        f32::from(self.column) * SECTOR_DEG - 180.0
    }

    /// Its range of heights.
    pub fn band(&self) -> FlightLevelBand {
        self.band
    }

    #[inline]
    fn index(self) -> usize {
        let cell = usize::from(self.row) * COLUMNS + usize::from(self.column);
        cell * FlightLevelBand::ALL.len() + self.band as usize
    }

    fn at(index: usize) -> Self {
        let bands = FlightLevelBand::ALL.len();
        let cell = index / bands;
        Self {
            row: (cell / COLUMNS) as u8,
            column: (cell % COLUMNS) as u8,
            band: FlightLevelBand::ALL[index % bands],
        }
    }
}

/// A sector and the aircraft in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectorCount {
    /// Which sector.
    pub sector: Sector,
    /// How many aircraft are in it.
    pub aircraft: u32,
}

/// Counts aircraft by sector and band.
///
/// # Example
///
/// ```
/// use profiling::analysis::{Aircraft, Sector, SectorLoad};
/// use profiling::geodesy::Coordinates;
///
/// let position = Coordinates { latitude_deg: 41.0, longitude_deg: -87.0 }.into();
/// let aircraft = Aircraft { id: 1, position, altitude_ft: 35_000.0 };
/// let mut load = SectorLoad::new();
/// load.update([aircraft]);
/// assert_eq!(load.count(Sector::of(&aircraft)), 1);
/// assert_eq!(load.busiest().map(|busiest| busiest.aircraft), Some(1));
/// ```
#[derive(Debug, Clone)]
pub struct SectorLoad {
    counts: Box<[u32]>,
    total: u64,
    busiest: Option<SectorCount>,
}

impl Default for SectorLoad {
    fn default() -> Self {
        Self::new()
    }
}

impl SectorLoad {
    /// An empty sky; takes all the memory that it ever needs.
    pub fn new() -> Self {
        let counts = vec![0; ROWS * COLUMNS * FlightLevelBand::ALL.len()].into_boxed_slice();
        Self { counts, total: 0, busiest: None }
    }

    /// Forgets the previous aircraft and counts these.
    pub fn update(&mut self, aircraft: impl IntoIterator<Item = Aircraft>) {
        self.counts.fill(0);
        self.total = 0;
        for aircraft in aircraft {
            self.counts[Sector::of(&aircraft).index()] += 1;
            self.total += 1;
        }
        let mut busiest = 0;
        for (index, count) in self.counts.iter().enumerate() {
            if *count > self.counts[busiest] {
                busiest = index;
            }
        }
        let count = SectorCount { sector: Sector::at(busiest), aircraft: self.counts[busiest] };
        self.busiest = (count.aircraft > 0).then_some(count);
    }

    /// How many aircraft are in `sector`.
    pub fn count(&self, sector: Sector) -> u32 {
        self.counts[sector.index()]
    }

    /// How many aircraft there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The fullest sector, the most south-westerly and lowest of equals; `None` in an empty sky.
    pub fn busiest(&self) -> Option<SectorCount> {
        self.busiest
    }

    /// Adds every sector that is not empty, and its count, to `checksum`.
    pub fn fold(&self, checksum: &mut Checksum) {
        checksum.add_u64(self.total);
        for (index, count) in self.counts.iter().enumerate() {
            if *count > 0 {
                checksum.add_u32(index as u32);
                checksum.add_u32(*count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;
    use crate::geodesy::{Coordinates, UnitVector};

    fn aircraft(latitude_deg: f64, longitude_deg: f64, altitude_ft: f32) -> Aircraft {
        let position = Coordinates { latitude_deg, longitude_deg }.into();
        Aircraft { id: 0, position, altitude_ft }
    }

    #[test]
    fn sector_has_the_edges_round_the_aircraft() {
        let sector = Sector::of(&aircraft(41.5, -87.5, 9_999.0));
        assert_eq!((sector.south_deg(), sector.west_deg()), (40.0, -88.0));
        assert_eq!(sector.band(), FlightLevelBand::Low);
        assert_eq!(Sector::at(sector.index()), sector);
    }

    #[test]
    fn every_position_has_a_sector() {
        let mut load = SectorLoad::new();
        let broken = Aircraft { id: 0, position: UnitVector([f32::NAN; 3]), altitude_ft: f32::NAN };
        load.update([
            aircraft(90.0, 0.0, 0.0),
            aircraft(-90.0, 0.0, 0.0),
            aircraft(0.0, 180.0, f32::INFINITY),
            aircraft(0.0, -180.0, -5.0),
            broken,
        ]);
        assert_eq!(load.total(), 5);
    }

    #[test]
    fn bands_begin_at_their_flight_level() {
        let bands = [0.0, 10_000.0, 24_000.0, 34_000.0].map(FlightLevelBand::of);
        assert_eq!(bands, FlightLevelBand::ALL);
    }

    #[test]
    fn fullest_sector_is_found_and_forgotten() {
        let mut load = SectorLoad::new();
        let three =
            [aircraft(41.0, -87.0, 0.0), aircraft(41.1, -87.1, 0.0), aircraft(50.0, 0.0, 0.0)];
        load.update(three);
        assert_eq!(load.busiest().unwrap().aircraft, 2);
        let value = |load: &SectorLoad| {
            let mut checksum = Checksum::new(0);
            load.fold(&mut checksum);
            checksum.value()
        };
        let full = value(&load);
        load.update([]);
        assert_eq!(load.busiest(), None);
        assert_ne!(value(&load), full);
        load.update([three[2], three[1], three[0]]);
        assert_eq!(value(&load), full);
    }
}
