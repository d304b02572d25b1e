//! The plot of speed-ups over threads, beside the line of as many times as threads.

use std::error::Error;
use std::path::Path;

use plotters::prelude::{
    BLACK, ChartBuilder, Color, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor,
    SVGBackend, SeriesLabelPosition, WHITE,
};

use crate::workloads::WORKLOADS;
use crate::{Point, speedup};

const SIZE_PIXELS: (u32, u32) = (800, 480);
const COLORS: [RGBColor; WORKLOADS.len()] = [
    RGBColor(30, 90, 170),
    RGBColor(20, 130, 90),
    RGBColor(120, 170, 60),
    RGBColor(180, 60, 40),
    RGBColor(200, 140, 30),
];
const IDEAL: RGBColor = RGBColor(170, 170, 170);

/// Draws an SVG file.
pub(crate) fn speedups(path: &Path, points: &[Point]) -> Result<(), Box<dyn Error>> {
    let most = points.iter().map(|point| point.threads).max().unwrap_or(1).max(2) as f64;
    let area = SVGBackend::new(path, SIZE_PIXELS).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(20)
        .x_label_area_size(45)
        .y_label_area_size(60)
        .build_cartesian_2d((0.9..most * 1.1).log_scale(), (0.2..most * 1.3).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("threads")
        .y_desc("times the rate of one thread")
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value}"))
        .draw()?;
    chart
        .draw_series(LineSeries::new([(1.0, 1.0), (most, most)], &IDEAL))?
        .label("as many times as threads")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], IDEAL));
    for (number, ((name, _), color)) in WORKLOADS.iter().zip(COLORS).enumerate() {
        let own = points.iter().filter(|point| point.workload == number);
        let line = own.map(|point| (point.threads as f64, speedup(point, points)));
        chart
            .draw_series(LineSeries::new(line, color.stroke_width(2)).point_size(4))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    Ok(())
}
