//! What can be set about telemetry. Flatten [`Settings`] into a program's own configuration.

use std::path::PathBuf;

use reqwest::Url;

use crate::logs;

/// 1 GiB.
const LOG_MAX_BYTES: u64 = 1 << 30;

/// Telemetry settings, each with its environment variable.
#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    /// How lines look on stdout: `json` for machines, `text` for people. Files are always JSON.
    #[arg(long, env = "LOG_FORMAT", value_name = "LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
    /// Which lines are written: a level, or `target=level` pairs, by comma. Does not affect traces.
    #[arg(long, env = "RUST_LOG", value_name = "RUST_LOG", default_value = "info", value_parser = parse_filter)]
    pub log_filter: String,
    /// A folder for hourly log files, of which 24 are kept. Unset: stdout only.
    #[arg(long, env = "LOG_DIR", value_name = "LOG_DIR", value_parser = parse_folder)]
    pub log_dir: Option<PathBuf>,
    /// Most bytes of this program's log files together; the oldest go first.
    #[arg(long, env = "LOG_MAX_BYTES", value_name = "LOG_MAX_BYTES", default_value_t = LOG_MAX_BYTES,
          value_parser = clap::value_parser!(u64).range(1 << 20..))]
    pub log_max_bytes: u64,
    /// Base URL of an OTLP/HTTP receiver. Unset: spans have ids, but are not sent.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "OTEL_EXPORTER_OTLP_ENDPOINT",
          value_parser = parse_endpoint)]
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

fn parse_filter(text: &str) -> Result<String, String> {
    logs::parse(text).map(|_| text.to_owned())
}

/// It is made when it is missing, which a file in its way would prevent.
fn parse_folder(text: &str) -> Result<PathBuf, String> {
    let folder = PathBuf::from(text);
    match folder.ancestors().find(|path| path.exists()) {
        Some(there) if !there.is_dir() => Err(format!("{} is no folder: name one", there.display())),
        _ => Ok(folder),
    }
}

/// Empty is as good as unset.
fn parse_endpoint(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    match text.parse::<Url>() {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(text.to_owned()),
        Ok(_) => Err("it has to begin with http:// or https://".into()),
        Err(error) => Err(format!("{error}; write it as http://localhost:4318")),
    }
}
