use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_service, init_service, read_body, try_call_service};
use actix_web::web::Bytes;
use actix_web::{App, HttpResponse, web};
use observability::http::{Failure, Problem, Severity, observe};
use observability::testing::Capture;
use opentelemetry_sdk::trace::SpanData;
use serde_json::Value;

macro_rules! app {
    () => {
        init_service(
            App::new()
                .wrap(observe())
                .service(web::resource("/ok/{id}").route(web::get().to(async || "ok")))
                .route("/refused", web::get().to(async || HttpResponse::Conflict().body("no")))
                .route("/failed", web::get().to(failed))
                .route("/timeout", web::get().to(timeout))
                .route("/panic", web::get().to(panics))
                .route("/empty", web::get().to(HttpResponse::NoContent))
                .route("/stream", web::get().to(async || HttpResponse::Ok().body(Chunks(3))))
                .route("/never", web::get().to(never)),
        )
        .await
    };
}

async fn failed() -> HttpResponse {
    let problem = Problem {
        kind: "db_down",
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "The database is away",
        detail: "Try again.".into(),
    };
    Failure { failure_type: "db_down", severity: Severity::Error, cause: "connection refused".into() }
        .attach(problem.response())
}

async fn timeout() -> HttpResponse {
    Failure { failure_type: "dependency", severity: Severity::Warning, cause: "timed out".into() }
        .attach(HttpResponse::GatewayTimeout().finish())
}

async fn panics() -> HttpResponse {
    panic!("a \"quoted\"\npanic")
}

async fn never() -> HttpResponse {
    std::future::pending().await
}

struct Chunks(u8);

impl MessageBody for Chunks {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Bytes, Self::Error>>> {
        self.0 = self.0.saturating_sub(1);
        tracing::info!(left = self.0, "chunk");
        std::task::Poll::Ready((self.0 > 0).then(|| Ok(Bytes::from_static(b"chunk"))))
    }
}

fn closing(capture: &Capture) -> Vec<Value> {
    capture.lines().into_iter().filter(|line| line["target"] == "observability::http").collect()
}

fn attribute(span: &SpanData, key: &str) -> String {
    span.attributes.iter().find(|held| held.key.as_str() == key).map(|held| held.value.to_string()).unwrap_or_default()
}

/// One line, one span and one observation that say the same.
fn assert_agree(capture: &Capture, route: &str, status: u16, level: &str, error: &str) {
    let lines = closing(capture);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!((line["level"].as_str(), line["http.route"].as_str()), (Some(level), Some(route)), "{line}");
    assert_eq!(line["http.response.status_code"], status, "{line}");

    let spans = capture.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(attribute(&spans[0], "http.response.status_code"), status.to_string());
    assert_eq!(attribute(&spans[0], "error.type"), error);
    assert_eq!(spans[0].span_context.trace_id().to_string(), line["trace_id"].as_str().unwrap());
    assert_eq!(spans[0].span_context.span_id().to_string(), line["span_id"].as_str().unwrap());
    let failed = matches!(spans[0].status, opentelemetry::trace::Status::Error { .. });
    assert_eq!(failed, status >= 500, "{:?}", spans[0].status);

    let observation = format!(
        "http_server_request_duration_seconds_count{{http_request_method=\"GET\",http_route=\"{route}\",http_response_status_code=\"{status}\",error_type=\"{error}\"}} 1\n"
    );
    let report = capture.report();
    assert!(report.contains(&observation), "{observation} in {report}");
    assert!(report.contains("http_server_active_requests{http_request_method=\"GET\"} 0\n"), "{report}");
}

#[actix_web::test]
async fn every_way_a_request_can_end_is_one_span_one_line_one_observation() {
    for (path, route, status, level, error) in [
        ("/ok/7", "/ok/{id}", 200, "INFO", ""),
        ("/refused", "/refused", 409, "INFO", ""),
        ("/failed", "/failed", 503, "ERROR", "db_down"),
        ("/timeout", "/timeout", 504, "WARN", "dependency"),
        ("/empty", "/empty", 204, "INFO", ""),
        ("/stream", "/stream", 200, "INFO", ""),
        ("/nowhere", "unmatched", 404, "INFO", ""),
    ] {
        let capture = Capture::start();
        let app = app!();
        let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
        assert_eq!(response.status(), status, "{path}");
        assert!(response.headers().contains_key("x-request-id"), "{path}");
        assert!(response.headers().contains_key("traceresponse"), "{path}");
        read_body(response).await;
        assert_agree(&capture, route, status, level, error);
    }
}

#[actix_web::test]
async fn a_panic_is_answered_and_counted_and_its_line_carries_the_ids() {
    let capture = Capture::start();
    let app = app!();
    let error = try_call_service(&app, TestRequest::get().uri("/panic").to_request()).await.unwrap_err();
    let response = error.error_response();
    assert_eq!(response.status(), 500);
    assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
    let body = response.into_body().try_into_bytes().unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["type"], "/problems/panic");

    assert_agree(&capture, "/panic", 500, "ERROR", "panic");
    let lines = capture.lines();
    let panicked = lines.iter().find(|line| line["message"] == "panicked").unwrap();
    assert_eq!(panicked["cause"], "a \"quoted\"\npanic");
    assert_eq!(panicked["trace_id"], problem["trace_id"]);
    assert!(capture.report().contains("\npanics_total 1\n"));
    assert!(capture.report().contains("app_errors_total{failure_type=\"panic\",severity=\"error\"} 1\n"));
}

#[actix_web::test]
async fn a_request_that_is_given_up_counts_as_499_with_its_route() {
    let capture = Capture::start();
    let app = app!();
    let call = call_service(&app, TestRequest::get().uri("/never").to_request());
    assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
    assert_agree(&capture, "/never", 499, "WARN", "cancelled");
}

#[actix_web::test]
async fn a_capture_that_starts_late_sees_what_comes_after_it() {
    let app = app!();
    read_body(call_service(&app, TestRequest::get().uri("/ok/1").to_request()).await).await;
    for _ in 0..2 {
        let capture = Capture::start();
        read_body(call_service(&app, TestRequest::get().uri("/ok/1").to_request()).await).await;
        assert_agree(&capture, "/ok/{id}", 200, "INFO", "");
    }
}

#[actix_web::test]
async fn a_body_that_is_given_up_counts_as_499() {
    let capture = Capture::start();
    let app = app!();
    drop(call_service(&app, TestRequest::get().uri("/stream").to_request()).await);
    assert_agree(&capture, "/stream", 499, "WARN", "cancelled");
}

#[actix_web::test]
async fn lines_from_inside_a_streaming_body_carry_the_request() {
    let capture = Capture::start();
    let app = app!();
    read_body(call_service(&app, TestRequest::get().uri("/stream").to_request()).await).await;
    let lines = capture.lines();
    let chunks: Vec<_> = lines.iter().filter(|line| line["message"] == "chunk").collect();
    assert_eq!(chunks.len(), 3);
    assert!(chunks.iter().all(|line| line["trace_id"] == lines.last().unwrap()["trace_id"]));
}

#[actix_web::test]
async fn a_callers_ids_are_adopted_and_malformed_ones_replaced() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let capture = Capture::start();
    let app = app!();
    let request = TestRequest::get()
        .uri("/ok/1")
        .insert_header(("traceparent", PARENT))
        .insert_header(("x-request-id", "mine-1"));
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(response.headers().get("x-request-id").unwrap(), "mine-1");
    read_body(response).await;
    let span = &capture.spans()[0];
    assert_eq!(span.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");

    let request = TestRequest::get()
        .uri("/ok/1")
        .insert_header(("x-request-id", "a\"b"))
        .insert_header(("traceparent", "00-zz-00f067aa0ba902b7-01"));
    let response = call_service(&app, request.to_request()).await;
    let id = response.headers().get("x-request-id").unwrap().to_str().unwrap().to_owned();
    read_body(response).await;
    assert_eq!(capture.lines().last().unwrap()["trace_id"], id.as_str());
    assert_eq!(id.len(), 32);
}

#[actix_web::test]
async fn a_caller_that_does_not_sample_is_obeyed_and_its_ids_stay_in_the_lines() {
    let capture = Capture::start();
    let app = app!();
    let parent = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    let response = call_service(&app, TestRequest::get().uri("/ok/1").insert_header(parent).to_request()).await;
    assert!(!response.headers().contains_key("traceresponse"));
    read_body(response).await;
    assert_eq!(capture.spans().len(), 0);
    assert_eq!(closing(&capture)[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}
