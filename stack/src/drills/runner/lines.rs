//! Whether an alert's query leads to lines of the fault, and the message's link to the same ones.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde_json::Value;

use super::{
    episode::COARSE,
    observer::{Alert, Observer, until},
};
use crate::signals::Signals;

/// A line is found in Loki some seconds after it was written.
const FOUND_WITHIN: Duration = Duration::from_secs(20);
/// What a clock may be off, and a fault be older than its alert.
const BEFORE: TimeDelta = TimeDelta::seconds(5);

/// How many lines since `fault` it leads to, as `link` of the message does; none when there is nothing to ask, or nobody.
pub(super) async fn judge(
    observer: &Observer,
    alert: &Alert,
    link: Option<&str>,
    fault: DateTime<Utc>,
) -> Option<Result<usize, &'static str>> {
    let query = alert.annotation("query");
    if query.is_empty() || observer.at.loki.is_empty() {
        return None;
    }
    let Ok(signals) = Signals::of(&observer.at) else { return Some(Err("cannot be asked")) };
    let ask = async || {
        let lines = signals.lines(query, fault - BEFORE, Utc::now()).await.ok()?;
        (!lines.is_empty()).then_some(lines.len())
    };
    let Some(found) = until(Instant::now() + FOUND_WITHIN, COARSE, ask).await else {
        return Some(Err("leads to no line of the fault"));
    };
    let Some(link) = link else { return Some(Err("has no link in the message")) };
    if let Some(expression) = in_grafana(link) {
        return Some(if expression == query { Ok(found) } else { Err("is not what its link asks") });
    }
    let page = async || observer.page(link).await.ok()?.2.contains("<pre>").then_some(found);
    let shown = until(Instant::now() + FOUND_WITHIN, COARSE, page).await;
    Some(shown.ok_or("shows no line on the page that its link leads to"))
}

/// What a link to Grafana's Explore asks Loki.
fn in_grafana(link: &str) -> Option<String> {
    let url = Url::parse(link).ok()?;
    let (_, panes) = url.query_pairs().find(|(name, _)| name == "panes")?;
    let panes: Value = serde_json::from_str(&panes).ok()?;
    Some(panes.pointer("/a/queries/0/expr")?.as_str()?.to_owned())
}
