//! Writes a notification down: incidents, their alerts and the outbox's rows, in one transaction.
use sqlx::{Sqlite, Transaction};

use super::Store;
use crate::alertmanager::{Alert, Notification, Pairs, Status};
use crate::channel::INBOX;
use crate::incident::{self, CONTEXT, Episode, Step, Transition};
use crate::time;

type Write<'a> = Transaction<'a, Sqlite>;

/// What a notification changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// When the alerts of the incidents that were opened had started.
    pub(crate) opened: Vec<i64>,
    pub(crate) resolved: usize,
}

impl Store {
    /// Records a notification; `channels` are to be told. When this returns, the disk has it.
    pub(crate) async fn record(&self, notification: &Notification, channels: &[&'static str]) -> sqlx::Result<Changes> {
        let mut changes = Changes::default();
        let mut write = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        // Firing first: an incident that one alert leaves while another joins stays open.
        for status in [Status::Firing, Status::Resolved] {
            for alert in notification.alerts.iter().filter(|alert| alert.status == status) {
                take(&mut write, alert, &notification.group_labels, channels, &mut changes).await?;
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
    channels: &[&'static str],
    changes: &mut Changes,
) -> sqlx::Result<()> {
    let identity = incident::identity(alert, group);
    let open = open_incident(write, &identity).await?;
    let now = time::now();
    let ended = (alert.status == Status::Resolved).then(|| alert.ends(now));
    match incident::step(alert.status, episode(write, alert, now).await?, open.is_some()) {
        Step::Nothing => {}
        Step::Join => {
            if let Some(incident) = open {
                add_alert(write, incident, alert, ended, now).await?;
            }
        }
        Step::Open | Step::TellAfterwards => {
            let incident = add_incident(write, &identity, alert, ended, now).await?;
            add_alert(write, incident, alert, ended, now).await?;
            let channels = told(alert, channels);
            add_deliveries(write, incident, Transition::Firing, &channels, now).await?;
            changes.opened.push(alert.starts());
            if ended.is_some() {
                add_deliveries(write, incident, Transition::Resolved, &channels, now).await?;
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
fn told(alert: &Alert, channels: &[&'static str]) -> Vec<&'static str> {
    let chats = if alert.label("tier") == CONTEXT { &[] } else { channels };
    std::iter::once(INBOX).chain(chats.iter().copied()).collect()
}

async fn open_incident(write: &mut Write<'_>, identity: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT id FROM incidents WHERE identity = ? AND resolved_at IS NULL")
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
            description, expression, labels, started_at, received_at, resolved_at, resolved_received_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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

/// Resolves the incident if none of its alerts fires any more; says how many were resolved.
async fn resolve_when_over(write: &mut Write<'_>, incident: i64, now: i64) -> sqlx::Result<usize> {
    let resolved = sqlx::query(
        "UPDATE incidents SET resolved_received_at = ?2,
            resolved_at = (SELECT max(ends_at) FROM alerts WHERE incident_id = ?1)
         WHERE id = ?1 AND resolved_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM alerts WHERE incident_id = ?1 AND ends_at IS NULL)",
    );
    if resolved.bind(incident).bind(now).execute(&mut **write).await?.rows_affected() == 0 {
        return Ok(0);
    }
    // Those who were, or will be, told that it began.
    let told: Vec<String> = sqlx::query_scalar(
        "SELECT channel FROM deliveries WHERE incident_id = ? AND transition = 'firing' ORDER BY id",
    )
    .bind(incident)
    .fetch_all(&mut **write)
    .await?;
    add_deliveries(write, incident, Transition::Resolved, &told, now).await?;
    Ok(1)
}

/// Adds what the channels have to be told. That the incident is stored is the inbox's delivery.
async fn add_deliveries<C: AsRef<str>>(
    write: &mut Write<'_>,
    incident: i64,
    transition: Transition,
    channels: &[C],
    now: i64,
) -> sqlx::Result<()> {
    for channel in channels.iter().map(AsRef::as_ref) {
        let inbox = channel == INBOX;
        let added = sqlx::query(
            "INSERT INTO deliveries (incident_id, channel, transition, state, attempts, created_at, next_attempt_at, delivered_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
        );
        let added = added.bind(incident).bind(channel).bind(transition.name());
        let added = added
            .bind(if inbox { "delivered" } else { "pending" })
            .bind(i64::from(inbox))
            .bind(now)
            .bind(inbox.then_some(now));
        added.execute(&mut **write).await?;
    }
    Ok(())
}
