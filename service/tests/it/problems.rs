//! Every way to provoke an error, and the one answer it gets.

use std::time::Duration;

use actix_web::{http::Method, test::TestRequest};
use observability::testing::Capture;
use service::{database::Database, gate::Limits};
use sqlx::{ConnectOptions as _, PgPool, postgres::PgPoolOptions};

use crate::support::api::{Answer, LIMITS, an_order, start};

fn assert_problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["type"], format!("/problems/{kind}"));
    assert_eq!(answer.body["status"], status);
    for member in ["title", "detail", "request_id", "trace_id"] {
        assert!(answer.body[member].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
    }
    assert_eq!(answer.header("x-request-id"), answer.body["request_id"].as_str().unwrap());
    assert_eq!(answer.header("retry-after").is_empty(), status != 503);
}

/// No line of a caller's mistake is above INFO, and each request has exactly one closing line.
fn assert_lines(capture: &Capture, level: &str, failure_type: Option<&str>) {
    let lines = capture.lines();
    let closing: Vec<_> = lines.iter().filter(|line| line["target"] == "observability::http").collect();
    let [line] = closing.as_slice() else { panic!("not one closing line: {closing:?}") };
    assert_eq!(line["level"], level, "{line}");
    assert_eq!(line.get("failure_type").and_then(|value| value.as_str()), failure_type, "{line}");
}

#[sqlx::test]
async fn a_callers_mistake_gets_a_problem_and_stays_in_the_closing_line(pool: PgPool) {
    let api = start(Database::fixed(pool), LIMITS).await;
    let cancelled = api.an_order().await;
    api.cancel(&cancelled).await;
    let missing = "/v1/orders/01941f29-7c00-7000-8000-000000000000";
    let post = || TestRequest::post().uri("/v1/orders");
    let json = |body: &'static str| post().insert_header(("content-type", "application/json")).set_payload(body);
    let get = |path: &str| TestRequest::get().uri(path);

    for (request, status, kind) in [
        (get("/nowhere"), 404, "no_such_route"),
        (get(missing), 404, "not_found"),
        (get("/v1/orders/7"), 400, "malformed"),
        (get("/v1/orders?limit=many"), 400, "malformed"),
        (get("/v1/orders?colour=red"), 400, "malformed"),
        (get("/v1/orders?status=lost"), 400, "malformed"),
        (get("/v1/orders?cursor=x"), 400, "malformed"),
        (get("/v1/orders?limit=0"), 422, "invalid"),
        (get("/v1/orders?limit=101"), 422, "invalid"),
        (json("{"), 400, "malformed"),
        (json(""), 400, "malformed"),
        (json("[]"), 422, "invalid"),
        (json(r#"{"item":"tea","quantity":1,"amount":1,"currency":"EUR","x":1}"#), 422, "invalid"),
        (json(r#"{"item":"tea","quantity":"one","amount":1,"currency":"EUR"}"#), 422, "invalid"),
        (post().set_payload("item=tea"), 415, "unsupported_type"),
        (post().set_json("x".repeat(LIMITS.body + 1)), 413, "too_large"),
        (TestRequest::post().uri(&format!("/v1/orders/{cancelled}/cancellation")), 409, "conflict"),
        (TestRequest::post().uri(&format!("{missing}/cancellation")), 404, "not_found"),
    ] {
        let capture = Capture::start();
        assert_problem(&api.send(request).await, status, kind);
        assert_lines(&capture, "INFO", None);
    }
}

#[sqlx::test]
async fn a_wrong_method_is_told_the_right_ones(pool: PgPool) {
    let _capture = Capture::start();
    let api = start(Database::fixed(pool), LIMITS).await;
    for (method, path, allowed) in [
        (Method::DELETE, "/v1/orders", "GET, POST"),
        (Method::PUT, "/v1/orders/7", "GET"),
        (Method::GET, "/v1/orders/7/cancellation", "POST"),
    ] {
        let answer = api.call(method, path).await;
        assert_problem(&answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), allowed);
    }
}

/// One request, whose failure is ours: the problem, one ERROR line, one count.
async fn assert_failure(database: Database, limits: Limits, status: u16, failure_type: &str) {
    let capture = Capture::start();
    let api = start(database, limits).await;
    assert_problem(&api.create(&an_order()).await, status, failure_type);
    assert_lines(&capture, "ERROR", Some(failure_type));
    let count = format!("app_errors_total{{failure_type=\"{failure_type}\",severity=\"error\"}} 1");
    assert!(capture.report().contains(&count), "{}", capture.report());
}

#[actix_web::test]
async fn a_database_that_is_down_is_db_down() {
    assert_failure(Database::unknown(), LIMITS, 503, "db_down").await;
}

#[sqlx::test]
async fn a_database_that_refuses_writes_is_db_readonly(pool: PgPool) {
    let options = (*pool.connect_options()).clone();
    let options = options.options([("default_transaction_read_only", "on")]);
    let pool = PgPoolOptions::new().connect_lazy_with(options);
    assert_failure(Database::fixed(pool.clone()), LIMITS, 503, "db_readonly").await;
    pool.close().await;
}

#[sqlx::test]
async fn a_pool_without_a_free_connection_is_db_pool(pool: PgPool) {
    let small = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(100))
        .connect_lazy_with((*pool.connect_options()).clone());
    let held = small.acquire().await.unwrap();
    assert_failure(Database::fixed(small.clone()), LIMITS, 503, "db_pool").await;
    drop(held);
    small.close().await;
}

#[sqlx::test]
async fn a_request_that_takes_too_long_is_latency(pool: PgPool) {
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("lock table orders").execute(&mut *lock).await.unwrap();
    let limits = Limits { time: Duration::from_millis(100), ..LIMITS };
    assert_failure(Database::fixed(pool.clone()), limits, 503, "latency").await;
    lock.rollback().await.unwrap();
}

#[sqlx::test]
async fn what_nobody_foresaw_is_errors(pool: PgPool) {
    sqlx::query("drop table orders cascade").execute(&pool).await.unwrap();
    assert_failure(Database::fixed(pool), LIMITS, 500, "errors").await;
}

#[sqlx::test]
async fn causes_stay_in_the_log(pool: PgPool) {
    sqlx::query("drop table orders cascade").execute(&pool).await.unwrap();
    let name = pool.connect_options().to_url_lossy().path().to_owned();
    let api = start(Database::fixed(pool), LIMITS).await;
    let body = api.create(&an_order()).await.body.to_string();
    assert!(!body.contains("relation") && !body.contains(&name[1..]), "{body}");
}
