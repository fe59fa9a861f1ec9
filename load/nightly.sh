#!/usr/bin/env bash
# Measures the service with k6 on an empty database, beside bare actix-web and sqlx with the same query; writes
# service/results/load.json. Fails, but writes, when a request fails or memory grows. MINUTES of mixed load (30); all on
# one machine. Needs k6, in PATH or STACK_BIN, and in DATABASE_URL a Postgres that allows create database.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${STACK_BIN:-/nowhere}:${STACK_BIN:-/nowhere}/postgres/bin:$PATH"
: "${DATABASE_URL:?set DATABASE_URL to a Postgres that allows create database}"
target=${CARGO_TARGET_DIR:-target}/release
cargo build --quiet --release --package service --bin service --example bare

name=load_$$ administrator=$DATABASE_URL
psql -qX "$administrator" -c "create database $name"
folder=$(mktemp -d)
finish() {
    # shellcheck disable=SC2046
    kill $(jobs -p) 2>/dev/null || true
    wait
    psql -qX "$administrator" -c "drop database $name with (force)"
    rm -rf "$folder"
}
trap finish EXIT
export DATABASE_URL=${administrator%/*}/$name
"$target/service" migrate >/dev/null
PAYMENTS_LISTEN=127.0.0.1:18085 "$target/service" payments-stub >/dev/null &

# What a probe asks: from the start of the program to the first green. Lines go through a pipe, as to a collector: on the
# disk they would be gigabytes.
began=$(date +%s%N)
LISTEN=127.0.0.1:18080 ADMIN_LISTEN=127.0.0.1:19091 PAYMENTS_URL=http://127.0.0.1:18085 RATE_LIMIT=0 \
    "$target/service" > >(exec cat >/dev/null) &
service=$!
for ((tries = 1; ; tries++)); do
    ADMIN_LISTEN=127.0.0.1:19091 "$target/service" health 2>/dev/null && break
    if ! kill -0 $service || ((tries == 3000)); then
        echo 'The service does not become ready: see what it says on these settings.' >&2
        exit 1
    fi
    sleep 0.01
done
ready_ms=$((($(date +%s%N) - began) / 1000000))
"$target/examples/bare" "$DATABASE_URL" 127.0.0.1:18081 &
sleep 2
idle_kib=$(awk '/^VmRSS/ {print $2}' /proc/$service/status)

# Half an hour of figures is worth keeping, whatever k6 thinks of them.
status=0
BASE_URL=http://127.0.0.1:18080 BARE_URL=http://127.0.0.1:18081 ADMIN_URL=http://127.0.0.1:19091 \
    DATE=$(date -u +%F) COMMIT=$(git rev-parse --short HEAD) FSYNC=$(psql -qXtA "$DATABASE_URL" -c 'show fsync') \
    k6 run --quiet --no-usage-report load/service-bench.js >"$folder/result" || status=$?
mkdir -p service/results
READY=$ready_ms IDLE=$idle_kib python3 - "$folder/result" service/results/load.json <<'PY'
import json, os, sys
result = json.load(open(sys.argv[1]))
result["ready_ms"] = int(os.environ["READY"])
result["idle_mib"] = round(int(os.environ["IDLE"]) / 1024, 1)
json.dump(result, open(sys.argv[2], "w"), indent=2)
open(sys.argv[2], "a").write("\n")
print(json.dumps(result, indent=2))
soak = result["soak"]
if soak["memory_late_mib"] > soak["memory_early_mib"] * 1.1 + 2:
    sys.exit(f"memory grew under load from {soak['memory_early_mib']} to {soak['memory_late_mib']} MiB")
PY
exit $status
