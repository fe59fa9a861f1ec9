//! What a drill reports to machines: one JSON object, and the results file of many runs.

use std::{path::Path, time::Duration};

use serde::Serialize;

use crate::results::{self, Spread};

/// One drill, in seconds from just before the fault; `resolved_s` from the first accepted connection.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Which drill.
    pub drill: String,
    /// Whether everything was as it should be.
    pub ok: bool,
    /// Readiness turned red, the service fell silent, or the rule's expression held.
    pub detected_s: Option<f64>,
    /// The alert began to fire.
    pub alerted_s: Option<f64>,
    /// Chat accepted the first message.
    pub chat_s: Option<f64>,
    /// Chat accepted that somebody has taken it.
    pub acked_s: Option<f64>,
    /// The repair began.
    pub repair_s: Option<f64>,
    /// Chat accepted RESOLVED.
    pub resolved_s: Option<f64>,
    /// What chat received about it.
    pub messages: usize,
    /// What chat was rightly told besides: headlines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// How long requests took that were sent between detection and repair.
    pub refused_ms: Option<Spread>,
    /// What was not as it should be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// What was not when it ran beside others, before it was run again alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
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

/// Writes summary and runs to `path`.
pub(in crate::drills) async fn write_results(
    path: &Path,
    summary: &Summary,
    outcomes: &[Outcome],
) -> anyhow::Result<()> {
    let figures = [("summary", serde_json::to_value(summary)?), ("runs", serde_json::to_value(outcomes)?)];
    results::write(path, figures.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()).await
}

/// Writes one run each of many drills to `path`, and how long they took, so many at a time.
pub(in crate::drills) async fn write_all(
    path: &Path,
    outcomes: &[Outcome],
    took: Duration,
    lanes: usize,
) -> anyhow::Result<()> {
    let figures =
        [("took_s", took.as_secs().into()), ("lanes", lanes.into()), ("drills", serde_json::to_value(outcomes)?)];
    results::write(path, figures.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()).await
}
