//! What can be set about telemetry. Flatten [`Settings`] into a program's own configuration.

use std::path::PathBuf;

/// 1 GiB.
const LOG_MAX_BYTES: u64 = 1 << 30;

/// Telemetry settings, each with its environment variable.
#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    /// How lines look on stdout: `json` for machines, `text` for people. Files are always JSON.
    #[arg(long, env = "LOG_FORMAT", value_name = "LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
    /// Which lines are written: a level, or `target=level` pairs, by comma. Does not affect traces.
    #[arg(long, env = "RUST_LOG", value_name = "RUST_LOG", default_value = "info")]
    pub log_filter: String,
    /// A folder for hourly log files, of which 24 are kept. Unset: stdout only.
    #[arg(long, env = "LOG_DIR", value_name = "LOG_DIR")]
    pub log_dir: Option<PathBuf>,
    /// Most bytes of this program's log files together; the oldest go first.
    #[arg(long, env = "LOG_MAX_BYTES", value_name = "LOG_MAX_BYTES", default_value_t = LOG_MAX_BYTES,
          value_parser = clap::value_parser!(u64).range(1 << 20..))]
    pub log_max_bytes: u64,
    /// Base URL of an OTLP/HTTP receiver. Unset: spans have ids, but are not sent.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Share of new traces to send, 0 to 1. A caller's decision in `traceparent` is honoured.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 1.0,
          value_parser = parse_ratio)]
    pub trace_ratio: f64,
    /// Where this process runs, for example `local`, `staging` or `production`.
    #[arg(long, env = "DEPLOYMENT_ENVIRONMENT", value_name = "DEPLOYMENT_ENVIRONMENT", default_value = "local")]
    pub environment: String,
    /// What the deployment knows better than the build: `service.version=1.2.3,vcs.ref.head.revision=abc`.
    #[arg(long, env = "OTEL_RESOURCE_ATTRIBUTES", value_name = "OTEL_RESOURCE_ATTRIBUTES")]
    pub resource_attributes: Option<String>,
    /// Memory this process may use, in bytes, where no cgroup says so.
    #[arg(long, env = "MEMORY_LIMIT", value_name = "MEMORY_LIMIT")]
    pub memory_limit: Option<u64>,
}

/// How lines look on stdout.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Time, level, message, then `key=value`; in colour on a terminal, unless `NO_COLOR` is set.
    Text,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Json,
            log_filter: "info".into(),
            log_dir: None,
            log_max_bytes: LOG_MAX_BYTES,
            otlp_endpoint: None,
            trace_ratio: 1.0,
            environment: "local".into(),
            resource_attributes: None,
            memory_limit: None,
        }
    }
}

fn parse_ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("a number from 0 to 1 is needed, for example 0.1".into()),
    }
}
