//! Outgoing calls: the trace goes along, and the call is a span and an observation.

use std::time::Instant;

use reqwest::{ClientBuilder, RequestBuilder, Response};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};

use crate::context;
use crate::http::SECONDS;
use crate::metrics::{Histogram, intern};

/// Durations of calls to other services. `server_address` is the configured name, never a host from a request.
pub static REQUEST_DURATION: Histogram<4> = Histogram::new(
    "http_client_request_duration_seconds",
    "How long calls to other services took, until their head had arrived.",
    ["http_request_method", "server_address", "http_response_status_code", "error_type"],
    SECONDS,
);

/// A client builder that has its cryptography.
pub fn builder() -> ClientBuilder {
    install_crypto();
    reqwest::Client::builder()
}

/// reqwest without a provider of its own panics when the first client is built.
pub(crate) fn install_crypto() {
    // An error says that the process has one already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Sends a request with `traceparent`, `tracestate`, `baggage` and `x-request-id` of the current one.
///
/// The span has no URL: that of a webhook is its credential.
///
/// # Errors
/// As `RequestBuilder::send`. An answer with an error status is no error here.
pub async fn send(server: &'static str, request: RequestBuilder) -> reqwest::Result<Response> {
    let (client, request) = request.build_split();
    let mut request = request?;
    let method = intern("http_request_method", request.method().as_str());
    let span = info_span!(
        "call",
        otel.name = method,
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method,
        server.address = server,
        http.response.status_code = Empty,
        error.type = Empty,
    );
    span.in_scope(|| {
        for (name, value) in context::propagation_headers() {
            if let Ok(value) = value.parse() {
                request.headers_mut().insert(name, value);
            }
        }
    });
    let started = Instant::now();
    let result = client.execute(request).instrument(span.clone()).await;
    record(&span, method, server, &result, started);
    result
}

fn record(
    span: &Span,
    method: &'static str,
    server: &'static str,
    result: &reqwest::Result<Response>,
    started: Instant,
) {
    let (status, error_type) = match result {
        Ok(response) => {
            let status = response.status();
            span.record("http.response.status_code", i64::from(status.as_u16()));
            let text = intern("http_response_status_code", status.as_str());
            (text, if status.is_client_error() || status.is_server_error() { text } else { "" })
        }
        Err(error) if error.is_timeout() => ("", "timeout"),
        Err(error) if error.is_connect() => ("", "connect"),
        Err(_) => ("", "other"),
    };
    if !error_type.is_empty() {
        span.record("error.type", error_type);
        span.record("otel.status_code", "ERROR");
    }
    REQUEST_DURATION.record([method, server, status, error_type], started.elapsed().as_secs_f64());
}
