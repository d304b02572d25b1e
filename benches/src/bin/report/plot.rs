//! Plots of times over entities.

use std::error::Error;
use std::path::Path;

use convoy_benches::{Axis, Line, Measure, draw};

/// The names of workloads, and how many entities each has.
const ENTITIES: [(&str, f64); 4] = [("10k", 1e4), ("100k", 1e5), ("1m", 1e6), ("10m", 1e7)];

/// The times of a subject of a group whose workloads are sizes: entities, and microseconds.
pub(crate) fn line(
    measures: &[Measure],
    (group, subject): (&str, &str),
    label: &'static str,
) -> Line {
    let own = measures.iter().filter(|one| one.group == group && one.subject == subject);
    let point = |measure: &Measure| {
        let size = ENTITIES.iter().find(|(name, _)| *name == measure.workload)?;
        Some((size.1, measure.value / 1e3))
    };
    let mut points: Vec<(f64, f64)> = own.filter_map(point).collect();
    points.sort_by(|left, right| left.0.total_cmp(&right.0));
    Line { label, points }
}

/// The exponent of the power of the size that fits the times best, by least squares of the logarithms.
pub(crate) fn slope(line: &Line) -> Option<f64> {
    let logs: Vec<(f64, f64)> =
        line.points.iter().map(|&(entities, micros)| (entities.ln(), micros.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|log| log.0), mean(|log| log.1));
    let both: f64 = logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum();
    let spread: f64 = logs.iter().map(|log| (log.0 - x).powi(2)).sum();
    (logs.len() > 1).then(|| both / spread)
}

/// Draws the lines into an SVG file, unless nothing of them was measured.
pub(crate) fn times(path: &Path, lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let micros = || lines.iter().flat_map(|line| line.points.iter().map(|&(_, micros)| micros));
    let (most, least) = (micros().fold(0.0, f64::max), micros().fold(f64::MAX, f64::min));
    if most < least {
        return Ok(());
    }
    let entities = Axis { label: "entities of 96 bytes", range: 8e3..1.3e7 };
    let micros = Axis { label: "microseconds", range: least / 2.0..most * 2.0 };
    draw(path, (entities, micros), lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_times_of_their_subject_by_size() {
        let measure = |group: &str, workload: &str, value: f64| Measure {
            group: group.to_owned(),
            workload: workload.to_owned(),
            subject: "convoy".to_owned(),
            value,
            unit: "nanoseconds".to_owned(),
        };
        let measures = [
            measure("capture", "1m", 5e3),
            measure("capture", "10k", 1e3),
            measure("view", "1m", 1.0),
            measure("capture", "many", 1.0),
        ];
        let captures = line(&measures, ("capture", "convoy"), "capture");
        assert_eq!(captures.points, [(1e4, 1.0), (1e6, 5.0)]);
        assert_eq!(slope(&line(&measures, ("capture", "memcpy"), "")), None);
    }

    #[test]
    fn slopes_are_exponents() {
        let points =
            |exponent: i32| [1e4, 1e5, 1e6].map(|size: f64| (size, 3.0 * size.powi(exponent)));
        for exponent in [0, 1, 2] {
            let line = Line { label: "", points: points(exponent).to_vec() };
            assert!((slope(&line).expect("three points") - f64::from(exponent)).abs() < 1e-9);
        }
    }
}
