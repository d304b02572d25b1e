//! The comparison as one page: charts, the numbers behind them, and the table.
//!
//! The page is complete in itself: no script, and nothing from elsewhere. It follows the reader's choice
//! of light or dark, and has other drawings for small screens. Below each chart a caption says the same in
//! words, and a table that unfolds has the numbers.

use std::error::Error;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::geodesy::Coordinates;
use crate::measure::{FrameLog, warm_up_of};

use super::comparison::{Comparison, Verdict};
use super::table::{Line, lines, module_lines, summary};

mod chart;
mod figures;
mod map;
mod timeline;

use chart::Size;
use figures::{Figure, Runs, Table};

pub use timeline::Timeline;

/// Width of charts on large and small screens.
const WIDTHS: (u32, u32) = (900, 380);

const STYLE: &str = include_str!("style.css");

/// What the page shows beside the comparison.
#[derive(Debug, Clone, Copy)]
pub struct Details<'a> {
    /// Each frame of the run with copies.
    pub individual: &'a FrameLog,
    /// Each frame of the run with shared snapshots, and the pictures of it.
    pub convoy: &'a FrameLog,
    /// The end of that run, module by module.
    pub timeline: &'a Timeline,
    /// Where the airports are.
    pub airports: &'a [Coordinates],
}

/// The comparison as a page of HTML.
///
/// # Errors
///
/// When a chart can't be drawn.
pub fn to_page(
    comparison: &Comparison,
    details: &Details<'_>,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let copies = details.individual.samples();
    let convoy = details.convoy.samples();
    let warm_up = warm_up_of(convoy.len() as u64) as usize;
    let runs = Runs { copies, convoy, warm_up };
    let lane = |at: f64| timeline::lane_name(details.timeline, at);
    let mut all = vec![
        figures::percentiles("frame-times", "Frame times", runs, |sample| sample.time),
        figures::percentiles("capture-times", "Capture and sync times", runs, |sample| {
            sample.acquire_time
        }),
        figures::snapshot_bytes(runs),
        timeline::figure(details.timeline, &lane),
        figures::chunk_states(runs),
        figures::allocations(runs),
    ];
    let pictures = details.convoy.pictures().iter().enumerate();
    all.extend(pictures.map(|(number, picture)| map::figure(picture, number, details.airports)));
    let drawn: Vec<Markup> = all.iter().map(figure).collect::<Result<_, _>>()?;
    let title = "Air traffic on Convoy: copies against shared snapshots";
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the results" }
                header {
                    h1 { (title) }
                    p { (summary(comparison)) "." }
                    nav aria-label="Figures" {
                        ul {
                            li { a href="#results" { "Results" } }
                            @for figure in &all { li { a href={ "#" (figure.id) } { (figure.title) } } }
                        }
                    }
                }
                main #main {
                    section aria-labelledby="results" {
                        h2 #results { "Results" }
                        p {
                            "Both runs simulate the same flights, and the modules read the same columns. In one, \
                             each module has a copy of its own, brought up to date when it is due; in the other, \
                             modules of one rate share a snapshot."
                        }
                        (results(&lines(comparison)))
                        details {
                            summary { "Results of each module" }
                            (results(&module_lines(comparison)))
                        }
                    }
                    @for figure in &drawn { (figure) }
                }
                footer { p { "Written by the main job of Convoy, " (env!("CARGO_PKG_VERSION")) "." } }
            }
        }
    };
    Ok(page.into_string())
}

fn figure(figure: &Figure<'_>) -> Result<Markup, Box<dyn Error + Send + Sync>> {
    let large = figure.chart.draw(Size(WIDTHS.0, figure.heights.0))?;
    let small = figure.chart.draw(Size(WIDTHS.1, figure.heights.1))?;
    let (heading, says) = (format!("{}-title", figure.id), format!("{}-says", figure.id));
    Ok(html! {
        section id=(figure.id) aria-labelledby=(heading) {
            h2 id=(heading) { (figure.title) }
            figure aria-labelledby=(heading) aria-describedby=(says) {
                ul.legend {
                    @for (ink, name) in &figure.legend {
                        li { span.swatch style={ "background:" (ink.variable()) } {} (name) }
                    }
                }
                div.large role="img" aria-label=(figure.title) { (PreEscaped(large)) }
                div.small role="img" aria-label=(figure.title) { (PreEscaped(small)) }
                figcaption id=(says) { (figure.says) }
            }
            details {
                summary { "The numbers behind it" }
                (numbers(figure))
            }
        }
    })
}

fn numbers(figure: &Figure<'_>) -> Markup {
    let Table { head, rows } = &figure.table;
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Numbers: " (figure.title) } {
            table {
                thead { tr { @for name in head { th scope="col" { (name) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The table of the report: the first line is the head.
fn results(lines: &[Line]) -> Markup {
    let (head, rows) = lines.split_first().expect("a table has a head");
    let columns =
        (1..head.len()).filter(|&column| lines.iter().any(|line| !line[column].is_empty()));
    let columns: Vec<usize> = columns.collect();
    let mark =
        |cell: &str| [Verdict::Met, Verdict::Missed].into_iter().find(|word| word.word() == cell);
    html! {
        div.scroll tabindex="0" role="region" aria-label="Results" {
            table {
                thead {
                    tr {
                        th scope="col" { @if head[0].is_empty() { "quantity" } @else { (head[0]) } }
                        @for &column in &columns {
                            th scope="col" {
                                @if head[column].is_empty() { "verdict" } @else { (head[column]) }
                            }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" { (row[0]) }
                            @for &column in &columns {
                                @let cell = &row[column];
                                td class=[mark(cell).map(Verdict::word)] { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }
}
