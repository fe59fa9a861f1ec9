//! Every way to provoke an error, and the one answer it gets.

use std::{num::NonZeroU32, time::Duration};

use actix_http::{BoxedPayloadStream, Payload};
use actix_web::{http::Method, test::TestRequest};
use jsonwebtoken::{EncodingKey, Header, encode};
use observability::{http::Severity, testing::Capture};
use serde_json::json;
use service::{
    app::Parts,
    auth::{Auth, Renewal},
    database::Database,
    error::PROBLEMS,
    failure::FailureType,
    gate::Limits,
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgPool, postgres::PgPoolOptions};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::api::{Answer, LIMITS, an_order, no_payments, parts, provider, start, start_with};

fn assert_problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["type"], format!("/problems/{kind}"));
    assert_eq!(answer.body["status"], status);
    for member in ["title", "detail", "request_id", "trace_id"] {
        assert!(answer.body[member].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
    }
    assert_eq!(answer.header("x-request-id"), answer.body["request_id"].as_str().unwrap());
    assert_eq!(answer.header("retry-after").is_empty(), ![429, 503].contains(&status));
}

/// A caller's mistake is one closing line, at INFO.
fn assert_quiet(capture: &Capture) {
    let lines = capture.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "INFO", "{lines:?}");
    assert!(lines[0].get("failure_type").is_none(), "{lines:?}");
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
        assert_quiet(&capture);
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

/// An application whose connections have this setting.
fn with_setting(pool: &PgPool, setting: (&str, &str)) -> Database {
    Database::fixed(PgPoolOptions::new().connect_lazy_with((*pool.connect_options()).clone().options([setting])))
}

async fn ask(database: Database, limits: Limits, request: TestRequest) -> Answer {
    start(database, limits).await.send(request).await
}

async fn ask_with(auth: Auth, token: &str) -> Answer {
    let parts = Parts::new(Database::unknown(), no_payments(), LIMITS, auth, vec![]);
    let request = TestRequest::get().uri("/v1/orders").insert_header(("authorization", format!("Bearer {token}")));
    start_with(parts).await.send(request).await
}

/// The answer to a request that waits for a lock.
async fn ask_behind_a_lock(pool: &PgPool, limits: Limits, request: TestRequest) -> Answer {
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("lock table orders").execute(&mut *lock).await.unwrap();
    let answer = ask(Database::fixed(pool.clone()), limits, request).await;
    lock.rollback().await.unwrap();
    answer
}

/// Else it would not be on our account.
#[sqlx::test]
async fn a_body_that_nobody_reads_makes_no_slow_client(pool: PgPool) {
    let _capture = Capture::start();
    let limits = Limits { time: Duration::from_millis(100), ..LIMITS };
    for step in ["payment", "cancellation"] {
        let request = TestRequest::post().uri(&format!("/v1/orders/01941f29-7c00-7000-8000-000000000000/{step}"));
        let request = request.insert_header(("content-length", "2")).set_payload("{}");
        assert_problem(&ask_behind_a_lock(&pool, limits, request).await, 503, "latency");
    }
}

async fn declined(pool: &PgPool) -> Answer {
    let bank = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(402)).mount(&bank).await;
    let api = start_with(parts(Database::fixed(pool.clone()), provider(&bank.uri()), LIMITS)).await;
    let id = api.an_order().await;
    api.pay(&id).await
}

/// A way to each problem of the table.
async fn provoke(kind: &str, pool: &PgPool) -> Answer {
    let database = || Database::fixed(pool.clone());
    let (get, post) = (|path: &str| TestRequest::get().uri(path), || TestRequest::post().uri("/v1/orders"));
    let list = || get("/v1/orders");
    match kind {
        "malformed" => ask(database(), LIMITS, get("/v1/orders/7")).await,
        "unauthorized" => ask_with(Auth::secret(&"0".repeat(32).into(), None, None), "x").await,
        "payment_declined" => declined(pool).await,
        "not_found" => ask(database(), LIMITS, get("/v1/orders/01941f29-7c00-7000-8000-000000000000")).await,
        "no_such_route" => ask(database(), LIMITS, get("/nowhere")).await,
        "method_not_allowed" => ask(database(), LIMITS, TestRequest::put().uri("/v1/orders")).await,
        "slow_client" => {
            let limits = Limits { time: Duration::from_millis(100), ..LIMITS };
            let request =
                post().insert_header(("content-type", "application/json")).insert_header(("content-length", "9"));
            let never: BoxedPayloadStream = Box::pin(futures_util::stream::pending());
            let never = Payload::Stream { payload: never };
            start(database(), limits).await.send_request(request.to_request().replace_payload(never).0).await
        }
        "conflict" => {
            let api = start(database(), LIMITS).await;
            let id = api.an_order().await;
            api.cancel(&id).await;
            api.pay(&id).await
        }
        "too_large" => ask(database(), LIMITS, post().set_json("x".repeat(LIMITS.body))).await,
        "query_too_long" => ask(database(), LIMITS, get(&format!("/v1/orders?status={}", "x".repeat(2048)))).await,
        "unsupported_type" => ask(database(), LIMITS, post().set_payload("item=tea")).await,
        "invalid" => ask(database(), LIMITS, get("/v1/orders?limit=0")).await,
        "idempotency_key_reused" => {
            let api = start(database(), LIMITS).await;
            api.create_once("k", &an_order()).await;
            let mut other = an_order();
            other["quantity"] = 3.into();
            api.create_once("k", &other).await
        }
        "too_many_requests" => {
            let api = start(database(), Limits { rate: NonZeroU32::new(1), ..LIMITS }).await;
            api.send(list()).await;
            api.send(list()).await
        }
        "head_too_large" => ask(database(), LIMITS, list().insert_header(("x", "x".repeat(16 * 1024)))).await,
        "errors" => ask(with_setting(pool, ("search_path", "nowhere")), LIMITS, list()).await,
        "panic" => ask(database(), LIMITS, get("/test/panic")).await,
        "latency" => ask_behind_a_lock(pool, Limits { time: Duration::from_millis(100), ..LIMITS }, list()).await,
        "db_down" => ask(Database::unknown(), LIMITS, list()).await,
        "db_readonly" => {
            let database = with_setting(pool, ("default_transaction_read_only", "on"));
            ask(database, LIMITS, post().set_json(an_order())).await
        }
        "db_pool" => {
            let small = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(2));
            let small = small.connect_lazy_with((*pool.connect_options()).clone());
            let _held = small.acquire().await.unwrap();
            ask(Database::fixed(small), LIMITS, list()).await
        }
        "saturation" => ask(database(), Limits { at_once: 0, ..LIMITS }, list()).await,
        "dependency" => {
            let auth = Auth::jwks("http://127.0.0.1:1/keys".parse().unwrap(), Renewal::default(), None, None).unwrap();
            let header = Header { kid: Some("k-1".into()), ..Header::default() };
            ask_with(auth, &encode(&header, &json!({}), &EncodingKey::from_secret(b"x")).unwrap()).await
        }
        _ => panic!("nobody knows how to provoke {kind}"),
    }
}

#[sqlx::test]
async fn every_problem_of_the_table_has_one_answer_one_line_one_count_and_a_page(pool: PgPool) {
    for problem in PROBLEMS {
        let (kind, status) = (problem.kind, problem.status.as_u16());
        let capture = Capture::start();
        let answer = provoke(kind, &pool).await;
        assert_problem(&answer, status, kind);
        assert_eq!(answer.body["title"], problem.title);

        let ours = FailureType::ALL.into_iter().find(|failure_type| failure_type.as_str() == kind);
        assert_eq!(ours.is_some() || kind == "panic", status >= 500, "{kind}: whose fault is it?");
        let (level, severity) = match (ours.map(FailureType::severity), kind) {
            (Some(Severity::Warning), _) => ("WARN", "warning"),
            (Some(Severity::Error), _) | (_, "panic") => ("ERROR", "error"),
            _ => ("INFO", ""),
        };
        let lines = capture.lines();
        let closing = lines.iter().rfind(|line| line["target"] == "observability::http").unwrap();
        assert_eq!(closing["level"], level, "{closing}");
        assert_eq!(closing.get("failure_type").is_some(), level != "INFO", "{closing}");
        if level != "INFO" {
            let count = format!("app_errors_total{{failure_type=\"{kind}\",severity=\"{severity}\"}} 1");
            assert!(capture.report().contains(&count), "{kind}: {}", capture.report());
        }

        let page = start(Database::unknown(), LIMITS).await.get(answer.body["type"].as_str().unwrap()).await;
        assert_eq!(page.status.as_u16(), 200, "{kind}");
        assert!(page.text.contains(&format!("<h1>{}</h1>", problem.title)), "{}", page.text);
    }
}

#[sqlx::test]
async fn every_error_of_the_database_that_has_a_meaning_is_answered_with_it(pool: PgPool) {
    let _capture = Capture::start();
    let api = start(Database::fixed(pool.clone()), LIMITS).await;
    let fails = "create function fail() returns trigger language plpgsql as
                 $$ begin raise exception 'as asked for' using errcode = tg_argv[0]; end $$";
    sqlx::query(fails).execute(&pool).await.unwrap();
    for (code, kind) in [
        ("57014", "latency"),
        ("55P03", "latency"),
        ("53300", "db_pool"),
        ("25006", "db_readonly"),
        ("53100", "db_readonly"),
        ("57P01", "db_down"),
        ("08006", "db_down"),
    ] {
        let trigger = format!(
            "create or replace trigger fail before insert on orders for each row execute function fail('{code}')"
        );
        sqlx::query(AssertSqlSafe(trigger)).execute(&pool).await.unwrap();
        assert_problem(&api.create(&an_order()).await, 503, kind);
    }
}

/// And Postgres does say so, with the settings that the service gives its connections.
#[sqlx::test]
async fn what_the_database_ends_took_too_long(pool: PgPool) {
    let _capture = Capture::start();
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("lock table orders").execute(&mut *lock).await.unwrap();
    for setting in ["statement_timeout", "lock_timeout"] {
        let answer = ask(with_setting(&pool, (setting, "50ms")), LIMITS, TestRequest::get().uri("/v1/orders")).await;
        assert_problem(&answer, 503, "latency");
    }
}

/// What actix and its middlewares refuse by themselves.
#[sqlx::test]
async fn errors_that_others_make_are_problems_too(pool: PgPool) {
    let api = start(Database::fixed(pool), LIMITS).await;
    let preflight = |header: &'static str, value: &'static str| {
        let request = TestRequest::default().method(Method::OPTIONS).uri("/v1/orders");
        request.insert_header(("origin", "https://evil.example")).insert_header((header, value))
    };
    let deep = "[".repeat(200) + &"]".repeat(200);
    let json = |path: &str| TestRequest::post().uri(path).insert_header(("content-type", "application/json"));
    for (request, status, kind) in [
        (preflight("access-control-request-method", "GET"), 400, "malformed"),
        (preflight("accept", "*/*"), 405, "method_not_allowed"),
        // Depth: the type that an order has stops it at once, serde_json anything else.
        (json("/v1/orders").set_payload(deep.clone()), 422, "invalid"),
        (json("/test/anything").set_payload(deep), 400, "malformed"),
        (json("/test/refused"), 400, "malformed"),
        (json("/test/broken"), 500, "errors"),
        (TestRequest::get().uri("/test/panic"), 500, "panic"),
        (json("/docs"), 405, "method_not_allowed"),
        (TestRequest::get().uri("/problems/nothing"), 404, "no_such_route"),
    ] {
        let answer = api.send(request).await;
        assert_problem(&answer, status, kind);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[sqlx::test]
async fn causes_stay_in_the_log(pool: PgPool) {
    sqlx::query("drop table orders cascade").execute(&pool).await.unwrap();
    let name = pool.connect_options().to_url_lossy().path().to_owned();
    let api = start(Database::fixed(pool), LIMITS).await;
    let body = api.create(&an_order()).await.body.to_string();
    assert!(!body.contains("relation") && !body.contains(&name[1..]), "{body}");
}
