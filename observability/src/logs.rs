//! Which lines are written. How a line looks is in `line`, how it leaves the process in `writer`.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_subscriber::filter::Targets;

use crate::layer;

/// The filter in force, as `target=level` pairs. Empty when telemetry is not set up.
#[must_use]
pub fn filter() -> String {
    layer::current(|core| core.filter.read().unwrap_or_else(PoisonError::into_inner).to_string()).unwrap_or_default()
}

/// Changes which lines are written, at once and for all threads. The change itself is logged.
///
/// # Errors
/// When the directives cannot be parsed, or telemetry is not set up.
pub fn set_filter(directives: &str) -> Result<(), String> {
    let filter = parse(directives)?;
    layer::current(|core| *core.filter.write().unwrap_or_else(PoisonError::into_inner) = filter)
        .ok_or("telemetry is not set up")?;
    // Callsites have cached the verdict of the old filter.
    tracing_core::callsite::rebuild_interest_cache();
    tracing::warn!(filter = directives, "log filter changed");
    Ok(())
}

pub(crate) fn parse(directives: &str) -> Result<Targets, String> {
    directives.parse().map_err(|error| {
        format!("`{directives}` is no log filter ({error}): write a level such as `info`, or pairs such as `info,sqlx=debug`")
    })
}

/// True at most once a minute for the whole process: for warnings that would repeat with every failure.
pub(crate) fn once_a_minute() -> bool {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let last = LAST.load(Ordering::Relaxed);
    now.abs_diff(last) >= 60 && LAST.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}
