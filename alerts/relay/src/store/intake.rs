//! Writes a notification down: incidents, their alerts and the outbox's rows, in one transaction.
use sqlx::{Sqlite, Transaction};

use super::Store;
use crate::alertmanager::{Alert, Notification, Pairs, Status};
use crate::channel::INBOX;
use crate::incident::{self, CONTEXT, Episode, Incident, REOPENS, Return, Step, Subject};
use crate::policy::Policy;

pub(super) type Write<'a> = Transaction<'a, Sqlite>;

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
    /// Monitoring is blind: what it calls an end is none.
    pub(crate) blind: bool,
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
    match incident::step(alert.status, episode(write, alert, now).await?, open.is_some()) {
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
        Step::End if at.blind => {
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
    let chats = if alert.label("tier") == CONTEXT { &[] } else { route.first() };
    std::iter::once(INBOX).chain(chats.iter().copied()).collect()
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
    Ok(known.map_or(Episode::Unknown, |(ended, heard)| Episode::known(ended.is_some(), now - heard)))
}

async fn add_incident(
    write: &mut Write<'_>,
    identity: &str,
    alert: &Alert,
    ended: Option<i64>,
    now: i64,
) -> sqlx::Result<i64> {
    let code = unused_code(write).await?;
    let added = sqlx::query(
        "INSERT INTO incidents (code, identity, alertname, failure_type, service, env, severity, tier, summary, impact,
            description, expression, labels, started_at, received_at, resolved_at, resolved_received_at,
            query, chain_from)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let mut added = added.bind(code).bind(identity);
    for label in ["alertname", "failure_type", "service", "env", "severity", "tier"] {
        added = added.bind(alert.label(label));
    }
    for annotation in ["summary", "impact", "description"] {
        added = added.bind(alert.annotation(annotation));
    }
    let added = added.bind(alert.expression()).bind(serde_json::json!(alert.labels).to_string());
    let added = added.bind(alert.starts()).bind(now).bind(ended).bind(ended.map(|_| now));
    let added = added.bind(alert.annotation("query")).bind(now);
    Ok(added.execute(&mut **write).await?.last_insert_rowid())
}

/// A code that no incident of the store has.
async fn unused_code(write: &mut Write<'_>) -> sqlx::Result<String> {
    loop {
        let code = incident::code();
        let taken: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM incidents WHERE code = ?)")
            .bind(&code)
            .fetch_one(&mut **write)
            .await?;
        if !taken {
            return Ok(code);
        }
    }
}

async fn add_alert(
    write: &mut Write<'_>,
    incident: i64,
    alert: &Alert,
    ended: Option<i64>,
    now: i64,
) -> sqlx::Result<()> {
    let added = sqlx::query(
        "INSERT INTO alerts (fingerprint, starts_at, ends_at, heard_at, incident_id) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET ends_at = excluded.ends_at, heard_at = excluded.heard_at, incident_id = excluded.incident_id",
    );
    let added = added.bind(alert.fingerprint()).bind(alert.starts()).bind(ended).bind(now).bind(incident);
    added.execute(&mut **write).await.map(|_| ())
}

/// Ends the alert, also earlier episodes of it whose end was never reported. Returns its incident.
async fn end_alert(write: &mut Write<'_>, alert: &Alert, ended: i64, now: i64) -> sqlx::Result<Option<i64>> {
    let over = sqlx::query_scalar(
        "UPDATE alerts SET ends_at = ?, heard_at = ? WHERE fingerprint = ? AND starts_at <= ? AND ends_at IS NULL
         RETURNING incident_id",
    );
    over.bind(ended).bind(now).bind(alert.fingerprint()).bind(alert.starts()).fetch_optional(&mut **write).await
}

/// Resolves the incident if none of its alerts fires any more; says how many were resolved. One that is flapping has
/// to be quiet for a while first.
async fn resolve_when_over(write: &mut Write<'_>, incident: i64, now: i64) -> sqlx::Result<usize> {
    let over: Option<Incident> = sqlx::query_as(
        "SELECT * FROM incidents WHERE id = ?1 AND resolved_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM alerts WHERE incident_id = ?1 AND ends_at IS NULL)",
    )
    .bind(incident)
    .fetch_optional(&mut **write)
    .await?;
    let Some(over) = over else { return Ok(0) };
    if over.flapping_since.is_some() {
        let quiet = sqlx::query("UPDATE incidents SET quiet_since = ? WHERE id = ?").bind(now).bind(incident);
        quiet.execute(&mut **write).await?;
        return Ok(0);
    }
    resolve(write, &over, now).await?;
    Ok(1)
}

/// It is over: those who were, or will be, told that it began are told so.
pub(super) async fn resolve(write: &mut Write<'_>, incident: &Incident, now: i64) -> sqlx::Result<()> {
    let resolved = sqlx::query_scalar(
        "UPDATE incidents SET resolved_received_at = ?2, lost_at = NULL,
            resolved_at = coalesce((SELECT max(ends_at) FROM alerts WHERE incident_id = ?1), ?2)
         WHERE id = ?1 RETURNING resolved_at",
    );
    let until: i64 = resolved.bind(incident.id).bind(now).fetch_one(&mut **write).await?;
    // A fault that came back was told as over before, so its last return is what is over now.
    let back = incident.reopened_at.filter(|_| incident.flapping_since.is_none());
    let row = Row {
        subject: Subject::Resolved,
        step: 0,
        since: back.unwrap_or(incident.started_at),
        until: Some(until),
        now,
    };
    tell_again(write, incident.id, row).await
}

/// For everybody who was told of it before.
pub(super) async fn tell_again(write: &mut Write<'_>, incident: i64, row: Row) -> sqlx::Result<()> {
    let told: Vec<String> =
        sqlx::query_scalar("SELECT channel FROM deliveries WHERE incident_id = ? GROUP BY channel ORDER BY min(id)")
            .bind(incident)
            .fetch_all(&mut **write)
            .await?;
    add_deliveries(write, incident, &told, row).await
}

/// What is to be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) subject: Subject,
    pub(super) step: u32,
    /// The episode it is about.
    pub(super) since: i64,
    pub(super) until: Option<i64>,
    pub(super) now: i64,
}

/// Adds what the channels have to be told. That the incident is stored is the inbox's delivery.
pub(super) async fn add_deliveries<C: AsRef<str>>(
    write: &mut Write<'_>,
    incident: i64,
    channels: &[C],
    row: Row,
) -> sqlx::Result<()> {
    for channel in channels.iter().map(AsRef::as_ref) {
        let inbox = channel == INBOX;
        let added = sqlx::query(
            "INSERT INTO deliveries (incident_id, channel, transition, step, since, until, state, attempts, created_at,
                next_attempt_at, delivered_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)",
        );
        let added = added.bind(incident).bind(channel).bind(row.subject).bind(row.step).bind(row.since).bind(row.until);
        let added = added
            .bind(if inbox { "delivered" } else { "pending" })
            .bind(i64::from(inbox))
            .bind(row.now)
            .bind(inbox.then_some(row.now));
        added.execute(&mut **write).await?;
    }
    Ok(())
}

pub(super) async fn add_event(write: &mut Write<'_>, incident: i64, at: i64, what: &str) -> sqlx::Result<()> {
    let added = sqlx::query("INSERT INTO events (incident_id, at, what) VALUES (?, ?, ?)");
    added.bind(incident).bind(at).bind(what).execute(&mut **write).await.map(|_| ())
}
