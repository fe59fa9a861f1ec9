#!/bin/sh
# Runs in the container `init`, before all others and at every start. Makes the secrets, each on a volume that only its
# readers mount, and gives the folders of data to who writes them. What is there stays, so a start changes no password.
# Root here has no right but to give files away: a file stays readable to it through its group, 0.
set -eu
umask 077
cd /secrets

SERVICE=65534 RELAY=65534 ALERTMANAGER=65534 EXPORTER=65534 POSTGRES=999 GRAFANA=472 JAEGER=10001 COLLECTOR=10001

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# put OWNER FILE TEXT: whole or not at all, also when this ends half-way.
put() {
    printf '%s' "$3" >"$2.new"
    chmod 0440 "$2.new"
    chown "$1:0" "$2.new"
    mv "$2.new" "$2"
}
# keep OWNER FILE TEXT: unless it is there.
keep() { [ -s "$2" ] || put "$1" "$2" "$3"; }

chmod 0755 ./*/
keep $POSTGRES postgres/postgres_password "$(random)"
keep $POSTGRES postgres/orders_password "$(random)"
keep $POSTGRES postgres/orders_migrate_password "$(random)"
keep $POSTGRES postgres/exporter_password "$(random)"
keep $RELAY relay/relay_token "$(random)"
keep $RELAY relay/relay_sign_in_token "$(random)"
keep $GRAFANA grafana/grafana_secret_key "$(random)"

put $SERVICE service/database_url "postgres://orders:$(cat postgres/orders_password)@postgres:5432/orders"
put $SERVICE service/database_migrate_url \
    "postgres://orders_migrate:$(cat postgres/orders_migrate_password)@postgres:5432/orders"
put $EXPORTER exporter/exporter_password "$(cat postgres/exporter_password)"
put $ALERTMANAGER alertmanager/relay_token "$(cat relay/relay_token)"
put $ALERTMANAGER alertmanager/escalation_url "$ESCALATION_URL"
put $RELAY relay/escalation_url "$ESCALATION_URL"
put $RELAY relay/slack_webhook_url "$SLACK_WEBHOOK_URL"
put $RELAY relay/mattermost_webhook_url "$MATTERMOST_WEBHOOK_URL"
put $RELAY relay/rocketchat_webhook_url "$ROCKETCHAT_WEBHOOK_URL"
put $RELAY relay/discord_webhook_url "$DISCORD_WEBHOOK_URL"
put $RELAY relay/webhook_url "$WEBHOOK_URL"
put $RELAY relay/heartbeat_url "$HEARTBEAT_URL"

chown $RELAY:0 /data/relay
chown $JAEGER:0 /data/jaeger
chown $COLLECTOR:0 /data/collector
chown $SERVICE:0 /data/logs
chown $POSTGRES:0 /data/postgres-logs
