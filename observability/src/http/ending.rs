//! How a request ends: one line, one observation, one span, whatever happened to it.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServiceRequest;
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};

use super::identify::identify;
use super::worker::{Kind, Worker, is_other, method_index, method_word};
use super::{APP_ERRORS, Failure, Severity};
use crate::context::{self, Request};
use crate::{line, subscriber, traces};

/// The client went away before the answer was complete (nginx's number; HTTP has none).
pub(super) const CLIENT_CLOSED_REQUEST: u16 = 499;

/// What went wrong, as the closing line says it.
#[derive(Debug)]
pub(super) struct Trouble {
    /// None where the program gave no [`Failure`].
    pub(super) failure_type: Option<&'static str>,
    pub(super) severity: Severity,
    pub(super) cause: String,
}

impl Trouble {
    /// A failure that only its status, and this cause, tells of.
    pub(super) fn unnamed(cause: String) -> Self {
        Self { failure_type: None, severity: Severity::Error, cause }
    }

    pub(super) fn panic(cause: &str) -> Self {
        Self { failure_type: Some("panic"), severity: Severity::Error, cause: cause.to_owned() }
    }
}

impl From<&Failure> for Trouble {
    fn from(failure: &Failure) -> Self {
        let Failure { failure_type, severity, cause } = failure.clone();
        Self { failure_type: Some(failure_type), severity, cause }
    }
}

/// Ends a request exactly once: when it is finished, or when it is dropped unfinished.
pub(super) struct Ending {
    request: Arc<Request>,
    worker: Rc<Worker>,
    method: usize,
    /// As it was sent, where it is none that everybody knows.
    other_method: Option<Method>,
    secure: bool,
    target: Option<PathAndQuery>,
    started: Instant,
    /// What was answered, as far as it is known before the body has left.
    answer: Option<Rc<Kind>>,
    trouble: Option<Box<Trouble>>,
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
            other_method: is_other(method).then(|| call.method().clone()),
            secure: call.app_config().secure(),
            target: call.uri().path_and_query().cloned(),
            started,
            answer: None,
            trouble: None,
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
    pub(super) fn answer(&mut self, status: StatusCode, route: Option<&str>, trouble: Option<Box<Trouble>>) {
        self.trouble = trouble;
        self.answer = Some(self.kind(status.as_u16(), route));
    }

    fn kind(&self, status: u16, route: Option<&str>) -> Rc<Kind> {
        let looked_up = || self.worker.routes.match_pattern(self.path()).map(Cow::Owned);
        let route = route.map(Cow::Borrowed).or_else(looked_up);
        self.worker.kind(self.method, route.as_deref(), status, self.trouble.as_deref())
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

    /// The answer broke off on our side, whatever its head had said.
    pub(super) fn break_off(&mut self, trouble: Trouble) {
        let route = self.answer.take().map(|kind| kind.route);
        self.trouble.get_or_insert_with(|| Box::new(trouble));
        let kind = self.kind(StatusCode::INTERNAL_SERVER_ERROR.as_u16(), route);
        self.end(&kind);
    }

    fn end(&mut self, kind: &Kind) {
        let took = self.started.elapsed();
        self.ended = true;
        if let Some(active) = self.worker.active(self.method) {
            active.decrement(1.0);
        }
        kind.duration.record(took.as_secs_f64());
        let trouble = self.trouble.as_deref();
        if let Some(Trouble { failure_type: Some(failure_type), severity, .. }) = trouble {
            APP_ERRORS.increment([failure_type, severity.as_str()]);
        }
        if let (Some(core), Some(template)) = (&self.worker.core, &kind.template) {
            let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            let close = |more: &[(&str, &str)]| line::close(core, template, &self.request, microseconds, more);
            match trouble {
                None => close(&[]),
                Some(Trouble { failure_type: Some(failure_type), cause, .. }) => {
                    close(&[("failure_type", failure_type), ("cause", cause)]);
                }
                Some(Trouble { cause, .. }) => close(&[("cause", cause)]),
            }
        }
        if self.request.sampled {
            self.send_span(kind, took);
        }
        subscriber::release(&self.request);
    }

    // Not inlined, so that a profile can name it.
    #[inline(never)]
    fn send_span(&self, kind: &Kind, took: Duration) {
        let trouble = self.trouble.as_deref();
        let mut span = traces::root(&self.request, SpanKind::Server, kind.span_name.into(), took);
        span.attributes.extend([
            KeyValue::new("http.request.method", method_word(self.method)),
            KeyValue::new("url.scheme", if self.secure { "https" } else { "http" }),
            KeyValue::new("url.path", self.path().to_owned()),
            KeyValue::new("http.response.status_code", i64::from(kind.status)),
        ]);
        if kind.route != "unmatched" {
            span.attributes.push(KeyValue::new("http.route", kind.route));
        }
        if let Some(method) = &self.other_method {
            span.attributes.push(KeyValue::new("http.request.method_original", method.to_string()));
        }
        if let Some(request_id) = self.request.own_request_id() {
            span.attributes.push(KeyValue::new("request_id", request_id.to_owned()));
        }
        if !kind.error_type.is_empty() {
            span.attributes.push(KeyValue::new("error.type", kind.error_type));
        }
        // The caller is at fault for a 4xx, so the server's span stays unset: OpenTelemetry's rule.
        if kind.status >= 500 || trouble.is_some_and(|trouble| trouble.severity == Severity::Error) {
            span.status = Status::error(trouble.map(|trouble| trouble.cause.clone()).unwrap_or_default());
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
        if std::thread::panicking() {
            // It passed through something that nobody guards.
            return self.break_off(Trouble::panic("something panicked around the handler"));
        }
        // Client or server gave up. A failure that was answered before is one all the same.
        let route = self.answer.take().map(|kind| kind.route);
        let kind = self.kind(CLIENT_CLOSED_REQUEST, route);
        self.end(&kind);
    }
}
