#!/bin/bash
# Sends what openapi.json allows, and what it does not, to a real service, and compares the answers with it. All checks are on.
#   service/schemathesis.sh [examples for each operation, 30 unless given]
# Needs Postgres in DATABASE_URL (make gives one) and Python 3 with pip; schemathesis goes to a cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."
examples=${1:-30}
version=4.32.5
: "${DATABASE_URL:?set DATABASE_URL to a Postgres that allows create database}"

venv=${XDG_CACHE_HOME:-$HOME/.cache}/lookout/schemathesis-$version
if ! [ -x "$venv/bin/schemathesis" ]; then
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "schemathesis==$version"; }; then
        rm -rf "$venv"
        echo "SKIPPED: needs schemathesis (Python 3 with venv and pip, and a package index)"
        [ "${STACK_REQUIRE:-}" != all ]
        exit
    fi
fi

cargo build --quiet --package service
program=${CARGO_TARGET_DIR:-target}/debug/service
PATH="$PATH:${STACK_BIN:-/nowhere}/postgres/bin:${STACK_BIN:-/nowhere}"
folder=$(mktemp -d)
name="schemathesis_$$"
psql -qX "$DATABASE_URL" -c "create database $name"
pids=()
finish() {
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    psql -qX "$DATABASE_URL" -c "drop database if exists $name with (force)"
    rm -rf "$folder"
}
trap finish EXIT

# A token of one day, so that it can also be left out or spoilt.
token=$(python3 - "$folder/secret" <<'py'
import base64, hashlib, hmac, json, secrets, sys, time
secret = secrets.token_hex(32)
open(sys.argv[1], "w").write(secret)
part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
claims = {"sub": "schemathesis", "exp": int(time.time()) + 86400}
text = ".".join(part(json.dumps(one).encode()) for one in ({"alg": "HS256", "typ": "JWT"}, claims))
print(text + "." + part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()))
py
)

# Free ports are chosen by the programs and read from their lines.
address() {
    for _ in {1..100}; do
        found=$(sed -nE 's/.*"message":"listening".*"listen":"([^"]+)".*/\1/p' "$1")
        [ -n "$found" ] && echo "$found" && return
        sleep 0.1
    done
    cat "$1" >&2
    return 1
}
PAYMENTS_LISTEN=127.0.0.1:0 "$program" payments-stub >"$folder/stub" & pids+=($!)
stub=$(address "$folder/stub")
env DATABASE_URL="${DATABASE_URL%/*}/$name" MIGRATE=true LISTEN=127.0.0.1:0 ADMIN_LISTEN=127.0.0.1:0 \
    PAYMENTS_URL="http://$stub" AUTH=hs256 AUTH_SECRET_FILE="$folder/secret" RATE_LIMIT=0 \
    "$program" >"$folder/service" & pids+=($!)
service=$(address "$folder/service")
for _ in {1..100}; do grep -q '"message":"started"' "$folder/service" && break; sleep 0.1; done

cd "$folder"
# What a schema cannot say: HTTP lets headers be that nobody knows; too long is a refusal too; and a key used a second time
# is valid by itself, but 422.
cat >schemathesis.toml <<'toml'
[generation]
allow-extra-parameters = false
[checks]
negative_data_rejection.expected-statuses = [400, 401, 404, 405, 413, 414, 415, 422, 431]
[[operations]]
include-operation-id = "placeOrder"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 422]
toml
"$venv/bin/schemathesis" --config-file schemathesis.toml run "http://$service/openapi.json" --checks all --max-examples "$examples" \
    --header "Authorization: Bearer $token" --generation-database none --no-color
