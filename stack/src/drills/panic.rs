//! Handlers panic. Each such request gets 500, and the process goes on.

use super::{
    injury::Service,
    runner::{Fault, Window},
};

/// One request in fifty.
pub(super) const PANIC: Fault = Fault {
    // Panics are failed requests as well, and told as such when they go on.
    along: &["errors"],
    ..Fault::new(
        "panic",
        "panic",
        "PanicDetected",
        &Service {
            what: "one request in fifty panics",
            inflict: &["fault", "panic", "--rate", "0.02", "--for", "10m"],
            repair: &["fault", "panic", "--end"],
        },
        Window { range: 120, fill: 10, lasting: 0, keep: 120, steps: Window::SLOW },
    )
};
