//! What this service counts, beside what the library counts for every service.

use observability::metrics::{Counter, Gauge, Metric};

/// Orders accepted.
pub static ORDERS_CREATED: Counter<0> = Counter::new("orders_created_total", "Orders accepted.", []);

/// 1 from a migration that failed at start until the schema is current.
pub static MIGRATIONS_FAILED: Gauge<0> =
    Gauge::new("migrations_failed", "1 while the schema is not current because a migration failed at start.", []);

/// Everything declared above.
pub static ALL: &[&dyn Metric] = &[&ORDERS_CREATED, &MIGRATIONS_FAILED];
