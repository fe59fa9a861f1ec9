//! All connections of the service's pool are taken.

use super::{
    injury::Service,
    runner::{Fault, Surroundings, Window, requests},
};

/// All ten of them, so that requests wait for one and give up.
pub(super) const POOL: Fault = Fault::new(
    "db_pool",
    "db_pool",
    "DbPoolExhausted",
    &Service {
        what: "all ten connections of the pool are held",
        inflict: &["fault", "connections", "--amount", "10", "--for", "10m"],
        repair: &["fault", "connections", "--end"],
    },
    Window { range: 60, fill: 10, lasting: 5, keep: 120, steps: Window::SLOW },
);

/// Who changes an order waits for the lock, and keeps a connection meanwhile, until there is none left.
pub(super) const LOCKS: Fault = Fault {
    name: "db_locks",
    injury: &Service {
        what: "a transaction holds a lock that every change of an order waits for",
        inflict: &["fault", "locks", "--for", "10m"],
        repair: &["fault", "locks", "--end"],
    },
    // Shortened more, the warning would be told before requests give up waiting, which nothing shortens.
    surroundings: Surroundings { shorten: 3, ..Surroundings::SHORT },
    judge: requests::recover_in_the_end,
    ..POOL
};
