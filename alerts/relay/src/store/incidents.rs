//! Reading incidents: for the inbox, for machines, for the metrics.
use std::collections::BTreeMap;

use sqlx::FromRow;

use super::Store;
use crate::channel::INBOX;
use crate::incident::{CONTEXT, Incident};

/// An incident with what its channels were told.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) incident: Incident,
    /// What happened besides; filled for a single incident only.
    pub(crate) events: Vec<(i64, String)>,
    pub(crate) deliveries: Vec<Delivery>,
}

#[derive(Debug, FromRow)]
pub(crate) struct Delivery {
    id: i64,
    incident_id: i64,
    pub(crate) channel: String,
    pub(crate) transition: String,
    pub(crate) state: String,
    pub(crate) attempts: u32,
    pub(crate) delivered_at: Option<i64>,
    /// Filled for a single incident only.
    #[sqlx(skip)]
    pub(crate) tries: Vec<Try>,
}

#[derive(Debug, FromRow)]
pub(crate) struct Try {
    pub(crate) at: i64,
    pub(crate) accepted: bool,
    pub(crate) detail: String,
}

/// Which incidents a list holds, and how many at most.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Filter {
    Open(u32),
    Resolved(u32),
}

/// What the metrics say about the store.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) open: u32,
    pub(crate) resolved: u32,
    /// Whether all open incidents of a (service, env, failure type) were told to somebody.
    pub(crate) handled: BTreeMap<(String, String, String), bool>,
    /// Since when a channel's oldest message has been waiting.
    pub(crate) oldest_pending: BTreeMap<String, i64>,
}

#[derive(FromRow)]
struct Kind {
    service: String,
    env: String,
    failure_type: String,
    handled: bool,
}

/// How many tries of a delivery are shown: the latest ones.
const SHOWN_TRIES: u32 = 20;

impl Store {
    /// The newest incidents of a kind.
    pub(crate) async fn list(&self, filter: Filter) -> sqlx::Result<Vec<Entry>> {
        let (query, limit) = match filter {
            Filter::Open(limit) => (
                "SELECT * FROM incidents WHERE resolved_at IS NULL ORDER BY severity = 'critical' DESC, started_at DESC LIMIT ?",
                limit,
            ),
            Filter::Resolved(limit) => {
                ("SELECT * FROM incidents WHERE resolved_at IS NOT NULL ORDER BY resolved_at DESC LIMIT ?", limit)
            }
        };
        let incidents: Vec<Incident> = sqlx::query_as(query).bind(limit).fetch_all(&self.reader).await?;
        let ids = serde_json::json!(incidents.iter().map(|incident| incident.id).collect::<Vec<_>>()).to_string();
        let deliveries: Vec<Delivery> = sqlx::query_as(
            "SELECT * FROM deliveries WHERE incident_id IN (SELECT value FROM json_each(?)) ORDER BY id",
        )
        .bind(ids)
        .fetch_all(&self.reader)
        .await?;
        let mut by_incident: BTreeMap<i64, Vec<Delivery>> = BTreeMap::new();
        for delivery in deliveries {
            by_incident.entry(delivery.incident_id).or_default().push(delivery);
        }
        let entry = |incident: Incident| Entry {
            deliveries: by_incident.remove(&incident.id).unwrap_or_default(),
            events: Vec::new(),
            incident,
        };
        Ok(incidents.into_iter().map(entry).collect())
    }

    /// One incident with every attempt to tell of it.
    pub(crate) async fn incident(&self, code: &str) -> sqlx::Result<Option<Entry>> {
        let found: Option<Incident> =
            sqlx::query_as("SELECT * FROM incidents WHERE code = ?").bind(code).fetch_optional(&self.reader).await?;
        let Some(incident) = found else { return Ok(None) };
        let mut deliveries: Vec<Delivery> =
            sqlx::query_as("SELECT * FROM deliveries WHERE incident_id = ? ORDER BY id")
                .bind(incident.id)
                .fetch_all(&self.reader)
                .await?;
        for delivery in &mut deliveries {
            delivery.tries = sqlx::query_as(
                "SELECT at, accepted, detail FROM attempts WHERE delivery_id = ? ORDER BY id DESC LIMIT ?",
            )
            .bind(delivery.id)
            .bind(SHOWN_TRIES)
            .fetch_all(&self.reader)
            .await?;
        }
        let events = sqlx::query_as("SELECT at, what FROM events WHERE incident_id = ? ORDER BY id LIMIT 500")
            .bind(incident.id)
            .fetch_all(&self.reader)
            .await?;
        Ok(Some(Entry { incident, events, deliveries }))
    }

    /// `chats`: whether a chat is configured. If none is, the inbox is all there is, and counts.
    pub(crate) async fn gauges(&self, chats: bool) -> sqlx::Result<Gauges> {
        let (open, resolved) =
            sqlx::query_as("SELECT count(*) - count(resolved_at), count(resolved_at) FROM incidents")
                .fetch_one(&self.reader)
                .await?;
        let handled: Vec<Kind> = sqlx::query_as(
            // Somebody has it, or of every step that was due some channel has accepted the message.
            "SELECT service, env, failure_type, min(acked_at IS NOT NULL OR NOT EXISTS (
                SELECT 1 FROM deliveries s WHERE s.incident_id = i.id AND s.transition IN ('firing', 'escalated')
                AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.incident_id = i.id AND d.step = s.step
                    AND d.state IN ('delivered', 'merged') AND (d.channel <> ?1 OR NOT ?2)))) AS handled
             FROM incidents i WHERE resolved_at IS NULL AND tier <> ?3 GROUP BY service, env, failure_type",
        )
        .bind(INBOX)
        .bind(chats)
        .bind(CONTEXT)
        .fetch_all(&self.reader)
        .await?;
        let pending: Vec<(String, i64)> =
            sqlx::query_as("SELECT channel, min(created_at) FROM deliveries WHERE state = 'pending' GROUP BY channel")
                .fetch_all(&self.reader)
                .await?;
        Ok(Gauges {
            open,
            resolved,
            handled: handled.into_iter().map(|row| ((row.service, row.env, row.failure_type), row.handled)).collect(),
            oldest_pending: pending.into_iter().collect(),
        })
    }
}
