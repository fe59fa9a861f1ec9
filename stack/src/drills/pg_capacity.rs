//! Somebody takes the connections of Postgres.

use std::time::Duration;

use super::{
    injury::Sessions,
    runner::{Fault, Window},
};

/// 175 sessions beside the service's, of 200 that Postgres allows.
pub(super) const CONNECTIONS: Fault = Fault::new(
    "pg_capacity",
    "pg_capacity",
    "PgConnectionsHigh",
    &Sessions {
        what: "175 sessions are open that do nothing",
        count: 175,
        statements: &["SELECT 1"],
        pause: Duration::from_secs(1),
    },
    Window { range: 15, fill: 5, lasting: 120, keep: 0, steps: Window::SLOW },
);
