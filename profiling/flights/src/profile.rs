//! How fast and how high an aircraft flies.
//!
//! The profile is one for all aircraft and depends on the flight's length alone, so that every
//! figure is a pure function of the elapsed time and a few constants of the flight:
//!
//! ```text
//!  ground speed                               altitude
//!  440 kt     ____________________            cruise    ____________________
//!            /                    \                   /                       \
//!           /                      \          1,800  /                         \  1,500
//!  140 kt  /                        \         ft/min/                           \ ft/min
//!          |--10 min--|    |--10 min--|
//! ```
//!
//! * **Speed** rises linearly from 140 kt at lift-off to 440 kt after ten minutes and falls in the
//!   same way before touchdown. A flight too short for both ramps turns round at a lower speed.
//! * **Altitude** is the lowest of the climb, the cruise altitude and the descent.
//! * **Cruise altitude** is at most 39,000 ft and at most 70 % of what climb and descent reach
//!   within the flight, rounded down to a whole thousand of feet: odd for eastbound and even for
//!   westbound flights, as the semicircular rule has it.
//!
//! Winds, taxiing and holding patterns are left out: a flight lasts as long as its distance says.

/// Ground speed at lift-off and at touchdown.
pub const RUNWAY_KT: f32 = 140.0;

/// Ground speed between both ramps.
pub const CRUISE_KT: f32 = 440.0;

/// Length of the ramp from [`RUNWAY_KT`] to [`CRUISE_KT`], and of the one back.
pub const RAMP_S: f32 = 600.0;

/// Rate of climb.
pub const CLIMB_FT_PER_MIN: f32 = 1_800.0;

/// Rate of descent.
pub const DESCENT_FT_PER_MIN: f32 = 1_500.0;

/// No flight cruises higher.
pub const CEILING_FT: f32 = 39_000.0;

/// No flight is planned to cruise lower than this, though a very short one may not get there.
pub const LOWEST_CRUISE_FT: f32 = 2_000.0;

/// Share of the reachable altitude that a cruise altitude may take, to leave room for a cruise.
const CRUISE_SHARE: f32 = 0.7;

/// Seconds in an hour: knots are nautical miles per hour.
const HOUR_S: f32 = 3_600.0;

/// Nautical miles that both ramps cover together: 20 minutes at the mean of both speeds.
const RAMPS_NM: f32 = (RUNWAY_KT + CRUISE_KT) / 2.0 * 2.0 * RAMP_S / HOUR_S;

/// Gain of speed on a ramp.
const RAMP_KT_PER_S: f32 = (CRUISE_KT - RUNWAY_KT) / RAMP_S;

/// Time from lift-off to touchdown over `distance_nm`, which counts as zero if negative.
///
/// # Example
///
/// ```
/// use profiling::profile::flight_duration_s;
///
/// // Los Angeles to New York.
/// let hours = flight_duration_s(2_145.0) / 3_600.0;
/// assert!((4.9..5.1).contains(&hours));
/// ```
pub fn flight_duration_s(distance_nm: f32) -> f32 {
    let distance_nm = distance_nm.max(0.0);
    if distance_nm >= RAMPS_NM {
        return 2.0 * RAMP_S + (distance_nm - RAMPS_NM) / CRUISE_KT * HOUR_S;
    }
    // Half the way is one shortened ramp of r seconds: d / 2 = (runway * r + gain * r² / 2) / 3600.
    let discriminant = RUNWAY_KT * RUNWAY_KT + RAMP_KT_PER_S * distance_nm * HOUR_S;
    2.0 * (discriminant.sqrt() - RUNWAY_KT) / RAMP_KT_PER_S
}

/// Ground speed after `elapsed_s` of a flight of `duration_s`; the runway's speed outside of it.
#[inline]
pub fn ground_speed_kt(elapsed_s: f32, duration_s: f32) -> f32 {
    let from_nearer_end_s = elapsed_s.min(duration_s - elapsed_s).clamp(0.0, RAMP_S);
    RUNWAY_KT + RAMP_KT_PER_S * from_nearer_end_s
}

/// Fraction of the way, 0 to 1, covered after `elapsed_s` of a flight of `duration_s`.
///
/// It is 0 before lift-off and 1 from touchdown on, also if the flight has no duration at all.
#[inline]
pub fn progress(elapsed_s: f32, duration_s: f32) -> f32 {
    if elapsed_s >= duration_s {
        return 1.0;
    }
    let elapsed_s = elapsed_s.max(0.0);
    let half_s = duration_s / 2.0;
    let half_nm = ramp_then_cruise_nm(half_s);
    // The second half mirrors the first.
    let covered_nm = if elapsed_s <= half_s {
        ramp_then_cruise_nm(elapsed_s)
    } else {
        2.0 * half_nm - ramp_then_cruise_nm(duration_s - elapsed_s)
    };
    covered_nm / (2.0 * half_nm)
}

/// Altitude after `elapsed_s` of a flight of `duration_s` that cruises at `cruise_ft`.
///
/// It is zero before lift-off and after touchdown.
#[inline]
pub fn altitude_ft(elapsed_s: f32, duration_s: f32, cruise_ft: f32) -> f32 {
    let climbing_ft = elapsed_s * (CLIMB_FT_PER_MIN / 60.0);
    let descending_ft = (duration_s - elapsed_s) * (DESCENT_FT_PER_MIN / 60.0);
    climbing_ft.min(descending_ft).min(cruise_ft).max(0.0)
}

/// Cruise altitude for a flight over `distance_nm`, in whole thousands of feet.
///
/// Eastbound flights get odd thousands and westbound flights even ones.
pub fn cruise_altitude_ft(distance_nm: f32, eastbound: bool) -> f32 {
    let minutes = flight_duration_s(distance_nm) / 60.0;
    let reachable_ft = minutes / (1.0 / CLIMB_FT_PER_MIN + 1.0 / DESCENT_FT_PER_MIN);
    let highest_ft = (CRUISE_SHARE * reachable_ft).min(CEILING_FT);
    let odd = f32::from(u8::from(eastbound));
    let thousands = ((highest_ft / 1_000.0 - odd) / 2.0).floor() * 2.0 + odd;
    (thousands * 1_000.0).max(LOWEST_CRUISE_FT + odd * 1_000.0)
}

/// Nautical miles in the first `seconds`: the ramp, then the cruise.
#[inline]
fn ramp_then_cruise_nm(seconds: f32) -> f32 {
    let ramp_s = seconds.min(RAMP_S);
    let ramp_kt_s = (RUNWAY_KT + RAMP_KT_PER_S * ramp_s / 2.0) * ramp_s;
    (ramp_kt_s + CRUISE_KT * (seconds - ramp_s)) / HOUR_S
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn duration_has_no_jump_where_the_ramps_just_fit() {
        let short_s = flight_duration_s(RAMPS_NM - 0.001);
        let long_s = flight_duration_s(RAMPS_NM);
        assert!((long_s - short_s).abs() < 0.1, "{short_s} {long_s}");
        assert!((long_s - 2.0 * RAMP_S).abs() < 0.1);
    }

    #[test]
    fn flight_of_no_length_ends_at_once() {
        assert_eq!(flight_duration_s(0.0), 0.0);
        assert_eq!(flight_duration_s(-5.0), 0.0);
        assert_eq!(progress(0.0, 0.0), 1.0);
        assert_eq!(altitude_ft(0.0, 0.0, 30_000.0), 0.0);
    }

    #[test]
    fn aircraft_on_the_ground_are_at_an_end_and_at_height_zero() {
        assert_eq!(progress(-1.0, 3_600.0), 0.0);
        assert_eq!(progress(3_601.0, 3_600.0), 1.0);
        assert_eq!(altitude_ft(-1.0, 3_600.0, 30_000.0), 0.0);
        assert_eq!(altitude_ft(3_601.0, 3_600.0, 30_000.0), 0.0);
        assert_eq!(ground_speed_kt(-1.0, 3_600.0), RUNWAY_KT);
        assert_eq!(ground_speed_kt(1_800.0, 3_600.0), CRUISE_KT);
    }

    #[test]
    fn cruise_altitudes_follow_the_semicircular_rule() {
        assert_eq!(cruise_altitude_ft(2_000.0, true), 39_000.0);
        assert_eq!(cruise_altitude_ft(2_000.0, false), 38_000.0);
        for distance_nm in (1..=4_000).map(|whole| whole as f32) {
            let east = cruise_altitude_ft(distance_nm, true) as u32;
            let west = cruise_altitude_ft(distance_nm, false) as u32;
            assert_eq!((east % 2_000, west % 2_000), (1_000, 0), "{distance_nm}");
        }
    }

    #[test]
    fn short_hops_stay_lower() {
        assert!(cruise_altitude_ft(100.0, true) < cruise_altitude_ft(300.0, true));
        assert!(cruise_altitude_ft(25.0, true) <= 9_000.0);
    }

    proptest! {
        #[test]
        fn speed_integrates_to_the_distance(distance_nm in 0.5f32..5_000.0) {
            let duration_s = flight_duration_s(distance_nm);
            let flown_nm = 2.0 * ramp_then_cruise_nm(duration_s / 2.0);
            prop_assert!((flown_nm / distance_nm - 1.0).abs() < 2e-3);
        }

        #[test]
        fn progress_rises_from_zero_to_one(distance_nm in 0.5f32..5_000.0, cut in 0.0f32..1.0) {
            let duration_s = flight_duration_s(distance_nm);
            let earlier = progress(cut * duration_s * 0.99, duration_s);
            let later = progress(cut * duration_s, duration_s);
            prop_assert!((0.0..=1.0).contains(&earlier) && earlier <= later && later <= 1.0);
        }

        #[test]
        fn altitude_stays_between_ground_and_cruise(
            distance_nm in 0.5f32..5_000.0,
            cut in -0.5f32..1.5,
            eastbound: bool,
        ) {
            let cruise_ft = cruise_altitude_ft(distance_nm, eastbound);
            let duration_s = flight_duration_s(distance_nm);
            let altitude_ft = altitude_ft(cut * duration_s, duration_s, cruise_ft);
            prop_assert!((0.0..=cruise_ft).contains(&altitude_ft));
        }
    }
}
