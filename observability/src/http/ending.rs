//! How a request ends: one line, one observation, one span, whatever happened to it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use actix_web::dev::ServiceRequest;
use actix_web::http::{StatusCode, Uri};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};
use tracing::Span;

use super::worker::{Kind, Worker, method_index, method_word};
use super::{APP_ERRORS, Failure, Severity};
use crate::context::Request;
use crate::{line, traces};

/// The client went away before the answer was complete (nginx's number; HTTP has none).
pub(super) const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Ends a request exactly once: when it is finished, or when it is dropped unfinished.
pub(super) struct Ending {
    request: Arc<Request>,
    span: Span,
    worker: Rc<Worker>,
    method: usize,
    uri: Uri,
    started: Instant,
    answer: Option<Answer>,
    ended: bool,
}

/// What was answered, as far as it is known before the body has left.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The pattern that matched. Without it, the path is looked up again.
    pub(super) route: Option<String>,
    pub(super) failure: Option<Box<Failure>>,
}

impl Ending {
    pub(super) fn new(call: &ServiceRequest, worker: Rc<Worker>, request: Arc<Request>, span: Span) -> Self {
        let method = method_index(call.method());
        if let Some(active) = worker.active(method) {
            active.increment(1.0);
        }
        Self {
            request,
            span,
            worker,
            method,
            uri: call.uri().clone(),
            started: Instant::now(),
            answer: None,
            ended: false,
        }
    }

    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// The answer has left as it was meant to.
    pub(super) fn finish(mut self) {
        let answer = self.answer.take();
        let status = answer.as_ref().map_or(500, |answer| answer.status.as_u16());
        self.end(status, answer);
    }

    fn end(&mut self, status: u16, answer: Option<Answer>) {
        let took = self.started.elapsed();
        self.ended = true;
        if let Some(active) = self.worker.active(self.method) {
            active.decrement(1.0);
        }
        let (route, failure) = answer.map_or((None, None), |answer| (answer.route, answer.failure));
        let route = route.or_else(|| self.worker.routes.match_pattern(self.uri.path()));
        let failure = failure.as_deref();
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let kind = self.worker.kind(self.method, route.as_deref(), status, failure);
        kind.duration.record(took.as_secs_f64());
        if let Some(failure) = failure {
            APP_ERRORS.increment([failure.failure_type, failure.severity.as_str()]);
        }
        if let (Some(core), Some(template), true) = (&self.worker.core, &kind.template, self.worker.writes(kind.level))
        {
            match failure {
                Some(Failure { failure_type, cause, .. }) => {
                    let more = [("failure_type", *failure_type), ("cause", cause.as_str())];
                    line::close(core, template, &self.request, microseconds, &more);
                }
                None => line::close(core, template, &self.request, microseconds, &[]),
            }
        }
        if self.request.sampled {
            self.send_span(&kind, status, failure, SystemTime::now() - took);
        }
    }

    fn send_span(&self, kind: &Kind, status: u16, failure: Option<&Failure>, start_time: SystemTime) {
        let mut span = traces::root(&self.request, SpanKind::Server, kind.span_name.into(), start_time);
        span.attributes.extend([
            KeyValue::new("http.request.method", method_word(self.method)),
            KeyValue::new("url.path", self.uri.path().to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ]);
        if kind.route != "unmatched" {
            span.attributes.push(KeyValue::new("http.route", kind.route));
        }
        if let Some(request_id) = self.request.own_request_id() {
            span.attributes.push(KeyValue::new("request_id", request_id.to_owned()));
        }
        if !kind.error_type.is_empty() {
            span.attributes.push(KeyValue::new("error.type", kind.error_type));
        }
        // The caller is at fault for a 4xx, so the server's span stays unset: OpenTelemetry's rule.
        if status >= 500 || failure.is_some_and(|failure| failure.severity == Severity::Error) {
            span.status = Status::error(failure.map(|failure| failure.cause.clone()).unwrap_or_default());
        }
        if let Some(core) = &self.worker.core {
            core.spans.end(span);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Dropped by a panic that passed through, or because client or server gave up.
        let status = if std::thread::panicking() { 500 } else { CLIENT_CLOSED_REQUEST };
        self.end(status, None);
    }
}
