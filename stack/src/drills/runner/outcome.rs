//! What a drill reports to machines: one JSON object, and the results file of many runs.

use std::{path::Path, time::Duration};

use anyhow::Context;
use chrono::Utc;
use serde::Serialize;

/// One drill, in seconds from just before the fault; `resolved_s` from the first accepted connection.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Which drill.
    pub drill: String,
    /// Whether everything was as it should be.
    pub ok: bool,
    /// Readiness turned red, or the service fell silent.
    pub detected_s: Option<f64>,
    /// The alert began to fire.
    pub alerted_s: Option<f64>,
    /// Chat accepted the first message.
    pub chat_s: Option<f64>,
    /// Chat accepted RESOLVED.
    pub resolved_s: Option<f64>,
    /// What chat received in all.
    pub messages: usize,
    /// How long requests took that were sent between detection and repair.
    pub refused_ms: Option<Spread>,
    /// What was not as it should be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// Many runs of one drill.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Which drill.
    pub drill: String,
    /// Whether every run was as it should be, and the 95th percentile within its target.
    pub ok: bool,
    /// How many.
    pub runs: usize,
    /// Fault to chat.
    pub chat_s: Option<Spread>,
    /// First accepted connection to RESOLVED.
    pub resolved_s: Option<Spread>,
    /// What was not as it should be, with the number of its run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// How values spread; percentiles by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let rank = |percent: usize| values.get((values.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Self { p50: rank(50)?, p95: rank(95)?, max: rank(100)? })
    }
}

impl Summary {
    /// Of `outcomes`; the 95th percentile until chat is judged by `chat_within`.
    pub(in crate::drills) fn of(drill: &str, outcomes: &[Outcome], chat_within: Option<Duration>) -> Self {
        let chat_s = Spread::of(outcomes.iter().filter_map(|outcome| outcome.chat_s));
        let mut reasons = Vec::new();
        for (run, outcome) in outcomes.iter().enumerate() {
            let which = if outcomes.len() > 1 { format!("run {}: ", run + 1) } else { String::new() };
            reasons.extend(outcome.reasons.iter().map(|reason| format!("{which}{reason}")));
        }
        if let (Some(spread), Some(within)) = (chat_s, chat_within)
            && spread.p95 > within.as_secs_f64()
        {
            reasons.push(format!("the 95th percentile until chat is {:.3} s, over {} s", spread.p95, within.as_secs()));
        }
        Self {
            drill: drill.to_owned(),
            ok: reasons.is_empty(),
            runs: outcomes.len(),
            chat_s,
            resolved_s: Spread::of(outcomes.iter().filter_map(|outcome| outcome.resolved_s)),
            reasons,
        }
    }
}

/// Writes summary and runs to `path`, with the date and the commit they belong to.
pub(in crate::drills) async fn write_results(
    path: &Path,
    summary: &Summary,
    outcomes: &[Outcome],
) -> anyhow::Result<()> {
    let results = serde_json::json!({
        "date": Utc::now().format("%Y-%m-%d").to_string(),
        "commit": commit().await,
        "summary": summary,
        "runs": outcomes,
    });
    let text = format!("{}\n", serde_json::to_string_pretty(&results)?);
    tokio::fs::write(path, text).await.with_context(|| format!("cannot write the results to {}", path.display()))
}

async fn commit() -> Option<String> {
    let output = tokio::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let spread = Spread::of((1..=20).map(f64::from)).unwrap();
        assert_eq!(spread, Spread { p50: 10.0, p95: 19.0, max: 20.0 });
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}
