//! Queries and the pool, whatever the schema: a span, an observation, and what a write was refused for.

use std::borrow::Cow;
use std::future::Future;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};

use crate::http::SECONDS;
use crate::metrics::{Counter, Gauge, Histogram, intern};
use crate::outcome::Outcome;

/// 1 when the database answers, 0 when not, absent until somebody knows.
pub static UP: Gauge<0> = Gauge::new("db_up", "1 when the database answers, 0 when it does not.", []).fast();
/// Durations of queries.
pub static OPERATION_DURATION: Histogram<3> = Histogram::new(
    "db_client_operation_duration_seconds",
    "How long queries took.",
    ["db_operation_name", "db_collection_name", "error_type"],
    SECONDS,
);
/// Connections of the pool, `used` and `idle`.
pub static CONNECTION_COUNT: Gauge<1> =
    Gauge::new("db_client_connection_count", "Connections of the pool.", ["db_client_connection_state"]);
/// The most connections the pool may have.
pub static CONNECTION_MAX: Gauge<0> =
    Gauge::new("db_client_connection_max", "The most connections the pool may have.", []);
/// How long callers waited for a connection.
pub static CONNECTION_WAIT_TIME: Histogram<0> = Histogram::new(
    "db_client_connection_wait_time_seconds",
    "How long callers waited for a connection of the pool.",
    [],
    SECONDS,
);
/// Callers that got no connection in time.
pub static CONNECTION_TIMEOUTS: Counter<0> =
    Counter::new("db_client_connection_timeouts_total", "Callers that got no connection of the pool in time.", []);
/// Writes refused by a database that answers: it is read-only, or its disk is full.
pub static WRITE_REFUSED: Counter<0> =
    Counter::new("db_write_refused_total", "Writes refused because the database is read-only or its disk is full.", []);

/// Runs a query as a client span, and records its duration.
///
/// `operation` is its verb, `collection` its table: `observe("INSERT", "orders", query.execute(&mut connection))`.
///
/// # Errors
/// Those of the query.
pub async fn observe<T>(
    operation: &'static str,
    collection: &'static str,
    query: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let span = info_span!(
        "query",
        otel.name = format_args!("{operation} {collection}"),
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "postgresql",
        db.operation.name = operation,
        db.collection.name = collection,
        db.response.status_code = Empty,
        error.type = Empty,
    );
    let mut outcome = Outcome::new(span, move |error_type, took| {
        OPERATION_DURATION.record([operation, collection, error_type], took.as_secs_f64());
    });
    let result = query.instrument(outcome.span().clone()).await;
    if let Some(code) = result.as_ref().err().and_then(sqlstate) {
        outcome.span().record("db.response.status_code", &*code);
    }
    if result.as_ref().is_err_and(is_write_refused) {
        WRITE_REFUSED.increment([]);
    }
    outcome.end(result.as_ref().err().map_or("", error_type));
    result
}

/// Takes a connection of the pool, and records how long that took.
///
/// # Errors
/// Those of the pool; running into its timeout is counted.
pub async fn acquire<DB: Database>(pool: &Pool<DB>) -> sqlx::Result<PoolConnection<DB>> {
    let mut outcome = Outcome::new(Span::none(), |_, waited| CONNECTION_WAIT_TIME.record([], waited.as_secs_f64()));
    let result = pool.acquire().await;
    outcome.end("");
    if matches!(result, Err(sqlx::Error::PoolTimedOut)) {
        CONNECTION_TIMEOUTS.increment([]);
    }
    result
}

/// Reads the pool's state into its gauges. Call it before rendering the report.
pub fn record_pool<DB: Database>(pool: &Pool<DB>) {
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    CONNECTION_COUNT.set(["idle"], f64::from(idle));
    CONNECTION_COUNT.set(["used"], f64::from(pool.size().saturating_sub(idle)));
    CONNECTION_MAX.set([], f64::from(pool.options().get_max_connections()));
}

/// Whether the database answers but takes no writes: SQLSTATE 25006 (read-only), 53100 (disk full).
#[must_use]
pub fn is_write_refused(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some("25006" | "53100"))
}

fn sqlstate(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}

/// A row that is not there is an answer, not an error.
fn error_type(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::RowNotFound => "",
        sqlx::Error::PoolTimedOut => "pool_timeout",
        sqlx::Error::PoolClosed => "pool_closed",
        sqlx::Error::Io(_) => "io",
        sqlx::Error::Database(error) => error.code().map_or("database", |code| intern("error_type", &code)),
        _ => "other",
    }
}
