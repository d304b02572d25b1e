//! The plot of the cost of a capture: time over entities, beside the time to copy the bytes.

use std::error::Error;
use std::path::Path;

use convoy_benches::Measure;
use plotters::prelude::{
    BLACK, ChartBuilder, Color, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor,
    SVGBackend, WHITE,
};

const WIDTH_PIXELS: u32 = 800;
const HEIGHT_PIXELS: u32 = 420;

/// The workloads of the group `capture`, and how many entities each has.
const ENTITIES: [(&str, f64); 4] = [("10k", 1e4), ("100k", 1e5), ("1m", 1e6), ("10m", 1e7)];

/// The lines, in this order.
const SUBJECTS: [(&str, &str, RGBColor); 2] = [
    ("memcpy", "copying the bytes", RGBColor(180, 60, 40)),
    ("convoy", "capture", RGBColor(30, 90, 170)),
];

/// One measured time: the subject's number, entities, and microseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Point {
    subject: usize,
    entities: f64,
    micros: f64,
}

/// The measurements of captures.
pub(crate) fn sizes(measures: &[Measure]) -> Vec<Point> {
    let of_capture = measures.iter().filter(|measure| measure.group == "capture");
    let point = |measure: &Measure| {
        let entities = ENTITIES.iter().find(|(name, _)| *name == measure.workload)?.1;
        let subject = SUBJECTS.iter().position(|(name, ..)| *name == measure.subject)?;
        Some(Point { subject, entities, micros: measure.value / 1e3 })
    };
    let mut points: Vec<Point> = of_capture.filter_map(point).collect();
    points.sort_by(|left, right| left.entities.total_cmp(&right.entities));
    points
}

/// Draws the points into an SVG file.
pub(crate) fn capture(path: &Path, points: &[Point]) -> Result<(), Box<dyn Error + Send + Sync>> {
    let area = SVGBackend::new(path, (WIDTH_PIXELS, HEIGHT_PIXELS)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| format!("capture.svg: {error}");
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let most = points.iter().map(|point| point.micros).fold(1.0, f64::max);
    let least = points.iter().map(|point| point.micros).fold(most, f64::min);
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
    for (number, (_, label, color)) in SUBJECTS.iter().enumerate() {
        let own = points.iter().filter(|point| point.subject == number);
        let line = own.map(|point| (point.entities, point.micros));
        chart
            .draw_series(LineSeries::new(line, color.stroke_width(2)).point_size(4))
            .map_err(|error| failed(&error))?
            .label(*label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
    }
    chart
        .configure_series_labels()
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
    fn points_are_those_of_captures_by_size() {
        let measure = |group: &str, workload: &str, value: f64| Measure {
            group: group.to_owned(),
            workload: workload.to_owned(),
            subject: "convoy".to_owned(),
            value,
            unit: "nanoseconds".to_owned(),
        };
        let measures = [measure("capture", "1m", 5e3), measure("capture", "10k", 1e3)];
        let found = sizes(&[&measures[..], &[measure("view", "1m", 1.0)]].concat());
        let entities: Vec<f64> = found.iter().map(|point| point.entities).collect();
        assert_eq!(entities, [1e4, 1e6]);
        assert_eq!(found[1].micros, 5.0);
    }
}
