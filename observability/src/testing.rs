//! What a test can see: the lines, metrics and spans of its own thread.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use metrics::LocalRecorderGuard;
use opentelemetry_sdk::trace::SpanData;
use serde_json::Value;
use tracing::subscriber::DefaultGuard;

use crate::layer::{self, Core};
use crate::line::Identity;
use crate::metrics::{Metric, Report};
use crate::report::Split;
use crate::traces::{Sampling, Spans};
use crate::writer::Output;
use crate::{logs, panics, subscriber};

/// Records this thread's telemetry until dropped. Tests do not share it, so they run in parallel.
pub struct Capture {
    lines: Arc<Mutex<Vec<u8>>>,
    spans: Arc<Mutex<Vec<SpanData>>>,
    report: Report,
    _subscriber: DefaultGuard,
    _recorder: LocalRecorderGuard<'static>,
}

impl Drop for Capture {
    fn drop(&mut self) {
        layer::renew();
    }
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").finish_non_exhaustive()
    }
}

impl Capture {
    /// Captures everything, at `info`, with every request sampled.
    #[must_use]
    pub fn start() -> Self {
        Self::with("info", 1.0, &[])
    }

    /// Captures with a log filter, a sampling ratio, and metrics of the program's own.
    ///
    /// # Panics
    /// When the filter or a metric is wrong: this is for tests.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that cannot set up its capture should say so at once")]
    pub fn with(filter: &str, ratio: f64, declared: &[&'static dyn Metric]) -> Self {
        let (recorder, report) = Report::build(declared).expect("metrics are declared rightly");
        // Leaked, so that the guard can live in this struct. A test process is short.
        let recorder: &'static Arc<Split> = Box::leak(Box::new(recorder));
        let recorder = metrics::set_default_local_recorder(recorder);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let spans = Arc::new(Mutex::new(Vec::new()));
        let core = Core {
            identity: Identity::new("test", "0.0.0", "test"),
            filter: logs::Filter::new(logs::parse(filter).expect("the filter parses")),
            output: Output::Memory(Arc::clone(&lines)),
            sampling: Sampling::new(ratio),
            spans: Spans::Memory(Arc::clone(&spans)),
        };
        see_every_thread();
        let subscriber = tracing::subscriber::set_default(subscriber::subscriber(Arc::new(core)));
        layer::renew();
        panics::add_hook();
        Self { lines, spans, report, _subscriber: subscriber, _recorder: recorder }
    }

    /// The lines written so far.
    ///
    /// # Panics
    /// When a line is not JSON.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a line that is no JSON is what tests are there to find")]
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::Deserializer::from_slice(&lines).into_iter().map(|line| line.expect("every line is JSON")).collect()
    }

    /// The metrics, as `/metrics` would serve them, `/metrics/fast` included.
    #[must_use]
    pub fn report(&self) -> String {
        self.report.render() + &self.report.render_fast()
    }

    /// The report itself, for an application that serves it.
    #[must_use]
    pub fn reporter(&self) -> Report {
        self.report.clone()
    }

    /// The spans that have ended so far.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanData> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// While one subscriber is registered, tracing asks the thread at hand, and not that subscriber, whether
/// anybody wants a line: a thread without a capture would silence the line for all. So there are two.
fn see_every_thread() {
    static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
    SECOND.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::registry()));
}
