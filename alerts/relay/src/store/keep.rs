//! What time alone brings about: steps of escalation, expired acknowledgements, flapping that calms down, dead letters.
use std::collections::BTreeMap;

use super::Store;
use super::rows::{Row, Write, add_deliveries, add_event, resolve, tell_again};
use crate::escalation;
use crate::incident::{CONTEXT, Incident, Subject};
use crate::policy::Policy;
use crate::time;

/// What no channel has accepted for this long is told no more.
const TTL: i64 = 24 * 3_600_000;
/// A step that is later than this was missed.
const LATE: i64 = 30_000;

impl Store {
    /// Does what is due at `now`; says whether anything was.
    pub(crate) async fn keep(&self, policy: &Policy, now: i64) -> sqlx::Result<bool> {
        let due: Vec<Incident> =
            self.watched().await?.into_iter().filter(|incident| is_due(incident, policy, now)).collect();
        if due.is_empty() {
            return Ok(false);
        }
        let mut write = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for stale in due {
            let query = sqlx::query_as("SELECT * FROM incidents WHERE id = ? AND resolved_at IS NULL").bind(stale.id);
            let fresh: Option<Incident> = query.fetch_optional(&mut *write).await?;
            if let Some(incident) = fresh.filter(|incident| is_due(incident, policy, now)) {
                act(&mut write, &incident, policy, now).await?;
            }
        }
        write.commit().await?;
        Ok(true)
    }

    /// Buries what is too old to be told; says how much on which channel.
    pub(crate) async fn bury(&self, now: i64) -> sqlx::Result<BTreeMap<String, u64>> {
        let dead: Vec<String> = sqlx::query_scalar(
            "UPDATE deliveries SET state = 'dead' WHERE state = 'pending' AND created_at < ? RETURNING channel",
        )
        .bind(now - TTL)
        .fetch_all(&self.writer)
        .await?;
        let mut counted = BTreeMap::new();
        for channel in dead {
            *counted.entry(channel).or_default() += 1;
        }
        Ok(counted)
    }

    /// How many open incidents have a step that should have been made some time ago.
    pub(crate) async fn missed_steps(&self, policy: &Policy) -> sqlx::Result<usize> {
        let missed = |incident: &Incident| step(incident, policy, time::now() - LATE).is_some();
        Ok(self.watched().await?.iter().filter(|incident| missed(incident)).count())
    }

    async fn watched(&self) -> sqlx::Result<Vec<Incident>> {
        sqlx::query_as("SELECT * FROM incidents WHERE resolved_at IS NULL AND tier <> ?")
            .bind(CONTEXT)
            .fetch_all(&self.reader)
            .await
    }
}

fn is_due(incident: &Incident, policy: &Policy, now: i64) -> bool {
    incident.ack_expired(now)
        || incident.calm(now)
        || incident.summary_due(now)
        || step(incident, policy, now).is_some()
}

fn step(incident: &Incident, policy: &Policy, now: i64) -> Option<escalation::Due> {
    // What is quiet or taken wakes nobody.
    if incident.acked_at.is_some() || incident.quiet_since.is_some() {
        return None;
    }
    let labels = incident.labels();
    escalation::due(policy.route(&labels).1, incident.chain_from, incident.steps, now)
}

async fn act(write: &mut Write<'_>, incident: &Incident, policy: &Policy, now: i64) -> sqlx::Result<()> {
    if incident.calm(now) {
        return resolve(write, incident, now).await;
    }
    let row = Row { subject: Subject::Summary, step: 0, since: incident.started_at, until: None, now };
    if incident.summary_due(now) {
        let told = sqlx::query("UPDATE incidents SET summary_at = ? WHERE id = ?").bind(now).bind(incident.id);
        told.execute(&mut **write).await?;
        tell_again(write, incident.id, row).await?;
    }
    if incident.ack_expired(now) {
        let expired = sqlx::query("UPDATE incidents SET acked_at = NULL, chain_from = ?, steps = 0 WHERE id = ?");
        expired.bind(now).bind(incident.id).execute(&mut **write).await?;
        add_event(write, incident.id, now, &format!("the acknowledgement by {} has expired", incident.acked_by))
            .await?;
    }
    if let Some(due) = step(incident, policy, now) {
        let made = sqlx::query("UPDATE incidents SET steps = ? WHERE id = ?").bind(due.steps).bind(incident.id);
        made.execute(&mut **write).await?;
        let channels: Vec<&str> = due.channels.into_iter().collect();
        let channels = policy.hears(&incident.labels(), &channels);
        add_event(write, incident.id, now, &format!("nobody has taken it: {} told", channels.join(", "))).await?;
        let last = due.steps.saturating_sub(1);
        add_deliveries(write, incident.id, &channels, Row { subject: Subject::Escalated, step: last, ..row }).await?;
    }
    Ok(())
}
