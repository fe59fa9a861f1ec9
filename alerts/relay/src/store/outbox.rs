//! The outbox's side of the store: what is due on a channel, and what became of an attempt.
use std::time::Duration;

use sqlx::FromRow;

use super::Store;
use super::rows::{Row, Write, add_deliveries, add_event};
use crate::incident::{Incident, Subject};
use crate::time;

/// The head of an incident's queue on a channel is its oldest pending row: a RESOLVED never overtakes its FIRING.
macro_rules! heads {
    ($select:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $select,
            " FROM deliveries d JOIN incidents i ON i.id = d.incident_id
             LEFT JOIN handles h ON h.incident_id = d.incident_id AND h.channel = d.channel
             LEFT JOIN deliveries c ON c.id = (SELECT min(f.id) FROM deliveries f WHERE f.channel = d.channel
                AND f.incident_id = d.incident_id AND f.state = 'pending' AND f.id > d.id
                AND f.transition = 'resolved' AND d.transition <> 'resolved')
             WHERE d.channel = ?1 AND d.state = 'pending' AND NOT EXISTS (
                SELECT 1 FROM deliveries e WHERE e.channel = d.channel AND e.incident_id = d.incident_id
                AND e.state = 'pending' AND e.id < d.id) ",
            $rest
        )
    };
}

/// At most so many go into one message.
const MOST: u32 = 1000;

/// What has to be sent now.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Due {
    #[sqlx(flatten)]
    pub(crate) incident: Incident,
    pub(crate) subject: Subject,
    pub(crate) since: i64,
    pub(crate) until: Option<i64>,
    pub(crate) step: u32,
    pub(crate) plain: bool,
    /// How often it was tried before.
    pub(crate) attempts: u32,
    /// How often the fault has come.
    pub(crate) times: u32,
    /// What a second observer says.
    pub(crate) observers: Option<String>,
    /// The message about this incident that can be changed.
    pub(crate) handle: Option<String>,
    pub(crate) head: i64,
    /// The RESOLVED that goes into the same message.
    pub(crate) closing: Option<i64>,
}

impl Due {
    /// Whether it must not wait for a broken or a busy channel.
    pub(crate) fn is_urgent(&self) -> bool {
        let news = matches!(self.subject, Subject::Firing | Subject::Escalated | Subject::Outage);
        news && self.incident.severity == "critical"
    }
}

/// What became of an attempt.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The channel has it; with the handle of the message, where it can be changed.
    Accepted(Option<String>),
    /// It does not; try again after the pause, in plain form if so.
    Failed { why: String, pause: Duration, plain: bool },
}

impl Store {
    /// What is due on `channel`: critical first, then the oldest.
    pub(crate) async fn due(&self, channel: &str) -> sqlx::Result<Vec<Due>> {
        let mut due: Vec<Due> = sqlx::query_as(heads!(
            "i.*, d.id AS head, d.transition AS subject, d.since, coalesce(c.until, d.until) AS until, d.step, d.plain,
                d.attempts, h.handle, c.id AS closing, (SELECT count(*) FROM alerts a WHERE a.incident_id = i.id) AS times,
                (SELECT group_concat(o.summary, '; ') FROM incidents o WHERE o.tier = 'context' AND o.resolved_at IS NULL
                    AND o.env = i.env AND (o.service = i.service OR o.failure_type = i.failure_type) AND o.id <> i.id
                ) AS observers",
            "AND d.next_attempt_at <= ?2 ORDER BY i.severity = 'critical' DESC, d.id LIMIT ?3"
        ))
        .bind(channel)
        .bind(time::now())
        .bind(MOST)
        .fetch_all(&self.reader)
        .await?;
        for due in due.iter_mut().filter(|due| due.closing.is_some()) {
            due.subject = if due.subject == Subject::Firing { Subject::Outage } else { Subject::Resolved };
        }
        Ok(due)
    }

    /// How long until something is due on `channel`.
    pub(crate) async fn until_due(&self, channel: &str) -> sqlx::Result<Option<Duration>> {
        let next: Option<i64> =
            sqlx::query_scalar(heads!("min(d.next_attempt_at)", "")).bind(channel).fetch_one(&self.reader).await?;
        Ok(next.map(time::until))
    }

    /// Writes down what became of an attempt.
    pub(crate) async fn settle(&self, channel: &str, dues: &[Due], outcome: &Outcome) -> sqlx::Result<()> {
        let mut write = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for due in dues {
            match outcome {
                Outcome::Accepted(handle) => {
                    let handle = handle.as_deref().filter(|_| dues.len() == 1);
                    let detail = if dues.len() == 1 { "" } else { "in one message with others" };
                    accept(&mut write, channel, due, handle, detail).await?;
                }
                Outcome::Failed { why, pause, plain } => {
                    sqlx::query("UPDATE deliveries SET attempts = ?, next_attempt_at = ?, plain = ? WHERE id = ?")
                        .bind(due.attempts + 1)
                        .bind(time::now().saturating_add(time::millis(*pause)))
                        .bind(plain)
                        .bind(due.head)
                        .execute(&mut *write)
                        .await?;
                    add_attempt(&mut write, due.head, false, why).await?;
                }
            }
        }
        write.commit().await
    }

    /// Tells the next channel of what a dead one has not accepted. Once: that one fails over in turn.
    pub(crate) async fn fail_over(&self, from: &str, due: &Due, candidates: &[&'static str]) -> sqlx::Result<bool> {
        let mut write = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let told: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT channel FROM deliveries WHERE incident_id = ? AND step <= ?")
                .bind(due.incident.id)
                .bind(due.step)
                .fetch_all(&mut *write)
                .await?;
        let Some(next) = candidates.iter().find(|name| !told.iter().any(|told| told == *name)) else {
            return Ok(false);
        };
        let now = time::now();
        let row = Row { subject: Subject::Firing, step: due.step, since: due.since, until: None, now };
        add_deliveries(&mut write, due.incident.id, &[next], row).await?;
        if let Some(until) = due.until {
            let over = Row { subject: Subject::Resolved, until: Some(until), ..row };
            add_deliveries(&mut write, due.incident.id, &[next], over).await?;
        }
        add_event(&mut write, due.incident.id, now, &format!("{from} does not accept it, so {next} is told")).await?;
        write.commit().await?;
        Ok(true)
    }
}

async fn accept(
    write: &mut Write<'_>,
    channel: &str,
    due: &Due,
    handle: Option<&str>,
    detail: &str,
) -> sqlx::Result<()> {
    let last = due.closing.unwrap_or(due.head);
    sqlx::query(
        "UPDATE deliveries SET state = CASE WHEN id = ?4 THEN 'delivered' ELSE 'merged' END, attempts = ?5, delivered_at = ?6
         WHERE incident_id = ?1 AND channel = ?2 AND state = 'pending' AND id BETWEEN ?3 AND ?4",
    )
    .bind(due.incident.id)
    .bind(channel)
    .bind(due.head)
    .bind(last)
    .bind(due.attempts + 1)
    .bind(time::now())
    .execute(&mut **write)
    .await?;
    if let Some(handle) = handle {
        sqlx::query("INSERT INTO handles (incident_id, channel, handle) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(due.incident.id)
            .bind(channel)
            .bind(handle)
            .execute(&mut **write)
            .await?;
    }
    add_attempt(write, last, true, detail).await
}

async fn add_attempt(write: &mut Write<'_>, delivery: i64, accepted: bool, detail: &str) -> sqlx::Result<()> {
    let added = sqlx::query("INSERT INTO attempts (delivery_id, at, accepted, detail) VALUES (?, ?, ?, ?)");
    added.bind(delivery).bind(time::now()).bind(accepted).bind(detail).execute(&mut **write).await.map(|_| ())
}
