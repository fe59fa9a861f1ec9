use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, HttpResponse, web};
use observability::http::{Failure, Severity, observe};
use observability::metrics::{Counter, DROPPED, Gauge, intern, own};
use observability::testing::Capture;
use observability::{client, db, volumes};

use crate::collector::wait_until;
use crate::program::{self, Program};

static SEEN: Counter<1> = Counter::new("seen_total", "Things seen.", ["kind"]);
static HERE: Gauge<0> = Gauge::new("here", "Whether it is here.", []).fast();

#[test]
fn names_and_labels_follow_prometheus() {
    let mut names = BTreeSet::new();
    for metric in own() {
        let name = metric.name();
        assert!(names.insert(name), "{name} is declared twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let histogram = !metric.buckets().is_empty();
        assert!(!histogram || name.ends_with("_seconds"), "{name}");
        for label in metric.labels() {
            assert!(!["le", "job", "instance", "service", "env"].contains(label), "{name} {label}");
        }
    }
}

#[test]
fn fast_metrics_are_served_apart_and_only_there() {
    let capture = Capture::with("info", 1.0, &[&SEEN, &HERE]);
    SEEN.increment(["bird"]);
    HERE.set([], 1.0);
    let report = capture.reporter();
    let (fast, rest) = (report.render_fast(), report.render());
    for name in ["here 1\n", "unix_time_seconds ", "process_start_time_seconds "] {
        assert!(fast.contains(&format!("\n{name}")), "{name} in {fast}");
        assert!(!rest.contains(&format!("\n{name}")), "{name} in {rest}");
    }
    assert!(rest.contains("# HELP seen_total Things seen.\n# TYPE seen_total counter\nseen_total{kind=\"bird\"} 1\n"));
    assert!(!fast.contains("seen_total"));
}

#[test]
fn a_counter_without_labels_is_visible_before_its_first_event() {
    assert!(Capture::start().report().contains("\ndb_write_refused_total 0\n"));
}

#[test]
fn the_database_is_neither_up_nor_down_until_somebody_knows() {
    assert!(!Capture::start().report().contains("\ndb_up "));
}

#[test]
fn values_from_configuration_are_bounded() {
    for number in 0..64 {
        assert_eq!(intern("test_label", &number.to_string()), number.to_string());
    }
    assert_eq!(intern("test_label", "one too many"), "other");
    assert_eq!(intern("test_label", "63"), "63");
}

/// OpenTelemetry has named this one so, although `_count` is Prometheus' word for a part of a histogram.
const ALLOWED: &str =
    "db_client_connection_count non-histogram and non-summary metrics should not have \"_count\" suffix";

#[actix_web::test]
async fn promtool_objects_to_nothing_but_one_name_that_is_opentelemetrys() {
    let capture = Capture::start();
    let failure = Failure { failure_type: "dependency", severity: Severity::Warning, cause: "timed out".into() };
    let handler = move || std::future::ready(failure.clone().attach(HttpResponse::GatewayTimeout().finish()));
    let app = init_service(App::new().wrap(observe()).route("/", web::get().to(handler))).await;
    call_service(&app, TestRequest::get().uri("/").to_request()).await;
    client::send("nobody", client::builder().build().unwrap().get("http://127.0.0.1:1/")).await.unwrap_err();
    db::observe("SELECT", "orders", async { sqlx::Result::Ok(()) }).await.unwrap();
    db::CONNECTION_COUNT.set(["idle"], 1.0);
    db::CONNECTION_MAX.set([], 1.0);
    db::CONNECTION_WAIT_TIME.record([], 0.1);
    db::UP.set([], 1.0);
    DROPPED.zero(["lines", "stdout"]);
    volumes::watch("here", Path::new("."));
    let report = capture.report();
    // Two are set when a process starts, which this one has not.
    for metric in own().iter().filter(|metric| !["build_info", "memory_limit_bytes"].contains(&metric.name())) {
        assert!(report.contains(&format!("\n# TYPE {} ", metric.name())), "{} is not in {report}", metric.name());
    }
    let Some(promtool) = program::tool("promtool") else { return };
    let mut command = Command::new(promtool);
    let mut promtool = command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(report.as_bytes()).unwrap();
    let said = String::from_utf8(promtool.wait_with_output().unwrap().stderr).unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), [ALLOWED]);
}

#[actix_web::test]
async fn a_worker_that_is_kept_busy_shows_as_late() {
    let capture = Capture::with("info", 1.0, &[]);
    let _worker = init_service(App::new().wrap(observe())).await;
    std::thread::sleep(std::time::Duration::from_millis(400));
    let report = capture.report();
    let lag = report.lines().find_map(|line| line.strip_prefix("runtime_lag_seconds ")).expect(&report);
    assert!(lag.parse::<f64>().unwrap() > 0.2, "{lag}");
}

#[test]
fn what_was_observed_is_summed_up_though_nobody_scrapes() {
    let mixed = Program::run(Command::new(program::example("mixed")), &[]);
    let before = mixed.peak_memory();
    for _ in 0..3 {
        for _ in 0..3 {
            mixed.get("/million");
        }
        let woken = mixed.wakes_of("metrics-upkeep");
        wait_until("upkeep", || mixed.wakes_of("metrics-upkeep") > woken);
    }
    // 16 bytes each: 144 MiB of all, 48 of a third.
    assert!(mixed.peak_memory() < before + 80, "from {before} to {} MiB", mixed.peak_memory());
    assert!((mixed.metric("step_duration_seconds_count") - 9e6).abs() < f64::EPSILON);
}
