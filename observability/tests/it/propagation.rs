use actix_web::http::header::HeaderValue;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, web};
use observability::testing::Capture;
use observability::{context, http};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What a request with these headers would send on to the next service.
async fn sent_on(headers: &[(&'static str, String)]) -> Vec<(String, String)> {
    let _capture = Capture::start();
    let handler = async || web::Json(context::propagation_headers());
    let app = init_service(App::new().wrap(http::observe()).route("/", web::get().to(handler))).await;
    let request = headers
        .iter()
        .fold(TestRequest::get().uri("/"), |request, header| request.append_header((header.0, header.1.as_str())));
    let body = read_body(call_service(&app, request.to_request()).await).await;
    serde_json::from_slice(&body).unwrap()
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
}

fn parent(flags: &str) -> (&'static str, String) {
    ("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-{flags}"))
}

#[actix_web::test]
async fn a_sound_parent_goes_on_with_our_span_and_its_own_decision() {
    for (flags, sent) in [("01", "01"), ("00", "00"), ("03", "01"), ("fe", "00")] {
        let headers = sent_on(&[parent(flags)]).await;
        let traceparent = value(&headers, "traceparent").unwrap();
        assert!(traceparent.starts_with(&format!("00-{TRACE}-")), "{traceparent}");
        assert!(!traceparent.contains("00f067aa0ba902b7"), "{traceparent}");
        assert!(traceparent.ends_with(&format!("-{sent}")), "{flags}: {traceparent}");
    }
}

#[actix_web::test]
async fn a_parent_that_is_malformed_or_stands_twice_begins_a_new_trace_without_its_state() {
    let state = ("tracestate", "vendor=1".to_owned());
    let wrong = |text: String| vec![("traceparent", text), state.clone()];
    for headers in [
        wrong(format!("00-{TRACE}-00f067aa0ba902b7")),
        wrong(format!("00-{TRACE}-00f067aa0ba902b7-01-more")),
        wrong(format!("ff-{TRACE}-00f067aa0ba902b7-01")),
        wrong(format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase())),
        wrong(format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32))),
        wrong("00".repeat(5000)),
        vec![parent("01"), parent("01"), state.clone()],
    ] {
        let sent = sent_on(&headers).await;
        assert!(!value(&sent, "traceparent").unwrap().contains(TRACE), "{headers:?}: {sent:?}");
        assert_eq!(value(&sent, "tracestate"), None, "{headers:?}");
    }
}

#[actix_web::test]
async fn state_and_baggage_of_several_headers_are_joined_in_order_and_oversized_ones_dropped() {
    let many = |name| vec![parent("01"), (name, "a=1".to_owned()), (name, "b=2,c=3".to_owned())];
    for name in ["tracestate", "baggage"] {
        let sent = sent_on(&many(name)).await;
        assert_eq!(value(&sent, name), Some("a=1,b=2,c=3"), "{name}");
        let long = sent_on(&[parent("01"), (name, format!("a={}", "x".repeat(9000)))]).await;
        assert_eq!(value(&long, name), None, "{name}");
        assert!(value(&long, "traceparent").unwrap().contains(TRACE));
    }
}

#[actix_web::test]
async fn a_request_id_that_is_unsound_or_stands_twice_is_replaced() {
    let id = |text: &str| ("x-request-id", text.to_owned());
    let sent = sent_on(&[id("mine-1")]).await;
    assert_eq!(value(&sent, "x-request-id"), Some("mine-1"));
    for headers in [vec![id("a b")], vec![id("mine-1"), id("mine-2")], vec![id(&"x".repeat(65))]] {
        let sent = sent_on(&headers).await;
        assert_eq!(value(&sent, "x-request-id").map(str::len), Some(32), "{headers:?}");
    }
}

#[actix_web::test]
async fn bytes_that_are_no_text_count_as_absent() {
    let capture = Capture::start();
    let app = init_service(App::new().wrap(http::observe()).route("/{path}", web::get().to(async || "ok"))).await;
    let mut request = TestRequest::get().uri("/%ff%00%0a");
    for name in ["traceparent", "tracestate", "baggage", "x-request-id"] {
        request = request.append_header((name, HeaderValue::from_bytes(b"\xff\xed\xa0\x80").unwrap()));
    }
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(response.headers().get("x-request-id").map(HeaderValue::len), Some(32));
    read_body(response).await;
    assert_eq!(capture.lines()[0]["http.route"], "/{path}");
}
