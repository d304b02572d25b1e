//! Convoy memory: the bytes that five and twenty modules at 10 Hz keep, individual against convoy.
//!
//! The measure is the peak of a second of periods: the bytes that exist only because the modules
//! want their views, with the views held and the writes done. Criterion times that second, the
//! bytes go to a file beside its output.

mod common;
mod period;

use convoy_benches::{Measure, write_measures};
use criterion::Criterion;

use common::timing::{bench, criterion};
use period::{Load, PERIODS_PER_SECOND, Period, ROW_BYTES, Sharing};

const GROUP: &str = "convoy_memory";
const SUBJECTS: [(&str, Sharing); 2] =
    [("individual", Sharing::Individual), ("convoy", Sharing::Convoy)];

fn main() {
    let mut criterion = criterion();
    let mut measures = Vec::new();
    for (workload, load) in Load::EACH {
        measures.push(Measure::bytes(GROUP, workload, "rows", ROW_BYTES));
        for (subject, sharing) in SUBJECTS {
            let mut period = Period::new(sharing, load);
            second(&mut period);
            let peak = second(&mut period);
            measures.push(Measure::bytes(GROUP, workload, subject, peak));
        }
    }
    write_measures(GROUP, &measures).expect("the target folder can be written");
    convoy_memory(&mut criterion);
    criterion.final_summary();
}

/// Runs a second of periods, and returns the peak of the bytes that the views took.
fn second(period: &mut Period) -> usize {
    let mut peak = 0;
    for _ in 0..PERIODS_PER_SECOND {
        period.run(|period| peak = peak.max(period.view_bytes()));
    }
    peak
}

fn convoy_memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convoy_memory_second");
    for (workload, load) in Load::EACH {
        for (subject, sharing) in SUBJECTS {
            bench(&mut group, (subject, workload), || Period::new(sharing, load), second);
        }
    }
    group.finish();
}
