#!/usr/bin/env bash
# A bare machine: HEAD in a clean clone, an ordinary user with an empty home, and on PATH nothing but Rust, cc, make,
# python3 and the system's own tools. No Docker, none of the optional programs.
#   stack/bare.sh [FILE]     writes what came of it to FILE, as JSON. BARE_TEST=0 leaves `make test` out;
#                            BARE_TARGET=<folder> begins with a copy of that target folder, to try this script itself.
# Started by root, the ordinary user is `nobody`.
set -euo pipefail
shopt -s inherit_errexit
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
results=${1:-}

work=$(mktemp -d "${TMPDIR:-/tmp}/lookout-bare.XXXXXX")
runner=
as_user() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; }
fi
ports=()
bare() { as_user env -i HOME="$work/home" PATH="$work/bin" LANG=C.UTF-8 CARGO_TERM_PROGRESS_WHEN=never "${passed[@]}" "${ports[@]}" "$@"; }
finish() {
    if [ -n "$runner" ] && kill -0 "$runner" 2>/dev/null; then
        bare make --directory="$work/clone" --silent down || true
    fi
    rm -rf "$work"
}
trap finish EXIT

# How this machine reaches package registries is no part of what is tried.
passed=()
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy SSL_CERT_FILE CARGO_HTTP_CAINFO PIP_CERT; do
    if [ -n "${!name:-}" ]; then passed+=("$name=${!name}"); fi
done

step() { printf '\n== %s\n' "$1"; }
fail() {
    printf 'FAILED: %s\n' "$1" >&2
    exit 1
}

step 'an empty home, and a PATH with the system and Rust'
mkdir "$work/home" "$work/bin"
# A folder of links: of what else may lie beside cargo, nothing is found.
find /usr/bin /bin /usr/sbin /sbin -maxdepth 1 \( -type f -o -type l \) -executable -exec ln -sf -t "$work/bin" {} +
(cd "$work/bin" && rm -f docker* *prometheus* *alertmanager* loki jaeger otelcol* *postgres_exporter k6 \
    postgres initdb pg_isready node* npm npx cargo* rustc* rustdoc*)
rust=$(cd "$repository" && rustc --print sysroot)
if ! as_user test -x "$rust/bin/rustc"; then
    # In a home that is closed to others.
    mkdir -p "$work/rust/bin"
    cp -rL "$rust/bin/rustc" "$rust/bin/cargo" "$rust/bin/rustdoc" "$work/rust/bin/"
    cp -rL "$rust/lib" "$work/rust/lib"
    rust=$work/rust
fi
ln -s "$rust/bin/rustc" "$rust/bin/cargo" "$rust/bin/rustdoc" "$work/bin/"
git -c advice.detachedHead=false clone --quiet "$repository" "$work/clone"
if [ -n "${BARE_TARGET:-}" ]; then cp -rp "$BARE_TARGET" "$work/clone/target" 2>/dev/null || true; fi
if [ "$(id -u)" = 0 ]; then chown -R 65534:65534 "$work"; fi
chmod 755 "$work"
commit=$(git -C "$repository" rev-parse --short HEAD)
cd "$work/clone"
bare rustc --version
if bare sh -c 'command -v docker' >/dev/null; then fail 'Docker is still on PATH'; fi

begun=$SECONDS
seconds() { echo $((SECONDS - begun)); }

# Links to programs are taken away, `make up` must fail and say these words, and they come back.
without() {
    local words=$1 said
    shift
    mkdir "$work/away"
    mv "$@" "$work/away/"
    step "without ${1##*/}, what is missing is said with the command that gets it"
    if said=$(bare make up 2>&1); then fail "\`make up\` succeeded without ${1##*/}"; fi
    tail -n 4 <<<"$said"
    grep --quiet "$words" <<<"$said" || fail "nobody said how to get ${1##*/}"
    mv "$work"/away/* "$work/bin/"
    rmdir "$work/away"
}
without 'https://rustup.rs' "$work/bin/cargo"
without 'apt-get install --yes build-essential' "$work/bin/cc"
# The first that builds.
without 'apt-get install' "$work"/bin/python3*
built_s=$(seconds)
# Others may use this machine.
for port in $(bare cargo run --quiet --package stack -- up --help | grep -oE '[A-Z_]+_PORT'); do ports+=("$port=0"); done

step 'make up'
begun=$SECONDS
as_user touch "$work/up.log"
bare make up >"$work/up.log" 2>&1 &
runner=$!
until grep --quiet 'Ctrl-C stops it' "$work/up.log"; do
    kill -0 "$runner" 2>/dev/null || { cat "$work/up.log"; fail '`make up` ended'; }
    sleep 1
done
up_s=$(seconds)
cat "$work/up.log"
missed=$(grep --count '^  Without ' "$work/up.log")

step 'an order'
bare curl --silent --fail "$(awk '$1 == "Service" { print $2 }' "$work/up.log")/v1/orders" --header 'content-type: application/json' \
    --data '{"item": "book", "quantity": 1, "amount": 1250, "currency": "EUR"}'
echo

step 'make doctor'
bare make doctor
step 'make drill'
bare make drill NAME=db_down | tee "$work/drill.log"
outcome=$(tail -n 1 "$work/drill.log")
step 'make down'
bare make down
wait "$runner" || fail '`make up` did not end well'
runner=

tested=null
if [ "${BARE_TEST:-1}" = 1 ]; then
    step 'make test'
    begun=$SECONDS
    bare make test >"$work/test.log" 2>&1 || { grep -E -A 5 'FAILED|panicked|^error' "$work/test.log"; tail -n 20 "$work/test.log"; fail '`make test`'; }
    tail -n 20 "$work/test.log"
    skipped=$(grep --count 'SKIPPED: needs' "$work/test.log") || true
    tested=$(printf '{"seconds": %d, "skipped": %d}' "$(seconds)" "$skipped")
fi

if [ -n "$results" ]; then
    printf '{\n  "date": "%s",\n  "commit": "%s",\n  "cold": %s,\n  "built_s": %d,\n  "up_s": %d,\n  "parts_missed": %d,\n  "drill": %s,\n  "test": %s\n}\n' \
        "$(date --utc +%F)" "$commit" "$([ -n "${BARE_TARGET:-}" ] && echo false || echo true)" "$built_s" "$up_s" "$missed" "$outcome" "$tested" >"$repository/$results"
fi
step 'done'
