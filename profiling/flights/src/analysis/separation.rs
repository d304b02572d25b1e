//! When two aircraft are in conflict, and how the search for such pairs holds them.

use std::cmp::Ordering;

use super::Aircraft;
use crate::geodesy::{EARTH_RADIUS_NM, UnitVector, chord_squared_of};

/// Distance over ground below which two aircraft may be in conflict.
pub const SEPARATION_NM: f64 = 5.0;

/// Difference in height below which two aircraft may be in conflict.
pub const SEPARATION_FT: f32 = 1_000.0;

/// The separation as an angle at the Earth's centre.
pub(super) const SEPARATION_RAD: f64 = SEPARATION_NM / EARTH_RADIUS_NM;

/// Pairs that a search lists; further ones are counted. They take 1 MiB.
pub const PAIRS_LISTED_MAX: usize = 64 * 1024;

/// Two aircraft in conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConflictPair {
    /// The smaller id.
    pub low: u64,
    /// The greater id.
    pub high: u64,
}

impl ConflictPair {
    /// The pair of two different ids, given in any order.
    #[inline]
    pub(super) fn of(one: u64, other: u64) -> Self {
        Self { low: one.min(other), high: one.max(other) }
    }
}

/// An aircraft in a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) position: UnitVector,
    pub(super) altitude_ft: f32,
    pub(super) longitude_rad: f32,
    pub(super) band: u32,
}

impl Entry {
    /// An aircraft in a band of latitude.
    pub(super) fn new(aircraft: Aircraft, band: u32) -> Self {
        let Aircraft { id, position, altitude_ft } = aircraft;
        Self { id, position, altitude_ft, longitude_rad: position.longitude_rad(), band }
    }

    /// The order within a band: by longitude, then so that aircraft at one place stand side by
    /// side, by ascending id.
    #[inline]
    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.longitude_rad
            .total_cmp(&other.longitude_rad)
            .then_with(|| self.place().bits().cmp(&other.place().bits()))
            .then_with(|| self.id.cmp(&other.id))
    }

    #[inline]
    pub(super) fn place(&self) -> Place {
        let [x, y, z] = self.position.0;
        Place([x, y, z, self.altitude_ft])
    }
}

/// The three parts of a position, and a height in feet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(pub(super) [f32; 4]);

impl Place {
    #[inline]
    pub(super) fn bits(self) -> [u32; 4] {
        self.0.map(f32::to_bits)
    }
}

/// The rule that decides whether two aircraft are in conflict.
#[derive(Debug, Clone, Copy)]
pub(super) struct Separation {
    /// Square of the chord under [`SEPARATION_NM`].
    limit_squared: f32,
}

/// The verdict of a [`Separation`] on all pairs between two boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// No pair is in conflict.
    Apart,
    /// Every pair is.
    Together,
    /// Some may be.
    Mixed,
}

impl Separation {
    pub(super) fn new() -> Self {
        Self { limit_squared: chord_squared_of(SEPARATION_NM) }
    }

    /// The separation as a chord of the unit sphere.
    pub(super) fn chord(&self) -> f32 {
        self.limit_squared.sqrt()
    }

    /// Whether two aircraft are in conflict.
    #[inline]
    pub(super) fn is_violated(&self, one: &Entry, other: &Entry) -> bool {
        (one.altitude_ft - other.altitude_ft).abs() < SEPARATION_FT
            && one.position.chord_squared(other.position) < self.limit_squared
    }

    /// The verdict for each place in `one` with each in `other`.
    ///
    /// The answer is exact for the rounded arithmetic of [`Separation::is_violated`]: differences,
    /// squares and sums of `f32` are rounded monotonically, so the same operations on the nearest
    /// and on the farthest places bound what they give on any pair between.
    pub(super) fn relation(&self, one: &Extent, other: &Extent) -> Relation {
        let (mut nearest, mut farthest) = ([0.0_f32; 4], [0.0_f32; 4]);
        for axis in 0..4 {
            let (low, high) = (one.low[axis], one.high[axis]);
            let (other_low, other_high) = (other.low[axis], other.high[axis]);
            nearest[axis] = (low - other_high).max(other_low - high).max(0.0);
            farthest[axis] = (high - other_low).max(other_high - low);
        }
        if !self.allows_conflict(nearest) {
            Relation::Apart
        } else if self.allows_conflict(farthest) {
            Relation::Together
        } else {
            Relation::Mixed
        }
    }

    /// Whether aircraft that differ by `difference` are in conflict.
    fn allows_conflict(&self, [x, y, z, altitude_ft]: [f32; 4]) -> bool {
        let centre = UnitVector([0.0; 3]);
        altitude_ft < SEPARATION_FT
            && UnitVector([x, y, z]).chord_squared(centre) < self.limit_squared
    }
}

/// The smallest box round a set of places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) low: [f32; 4],
    pub(super) high: [f32; 4],
}

impl Extent {
    /// The box round one place.
    pub(super) fn at(place: Place) -> Self {
        Self { low: place.0, high: place.0 }
    }

    /// The box round this one and `place`.
    pub(super) fn with(mut self, place: Place) -> Self {
        for (axis, part) in place.0.into_iter().enumerate() {
            self.low[axis] = self.low[axis].min(part);
            self.high[axis] = self.high[axis].max(part);
        }
        self
    }
}
