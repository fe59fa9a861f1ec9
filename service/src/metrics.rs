//! What this service counts, beside what the library counts for every service.

use observability::http::{APP_ERRORS, Severity};
use observability::metrics::{Counter, Gauge, Metric};

use crate::failure::FailureType;

/// Orders accepted.
pub static ORDERS_CREATED: Counter<0> = Counter::new("orders_created_total", "Orders accepted.", []);

/// What became of payments.
pub static ORDER_PAYMENTS: Counter<1> =
    Counter::new("order_payments_total", "Payments of orders, by what became of them.", ["outcome"]);

/// Whether a third party is left alone.
pub static CIRCUIT_BREAKER_STATE: Gauge<1> = Gauge::new(
    "circuit_breaker_state",
    "0 while calls are made, 1 while one finds out whether the dependency is back, 2 while none are made.",
    ["dependency"],
);

/// 1 from a migration that failed at start until the schema is current.
pub static MIGRATIONS_FAILED: Gauge<0> =
    Gauge::new("migrations_failed", "1 while the schema is not current because a migration failed at start.", []);

/// What is broken on purpose; absent without `FAULTS=on`.
pub static FAULT_ACTIVE: Gauge<1> =
    Gauge::new("fault_active", "1 while something is broken on purpose, by `service admin fault`.", ["fault"]);

/// Everything declared above.
pub static ALL: &[&dyn Metric] =
    &[&ORDERS_CREATED, &ORDER_PAYMENTS, &CIRCUIT_BREAKER_STATE, &MIGRATIONS_FAILED, &FAULT_ACTIVE];

/// Puts every series there from the first scrape on: a counter that appears with its first event looks
/// to a rate as if that event had never happened.
pub fn start_at_zero() {
    ORDERS_CREATED.zero([]);
    for outcome in ["paid", "declined", "pending"] {
        ORDER_PAYMENTS.zero([outcome]);
    }
    MIGRATIONS_FAILED.set([], 0.0);
    for failure_type in FailureType::ALL {
        let severity = match failure_type.severity() {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        APP_ERRORS.zero([failure_type.as_str(), severity]);
    }
}
