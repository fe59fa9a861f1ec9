//! Where recorded values are kept, and how they are read: two Prometheus recorders, one for what is
//! scraped every second, one for the rest.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, thread};

use metrics::{
    Counter as CounterHandle, Gauge as GaugeHandle, Histogram as HistogramHandle, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, with_local_recorder,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::metrics::{Metric, OWN, UNIX_TIME};
use crate::{lag, volumes};

/// Until then, each observation of a histogram is kept: 16 bytes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Everything recorded so far, as Prometheus text. Cheap to clone.
#[derive(Clone)]
pub struct Report {
    recorder: Arc<Split>,
    fast: PrometheusHandle,
    rest: PrometheusHandle,
    process: metrics_process::Collector,
}

impl Report {
    /// Builds a recorder for the library's metrics and `declared`, and its report. Installs nothing.
    pub(crate) fn build(declared: &[&'static dyn Metric]) -> Result<(Arc<Split>, Self), BuildError> {
        let all: Vec<_> = OWN.iter().chain(declared).copied().collect();
        let mut builder = PrometheusBuilder::new();
        for metric in all.iter().filter(|metric| !metric.buckets().is_empty()) {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name().into()), metric.buckets())?;
        }
        let mut names: Vec<_> = all.iter().filter(|metric| metric.is_fast()).map(|metric| metric.name()).collect();
        names.push("process_start_time_seconds");
        let (fast, rest) = (PrometheusBuilder::new().build_recorder(), builder.build_recorder());
        let (fast_handle, rest_handle) = (fast.handle(), rest.handle());
        let recorder = Arc::new(Split { fast, rest, names });
        let process = metrics_process::Collector::default();
        with_local_recorder(&*recorder, || {
            process.describe();
            process.collect();
            for metric in &all {
                metric.describe();
            }
        });
        let report = Self { recorder: Arc::clone(&recorder), fast: fast_handle, rest: rest_handle, process };
        Ok((recorder, report))
    }

    /// Sums up what was observed, on a thread of its own, whether or not anybody scrapes. All other threads may
    /// be stuck in what they write to.
    pub(crate) fn keep_up(&self) -> io::Result<()> {
        let rest = self.rest.clone();
        let run = move || {
            loop {
                thread::sleep(UPKEEP);
                rest.run_upkeep();
            }
        };
        thread::Builder::new().name("metrics-upkeep".into()).spawn(run)?;
        Ok(())
    }

    /// Everything but what [`Self::render_fast`] gives.
    #[must_use]
    pub fn render(&self) -> String {
        with_local_recorder(&*self.recorder, || {
            self.process.collect();
            volumes::record();
            lag::record();
        });
        self.rest.render()
    }

    /// The few metrics that are scraped every second.
    #[must_use]
    pub fn render_fast(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        with_local_recorder(&*self.recorder, || UNIX_TIME.set([], now.as_secs_f64()));
        self.fast.render()
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report").finish_non_exhaustive()
    }
}

/// Two recorders as one: a metric's name decides which of them gets it.
pub(crate) struct Split {
    fast: PrometheusRecorder,
    rest: PrometheusRecorder,
    names: Vec<&'static str>,
}

impl Split {
    fn of(&self, name: &str) -> &PrometheusRecorder {
        if self.names.contains(&name) { &self.fast } else { &self.rest }
    }
}

impl Recorder for Split {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.of(name.as_str()).describe_counter(name, unit, help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.of(name.as_str()).describe_gauge(name, unit, help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.of(name.as_str()).describe_histogram(name, unit, help);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> CounterHandle {
        self.of(key.name()).register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> GaugeHandle {
        self.of(key.name()).register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> HistogramHandle {
        self.of(key.name()).register_histogram(key, metadata)
    }
}
