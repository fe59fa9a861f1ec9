//! The clock of the service is off.

use super::{
    injury::Service,
    runner::{Fault, Window},
};

/// Half a minute behind.
pub(super) const CLOCK: Fault = Fault::new(
    "clock",
    "clock",
    "ClockSkew",
    &Service {
        what: "the service reports a clock 30 s behind",
        inflict: &["fault", "clock", "--amount", "-30", "--for", "10m"],
        repair: &["fault", "clock", "--end"],
    },
    Window { range: 15, fill: 5, lasting: 60, keep: 0, steps: Window::SLOW },
);
