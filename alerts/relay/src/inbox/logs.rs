//! An incident's log lines, asked of Loki: for stacks without Grafana.
use std::time::Duration;

use actix_web::{HttpResponse, web};
use reqwest::Url;
use serde_json::Value;

use super::{missing, pages, show, unreadable};
use crate::incident::Incident;
use crate::server::Relay;
use crate::time;

const PATIENCE: Duration = Duration::from_secs(4);
/// Of those before the incident was noticed, and of those after it.
const LINES: &str = "100";
const AROUND: i64 = 5 * 60_000;

/// `GET /incidents/<code>/logs`
pub(super) async fn logs(relay: web::Data<Relay>, code: web::Path<String>) -> HttpResponse {
    let Some(loki) = &relay.loki else {
        return missing("The relay does not know where the log lines are: set LOKI_URL.");
    };
    match relay.store.incident(&code).await {
        Err(error) => unreadable(&error),
        Ok(None) => show(Ok(None)),
        Ok(Some(entry)) => {
            let lines = read(&relay, loki, &entry.incident).await;
            show(Ok(Some(pages::logs(&entry.incident, &lines))))
        }
    }
}

/// The lines nearest to its beginning, oldest first, or why there are none.
async fn read(relay: &Relay, loki: &Url, incident: &Incident) -> Result<Vec<(String, String)>, String> {
    let (began, end) = (incident.started_at, incident.resolved_at.unwrap_or_else(time::now));
    let (before, after) = tokio::try_join!(
        ask(relay, loki, incident, (began - AROUND, began), "backward"),
        ask(relay, loki, incident, (began, end + AROUND), "forward"),
    )?;
    let mut lines = [before, after].concat();
    lines.sort();
    Ok(lines.into_iter().map(|(nanos, line)| (time::stamp(nanos / 1_000_000), line)).collect())
}

/// Each with its moment in nanoseconds. `from` counts, `to` does not.
async fn ask(
    relay: &Relay,
    loki: &Url,
    incident: &Incident,
    (from, to): (i64, i64),
    direction: &str,
) -> Result<Vec<(i64, String)>, String> {
    let mut url = loki.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["loki", "api", "v1", "query_range"]);
    }
    let nanos = |millis: i64| (millis * 1_000_000).to_string();
    url.query_pairs_mut()
        .append_pair("query", &query(incident))
        .append_pair("start", &nanos(from))
        .append_pair("end", &nanos(to))
        .append_pair("limit", LINES)
        .append_pair("direction", direction);
    let answer = observability::client::send("loki", relay.sight.client.get(url).timeout(PATIENCE)).await;
    let answer = answer.map_err(|_| "Loki does not answer.".to_owned())?;
    let status = answer.status();
    let body: Value = match answer.json().await {
        Ok(body) if status.is_success() => body,
        _ => return Err(format!("Loki answered {status}. The query was: {}", query(incident))),
    };
    let streams = body.pointer("/data/result").and_then(Value::as_array).cloned().unwrap_or_default();
    let values = streams.iter().filter_map(|stream| stream.get("values")?.as_array()).flatten();
    let line = |value: &Value| {
        let nanos: i64 = value.get(0)?.as_str()?.parse().ok()?;
        Some((nanos, value.get(1)?.as_str()?.to_owned()))
    };
    Ok(values.filter_map(line).collect())
}

/// The alert's own query, or everything that its service has said.
fn query(incident: &Incident) -> String {
    if incident.query.is_empty() {
        format!("{{service_name={}}}", Value::from(incident.service.as_str()))
    } else {
        incident.query.clone()
    }
}
