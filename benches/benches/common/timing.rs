//! How a pass is timed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};

/// The benchmarks of one verb.
pub(crate) type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Criterion with short measurements: only ratios inside one run count. The allocator is
/// pinned first, so that every subject finds memory equally warm.
pub(crate) fn criterion() -> Criterion {
    convoy_benches::pin_allocator();
    Criterion::default()
        .sample_size(12)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

/// Times `pass` again and again on the state that `set_up` makes once.
pub(crate) fn bench<S, R>(
    group: &mut Group<'_>,
    (subject, workload): (&str, &str),
    set_up: impl Fn() -> S,
    mut pass: impl FnMut(&mut S) -> R,
) {
    let mut state = None;
    group.bench_function(BenchmarkId::new(subject, workload), |bencher| {
        let state = state.get_or_insert_with(&set_up);
        bencher.iter(|| pass(black_box(&mut *state)));
    });
}

/// Times `pass` only. Before each, `prepare` brings the state to where the pass begins and makes
/// what the pass needs; both that and the result of the pass are dropped untimed.
pub(crate) fn bench_prepared<S, P, R>(
    group: &mut Group<'_>,
    (subject, workload): (&str, &str),
    set_up: impl Fn() -> S,
    mut prepare: impl FnMut(&mut S) -> P,
    mut pass: impl FnMut(&mut S, &mut P) -> R,
) {
    let mut state = None;
    group.bench_function(BenchmarkId::new(subject, workload), |bencher| {
        let state = state.get_or_insert_with(&set_up);
        bencher.iter_custom(|passes| {
            let mut total = Duration::ZERO;
            for _ in 0..passes {
                let mut prepared = prepare(state);
                let began = Instant::now();
                let result = black_box(pass(black_box(&mut *state), black_box(&mut prepared)));
                total += began.elapsed();
                drop(result);
                drop(prepared);
            }
            // Criterion rejects a total of zero.
            total.max(Duration::from_nanos(1))
        });
    });
}
