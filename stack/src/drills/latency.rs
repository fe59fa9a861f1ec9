//! Requests succeed, and take too long.

use super::{
    injury::Service,
    runner::{Fault, Window},
};

/// Longer than the second that the rule allows, shorter than the time limit of a request.
pub(super) const LATENCY: Fault = Fault::new(
    "latency",
    "latency",
    "LatencyP99High",
    &Service {
        what: "every request waits 1.5 s first",
        inflict: &["fault", "latency", "--delay", "1500ms", "--for", "10m"],
        repair: &["fault", "latency", "--end"],
    },
    Window { range: 120, fill: 15, lasting: 120, keep: 0, steps: Window::SLOW },
);
