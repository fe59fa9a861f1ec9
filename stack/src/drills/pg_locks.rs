//! Transactions are in each other's way.

use super::{
    injury::Service,
    runner::{Fault, Window},
};

/// Two transactions wait for each other, again and again.
pub(super) const DEADLOCKS: Fault = exported(
    "pg_locks",
    "PgDeadlocks",
    &Service {
        what: "two transactions wait for each other, about once a second",
        inflict: &["fault", "deadlocks", "--for", "10m"],
        repair: &["fault", "deadlocks", "--end"],
    },
    // However long the window, the sixth deadlock comes after some 7 s.
    Window { range: 300, fill: 15, lasting: 0, keep: 0, steps: Window::SLOW },
);

/// A transaction that nobody ends. The rule's five minutes are a threshold, which nothing shortens.
pub(super) const LONG_TRANSACTION: Fault = exported(
    "pg_long_transaction",
    "PgLongTransaction",
    &Service {
        what: "a transaction is left open",
        inflict: &["fault", "transaction", "--for", "20m"],
        repair: &["fault", "transaction", "--end"],
    },
    Window { range: 15, fill: 5, lasting: 60, keep: 0, steps: 300 + Window::SLOW },
);

/// What only the exporter can tell.
const fn exported(name: &'static str, alert: &'static str, injury: &'static Service, window: Window) -> Fault {
    Fault { needs: &["postgres-exporter"], ..Fault::new(name, "pg_locks", alert, injury, window) }
}
