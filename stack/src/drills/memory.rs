//! The service uses nearly all of the memory that it may.

use super::{
    injury::Service,
    runner::{Fault, Surroundings, Window},
};

/// 240 MiB beside its own, of 256.
pub(super) const MEMORY: Fault = Fault {
    surroundings: Surroundings { env: &[("FAULTS", "on"), ("MEMORY_LIMIT", "268435456")], ..Surroundings::SHORT },
    ..Fault::new(
        "memory",
        "memory",
        "MemoryHigh",
        &Service {
            what: "240 MiB are held, of 256 that it may use",
            inflict: &["fault", "memory", "--amount", "240", "--for", "10m"],
            repair: &["fault", "memory", "--end"],
        },
        Window { range: 15, fill: 5, lasting: 60, keep: 0, steps: Window::SLOW },
    )
};
