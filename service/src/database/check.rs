//! What `service check` finds out about the database: whether it is reached, new enough, and of this program's
//! schema.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, ensure};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::timeout;

use super::migrations::migrator;

/// The oldest Postgres this service is tested with.
const OLDEST: i32 = 15;
const PATIENCE: Duration = Duration::from_secs(5);

/// One line about the database; an error says what to do. `owner`: what is missing is applied at start, as this role.
pub async fn check(options: &PgConnectOptions, owner: Option<&PgConnectOptions>) -> anyhow::Result<String> {
    let silent = "the database does not answer within 5 s: is it running, and does the network let this through?";
    let (version, applied) = timeout(PATIENCE, look(options))
        .await
        .context(silent)?
        .context("the database cannot be used: correct DATABASE_URL, or the database")?;
    if let Some(owner) = owner {
        let used = timeout(PATIENCE, PgConnection::connect_with(owner)).await.context(silent)?;
        used.context("the role for migrations cannot sign in: correct DATABASE_MIGRATE_URL, or the database")?;
    }
    ensure!(version / 10_000 >= OLDEST, "the database is Postgres {}: use {OLDEST} or later", version / 10_000);
    let mut missing = 0;
    for migration in migrator().iter() {
        match applied.get(&migration.version) {
            Some(checksum) => ensure!(
                checksum == migration.checksum.as_ref(),
                "migration {} has changed since it was applied: bring its file back, and put the change in a new one",
                migration.version
            ),
            None => missing += 1,
        }
    }
    let unknown = applied.len() + missing - migrator().iter().count();
    ensure!(
        missing == 0 || owner.is_some(),
        "the database lacks {missing} migrations: run `service migrate`, or set MIGRATE"
    );
    let more = match (missing, unknown) {
        (0, 0) => "its schema is current".to_owned(),
        (0, _) => format!("its schema is ahead by {unknown} migrations, as after a rollback"),
        _ => format!("{missing} migrations are applied at start"),
    };
    Ok(format!("the database answers: Postgres {}, {more}", version / 10_000))
}

/// Its version, and the checksums of the migrations that were applied.
async fn look(options: &PgConnectOptions) -> sqlx::Result<(i32, HashMap<i64, Vec<u8>>)> {
    let mut connection = PgConnection::connect_with(options).await?;
    let version = sqlx::query_scalar("select current_setting('server_version_num')::int").fetch_one(&mut connection);
    let version = version.await?;
    let applied = sqlx::query_as("select version, checksum from _sqlx_migrations where success");
    let applied: Vec<(i64, Vec<u8>)> = match applied.fetch_all(&mut connection).await {
        // 42P01: there is no such table yet.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => vec![],
        outcome => outcome?,
    };
    Ok((version, applied.into_iter().collect()))
}
