//! One request, found in every signal, and from each signal in the next: what the template promises.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use regex::Regex;
use reqwest::Url;
use serde_json::{Value, json};
use serde_yaml_ng::Value as Yaml;
use sqlx::{Connection, PgConnection};
use stack::{Handle, chat::Log, signals::Signals};
use tokio::process::Command;

use super::{eventually, eventually_within, holds_within};

/// The window of `High5xxRatio` and of the slow lane behind it, with some air.
const TOLD_WITHIN: Duration = Duration::from_mins(4);

/// How many orders are made until the exemplar of one is read, and how long each takes at most.
const EXEMPLARS: usize = 6;
const EXEMPLAR_WITHIN: Duration = Duration::from_secs(20);

/// On a stack of either kind; `log` reads what service and relay have written to their files.
pub(crate) async fn check(stack: &Handle, log: impl AsyncFn() -> String) {
    let signals = Signals::of(stack.endpoints()).unwrap();
    let stage = Stage { stack, signals, began: Utc::now() };
    stage.the_service_says_what_it_was_built_from().await;
    stage.an_order_is_found_everywhere_and_leads_on(log).await;
    stage.failing_orders_are_told_with_a_way_to_their_traces().await;
}

struct Stage<'a> {
    stack: &'a Handle,
    signals: Signals,
    began: DateTime<Utc>,
}

impl Stage<'_> {
    /// Deployments are seen by it.
    async fn the_service_says_what_it_was_built_from(&self) {
        let url = format!("{}/metrics/fast", self.stack.endpoints().service_admin);
        let metrics = client().get(url).send().await.unwrap().text().await.unwrap();
        let build = metrics.lines().find(|line| line.starts_with("build_info{")).unwrap();
        assert!(build.contains("revision=\"") && !build.contains("revision=\"unknown\""), "{build}");
    }

    /// Sends an order: its status and the trace that the answer names.
    async fn order(&self) -> (u16, String) {
        let order = json!({"item": "tea", "quantity": 1, "amount": 100, "currency": "EUR"});
        let url = format!("{}/v1/orders", self.stack.endpoints().service);
        let answer = client().post(url).json(&order).send().await.unwrap();
        let trace = answer.headers()["traceresponse"].to_str().unwrap().split('-').nth(1).unwrap().to_owned();
        (answer.status().as_u16(), trace)
    }

    async fn lines(&self, query: &str) -> Vec<Value> {
        self.signals.lines(query, self.began - TimeDelta::minutes(5), Utc::now()).await.unwrap()
    }

    async fn an_order_is_found_everywhere_and_leads_on(&self, log: impl AsyncFn() -> String) {
        let series = r#"{__name__=~"traces_kept_.+", http_route="/v1/orders"}"#;
        let exemplars = async || self.signals.exemplars(series, self.began).await.unwrap();
        // The collector shows each for five seconds: one from before the first scrape would never be seen.
        eventually("exemplars of the light traffic arrive", async || !exemplars().await.is_empty()).await;
        // Of two requests within five seconds, an exemplar may show the other.
        self.stack.kill("load").await.unwrap();
        // Each is kept for a few seconds only, and may go before it was read: then the next order's is looked for.
        let mut found = None;
        for _ in 0..EXEMPLARS {
            let (status, trace) = self.order().await;
            assert_eq!(status, 201);
            if holds_within(EXEMPLAR_WITHIN, async || exemplars().await.contains(&trace)).await {
                found = Some(trace);
                break;
            }
        }
        let trace = found.unwrap_or_else(|| panic!("none of {EXEMPLARS} orders has an exemplar"));
        eventually("the line is in the log file", async || {
            lines_of(&log().await).any(|line| is_request(&line, &trace))
        })
        .await;
        let query = format!(r#"{{service_name="orders"}} | trace_id="{trace}""#);
        let text = log().await;
        self.is_in_loki_as_written(lines_of(&text).find(|line| is_request(line, &trace)).unwrap(), &query).await;
        let relay = lines_of(&text).filter(|line| line["service"] == "relay").last().unwrap();
        self.is_in_loki_as_written(relay, r#"{service_name="relay"}"#).await;
        eventually("the trace is in Jaeger", async || self.signals.spans(&trace).await.unwrap().len() > 1).await;
        let spans = self.signals.spans(&trace).await.unwrap();
        let named = |name: &str| spans.iter().find(|span| span["operationName"] == name).unwrap();
        let (request, query) = (named("POST /v1/orders"), named("INSERT orders"));
        assert_eq!(request["references"], json!([]));
        assert_eq!(query["references"][0]["spanID"], request["spanID"]);
        let back = self.lines(&as_grafana_asks(&trace)).await;
        assert!(back.iter().any(|line| line["span_id"] == request["spanID"]), "{back:?}");
        self.stack.start("load").await.unwrap();
    }

    /// At its own time, and of its own level.
    async fn is_in_loki_as_written(&self, line: Value, query: &str) {
        let time: DateTime<Utc> = line["timestamp"].as_str().unwrap().parse().unwrap();
        let time = time.timestamp_nanos_opt().unwrap().to_string();
        let level = line["level"].as_str().unwrap().to_lowercase();
        let same = |found: &Value| found["loki_time"] == time && found["detected_level"] == level;
        eventually(&format!("Loki has {line}"), async || self.lines(query).await.iter().any(same)).await;
    }

    /// The line of Postgres about a statement that failed in `trace` between two moments.
    async fn postgres_tells_of(&self, trace: &str, from: DateTime<Utc>, to: DateTime<Utc>) {
        let query = format!(r#"{{service_name="postgres"}} | trace_id="{trace}""#);
        eventually("Postgres' line bears the trace", async || !self.lines(&query).await.is_empty()).await;
        let line = self.lines(&query).await.remove(0);
        let time = line["loki_time"].as_str().unwrap().parse().unwrap();
        // It writes milliseconds.
        let from = from - TimeDelta::milliseconds(1);
        assert!((from..=to).contains(&DateTime::from_timestamp_nanos(time)), "{line}, but not {from} to {to}");
        assert_eq!(line["detected_level"], "error", "{line}");
    }

    async fn failing_orders_are_told_with_a_way_to_their_traces(&self) {
        self.check_dashboards(&["live", "--healthy", "--wait", "60"]).await;
        let mut database = PgConnection::connect(&self.stack.endpoints().database_url).await.unwrap();
        sqlx::query("REVOKE INSERT ON orders FROM orders").execute(&mut database).await.unwrap();
        // From the first refusal on, statements name their trace.
        assert_eq!(self.order().await.0, 500);
        let from = Utc::now();
        let (status, trace) = self.order().await;
        assert_eq!(status, 500);
        self.postgres_tells_of(&trace, from, Utc::now()).await;
        self.check_dashboards(&[]).await;
        self.check_dashboards(&["live", "--wait", "60"]).await;
        eventually_within(TOLD_WITHIN, "chat is told", async || self.told().await.is_some()).await;
        let link = self.told().await.unwrap();
        // The page asks for what its own address says.
        let traces = link.replacen("/search?", "/api/traces?", 1);
        let found: Value = client().get(traces).send().await.unwrap().json().await.unwrap();
        let failed = found["data"].as_array().unwrap();
        assert!(!failed.is_empty(), "{link} shows no trace");
        for failure in failed {
            let lines = self.lines(&as_grafana_asks(failure["traceID"].as_str().unwrap())).await;
            assert!(lines.iter().any(|line| line["http_response_status_code"] == "500"), "{lines:?}");
        }
        let own = self.signals.spans(&trace).await.unwrap();
        assert!(own.iter().any(|span| span["operationName"] == "INSERT orders"), "{own:?}");
        self.check_dashboards(&["live", "--filled-by", "errors"]).await;
        sqlx::query("GRANT INSERT ON orders TO orders").execute(&mut database).await.unwrap();
    }

    /// The link to the traces, once `errors` has been told.
    async fn told(&self) -> Option<String> {
        let url = format!("{}/messages", self.stack.endpoints().chat);
        let log: Log = client().get(url).send().await.unwrap().json().await.unwrap();
        let jaeger = Url::parse(&self.stack.endpoints().jaeger).unwrap();
        let is_trace = |link: &String| Url::parse(link).is_ok_and(|link| link.origin() == jaeger.origin());
        let told = log.messages.into_iter().find(|message| message.text().contains("errors"))?;
        let link = told.links().into_iter().find(is_trace);
        Some(link.unwrap_or_else(|| panic!("no link to a trace: {}", told.text())))
    }

    async fn check_dashboards(&self, arguments: &[&str]) {
        let at = self.stack.endpoints();
        let output = Command::new("sh")
            .args(["-c", r#"PATH="${STACK_BIN:+$STACK_BIN:}$PATH" exec grafana/check/check.sh "$@""#, "check"])
            .args(arguments)
            .current_dir(repository())
            .envs([("PROMETHEUS_URL", &at.prometheus), ("LOKI_URL", &at.loki), ("JAEGER_URL", &at.jaeger)])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let wrong = said.lines().filter(|line| !line.starts_with("ok"));
        let wrong: Vec<_> = wrong.chain(std::str::from_utf8(&output.stderr).unwrap().lines()).collect();
        assert!(output.status.success(), "{}", wrong.join("\n"));
    }
}

fn lines_of(log: &str) -> impl Iterator<Item = Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok())
}

/// Whether a line tells of the order in `trace`.
fn is_request(line: &Value, trace: &str) -> bool {
    line["trace_id"] == trace && line["http.route"] == "/v1/orders"
}

/// The query behind "logs of this span", as the data source is provisioned.
fn as_grafana_asks(trace: &str) -> String {
    let file = std::fs::read_to_string(repository().join("grafana/provisioning/datasources/datasources.yml")).unwrap();
    let sources: Yaml = serde_yaml_ng::from_str(&file).unwrap();
    let jaeger = sources["datasources"].as_sequence().unwrap().iter().find(|source| source["uid"] == "jaeger").unwrap();
    let link = &jaeger["jsonData"]["tracesToLogsV2"];
    let tag = link["tags"][0]["value"].as_str().unwrap();
    let query = link["query"].as_str().unwrap().replace("$$", "$");
    let query = query.replace("${__tags}", &format!(r#"{tag}="orders""#)).replace("${__trace.traceId}", trace);
    assert!(!Regex::new(r"\$\{?__").unwrap().is_match(&query), "{query} has a variable that this test does not know");
    query
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn client() -> reqwest::Client {
    stack::http::client(Duration::from_secs(10)).unwrap()
}
