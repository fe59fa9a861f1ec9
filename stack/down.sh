#!/usr/bin/env bash
# `make down`: stops the stack of either kind; data stays. DOCKER=0 leaves containers alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ ${DOCKER:-} != 0 ]] && [[ -n $(docker compose ps --all --quiet 2>/dev/null) ]]; then
    docker compose down
    [[ -e .lookout ]] || exit 0
fi
exec cargo run --quiet --package stack -- down
