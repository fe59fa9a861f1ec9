//! The schema: brought up to date by `service migrate`, or at start with `MIGRATE=true`.

use std::time::Duration;

use observability::db;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection,
    error::DatabaseError,
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

/// How often a schema that others have to bring up to date, or are bringing, is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a migration waits for a lock before it gives way: everybody behind it waits too ...
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
/// ... and the pause that they get before a start tries again ...
const GIVE_WAY: Duration = Duration::from_secs(5);
/// ... which, this often in vain, is a failure to tell people of.
const IN_VAIN: u32 = 6;

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

/// Applies those of `migrator` that are missing, one process at a time. Each waits up to `patience` for a lock.
pub async fn apply(mut migrator: Migrator, roles: &Roles, patience: Duration) -> Result<(), MigrateError> {
    let mut connection = PgConnection::connect_with(&roles.owner).await?;
    // Else Postgres notes each time that sqlx's own table is there already. A migration may take its time.
    let session = "set client_min_messages = warning; set statement_timeout = 0";
    sqlx::raw_sql(session).execute(&mut connection).await?;
    take_turn(&mut connection).await?;
    migrator.set_locking(false);
    for version in missing(&migrator, &mut connection).await? {
        // One without a transaction holds up nobody, and broken off it would leave half an index behind.
        let no_tx = migrator.iter().any(|migration| migration.version == version && migration.no_tx);
        let patience = if no_tx { 0 } else { patience.as_millis() };
        let statement = format!("set lock_timeout = {patience}");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        migrator.run_to(version, &mut connection).await?;
    }
    // Looks at those that were applied before, too.
    migrator.run(&mut connection).await?;
    if roles.owner.get_username() != roles.user {
        sqlx::raw_sql(AssertSqlSafe(grants(&roles.user))).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

/// Waits while another process migrates; the turn ends with the connection. It asks again and again: one that waits
/// inside Postgres, as sqlx would, is in the way of `create index concurrently`, which waits for everybody.
async fn take_turn(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut told = false;
    // The first number is any that nobody else uses.
    while !sqlx::query_scalar::<_, bool>("select pg_try_advisory_lock(770, 0)").fetch_one(&mut *connection).await? {
        if !told {
            tracing::info!("waiting for another process that migrates");
            told = true;
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// All that the service may do while it runs: read rows, write them, delete those that come and go; and nothing to
/// the schema.
fn grants(user: &str) -> String {
    let user = user.replace('"', "\"\"");
    format!(
        r#"begin;
           revoke all on all tables in schema public from "{user}";
           grant usage on schema public to "{user}";
           grant select, insert, update on all tables in schema public to "{user}";
           grant delete on idempotency_keys, pending_payments to "{user}";
           grant usage on all sequences in schema public to "{user}";
           revoke insert, update on _sqlx_migrations from "{user}";
           commit"#
    )
}

/// The migrations that the database lacks.
async fn missing(migrator: &Migrator, connection: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    let look = async {
        // A first start is no failing query.
        let there = "select to_regclass('_sqlx_migrations') is not null";
        if !sqlx::query_scalar::<_, bool>(there).fetch_one(&mut *connection).await? {
            return Ok(vec![]);
        }
        sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(connection).await
    };
    let applied: Vec<i64> = db::observe("SELECT", "_sqlx_migrations", look).await?;
    Ok(migrator.iter().map(|migration| migration.version).filter(|version| !applied.contains(version)).collect())
}

/// Applies what is missing and waits up to `patience` for a database that is not there yet.
pub async fn migrate(roles: &Roles, patience: Duration) -> Result<(), MigrateError> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(250);
    loop {
        match apply(migrator(), roles, LOCK_PATIENCE).await {
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

/// Whether it waited too long for a lock.
fn gave_way(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("55P03")
        }
        _ => false,
    }
}

/// The part of the start that needs the database: returns once the schema is current. A failed
/// migration leaves the process alive and not ready, for people to look at, until someone mends it.
pub async fn prepare(database: Database, roles: Roles, migrate: bool, health: Health) {
    database.until_up().await;
    if migrate {
        bring_up_to_date(&database, &roles).await;
    }
    until_current(&database).await;
    MIGRATIONS_FAILED.set([], 0.0);
    health.start();
    tracing::info!("started");
}

/// Applies what is missing, until that succeeds, or fails for a reason that does not pass by itself.
async fn bring_up_to_date(database: &Database, roles: &Roles) {
    let mut in_vain = 0;
    while let Err(error) = apply(migrator(), roles, LOCK_PATIENCE).await {
        if gave_way(&error) {
            tracing::warn!(
                cause = error.to_string(),
                "a migration gave way to the holder of a lock, and is tried again"
            );
            in_vain += 1;
            if in_vain == IN_VAIN {
                fail(&error);
            }
            sleep(GIVE_WAY).await;
        } else if may_pass(&error) {
            sleep(LOOK_AGAIN).await;
        } else {
            return fail(&error);
        }
        database.until_up().await;
    }
}

fn fail(error: &MigrateError) {
    MIGRATIONS_FAILED.set([], 1.0);
    report(error);
}

/// Waits until nothing is missing, and says for what, each time that changes.
async fn until_current(database: &Database) {
    let mut told = String::new();
    loop {
        database.until_up().await;
        let outcome =
            database.run(async |connection| missing(&migrator(), connection).await.map(|all| all.len())).await;
        if matches!(outcome, Ok(0)) {
            return;
        }
        let state = format!("{outcome:?}");
        if state != told {
            told = state;
            match outcome {
                Ok(missing) => tracing::info!(missing, "waiting for migrations: run `service migrate`"),
                Err(error) => error.log("the start waits, as the schema cannot be looked at: run `service migrate`"),
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}
