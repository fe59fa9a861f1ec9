//! A panic is counted, and is one line of the same shape as all others, with the request's ids.

use std::panic::{self, PanicHookInfo};

use crate::metrics::PANICS;

/// Replaces the standard hook, whose output is neither JSON nor one line.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(report));
}

pub(crate) fn report(info: &PanicHookInfo<'_>) {
    PANICS.increment([]);
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let cause = info.payload_as_str().unwrap_or("unknown");
    tracing::error!(failure_type = "panic", location, cause, "panicked");
}
