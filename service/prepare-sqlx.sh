#!/bin/sh
# Writes service/.sqlx, from which builds without a database check the SQL, anew from the code.
# Needs psql, in PATH or STACK_BIN, and in DATABASE_URL a Postgres that allows create database.
set -eu
: "${DATABASE_URL:?set DATABASE_URL to a Postgres that allows create database, for example postgres://postgres@localhost:5432/postgres}"
cd "$(dirname "$0")"
PATH="$PATH:${STACK_BIN:-/nowhere}/postgres/bin:${STACK_BIN:-/nowhere}"
name="prepare_sqlx_$$"
psql -qX "$DATABASE_URL" -c "create database $name"
trap 'psql -qX "$DATABASE_URL" -c "drop database $name with (force)"' EXIT
own="${DATABASE_URL%/*}/$name"
for migration in migrations/*.sql; do
    psql -qX -v ON_ERROR_STOP=1 "$own" -f "$migration"
done
rm -rf .sqlx.new
mkdir .sqlx.new
# Nothing else makes cargo expand the macros again.
touch src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$PWD/.sqlx.new" DATABASE_URL="$own" cargo check -p service
rm -rf .sqlx
mv .sqlx.new .sqlx
