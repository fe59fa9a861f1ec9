//! The outbox's side of the store: what is due on a channel, and what became of an attempt.
use std::time::Duration;

use sqlx::{FromRow, Sqlite, Transaction};

use super::Store;
use crate::incident::{Incident, Transition};
use crate::time;

/// The head of an incident's queue on a channel is its oldest pending row: a RESOLVED never overtakes its FIRING.
macro_rules! heads {
    ($select:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $select,
            " FROM deliveries d JOIN incidents i ON i.id = d.incident_id
             WHERE d.channel = ?1 AND d.state = 'pending' AND NOT EXISTS (
                SELECT 1 FROM deliveries e WHERE e.channel = d.channel AND e.incident_id = d.incident_id
                AND e.state = 'pending' AND e.id < d.id) ",
            $rest
        )
    };
}

#[derive(Debug, FromRow)]
struct Head {
    id: i64,
    incident_id: i64,
    transition: String,
    plain: bool,
    attempts: u32,
}

/// What has to be sent now.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) incident: Incident,
    pub(crate) subject: Subject,
    pub(crate) plain: bool,
    /// How often it was tried before.
    pub(crate) attempts: u32,
    head: i64,
    /// The RESOLVED that goes into the same message as its FIRING.
    merged: Option<i64>,
}

/// What became of an attempt.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The channel has it.
    Accepted,
    /// It does not; try again after the pause, in plain form if so.
    Failed { why: String, pause: Duration, plain: bool },
}

/// What the message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// It is broken.
    Firing,
    /// It works again.
    Resolved,
    /// It was broken and works again, and the chat has not heard of either.
    Outage,
}

impl Subject {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Firing => Transition::Firing.name(),
            Self::Resolved => Transition::Resolved.name(),
            Self::Outage => "outage",
        }
    }
}

impl Store {
    /// The most urgent delivery that is due on `channel`: critical first, then the oldest.
    pub(crate) async fn due(&self, channel: &str) -> sqlx::Result<Option<Due>> {
        let mut read = self.reader.begin().await?;
        let head: Option<Head> = sqlx::query_as(heads!(
            "d.id, d.incident_id, d.transition, d.plain, d.attempts",
            "AND d.next_attempt_at <= ?2 ORDER BY i.severity = 'critical' DESC, d.id LIMIT 1"
        ))
        .bind(channel)
        .bind(time::now())
        .fetch_optional(&mut *read)
        .await?;
        let Some(head) = head else { return Ok(None) };
        let incident =
            sqlx::query_as("SELECT * FROM incidents WHERE id = ?").bind(head.incident_id).fetch_one(&mut *read).await?;
        let later = sqlx::query_scalar(
            "SELECT id FROM deliveries WHERE channel = ? AND incident_id = ? AND state = 'pending' AND id > ?",
        );
        let merged: Option<i64> =
            later.bind(channel).bind(head.incident_id).bind(head.id).fetch_optional(&mut *read).await?;
        let subject = match (head.transition.as_str(), merged) {
            ("firing", None) => Subject::Firing,
            ("firing", Some(_)) => Subject::Outage,
            _ => Subject::Resolved,
        };
        Ok(Some(Due { incident, subject, plain: head.plain, attempts: head.attempts, head: head.id, merged }))
    }

    /// How long until something is due on `channel`.
    pub(crate) async fn until_due(&self, channel: &str) -> sqlx::Result<Option<Duration>> {
        let next: Option<i64> =
            sqlx::query_scalar(heads!("min(d.next_attempt_at)", "")).bind(channel).fetch_one(&self.reader).await?;
        Ok(next.map(time::until))
    }

    /// Writes down what became of an attempt.
    pub(crate) async fn settle(&self, due: &Due, outcome: &Outcome) -> sqlx::Result<()> {
        let mut write = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        match outcome {
            Outcome::Accepted => accept(&mut write, due).await?,
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
        write.commit().await
    }
}

async fn accept(write: &mut Transaction<'_, Sqlite>, due: &Due) -> sqlx::Result<()> {
    let head = (due.head, if due.merged.is_some() { "merged" } else { "delivered" });
    for (id, state) in std::iter::once(head).chain(due.merged.map(|id| (id, "delivered"))) {
        sqlx::query("UPDATE deliveries SET state = ?, attempts = ?, delivered_at = ? WHERE id = ?")
            .bind(state)
            .bind(due.attempts + 1)
            .bind(time::now())
            .bind(id)
            .execute(&mut **write)
            .await?;
    }
    add_attempt(write, due.merged.unwrap_or(due.head), true, "").await
}

async fn add_attempt(
    write: &mut Transaction<'_, Sqlite>,
    delivery: i64,
    accepted: bool,
    detail: &str,
) -> sqlx::Result<()> {
    let added = sqlx::query("INSERT INTO attempts (delivery_id, at, accepted, detail) VALUES (?, ?, ?, ?)");
    added.bind(delivery).bind(time::now()).bind(accepted).bind(detail).execute(&mut **write).await.map(|_| ())
}
