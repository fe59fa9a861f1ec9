//! The one middleware: a request yields exactly one span, one closing line, one observation and one
//! request id, from one timer and one drop guard. Wrap it outermost.

use std::any::Any;
use std::cell::RefCell;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::{Error, HttpResponse};
use pin_project_lite::pin_project;

mod body;
mod ending;
mod identify;
mod worker;

pub use crate::problem::Problem;
pub use body::Observed;

use crate::lag;
use crate::metrics::{Counter, Gauge, Histogram};
use ending::{Ending, Trouble};
use worker::Worker;

/// Durations of requests answered here. `http_route` is the pattern, never the path.
pub static REQUEST_DURATION: Histogram<4> = Histogram::new(
    "http_server_request_duration_seconds",
    "How long requests took, from the head that was read to the last chunk of the answer that was handed over.",
    ["http_request_method", "http_route", "http_response_status_code", "error_type"],
    SECONDS,
);
/// Requests that are being answered.
pub static ACTIVE_REQUESTS: Gauge<1> =
    Gauge::new("http_server_active_requests", "Requests that are being answered now.", ["http_request_method"]);
/// What went wrong, by kind; the same list as the `failure_type` of alerts.
pub static APP_ERRORS: Counter<2> =
    Counter::new("app_errors_total", "Requests that failed, by what went wrong.", ["failure_type", "severity"]);

/// Upper bounds of duration buckets, in seconds: OpenTelemetry's advice, with 1 and 2.5 ms in front.
pub const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Whose business a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Expected and recoverable: a third party's timeout, a limit that was reached. Logged as WARN.
    Warning,
    /// Somebody should look. Logged as ERROR.
    Error,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What went wrong, for the log. It travels in the answer's extensions; the client never sees it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// One of the project's failure types.
    pub failure_type: &'static str,
    /// Whose business it is.
    pub severity: Severity,
    /// The error with all its causes, on one line.
    pub cause: String,
}

impl Failure {
    /// Puts the failure on an answer. The middleware logs it once, with the closing line.
    #[must_use]
    pub fn attach(self, mut response: HttpResponse) -> HttpResponse {
        response.extensions_mut().insert(self);
        response
    }
}

/// The middleware. `App::new().wrap(http::observe())`, outermost.
#[must_use]
pub fn observe() -> Observe {
    Observe(())
}

/// Made by [`observe`].
#[derive(Debug)]
pub struct Observe(());

impl<S, B> Transform<S, ServiceRequest> for Observe
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<Observed<B>>;
    type Error = Error;
    type InitError = ();
    type Transform = ObserveService<S>;
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        lag::watch();
        ready(Ok(ObserveService { service, worker: RefCell::new(None) }))
    }
}

/// The middleware of one worker.
pub struct ObserveService<S> {
    service: S,
    worker: RefCell<Option<Rc<Worker>>>,
}

impl<S> ObserveService<S> {
    /// What this worker knows, learnt anew where the thread's telemetry has changed.
    fn worker(&self, request: &ServiceRequest) -> Rc<Worker> {
        let mut worker = self.worker.borrow_mut();
        match worker.as_ref().filter(|worker| worker.is_current()) {
            Some(worker) => Rc::clone(worker),
            None => Rc::clone(worker.insert(Rc::new(Worker::new(request.resource_map().clone())))),
        }
    }
}

impl<S> std::fmt::Debug for ObserveService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObserveService").finish_non_exhaustive()
    }
}

impl<S, B> Service<ServiceRequest> for ObserveService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<Observed<B>>;
    type Error = Error;
    type Future = Observing<S>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let worker = self.worker(&request);
        let ending = Box::new(Ending::new(&request, worker));
        let inner = guarded(&ending, || self.service.call(request));
        Observing { inner, ending: Some(ending) }
    }
}

pin_project! {
    /// A request on its way.
    pub struct Observing<S: Service<ServiceRequest>> {
        // Absent after a panic.
        #[pin]
        inner: Option<S::Future>,
        ending: Option<Box<Ending>>,
    }

    impl<S: Service<ServiceRequest>> PinnedDrop for Observing<S> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Given up: what the handler says when it is dropped belongs to the request, too.
            if let Some(ending) = this.ending.as_ref() {
                ending.within(|| this.inner.set(None));
            }
        }
    }
}

impl<S, B> Future for Observing<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<Observed<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(ending) = this.ending.as_ref() else { return Poll::Pending };
        let outcome = match this.inner.as_pin_mut().and_then(|inner| guarded(ending, || inner.poll(cx))) {
            Some(poll) => Some(ready!(poll)),
            None => None,
        };
        let Some(ending) = this.ending.take() else { return Poll::Pending };
        Poll::Ready(match outcome {
            Some(Ok(response)) => Ok(answered(response, ending)),
            Some(Err(error)) => Err(refused(&error, ending)),
            None => Err(panicked(ending)),
        })
    }
}

/// Runs a part of a request within its context. None when it panicked.
fn guarded<R>(ending: &Ending, work: impl FnOnce() -> R) -> Option<R> {
    let outcome = ending.within(|| catch_unwind(AssertUnwindSafe(work)));
    outcome.map_err(drop_quietly).ok()
}

/// A panic's payload may panic again when it is dropped.
fn drop_quietly(payload: Box<dyn Any + Send>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
}

fn answered<B: MessageBody>(mut response: ServiceResponse<B>, mut ending: Box<Ending>) -> ServiceResponse<Observed<B>> {
    identify::mark(response.headers_mut(), ending.request());
    let status = response.status();
    // A plain success has no failure to look for; a 202 may have been made in spite of one.
    let trouble =
        (status != StatusCode::OK).then(|| trouble(response.response(), response.response().error())).flatten();
    ending.answer(status, response.request().match_pattern().as_deref(), trouble);
    response.map_body(|_, body| Observed::new(body, ending))
}

/// What the program said of a failure; else, where the answer is one, the error that it was made of.
fn trouble<B>(response: &HttpResponse<B>, error: Option<&Error>) -> Option<Box<Trouble>> {
    if let Some(failure) = response.extensions().get::<Failure>() {
        return Some(Box::new(failure.into()));
    }
    let cause = || error.map(ToString::to_string).unwrap_or_default();
    response.status().is_server_error().then(|| Box::new(Trouble::unnamed(cause())))
}

/// An inner middleware's error. Handlers' errors arrive as answers.
fn refused(error: &Error, mut ending: Box<Ending>) -> Error {
    let response = ending.within(|| error.as_response_error().error_response());
    let trouble = trouble(&response, Some(error));
    conclude(error.to_string(), response, trouble, &mut ending)
}

fn panicked(mut ending: Box<Ending>) -> Error {
    let problem = Problem {
        kind: "panic",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        title: "Internal error",
        detail: "The request could not be completed. The failure has been recorded under the ids given here.".into(),
    };
    let response = ending.within(|| problem.response());
    let cause = "the handler panicked";
    conclude(cause.into(), response, Some(Box::new(Trouble::panic(cause))), &mut ending)
}

/// Ends a request whose answer is an error's: actix sends it without asking the middleware again.
fn conclude(cause: String, mut response: HttpResponse, trouble: Option<Box<Trouble>>, ending: &mut Ending) -> Error {
    identify::mark(response.headers_mut(), ending.request());
    ending.answer(response.status(), None, trouble);
    ending.finish();
    InternalError::from_response(cause, response).into()
}
