//! Statements succeed, and take too long.

use super::{
    injury::Service,
    runner::{Fault, Window},
};

/// Longer than the half second that the rule allows.
pub(super) const SLOW: Fault = Fault::new(
    "db_slow",
    "db_slow",
    "DatabaseSlow",
    &Service {
        // Not all: they would take all connections, which is another failure.
        what: "three requests in ten run a statement of 700 ms first",
        inflict: &["fault", "slow_statements", "--delay", "700ms", "--rate", "0.3", "--for", "10m"],
        repair: &["fault", "slow_statements", "--end"],
    },
    Window { range: 120, fill: 15, lasting: 60, keep: 0, steps: Window::SLOW },
);
