//! A share of the requests is answered with 5xx.

use super::{
    injury::Statements,
    runner::{Fault, Window},
};

/// New orders cannot be written, as after a migration that took too much away.
pub(super) const ERRORS: Fault = Fault::new(
    "errors",
    "errors",
    "High5xxRatio",
    &Statements {
        what: "the service's role may not INSERT orders any more",
        inflict: &["REVOKE INSERT ON orders FROM orders"],
        remedy: "it may again",
        repair: &["GRANT INSERT ON orders TO orders"],
    },
    Window { range: 60, fill: 15, lasting: 120, keep: 60, steps: Window::SLOW },
);
