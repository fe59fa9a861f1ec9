//! What telemetry has lost: counted at once, told in a line at most once a minute.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;

use crate::metrics::DROPPED;
use crate::{line, subscriber};

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
/// Written when the writer had taken all that it will: the process ends.
pub(crate) static LINES_SHUTDOWN: Loss = Loss::new("lines", "shutdown");
/// More spans than may wait for the collector.
pub(crate) static SPANS_QUEUE: Loss = Loss::new("spans", "queue_full");
/// The collector refused spans, or did not take them in time.
pub(crate) static SPANS_EXPORT: Loss = Loss::new("spans", "export");
/// The process ended before the collector had all spans.
pub(crate) static SPANS_SHUTDOWN: Loss = Loss::new("spans", "shutdown");

static ALL: [&Loss; 7] =
    [&LINES_BUFFER, &LINES_STDOUT, &LINES_FILE, &LINES_SHUTDOWN, &SPANS_QUEUE, &SPANS_EXPORT, &SPANS_SHUTDOWN];

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

    /// Writes a line of what has not been told. Past the log filter: whoever wants few lines still
    /// wants to know that some of them are missing.
    fn tell(&self) {
        let lost = self.untold.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let cause = std::mem::take(&mut *self.cause.lock().unwrap_or_else(PoisonError::into_inner));
            let fields = [
                ("failure_type", "telemetry".into()),
                ("signal", self.signal.into()),
                ("reason", self.reason.into()),
                ("lost", lost.into()),
                ("cause", cause.into()),
            ];
            subscriber::current(|core| line::tell(core, Level::WARN, module_path!(), "telemetry was lost", &fields));
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
    pub(crate) fn tell(&mut self, now: Instant) {
        self.tell_of(&ALL, now);
    }

    fn tell_of(&mut self, losses: &[&Loss], now: Instant) {
        let due = self.0.is_none_or(|last| now.duration_since(last) >= QUIET);
        if due && losses.iter().any(|loss| loss.untold.load(Ordering::Relaxed) > 0) {
            self.0 = Some(now);
            for loss in losses {
                loss.tell();
            }
        }
    }
}

/// Writes what has not been told yet: the process ends.
pub(crate) fn tell_now() {
    for loss in ALL {
        loss.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Capture;

    #[test]
    fn losses_are_told_at_most_once_a_minute_and_whatever_the_log_filter_says() {
        let capture = Capture::with("off", 1.0, &[]);
        let loss = Loss::new("lines", "test");
        let (mut reporter, began) = (Reporter::default(), Instant::now());
        let mut told_after = |seconds: u64| {
            reporter.tell_of(&[&loss], began + Duration::from_secs(seconds));
            capture.lines().iter().map(|line| line["lost"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(told_after(0), [0; 0]);
        loss.count(1);
        assert_eq!(told_after(1), [1]);
        loss.count(2);
        assert_eq!(told_after(2), [1]);
        loss.count_with(3, &"full");
        assert_eq!(told_after(60), [1]);
        assert_eq!(told_after(61), [1, 5]);
        assert_eq!(told_after(200), [1, 5]);
        loss.count(4);
        assert_eq!(told_after(200), [1, 5, 4]);
        let line = &capture.lines()[1];
        let seen = ["level", "target", "message", "failure_type", "signal", "reason", "cause"].map(|key| &line[key]);
        let expected = ["WARN", "observability::losses", "telemetry was lost", "telemetry", "lines", "test", "full"];
        assert_eq!(seen, expected);
    }
}
