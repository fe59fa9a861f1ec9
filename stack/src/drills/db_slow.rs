//! Statements succeed, and take too long.

use super::{
    injury::Service,
    runner::{Fault, Window},
};

/// Longer than the half second that the rule allows.
pub(super) const SLOW: Fault = Fault {
    // Slow statements hold connections longer.
    along: &["db_pool", "latency"],
    ..Fault::new(
        "db_slow",
        "db_slow",
        "DatabaseSlow",
        &Service {
            what: "every request runs a statement of 700 ms first",
            inflict: &["fault", "slow_statements", "--delay", "700ms", "--for", "10m"],
            repair: &["fault", "slow_statements", "--end"],
        },
        Window { range: 120, fill: 15, lasting: 60, keep: 0, steps: Window::SLOW },
    )
};
