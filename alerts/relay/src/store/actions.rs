//! What people do to an incident. Every action is paid for with a nonce that works once.
use super::Store;
use super::rows::{Row, add_event, tell_again};
use crate::incident::{Incident, Subject};

/// What a person does.
#[derive(Debug)]
pub(crate) enum Act {
    Take,
    Note(String),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Acted {
    Done,
    /// Taken for the first time, so many milliseconds after the incident began.
    FirstTaken(i64),
    /// The same form was sent before.
    Spent,
    /// There is no such incident, or it is over and cannot be taken.
    TooLate,
}

impl Store {
    pub(crate) async fn act(&self, code: &str, who: &str, act: &Act, nonce: &str, now: i64) -> sqlx::Result<Acted> {
        let mut write = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let spent =
            sqlx::query("INSERT INTO spent (nonce, at) VALUES (?, ?) ON CONFLICT DO NOTHING").bind(nonce).bind(now);
        if spent.execute(&mut *write).await?.rows_affected() == 0 {
            return Ok(Acted::Spent);
        }
        let found: Option<Incident> =
            sqlx::query_as("SELECT * FROM incidents WHERE code = ?").bind(code).fetch_optional(&mut *write).await?;
        let Some(incident) = found else { return Ok(Acted::TooLate) };
        let mut acted = Acted::Done;
        match act {
            Act::Note(text) => add_event(&mut write, incident.id, now, &format!("{who}: {text}")).await?,
            Act::Take if incident.resolved_at.is_some() => return Ok(Acted::TooLate),
            Act::Take => {
                let taken = sqlx::query("UPDATE incidents SET acked_at = ?, acked_by = ? WHERE id = ?");
                taken.bind(now).bind(who).bind(incident.id).execute(&mut *write).await?;
                add_event(&mut write, incident.id, now, &format!("taken by {who}")).await?;
                let since = incident.reopened_at.unwrap_or(incident.started_at);
                let row = Row { subject: Subject::Acknowledged, step: 0, since, until: None, now };
                tell_again(&mut write, incident.id, row).await?;
                // Who had it is kept when an acknowledgement expires.
                if incident.acked_by.is_empty() {
                    acted = Acted::FirstTaken(now - incident.started_at);
                }
            }
        }
        write.commit().await?;
        Ok(acted)
    }

    /// The key that signs actions and sessions.
    pub(crate) async fn key(&self) -> sqlx::Result<Vec<u8>> {
        sqlx::query_scalar("SELECT key FROM memory").fetch_one(&self.reader).await
    }
}
