//! Positions and great circles on a spherical Earth.
//!
//! A position is a unit vector from the Earth's centre: x points to 0°N 0°E, y to 0°N 90°E and z to
//! the North Pole. A vector has no seam at the antimeridian and no singularity at the poles, and
//! the straight-line chord between two of them orders distances as the great circle does.
//!
//! A [`GreatCircle`] keeps the origin, the direction of departure and the central angle, so that a
//! position on it costs one sine and one cosine. Constants are computed in `f64` and stored as
//! `f32`: the rounding of a unit vector is below a metre on the ground.
//!
//! The sphere has the mean radius of the Earth; distances are within 0.6 % of the ellipsoid's.

use bytemuck::{Pod, Zeroable};

/// Mean radius of the Earth in nautical miles (6,371.0 km).
pub const EARTH_RADIUS_NM: f64 = 3_440.065;

/// Nautical miles in one statute mile.
pub const NAUTICAL_MILES_PER_MILE: f64 = 1_609.344 / 1_852.0;

/// Below this sine two positions count as equal or opposite, and any great circle joins them.
const PARALLEL_SINE: f64 = 1e-9;

/// A position in degrees, north and east positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coordinates {
    /// Latitude, -90 to 90.
    pub latitude_deg: f64,
    /// Longitude, -180 to 180.
    pub longitude_deg: f64,
}

impl Coordinates {
    /// The same position as a vector in double precision.
    fn to_vector(self) -> [f64; 3] {
        let (latitude_sine, latitude_cosine) = self.latitude_deg.to_radians().sin_cos();
        let (longitude_sine, longitude_cosine) = self.longitude_deg.to_radians().sin_cos();
        [latitude_cosine * longitude_cosine, latitude_cosine * longitude_sine, latitude_sine]
    }
}

/// A position as a vector of length one from the Earth's centre.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(transparent)]
pub struct UnitVector(pub [f32; 3]);

impl UnitVector {
    /// Latitude in radians, exact to rounding also near the poles.
    #[inline]
    pub fn latitude_rad(self) -> f32 {
        let [x, y, z] = self.0;
        z.atan2((x * x + y * y).sqrt())
    }

    /// Longitude in radians, from -π to π; zero at the poles.
    #[inline]
    pub fn longitude_rad(self) -> f32 {
        let [x, y, _] = self.0;
        y.atan2(x)
    }

    /// Square of the straight-line distance to `other`, in squared Earth radii.
    #[inline]
    pub fn chord_squared(self, other: Self) -> f32 {
        let [x, y, z] = self.0;
        let [other_x, other_y, other_z] = other.0;
        let (x, y, z) = (x - other_x, y - other_y, z - other_z);
        x * x + y * y + z * z
    }

    /// Great-circle distance to `other`, precise for near and for far positions.
    #[inline]
    pub fn distance_nm(self, other: Self) -> f32 {
        let half_chord = (self.chord_squared(other).sqrt() / 2.0).min(1.0);
        2.0 * half_chord.asin() * EARTH_RADIUS_NM as f32
    }

    /// Whether all three parts are finite numbers.
    #[inline]
    pub fn is_finite(self) -> bool {
        self.0.iter().all(|part| part.is_finite())
    }
}

impl From<Coordinates> for UnitVector {
    fn from(coordinates: Coordinates) -> Self {
        single(coordinates.to_vector())
    }
}

impl From<UnitVector> for Coordinates {
    fn from(vector: UnitVector) -> Self {
        let [x, y, z] = vector.0.map(f64::from);
        Self {
            latitude_deg: z.atan2(x.hypot(y)).to_degrees(),
            longitude_deg: y.atan2(x).to_degrees(),
        }
    }
}

/// The way from one position to another along a great circle.
///
/// # Example
///
/// ```
/// use profiling::geodesy::{Coordinates, GreatCircle};
///
/// let boston = Coordinates { latitude_deg: 42.36, longitude_deg: -71.01 };
/// let denver = Coordinates { latitude_deg: 39.86, longitude_deg: -104.67 };
/// let way = GreatCircle::between(boston, denver);
/// assert!((way.distance_nm() - 1_523.0).abs() < 10.0);
/// assert!(!way.heads_east());
/// assert!(way.at(0.5).distance_nm(way.at(1.0)) < way.distance_nm() / 2.0 + 1.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct GreatCircle {
    /// Where the way begins.
    pub(crate) origin: UnitVector,
    /// Direction of departure: a unit vector in the plane of the way, a right angle from `origin`.
    pub(crate) departure: UnitVector,
    /// Angle between both ends, seen from the Earth's centre.
    pub(crate) angle_rad: f32,
}

impl GreatCircle {
    /// The shortest way from `origin` to `destination`.
    ///
    /// Equal positions give a way of length zero. Opposite positions are joined over an arbitrary,
    /// fixed great circle.
    pub fn between(origin: Coordinates, destination: Coordinates) -> Self {
        let start = origin.to_vector();
        let end = destination.to_vector();
        let cosine = dot(start, end);
        let normal = cross(start, end);
        let sine = dot(normal, normal).sqrt();
        let departure = if sine > PARALLEL_SINE {
            let mut direction = [0.0; 3];
            for axis in 0..3 {
                direction[axis] = (end[axis] - start[axis] * cosine) / sine;
            }
            direction
        } else {
            any_perpendicular(start)
        };
        Self {
            origin: single(start),
            departure: single(departure),
            angle_rad: sine.atan2(cosine) as f32,
        }
    }

    /// The position after `fraction` of the way: 0 is the origin, 1 the destination.
    ///
    /// Costs one sine and one cosine.
    #[inline]
    pub fn at(&self, fraction: f32) -> UnitVector {
        let (sine, cosine) = (fraction * self.angle_rad).sin_cos();
        let (start, ahead) = (self.origin.0, self.departure.0);
        UnitVector([
            start[0] * cosine + ahead[0] * sine,
            start[1] * cosine + ahead[1] * sine,
            start[2] * cosine + ahead[2] * sine,
        ])
    }

    /// Length of the way.
    #[inline]
    pub fn distance_nm(&self) -> f32 {
        self.angle_rad * EARTH_RADIUS_NM as f32
    }

    /// Whether the way moves towards the east, which it then does over its whole length.
    #[inline]
    pub fn heads_east(&self) -> bool {
        let (start, ahead) = (self.origin.0, self.departure.0);
        start[0] * ahead[1] - start[1] * ahead[0] >= 0.0
    }
}

/// Square of the chord under a great-circle distance of `distance_nm`, in squared Earth radii.
pub fn chord_squared_of(distance_nm: f64) -> f32 {
    let chord = 2.0 * (distance_nm / EARTH_RADIUS_NM / 2.0).sin();
    (chord * chord) as f32
}

/// A unit vector at a right angle to `vector`: its product with the axis least parallel to it.
fn any_perpendicular(vector: [f64; 3]) -> [f64; 3] {
    let axis = if vector[2].abs() < 0.9 { [0.0, 0.0, 1.0] } else { [1.0, 0.0, 0.0] };
    let perpendicular = cross(axis, vector);
    let length = dot(perpendicular, perpendicular).sqrt();
    perpendicular.map(|part| part / length)
}

fn single(vector: [f64; 3]) -> UnitVector {
    UnitVector(vector.map(|part| part as f32))
}

fn dot(left: [f64; 3], right: [f64; 3]) -> f64 {
    left[0] * right[0] + left[1] * right[1] + left[2] * right[2]
}

fn cross(left: [f64; 3], right: [f64; 3]) -> [f64; 3] {
    [
        left[1] * right[2] - left[2] * right[1],
        left[2] * right[0] - left[0] * right[2],
        left[0] * right[1] - left[1] * right[0],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coordinates(latitude_deg: f64, longitude_deg: f64) -> Coordinates {
        Coordinates { latitude_deg, longitude_deg }
    }

    #[test]
    fn known_distance_is_met() {
        let los_angeles = coordinates(33.9425, -118.4081);
        let new_york = coordinates(40.6397, -73.7789);
        let distance_nm = GreatCircle::between(los_angeles, new_york).distance_nm();
        assert!((distance_nm - 2_145.0).abs() < 6.0, "{distance_nm}");
    }

    #[test]
    fn chord_of_a_distance_is_the_chord_between_points_that_far_apart() {
        let north_deg = (5.0 / EARTH_RADIUS_NM).to_degrees();
        let start = UnitVector::from(coordinates(0.0, 10.0));
        let end = UnitVector::from(coordinates(north_deg, 10.0));
        let ratio = start.chord_squared(end) / chord_squared_of(5.0);
        assert!((ratio - 1.0).abs() < 1e-3, "{ratio}");
    }

    #[test]
    fn way_over_the_antimeridian_is_short_and_heads_east() {
        let way = GreatCircle::between(coordinates(52.0, 179.0), coordinates(52.0, -179.0));
        assert!(way.distance_nm() < 75.0);
        assert!(way.heads_east());
    }

    #[test]
    fn equal_and_opposite_ends_stay_on_the_sphere() {
        for start in [coordinates(12.0, 34.0), coordinates(90.0, 0.0)] {
            let nowhere = GreatCircle::between(start, start);
            assert_eq!(nowhere.distance_nm(), 0.0);
            assert!(nowhere.at(0.5).is_finite());
            let opposite = coordinates(-start.latitude_deg, start.longitude_deg - 180.0);
            let half_way = GreatCircle::between(start, opposite).at(0.5);
            let quarter_nm = half_way.distance_nm(start.into());
            assert!((quarter_nm - 5_403.6).abs() < 2.0, "{quarter_nm}");
        }
    }

    proptest! {
        #[test]
        fn coordinates_survive_the_round_trip(latitude in -89.9..89.9, longitude in -179.9..179.9) {
            let back = Coordinates::from(UnitVector::from(coordinates(latitude, longitude)));
            let east_scale = latitude.to_radians().cos();
            prop_assert!((back.latitude_deg - latitude).abs() < 1e-5);
            prop_assert!(((back.longitude_deg - longitude) * east_scale).abs() < 1e-5);
        }

        #[test]
        fn way_begins_and_ends_where_it_should(
            start in (-90.0..90.0, -180.0..180.0),
            end in (-90.0..90.0, -180.0..180.0),
            fraction in 0.0f32..1.0,
        ) {
            let (start, end) = (coordinates(start.0, start.1), coordinates(end.0, end.1));
            let way = GreatCircle::between(start, end);
            prop_assert!(way.at(0.0).distance_nm(start.into()) < 0.01);
            prop_assert!(way.at(1.0).distance_nm(end.into()) < 0.01);
            let [x, y, z] = way.at(fraction).0;
            prop_assert!(((x * x + y * y + z * z).sqrt() - 1.0).abs() < 1e-5);
        }
    }
}
