//! Start and stop of the real program.

use std::{net::TcpListener, time::Duration};

use observability::http::Severity;
use sqlx::{ConnectOptions as _, PgPool};

use crate::support::{
    api::an_order,
    eventually,
    program::{Program, exchange, run},
};

fn url(pool: &PgPool) -> String {
    pool.connect_options().to_url_lossy().to_string()
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[sqlx::test]
async fn five_hundred_requests_in_flight_finish_before_the_process_ends(pool: PgPool) {
    const REQUESTS: usize = 500;
    let patience = [("REQUEST_TIMEOUT", "40s"), ("DATABASE_ACQUIRE_TIMEOUT", "39s"), ("PAYMENTS_RETRY", "40s")];
    let limits = [("CONCURRENCY_LIMIT", "501"), ("SHUTDOWN_TIMEOUT", "40s"), ("DRAIN_DELAY", "300ms")];
    let mut program = Program::serve(&url(&pool), &[patience, limits].concat());
    program.line("started");
    assert_eq!(program.probe("/health/ready").0, 200);

    let mut lock = pool.begin().await.unwrap();
    sqlx::query("lock table orders").execute(&mut *lock).await.unwrap();
    let requests: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let address = program.public.clone();
            std::thread::spawn(move || exchange(&address, "POST", "/v1/orders", &an_order().to_string()))
        })
        .collect();
    let inside = format!("http_server_active_requests{{http_request_method=\"POST\"}} {REQUESTS}\n");
    eventually("all are inside", Duration::from_secs(15), async || program.probe("/metrics").1.contains(&inside)).await;

    program.terminate();
    eventually("readiness is red", Duration::from_secs(2), async || program.probe("/health/ready").0 == 503).await;
    assert_eq!(program.probe("/health/live").0, 200);
    eventually("no connection is accepted any more", Duration::from_secs(3), async || {
        std::net::TcpStream::connect(&program.public).is_err()
    })
    .await;
    // Longer than a stop that waits for nobody would take.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    lock.rollback().await.unwrap();
    for request in requests {
        let (status, body) = request.join().unwrap().unwrap();
        assert_eq!(status, 201, "{body}");
        let whole: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(whole["status"], "open");
    }
    assert!(program.process.wait().unwrap().success());
    program.line("stopped");
    let orders: i64 = sqlx::query_scalar("select count(*) from orders").fetch_one(&pool).await.unwrap();
    assert_eq!(usize::try_from(orders).unwrap(), REQUESTS);
}

#[sqlx::test(migrations = false)]
async fn the_start_waits_for_the_schema_that_migrate_brings(pool: PgPool) {
    let program = Program::serve(&url(&pool), &[]);
    program.line("waiting for migrations");
    assert_eq!(program.probe("/health/live").0, 200);
    assert_eq!(program.probe("/health/startup").0, 503);

    let migrate = run(&["migrate"], &[("DATABASE_URL", &url(&pool))]);
    assert!(migrate.status.success(), "{}", stderr(&migrate));
    program.line("started");
    assert_eq!(program.probe("/health/ready").0, 200);
}

#[sqlx::test(migrations = false)]
async fn many_that_start_at_once_migrate_one_after_the_other(pool: PgPool) {
    let programs: Vec<_> = (0..3).map(|_| Program::serve(&url(&pool), &[("MIGRATE", "true")])).collect();
    for program in &programs {
        program.line("started");
    }
}

#[sqlx::test(migrations = false)]
async fn a_failed_migration_leaves_the_process_alive_and_not_ready(pool: PgPool) {
    sqlx::query("create table orders (in_the_way int)").execute(&pool).await.unwrap();

    let migrate = run(&["migrate"], &[("DATABASE_URL", &url(&pool))]);
    assert_eq!(migrate.status.code(), Some(1));
    assert!(stderr(&migrate).contains("migration"), "{}", stderr(&migrate));

    let program = Program::serve(&url(&pool), &[("MIGRATE", "true")]);
    let line = program.line("migration failed");
    assert_eq!((line["level"].as_str(), line["failure_type"].as_str()), (Some("ERROR"), Some("migration")));
    assert_eq!(program.probe("/health/live").0, 200);
    assert_eq!(program.probe("/health/ready").0, 503);
    assert!(program.probe("/metrics").1.contains("\nmigrations_failed 1\n"));

    sqlx::query("drop table orders").execute(&pool).await.unwrap();
    assert!(run(&["migrate"], &[("DATABASE_URL", &url(&pool))]).status.success());
    program.line("started");
    assert!(program.probe("/metrics").1.contains("\nmigrations_failed 0\n"));
}

#[sqlx::test]
async fn health_and_admin_speak_to_the_running_service(pool: PgPool) {
    let program = Program::serve(&url(&pool), &[]);
    program.line("started");
    let ask = |arguments: &[&str]| {
        let output = run(arguments, &[("ADMIN_LISTEN", &program.admin)]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(ask(&["health"]), (Some(0), String::new()));
    assert_eq!(ask(&["admin", "log-level"]), (Some(0), "info\n".into()));
    assert_eq!(ask(&["admin", "log-level", "debug"]), (Some(0), "debug\n".into()));
    assert_eq!(ask(&["admin", "log-level", "info=loud"]).0, Some(1));
    assert_eq!(ask(&["admin", "sampling", "0.1"]), (Some(0), "0.1\n".into()));
    assert_eq!(ask(&["admin", "sampling"]), (Some(0), "0.1\n".into()));
}

#[sqlx::test]
async fn every_series_is_there_before_its_first_event(pool: PgPool) {
    let program = Program::serve(&url(&pool), &[]);
    let metrics = program.probe("/metrics").1;
    for failure_type in service::failure::FailureType::ALL {
        let name = failure_type.as_str();
        let severity = if failure_type.severity() == Severity::Error { "error" } else { "warning" };
        let series = format!("app_errors_total{{failure_type=\"{name}\",severity=\"{severity}\"}} 0");
        assert!(metrics.contains(&series), "{series} is missing in\n{metrics}");
    }
    for series in [
        "orders_created_total 0",
        "order_payments_total{outcome=\"paid\"} 0",
        "circuit_breaker_state{dependency=\"payments\"} 0",
    ] {
        assert!(metrics.contains(&format!("\n{series}\n")), "{series} is missing in\n{metrics}");
    }
}

#[test]
fn health_of_a_service_that_does_not_run_is_bad_and_says_so() {
    let output = run(&["health"], &[("ADMIN_LISTEN", "127.0.0.1:1")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("ADMIN_LISTEN"), "{}", stderr(&output));
}

#[test]
fn a_port_in_use_is_named_with_its_variable() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for variable in ["LISTEN", "ADMIN_LISTEN"] {
        let other = if variable == "LISTEN" { "ADMIN_LISTEN" } else { "LISTEN" };
        let environment =
            [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x"), (variable, &address), (other, "127.0.0.1:0")];
        let output = run(&[], &environment);
        assert_eq!(output.status.code(), Some(1));
        let message = stderr(&output);
        assert!(message.starts_with(&format!("error: {variable}: cannot listen on {address}")), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
