#!/bin/bash
# Runs in the container `links`, the last to start: says where everything is. An empty address is left out.
set -euo pipefail

collector() { (exec 3<>/dev/tcp/otel-collector/13133) 2>/dev/null; }
for _ in {1..30}; do
    collector && break
    sleep 1
done

say() { if [ -n "$2" ]; then printf '  %-13s %s\n' "$1" "$2"; fi; }
echo
echo 'Everything is up.'
say orders "$SERVICE/v1/orders"
say inbox "$INBOX"
say dashboards "$GRAFANA"
say traces "$JAEGER"
say metrics "$PROMETHEUS"
say alerts "$ALERTMANAGER"
echo
if ! collector; then
    echo 'But the collector is not: lines and spans wait where they are. docker compose logs otel-collector'
fi
if [ -z "$BYPASS" ]; then
    echo 'ESCALATION_URL is not set: when the relay itself fails, nobody is told. See .env.example.'
fi
echo 'Lines of a part: docker compose logs -f service    Stop everything: docker compose down'
