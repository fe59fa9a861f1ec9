//! What the relay knows about its own gaps, and what comparing needs.
use super::Store;
use super::intake::NEAR;
use super::rows::{add_event, resolve};
use crate::alertmanager::Pairs;
use crate::incident::Incident;

impl Store {
    /// Until when nothing has been missed.
    pub(crate) async fn last_checked(&self) -> sqlx::Result<i64> {
        sqlx::query_scalar("SELECT checked_at FROM memory").fetch_one(&self.reader).await
    }

    pub(crate) async fn checked(&self, now: i64) -> sqlx::Result<()> {
        sqlx::query("UPDATE memory SET checked_at = ?").bind(now).execute(&self.writer).await.map(|_| ())
    }

    /// Keeps the last heartbeat, so that a relay that is started again misses the next one. Every beat is too often.
    pub(crate) async fn remember_beat(&self, at: i64) -> sqlx::Result<()> {
        let kept: i64 = sqlx::query_scalar("SELECT beat_at FROM memory").fetch_one(&self.reader).await?;
        if at == 0 || (kept != 0 && at - kept < 60_000) {
            return Ok(());
        }
        sqlx::query("UPDATE memory SET beat_at = ?").bind(at).execute(&self.writer).await.map(|_| ())
    }

    /// Whether monitoring has a heartbeat at all.
    pub(crate) async fn ever_beat(&self) -> sqlx::Result<bool> {
        sqlx::query_scalar("SELECT beat_at > 0 FROM memory").fetch_one(&self.reader).await
    }

    pub(crate) async fn unresolved(&self) -> sqlx::Result<Vec<Incident>> {
        sqlx::query_as("SELECT * FROM incidents WHERE resolved_at IS NULL").fetch_all(&self.reader).await
    }

    /// Whether an incident of this alert is known between two moments.
    pub(crate) async fn overlaps(&self, labels: &Pairs, from: i64, to: i64) -> sqlx::Result<bool> {
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM incidents i JOIN alerts a ON a.incident_id = i.id
                WHERE i.alertname = ? AND i.service = ? AND (i.env = ?3 OR ?3 = '')
                AND a.starts_at - ?6 <= ?4 AND coalesce(a.ends_at, ?4) + ?6 >= ?5)",
        )
        .bind(label("alertname"))
        .bind(label("service"))
        .bind(label("env"))
        .bind(to)
        .bind(from)
        .bind(NEAR)
        .fetch_one(&self.reader)
        .await
    }

    /// Ends an incident whose end was not told.
    pub(crate) async fn end(&self, incident: &Incident, now: i64) -> sqlx::Result<()> {
        let mut write = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let ended =
            sqlx::query("UPDATE alerts SET ends_at = ?1, heard_at = ?1 WHERE incident_id = ?2 AND ends_at IS NULL");
        ended.bind(now).bind(incident.id).execute(&mut *write).await?;
        add_event(&mut write, incident.id, now, "neither Prometheus nor Alertmanager knows it any more").await?;
        resolve(&mut write, incident, now).await?;
        write.commit().await
    }
}
