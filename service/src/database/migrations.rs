//! The schema: brought up to date by `service migrate`, or at start with `MIGRATE=true`.

use std::time::Duration;

use observability::db;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};
use tokio::time::{Instant, sleep};

use super::{Database, is_lost};
use crate::{
    config::{Config, Invalid},
    failure::FailureType,
    health::Health,
    metrics::MIGRATIONS_FAILED,
};

/// How often a schema that others have to bring up to date is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who changes the schema, and who uses it.
#[derive(Clone, Debug)]
pub struct Roles {
    /// The way in for migrations: `DATABASE_MIGRATE_URL`, else `DATABASE_URL`.
    pub owner: PgConnectOptions,
    /// The role in `DATABASE_URL`; when it is another one, each migration grants it what it needs.
    pub user: String,
}

impl Roles {
    /// What the configuration says.
    pub fn new(config: &Config) -> Result<Self, Invalid> {
        let user = config.connect_options()?;
        let owner = config.migrate_options()?.unwrap_or_else(|| user.clone());
        Ok(Self { owner: owner.application_name(crate::SERVICE.name), user: user.get_username().to_owned() })
    }
}

pub(super) fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    // After a rollback the database is ahead of the program: migrations must allow for that.
    migrator.set_ignore_missing(true);
    migrator
}

/// Applies what is missing. Only one process does so at a time: sqlx holds an advisory lock meanwhile.
async fn apply(roles: &Roles) -> Result<(), MigrateError> {
    let mut connection = PgConnection::connect_with(&roles.owner).await?;
    // Else Postgres notes each time that sqlx's own table is there already. A migration may take its
    // time; but while it waits for a lock, everybody behind it waits too.
    let session = "set client_min_messages = warning; set statement_timeout = 0; set lock_timeout = '3s'";
    sqlx::raw_sql(session).execute(&mut connection).await?;
    migrator().run(&mut connection).await?;
    if roles.owner.get_username() != roles.user {
        sqlx::raw_sql(AssertSqlSafe(grants(&roles.user))).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

/// What the service may do while it runs: read and write rows, and nothing to the schema.
fn grants(user: &str) -> String {
    let user = user.replace('"', "\"\"");
    // The lock is for those that migrate at the same time: Postgres refuses two grants at once.
    format!(
        r#"begin; select pg_advisory_xact_lock(770, 0);
           grant usage on schema public to "{user}";
           grant select, insert, update, delete on all tables in schema public to "{user}";
           grant usage on all sequences in schema public to "{user}";
           revoke insert, update, delete on _sqlx_migrations from "{user}";
           commit"#
    )
}

/// How many migrations of this program the database lacks.
async fn pending(connection: &mut PgConnection) -> sqlx::Result<usize> {
    let applied: Vec<i64> = match db::observe(
        "SELECT",
        "_sqlx_migrations",
        sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(connection),
    )
    .await
    {
        // 42P01: there is no such table yet.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => vec![],
        outcome => outcome?,
    };
    Ok(migrator().iter().filter(|migration| !applied.contains(&migration.version)).count())
}

/// Applies what is missing and waits up to `patience` for a database that is not there yet.
pub async fn migrate(roles: &Roles, patience: Duration) -> Result<(), MigrateError> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(250);
    loop {
        match apply(roles).await {
            Err(error) if may_pass(&error) && Instant::now() + pause < deadline => {
                tracing::info!(cause = error.to_string(), "waiting for the database");
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            Err(error) => {
                report(&error);
                return Err(error);
            }
            Ok(()) => {
                tracing::info!("the schema is current");
                return Ok(());
            }
        }
    }
}

fn report(error: &MigrateError) {
    let failure_type = FailureType::Migration.as_str();
    let cause = error.to_string();
    tracing::error!(failure_type, cause, "migration failed: correct it and run `service migrate`");
}

/// Whether it was the database that was missing, rather than the migration that was wrong.
fn may_pass(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => is_lost(error),
        _ => false,
    }
}

/// The part of the start that needs the database: returns once the schema is current. A failed
/// migration leaves the process alive and not ready, for people to look at, until someone mends it.
pub async fn prepare(database: Database, roles: Roles, migrate: bool, health: Health) {
    database.until_up().await;
    if migrate {
        while let Err(error) = apply(&roles).await {
            if may_pass(&error) {
                sleep(LOOK_AGAIN).await;
                database.until_up().await;
                continue;
            }
            MIGRATIONS_FAILED.set([], 1.0);
            report(&error);
            break;
        }
    }
    let mut told = 0;
    loop {
        match database.run(pending).await {
            Ok(0) => break,
            Ok(missing) if missing != told => {
                told = missing;
                tracing::info!(missing, "waiting for migrations: run `service migrate`");
            }
            _ => {}
        }
        sleep(LOOK_AGAIN).await;
    }
    MIGRATIONS_FAILED.set([], 0.0);
    health.start();
    tracing::info!("started");
}
