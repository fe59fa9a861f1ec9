//! What goes wrong in a request is told once, in line, span and numbers alike.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody, SizedStream};
use actix_web::error::ErrorBadGateway;
use actix_web::test::{TestRequest, call_service, init_service, read_body, try_call_service};
use actix_web::web::Bytes;
use actix_web::{App, Error, HttpResponse, web};
use observability::http::{Failure, Severity, observe};
use observability::testing::Capture;
use serde_json::Value;

/// A body that ends in trouble after its first chunk.
struct Broken {
    panics: bool,
    begun: bool,
}

impl MessageBody for Broken {
    type Error = Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if !self.begun {
            self.begun = true;
            return Poll::Ready(Some(Ok(Bytes::from_static(b"chunk"))));
        }
        assert!(!self.panics, "in the middle of the body");
        Poll::Ready(Some(Err(ErrorBadGateway("the store went away"))))
    }
}

/// Says something when it is dropped.
struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        tracing::info!("given up");
    }
}

fn failure() -> Failure {
    Failure { failure_type: "dependency", severity: Severity::Warning, cause: "timed out".into() }
}

/// Accepted, in spite of a failure or without one.
async fn accepted(failed: web::Path<bool>) -> HttpResponse {
    let response = HttpResponse::Accepted().body("later");
    if *failed { failure().attach(response) } else { response }
}

async fn never() -> HttpResponse {
    let _farewell = Farewell;
    std::future::pending().await
}

async fn sized() -> HttpResponse {
    let chunk = async {
        tracing::info!("chunk");
        Ok::<_, Error>(Bytes::from_static(b"chunk"))
    };
    HttpResponse::Ok().body(SizedStream::new(5, futures_util::stream::once(Box::pin(chunk))))
}

macro_rules! app {
    () => {
        init_service(
            App::new()
                .wrap(observe())
                .route("/bad", web::get().to(async || Err::<&str, _>(ErrorBadGateway("upstream says no"))))
                .route("/accepted/{failed}", web::get().to(accepted))
                .route(
                    "/broken",
                    web::get().to(async || HttpResponse::Ok().body(Broken { panics: false, begun: false })),
                )
                .route(
                    "/panics",
                    web::get().to(async || HttpResponse::Ok().body(Broken { panics: true, begun: false })),
                )
                .route("/failed", web::get().to(async || failure().attach(HttpResponse::BadGateway().body("no"))))
                .route("/never", web::get().to(never))
                .route("/sized", web::get().to(sized)),
        )
        .await
    };
}

/// The one closing line; its span and its observation say the same.
fn told(capture: &Capture, error_type: &str) -> Value {
    let closing: Vec<_> = capture.lines().into_iter().filter(|line| line["target"] == "observability::http").collect();
    let [line] = closing.as_slice() else { panic!("not one line: {closing:?}") };
    let spans = capture.spans();
    let [span] = spans.as_slice() else { panic!("not one span: {spans:?}") };
    let attribute =
        |key: &str| span.attributes.iter().find(|held| held.key.as_str() == key).map(|held| held.value.to_string());
    assert_eq!(attribute("http.response.status_code"), Some(line["http.response.status_code"].to_string()));
    assert_eq!(attribute("error.type").as_deref(), Some(error_type), "{line}");
    let (status, route) = (&line["http.response.status_code"], line["http.route"].as_str().unwrap());
    let series =
        format!("http_route=\"{route}\",http_response_status_code=\"{status}\",error_type=\"{error_type}\"}} 1\n");
    assert!(capture.report().contains(&series), "{series} in {}", capture.report());
    line.clone()
}

#[actix_web::test]
async fn an_error_that_nobody_named_is_an_error_line_with_its_text() {
    let capture = Capture::start();
    let response = call_service(&app!(), TestRequest::get().uri("/bad").to_request()).await;
    assert_eq!(response.status(), 502);
    read_body(response).await;
    let line = told(&capture, "502");
    assert_eq!((line["level"].as_str(), line["cause"].as_str()), (Some("ERROR"), Some("upstream says no")), "{line}");
}

#[actix_web::test]
async fn answers_of_one_status_with_and_without_a_failure_are_told_apart() {
    for order in [[true, false], [false, true]] {
        let capture = Capture::start();
        let app = app!();
        for failed in order {
            let request = TestRequest::get().uri(&format!("/accepted/{failed}")).to_request();
            read_body(call_service(&app, request).await).await;
            let (level, error_type) = if failed { ("WARN", "dependency") } else { ("INFO", "") };
            let lines = capture.lines();
            assert_eq!(lines.last().unwrap()["level"], level, "{failed} in {order:?}: {lines:?}");
            let series = format!("http_response_status_code=\"202\",error_type=\"{error_type}\"}} 1\n");
            assert!(capture.report().contains(&series), "{series}");
        }
    }
}

#[actix_web::test]
async fn a_body_that_breaks_off_or_panics_is_our_failure_and_not_the_clients() {
    for (path, error_type, cause) in [
        ("/broken", "500", "the answer's body broke off: the store went away"),
        ("/panics", "panic", "the answer's body panicked"),
    ] {
        let capture = Capture::start();
        let response = call_service(&app!(), TestRequest::get().uri(path).to_request()).await;
        assert!(actix_web::body::to_bytes(response.into_body()).await.is_err());
        let line = told(&capture, error_type);
        assert_eq!(line["http.response.status_code"], 500, "{line}");
        assert_eq!((line["level"].as_str(), line["cause"].as_str()), (Some("ERROR"), Some(cause)), "{line}");
    }
}

#[actix_web::test]
async fn a_failure_whose_client_leaves_is_counted_all_the_same() {
    let capture = Capture::start();
    drop(call_service(&app!(), TestRequest::get().uri("/failed").to_request()).await);
    let line = told(&capture, "dependency");
    assert_eq!((line["http.response.status_code"].as_u64(), line["cause"].as_str()), (Some(499), Some("timed out")));
    assert!(capture.report().contains("app_errors_total{failure_type=\"dependency\",severity=\"warning\"} 1\n"));
}

#[actix_web::test]
async fn what_a_handler_says_when_it_is_given_up_belongs_to_its_request() {
    let capture = Capture::start();
    let app = app!();
    let call = try_call_service(&app, TestRequest::get().uri("/never").to_request());
    assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
    let lines = capture.lines();
    assert_eq!(lines[0]["message"], "given up");
    assert_eq!(lines[0]["trace_id"], told(&capture, "cancelled")["trace_id"]);
}

#[actix_web::test]
async fn lines_from_inside_a_body_of_known_length_carry_the_request() {
    let capture = Capture::start();
    read_body(call_service(&app!(), TestRequest::get().uri("/sized").to_request()).await).await;
    let lines = capture.lines();
    assert_eq!((lines[0]["message"].as_str(), &lines[0]["trace_id"]), (Some("chunk"), &lines[1]["trace_id"]));
}
