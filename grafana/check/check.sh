#!/usr/bin/env bash
# Checks dashboards and data sources without a Grafana: against its published types, by rules of our own, and with the
# parsers of Prometheus and Loki. What it needs comes into a cache folder, and once.
#   PROMTOOL   path of promtool, if it is not on PATH
#   LOKI_URL   a running Loki, which then parses the LogQL
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lookout/grafana-check

# A folder of its own for each state of these files, complete or not there at all.
prepared() { # name, function that fills it, files
    local folder
    folder=$cache/$1-$(cat "${@:3}" | sha256sum | cut -c1-16)
    if [[ ! -e $folder/done ]]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        "$2" "$folder" >&2
        touch "$folder/done"
    fi
    echo "$folder"
}

install_python() {
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement requirements.txt
}

make_schema() {
    cp package.json package-lock.json tsconfig.json dashboard.ts "$1"
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && npm run --silent schema)
}

python=$(prepared python install_python requirements.txt)/bin/python
arguments=()
if command -v npm >/dev/null; then
    schema=$(prepared schema make_schema package.json package-lock.json tsconfig.json dashboard.ts)
    arguments=(--schema "$schema/dashboard.schema.json")
fi
PYTHONDONTWRITEBYTECODE=1 exec "$python" check.py "${arguments[@]}"
