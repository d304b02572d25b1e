//! Charts as vector graphics that take the colours of the page.
//!
//! Plotters draws in fixed colours. Here each stands for one of the page: it is replaced by a variable of
//! the style sheet, which has one set of values for light pages and one for dark ones.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Circle, Color, DrawingArea, EmptyElement,
    IntoDrawingArea, IntoFont, LineSeries, Polygon, RGBColor, Rectangle, SVGBackend, Text,
};

/// A colour of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Of text and axes.
    Text,
    /// Of grids and of things in the background.
    Faint,
    /// Of the run with copies; of what snapshots share.
    Copies,
    /// Of the run with shared snapshots; of what the world owns.
    Convoy,
    /// Of what only snapshots keep; of flights with an alert.
    Alert,
    /// Of free memory.
    Free,
}

impl Ink {
    const ALL: [Self; 6] =
        [Self::Text, Self::Faint, Self::Copies, Self::Convoy, Self::Alert, Self::Free];

    /// The variable of the style sheet.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Text => "var(--text)",
            Self::Faint => "var(--faint)",
            Self::Copies => "var(--copies)",
            Self::Convoy => "var(--convoy)",
            Self::Alert => "var(--alert)",
            Self::Free => "var(--free)",
        }
    }

    /// The colour that stands for it in a drawing.
    fn stand_in(self) -> RGBColor {
        RGBColor(250, 1, self as u8)
    }
}

/// Width and height of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u32, pub(super) u32);

impl Size {
    /// Whether it is for small screens.
    fn is_small(self) -> bool {
        self.0 < 600
    }

    /// Font size of labels.
    fn font(self) -> u32 {
        if self.is_small() { 13 } else { 14 }
    }
}

/// One axis: its range, where it has labels, and which.
pub(super) struct Axis<'a> {
    pub(super) name: &'a str,
    pub(super) range: Range<f64>,
    pub(super) ticks: Vec<f64>,
    pub(super) label: &'a dyn Fn(f64) -> String,
}

/// How the points of a series are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Line,
    /// A thick line behind others.
    ThickLine,
    /// Everything between the points and the series before.
    Area,
    Dots(u32),
    Rings(u32),
}

/// Points in one colour.
pub(super) struct Series {
    pub(super) ink: Ink,
    pub(super) style: Style,
    pub(super) points: Vec<(f64, f64)>,
}

/// A box from corner to corner, such as a bar of a timeline.
pub(super) struct Bar {
    pub(super) ink: Ink,
    pub(super) opacity: f64,
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
}

/// A chart: boxes behind, series in front, and notes on them.
pub(super) struct Chart<'a> {
    pub(super) x: Axis<'a>,
    pub(super) y: Axis<'a>,
    /// Room for the labels of the y axis, for large and small screens; none where there are no axes.
    pub(super) label_room: Option<(u32, u32)>,
    pub(super) bars: Vec<Bar>,
    pub(super) series: Vec<Series>,
    pub(super) notes: Vec<((f64, f64), String)>,
}

type Failure = Box<dyn Error + Send + Sync>;
type Coordinates = Cartesian2d<Ticked, Ticked>;
type Context<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Coordinates>;

/// A range of numbers with labels at chosen ones.
struct Ticked {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Ticked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let inside = self.range.start..=self.range.end;
        self.ticks.iter().copied().filter(|tick| inside.contains(tick)).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl Axis<'_> {
    fn ticked(&self) -> Ticked {
        Ticked { range: self.range.clone(), ticks: self.ticks.clone() }
    }
}

impl Chart<'_> {
    /// The drawing, as an `svg` element that scales to the width that it is given.
    pub(super) fn draw(&self, size: Size) -> Result<String, Failure> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (size.0, size.1)).into_drawing_area();
            self.draw_on(&area, size)?;
            area.present()?;
        }
        Ok(of_page(&svg, size))
    }

    fn draw_on(
        &self,
        area: &DrawingArea<SVGBackend<'_>, Shift>,
        size: Size,
    ) -> Result<(), Failure> {
        let text = Ink::Text.stand_in();
        let (large, small) = self.label_room.unwrap_or_default();
        let label_room = if size.is_small() { small } else { large };
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(18)
            .x_label_area_size(if self.label_room.is_some() { 44 } else { 0 })
            .y_label_area_size(label_room)
            .build_cartesian_2d(self.x.ticked(), self.y.ticked())?;
        let font = ("sans-serif", size.font()).into_font().color(&text);
        let mut mesh = chart.configure_mesh();
        if self.label_room.is_none() {
            mesh.disable_mesh().disable_axes();
        }
        mesh.disable_x_mesh()
            .bold_line_style(Ink::Faint.stand_in().mix(0.5))
            .light_line_style(plotters::style::TRANSPARENT)
            .axis_style(Ink::Faint.stand_in())
            .x_label_style(font.clone())
            .y_label_style(font.clone())
            .axis_desc_style(font.clone())
            .x_desc(self.x.name)
            .y_desc(self.y.name)
            .x_label_formatter(&|value| (self.x.label)(*value))
            .y_label_formatter(&|value| (self.y.label)(*value))
            .draw()?;
        for bar in &self.bars {
            let style = bar.ink.stand_in().mix(bar.opacity).filled();
            chart.draw_series([Rectangle::new([bar.from, bar.to], style)])?;
        }
        let mut below: Option<&[(f64, f64)]> = None;
        for series in &self.series {
            self.draw_series(&mut chart, series, below)?;
            below = Some(&series.points);
        }
        for (at, note) in &self.notes {
            let label = Text::new(note.clone(), (4, -6), font.clone());
            chart.draw_series([EmptyElement::at(*at) + label])?;
        }
        Ok(())
    }

    fn draw_series(
        &self,
        chart: &mut Context<'_, '_>,
        series: &Series,
        below: Option<&[(f64, f64)]>,
    ) -> Result<(), Failure> {
        let (color, points) = (series.ink.stand_in(), series.points.iter().copied());
        match series.style {
            Style::Line => {
                chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
            }
            Style::ThickLine => {
                chart.draw_series(LineSeries::new(points, color.stroke_width(4)))?;
            }
            Style::Area => {
                let floor = self.y.range.start;
                let back = series.points.iter().rev().map(|&(x, _)| (x, floor));
                let back: Vec<_> = match below {
                    Some(below) => below.iter().rev().copied().collect(),
                    None => back.collect(),
                };
                let outline: Vec<_> = points.chain(back).collect();
                chart.draw_series([Polygon::new(outline, color.filled())])?;
            }
            Style::Dots(radius) => {
                chart.draw_series(points.map(|at| Circle::new(at, radius, color.filled())))?;
            }
            Style::Rings(radius) => {
                chart
                    .draw_series(points.map(|at| Circle::new(at, radius, color.stroke_width(2))))?;
            }
        }
        Ok(())
    }
}

/// The drawing with the colours of the page, without a size of its own, hidden from screen readers: the
/// page says beside it what it shows.
fn of_page(svg: &str, Size(width, height): Size) -> String {
    let mut text = svg.replacen(
        &format!("<svg width=\"{width}\" height=\"{height}\""),
        "<svg aria-hidden=\"true\" focusable=\"false\"",
        1,
    );
    // A page of HTML knows the element without it.
    text = text.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
    for ink in Ink::ALL {
        let RGBColor(red, green, blue) = ink.stand_in();
        text = text.replace(&format!("#{red:02X}{green:02X}{blue:02X}"), ink.variable());
    }
    text
}

/// Labels at powers of ten within `range`, whose ends are logarithms.
pub(super) fn decades(range: &Range<f64>) -> Vec<f64> {
    let (first, last) = (range.start.ceil() as i32, range.end.floor() as i32);
    (first..=last).map(f64::from).collect()
}

/// Some six round numbers from zero to `end`.
pub(super) fn round_steps(end: f64) -> Vec<f64> {
    let rough = (end / 6.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step.into_iter().find(|&step| step >= rough).unwrap_or(power * 10.0);
    (0..=(end / step) as u32).map(|number| f64::from(number) * step).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn drawings_have_no_colour_and_no_size_of_their_own() {
        let label = |value: f64| value.to_string();
        let axis = || Axis { name: "n", range: 0.0..4.0, ticks: vec![0.0, 2.0], label: &label };
        let points = || vec![(0.0, 1.0), (4.0, 3.0)];
        let styles = [Style::Line, Style::ThickLine, Style::Area, Style::Dots(2), Style::Rings(3)];
        let series = Ink::ALL.iter().zip(styles.iter().cycle());
        let series = series.map(|(&ink, &style)| Series { ink, style, points: points() });
        let chart = Chart {
            x: axis(),
            y: axis(),
            label_room: Some((40, 40)),
            bars: vec![Bar { ink: Ink::Free, opacity: 0.5, from: (0.0, 0.0), to: (1.0, 1.0) }],
            series: series.collect(),
            notes: vec![((1.0, 1.0), "here".into())],
        };
        let svg = chart.draw(Size(400, 300)).unwrap();
        assert!(!svg.contains('#'), "{svg}");
        assert!(svg.starts_with("<svg aria-hidden") && svg.contains("viewBox=\"0 0 400 300\""));
        assert!(Ink::ALL.iter().all(|ink| svg.contains(ink.variable())), "{svg}");
    }

    #[test]
    fn labels_stand_at_round_numbers() {
        assert_eq!(decades(&(-0.5..2.5)), [0.0, 1.0, 2.0]);
        assert_eq!(round_steps(10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(round_steps(60_480.0).len(), 4);
    }
}
