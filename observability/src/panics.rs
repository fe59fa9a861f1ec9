//! A panic is counted, and is one line of the same shape as all others, with the request's ids.

use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use crate::metrics::PANICS;

/// Replaces the standard hook, whose output is neither JSON nor one line.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(report));
}

/// For tests: the standard hook still has its say, or a failed assertion would be silent.
pub(crate) fn add_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let standard = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            report(info);
            standard(info);
        }));
    });
}

fn report(info: &PanicHookInfo<'_>) {
    PANICS.increment([]);
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let cause = info.payload_as_str().unwrap_or("unknown");
    tracing::error!(failure_type = "panic", location, cause, "panicked");
}
