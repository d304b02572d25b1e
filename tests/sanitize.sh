#!/usr/bin/env bash
# The concurrent tests and the random programs under AddressSanitizer, ThreadSanitizer, or both.
#
#   tests/sanitize.sh [address|thread|all] [seconds of stress, 60 unless told]
#
# Needs a nightly toolchain; without one it says so and succeeds.
#
# What a clean run says. AddressSanitizer watches the heap and the stack: lists, cells, scratch, what
# tests hold. Chunks come from mappings of the arena, where it sees an access outside of a slab, but
# not one to a chunk that was given back; that is what the checks of the tests are for, as a reused
# chunk shows in the rows. ThreadSanitizer watches every access of our crates and their
# dependencies, chunks included, and finds two that nothing orders. The standard library is not
# instrumented, so what it orders by itself is invisible where its code is not inlined;
# `tests/tsan_suppressions.txt` names what is left out therefore, and why.
set -euo pipefail
cd "$(dirname "$0")/.."

which=${1:-all}
target=x86_64-unknown-linux-gnu
export CONVOY_STRESS_SECONDS=${2:-60}
export CONVOY_OPERATIONS=${CONVOY_OPERATIONS:-20000}

if ! rustc +nightly --version >/dev/null 2>&1; then
    echo "no nightly toolchain: nothing was checked"
    exit 0
fi

# Each sanitizer has its own target folder, so that they do not rebuild each other's crates.
folder=${CARGO_TARGET_DIR:-target}
run() {
    CARGO_TARGET_DIR="$folder/$1" RUSTFLAGS="$2" \
        cargo +nightly test --locked --target "$target" -p convoy-tests "${@:3}"
    CARGO_TARGET_DIR="$folder/$1" RUSTFLAGS="$2" \
        cargo +nightly test --locked --target "$target" -p convoy-pool --test cells
}

if [[ $which == address || $which == all ]]; then
    echo "== AddressSanitizer"
    # Slabs are mapped and unmapped for every world: no trace of them is kept.
    export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=1}"
    run address-sanitizer "-Zsanitizer=address" \
        --test stress --test model --test snapshots --test providers --test host --test parallel
fi

if [[ $which == thread || $which == all ]]; then
    echo "== ThreadSanitizer"
    # The standard library of the toolchain is not instrumented: the compiler must be told that this
    # is intended.
    export TSAN_OPTIONS="suppressions=$PWD/tests/tsan_suppressions.txt halt_on_error=0 ${TSAN_OPTIONS:-}"
    run thread-sanitizer "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
        --test stress --test snapshots --test parallel
fi
