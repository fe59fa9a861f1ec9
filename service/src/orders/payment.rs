//! Paying for an order: claimed, charged, settled. What the provider leaves open is finished in the
//! background, exactly once, whoever asks and however often.

use std::time::Duration;

use observability::context;
use sqlx::PgConnection;
use tokio::time::sleep;
use uuid::Uuid;

use super::{Order, Step, store};
use crate::{
    database::Database,
    error::ApiError,
    metrics::ORDER_PAYMENTS,
    payments::{Charge, NoVerdict, Payments, Verdict},
};

/// How often the background looks for payments that are due.
const PERIOD: Duration = Duration::from_secs(1);
/// How many of them it charges at a time.
const AT_ONCE: usize = 8;

/// A payment that has begun and not ended.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) order_id: Uuid,
    pub(super) attempt: Uuid,
    pub(super) amount: i64,
    pub(super) currency: String,
    /// The request that began it.
    pub(super) cause: Option<String>,
}

/// What a customer is told.
#[derive(Debug)]
pub(super) enum Outcome {
    Paid(Order),
    /// The order is open again.
    Declined,
    /// There is no verdict yet; the background will get it.
    Pending(Order, NoVerdict),
}

/// Pays for an open order. `None` when it is not open.
pub(super) async fn pay(database: &Database, payments: &Payments, id: Uuid) -> Result<Option<Outcome>, ApiError> {
    let (attempt, cause) = (Uuid::now_v7(), context::traceparent());
    // Not due while this request can still be at it.
    let claim = async |connection: &mut PgConnection| {
        store::claim(connection, id, attempt, cause.as_deref(), payments.retry).await
    };
    let Some(order) = database.run(claim).await? else { return Ok(None) };
    let charge = Charge { order_id: id, amount: order.amount, currency: order.currency.clone() };
    Ok(Some(match payments.charge_for_request(attempt, &charge).await {
        Err(error) => {
            ORDER_PAYMENTS.increment(["pending"]);
            Outcome::Pending(order, error)
        }
        Ok(verdict) => match (verdict, settle(database, id, attempt, verdict).await?) {
            (Verdict::Paid, settled) => Outcome::Paid(settled.unwrap_or(order)),
            (Verdict::Declined, _) => Outcome::Declined,
        },
    }))
}

/// Writes the verdict down and counts it, unless somebody else has.
async fn settle(database: &Database, id: Uuid, attempt: Uuid, verdict: Verdict) -> Result<Option<Order>, ApiError> {
    let (step, outcome) = match verdict {
        Verdict::Paid => (Step::Accept, "paid"),
        Verdict::Declined => (Step::Decline, "declined"),
    };
    let settled = database.run(async |connection| store::settle(connection, id, attempt, step).await).await?;
    if settled.is_some() {
        ORDER_PAYMENTS.increment([outcome]);
    }
    Ok(settled)
}

/// Finishes what is pending, and forgets idempotency keys that have expired, until the process ends.
pub async fn finish_pending(database: Database, payments: Payments) {
    loop {
        // Many instances that started together should not ask together.
        sleep(PERIOD.mul_f64(0.5 + fastrand::f64())).await;
        database.until_up().await;
        let swept = database.run(store::forget_expired_keys).await;
        if let Err(error) = swept.and(finish_due(&database, &payments).await.map(drop)) {
            error.log("payments stay pending, and are tried again");
        }
    }
}

/// Finishes what is due now; says how many payments it tried.
pub async fn finish_due(database: &Database, payments: &Payments) -> Result<usize, ApiError> {
    let mut tried = 0;
    loop {
        // No more than are let through: the others would be put off in vain.
        let room = payments.room(AT_ONCE);
        if room == 0 {
            break;
        }
        let due = async |connection: &mut PgConnection| store::due(connection, room, payments.retry).await;
        let due = database.run(due).await?;
        tried += due.len();
        let full = due.len() == room;
        futures_util::future::join_all(due.into_iter().map(|pending| finish(database, payments, pending))).await;
        if !full {
            break;
        }
    }
    Ok(tried)
}

async fn finish(database: &Database, payments: &Payments, pending: Pending) {
    let Pending { order_id, attempt, amount, currency, cause } = pending;
    let work = async {
        context::put("order_id", order_id.to_string());
        match payments.charge(attempt, &Charge { order_id, amount, currency }).await {
            Ok(verdict) => match settle(database, order_id, attempt, verdict).await {
                Ok(settled) => tracing::info!(?verdict, first = settled.is_some(), "pending payment settled"),
                Err(error) => error.log("a verdict could not be written down, and is asked for again"),
            },
            Err(error) => {
                let failure_type = error.failure_type().as_str();
                tracing::warn!(failure_type, cause = error.to_string(), "a payment stays pending");
            }
        }
    };
    observability::job("finish payment", cause.as_deref(), work).await;
}
