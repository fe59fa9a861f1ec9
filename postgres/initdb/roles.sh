#!/bin/bash
# Runs once, when the data is made. The service's role owns its database and is no administrator; the exporter's role
# reads statistics and nothing else.
set -euo pipefail

psql -v ON_ERROR_STOP=1 --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
\set service_password `cat /run/secrets/orders_password`
\set exporter_password `cat /run/secrets/exporter_password`
create role orders login password :'service_password';
alter database orders owner to orders;
create role exporter login password :'exporter_password' in role pg_monitor;
SQL
