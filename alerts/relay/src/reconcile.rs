//! Compares what is told with what is: every 15 s and at start. What Alertmanager forgot to say is made up for.
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::alertmanager::{Alert, Notification, Pairs, Status};
use crate::incident::Incident;
use crate::server::Relay;
use crate::sight::{Held, Seen, Series};
use crate::store::Circumstances;
use crate::time;

const EVERY: Duration = Duration::from_secs(15);
/// Alertmanager has this long to tell us itself: it waits for what belongs together and for causes that mute symptoms.
const ITS_TURN: TimeDelta = TimeDelta::seconds(60);
/// What has been quiet between two looks is over.
const CERTAIN: i64 = 30_000;
/// A gap that is shorter was no downtime; one that is longer is not made up for.
const GAP: i64 = 60_000;
const LONGEST_GAP: i64 = 24 * 3_600_000;
/// Prometheus answers with at most 11,000 points a series.
const POINTS: i64 = 10_000;
/// An Alertmanager receiver of ours has this in its name.
const RECEIVER: &str = "relay";

/// Until the bell says stop.
pub(crate) async fn reconcile(relay: Arc<Relay>) {
    if relay.sight.prometheus.is_none() && relay.sight.alertmanager.is_none() {
        return;
    }
    let mut bell = relay.bell.listen();
    let mut caught_up = false;
    while !relay.bell.stopping() {
        let looked = async {
            caught_up = caught_up || catch_up(&relay).await?;
            look(&relay).await?;
            if caught_up { relay.store.checked(time::now()).await } else { Ok(()) }
        };
        if let Err(error) = looked.await {
            tracing::warn!(failure_type = "alert_pipeline", error.cause = %error, "what is told cannot be compared with what is");
        }
        tokio::select! {
            _ = bell.wait_for(|signal| signal.stopping) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Tells what Alertmanager holds and we have not heard of, and ends what neither it nor Prometheus knows any more.
async fn look(relay: &Relay) -> sqlx::Result<()> {
    let Some(held) = relay.sight.held().await else { return Ok(()) };
    let open = relay.store.unresolved().await?;
    let overdue = Utc::now() - ITS_TURN;
    let ours = |held: &Held| held.receivers.iter().any(|receiver| receiver.name == RECEIVER);
    let missed =
        held.iter().filter(|held| ours(held) && held.status.state == "active" && held.alert.starts_at < overdue);
    record(relay, missed.map(|held| held.alert.clone()).collect(), Status::Firing).await?;
    let Some(firing) = relay.sight.firing().await else { return Ok(()) };
    let known = |labels: &Pairs| {
        held.iter().any(|held| same(&held.alert.labels, labels))
            || firing.iter().any(|seen: &Seen| same(&seen.labels, labels))
    };
    let settled = time::now() - CERTAIN;
    for incident in open {
        // An incident of our own is about monitoring, not known to it.
        let fresh = incident.received_at > settled || incident.lost_at.is_some_and(|lost| lost > settled);
        if !fresh && incident.alertname != SILENT && incident.quiet_since.is_none() && !known(&incident.labels()) {
            relay.store.end(&incident, time::now()).await?;
            tracing::info!(incident = incident.code, "over, as Prometheus and Alertmanager say");
            relay.bell.ring();
        }
    }
    Ok(())
}

/// Prometheus' labels may lack some that Alertmanager's have.
fn same(one: &Pairs, other: &Pairs) -> bool {
    let agree = |name: &str| match (one.get(name), other.get(name)) {
        (Some(one), Some(other)) => one == other,
        _ => name != "alertname",
    };
    ["alertname", "service", "env"].into_iter().all(agree)
}

/// Tells of what began and ended while the relay was down. Says whether Prometheus could be asked.
async fn catch_up(relay: &Relay) -> sqlx::Result<bool> {
    let now = time::now();
    let since = relay.store.last_checked().await?;
    if since == 0 || now - since < GAP || relay.sight.prometheus.is_none() {
        return Ok(true);
    }
    let since = since.max(now - LONGEST_GAP);
    let step = ((now - since) / 1000 / POINTS).max(1);
    let moment = |millis| DateTime::from_timestamp_millis(millis).unwrap_or_default();
    let Some(series) = relay.sight.fired(moment(since), moment(now), step).await else { return Ok(false) };
    let mut missed = Vec::new();
    for (labels, from, to) in episodes(&series, step * 1000) {
        // What still fires, Alertmanager tells. What we have heard of needs no telling.
        if now - to > ITS_TURN.num_milliseconds() && !relay.store.overlaps(&labels, from, to).await? {
            missed.push(Alert::new(labels, moment(from), Some(moment(to))));
        }
    }
    if !missed.is_empty() {
        tracing::warn!(missed = missed.len(), "alerts began and ended while the relay was down; they are told now");
        record(relay, missed, Status::Resolved).await?;
    }
    Ok(true)
}

/// The runs of samples, without symptoms that a cause of the same service explains.
fn episodes(series: &[Series], step: i64) -> Vec<(Pairs, i64, i64)> {
    let mut all: Vec<(Pairs, i64, i64)> = Vec::new();
    for series in series {
        let mut labels = series.metric.clone();
        labels.retain(|name, _| name != "__name__" && name != "alertstate");
        let told =
            !matches!(labels.get("tier").map(String::as_str), Some("shadow" | "escalation" | "heartbeat" | "context"));
        let stamps = series.values.iter().map(|(seconds, _)| time::from_seconds(*seconds)).filter(|_| told);
        let mut run: Option<(i64, i64)> = None;
        for at in stamps {
            run = match run {
                Some((from, to)) if at - to <= 2 * step => Some((from, at)),
                before => {
                    all.extend(before.map(|(from, to)| (labels.clone(), from, to)));
                    Some((at, at))
                }
            };
        }
        all.extend(run.map(|(from, to)| (labels.clone(), from, to)));
    }
    let tier = |labels: &Pairs, tier: &str| labels.get("tier").is_some_and(|found| found == tier);
    let causes: Vec<_> = all.iter().filter(|(labels, ..)| tier(labels, "cause")).cloned().collect();
    let explained = |labels: &Pairs, from: i64, to: i64| {
        causes.iter().any(|(cause, began, ended)| {
            *began <= to
                && from <= *ended
                && ["service", "env"].iter().all(|name| cause.get(*name) == labels.get(*name))
        })
    };
    all.retain(|(labels, from, to)| !tier(labels, "symptom") || !explained(labels, *from, *to));
    all
}

async fn record(relay: &Relay, mut alerts: Vec<Alert>, status: Status) -> sqlx::Result<()> {
    for alert in &mut alerts {
        alert.status = status;
    }
    if alerts.is_empty() {
        return Ok(());
    }
    let at = Circumstances { policy: &relay.policy, now: time::now(), blind: false };
    let changes = relay.store.record(&Notification::of(status, alerts), at).await?;
    if !changes.opened.is_empty() || changes.resolved > 0 {
        tracing::info!(opened = changes.opened.len(), resolved = changes.resolved, "incidents changed by comparison");
        relay.bell.ring();
    }
    Ok(())
}

/// The incident that the relay opens itself.
pub(crate) const SILENT: &str = "MonitoringSilent";

/// Opens it when the heartbeat has stopped, closes it when it is back.
pub(crate) async fn watch_heartbeat(relay: &Relay) -> sqlx::Result<()> {
    relay.store.remember_beat(relay.heartbeat.last()).await?;
    let open: Option<Incident> =
        relay.store.unresolved().await?.into_iter().find(|incident| incident.alertname == SILENT);
    let silent = relay.heartbeat.overdue() && relay.store.ever_beat().await?;
    let status = match (&open, silent) {
        (None, true) => Status::Firing,
        (Some(_), false) => Status::Resolved,
        _ => return Ok(()),
    };
    let labels = [
        ("alertname", SILENT),
        ("failure_type", "watchdog"),
        ("service", "monitoring"),
        ("env", relay.environment.as_str()),
        ("severity", "critical"),
        ("tier", "cause"),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let since = open.map_or_else(|| time::now() - relay.heartbeat.age(), |incident| incident.started_at);
    let mut alert = Alert::new(labels, DateTime::from_timestamp_millis(since).unwrap_or_default(), Some(Utc::now()));
    alert.annotations.insert("summary".into(), "Monitoring is silent: its heartbeat has stopped".into());
    alert.annotations.insert("impact".into(), "Faults may go unnoticed until it is back.".into());
    record(relay, vec![alert], status).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(tier: &str, samples: &[i32]) -> Series {
        let metric = [("alertname", "A"), ("tier", tier), ("service", "orders"), ("alertstate", "firing")];
        let metric = metric.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Series { metric, values: samples.iter().map(|at| (f64::from(*at), "1".to_owned())).collect() }
    }

    #[test]
    fn runs_of_samples_are_episodes_and_explained_symptoms_are_none() {
        let found = episodes(
            &[series("cause", &[10, 11, 12, 60, 61]), series("symptom", &[11, 12]), series("shadow", &[11])],
            1000,
        );
        let times: Vec<(i64, i64)> = found.iter().map(|(_, from, to)| (*from, *to)).collect();
        assert_eq!(times, [(10_000, 12_000), (60_000, 61_000)]);
        assert_eq!(episodes(&[series("symptom", &[100])], 1000).len(), 1);
    }
}
