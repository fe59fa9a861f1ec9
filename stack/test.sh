#!/usr/bin/env bash
# `make test`: everything that fits in 25 minutes, and at its end the number of what was skipped. A test whose optional
# part is missing prints `SKIPPED: needs <part>`; with STACK_REQUIRE=all that is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
said=$(mktemp)
trap 'rm -f "$said"' EXIT
if [ -t 1 ]; then export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-always}; fi

# The program itself: `cargo run` would wait for whatever cargo builds at the same time.
stack() { "${CARGO_TARGET_DIR:-target}/debug/stack" "$@"; }
# `set -e` means nothing in here, for the status is asked for. Checking alerts keeps one core busy for minutes, and
# building the tests the other.
run() {
    cargo build --package stack || return
    local checked
    checked=$(mktemp)
    stack check-alerts >"$checked" 2>&1 &
    cargo test --workspace --no-run
    local built=$?
    wait $!
    local outcome=$?
    cat "$checked"
    rm "$checked"
    ((built == 0 && outcome == 0)) && stack with-postgres -- cargo test --workspace &&
        stack with-postgres -- service/schemathesis.sh 10
}
# A command of one's own takes their place: the test of this script gives one.
if [ $# -gt 0 ]; then run() { "$@"; }; fi
failed=0
run "$@" 2>&1 | tee "$said" || failed=1

skipped=$(grep --only-matching 'SKIPPED: needs .*' "$said" || true)
number=$([ -z "$skipped" ] || wc -l <<<"$skipped")
if [ -n "$skipped" ]; then sort <<<"$skipped" | uniq --count; fi
echo "${number:-0} skipped"
if [ "${STACK_REQUIRE:-}" = all ] && [ -n "$skipped" ]; then
    echo 'STACK_REQUIRE is all, so what was skipped is a failure.' >&2
    failed=1
fi
exit $failed
