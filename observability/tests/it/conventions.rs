//! Spans are named and described as OpenTelemetry's stable conventions for HTTP and databases say.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpResponse, web};
use observability::testing::Capture;
use observability::{client, context, db, http};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use tracing::{Instrument as _, info_span};

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let held: Vec<_> = span.attributes.iter().filter(|held| held.key.as_str() == key).collect();
    assert!(held.len() <= 1, "{key} stands twice in {span:?}");
    held.first().map(|held| held.value.to_string())
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {spans:?}"))
}

#[actix_web::test]
async fn a_requests_span_has_the_name_and_the_attributes_of_its_method_route_and_status() {
    let get = || web::get().to(async || "found");
    for (method, path, name, word, original, route, status) in [
        ("GET", "/v1/orders/7", "GET /v1/orders/{id}", "GET", None, Some("/v1/orders/{id}"), 200),
        ("HEAD", "/v1/orders/7", "HEAD /v1/orders/{id}", "HEAD", None, Some("/v1/orders/{id}"), 200),
        ("POST", "/v1/orders/7", "POST /v1/orders/{id}", "POST", None, Some("/v1/orders/{id}"), 405),
        ("BREW", "/v1/orders/7", "HTTP /v1/orders/{id}", "_OTHER", Some("BREW"), Some("/v1/orders/{id}"), 405),
        ("TRACE", "/v1/orders/7", "TRACE /v1/orders/{id}", "TRACE", None, Some("/v1/orders/{id}"), 405),
        ("GET", "/nowhere", "GET", "GET", None, None, 404),
    ] {
        let capture = Capture::start();
        let orders = web::resource("/v1/orders/{id}").route(get()).route(web::head().to(async || "found"));
        let app = init_service(App::new().wrap(http::observe()).service(orders)).await;
        let method: Method = method.parse().unwrap();
        read_body(call_service(&app, TestRequest::with_uri(path).method(method).to_request()).await).await;

        let spans = capture.spans();
        let span = named(&spans, name);
        let read = |key| attribute(span, key);
        assert_eq!((&span.span_kind, &span.status), (&SpanKind::Server, &Status::Unset), "{name}");
        assert_eq!(read("http.request.method").as_deref(), Some(word), "{name}");
        assert_eq!(read("http.request.method_original").as_deref(), original, "{name}");
        assert_eq!(read("http.route").as_deref(), route, "{name}");
        assert_eq!(read("http.response.status_code"), Some(status.to_string()), "{name}");
        assert_eq!((read("url.scheme").as_deref(), read("url.path").as_deref()), (Some("http"), Some(path)), "{name}");
    }
}

#[actix_web::test]
async fn a_context_field_never_stands_beside_an_attribute_of_the_same_name() {
    let capture = Capture::start();
    let handler = async || {
        for key in ["url.path", "url.scheme", "error.type", "http.route", "http.request.method"] {
            context::put(key, "forged");
        }
        HttpResponse::InternalServerError().finish()
    };
    let app = init_service(App::new().wrap(http::observe()).route("/", web::get().to(handler))).await;
    read_body(call_service(&app, TestRequest::get().uri("/").to_request()).await).await;
    let span = &capture.spans()[0];
    assert!(!format!("{span:?}").contains("forged"), "{span:?}");
    assert_eq!(attribute(span, "error.type").as_deref(), Some("500"));
}

#[actix_web::test]
async fn a_query_and_a_call_are_client_spans_that_say_what_was_asked_and_how_it_ended() {
    let capture = Capture::start();
    observability::job("test", None, async {
        db::observe("SELECT", "orders", async { sqlx::Result::Ok(()) }).await.unwrap();
        let lost = async { sqlx::Result::<()>::Err(sqlx::Error::PoolTimedOut) };
        db::observe("INSERT", "orders", lost).await.unwrap_err();
        // Nobody listens on that port.
        let refused = client::builder().build().unwrap().get("http://127.0.0.1:1/secret");
        client::send("payments", refused).await.unwrap_err();
    })
    .await;

    let spans = capture.spans();
    let query = named(&spans, "SELECT orders");
    assert_eq!((&query.span_kind, &query.status), (&SpanKind::Client, &Status::Unset));
    for (key, value) in
        [("db.system.name", "postgresql"), ("db.operation.name", "SELECT"), ("db.collection.name", "orders")]
    {
        assert_eq!(attribute(query, key).as_deref(), Some(value), "{key}");
    }
    let lost = named(&spans, "INSERT orders");
    assert_eq!(attribute(lost, "error.type").as_deref(), Some("pool_timeout"));
    assert!(matches!(lost.status, Status::Error { .. }));
    let call = named(&spans, "GET");
    assert_eq!(attribute(call, "server.address").as_deref(), Some("payments"));
    assert_eq!(attribute(call, "error.type").as_deref(), Some("connect"));
    assert!(!format!("{call:?}").contains("secret"), "the URL may be a credential: {call:?}");
}

#[actix_web::test]
async fn a_query_a_call_and_a_job_that_are_given_up_are_counted_and_their_spans_say_so() {
    let capture = Capture::start();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let work = observability::job("given up", None, async move {
        let call = client::send("payments", client::builder().build().unwrap().get(url));
        let query = db::observe("SELECT", "orders", std::future::pending::<sqlx::Result<()>>());
        drop(futures_util::future::join(call, query).await);
    });
    assert!(tokio::time::timeout(Duration::from_millis(50), work).await.is_err());

    let spans = capture.spans();
    for name in ["SELECT orders", "GET", "given up"] {
        let span = named(&spans, name);
        assert_eq!(attribute(span, "error.type").as_deref(), Some("cancelled"), "{name}");
        assert!(matches!(span.status, Status::Error { .. }), "{name}");
    }
    let report = capture.report();
    for series in [
        "db_operation_name=\"SELECT\",db_collection_name=\"orders\",error_type=\"cancelled\"} 1\n",
        "server_address=\"payments\",http_response_status_code=\"\",error_type=\"cancelled\"} 1\n",
    ] {
        assert!(report.contains(series), "{series} in {report}");
    }
}

/// Whose child it is, by name; empty for a root.
fn parent<'a>(spans: &'a [SpanData], name: &str) -> &'a str {
    let id = named(spans, name).parent_span_id;
    if id == SpanId::INVALID {
        return "";
    }
    &spans.iter().find(|span| span.span_context.span_id() == id).unwrap_or_else(|| panic!("no parent of {name}")).name
}

#[actix_web::test]
async fn spans_within_spans_have_the_right_parents_whichever_task_they_are_in() {
    let capture = Capture::start();
    observability::job("root", None, async {
        let deep = async {
            let headers = async { context::traceparent().unwrap() }.instrument(info_span!("grandchild")).await;
            let local = observability::spawn_local(async {}.instrument(info_span!("local")));
            local.await.unwrap();
            observability::spawn(async {}.instrument(info_span!("spawned"))).await.unwrap();
            headers
        };
        let sent = deep.instrument(info_span!("child")).await;
        context::put("sent", sent);
        info_span!(parent: &tracing::Span::current(), "explicit").in_scope(|| {});
    })
    .await;

    let spans = capture.spans();
    for (child, of) in [
        ("root", ""),
        ("child", "root"),
        ("grandchild", "child"),
        ("local", "child"),
        ("spawned", "child"),
        ("explicit", "root"),
    ] {
        assert_eq!(parent(&spans, child), of, "{child}");
        assert_eq!(named(&spans, child).span_context.trace_id(), named(&spans, "root").span_context.trace_id());
    }
    let context = &named(&spans, "grandchild").span_context;
    let sent = format!("00-{}-{}-01", context.trace_id(), context.span_id());
    assert_eq!(attribute(named(&spans, "root"), "sent"), Some(sent), "an outgoing header names the innermost span");
}
