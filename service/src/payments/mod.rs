//! The payments provider, a third party: it may be slow, wrong or gone, and none of that may take this
//! service down.

mod breaker;
pub mod stub;

use std::{sync::Arc, time::Duration};

use observability::client;
use reqwest::{Client, StatusCode, Url, redirect::Policy};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::sleep};
use uuid::Uuid;

use crate::failure::FailureType;
use breaker::Breaker;

/// Its name in metrics, spans and the breaker.
const NAME: &str = "payments";
/// A failed call is repeated this often; the idempotency key makes that safe.
const RETRIES: u32 = 1;
/// Longest pause before that. The pause is random, so that many callers do not come back as one.
const PAUSE: Duration = Duration::from_millis(200);

/// What the provider is asked for.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Charge {
    pub(crate) order_id: Uuid,
    pub(crate) amount: i64,
    pub(crate) currency: String,
}

/// What the provider has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Paid,
    Declined,
}

/// Why there is no verdict yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoVerdict {
    #[error("the circuit breaker is open")]
    BreakerOpen,
    #[error("as many requests as may are waiting for the provider")]
    NoPlace,
    #[error("no answer: {0}")]
    Call(#[from] reqwest::Error),
    #[error("answered with {0}")]
    Status(StatusCode),
}

impl NoVerdict {
    pub(crate) fn failure_type(&self) -> FailureType {
        match self {
            Self::BreakerOpen => FailureType::Breaker,
            Self::NoPlace | Self::Call(_) | Self::Status(_) => FailureType::Dependency,
        }
    }

    /// Whether asking once more at once may help.
    fn may_pass(&self) -> bool {
        match self {
            Self::BreakerOpen | Self::NoPlace => false,
            Self::Call(_) => true,
            Self::Status(status) => status.is_server_error(),
        }
    }

    /// Whether it speaks against the provider; a call that was wrong does not.
    fn is_theirs(&self) -> bool {
        // One that asks for fewer calls gets none for a while.
        self.may_pass() || matches!(self, Self::Status(StatusCode::TOO_MANY_REQUESTS))
    }
}

/// The way to the provider. Cheap to clone; all clones share one breaker and the places.
#[derive(Clone, Debug)]
pub struct Payments {
    client: Client,
    url: Url,
    timeout: Duration,
    pub(crate) retry: Duration,
    breaker: Breaker,
    places: Arc<Semaphore>,
}

impl Payments {
    /// The provider at `url`: how long one call may take, how long a payment without a verdict waits for the next
    /// try, and how many requests may wait for the provider at a time.
    pub fn new(url: &Url, timeout: Duration, retry: Duration, places: usize) -> anyhow::Result<Self> {
        // A redirect could send a charge anywhere.
        let mut builder = client::builder().redirect(Policy::none());
        if url.scheme() == "http" {
            // A neighbour: no proxy leads there, and the system's certificates are not needed.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        Ok(Self {
            client: builder.build()?,
            url: url.join("/v1/payments")?,
            timeout,
            retry,
            breaker: Breaker::new(NAME),
            places: Arc::new(Semaphore::new(places)),
        })
    }

    /// The longest that [`Self::charge`] takes.
    pub(crate) fn patience(timeout: Duration) -> Duration {
        timeout * (RETRIES + 1) + PAUSE * RETRIES
    }

    /// How many charges make sense at the moment, of `wanted`.
    pub(crate) fn room(&self, wanted: usize) -> usize {
        self.breaker.room(wanted)
    }

    /// As [`Self::charge`], for a request: only so many wait at a time. A provider that hangs now and then opens no
    /// breaker, and would else take the places of all other requests.
    pub(crate) async fn charge_for_request(&self, attempt: Uuid, charge: &Charge) -> Result<Verdict, NoVerdict> {
        let _place = self.places.try_acquire().map_err(|_| NoVerdict::NoPlace)?;
        self.charge(attempt, charge).await
    }

    /// Charges once, however often it is called with the same `attempt`.
    pub(crate) async fn charge(&self, attempt: Uuid, charge: &Charge) -> Result<Verdict, NoVerdict> {
        let mut retries = 0..RETRIES;
        loop {
            let permit = self.breaker.admit().ok_or(NoVerdict::BreakerOpen)?;
            let outcome = self.ask(attempt, charge).await;
            permit.succeeded(!outcome.as_ref().is_err_and(NoVerdict::is_theirs));
            match outcome {
                Err(error) if error.may_pass() && retries.next().is_some() => {
                    let failure_type = error.failure_type().as_str();
                    tracing::warn!(failure_type, cause = error.to_string(), "a charge is asked for once more");
                    sleep(PAUSE.mul_f64(fastrand::f64())).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn ask(&self, attempt: Uuid, charge: &Charge) -> Result<Verdict, NoVerdict> {
        let request = self.client.post(self.url.clone()).timeout(self.timeout).json(charge);
        let request = request.header("idempotency-key", attempt.to_string());
        let response = client::send(NAME, request).await.map_err(reqwest::Error::without_url)?;
        match response.status() {
            StatusCode::CREATED => Ok(Verdict::Paid),
            StatusCode::PAYMENT_REQUIRED => Ok(Verdict::Declined),
            status => Err(NoVerdict::Status(status)),
        }
    }
}
