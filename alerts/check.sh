#!/usr/bin/env bash
# Checks rules, their tests, the scrape configuration and the routes, without starting anything.
# PROMTOOL and AMTOOL choose the pair of programs, so that another version can be tried:
#   PROMTOOL=/opt/old/promtool AMTOOL=/opt/old/amtool alerts/check.sh
set -euo pipefail
shopt -s inherit_errexit

need() { # variable, program
    if ! command -v "$2"; then
        echo "$2: no such program. Install Prometheus (promtool) and Alertmanager (amtool), or set $1 to its path." >&2
        exit 2
    fi
}

promtool=$(need PROMTOOL "${PROMTOOL:-promtool}")
amtool=$(need AMTOOL "${AMTOOL:-amtool}")
# A path given relative to where we were called must survive the change of folder.
[[ $promtool == /* ]] || promtool=$PWD/$promtool
[[ $amtool == /* ]] || amtool=$PWD/$amtool
cd "$(dirname "${BASH_SOURCE[0]}")"

passed=0
failed=0
output=$(mktemp)
trap 'rm -f "$output" "$output.yml"' EXIT

# One line a check. What the program said is shown only when it failed.
check() { # name, command...
    local name=$1
    shift
    if "$@" >"$output" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name"
        sed 's/^/        /' "$output"
        failed=$((failed + 1))
    fi
}

route() { # alertname, failure_type, severity, tier, receivers
    "$amtool" config routes test --config.file=alertmanager.yml --verify.receivers="$5" \
        alertname="$1" failure_type="$2" severity="$3" tier="$4" service=orders env=local
}

# Every alert and failure type of the rules must be among the routes tried below.
routes_are_complete() {
    diff <(grep -hoP '^ +- alert: \K\S+' rules/*.yml | sort -u) \
        <(grep -v '^#' rules/tests/routes.tsv | cut -f1 | sort -u) &&
        diff <(grep -hoP 'failure_type: \K\w+' rules/*.yml | sort -u) \
        <(grep -v '^#' rules/tests/routes.tsv | cut -f2 | sort -u)
}

# Whatever comes of a failure type in time is told as its cause and severity demand.
routes_of_all_kinds() {
    local failure_type severity tier receivers
    for failure_type in $(grep -hoP 'failure_type: \K\w+' rules/*.yml | sort -u); do
        receivers=relay
        [[ $failure_type =~ ^(memory|alert_pipeline)$ ]] && receivers=email,relay
        for severity in critical warning info; do
            for tier in cause symptom; do
                route Any "$failure_type" "$severity" "$tier" "$receivers" || return
            done
        done
    done
}

# The example in the receiver of e-mail must work for whoever takes its marks away.
email_example_loads() {
    sed -E '/^  - name: email$/,$ s/^    # /    /' alertmanager.yml >"$output.yml"
    grep -q '^    email_configs:' "$output.yml" && "$amtool" check-config "$output.yml"
}

for rules in ../prometheus/recording.yml rules/*.yml; do
    check "rules   ${rules#../}" "$promtool" check rules --lint=all --lint-fatal "$rules"
done
check 'config  prometheus/prometheus.yml' "$promtool" check config ../prometheus/prometheus.yml
for test in rules/tests/*_test.yml; do
    check "test    $test" "$promtool" test rules "$test"
done
check 'config  alertmanager.yml' "$amtool" check-config alertmanager.yml
check 'config  alertmanager.yml, with its e-mail taken into use' email_example_loads
check 'routes  every alert has one' routes_are_complete
check 'routes  every failure type with every severity, as cause and as symptom' routes_of_all_kinds
while IFS=$'\t' read -r alertname failure_type severity tier receivers; do
    [[ $alertname == \#* ]] && continue
    check "route   $alertname ($failure_type) to $receivers" route "$alertname" "$failure_type" "$severity" "$tier" "$receivers"
done <rules/tests/routes.tsv

echo "$passed passed, $failed failed"
((failed == 0))
