//! Faults that need the database's help. They use the pool of the requests, so they vanish with it.

use std::{future::pending, time::Duration};

use futures_util::future::join;
use observability::db;
use sqlx::{Connection as _, PgConnection, query, raw_sql};
use tokio::time::sleep;

use crate::{database::Database, error::ApiError};

/// Before what did not work, or has ended, is tried again.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn slow_statement(database: &Database, time: Duration) -> Result<(), ApiError> {
    let query = query("select pg_sleep($1)").bind(time.as_secs_f64());
    database.run(async |connection| db::observe("SELECT", "orders", query.execute(connection)).await).await.map(drop)
}

/// Keeps a connection for ever; when the database loses it, another one.
pub(super) async fn keep_connection(database: &Database) {
    loop {
        let _ = database.run(async |_| pending::<sqlx::Result<()>>().await).await;
        sleep(PAUSE).await;
    }
}

/// Keeps a transaction open for ever after its one statement.
pub(super) async fn keep_transaction(database: &Database, statement: &'static str) {
    let work = async |connection: &mut PgConnection| {
        let mut transaction = connection.begin().await?;
        raw_sql(statement).execute(&mut *transaction).await?;
        pending::<sqlx::Result<()>>().await
    };
    loop {
        let _ = database.run(work).await;
        sleep(PAUSE).await;
    }
}

/// Two transactions that want the same two locks, each the other's first one last. Postgres ends one
/// of them after its `deadlock_timeout`.
pub(super) async fn deadlocks(database: &Database) {
    let both = async |connection: &mut PgConnection, first: i32, last: i32| {
        let mut transaction = connection.begin().await?;
        for lock in [first, last] {
            // The first number is any that nobody else uses.
            query("select pg_advisory_xact_lock(770, $1)").bind(lock).execute(&mut *transaction).await?;
            sleep(PAUSE).await;
        }
        transaction.commit().await
    };
    loop {
        let one = database.run(async |connection| both(connection, 1, 2).await);
        let other = database.run(async |connection| both(connection, 2, 1).await);
        let _ = join(one, other).await;
        sleep(PAUSE).await;
    }
}
