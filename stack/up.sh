#!/usr/bin/env bash
# `make up`: with Docker when an engine answers and every image but Grafana's is here or can be pulled, else as processes
# of this machine. It says which, and why. DOCKER=1 or DOCKER=0 forces one. Arguments go to the native run.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."
without_grafana=docker-compose.yml:stack/without-grafana.yml

complain() { printf '%s\n' "$*" >&2; }
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
    if ! command -v docker >/dev/null; then
        echo 'docker is not on PATH'
    elif ! timeout 10 docker info >/dev/null 2>&1; then
        echo 'no Docker engine answers (docker info says more)'
    elif ! docker compose version >/dev/null 2>&1; then
        echo 'docker has no compose (2.24 or newer is needed)'
    else
        local images
        images=$(missing)
        if [[ -n ${images//grafana\/grafana:*/} ]]; then
            echo "these images are neither here nor can be pulled: ${images//$'\n'/, }"
        fi
    fi
}

# Every published port that somebody has, unless it is this stack itself.
taken_ports() {
    [[ -z $(docker compose ps --quiet) ]] || return 0
    local variable usual port who
    while IFS=' ' read -r variable usual; do
        port=${!variable:-$usual}
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            who=$(ss -Hltnp "sport = :$port" 2>/dev/null | grep -oE '"[^"]+",pid=[0-9]+' | head -n 1 || true)
            complain "port $port is taken by ${who:-a process of another user}: stop that, or set $variable=<another port>"
            echo taken
        fi
    done < <(sed -nE 's/.*127\.0\.0\.1:\$\{([A-Z_]+):-([0-9]+)\}:[0-9]+".*/\1 \2/p' docker-compose.yml)
}

with_docker() {
    complain "With Docker: $1. (DOCKER=0 takes processes of this machine.)"
    if [[ -z ${COMPOSE_FILE:-} ]] && ! available "$(docker compose config --images | grep '^grafana/grafana:')"; then
        complain "Without Grafana, whose image is neither here nor can be pulled: no dashboards."
        export COMPOSE_FILE=$without_grafana
    fi
    [[ -z $(taken_ports) ]] || exit 1
    exec docker compose up --build
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
