//! The rows that a transaction writes: incidents, alerts, deliveries, events.
use sqlx::{Sqlite, Transaction};

use crate::alertmanager::Alert;
use crate::channel::INBOX;
use crate::incident::{self, Incident, Subject};

pub(super) type Write<'a> = Transaction<'a, Sqlite>;

/// A new incident, under a new code.
pub(super) async fn add_incident(
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
            query, dashboard, chain_from)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
    let added = added.bind(alert.annotation("query")).bind(alert.annotation("dashboard")).bind(now);
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

/// Its alert, or another episode of it.
pub(super) async fn add_alert(
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
pub(super) async fn end_alert(write: &mut Write<'_>, alert: &Alert, ended: i64, now: i64) -> sqlx::Result<Option<i64>> {
    let over = sqlx::query_scalar(
        "UPDATE alerts SET ends_at = ?, heard_at = ? WHERE fingerprint = ? AND starts_at <= ? AND ends_at IS NULL
         RETURNING incident_id",
    );
    over.bind(ended).bind(now).bind(alert.fingerprint()).bind(alert.starts()).fetch_optional(&mut **write).await
}

/// Resolves the incident if none of its alerts fires any more; says how many were resolved. One that is flapping has
/// to be quiet for a while first.
pub(super) async fn resolve_when_over(write: &mut Write<'_>, incident: i64, now: i64) -> sqlx::Result<usize> {
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

/// What happened besides alerts and deliveries.
pub(super) async fn add_event(write: &mut Write<'_>, incident: i64, at: i64, what: &str) -> sqlx::Result<()> {
    let added = sqlx::query("INSERT INTO events (incident_id, at, what) VALUES (?, ?, ?)");
    added.bind(incident).bind(at).bind(what).execute(&mut **write).await.map(|_| ())
}
