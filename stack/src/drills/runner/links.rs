//! Whether the links of a message are there, open, and lead to the fault.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde_json::Value;

use super::{
    content::Judgement,
    episode::COARSE,
    observer::{Alert, Observer, until},
};
use crate::chat::Message;

/// What a Prometheus answers that was built, or unpacked, without its web pages.
const NO_WEB_PAGES: [&str; 2] = ["Error opening React index.html", "error reading base template"];
/// Failure types of which requests fail, or slow down: their traces show it. Not `db_partition`, as it is rehearsed: nobody
/// sends requests to the instance that is cut off.
const TRACED: [&str; 12] = [
    "breaker",
    "db_down",
    "db_pool",
    "db_readonly",
    "db_slow",
    "dependency",
    "deploy_regression",
    "errors",
    "latency",
    "panic",
    "saturation",
    "slo_burn",
];
/// The collector keeps a trace for seconds until it knows whether it failed, and a slow one begins first.
const TRACED_WITHIN: Duration = Duration::from_secs(20);
/// The service's time limit of a request.
const LONGEST_REQUEST: TimeDelta = TimeDelta::seconds(5);

/// Adds to `judgement` what is missing, does not open, or shows nothing since `fault`.
pub(super) async fn judge(
    observer: &Observer,
    message: &Message,
    failure_type: &str,
    alert: Option<&Alert>,
    fault: DateTime<Utc>,
    judgement: &mut Judgement,
) {
    let links = message.links();
    for (what, beginnings) in due(observer, failure_type, alert) {
        if !links.iter().any(|link| beginnings.iter().any(|beginning| link.contains(beginning))) {
            judgement.wrong.push(format!("the message has no link to {what}"));
        }
    }
    judgement.wrong.extend(alert.and_then(|alert| other_panel(&links, alert)));
    let traced = TRACED.contains(&failure_type).then_some(fault);
    for link in links.iter().filter(|link| on_loopback(link)) {
        match open(observer, link, traced).await {
            Ok(remark) => judgement.remarks.extend(remark.map(str::to_owned)),
            Err(error) => judgement.wrong.push(format!("the link {link} does not open: {error:#}")),
        }
    }
}

/// The links that must be there, each with what one of them begins with.
fn due(observer: &Observer, failure_type: &str, alert: Option<&Alert>) -> Vec<(&'static str, Vec<String>)> {
    let at = &observer.at;
    let mut due = vec![
        ("the runbook", vec![format!("{}/runbooks/{failure_type}", at.relay)]),
        ("the incident", vec![format!("{}/incidents/", at.relay)]),
        ("a page on which it can be taken", vec![format!("{}/act/", at.relay)]),
    ];
    if alert.is_some() {
        due.push(("a dashboard or graph", vec!["/d/".to_owned(), format!("{}/graph?", at.prometheus)]));
    }
    if alert.is_some_and(|alert| !alert.annotation("query").is_empty()) && !at.loki.is_empty() {
        due.push(("log lines", vec!["/explore?".to_owned(), "/logs".to_owned()]));
    }
    if TRACED.contains(&failure_type) && !at.jaeger.is_empty() {
        due.push(("traces", vec![at.jaeger.clone()]));
    }
    due
}

/// A link to Grafana opens the alert's own panel.
fn other_panel(links: &[String], alert: &Alert) -> Option<String> {
    let (uid, panel) = alert.annotation("dashboard").split_once('/')?;
    let link = links.iter().find(|link| link.contains("/d/"))?;
    let opens = link.contains(&format!("/d/{uid}")) && link.contains(&format!("viewPanel=panel-{panel}&"));
    (!opens).then(|| format!("the link {link} does not open panel {panel} of {uid}"))
}

/// Opens a link as a browser would; the remark says what could not be seen. A search for traces must find one that began
/// after `traced`.
async fn open(observer: &Observer, link: &str, traced: Option<DateTime<Utc>>) -> anyhow::Result<Option<&'static str>> {
    let leads_to = |url: &String| !url.is_empty() && link.starts_with(url);
    let to_prometheus = leads_to(&observer.at.prometheus);
    if to_prometheus {
        ask_expression(observer, link).await?;
    }
    if let Some(fault) = traced.filter(|_| leads_to(&observer.at.jaeger)) {
        find_traces(observer, link, fault).await?;
    }
    let (status, _, page) = observer.page(link).await?;
    if to_prometheus && NO_WEB_PAGES.iter().any(|text| page.starts_with(text)) {
        return Ok(Some("this Prometheus has no web pages; it was asked for the graph's expression instead"));
    }
    anyhow::ensure!(status.as_u16() == 200, "it answers {status}");
    Ok(None)
}

/// The graph behind the link must show the fault.
async fn ask_expression(observer: &Observer, link: &str) -> anyhow::Result<()> {
    let url = Url::parse(link)?;
    let expression = url.query_pairs().find(|(key, _)| key == "g0.expr");
    let (_, expression) = expression.context("it has no expression")?;
    let value = observer.query(&expression).await.context("Prometheus does not understand its expression")?;
    anyhow::ensure!(value.is_some(), "its expression shows nothing");
    Ok(())
}

/// The search behind the link must find a trace of the fault: the page asks for what its own address says.
async fn find_traces(observer: &Observer, link: &str, fault: DateTime<Utc>) -> anyhow::Result<()> {
    let traces = link.replacen("/search?", "/api/traces?", 1);
    let ask = async || {
        let found: Value = observer.json(&traces).await.ok()?;
        let traces = found.get("data")?.as_array()?;
        let mut spans = traces.iter().filter_map(|trace| trace.get("spans")?.as_array()).flatten();
        // What was under way was hit as well, and is at most as old as a request may get.
        let recent = (fault - LONGEST_REQUEST).timestamp_micros();
        spans.any(|span| span.get("startTime").and_then(Value::as_i64) >= Some(recent)).then_some(())
    };
    until(Instant::now() + TRACED_WITHIN, COARSE, ask).await.context("it finds no trace of the fault")
}

fn on_loopback(link: &str) -> bool {
    Url::parse(link).is_ok_and(|url| matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")))
}
