//! How an operation ends, once: when it says so, or when it is dropped unfinished, which a timeout does to
//! the slowest of them.

use std::time::{Duration, Instant};

use tracing::Span;

/// Given to an operation that was dropped before its end.
const CANCELLED: &str = "cancelled";

/// An operation that is under way: its span, and who is told its `error_type` and how long it took.
pub(crate) struct Outcome<F: FnMut(&'static str, Duration)> {
    span: Span,
    started: Instant,
    record: F,
    ended: bool,
}

impl<F: FnMut(&'static str, Duration)> Outcome<F> {
    pub(crate) fn new(span: Span, record: F) -> Self {
        Self { span, started: Instant::now(), record, ended: false }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Ends it. An empty `error_type` is a success.
    pub(crate) fn end(&mut self, error_type: &'static str) {
        self.ended = true;
        if !error_type.is_empty() {
            self.span.record("error.type", error_type);
            self.span.record("otel.status_code", "ERROR");
        }
        (self.record)(error_type, self.started.elapsed());
    }
}

impl<F: FnMut(&'static str, Duration)> Drop for Outcome<F> {
    fn drop(&mut self) {
        if !self.ended {
            self.end(CANCELLED);
        }
    }
}
