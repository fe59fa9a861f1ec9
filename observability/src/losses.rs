//! What telemetry has lost: counted at once, told in a line at most once a minute.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::DROPPED;

/// The shortest time between two reports.
const QUIET: Duration = Duration::from_mins(1);

/// One way to lose telemetry.
#[derive(Debug)]
pub(crate) struct Loss {
    signal: &'static str,
    reason: &'static str,
    untold: AtomicU64,
    cause: Mutex<String>,
}

/// More lines at once than the writer could take.
pub(crate) static LINES_BUFFER: Loss = Loss::new("lines", "buffer_full");
/// Standard output is closed, full, or not read.
pub(crate) static LINES_STDOUT: Loss = Loss::new("lines", "stdout");
/// The log file cannot be written.
pub(crate) static LINES_FILE: Loss = Loss::new("lines", "file");
/// More spans than may wait for the collector.
pub(crate) static SPANS_QUEUE: Loss = Loss::new("spans", "queue_full");
/// The collector refused spans, or did not take them in time.
pub(crate) static SPANS_EXPORT: Loss = Loss::new("spans", "export");
/// The process ended before the collector had all spans.
pub(crate) static SPANS_SHUTDOWN: Loss = Loss::new("spans", "shutdown");

static ALL: [&Loss; 6] = [&LINES_BUFFER, &LINES_STDOUT, &LINES_FILE, &SPANS_QUEUE, &SPANS_EXPORT, &SPANS_SHUTDOWN];

impl Loss {
    const fn new(signal: &'static str, reason: &'static str) -> Self {
        Self { signal, reason, untold: AtomicU64::new(0), cause: Mutex::new(String::new()) }
    }

    /// Counts what was lost just now.
    pub(crate) fn count(&self, lost: usize) {
        let lost = u64::try_from(lost).unwrap_or(u64::MAX);
        DROPPED.add([self.signal, self.reason], lost);
        self.untold.fetch_add(lost, Ordering::Relaxed);
    }

    /// Counts what was lost, and remembers what the system said.
    pub(crate) fn count_with(&self, lost: usize, cause: &dyn Display) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = cause.to_string();
        self.count(lost);
    }

    fn tell(&self) {
        let lost = self.untold.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let cause = std::mem::take(&mut *self.cause.lock().unwrap_or_else(PoisonError::into_inner));
            let (signal, reason) = (self.signal, self.reason);
            tracing::warn!(failure_type = "telemetry", signal, reason, lost, cause, "telemetry was lost");
        }
    }
}

/// Makes all losses visible at 0 in the metrics.
pub(crate) fn introduce() {
    for loss in ALL {
        DROPPED.zero([loss.signal, loss.reason]);
    }
}

/// Writes what has been lost since the last report, unless that is less than a minute ago.
#[derive(Debug, Default)]
pub(crate) struct Reporter(Option<Instant>);

impl Reporter {
    pub(crate) fn tell(&mut self) {
        let due = self.0.is_none_or(|last| last.elapsed() >= QUIET);
        if due && ALL.iter().any(|loss| loss.untold.load(Ordering::Relaxed) > 0) {
            self.0 = Some(Instant::now());
            tell_now();
        }
    }
}

/// Writes what has not been told yet: the process ends.
pub(crate) fn tell_now() {
    for loss in ALL {
        loss.tell();
    }
}
