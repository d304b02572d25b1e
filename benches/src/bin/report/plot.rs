//! Plots of times over entities, on logarithmic axes.

use std::error::Error;
use std::path::Path;

use convoy_benches::Measure;
use plotters::prelude::{
    BLACK, ChartBuilder, Color, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor,
    SVGBackend, SeriesLabelPosition, WHITE,
};

const SIZE_PIXELS: (u32, u32) = (800, 420);
const COLORS: [RGBColor; 6] = [
    RGBColor(30, 90, 170),
    RGBColor(180, 60, 40),
    RGBColor(20, 130, 90),
    RGBColor(200, 140, 30),
    RGBColor(120, 70, 150),
    RGBColor(90, 90, 90),
];

/// The names of workloads, and how many entities each has.
const ENTITIES: [(&str, f64); 4] = [("10k", 1e4), ("100k", 1e5), ("1m", 1e6), ("10m", 1e7)];

/// The times of one subject.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Line {
    pub(crate) label: &'static str,
    /// Entities, and microseconds, by size.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Line {
    /// The times of a subject of a group whose workloads are sizes.
    pub(crate) fn of(
        measures: &[Measure],
        group: &str,
        subject: &str,
        label: &'static str,
    ) -> Self {
        let own = measures.iter().filter(|one| one.group == group && one.subject == subject);
        let point = |measure: &Measure| {
            let size = ENTITIES.iter().find(|(name, _)| *name == measure.workload)?;
            Some((size.1, measure.value / 1e3))
        };
        let mut points: Vec<(f64, f64)> = own.filter_map(point).collect();
        points.sort_by(|left, right| left.0.total_cmp(&right.0));
        Self { label, points }
    }

    /// The exponent of the power of the size that fits the times best, by least squares of the logarithms.
    pub(crate) fn slope(&self) -> Option<f64> {
        let logs: Vec<(f64, f64)> =
            self.points.iter().map(|&(entities, micros)| (entities.ln(), micros.ln())).collect();
        let count = logs.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|log| log.0), mean(|log| log.1));
        let both: f64 = logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum();
        let spread: f64 = logs.iter().map(|log| (log.0 - x).powi(2)).sum();
        (logs.len() > 1).then(|| both / spread)
    }
}

/// Draws the lines into an SVG file, unless nothing of them was measured.
pub(crate) fn draw(path: &Path, lines: &[Line]) -> Result<(), Box<dyn Error + Send + Sync>> {
    let micros = || lines.iter().flat_map(|line| line.points.iter().map(|&(_, micros)| micros));
    if micros().next().is_none() {
        return Ok(());
    }
    let area = SVGBackend::new(path, SIZE_PIXELS).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let most = micros().fold(1.0, f64::max);
    let least = micros().fold(most, f64::min);
    let mut chart = ChartBuilder::on(&area)
        .margin(20)
        .x_label_area_size(45)
        .y_label_area_size(75)
        .build_cartesian_2d((8e3..1.3e7).log_scale(), (least / 2.0..most * 2.0).log_scale())
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc("entities of 96 bytes")
        .y_desc("microseconds")
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value}"))
        .draw()
        .map_err(|error| failed(&error))?;
    for (line, color) in lines.iter().zip(COLORS) {
        let points = line.points.iter().copied();
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(4))
            .map_err(|error| failed(&error))?
            .label(line.label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()
        .map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))?;
    Ok(())
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
        let line = Line::of(&measures, "capture", "convoy", "capture");
        assert_eq!(line.points, [(1e4, 1.0), (1e6, 5.0)]);
        assert_eq!(Line::of(&measures, "capture", "memcpy", "").slope(), None);
    }

    #[test]
    fn slopes_are_exponents() {
        let points =
            |exponent: i32| [1e4, 1e5, 1e6].map(|size: f64| (size, 3.0 * size.powi(exponent)));
        for exponent in [0, 1, 2] {
            let line = Line { label: "", points: points(exponent).to_vec() };
            assert!((line.slope().expect("three points") - f64::from(exponent)).abs() < 1e-9);
        }
    }
}
