#!/bin/bash
# Runs once, when the data is made. One role owns the service's database and migrates it; the service runs as another,
# which migrations grant the rows of tables. The exporter's role reads statistics and nothing else.
set -euo pipefail

psql -v ON_ERROR_STOP=1 --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
\set migrate_password `cat /run/secrets/orders_migrate_password`
\set service_password `cat /run/secrets/orders_password`
\set exporter_password `cat /run/secrets/exporter_password`
create role orders_migrate login password :'migrate_password';
alter database orders owner to orders_migrate;
create role orders login password :'service_password';
create role exporter login password :'exporter_password' in role pg_monitor;
SQL
