//! Faults that requests meet, once they are inside and before their handler.

use std::{future::pending, time::Duration};

use actix_web::dev::ServiceRequest;
use tokio::time::{Instant, sleep};

use super::{Faults, Kind, database::slow_statement};
use crate::error::ApiError;

impl Faults {
    /// Lets a request meet what is meant for it.
    pub(crate) async fn meet(&self, request: &ServiceRequest) -> Result<(), ApiError> {
        for (kind, delay, end) in self.for_request(request) {
            match kind {
                Kind::Latency => sleep(delay).await,
                // Nothing interrupts it, not even the end of the fault.
                Kind::Cpu => compute(end.min(Instant::now() + delay)),
                Kind::SlowStatements => slow_statement(&self.database, delay).await?,
                Kind::Hang => pending().await,
                Kind::Panic => fall(),
                Kind::Errors => return Err(ApiError::Internal(sqlx::Error::Protocol("a fault was asked for".into()))),
                _ => {}
            }
        }
        Ok(())
    }

    fn for_request(&self, request: &ServiceRequest) -> Vec<(Kind, Duration, Instant)> {
        let active = self.lock();
        if active.is_empty() {
            return Vec::new();
        }
        let pattern = request.match_pattern();
        active
            .iter()
            .filter(|fault| fault.how.route.is_none() || fault.how.route == pattern)
            .filter(|fault| fault.how.rate.is_none_or(|rate| fastrand::f64() < rate))
            .map(|fault| (fault.kind, fault.delay, fault.until))
            .collect()
    }
}

/// Keeps the thread busy, as a computation does that nobody moved elsewhere.
fn compute(until: Instant) {
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

#[expect(clippy::panic, reason = "it was asked for")]
fn fall() {
    panic!("a fault was asked for");
}
