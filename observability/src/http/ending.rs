//! How a request ends: one line, one observation, one span, whatever happened to it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use actix_web::dev::{ResourceMap, ServiceRequest};
use actix_web::http::{Method, StatusCode, Uri};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};
use tracing::Span;

use super::{ACTIVE_REQUESTS, APP_ERRORS, Failure, REQUEST_DURATION, Severity};
use crate::context::Request;
use crate::layer;
use crate::metrics::intern;
use crate::traces;

/// The client went away before the answer was complete (nginx's number; HTTP has none).
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Ends a request exactly once: when it is finished, or when it is dropped unfinished.
#[derive(Debug)]
pub(super) struct Ending {
    request: Arc<Request>,
    span: Span,
    routes: Rc<ResourceMap>,
    method: &'static str,
    uri: Uri,
    started: Instant,
    start_time: SystemTime,
    status: Option<StatusCode>,
    failure: Option<Failure>,
    finished: bool,
}

impl Ending {
    pub(super) fn new(call: &ServiceRequest, routes: Rc<ResourceMap>, request: Arc<Request>, span: Span) -> Self {
        let method = method_name(call.method());
        ACTIVE_REQUESTS.handle([method]).increment(1.0);
        Self {
            request,
            span,
            routes,
            method,
            uri: call.uri().clone(),
            started: Instant::now(),
            start_time: SystemTime::now(),
            status: None,
            failure: None,
            finished: false,
        }
    }

    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(super) fn status(&mut self, status: StatusCode, failure: Option<Failure>) {
        self.status = Some(status);
        self.failure = failure;
    }

    /// The answer has left as it was meant to.
    pub(super) fn finish(mut self) {
        let status = self.status.map_or(500, |status| status.as_u16());
        self.end(status);
    }

    fn end(&mut self, status: u16) {
        self.finished = true;
        ACTIVE_REQUESTS.handle([self.method]).decrement(1.0);
        let route = self.routes.match_pattern(self.uri.path());
        let route = route.map_or("unmatched", |route| intern("http_route", &route));
        let status_text = status_text(status);
        let error_type = error_type(status, status_text, self.failure.as_ref());
        let took = self.started.elapsed();
        REQUEST_DURATION.record([self.method, route, status_text, error_type], took.as_secs_f64());
        if let Some(failure) = &self.failure {
            APP_ERRORS.increment([failure.failure_type, failure.severity.as_str()]);
        }
        let duration_ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        self.span.in_scope(|| self.line(route, status, duration_ms));
        if self.request.sampled {
            self.send_span(route, status, error_type, self.start_time + took);
        }
    }

    fn line(&self, route: &'static str, status: u16, duration_ms: f64) {
        let method = self.method;
        // A macro, because the level of an event must be a constant.
        macro_rules! closing {
            ($level:ident, $text:literal $(, $($more:tt)*)?) => {
                tracing::$level!(
                    target: "observability::http",
                    { "http.request.method" = method, "http.route" = route, "http.response.status_code" = status, duration_ms $(, $($more)*)? },
                    $text
                )
            };
        }
        match &self.failure {
            None if status == CLIENT_CLOSED_REQUEST => closing!(warn, "{method} {route} → {status}, client gone"),
            None => closing!(info, "{method} {route} → {status}"),
            Some(Failure { failure_type, severity: Severity::Warning, cause }) => {
                closing!(warn, "{method} {route} → {status}", failure_type, cause);
            }
            Some(Failure { failure_type, severity: Severity::Error, cause }) => {
                closing!(error, "{method} {route} → {status}", failure_type, cause);
            }
        }
    }

    fn send_span(&self, route: &'static str, status: u16, error_type: &'static str, end_time: SystemTime) {
        let name = if route == "unmatched" { self.method.into() } else { format!("{} {route}", self.method).into() };
        let mut span = traces::root(&self.request, SpanKind::Server, name, self.start_time);
        span.end_time = end_time;
        span.attributes.extend([
            KeyValue::new("http.request.method", self.method),
            KeyValue::new("url.path", self.uri.path().to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
            KeyValue::new("request_id", self.request.request_id.clone()),
        ]);
        if route != "unmatched" {
            span.attributes.push(KeyValue::new("http.route", route));
        }
        if !error_type.is_empty() {
            span.attributes.push(KeyValue::new("error.type", error_type));
        }
        // The caller is at fault for a 4xx, so the server's span stays unset: OpenTelemetry's rule.
        if status >= 500 || self.failure.as_ref().is_some_and(|failure| failure.severity == Severity::Error) {
            span.status = Status::error(self.failure.as_ref().map(|failure| failure.cause.clone()).unwrap_or_default());
        }
        layer::current(|core| core.spans.end(span));
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Dropped by a panic that passed through, or because client or server gave up.
        let status = if std::thread::panicking() { 500 } else { CLIENT_CLOSED_REQUEST };
        self.end(status);
    }
}

/// The methods that are label values; a client can send any word.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

fn status_text(status: u16) -> &'static str {
    intern("http_response_status_code", &status.to_string())
}

/// Empty for success; for a failure its type, else the status: OpenTelemetry's `error.type`.
fn error_type(status: u16, status_text: &'static str, failure: Option<&Failure>) -> &'static str {
    match failure {
        Some(failure) => failure.failure_type,
        None if status == CLIENT_CLOSED_REQUEST => "cancelled",
        None if status >= 500 => status_text,
        None => "",
    }
}
