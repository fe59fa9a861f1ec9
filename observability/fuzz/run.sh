#!/usr/bin/env bash
# Fuzzes what headers may bring, guided by coverage, with the stable compiler:
#   observability/fuzz/run.sh [SECONDS]     for each header (60). Needs a C++ compiler, which builds libFuzzer.
# What is found lies in target/fuzz/<header>/, and stays there as a seed of the next run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
seconds=${1:-60}
target=${CARGO_TARGET_DIR:-$PWD/target}
host=$(rustc -vV | sed -n 's/^host: //p')
command -v c++ >/dev/null || { echo 'A C++ compiler is missing: sudo apt-get install --yes build-essential' >&2; exit 1; }

# Counters on every edge, which libFuzzer reads. With a target named they do not reach what runs at build time.
export RUSTFLAGS='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1'
export RUSTFLAGS=${RUSTFLAGS//$'\n'/ }
cargo build --quiet --release --locked --target "$host" --target-dir "$target/fuzz-build"
for header in traceparent tracestate baggage request_id; do
    found=$target/fuzz/$header
    mkdir -p "$found"
    echo "$header:"
    "$target/fuzz-build/$host/release/$header" -max_total_time="$seconds" -max_len=12000 -timeout=5 \
        -artifact_prefix="$found/" -print_final_stats=1 "$found" "seeds/$header" 2>&1 |
        grep -E 'DONE|ERROR|panicked|stat::(number_of_executed_units|average_exec_per_sec|new_units_added)|crash-' ||
        { echo "no result for $header" >&2; exit 1; }
    if compgen -G "$found/crash-*" >/dev/null; then
        echo "$header: something was found, see $found" >&2
        exit 1
    fi
done
