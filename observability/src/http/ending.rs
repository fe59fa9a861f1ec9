//! How a request ends: one line, one observation, one span, whatever happened to it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::http::uri::PathAndQuery;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};

use super::identify::identify;
use super::worker::{Kind, Worker, method_index, method_word};
use super::{APP_ERRORS, Failure, Severity};
use crate::context::{self, Request};
use crate::{line, subscriber, traces};

/// The client went away before the answer was complete (nginx's number; HTTP has none).
pub(super) const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Ends a request exactly once: when it is finished, or when it is dropped unfinished.
pub(super) struct Ending {
    request: Arc<Request>,
    worker: Rc<Worker>,
    method: usize,
    target: Option<PathAndQuery>,
    started: Instant,
    /// What was answered, as far as it is known before the body has left.
    answer: Option<Rc<Kind>>,
    failure: Option<Box<Failure>>,
    ended: bool,
}

impl Ending {
    pub(super) fn new(call: &ServiceRequest, worker: Rc<Worker>) -> Self {
        let started = Instant::now();
        let method = method_index(call.method());
        if let Some(active) = worker.active(method) {
            active.increment(1.0);
        }
        Self {
            request: identify(call.headers(), worker.core.as_deref()),
            worker,
            method,
            target: call.uri().path_and_query().cloned(),
            started,
            answer: None,
            failure: None,
            ended: false,
        }
    }

    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    /// Runs a part of the request, whose lines and spans belong to it.
    pub(super) fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        let _at_work = context::work_on(&self.request);
        work()
    }

    /// Says what is answered. `route` is the pattern that matched; without it the path is looked up again.
    pub(super) fn answer(&mut self, status: StatusCode, route: Option<&str>, failure: Option<Box<Failure>>) {
        let kind = match route {
            Some(route) => self.worker.kind(self.method, Some(route), status.as_u16(), failure.as_deref()),
            None => self.kind(status.as_u16(), failure.as_deref()),
        };
        self.answer = Some(kind);
        self.failure = failure;
    }

    fn kind(&self, status: u16, failure: Option<&Failure>) -> Rc<Kind> {
        let route = self.worker.routes.match_pattern(self.path());
        self.worker.kind(self.method, route.as_deref(), status, failure)
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::path)
    }

    /// The answer has left as it was meant to.
    pub(super) fn finish(&mut self) {
        if let Some(kind) = self.answer.take() {
            self.end(&kind);
        }
    }

    fn end(&mut self, kind: &Kind) {
        let took = self.started.elapsed();
        self.ended = true;
        if let Some(active) = self.worker.active(self.method) {
            active.decrement(1.0);
        }
        kind.duration.record(took.as_secs_f64());
        let failure = self.failure.as_deref();
        if let Some(failure) = failure {
            APP_ERRORS.increment([failure.failure_type, failure.severity.as_str()]);
        }
        if let (Some(core), Some(template)) = (&self.worker.core, &kind.template) {
            let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            match failure {
                Some(Failure { failure_type, cause, .. }) => {
                    let more = [("failure_type", *failure_type), ("cause", cause.as_str())];
                    line::close(core, template, &self.request, microseconds, &more);
                }
                None => line::close(core, template, &self.request, microseconds, &[]),
            }
        }
        if self.request.sampled {
            self.send_span(kind, took);
        }
        subscriber::release(&self.request);
    }

    fn send_span(&self, kind: &Kind, took: Duration) {
        let failure = self.failure.as_deref();
        let mut span = traces::root(&self.request, SpanKind::Server, kind.span_name.into(), took);
        span.attributes.extend([
            KeyValue::new("http.request.method", method_word(self.method)),
            KeyValue::new("url.path", self.path().to_owned()),
            KeyValue::new("http.response.status_code", i64::from(kind.status)),
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
        if kind.status >= 500 || failure.is_some_and(|failure| failure.severity == Severity::Error) {
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
        let route = self.answer.take().map(|kind| kind.route);
        self.failure = None;
        let kind = match route {
            Some(route) => self.worker.kind(self.method, Some(route), status, None),
            None => self.kind(status, None),
        };
        self.end(&kind);
    }
}
