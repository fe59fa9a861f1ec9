//! Transactions are in each other's way.

use super::{
    injury::Service,
    runner::{Fault, Window},
};

/// Two transactions wait for each other, again and again.
pub(super) const DEADLOCKS: Fault = Fault::new(
    "pg_locks",
    "pg_locks",
    "PgDeadlocks",
    &Service {
        what: "two transactions wait for each other, about once a second",
        inflict: &["fault", "deadlocks", "--for", "10m"],
        repair: &["fault", "deadlocks", "--end"],
    },
    Window { range: 300, fill: 150, lasting: 0, keep: 0, steps: Window::SLOW },
);

/// A transaction that nobody ends. The rule's five minutes are a threshold, which nothing shortens.
pub(super) const LONG_TRANSACTION: Fault = Fault::new(
    "pg_long_transaction",
    "pg_locks",
    "PgLongTransaction",
    &Service {
        what: "a transaction is left open",
        inflict: &["fault", "transaction", "--for", "20m"],
        repair: &["fault", "transaction", "--end"],
    },
    Window { range: 15, fill: 5, lasting: 60, keep: 0, steps: 300 + Window::SLOW },
);
