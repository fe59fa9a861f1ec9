//! All connections of the service's pool are taken.

use super::{
    injury::Service,
    runner::{Fault, Window},
};

/// All ten of them, so that requests wait for one and give up.
pub(super) const POOL: Fault = Fault {
    // Whoever finds no connection in time gets 503.
    along: &["errors", "latency"],
    ..Fault::new(
        "db_pool",
        "db_pool",
        "DbPoolExhausted",
        &Service {
            what: "all ten connections of the pool are held",
            inflict: &["fault", "connections", "--amount", "10", "--for", "10m"],
            repair: &["fault", "connections", "--end"],
        },
        Window { range: 60, fill: 10, lasting: 5, keep: 120, steps: Window::SLOW },
    )
};
