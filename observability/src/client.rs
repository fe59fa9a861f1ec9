//! Outgoing calls: the trace goes along, and the call is a span and an observation.

use std::sync::OnceLock;

use reqwest::{ClientBuilder, RequestBuilder, Response};
use tracing::field::Empty;
use tracing::{Instrument as _, info_span};

use crate::context;
use crate::http::SECONDS;
use crate::metrics::{Histogram, intern};
use crate::outcome::Outcome;

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
    let status = OnceLock::new();
    let mut outcome = Outcome::new(span, |error_type, took| {
        REQUEST_DURATION
            .record([method, server, status.get().copied().unwrap_or_default(), error_type], took.as_secs_f64());
    });
    let result = client.execute(request).instrument(outcome.span().clone()).await;
    if let Ok(response) = &result {
        outcome.span().record("http.response.status_code", i64::from(response.status().as_u16()));
        // Not the table of our own answers: a callee could fill that up.
        let _ = status.set(intern("http_client_response_status_code", response.status().as_str()));
    }
    outcome.end(error_type(&result, status.get().copied().unwrap_or_default()));
    result
}

fn error_type(result: &reqwest::Result<Response>, status: &'static str) -> &'static str {
    match result {
        Ok(response) if response.status().is_client_error() || response.status().is_server_error() => status,
        Ok(_) => "",
        Err(error) if error.is_timeout() => "timeout",
        Err(error) if error.is_connect() => "connect",
        Err(_) => "other",
    }
}
