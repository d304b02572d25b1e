#!/usr/bin/env bash
# Shows that the fuzz targets of tests/fuzz find faults: puts known ones into a copy of the sources, one at a time,
# and expects the target to stop at each within five minutes, under AddressSanitizer and without a corpus. Before
# that, each target runs for half a minute without a fault, and must not stop.
#
#   tests/canary.sh [part of the names of the faults to try]
#
# Needs a nightly toolchain; without one it says so and succeeds. It builds as `cargo fuzz` does, which need not be
# there. Takes two or three minutes for each fault, most of them for building.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! rustc +nightly --version >/dev/null 2>&1; then
    echo "no nightly toolchain: nothing was checked"
    exit 0
fi

only=${1-}
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r Cargo.toml engine pool tests "$copy"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/canary"
export RUSTFLAGS="-Zsanitizer=address --cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# Files that a target leaves behind go with the copy.
export TMPDIR=$copy ASAN_OPTIONS=detect_leaks=0

# Builds a target of the copy, and runs it until it stops or the seconds are over. Tells whether it stopped.
stops() {
    local target=$1 seconds=$2 status=0
    # A fault may leave something unused. Only errors are of interest.
    if ! (cd "$copy/tests/fuzz" && cargo +nightly build -q --release --locked --target "$host" \
        --bin "$target") >"$copy/output" 2>&1; then
        cat "$copy/output"
        exit 1
    fi
    began=$SECONDS
    (cd "$copy" && "$CARGO_TARGET_DIR/$host/release/$target" -seed=1 -len_control=0 -max_len=17 -timeout=60 \
        -max_total_time="$seconds") >"$copy/output" 2>&1 || status=$?
    ((status != 0))
}

# The last number of a run that was printed, and the sanitizer's finding or the place of the panic.
runs() { sed -n 's/^#\([0-9][0-9]*\).*/\1/p' "$copy/output" | tail -1; }
finding() {
    sed -n 's/^==[0-9]*== *ERROR: AddressSanitizer: \([a-zA-Z-]*\).*/\1/p
        s/^==[0-9]*== *ERROR: libFuzzer: \(timeout\|out-of-memory\).*/\1/p
        s#^thread .* panicked at \(.*/tmp[^/]*/\)\?\(.*\):[0-9]*:$#a panic at \2#p' "$copy/output" | head -1
}

expect_none() {
    if stops "$1" 30; then
        printf 'WRONG:  %s stops without a fault, by %s\n' "$1" "$(finding)"
        exit 1
    fi
    printf 'none:   %s runs without a fault, %d times\n' "$1" "$(runs)"
}

# Replaces texts in files of the copy, each of which is there once, and expects a target to stop.
seed_bug() {
    local name=$1 target=$2
    [[ $name == *"$only"* ]] || return 0
    shift 2
    while (($# > 0)); do
        FROM=$2 TO=$3 perl -0pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/g == 1 or die "not there once\n"' "$copy/$1"
        shift 3
    done
    if stops "$target" 300 && [[ -n $(finding) ]]; then
        printf 'found:  %s\n        after %d s, in run %d or soon after, by %s\n' \
            "$name" $((SECONDS - began)) "$(runs)" "$(finding)"
    else
        printf 'MISSED: %s\n' "$name"
        missed=$((missed + 1))
    fi
    rm -rf "$copy/engine" "$copy/pool"
    cp -r engine pool "$copy"
}

missed=0
expect_none checkpoints
expect_none deltas
seed_bug "mapped blocks may lie outside of the file" checkpoints \
    engine/src/checkpoint/manifest.rs \
    'at.checked_add(bytes).is_some_and(|end| end <= self.end)' 'at < self.end || bytes > 0' \
    pool/src/slab.rs \
    'let is_inside = offset <= all && bytes <= all - offset;' 'let is_inside = all + bytes > 0;'
seed_bug "lists of a mapped file are not looked at" checkpoints \
    engine/src/checkpoint/map.rs '|(list, _)| contents.check_lists(list)' '|_| Ok(())'
seed_bug "values of a mapped file are not looked at" checkpoints \
    engine/src/checkpoint/map.rs 'id.filter(|&id| registry.values(id, bytes).is_none())' 'id.filter(|_| false)'
seed_bug "values that are read are not looked at" checkpoints \
    engine/src/checkpoint/load.rs 'if registry.values(id, bytes).is_none() {' 'if false {'
seed_bug "two lists may have one block" checkpoints \
    engine/src/checkpoint/check.rs \
    '&& *owners.get::<Entity>(block) == *entities.get::<Entity>(row)' '&& row < entities.len()'
seed_bug "free slots need no sound chain" checkpoints \
    engine/src/checkpoint/check.rs \
    'alive == rows && is_sound_head(state, &all, &mut Vec::new())' \
    'alive == rows || is_sound_head(state, &all, &mut Vec::new())'
seed_bug "free slots of a delta need no sound chain" deltas \
    engine/src/delta/check.rs 'if !is_sound_head(&self.parts.index, &all, numbers) {' \
    'if !is_sound_head(&self.parts.index, &all, numbers) && all.lens.1 == usize::MAX {'
seed_bug "links of a delta need no sound families" deltas \
    engine/src/delta/check.rs 'match are_sound_families(&links, seen) {' \
    'match are_sound_families(&links, seen) || links.slots.len() > 0 {'
printf '%d missed\n' "$missed"
((missed == 0))
