//! Maps of the flights in the air.

use crate::geodesy::Coordinates;
use crate::measure::Picture;
use crate::report::format::count;

use super::chart::{Axis, Chart, Ink, Series, Style};
use super::figures::{Figure, Table};

/// The corners of the map: the states between the two oceans.
const LATITUDES_DEG: (f64, f64) = (24.0, 50.0);
const LONGITUDES_DEG: (f64, f64) = (-125.5, -66.0);

/// Half of the map's width and height on the projection, in Earth radii.
const HALF_WIDTH: f64 = 0.40;
const HALF_HEIGHT: f64 = 0.25;

/// Where a position is on the map: Albers' equal-area conic projection, with the parallels that are
/// usual for the country. `None` where that is beyond the map.
fn project(at: Coordinates) -> Option<(f64, f64)> {
    let inside = (LATITUDES_DEG.0..=LATITUDES_DEG.1).contains(&at.latitude_deg)
        && (LONGITUDES_DEG.0..=LONGITUDES_DEG.1).contains(&at.longitude_deg);
    let [first, second, origin] = [29.5_f64, 45.5, 37.5].map(f64::to_radians);
    let cone = (first.sin() + second.sin()) / 2.0;
    let constant = first.cos().powi(2) + 2.0 * cone * first.sin();
    let radius = |latitude: f64| (constant - 2.0 * cone * latitude.sin()).sqrt() / cone;
    let angle = cone * (at.longitude_deg + 96.0).to_radians();
    let from_pole = radius(at.latitude_deg.to_radians());
    let point = (from_pole * angle.sin(), radius(origin) - from_pole * angle.cos());
    inside.then_some(point)
}

/// A map of one picture among `airports`.
pub(super) fn figure<'a>(picture: &Picture, number: usize, airports: &[Coordinates]) -> Figure<'a> {
    let of = |alert: bool| -> Vec<(f64, f64)> {
        let flights = picture.flights.iter().filter(|flight| flight.1 == alert);
        flights.filter_map(|flight| project(flight.0)).collect()
    };
    let (calm, alerted) = (of(false), of(true));
    let alerts = picture.flights.iter().filter(|flight| flight.1).count();
    let beyond = picture.flights.len() - calm.len() - alerted.len();
    let moment = moment(picture.time_s);
    let figures = [picture.flights.len(), alerts, beyond].map(|flights| count(flights as u64));
    let [airborne, with_alert, beyond] = figures.clone();
    Figure {
        id: ["map-1", "map-2", "map-3"][number.min(2)],
        title: format!("In the air on {moment}"),
        says: format!(
            "{airborne} flights are in the air after frame {}, {with_alert} of them with an alert, as \
             another flight is closer than the rules allow; {beyond} are beyond the map.",
            count(picture.frame),
        ),
        legend: vec![
            (Ink::Convoy, "a flight"),
            (Ink::Alert, "a flight with an alert"),
            (Ink::Faint, "an airport"),
        ],
        chart: Chart {
            x: Axis {
                name: "",
                range: -HALF_WIDTH..HALF_WIDTH,
                ticks: Vec::new(),
                label: &|_| String::new(),
            },
            y: Axis {
                name: "",
                range: -HALF_HEIGHT..HALF_HEIGHT,
                ticks: Vec::new(),
                label: &|_| String::new(),
            },
            label_room: None,
            bars: Vec::new(),
            series: vec![
                Series {
                    ink: Ink::Faint,
                    style: Style::Dots(3),
                    points: airports.iter().filter_map(|&at| project(at)).collect(),
                },
                Series { ink: Ink::Convoy, style: Style::Dots(2), points: calm },
                Series { ink: Ink::Alert, style: Style::Rings(5), points: alerted },
            ],
            notes: Vec::new(),
        },
        heights: (560, 240),
        table: Table::new(
            &["simulated time", "in the air", "with an alert", "beyond the map"],
            [[moment].into_iter().chain(figures).collect()],
        ),
    }
}

/// The day and the time of day, by the clock of the data set, which all airports share.
fn moment(time_s: f64) -> String {
    let minutes = (time_s / 60.0).floor() as i64;
    let (day, minute) = (minutes.div_euclid(24 * 60), minutes.rem_euclid(24 * 60));
    format!("day {}, {:02}:{:02}", day + 1, minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn the_map_has_the_country_the_right_way_round() {
        let at = |latitude_deg, longitude_deg| project(Coordinates { latitude_deg, longitude_deg });
        let (seattle, miami) = (at(47.4, -122.3).unwrap(), at(25.8, -80.3).unwrap());
        assert!(seattle.0 < -0.3 && seattle.1 > 0.15, "{seattle:?}");
        assert!(miami.0 > 0.2 && miami.1 < -0.15, "{miami:?}");
        assert_eq!(at(21.3, -157.9), None, "Honolulu is beyond the map");
        for (latitude_deg, longitude_deg) in [(49.0, -66.5), (24.5, -125.0), (47.6, -125.0)] {
            let (x, y) = project(Coordinates { latitude_deg, longitude_deg }).unwrap();
            assert!(x.abs() < HALF_WIDTH + 0.1 && y.abs() < HALF_HEIGHT + 0.05, "{x} {y}");
        }
    }

    #[test]
    fn moments_count_days_from_one() {
        assert_eq!(moment(0.0), "day 1, 00:00");
        assert_eq!(moment(2.0 * 86_400.0 + 3_661.0), "day 3, 01:01");
        assert_eq!(moment(-60.0), "day 0, 23:59");
    }
}
