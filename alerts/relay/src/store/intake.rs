//! Writes a notification down: incidents, their alerts and the outbox's rows, in one transaction.
use super::Store;
use super::rows::{
    Row, Write, add_alert, add_deliveries, add_event, add_incident, end_alert, resolve_when_over, tell_again,
};
use crate::alertmanager::{Alert, FOUND, Notification, Pairs, Status};
use crate::channel::INBOX;
use crate::episode::{self, Episode, Step};
use crate::incident::{self, CONTEXT, Incident, REOPENS, Return, Subject};
use crate::policy::Policy;
use crate::sight::View;

/// Prometheus' samples and Alertmanager's times of one episode differ by less.
pub(super) const NEAR: i64 = 5_000;
/// Alertmanager tries for no longer to deliver what is over.
const FOUND_FOR: i64 = 5 * 60_000;

/// What a notification changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// When the alerts of the incidents that were opened had started.
    pub(crate) opened: Vec<i64>,
    pub(crate) resolved: usize,
}

/// Under which circumstances something is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) now: i64,
    /// What it calls an end is none where monitoring is blind, or sees the alert fire.
    pub(crate) view: &'a View,
}

impl Store {
    /// Records a notification. When this returns, the disk has it.
    pub(crate) async fn record(&self, notification: &Notification, at: Circumstances<'_>) -> sqlx::Result<Changes> {
        let mut changes = Changes::default();
        let mut write = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        // Firing first: an incident that one alert leaves while another joins stays open.
        for status in [Status::Firing, Status::Resolved] {
            for alert in notification.alerts.iter().filter(|alert| alert.status == status) {
                take(&mut write, alert, &notification.group_labels, at, &mut changes).await?;
            }
        }
        write.commit().await?;
        Ok(changes)
    }
}

async fn take(
    write: &mut Write<'_>,
    alert: &Alert,
    group: &Pairs,
    at: Circumstances<'_>,
    changes: &mut Changes,
) -> sqlx::Result<()> {
    let identity = incident::identity(alert, group);
    let open = open_incident(write, &identity).await?;
    let now = at.now;
    let ended = (alert.status == Status::Resolved).then(|| alert.ends(now));
    if alert.status == Status::Firing
        && let Some(incident) = &open
    {
        seen_again(write, incident, now).await?;
    }
    match episode::step(alert.status, episode(write, alert, now).await?, open.is_some()) {
        Step::Nothing => {}
        Step::Join => {
            if let Some(incident) = open {
                add_alert(write, incident.id, alert, ended, now).await?;
            }
        }
        Step::Open if let Some(incident) = recent(write, &identity, now).await? => {
            add_alert(write, incident.id, alert, None, now).await?;
            reopen(write, &incident, alert, at).await?;
            changes.opened.push(alert.starts());
        }
        Step::Open | Step::TellAfterwards => {
            let incident = add_incident(write, &identity, alert, ended, now).await?;
            add_alert(write, incident, alert, ended, now).await?;
            let channels = told(alert, at.policy);
            let row = Row { subject: Subject::Firing, step: 0, since: alert.starts(), until: ended, now };
            add_deliveries(write, incident, &channels, row).await?;
            changes.opened.push(alert.starts());
            if ended.is_some() {
                add_deliveries(write, incident, &channels, Row { subject: Subject::Resolved, ..row }).await?;
                changes.resolved += 1;
            }
        }
        Step::End if at.view.fires(&alert.labels) => {}
        Step::End if at.view.is_blind(alert.label("alertname")) => {
            if let Some(incident) = open.filter(|incident| incident.lost_at.is_none()) {
                lose_sight(write, &incident, now).await?;
                changes.resolved += 1;
            }
        }
        Step::End => {
            if let Some(incident) = end_alert(write, alert, ended.unwrap_or(now), now).await? {
                changes.resolved += resolve_when_over(write, incident, now).await?;
            }
        }
    }
    Ok(())
}

/// Who is told: the inbox always, chats unless the alert only adds to others.
fn told(alert: &Alert, policy: &Policy) -> Vec<&'static str> {
    let (_, route) = policy.route(&alert.labels);
    let chats = if alert.label("tier") == CONTEXT { Vec::new() } else { policy.hears(&alert.labels, route.first()) };
    std::iter::once(INBOX).chain(chats).collect()
}

/// The incident of the same fault, if it was over only a while ago.
async fn recent(write: &mut Write<'_>, identity: &str, now: i64) -> sqlx::Result<Option<Incident>> {
    let found = sqlx::query_as(
        "SELECT * FROM incidents WHERE identity = ? AND resolved_received_at >= ? ORDER BY resolved_received_at DESC LIMIT 1",
    );
    found.bind(identity).bind(now - REOPENS).fetch_optional(&mut **write).await
}

/// The same incident again: told again, the first time; from the second time on it is flapping.
async fn reopen(write: &mut Write<'_>, incident: &Incident, alert: &Alert, at: Circumstances<'_>) -> sqlx::Result<()> {
    let flaps = incident::comes_back(at.now, incident.resolved_received_at, incident.reopened_at) == Return::Flapping;
    let reopened = sqlx::query(
        "UPDATE incidents SET resolved_at = NULL, resolved_received_at = NULL, reopened_at = ?2, chain_from = ?2,
            steps = 1, quiet_since = NULL, summary_at = NULL, flapping_since = CASE WHEN ?3 THEN ?2 END WHERE id = ?1",
    );
    reopened.bind(incident.id).bind(at.now).bind(flaps).execute(&mut **write).await?;
    add_event(write, incident.id, at.now, if flaps { "came back again: flapping" } else { "came back" }).await?;
    let (subject, since) =
        if flaps { (Subject::Flapping, incident.started_at) } else { (Subject::Firing, alert.starts()) };
    let row = Row { subject, step: 0, since, until: None, now: at.now };
    add_deliveries(write, incident.id, &told(alert, at.policy), row).await
}

/// It fires, so monitoring sees it, and it is not quiet.
async fn seen_again(write: &mut Write<'_>, incident: &Incident, now: i64) -> sqlx::Result<()> {
    if incident.lost_at.is_some() {
        add_event(write, incident.id, now, "monitoring sees it again").await?;
    }
    if incident.lost_at.is_some() || incident.quiet_since.is_some() {
        let seen = sqlx::query("UPDATE incidents SET lost_at = NULL, quiet_since = NULL WHERE id = ?");
        seen.bind(incident.id).execute(&mut **write).await?;
    }
    Ok(())
}

async fn lose_sight(write: &mut Write<'_>, incident: &Incident, now: i64) -> sqlx::Result<()> {
    let lost = sqlx::query("UPDATE incidents SET lost_at = ? WHERE id = ?").bind(now).bind(incident.id);
    lost.execute(&mut **write).await?;
    add_event(write, incident.id, now, "monitoring lost sight of it").await?;
    let row = Row { subject: Subject::LostSight, step: 0, since: incident.started_at, until: None, now };
    tell_again(write, incident.id, row).await
}

async fn open_incident(write: &mut Write<'_>, identity: &str) -> sqlx::Result<Option<Incident>> {
    sqlx::query_as("SELECT * FROM incidents WHERE identity = ? AND resolved_at IS NULL")
        .bind(identity)
        .fetch_optional(&mut **write)
        .await
}

async fn episode(write: &mut Write<'_>, alert: &Alert, now: i64) -> sqlx::Result<Episode> {
    let known: Option<(Option<i64>, i64)> =
        sqlx::query_as("SELECT ends_at, heard_at FROM alerts WHERE fingerprint = ? AND starts_at = ?")
            .bind(alert.fingerprint())
            .bind(alert.starts())
            .fetch_optional(&mut **write)
            .await?;
    if let Some((ended, heard)) = known {
        return Ok(Episode::known(ended.is_some(), now - heard));
    }
    // A notification that was on its way for so long that the relay has found its alert, and told of it, by itself.
    let found = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM alerts a JOIN incidents i ON i.id = a.incident_id
            WHERE i.alertname = ? AND i.service = ? AND a.fingerprint LIKE ? AND a.heard_at > ?
            AND ?5 BETWEEN a.starts_at - ?6 AND a.ends_at + ?6)",
    );
    let found = found.bind(alert.label("alertname")).bind(alert.label("service")).bind(format!("{FOUND}%"));
    let found = found.bind(now - FOUND_FOR).bind(alert.starts()).bind(NEAR).fetch_one(&mut **write).await?;
    Ok(if found { Episode::JustOver } else { Episode::Unknown })
}
