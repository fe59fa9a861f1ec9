//! The one middleware: a request yields exactly one span, one closing line, one observation and one
//! request id, from one timer and one drop guard. Wrap it outermost.

use std::any::Any;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{ResourceMap, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::{Error, HttpResponse};
use pin_project_lite::pin_project;
use tracing::Span;

mod body;
mod ending;
mod identify;

pub use crate::problem::Problem;
pub use body::Observed;

use crate::layer;
use crate::metrics::{Counter, Gauge, Histogram};
use ending::Ending;

/// Durations of requests answered here. `http_route` is the pattern, never the path.
pub static REQUEST_DURATION: Histogram<4> = Histogram::new(
    "http_server_request_duration_seconds",
    "How long requests took, from the first byte of the head to the last of the answer.",
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
        ready(Ok(ObserveService { service, routes: std::cell::OnceCell::new() }))
    }
}

/// The middleware of one worker.
#[derive(Debug)]
pub struct ObserveService<S> {
    service: S,
    /// A copy for requests that end without an answer: their `HttpRequest` may not be kept, routing needs it alone.
    routes: std::cell::OnceCell<Rc<ResourceMap>>,
}

impl<S, B> Service<ServiceRequest> for ObserveService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<Observed<B>>;
    type Error = Error;
    type Future = Observing<S::Future>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let routes = Rc::clone(self.routes.get_or_init(|| Rc::new(request.resource_map().clone())));
        let identity = identify::identify(request.headers());
        let span = layer::root_span(std::sync::Arc::clone(&identity));
        let ending = Ending::new(&request, routes, identity, span.clone());
        let inner = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| self.service.call(request))));
        match inner {
            Ok(inner) => Observing { inner: Some(inner), span, ending: Some(ending) },
            Err(_) => Observing { inner: None, span, ending: Some(ending) },
        }
    }
}

pin_project! {
    /// A request on its way.
    pub struct Observing<F> {
        // None when the call itself panicked.
        #[pin]
        inner: Option<F>,
        span: Span,
        ending: Option<Ending>,
    }
}

impl<F, B> Future for Observing<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<Observed<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        let outcome = match this.inner.as_pin_mut() {
            Some(inner) => match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
                Ok(poll) => Some(ready!(poll)),
                Err(panic) => {
                    drop_quietly(panic);
                    None
                }
            },
            None => None,
        };
        let Some(ending) = this.ending.take() else { return Poll::Pending };
        Poll::Ready(match outcome {
            Some(Ok(response)) => Ok(answered(response, ending)),
            Some(Err(error)) => Err(refused(error, ending)),
            None => Err(panicked(ending)),
        })
    }
}

/// A panic's payload may panic again when it is dropped.
fn drop_quietly(payload: Box<dyn Any + Send>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
}

fn answered<B: MessageBody>(mut response: ServiceResponse<B>, mut ending: Ending) -> ServiceResponse<Observed<B>> {
    identify::mark(response.headers_mut(), ending.request());
    ending.status(response.status(), response.response().extensions().get::<Failure>().cloned());
    response.map_body(|_, body| Observed::new(body, ending))
}

/// An inner middleware's error. Handlers' errors arrive as answers.
fn refused(error: Error, mut ending: Ending) -> Error {
    let mut response = error.as_response_error().error_response();
    identify::mark(response.headers_mut(), ending.request());
    let failure = response.extensions().get::<Failure>().cloned();
    ending.status(response.status(), failure);
    ending.finish();
    InternalError::from_response(error, response).into()
}

fn panicked(mut ending: Ending) -> Error {
    let problem = Problem {
        kind: "panic",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        title: "Internal error",
        detail: "The request could not be completed. The failure has been recorded under the ids given here.".into(),
    };
    let mut response = problem.response();
    identify::mark(response.headers_mut(), ending.request());
    let failure = Failure { failure_type: "panic", severity: Severity::Error, cause: "the handler panicked".into() };
    ending.status(response.status(), Some(failure));
    ending.finish();
    InternalError::from_response("the handler panicked", response).into()
}
