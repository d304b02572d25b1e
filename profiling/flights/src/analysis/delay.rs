//! How late landed flights are, by the hour in which they were to depart.
//!
//! All sums are whole numbers, so they come out the same in every order and a mean is rounded once.

use super::Checksum;

/// Bounds between the classes of the histogram, in minutes: a flight is in the first class whose
/// bound is greater than its delay, or in the last.
pub const DELAY_BOUNDS_MIN: [i32; 7] = [-15, 0, 15, 30, 60, 120, 240];

/// Classes of the histogram.
const CLASSES: usize = DELAY_BOUNDS_MIN.len() + 1;

/// Hours of a day.
const HOURS: usize = 24;

/// Seconds of an hour.
const HOUR_S: u32 = 3_600;

/// A flight that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandedFlight {
    /// When it was to depart, in seconds since a midnight.
    pub departure_s: u32,
    /// How late it was, negative when early.
    pub delay_s: i32,
}

/// The delays of the flights of one hour of the day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HourDelays {
    /// How many flights there are.
    pub count: u64,
    /// The sum of their delays.
    pub total_s: i64,
    /// How many there are in each class of [`DELAY_BOUNDS_MIN`].
    pub histogram: [u64; CLASSES],
}

impl HourDelays {
    /// The mean delay, or `None` without flights.
    pub fn mean_min(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total_s as f64 / self.count as f64 / 60.0)
    }

    fn record(&mut self, delay_s: i32) {
        let class = DELAY_BOUNDS_MIN.iter().filter(|bound| delay_s >= **bound * 60).count();
        self.count += 1;
        self.total_s += i64::from(delay_s);
        self.histogram[class] += 1;
    }

    fn fold(&self, checksum: &mut Checksum) {
        checksum.add_u64(self.count);
        checksum.add_u64(self.total_s.cast_unsigned());
        for count in self.histogram {
            checksum.add_u64(count);
        }
    }
}

/// Delays of landed flights. It has a fixed size and never allocates.
///
/// # Example
///
/// ```
/// use profiling::analysis::{DelayStatistics, LandedFlight};
///
/// let mut delays = DelayStatistics::default();
/// delays.record(LandedFlight { departure_s: 7 * 3_600, delay_s: 1_200 });
/// delays.record(LandedFlight { departure_s: 7 * 3_600, delay_s: -600 });
/// assert_eq!(delays.all().mean_min(), Some(5.0));
/// assert_eq!(delays.hour(7).map(|hour| hour.count), Some(2));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DelayStatistics {
    all: HourDelays,
    hours: [HourDelays; HOURS],
}

impl DelayStatistics {
    /// Adds one flight.
    #[inline]
    pub fn record(&mut self, flight: LandedFlight) {
        let hour = (flight.departure_s / HOUR_S) as usize % HOURS;
        self.all.record(flight.delay_s);
        self.hours[hour].record(flight.delay_s);
    }

    /// Forgets the previous flights and counts these.
    pub fn update(&mut self, flights: impl IntoIterator<Item = LandedFlight>) {
        *self = Self::default();
        for flight in flights {
            self.record(flight);
        }
    }

    /// The flights of all hours.
    pub fn all(&self) -> &HourDelays {
        &self.all
    }

    /// The flights that were to depart in one hour of the day, or `None` above 23.
    pub fn hour(&self, hour: usize) -> Option<&HourDelays> {
        self.hours.get(hour)
    }

    /// All sums and histograms, for [`DelayStatistics::from_numbers`].
    ///
    /// ```
    /// use profiling::analysis::{DelayStatistics, LandedFlight};
    ///
    /// let mut delays = DelayStatistics::default();
    /// delays.record(LandedFlight { departure_s: 7 * 3_600, delay_s: -600 });
    /// assert_eq!(DelayStatistics::from_numbers(delays.numbers()), Some(delays));
    /// ```
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        [&self.all].into_iter().chain(&self.hours).flat_map(|hour| {
            [hour.count, hour.total_s.cast_unsigned()].into_iter().chain(hour.histogram)
        })
    }

    /// The statistics of these numbers; `None` where they are too few.
    pub fn from_numbers(numbers: impl IntoIterator<Item = u64>) -> Option<Self> {
        let (mut numbers, mut delays) = (numbers.into_iter(), Self::default());
        for hour in [&mut delays.all].into_iter().chain(&mut delays.hours) {
            (hour.count, hour.total_s) = (numbers.next()?, numbers.next()?.cast_signed());
            for count in &mut hour.histogram {
                *count = numbers.next()?;
            }
        }
        Some(delays)
    }

    /// Adds every sum and every histogram to `checksum`.
    pub fn fold(&self, checksum: &mut Checksum) {
        self.all.fold(checksum);
        for hour in &self.hours {
            hour.fold(checksum);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn classes_begin_at_their_bounds() {
        let mut delays = DelayStatistics::default();
        let minutes = [-16, -15, -1, 0, 14, 15, 30, 60, 120, 239, 240, 2_880];
        delays.update(
            minutes.map(|delay_min| LandedFlight { departure_s: 0, delay_s: delay_min * 60 }),
        );
        assert_eq!(delays.all().histogram, [1, 2, 2, 1, 1, 1, 2, 2]);
        assert_eq!(delays.all().count, 12);
    }

    #[test]
    fn hour_is_that_of_the_day() {
        let mut delays = DelayStatistics::default();
        let noon_of_third_day_s = (2 * 24 + 12) * 3_600;
        delays.record(LandedFlight { departure_s: noon_of_third_day_s, delay_s: 60 });
        assert_eq!(delays.hour(12).unwrap().count, 1);
        assert_eq!(delays.hour(11).unwrap().mean_min(), None);
        assert_eq!(delays.hour(24), None);
    }

    #[test]
    fn update_starts_afresh_and_ignores_order() {
        let mut flights: Vec<LandedFlight> = (0..100)
            .map(|step| LandedFlight { departure_s: step * 5_000, delay_s: 7 * step as i32 - 300 })
            .collect();
        let mut delays = DelayStatistics::default();
        delays.update(flights.iter().copied());
        let first = delays.clone();
        flights.reverse();
        delays.update(flights.iter().copied());
        assert_eq!(delays, first);
        let mut checksum = Checksum::new(0);
        delays.fold(&mut checksum);
        assert_ne!(checksum.value(), Checksum::new(0).value());
    }
}
