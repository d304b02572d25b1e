#!/usr/bin/env bash
# The models of the lease cells under loom. Without arguments: run them, in about a minute.
# With "seeded": put known bugs into a copy of the sources instead, one at a time, and check that
# the models find each of them. A second argument picks the bugs whose names contain it.
set -euo pipefail
cd "$(dirname "$0")/../.."

export RUSTFLAGS="--cfg loom"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom"

models() { cargo test -q -p convoy-pool --test loom --release --locked -- --test-threads 2; }

# Replaces text in a file of the copy, builds the models, and expects one of them to fail.
seed_bug() {
    local name=$1 file=$2 from=$3 to=$4 status=0
    [[ -z ${only-} || $name == *"$only"* ]] || return 0
    cp "pool/src/$file" "$copy/original.rs"
    FROM=$from TO=$to perl -0pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/ or die "not found\n"' \
        "$copy/pool/src/$file"
    (cd "$copy" && cargo test -q -p convoy-pool --test loom --release --no-run)
    # One preemption is enough for these, and one failure. It may abort, by a panic during another one
    # or by the C library, which finds its lists overwritten.
    (cd "$copy" && LOOM_MAX_PREEMPTIONS=1 timeout 600 \
        cargo test -q -p convoy-pool --test loom --release) >"$copy/output" 2>&1 || status=$?
    if ((status != 0 && status != 124)) && grep -qE "panicked|signal:" "$copy/output"; then
        printf 'found:  %s\n        %s\n' "$name" \
            "$(grep -A1 "panicked" "$copy/output" | sed -n 's/^thread .\([a-z_]*\). .*/by \1/p
                s/^\([A-Z].*\)$/   \1/p' | head -2 | tr -d '\n')"
    else
        printf 'MISSED: %s (status %d)\n' "$name" "$status"
        missed=$((missed + 1))
    fi
    cp "$copy/original.rs" "$copy/pool/src/$file"
}

if [[ ${1-} != seeded ]]; then
    models
    exit
fi

only=${2-}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r Cargo.toml Cargo.lock pool "$copy"
# The copy is a workspace of the pool alone.
sed -i 's/^members = .*/members = ["pool"]/; /^default-members/d' "$copy/Cargo.toml"
missed=0
seed_bug "leaving does not release" state.rs \
    'fetch_sub(1, Ordering::AcqRel)' 'fetch_sub(1, Ordering::Acquire)'
seed_bug "leaving does not acquire" state.rs \
    'fetch_sub(1, Ordering::AcqRel)' 'fetch_sub(1, Ordering::Release)'
seed_bug "looking at the state does not acquire" state.rs \
    'self.0.load(Ordering::Acquire)' 'self.0.load(Ordering::Relaxed)'
seed_bug "opening a cell does not release" state.rs \
    'self.0.store(word.0, Ordering::Release)' 'self.0.store(word.0, Ordering::Relaxed)'
seed_bug "the generation does not grow" state.rs \
    'self.set(Word::new(self.load().generation().next(), 1))' \
    'self.set(Word::new(self.load().generation(), 1))'
seed_bug "a closed cell can be joined" state.rs \
    'self.0.compare_exchange(seen.0, seen.0 + 1, Ordering::Acquire, Ordering::Relaxed).is_ok()' \
    '{ self.0.fetch_add(1, Ordering::Acquire); true }'
seed_bug "joining does not look at the board again" publication.rs \
    'if self.board.shown() != Some(shown) {' 'if false {'
seed_bug "joining trusts a closed state without looking again" publication.rs \
    'if cell.state.load() == seen {' 'if true {'
seed_bug "joining does not pin" publication.rs 'let _guard = collector::pin();' ''
seed_bug "a cell leaves its pool without deferral" cell.rs \
    'collector::defer_drop(cell);' 'drop(cell);'
seed_bug "the last leaver does not take the cell down" cell.rs \
    'board.take_down(self.as_raw());' 'drop(board);'
seed_bug "the last leaver clears the board whatever it shows" cell.rs \
    'board.take_down(self.as_raw());' 'board.clear();'
seed_bug "a cell is shown before it is open" lease.rs \
    'cell.state.open();' 'if let Some(board) = board { board.show(cell.as_raw()) } cell.state.open();'
seed_bug "taking an idle cell does not acquire" cell.rs \
    'slot.swap(ptr::null_mut(), Ordering::Acquire)' 'slot.swap(ptr::null_mut(), Ordering::Relaxed)'
seed_bug "giving a cell back does not release" cell.rs \
    '(ptr::null_mut(), Ordering::Release)' '(ptr::null_mut(), Ordering::Relaxed)'
seed_bug "an idle cell can be taken twice" cell.rs \
    'NonNull::new(slot.swap(ptr::null_mut(), Ordering::Acquire))?' \
    'NonNull::new({ let raw = slot.load(Ordering::Acquire); slot.store(ptr::null_mut(), Ordering::Relaxed); raw })?'
seed_bug "showing a cell does not release" cell.rs \
    'self.shown.store(cell.as_ptr(), Ordering::Release)' \
    'self.shown.store(cell.as_ptr(), Ordering::Relaxed)'
seed_bug "a reader that is not the last touches the cell after leaving" lease.rs \
    'if self.cell.state.leave() {' 'if self.cell.state.leave() || { self.cell.state.load(); drop(self.cell.watch()); false } {'
printf '%d missed\n' "$missed"
((missed == 0))
