//! Whether the dashboards show the fault while it lasts: panels that are empty in health have data, and the one that a
//! message leads to looks otherwise than before.

use std::process::Stdio;

use anyhow::Context;
use chrono::{DateTime, Utc};
use tokio::process::Command;

use super::observer::{Alert, Observer};
use crate::config::repository;

/// Where the relay's own alert leads, which Alertmanager never sees: how long nothing was heard.
const SILENCE: &str = "alerts/5";

/// Labels of alerts that are variables of dashboards.
const VARIABLES: [&str; 2] = ["service", "env"];
/// Seconds within which what was scraped last is drawn.
const WAIT: &str = "30";

/// What is not shown; without an alert, of the one that the relay makes itself.
pub(super) async fn judge(
    observer: &Observer,
    failure_type: &str,
    alert: Option<&Alert>,
    zero: DateTime<Utc>,
) -> anyhow::Result<Vec<String>> {
    let mut wrong = ask(observer, &["--filled-by", failure_type]).await?;
    let panel = alert.map_or(SILENCE, |alert| alert.annotation("dashboard"));
    if !panel.is_empty() {
        let mut which =
            vec!["--panel".to_owned(), panel.to_owned(), "--since".to_owned(), zero.timestamp().to_string()];
        let label = |name: &&str| alert.map(|alert| ["--with".to_owned(), format!("{name}={}", alert.label(name))]);
        which.extend(VARIABLES.iter().filter_map(label).flatten());
        wrong.extend(ask(observer, &which.iter().map(String::as_str).collect::<Vec<_>>()).await?);
    }
    Ok(wrong)
}

/// Runs the queries of panels as Grafana would: the lines about those without data.
async fn ask(observer: &Observer, which: &[&str]) -> anyhow::Result<Vec<String>> {
    let at = &observer.at;
    let mut command = Command::new(repository().join("grafana/check/check.sh"));
    command.args(["live", "--wait", WAIT]).args(which).stdin(Stdio::null()).kill_on_drop(true);
    command.envs([("PROMETHEUS_URL", &at.prometheus), ("LOKI_URL", &at.loki), ("JAEGER_URL", &at.jaeger)]);
    let output = command.output().await.context("grafana/check/check.sh cannot be started")?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let lines = said.lines().filter(|line| !line.starts_with("ok") && !line.starts_with("SKIPPED"));
    Ok(vec![format!("dashboards ({}): {}", which.join(" "), lines.collect::<Vec<_>>().join("; "))])
}
