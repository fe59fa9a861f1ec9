use std::sync::Arc;

use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use observability::testing::Capture;
use observability::{client, context, db, http};
use opentelemetry::trace::SpanKind;
use tokio::sync::Mutex;

type Headers = Arc<Mutex<Vec<(String, String)>>>;

/// Another service, which remembers what it was sent.
fn other_service(seen: Headers) -> String {
    let server = HttpServer::new(move || {
        let seen = Arc::clone(&seen);
        App::new().default_service(web::to(move |request: HttpRequest| {
            let seen = Arc::clone(&seen);
            async move {
                let pairs = request.headers().iter();
                let pairs = pairs.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
                seen.lock().await.extend(pairs);
                HttpResponse::Ok().finish()
            }
        }))
    })
    .workers(1)
    .bind("127.0.0.1:0")
    .unwrap();
    let url = format!("http://{}/pay", server.addrs()[0]);
    observability::spawn_local(server.run());
    url
}

async fn work(url: web::Data<String>) -> HttpResponse {
    let query = async { sqlx::Result::Ok(()) };
    db::observe("SELECT", "orders", query).await.unwrap();
    client::send("payments", client::builder().build().unwrap().get(url.as_str())).await.unwrap();
    observability::spawn(db::observe("INSERT", "audit", async { sqlx::Result::<()>::Err(sqlx::Error::PoolTimedOut) }))
        .await
        .unwrap()
        .unwrap_err();
    HttpResponse::Ok().finish()
}

#[actix_web::test]
async fn queries_calls_and_spawned_work_are_children_and_the_call_carries_the_trace() {
    let capture = Capture::start();
    let seen = Headers::default();
    let url = web::Data::new(other_service(Arc::clone(&seen)));
    let app = init_service(App::new().app_data(url).wrap(http::observe()).route("/", web::get().to(work))).await;
    let request = TestRequest::get().uri("/").insert_header(("baggage", "a=b")).insert_header(("x-request-id", "r-1"));
    read_body(call_service(&app, request.to_request()).await).await;

    let spans = capture.spans();
    let named =
        |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name} in {spans:?}"));
    let root = named("GET /");
    assert_eq!(spans.len(), 4);
    for name in ["SELECT orders", "GET", "INSERT audit"] {
        let child = named(name);
        assert_eq!(child.parent_span_id, root.span_context.span_id(), "{name}");
        assert_eq!(child.span_context.trace_id(), root.span_context.trace_id());
        assert_eq!(child.span_kind, SpanKind::Client);
    }
    assert!(matches!(named("INSERT audit").status, opentelemetry::trace::Status::Error { .. }));

    let sent = seen.lock().await;
    let header = |name: &str| &sent.iter().find(|(held, _)| held == name).unwrap().1;
    let call = named("GET").span_context.clone();
    assert_eq!(header("traceparent"), &format!("00-{}-{}-01", call.trace_id(), call.span_id()));
    assert_eq!((header("x-request-id").as_str(), header("baggage").as_str()), ("r-1", "a=b"));
}

#[actix_web::test]
async fn an_unsampled_request_makes_no_child_spans_but_its_queries_are_counted() {
    let capture = Capture::with("info", 0.0, &[]);
    let url = web::Data::new(other_service(Headers::default()));
    let app = init_service(App::new().app_data(url).wrap(http::observe()).route("/", web::get().to(work))).await;
    read_body(call_service(&app, TestRequest::get().uri("/").to_request()).await).await;
    assert_eq!(capture.spans().len(), 0);
    let report = capture.report();
    for series in [
        "db_client_operation_duration_seconds_count{db_operation_name=\"SELECT\",db_collection_name=\"orders\",error_type=\"\"} 1",
        "db_client_operation_duration_seconds_count{db_operation_name=\"INSERT\",db_collection_name=\"audit\",error_type=\"pool_timeout\"} 1",
        "http_client_request_duration_seconds_count{http_request_method=\"GET\",server_address=\"payments\",http_response_status_code=\"200\",error_type=\"\"} 1",
    ] {
        assert!(report.contains(series), "{series} in {report}");
    }
}

#[actix_web::test]
async fn a_job_is_a_trace_of_its_own_that_links_to_its_cause() {
    let capture = Capture::start();
    let cause = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    observability::job("settle payment", Some(cause), async {
        context::put("order_id", "o-1");
        db::observe("UPDATE", "orders", async { sqlx::Result::Ok(()) }).await.unwrap();
        tracing::info!("settled");
    })
    .await;

    let spans = capture.spans();
    let [query, job] = spans.as_slice() else { panic!("not two spans: {spans:?}") };
    assert_eq!((job.name.as_ref(), &job.span_kind), ("settle payment", &SpanKind::Internal));
    assert_eq!(query.parent_span_id, job.span_context.span_id());
    let [link] = job.links.links.as_slice() else { panic!("not one link: {:?}", job.links) };
    assert_eq!(link.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(link.span_context.span_id().to_string(), "00f067aa0ba902b7");
    let line = &capture.lines()[0];
    assert_eq!(line["trace_id"], job.span_context.trace_id().to_string());
    assert_eq!((line["order_id"].as_str(), line["linked_trace_id"].as_str()), (Some("o-1"), Some(&cause[3..35])));
}

#[actix_web::test]
async fn a_job_whose_cause_was_not_sampled_has_ids_and_no_spans() {
    let capture = Capture::start();
    let cause = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    observability::job("settle payment", Some(cause), async { tracing::info!("settled") }).await;
    assert_eq!(capture.spans().len(), 0);
    assert_eq!(capture.lines()[0]["trace_id"].as_str().map(str::len), Some(32));
}
