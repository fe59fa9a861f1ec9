#!/usr/bin/env bash
# `make up`: with Docker when an engine answers and every image but Grafana's is here or can be pulled, else as processes
# of this machine. It says which, and why. DOCKER=1 or DOCKER=0 forces one. Arguments go to the native run.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

complain() { printf '%s\n' "$*" >&2; }
# A variable of this shell, or of .env.
setting() { echo "${!1:-$(sed -n "s/^$1=//p" .env 2>/dev/null || true)}"; }
older() { ! printf '%s\n%s\n' "$2" "$1" | sort --version-sort --check=quiet; }
present() { docker image inspect "$1" >/dev/null 2>&1; }
available() { present "$1" || timeout 20 docker manifest inspect "$1" >/dev/null 2>&1; }

# Images that are neither here nor to be had, one a line. Ours are built, from the image that the Dockerfile names.
missing() {
    local image
    for image in $(docker compose config --images | sort -u) $(sed -n 's/^FROM \([^ ]*:[^ ]*\).*/\1/p' Dockerfile); do
        [[ $image == lookout/* ]] || available "$image" || echo "$image"
    done
}

# Why Docker cannot be taken; nothing when it can. Leaves Grafana out when only that is missing.
obstacle() {
    local engine version images
    if ! command -v docker >/dev/null; then
        echo 'docker is not on PATH'
    elif ! timeout 10 docker info >/dev/null 2>&1; then
        echo 'no Docker engine answers (docker info says more)'
    elif engine=$(timeout 10 docker version --format '{{.Server.Version}}') && older "$engine" 25; then
        echo "the Docker engine is $engine, and 25 or newer is needed"
    elif ! version=$(docker compose version --short 2>/dev/null); then
        echo 'docker has no compose (2.24 or newer is needed)'
    elif older "${version#v}" 2.24; then
        echo "compose is $version, and 2.24 or newer is needed"
    else
        images=$(missing)
        if grep --quiet --invert-match --extended-regexp '^(grafana/grafana:.*)?$' <<<"$images"; then
            echo "these images are neither here nor can be pulled: ${images//$'\n'/, }"
        fi
    fi
}

# Every published port that somebody has, unless it is this stack itself. Compose knows where each part is published, by
# this shell or by .env; the file knows which variable moves it.
taken_ports() {
    [[ -z $(docker compose ps --quiet) ]] || return 0
    local variable target port who published
    published=$(docker compose config | sed -nE '/^ +target: [0-9]+$/ { N; s/.*target: ([0-9]+)\n +published: "([0-9]+)"/\1 \2/p }')
    while IFS=' ' read -r target port; do
        variable=$(sed -nE "s/.*127\.0\.0\.1:\\$\{([A-Z_]+):-[0-9]+\}:$target\".*/\1/p" docker-compose.yml)
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            who=$(ss -Hltnp "sport = :$port" 2>/dev/null | grep -oE '"[^"]+",pid=[0-9]+' | head -n 1 || true)
            complain "port $port is taken by ${who:-a process of another user}: stop that, or set $variable=<another port>"
            echo taken
        fi
    done <<<"$published"
}

with_docker() {
    complain "With Docker: $1. (DOCKER=0 takes processes of this machine.)"
    local grafana files closed
    closed=$(find alerts/alertmanager.yml alerts/rules grafana jaeger load loki otel-collector postgres prometheus stack/*.sh \
        \( -type f ! -perm -o=r -o -type d ! -perm -o=rx \) -print -quit)
    if [[ -n $closed ]]; then
        complain "Containers run as other users and cannot read $closed: chmod -R go+rX .    (umask 022 before the next git clone)"
        exit 1
    fi
    grafana=$(docker compose config --images | grep '^grafana/grafana:' || true)
    if [[ -n $grafana ]] && ! available "$grafana"; then
        complain "Without Grafana, whose image is neither here nor can be pulled: no dashboards."
        files=$(setting COMPOSE_FILE)
        export COMPOSE_FILE=${files:-docker-compose.yml}:stack/without-grafana.yml
    fi
    [[ -z $(taken_ports) ]] || exit 1
    # What is deployed, for build_info and the labels of the images.
    REVISION=$(setting REVISION)
    export REVISION=${REVISION:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}
    exec docker compose up
}

natively() { # why, arguments
    complain "As processes of this machine: $1. (DOCKER=1 takes Docker.)"
    command -v cargo >/dev/null || { complain 'cargo is missing: install it with rustup, https://rustup.rs'; exit 1; }
    command -v cc >/dev/null || { complain 'A C compiler is missing: sudo apt-get install --yes build-essential'; exit 1; }
    exec cargo run --quiet --package stack -- up "${@:2}"
}

case ${DOCKER:-} in
    0) natively 'DOCKER is 0' "$@" ;;
    1)
        why=$(obstacle)
        [[ -z $why ]] || { complain "DOCKER is 1, but $why"; exit 1; }
        with_docker 'DOCKER is 1'
        ;;
    *)
        why=$(obstacle)
        if [[ -n $why ]]; then natively "$why" "$@"; fi
        with_docker 'an engine answers, and the images are here or can be pulled'
        ;;
esac
