//! Convoy sync: the cost of five and twenty modules to the simulation in a period, individual against
//! convoy.
//!
//! A period covers acquiring the views, the writes that follow while the views are held, and
//! dropping them, so copy-on-write counts. `plain` is the same writes in a world that no module
//! looks at. The `extra` subjects run a period and a plain one in turns and report the difference
//! only, so that disturbances of both cancel: their ratio is the promise.

mod common;
mod period;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};

use common::timing::{Group, bench, criterion};
use period::{Load, Period, Sharing};

const SUBJECTS: [(&str, &str, Sharing); 2] = [
    ("individual", "individual extra", Sharing::Individual),
    ("convoy", "convoy extra", Sharing::Convoy),
];

fn main() {
    let mut criterion = criterion();
    convoy_sync(&mut criterion);
    criterion.final_summary();
}

fn convoy_sync(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convoy_sync");
    for (workload, load) in Load::EACH {
        bench(
            &mut group,
            ("plain", workload),
            || warm(Sharing::Nothing, load),
            |period| {
                period.run(|_| ());
            },
        );
        for (subject, extra_subject, sharing) in SUBJECTS {
            bench(
                &mut group,
                (subject, workload),
                || warm(sharing, load),
                |period| {
                    period.run(|_| ());
                },
            );
            bench_extra(&mut group, (extra_subject, workload), sharing, load);
        }
    }
    group.finish();
}

/// A world whose first periods, which fill replicas and pools, are over and were checked.
fn warm(sharing: Sharing, load: Load) -> Period {
    let mut period = Period::new(sharing, load);
    for _ in 0..20 {
        period.run(|_| ());
    }
    period.run(Period::check_views);
    period
}

fn timed(period: &mut Period) -> Duration {
    let began = Instant::now();
    period.run(|_| ());
    began.elapsed()
}

/// Times periods and plain ones in turns and reports the difference.
fn bench_extra(group: &mut Group<'_>, id: (&str, &str), sharing: Sharing, load: Load) {
    let mut worlds = None;
    group.bench_function(BenchmarkId::new(id.0, id.1), |bencher| {
        let (period, plain) =
            worlds.get_or_insert_with(|| (warm(sharing, load), warm(Sharing::Nothing, load)));
        bencher.iter_custom(|passes| {
            let (mut with_views, mut without) = (Duration::ZERO, Duration::ZERO);
            for pass in 0..passes {
                // Neither always runs into the other's cache lines.
                if pass % 2 == 0 {
                    with_views += timed(period);
                    without += timed(plain);
                } else {
                    without += timed(plain);
                    with_views += timed(period);
                }
            }
            // Criterion rejects a total of zero.
            with_views.saturating_sub(without).max(Duration::from_nanos(1))
        });
    });
}
