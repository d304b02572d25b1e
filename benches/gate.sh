#!/usr/bin/env bash
# Counts the instructions of the hot paths under callgrind, and for passes and captures the misses
# of simulated caches, and compares them with `benches/instructions.json`: fails where one has grown
# by more than 2 %, whatever else the machine is doing. Counts are kept for each toolchain and
# processor.
#
#   benches/gate.sh               compare
#   benches/gate.sh --save WHY    make the counts the baseline, and note WHY beside those that grew
#
# Needs valgrind, and a baseline of this machine's kind; without them the script says so and
# succeeds. It installs gungraun's runner below the target folder once, in the version that the lock
# file names.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null; then
    echo "no valgrind: nothing was counted"
    exit 0
fi

if [[ ${1-} != --save ]] &&
    ! cargo run --quiet --locked -p convoy-benches --bin gate -- --has-baseline; then
    echo "no baseline for this toolchain and processor: nothing was counted"
    exit 0
fi

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
version=$(sed -n '/^name = "gungraun-runner"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
tools=$target/gungraun-runner-$version
if [[ ! -x $tools/bin/gungraun-runner ]]; then
    # It only reads what valgrind wrote: as it builds fastest.
    CARGO_TARGET_DIR=$target/gungraun-build CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --root "$tools" gungraun-runner --version "$version"
    rm -rf "$target/gungraun-build"
fi

counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
GUNGRAUN_RUNNER=$tools/bin/gungraun-runner \
    cargo bench --locked -p convoy-benches --features gate --bench instructions \
    -- --output-format=json >"$counts"
cargo run --quiet --locked -p convoy-benches --bin gate -- "$@" <"$counts"
