//! The service has more to do than it can.

use super::{
    injury::Service,
    runner::{Fault, Surroundings, Window, requests},
};

/// Requests hang until there is no room for others, which are refused.
pub(super) const SATURATION: Fault = Fault {
    surroundings: Surroundings { env: &[("FAULTS", "on"), ("CONCURRENCY_LIMIT", "16")], ..Surroundings::SHORT },
    judge: requests::recover_in_the_end,
    ..Fault::new(
        "saturation",
        "saturation",
        "RequestsRefused",
        &Service {
            what: "requests hang until their time limit, and there is room for 16",
            inflict: &["fault", "hang", "--for", "10m"],
            repair: &["fault", "hang", "--end"],
        },
        Window { range: 60, fill: 10, lasting: 5, keep: 120, steps: Window::SLOW },
    )
};
