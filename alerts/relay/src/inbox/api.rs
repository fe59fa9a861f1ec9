//! Incidents for machines.
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::server::Relay;
use crate::store::{Entry, Filter};
use crate::time;

const OPEN: u32 = 1000;
const RESOLVED: u32 = 200;

/// `GET /v1/incidents`: the open ones, then the latest that were resolved.
pub(crate) async fn incidents(relay: web::Data<Relay>) -> HttpResponse {
    let read = async {
        let mut entries = relay.store.list(Filter::Open(OPEN)).await?;
        entries.extend(relay.store.list(Filter::Resolved(RESOLVED)).await?);
        Ok(entries)
    };
    match read.await {
        Ok(entries) => HttpResponse::Ok().json(entries.iter().map(view).collect::<Vec<_>>()),
        Err(error) => super::unreadable(&error),
    }
}

fn view(entry: &Entry) -> Value {
    let incident = &entry.incident;
    let deliveries = entry.deliveries.iter().map(|delivery| {
        json!({
            "channel": delivery.channel,
            "transition": delivery.transition,
            "state": delivery.state,
            "attempts": delivery.attempts,
            "delivered_at": delivery.delivered_at.map(time::rfc3339),
        })
    });
    json!({
        "code": incident.code,
        "alertname": incident.alertname,
        "failure_type": incident.failure_type,
        "service": incident.service,
        "env": incident.env,
        "severity": incident.severity,
        "summary": incident.summary,
        "state": incident.state().name(),
        "started_at": time::rfc3339(incident.started_at),
        "received_at": time::rfc3339(incident.received_at),
        "resolved_at": incident.resolved_at.map(time::rfc3339),
        "deliveries": deliveries.collect::<Vec<_>>(),
    })
}
