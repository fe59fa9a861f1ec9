//! What can be counted. A metric is a constant: its name, help and labels stand in one place.
//!
//! Label values are `&'static str`: a value that comes with a request cannot become a label. For
//! values that come from configuration there is [`intern`], which is bounded.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use metrics::{Gauge as GaugeHandle, Histogram as HistogramHandle, Key, Label, Level, Metadata, Unit, with_recorder};

pub use crate::report::Report;
use crate::{client, db, http, lag, losses, volumes};

/// Lines and spans that were lost, and why. Alerted: a silent loss would look like a quiet night.
pub static DROPPED: Counter<2> =
    Counter::new("telemetry_dropped_total", "Lines and spans that were lost.", ["signal", "reason"]);
pub(crate) static PANICS: Counter<0> = Counter::new("panics_total", "Panics, in requests and elsewhere.", []);
static BUILD_INFO: Gauge<2> = Gauge::new("build_info", "Always 1.", ["version", "revision"]).fast();
pub(crate) static UNIX_TIME: Gauge<0> =
    Gauge::new("unix_time_seconds", "This process's clock, for comparison with the scraper's.", []).fast();
static MEMORY_LIMIT: Gauge<0> =
    Gauge::new("memory_limit_bytes", "Memory this process may use: of its cgroup, its configuration, or its host.", []);

/// The library's own metrics.
pub(crate) static OWN: &[&dyn Metric] = &[
    &DROPPED,
    &PANICS,
    &BUILD_INFO,
    &UNIX_TIME,
    &MEMORY_LIMIT,
    &lag::RUNTIME_LAG,
    &http::REQUEST_DURATION,
    &http::ACTIVE_REQUESTS,
    &http::APP_ERRORS,
    &client::REQUEST_DURATION,
    &db::UP,
    &db::OPERATION_DURATION,
    &db::CONNECTION_COUNT,
    &db::CONNECTION_MAX,
    &db::CONNECTION_WAIT_TIME,
    &db::CONNECTION_TIMEOUTS,
    &db::WRITE_REFUSED,
    &volumes::VOLUME_FREE_RATIO,
];

/// Names that metrics-process adds. It declares them itself, so the contract test reads them here.
pub const PROCESS: [&str; 8] = [
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
];

/// Names and kinds of everything the library declares, for tests that compare them with rules and dashboards.
#[must_use]
pub fn own() -> &'static [&'static dyn Metric] {
    OWN
}

static METADATA: Metadata<'static> = Metadata::new("observability", Level::INFO, None);

/// What all kinds have in common.
#[derive(Debug)]
struct Declared<const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
}

impl<const N: usize> Declared<N> {
    fn key(&self, values: [&'static str; N]) -> Key {
        if N == 0 {
            return Key::from_static_name(self.name);
        }
        let labels = self.labels.iter().zip(values).map(|(name, value)| Label::from_static_parts(name, value));
        Key::from_parts(self.name, labels.collect::<Vec<_>>())
    }
}

/// A number that only grows.
#[derive(Debug)]
pub struct Counter<const N: usize>(Declared<N>);

impl<const N: usize> Counter<N> {
    /// Declares a counter. The name ends in `_total`.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self(Declared { name, help, labels })
    }

    /// Adds one.
    pub fn increment(&self, values: [&'static str; N]) {
        self.add(values, 1);
    }

    /// Adds `amount`.
    pub fn add(&self, values: [&'static str; N], amount: u64) {
        let key = self.0.key(values);
        with_recorder(|recorder| recorder.register_counter(&key, &METADATA).increment(amount));
    }

    /// Makes a series visible at 0: `increase()` does not see the first event of a series that begins with it.
    pub fn zero(&self, values: [&'static str; N]) {
        self.add(values, 0);
    }
}

/// A number that goes up and down.
#[derive(Debug)]
pub struct Gauge<const N: usize> {
    declared: Declared<N>,
    fast: bool,
}

impl<const N: usize> Gauge<N> {
    /// Declares a gauge. It is absent until it is set.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self { declared: Declared { name, help, labels }, fast: false }
    }

    /// Moves it to `/metrics/fast`, which is scraped every second. Keep that list short.
    #[must_use]
    pub const fn fast(mut self) -> Self {
        self.fast = true;
        self
    }

    /// Sets the value.
    pub fn set(&self, values: [&'static str; N], value: f64) {
        self.handle(values).set(value);
    }

    pub(crate) fn handle(&self, values: [&'static str; N]) -> GaugeHandle {
        let key = self.declared.key(values);
        with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }
}

/// A distribution, in seconds.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    declared: Declared<N>,
    buckets: &'static [f64],
}

impl<const N: usize> Histogram<N> {
    /// Declares a histogram. The name ends in `_seconds`, `buckets` are upper bounds in seconds.
    #[must_use]
    pub const fn new(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        buckets: &'static [f64],
    ) -> Self {
        Self { declared: Declared { name, help, labels }, buckets }
    }

    /// Records one observation, in seconds.
    pub fn record(&self, values: [&'static str; N], seconds: f64) {
        self.handle(values).record(seconds);
    }

    pub(crate) fn handle(&self, values: [&'static str; N]) -> HistogramHandle {
        let key = self.declared.key(values);
        with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }
}

/// One declared metric, whatever its kind.
pub trait Metric: Sync {
    /// Its Prometheus name.
    fn name(&self) -> &'static str;
    /// The names of its labels.
    fn labels(&self) -> &[&'static str];
    /// Upper bounds of its buckets, in seconds; empty for all but histograms.
    fn buckets(&self) -> &'static [f64] {
        &[]
    }
    /// Whether it is one of the few that are scraped every second.
    fn is_fast(&self) -> bool {
        false
    }
    /// Makes its help text known, and a counter without labels visible at 0.
    fn describe(&self);
}

impl<const N: usize> Metric for Counter<N> {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn labels(&self) -> &[&'static str] {
        &self.0.labels
    }

    fn describe(&self) {
        with_recorder(|recorder| recorder.describe_counter(self.0.name.into(), None, self.0.help.into()));
        if N == 0 {
            self.zero([""; N]);
        }
    }
}

impl<const N: usize> Metric for Gauge<N> {
    fn name(&self) -> &'static str {
        self.declared.name
    }

    fn labels(&self) -> &[&'static str] {
        &self.declared.labels
    }

    fn is_fast(&self) -> bool {
        self.fast
    }

    fn describe(&self) {
        with_recorder(|recorder| recorder.describe_gauge(self.declared.name.into(), None, self.declared.help.into()));
    }
}

impl<const N: usize> Metric for Histogram<N> {
    fn name(&self) -> &'static str {
        self.declared.name
    }

    fn labels(&self) -> &[&'static str] {
        &self.declared.labels
    }

    fn buckets(&self) -> &'static [f64] {
        self.buckets
    }

    fn describe(&self) {
        let Declared { name, help, .. } = self.declared;
        with_recorder(|recorder| recorder.describe_histogram(name.into(), Some(Unit::Seconds), help.into()));
    }
}

/// Turns a value from configuration into a label value. At most 64 values a label; then `other`.
#[must_use]
pub fn intern(label: &'static str, value: &str) -> &'static str {
    intern_up_to(64, label, value)
}

/// The same with another bound.
pub(crate) fn intern_up_to(most: usize, label: &'static str, value: &str) -> &'static str {
    static VALUES: Mutex<BTreeMap<&'static str, Vec<&'static str>>> = Mutex::new(BTreeMap::new());
    let mut values = VALUES.lock().unwrap_or_else(PoisonError::into_inner);
    let held = values.entry(label).or_default();
    if let Some(held) = held.iter().find(|held| **held == value) {
        return held;
    }
    if held.len() >= most {
        return "other";
    }
    // Leaked on purpose, and at most 64 times a label.
    let value: &'static str = Box::leak(value.to_owned().into_boxed_str());
    held.push(value);
    value
}

/// Sets what is known once the process is: its build, its memory, the losses that have not happened yet.
pub(crate) fn introduce(version: &'static str, revision: &'static str, memory_limit: f64) {
    BUILD_INFO.set([version, revision], 1.0);
    MEMORY_LIMIT.set([], memory_limit);
    losses::introduce();
    http::APP_ERRORS.zero(["panic", "error"]);
}
