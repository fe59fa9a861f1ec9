//! Waits until a stack is green: a fault injected before would be told late, or not at all.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::observer::{Observer, Readiness, sample};
use crate::{load::Load, timeline::Timeline};

const DEADLINE: Duration = Duration::from_mins(2);
const CALM: usize = 40;
/// Two beats of the Watchdog and a little: the relay has heard it lately.
const HEARTBEAT_AGE: f64 = 35.0;

/// Returns when nothing is left to complain about; fails with the complaints otherwise.
pub(super) async fn wait(observer: &Observer, load: &Load, timeline: &mut Timeline) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let mut told = Instant::now();
    loop {
        let complaints = complaints(observer, load).await;
        if complaints.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            anyhow::bail!(
                "the stack is not green after {} s, so breaking it would prove nothing: {}",
                DEADLINE.as_secs(),
                complaints.join("; ")
            );
        }
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            timeline.say(&format!("waiting: {}", complaints.join("; ")));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn complaints(observer: &Observer, load: &Load) -> Vec<String> {
    let mut complaints = Vec::new();
    if observer.ready().await != Readiness::Green {
        complaints.push("the service is not ready".to_owned());
    }
    match observer.targets_down().await {
        Ok(down) => complaints.extend(down.into_iter().map(|target| format!("not scraped: {target}"))),
        Err(error) => complaints.push(format!("Prometheus does not answer: {error:#}")),
    }
    if observer.query("min(db_up{job=\"app-fast\"})").await.ok().flatten() != Some(1.0) {
        complaints.push("db_up is not 1 in Prometheus".to_owned());
    }
    match observer.relay_report().await {
        Ok(report) => complaints.extend(of_relay(&report).into_iter().map(str::to_owned)),
        Err(error) => complaints.push(format!("the relay does not answer: {error:#}")),
    }
    match observer.alerts().await {
        Ok(alerts) => complaints.extend(
            alerts
                .iter()
                // A symptom outlives its cause by minutes, muted all the while.
                .filter(|alert| !alert.muted() && !matches!(alert.label("tier"), "heartbeat" | "shadow"))
                .map(|alert| format!("{} is firing", alert.label("alertname"))),
        ),
        Err(error) => complaints.push(format!("Alertmanager does not answer: {error:#}")),
    }
    let samples = load.samples();
    let latest = samples.len().saturating_sub(CALM);
    let calm = samples.get(latest..).unwrap_or_default();
    if calm.len() < CALM || !calm.iter().all(crate::load::Sample::succeeded) {
        let last = calm.iter().rev().find(|sample| !sample.succeeded());
        complaints.push(last.map_or_else(
            || "too few requests so far".to_owned(),
            |sample| format!("requests do not succeed: {} ended with {:?}", sample.what, sample.answer),
        ));
    }
    complaints
}

/// What the relay's own report says against it.
fn of_relay(report: &str) -> Vec<&'static str> {
    let metric = |name| sample(report, name);
    let mut complaints = Vec::new();
    if !heartbeat_heard(metric("relay_heartbeat_age_seconds"), metric("process_start_time_seconds")) {
        complaints.push("the relay has heard no heartbeat lately");
    }
    if metric("relay_oldest_pending_seconds").is_some_and(|age| age > 0.0) {
        complaints.push("the relay still has something to deliver");
    }
    // An alert that is over may still be on its way.
    if metric("relay_incidents{state=\"open\"}") != Some(0.0) {
        complaints.push("the relay has an open incident");
    }
    complaints
}

/// Whether there was a heartbeat, and lately. Until the first one, whose loss nobody would be told of, the age of the
/// last is that of the relay.
fn heartbeat_heard(age: Option<f64>, started: Option<f64>) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let (Some(age), Some(started)) = (age, started) else { return false };
    // The report is a moment old.
    (0.0..HEARTBEAT_AGE).contains(&age) && age + 1.0 < now - started
}
