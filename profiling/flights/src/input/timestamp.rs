//! Local dates and times of the form `2001-01-01T00:01`, or `2001-01-01` and `0001`.
//!
//! Airlines publish departures in the local time of the origin. The simulation takes all of them as
//! one clock: time zones are not applied, so flights of different coasts that leave at the same
//! hour of the day leave together.

use std::fmt;

/// Seconds in a day.
pub(super) const DAY_S: u32 = 86_400;

/// Days in 400 years of the Gregorian calendar.
const ERA_DAYS: u32 = 146_097;

/// Days from 1 March of the year 0 to 1 January 1970.
const MARCH_ZERO_TO_1970_DAYS: u32 = 719_468;

/// Years that a departure may have. Seconds since 1970 fit `u32` until 2106.
const YEARS: std::ops::RangeInclusive<u32> = 1970..=2099;

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalendarDate {
    /// 1970 to 2099.
    pub year: u32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
}

impl CalendarDate {
    /// The date that is `days` after 1 January 1970 (Howard Hinnant, "chrono-Compatible Low-Level
    /// Date Algorithms").
    pub(super) fn after_1970(days: u32) -> Self {
        let days = days + MARCH_ZERO_TO_1970_DAYS;
        let era = days / ERA_DAYS;
        let day_of_era = days % ERA_DAYS;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + u32::from(month <= 2);
        Self { year, month, day }
    }

    /// Days since 1 January 1970; the inverse of [`CalendarDate::after_1970`].
    fn days_since_1970(self) -> u32 {
        let year = self.year - u32::from(self.month <= 2);
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let year_of_era = year % 400;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        year / 400 * ERA_DAYS + day_of_era - MARCH_ZERO_TO_1970_DAYS
    }

    /// Whether the calendar has this day, within the accepted years.
    fn exists(self) -> bool {
        let leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let month_days = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u32::from(leap),
            _ => 0,
        };
        YEARS.contains(&self.year) && (1..=month_days).contains(&self.day)
    }
}

impl fmt::Display for CalendarDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Seconds since 1 January 1970 on the local clock, or `None` if `field` is no such moment.
pub(super) fn parse_seconds_since_1970(field: &[u8]) -> Option<u32> {
    let field: &[u8; 16] = field.try_into().ok()?;
    if [field[10], field[13]] != *b"T:" {
        return None;
    }
    let midnight_s = parse_date_s(&field[..10])?;
    let (hour, minute) = (digits(&field[11..13])?, digits(&field[14..16])?);
    (hour < 24 && minute < 60).then(|| midnight_s + hour * 3_600 + minute * 60)
}

/// Seconds from 1 January 1970 to the midnight before the date `YYYY-MM-DD`, or `None` if `field`
/// is no such date.
pub(super) fn parse_date_s(field: &[u8]) -> Option<u32> {
    let field: &[u8; 10] = field.try_into().ok()?;
    if [field[4], field[7]] != *b"--" {
        return None;
    }
    let date = CalendarDate {
        year: digits(&field[0..4])?,
        month: digits(&field[5..7])?,
        day: digits(&field[8..10])?,
    };
    date.exists().then(|| date.days_since_1970() * DAY_S)
}

/// Seconds from midnight to the time `hhmm`, or `None` if `field` is no such time. Zeros in front
/// may be absent, and `2400` is the midnight at the end of the day.
pub(super) fn parse_clock_s(field: &[u8]) -> Option<u32> {
    if !(1..=4).contains(&field.len()) {
        return None;
    }
    let (hour, minute) = (digits(field)? / 100, digits(field)? % 100);
    let exists = (hour < 24 && minute < 60) || (hour, minute) == (24, 0);
    exists.then_some(hour * 3_600 + minute * 60)
}

/// The number that `field`, of at most four decimal digits, writes.
fn digits(field: &[u8]) -> Option<u32> {
    field.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_met() {
        assert_eq!(parse_seconds_since_1970(b"1970-01-01T00:00"), Some(0));
        assert_eq!(parse_seconds_since_1970(b"2001-01-01T00:01"), Some(978_307_260));
        assert_eq!(parse_seconds_since_1970(b"2099-12-31T23:59"), Some(4_102_444_740));
    }

    #[test]
    fn clock_has_four_digits_and_a_midnight_at_either_end() {
        let times = [("0000", 0), ("0659", 25_140), ("5", 300), ("130", 5_400), ("2359", 86_340)];
        for (field, seconds) in times.into_iter().chain([("2400", DAY_S)]) {
            assert_eq!(parse_clock_s(field.as_bytes()), Some(seconds), "{field}");
        }
        for field in ["", "2401", "2500", "0060", "00000", "-100", "6:59", "06.5", "9999"] {
            assert_eq!(parse_clock_s(field.as_bytes()), None, "{field}");
        }
    }

    #[test]
    fn every_day_survives_the_round_trip() {
        for days in 0..47_482 {
            let date = CalendarDate::after_1970(days);
            assert!(date.exists(), "{date}");
            assert_eq!(date.days_since_1970(), days, "{date}");
        }
        assert_eq!(CalendarDate::after_1970(47_481).to_string(), "2099-12-31");
    }

    #[test]
    fn moments_that_do_not_exist_are_refused() {
        for field in [
            "2001-02-29T00:00",
            "2001-13-01T00:00",
            "2001-00-01T00:00",
            "2001-01-00T00:00",
            "2001-04-31T00:00",
            "2001-01-01T24:00",
            "2001-01-01T00:60",
            "1969-12-31T23:59",
            "2100-01-01T00:00",
            "2001-01-01 00:00",
            "2001-01-01T00:0x",
            "2001-01-01T00:00:00",
            "+001-01-01T00:00",
            "",
        ] {
            assert_eq!(parse_seconds_since_1970(field.as_bytes()), None, "{field}");
        }
        assert!(parse_seconds_since_1970(b"2000-02-29T00:00").is_some());
    }
}
