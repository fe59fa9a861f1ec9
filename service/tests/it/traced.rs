//! From the database to the request: what Postgres shows of a statement names its trace.

use std::time::Duration;

use actix_web::{http::StatusCode, test::TestRequest};
use observability::testing::Capture;
use service::database::Database;
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::support::{
    api::{LIMITS, an_order, start},
    cluster::Cluster,
    eventually,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn an_order_of_this_trace() -> TestRequest {
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    TestRequest::post().uri("/v1/orders").insert_header(("traceparent", traceparent)).set_json(an_order())
}

/// Statements that wait for a lock under the name of the trace.
async fn waiting(pool: &PgPool) -> Vec<String> {
    let statements = "select query from pg_stat_activity
                      where application_name = $1 and wait_event_type = 'Lock' and datname = current_database()";
    sqlx::query_scalar(statements).bind(format!("orders {TRACE}")).fetch_all(pool).await.unwrap()
}

/// Sends a request into a locked table, and returns the statement that the trace is found at.
async fn found(pool: &PgPool, database: &Database, request: TestRequest) -> String {
    let api = start(database.clone(), LIMITS).await;
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("lock table orders").execute(&mut *lock).await.unwrap();
    let statement = async {
        let mut statements = Vec::new();
        eventually("a statement waits", Duration::from_secs(5), async || {
            statements = waiting(pool).await;
            !statements.is_empty()
        })
        .await;
        lock.rollback().await.unwrap();
        statements.remove(0)
    };
    let (answer, statement) = futures_util::future::join(api.send(request), statement).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    statement
}

#[sqlx::test]
async fn a_transaction_always_names_its_trace(pool: PgPool) {
    let _capture = Capture::start();
    let request = an_order_of_this_trace().insert_header(("idempotency-key", "1"));
    let statement = found(&pool, &Database::fixed(pool.clone()), request).await;
    assert!(statement.starts_with("insert into orders"), "{statement}");
}

#[sqlx::test]
async fn once_the_database_is_slow_every_statement_names_its_trace_and_stays_prepared(pool: PgPool) {
    let _capture = Capture::start();
    let one = PgPoolOptions::new().max_connections(1).connect_with((*pool.connect_options()).clone()).await.unwrap();
    let database = Database::fixed(one.clone());
    let slow = async |connection: &mut sqlx::PgConnection| {
        sqlx::query("select pg_sleep(0.4)").execute(connection).await.map(drop)
    };
    database.run(slow).await.unwrap();
    let statement = found(&pool, &database, an_order_of_this_trace()).await;
    assert!(statement.starts_with("insert into orders"), "{statement}");

    let api = start(database, LIMITS).await;
    for _ in 0..5 {
        api.an_order().await;
    }
    let prepared = "select count(*), max(generic_plans + custom_plans) from pg_prepared_statements
                    where statement like 'insert into orders%'";
    assert_eq!(sqlx::query_as::<_, (i64, i64)>(prepared).fetch_one(&one).await.unwrap(), (1, 6));
    let name: String = sqlx::query_scalar("show application_name").fetch_one(&one).await.unwrap();
    assert!(!name.contains(' '), "{name} has outlived its transaction");
}

#[sqlx::test]
async fn once_a_statement_was_refused_every_statement_names_its_trace(pool: PgPool) {
    let _capture = Capture::start();
    let database = Database::fixed(pool.clone());
    let refused =
        async |connection: &mut sqlx::PgConnection| sqlx::query("select 1 / 0").execute(connection).await.map(drop);
    database.run(refused).await.unwrap_err();
    let statement = found(&pool, &database, an_order_of_this_trace()).await;
    assert!(statement.starts_with("insert into orders"), "{statement}");
}

#[actix_web::test]
async fn a_line_of_the_database_names_the_trace() {
    let _capture = Capture::start();
    let cluster = Cluster::start().await;
    let database = Database::fixed(PgPoolOptions::new().connect_lazy_with(cluster.options()));
    let request = an_order_of_this_trace().insert_header(("idempotency-key", "1"));
    assert_eq!(start(database, LIMITS).await.send(request).await.status, StatusCode::CREATED);
    let name = format!("orders {TRACE} ");
    eventually("a line names it", Duration::from_secs(5), async || {
        cluster.log().lines().any(|line| line.starts_with(&name) && line.contains("insert into orders"))
    })
    .await;
}
