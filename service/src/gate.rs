//! What every request has to pass: sizes, how many at a time, who asks, how often, how long.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    Error, HttpMessage as _, ResponseError as _,
    body::{EitherBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    middleware::Next,
};
use futures_util::StreamExt as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use observability::context;

use crate::{
    auth::{Auth, User},
    error::ApiError,
    faults::Faults,
};

/// Largest head of a request, in bytes; the query is a part of it.
const HEAD: usize = 16 * 1024;
const QUERY: usize = 2 * 1024;
/// After this many requests, clients that have been quiet are forgotten.
const SWEEP: usize = 10_000;

/// What requests may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body: usize,
    /// Longest time from the request's head to the answer's head.
    pub time: Duration,
    /// Requests that are answered at a time.
    pub at_once: usize,
    /// Requests that one client may send a second.
    pub rate: Option<NonZeroU32>,
}

/// Whom a rate is counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Client {
    User(String),
    Address(IpAddr),
}

/// The gate that all workers share.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    auth: Auth,
    rates: Option<DefaultKeyedRateLimiter<Client>>,
    counted: AtomicUsize,
    inside: AtomicUsize,
}

/// A request that is inside.
#[derive(Debug)]
struct Place(Gate);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(crate) fn new(limits: Limits, auth: Auth) -> Self {
        let rates = limits.rate.map(|rate| RateLimiter::keyed(Quota::per_second(rate)));
        let (counted, inside) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Inner { limits, auth, rates, counted, inside }))
    }

    /// The middleware. `faults` are for requests that are inside.
    pub(crate) async fn pass<B: MessageBody + 'static>(
        self,
        faults: Option<Faults>,
        mut request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<EitherBody<B>>, Error> {
        let limit = self.0.limits.time;
        let _place = match self.admit(&request).await {
            Ok(place) => place,
            Err(error) => return Ok(request.into_response(error.error_response()).map_into_right_body()),
        };
        let waiting = watch_body(&mut request);
        let answer = async {
            if let Some(faults) = faults {
                faults.meet(&request).await?;
            }
            next.call(request).await
        };
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer.map(ServiceResponse::map_into_left_body),
            Err(_) if waiting.get() => Err(ApiError::SlowClient.into()),
            Err(_) => Err(ApiError::TimedOut.into()),
        }
    }

    async fn admit(&self, request: &ServiceRequest) -> Result<Place, ApiError> {
        let head: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if request.query_string().len() > QUERY {
            return Err(ApiError::QueryTooLong);
        }
        if head + request.uri().path().len() > HEAD {
            return Err(ApiError::HeadTooLarge);
        }
        let inside = self.0.inside.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.clone());
        if inside >= self.0.limits.at_once {
            return Err(ApiError::Saturated(inside));
        }
        // The pages are for everybody.
        if request.path().starts_with("/v1/") {
            let user = match self.0.auth.user(request.headers()).await {
                // Who tries tokens out is counted too.
                Err(ApiError::Unauthorized) => {
                    self.count(request, None)?;
                    return Err(ApiError::Unauthorized);
                }
                user => user?,
            };
            if let Some(user) = &user {
                context::put("user_id", user.0.clone());
            }
            self.count(request, user.as_ref())?;
            if let Some(user) = user {
                request.extensions_mut().insert(user);
            }
        }
        Ok(place)
    }

    fn count(&self, request: &ServiceRequest, user: Option<&User>) -> Result<(), ApiError> {
        let Some(rates) = &self.0.rates else { return Ok(()) };
        if self.0.counted.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            rates.retain_recent();
        }
        let address = || request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let client = user.map_or_else(|| Client::Address(address()), |user| Client::User(user.0.clone()));
        rates.check_key(&client).map_err(|until| ApiError::TooMany(until.wait_time_from(rates.clock().now())))
    }
}

/// Whether what answers the request waits for more of its body at the moment: a client that sends it too slowly is
/// not this service's slowness. A body that nobody reads is nobody's.
fn watch_body(request: &mut ServiceRequest) -> Rc<Cell<bool>> {
    let waiting = Rc::new(Cell::new(false));
    let mut body = request.take_payload();
    if !matches!(body, Payload::None) {
        let told = Rc::clone(&waiting);
        let body = futures_util::stream::poll_fn(move |context| {
            let more = body.poll_next_unpin(context);
            told.set(more.is_pending());
            more
        });
        request.set_payload(Payload::Stream { payload: Box::pin(body) });
    }
    waiting
}
