//! Line, span and metric of one real request agree: what the whole template is about.

use actix_web::test::TestRequest;
use observability::testing::Capture;
use service::{database::Database, metrics};
use sqlx::PgPool;

use crate::support::api::{LIMITS, an_order, start};

#[sqlx::test]
async fn line_span_and_metric_of_an_order_agree(pool: PgPool) {
    let capture = Capture::with("info", 1.0, metrics::ALL);
    let api = start(Database::fixed(pool), LIMITS).await;

    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    let request = TestRequest::post().uri("/v1/orders").set_json(an_order());
    let answer = api.send(request.insert_header(("traceparent", parent))).await;
    let order_id = answer.body["id"].as_str().unwrap();

    let lines = capture.lines();
    let [line] = lines.as_slice() else { panic!("not one line: {lines:?}") };
    assert_eq!(line["message"], "POST /v1/orders → 201");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["trace_id"], trace_id);
    assert_eq!(line["http.route"], "/v1/orders");
    assert_eq!(line["order_id"], order_id);

    let spans = capture.spans();
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (server, query) = (named("POST /v1/orders"), named("INSERT orders"));
    assert_eq!(server.span_context.trace_id().to_string(), trace_id);
    assert_eq!(server.span_context.span_id().to_string(), line["span_id"].as_str().unwrap());
    assert_eq!(query.parent_span_id, server.span_context.span_id());
    let holds =
        |key: &str, value: &str| server.attributes.iter().any(|a| a.key.as_str() == key && a.value.as_str() == value);
    assert!(holds("http.route", "/v1/orders") && holds("order_id", order_id), "{server:?}");

    let report = capture.report();
    for series in [
        "orders_created_total 1",
        "http_server_request_duration_seconds_count{http_request_method=\"POST\",\
         http_route=\"/v1/orders\",http_response_status_code=\"201\",error_type=\"\"} 1",
        "db_client_operation_duration_seconds_count{db_operation_name=\"INSERT\",\
         db_collection_name=\"orders\",error_type=\"\"} 1",
        "db_client_connection_wait_time_seconds_count 1",
    ] {
        assert!(report.contains(series), "{series} is missing in\n{report}");
    }
}
