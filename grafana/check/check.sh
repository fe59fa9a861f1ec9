#!/usr/bin/env bash
# Checks dashboards and data sources without a Grafana: against its published types, by rules of our own, and with the
# parsers of Prometheus and Loki. What it needs comes into a cache folder, and once.
#   grafana/check/check.sh                   PROMTOOL: path of promtool if not on PATH; LOKI_URL: a Loki to parse LogQL
#   grafana/check/check.sh live [--help]     runs the queries of all panels: PROMETHEUS_URL, LOKI_URL, JAEGER_URL
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lookout/grafana-check

# A folder of its own for each state of these files, complete or not there at all: others may be preparing it, too.
prepared() { # name, function that fills it, files
    local folder new
    folder=$cache/$1-$(cat "${@:3}" | sha256sum | cut -c1-16)
    if [[ ! -e $folder ]]; then
        mkdir -p "$cache"
        new=$(mktemp -d "$cache/new.XXXXXX")
        "$2" "$new" >&2
        mv -T "$new" "$folder" 2>/dev/null || rm -r "$new"
    fi
    echo "$folder"
}

install_python() {
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$1" \
        --requirement requirements.txt
}

make_schema() {
    cp package.json package-lock.json tsconfig.json dashboard.ts "$1"
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && npm run --silent schema)
}

version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
PYTHONPATH=$(prepared "python$version" install_python requirements.txt)
export PYTHONPATH PYTHONDONTWRITEBYTECODE=1
if [[ ${1:-} == live ]]; then
    exec python3 live.py "${@:2}"
fi
arguments=()
if command -v npm >/dev/null; then
    schema=$(prepared schema make_schema package.json package-lock.json tsconfig.json dashboard.ts)
    arguments=(--schema "$schema/dashboard.schema.json")
fi
exec python3 check.py "${arguments[@]}"
