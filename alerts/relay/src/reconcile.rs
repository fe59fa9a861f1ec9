//! Compares what is told with what is: every 15 s and at start. What Alertmanager forgot to say is made up for.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::alertmanager::{Alert, Notification, Pairs, Status};
use crate::heartbeat::SILENT;
use crate::server::Relay;
use crate::sight::{Held, Series, View};
use crate::store::Circumstances;
use crate::time;

const EVERY: Duration = Duration::from_secs(15);
/// Alertmanager has this long to tell us itself: it waits for what belongs together and for causes that mute symptoms.
const ITS_TURN: TimeDelta = TimeDelta::seconds(60);
/// What has been quiet for this long is over.
const CERTAIN: i64 = 30_000;
/// A longer gap is not made up for.
const LONGEST_GAP: i64 = 24 * 3_600_000;
/// Prometheus answers with at most 11,000 points a series.
const POINTS: i64 = 10_000;
/// Samples that are further apart belong to different episodes; rules are evaluated more often than that.
const APART: i64 = 60_000;
/// An Alertmanager receiver of ours has this in its name.
const RECEIVER: &str = "relay";

/// When something may have been missed, and is to be looked for in what Prometheus remembers.
#[derive(Default)]
struct Trouble {
    /// The last time there was a reason to think so.
    at: Option<i64>,
    /// Since when Prometheus and Alertmanager were running at the last look.
    since: Option<(Option<String>, Option<String>)>,
}

/// Until the bell says stop.
pub(crate) async fn reconcile(relay: Arc<Relay>) {
    if relay.sight.prometheus.is_none() && relay.sight.alertmanager.is_none() {
        return;
    }
    let mut bell = relay.bell.listen();
    let mut trouble = Trouble::default();
    while !relay.bell.stopping() {
        let looked = async {
            trouble.notice(&relay).await;
            look(&relay).await?;
            trouble.make_up(&relay).await
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

impl Trouble {
    /// Alertmanager forgets what begins and ends while it, the relay or the way between them is down, and Prometheus
    /// while it is down itself.
    async fn notice(&mut self, relay: &Relay) {
        let since = relay.sight.since().await;
        let refused = relay.refused.swap(false, Ordering::Relaxed);
        if refused || since.is_none() || since != self.since {
            self.at = Some(time::now());
        }
        self.since = since;
    }

    /// Tells of what began and ended meanwhile, until Alertmanager has had time to tell all it will tell.
    async fn make_up(&mut self, relay: &Relay) -> sqlx::Result<()> {
        let now = time::now();
        let Some(at) = self.at.filter(|_| relay.sight.prometheus.is_some()) else {
            return relay.store.checked(now).await;
        };
        let since = (relay.store.last_checked().await? - CERTAIN).max(now - LONGEST_GAP);
        if catch_up(relay, since, now).await? && now - at > CERTAIN {
            self.at = None;
            relay.store.checked(at).await?;
        }
        Ok(())
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
    let Some(view) = relay.sight.firing().await else { return Ok(()) };
    let known = |labels: &Pairs| {
        held.iter().any(|held| same(&held.alert.labels, labels)) || view.firing.iter().any(|seen| same(seen, labels))
    };
    let settled = time::now() - CERTAIN;
    for incident in open {
        // An incident of our own is about monitoring, not known to it.
        let fresh = incident.received_at > settled || incident.lost_at.is_some_and(|lost| lost > settled);
        let unsure = incident.alertname == SILENT || view.is_blind(&incident.alertname);
        if !fresh && !unsure && incident.quiet_since.is_none() && !known(&incident.labels()) {
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

/// Tells of what began and ended unheard. Says whether Prometheus could be asked.
async fn catch_up(relay: &Relay, since: i64, now: i64) -> sqlx::Result<bool> {
    let step = ((now - since) / 1000 / POINTS).max(1);
    let moment = |millis| DateTime::from_timestamp_millis(millis).unwrap_or_default();
    let Some(series) = relay.sight.fired(moment(since), moment(now), step).await else { return Ok(false) };
    let mut missed = Vec::new();
    for (labels, from, to) in episodes(&series) {
        // What still fires, Alertmanager tells. What we have heard of needs no telling.
        if now - to > CERTAIN && !relay.store.overlaps(&labels, from, to).await? {
            missed.push(Alert::found(labels, moment(from), moment(to)));
        }
    }
    if !missed.is_empty() {
        tracing::warn!(missed = missed.len(), "alerts began and ended unheard; they are told now");
        record(relay, missed, Status::Resolved).await?;
    }
    Ok(true)
}

/// The runs of samples, without symptoms that a cause of the same service explains.
fn episodes(series: &[Series]) -> Vec<(Pairs, i64, i64)> {
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
                Some((from, to)) if at - to <= APART => Some((from, at)),
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

/// Records what nobody has sent.
pub(crate) async fn record(relay: &Relay, mut alerts: Vec<Alert>, status: Status) -> sqlx::Result<()> {
    for alert in &mut alerts {
        alert.status = status;
    }
    if alerts.is_empty() {
        return Ok(());
    }
    let at = Circumstances { policy: &relay.policy, now: time::now(), view: &View::default() };
    let changes = relay.store.record(&Notification::of(status, alerts), at).await?;
    if !changes.opened.is_empty() || changes.resolved > 0 {
        tracing::info!(opened = changes.opened.len(), resolved = changes.resolved, "incidents changed by comparison");
        relay.bell.ring();
    }
    Ok(())
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
        let found =
            episodes(&[series("cause", &[10, 11, 12, 80, 81]), series("symptom", &[11, 12]), series("shadow", &[11])]);
        let times: Vec<(i64, i64)> = found.iter().map(|(_, from, to)| (*from, *to)).collect();
        assert_eq!(times, [(10_000, 12_000), (80_000, 81_000)]);
        assert_eq!(episodes(&[series("symptom", &[100])]).len(), 1);
    }
}
