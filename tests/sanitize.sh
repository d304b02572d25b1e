#!/usr/bin/env bash
# The stress test, the concurrent tests and the random programs under AddressSanitizer, the stress test
# under ThreadSanitizer, or both.
#
#   tests/sanitize.sh [address|thread|all] [seconds of stress, 60 unless told]
#
# Needs a nightly toolchain; without one it says so and succeeds.
#
# What a clean run says. AddressSanitizer watches the heap and the stack: lists, cells, scratch, what
# tests hold. Chunks come from mappings of the arena, where it sees an access outside of a slab, but
# not one to a chunk that was given back; that is what the checks of the tests are for, as a reused
# chunk shows in the rows. ThreadSanitizer watches every access of our crates and their
# dependencies, chunks included, and finds two that nothing orders, if the run comes to them. The
# standard library is not instrumented, so what it orders by itself is invisible where its code is
# not inlined: `tests/tsan_suppressions.txt` names what is left out therefore, and tests that share
# by channels, scopes or the waiting threads of rayon would only yield false reports. The stress test
# shares by cells and joined threads alone. Its passes on rayon's threads are short.
set -euo pipefail
cd "$(dirname "$0")/.."

which=${1:-all}
target=x86_64-unknown-linux-gnu
export CONVOY_STRESS_SECONDS=${2:-60}
export CONVOY_OPERATIONS=${CONVOY_OPERATIONS:-20000}
export CONVOY_SCHEDULES=${CONVOY_SCHEDULES:-300}

if ! rustc +nightly --version >/dev/null 2>&1; then
    echo "no nightly toolchain: nothing was checked"
    exit 0
fi

# Each sanitizer has its own target folder, so that they do not rebuild each other's crates.
folder=${CARGO_TARGET_DIR:-target}
run() {
    CARGO_TARGET_DIR="$folder/$1-sanitizer" RUSTFLAGS="-Zsanitizer=$1 ${flags-}" \
        cargo +nightly test --locked --target "$target" "${@:2}"
}

if [[ $which == address || $which == all ]]; then
    echo "== AddressSanitizer"
    # A panic of a value that is destroyed ends in the pool, which leaks what it threw on purpose.
    export LSAN_OPTIONS="suppressions=$PWD/tests/lsan_suppressions.txt ${LSAN_OPTIONS:-}"
    run address -p convoy-pool --test cells
    run address -p convoy-tests --test stress --test model --test snapshots --test providers \
        --test parallel --test checked_types --test deltas --test delta_programs --test list_components \
        --test list_programs --test checkpoints --test checkpoint_attachments --test checkpoint_contents \
        --test checkpoint_drops --test checkpoint_evolution --test checkpoint_programs --test checkpoints_mapped \
        --test deltas_mapped --test evolution_programs
    # What a panic throws is left alone when dropping it panics again: that is a leak on purpose.
    # One test asks for more memory than there is.
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 run address -p convoy-tests --test host \
        --test host_deadlines --test host_events --test host_faults --test host_installing --test host_lock_step \
        --test host_resuming --test host_resuming_edges --test host_saving --test host_schedules \
        --test host_systems --test host_timeline --test host_triggers
fi

if [[ $which == thread || $which == all ]]; then
    echo "== ThreadSanitizer"
    # The compiler must be told that a standard library without the sanitizer is intended.
    flags=-Cunsafe-allow-abi-mismatch=sanitizer
    export TSAN_OPTIONS="suppressions=$PWD/tests/tsan_suppressions.txt ${TSAN_OPTIONS:-}"
    run thread -p convoy-tests --test stress
fi
