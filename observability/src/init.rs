//! Sets everything up for the process, and takes it down in the right order.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tracing_log::LogTracer;

use crate::layer::Core;
use crate::line::Identity;
use crate::metrics::{self, Metric, Report, intern};
use crate::settings::Settings;
use crate::traces::{Sampling, Spans};
use crate::writer::{Output, Writer};
use crate::{client, logs, panics, subscriber, volumes};

/// Who reports: the `service` of lines, spans and alerts, and which build it is.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// For example `orders`.
    pub name: &'static str,
    /// Usually `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// The commit it was built from, or `unknown`.
    pub revision: &'static str,
}

impl Service {
    /// Version and revision as the deployment has them, in OpenTelemetry's `key=value` pairs.
    fn deployed_as(mut self, attributes: &str) -> Self {
        for (key, value) in attributes.split(',').filter_map(|pair| pair.split_once('=')) {
            match key.trim() {
                "service.version" => self.version = intern("version", value.trim()),
                "vcs.ref.head.revision" => self.revision = intern("revision", value.trim()),
                _ => {}
            }
        }
        self
    }
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// `RUST_LOG` cannot be parsed.
    #[error("RUST_LOG: {0}")]
    Filter(String),
    /// `LOG_DIR` cannot be created or written.
    #[error("LOG_DIR: cannot write log files there: name a folder this process may write to")]
    LogDir(#[source] io::Error),
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` is no usable address.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: {0}")]
    Exporter(String),
    /// The system starts no more threads.
    #[error("a thread of telemetry cannot be started")]
    Thread(#[source] io::Error),
    /// Two metrics that cannot stand beside each other.
    #[error("a metric is declared wrongly: {0}")]
    Metric(String),
    /// A second call in the same process.
    #[error("telemetry is already set up: call init once")]
    Twice,
}

/// Keeps telemetry running. Dropping it sends what is left: spans first, then lines.
#[derive(Debug)]
#[must_use = "telemetry stops when this is dropped"]
pub struct Telemetry {
    report: Report,
    spans: Spans,
    // Last: the lines that the end of the spans may write must still get out.
    _writer: Writer,
}

impl Telemetry {
    /// What `/metrics` serves.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report.clone()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.spans.shut_down();
    }
}

/// Installs logs, metrics, traces and the panic hook for this process. Call it once, first thing.
///
/// # Errors
/// When a setting is wrong; the message names the variable.
pub fn init(service: Service, settings: &Settings, declared: &[&'static dyn Metric]) -> Result<Telemetry, InitError> {
    client::install_crypto();
    let service = service.deployed_as(settings.resource_attributes.as_deref().unwrap_or_default());
    let (recorder, report) = Report::build(declared).map_err(|error| InitError::Metric(error.to_string()))?;
    ::metrics::set_global_recorder(recorder).map_err(|_| InitError::Twice)?;
    report.keep_up().map_err(InitError::Thread)?;
    metrics::introduce(service.version, service.revision, memory_limit(settings.memory_limit));

    let filter = logs::parse(&settings.log_filter).map_err(InitError::Filter)?;
    if let Some(folder) = &settings.log_dir {
        volumes::watch("logs", folder);
    }
    let writer = Writer::start(settings, service.name).map_err(InitError::LogDir)?;
    let spans = match settings.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()) {
        Some(endpoint) => Spans::over_otlp(endpoint, &service, &settings.environment)?,
        None => Spans::Nowhere,
    };
    let core = Core {
        identity: Identity::new(service.name, service.version, &settings.environment),
        filter: logs::Filter::new(filter),
        output: Output::Process(writer.lines()),
        sampling: Sampling::new(settings.trace_ratio),
        spans: spans.clone(),
    };
    tracing::subscriber::set_global_default(subscriber::subscriber(Arc::new(core))).map_err(|_| InitError::Twice)?;
    LogTracer::init().map_err(|_| InitError::Twice)?;
    panics::install_hook();
    Ok(Telemetry { report, spans, _writer: writer })
}

/// The cgroup's limit, else the configured one, else all memory of the host; 0 when nothing says.
fn memory_limit(configured: Option<u64>) -> f64 {
    let cgroup = read_number(Path::new("/sys/fs/cgroup/memory.max"));
    let configured = configured.and_then(|bytes| bytes.to_string().parse().ok());
    cgroup.or(configured).or_else(host_memory).unwrap_or_default()
}

fn read_number(path: &Path) -> Option<f64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn host_memory() -> Option<f64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: f64 = total.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}
