//! Charts of lines on logarithmic axes, as SVG files.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::{
    BLACK, ChartBuilder, Color, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor,
    SVGBackend, SeriesLabelPosition, WHITE,
};

const SIZE_PIXELS: (u32, u32) = (800, 440);
const COLORS: [RGBColor; 8] = [
    RGBColor(30, 90, 170),
    RGBColor(180, 60, 40),
    RGBColor(20, 130, 90),
    RGBColor(200, 140, 30),
    RGBColor(120, 70, 150),
    RGBColor(90, 90, 90),
    RGBColor(210, 100, 160),
    RGBColor(80, 180, 210),
];

/// An axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// What it measures.
    pub label: &'static str,
    /// From where to where it goes.
    pub range: Range<f64>,
}

/// One line of a chart.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// What the legend says.
    pub label: &'static str,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Draws lines into an SVG file; the legend is at the upper left.
///
/// # Errors
///
/// When the file can't be written.
pub fn draw(path: &Path, (x, y): (Axis, Axis), lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, SIZE_PIXELS).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(20)
        .x_label_area_size(45)
        .y_label_area_size(75)
        .build_cartesian_2d(x.range.log_scale(), y.range.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(x.label)
        .y_desc(y.label)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value}"))
        .draw()?;
    for (line, color) in lines.iter().zip(COLORS.into_iter().cycle()) {
        let points = line.points.iter().copied();
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(4))?
            .label(line.label)
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
