//! What this service counts, beside what the library counts for every service.

use observability::http::APP_ERRORS;
use observability::metrics::{Counter, Gauge, Metric};

use crate::failure::FailureType;

/// Orders accepted.
pub static ORDERS_CREATED: Counter<0> = Counter::new("orders_created_total", "Orders accepted.", []);

/// 1 from a migration that failed at start until the schema is current.
pub static MIGRATIONS_FAILED: Gauge<0> =
    Gauge::new("migrations_failed", "1 while the schema is not current because a migration failed at start.", []);

/// Everything declared above.
pub static ALL: &[&dyn Metric] = &[&ORDERS_CREATED, &MIGRATIONS_FAILED];

/// Puts every series there from the first scrape on: a counter that appears with its first event looks
/// to a rate as if that event had never happened.
pub fn start_at_zero() {
    ORDERS_CREATED.zero([]);
    MIGRATIONS_FAILED.set([], 0.0);
    for failure_type in FailureType::ALL {
        APP_ERRORS.zero([failure_type.as_str(), "error"]);
    }
}
