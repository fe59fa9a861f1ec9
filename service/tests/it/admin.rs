//! The admin listener: probes, metrics and what can be changed at run time.

use actix_web::{
    App,
    test::{TestRequest, call_service, init_service, read_body},
};
use observability::testing::Capture;
use service::{admin, database::Database, health::Health, metrics};
use sqlx::PgPool;

/// Status and body of one request to the admin listener.
async fn ask(capture: &Capture, database: &Database, health: &Health, request: TestRequest) -> (u16, String) {
    let app = App::new().configure(admin::routes(database.clone(), health.clone(), capture.reporter(), None));
    let answer = call_service(&init_service(app).await, request.to_request()).await;
    let status = answer.status().as_u16();
    (status, String::from_utf8(read_body(answer).await.to_vec()).unwrap())
}

#[sqlx::test]
async fn probes_tell_starting_ready_and_draining_apart(pool: PgPool) {
    let capture = Capture::start();
    let database = Database::fixed(pool);
    let health = Health::new(database.clone());
    let probe = async |name: &str| {
        let request = TestRequest::get().uri(&format!("/health/{name}"));
        ask(&capture, &database, &health, request).await
    };

    assert_eq!(probe("live").await.0, 200);
    assert_eq!(probe("startup").await.0, 503);
    assert_eq!(probe("ready").await, (503, r#"{"status":"not ready","reason":"starting"}"#.into()));

    health.start();
    assert_eq!(probe("startup").await.0, 200);
    assert_eq!(probe("ready").await, (200, r#"{"status":"ready"}"#.into()));

    health.drain();
    assert_eq!(probe("live").await.0, 200);
    assert_eq!(probe("ready").await, (503, r#"{"status":"not ready","reason":"draining"}"#.into()));
}

#[actix_web::test]
async fn without_a_database_the_process_is_alive_but_not_ready() {
    let capture = Capture::start();
    let database = Database::unknown();
    let health = Health::new(database.clone());
    health.start();
    for (path, status) in [("/health/live", 200), ("/health/ready", 503)] {
        let answer = ask(&capture, &database, &health, TestRequest::get().uri(path)).await;
        assert_eq!(answer.0, status, "{answer:?}");
    }
}

#[sqlx::test]
async fn metrics_are_split_in_a_fast_and_an_ordinary_part(pool: PgPool) {
    let capture = Capture::with("info", 1.0, metrics::ALL);
    let database = Database::fixed(pool);
    let health = Health::new(database.clone());
    observability::db::UP.set([], 1.0);
    metrics::MIGRATIONS_FAILED.set([], 0.0);

    let (_, fast) = ask(&capture, &database, &health, TestRequest::get().uri("/metrics/fast")).await;
    let (_, rest) = ask(&capture, &database, &health, TestRequest::get().uri("/metrics")).await;
    assert!(fast.contains("db_up 1") && !rest.contains("db_up "), "{fast}\n{rest}");
    for series in ["migrations_failed 0", "db_client_connection_max "] {
        assert!(rest.contains(series) && !fast.contains(series), "{fast}\n{rest}");
    }
}

#[sqlx::test]
async fn log_level_and_sampling_can_be_changed_and_refuse_nonsense(pool: PgPool) {
    let capture = Capture::start();
    let database = Database::fixed(pool);
    let health = Health::new(database.clone());
    for (path, default, good, bad) in [("/log-level", "info", "debug", "info=loud"), ("/sampling", "1", "0.25", "2")] {
        let get = || TestRequest::get().uri(path);
        let put = |value: &'static str| TestRequest::put().uri(path).set_payload(value);
        assert_eq!(ask(&capture, &database, &health, get()).await, (200, default.into()));
        assert_eq!(ask(&capture, &database, &health, put(good)).await, (200, good.into()));
        assert_eq!(ask(&capture, &database, &health, get()).await, (200, good.into()));
        assert_eq!(ask(&capture, &database, &health, put(bad)).await.0, 400);
        assert_eq!(ask(&capture, &database, &health, get()).await, (200, good.into()));
    }
}

#[actix_web::test]
async fn the_version_says_what_is_running() {
    let capture = Capture::start();
    let database = Database::unknown();
    let health = Health::new(database.clone());
    let (status, body) = ask(&capture, &database, &health, TestRequest::get().uri("/version")).await;
    assert_eq!(status, 200);
    assert!(body.starts_with(r#"{"name":"orders","version":"0.1.0""#), "{body}");
}

#[actix_web::test]
async fn what_it_does_not_have_is_a_problem_as_on_the_public_listener() {
    let capture = Capture::start();
    let database = Database::unknown();
    let health = Health::new(database.clone());
    for (request, status, kind) in [
        (TestRequest::get().uri("/nothing"), 404, "no_such_route"),
        (TestRequest::post().uri("/health/live"), 404, "no_such_route"),
        (TestRequest::put().uri("/sampling").set_payload("much"), 400, "malformed"),
    ] {
        let (found, body) = ask(&capture, &database, &health, request).await;
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found, problem["type"].as_str()), (status, Some(format!("/problems/{kind}").as_str())), "{body}");
    }
}
