//! Asks the parts of a stack what they see, from outside, as a user, a probe or an engineer would.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use reqwest::{Client, StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Endpoints,
    chat::{Behaviour, Log},
};

const PATIENCE: Duration = Duration::from_secs(2);

/// What the readiness probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Green,
    Red,
    Silent,
}

/// An alert as Alertmanager holds it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Alert {
    pub(super) labels: std::collections::HashMap<String, String>,
    pub(super) annotations: std::collections::HashMap<String, String>,
    #[serde(rename = "startsAt")]
    pub(super) starts_at: DateTime<Utc>,
    status: AlertStatus,
}

#[derive(Clone, Debug, Deserialize)]
struct AlertStatus {
    state: String,
}

impl Alert {
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Whether a cause mutes it.
    pub(super) fn muted(&self) -> bool {
        self.status.state == "suppressed"
    }

    pub(super) fn annotation(&self, name: &str) -> &str {
        self.annotations.get(name).map_or("", String::as_str)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Observer {
    pub(super) at: Endpoints,
    client: Client,
}

impl Observer {
    pub(super) fn new(endpoints: &Endpoints) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !endpoints.chat.is_empty(),
            "the stack that is up sends to a real chat, where a drill cannot read: take its webhook out of the \
             configuration, or let the drill start a stack of its own (without --running)"
        );
        Ok(Self { at: endpoints.clone(), client: crate::http::client(PATIENCE)? })
    }

    pub(super) async fn ready(&self) -> Readiness {
        match self.client.get(format!("{}/health/ready", self.at.service_admin)).send().await {
            Ok(response) if response.status().is_success() => Readiness::Green,
            Ok(_) => Readiness::Red,
            Err(_) => Readiness::Silent,
        }
    }

    pub(super) async fn live(&self) -> bool {
        let live = self.client.get(format!("{}/health/live", self.at.service_admin)).send().await;
        live.is_ok_and(|response| response.status().is_success())
    }

    /// When the service's process started, as it says itself.
    pub(super) async fn started(&self) -> Option<f64> {
        let report = self.text(&format!("{}/metrics/fast", self.at.service_admin)).await.ok()?;
        sample(&report, "process_start_time_seconds")
    }

    /// What the relay says of itself, for [`sample`].
    pub(super) async fn relay_report(&self) -> anyhow::Result<String> {
        self.text(&format!("{}/metrics", self.at.relay_admin)).await
    }

    pub(super) async fn chat(&self) -> anyhow::Result<Log> {
        self.json(&format!("{}/messages", self.at.chat)).await
    }

    pub(super) async fn behave(&self, behaviour: Behaviour) -> anyhow::Result<()> {
        let request = self.client.put(format!("{}/behaviour", self.at.chat)).json(&behaviour);
        request.send().await.and_then(reqwest::Response::error_for_status).context("the chat player does not obey")?;
        Ok(())
    }

    /// Sends the form that takes an incident, as the button on the page behind `link` does.
    pub(super) async fn take(&self, link: &str, who: &str) -> anyhow::Result<StatusCode> {
        let form = self.client.post(link).header("content-type", "application/x-www-form-urlencoded");
        Ok(form.body(format!("who={who}")).send().await?.status())
    }

    /// Every alert that Alertmanager holds, muted ones too.
    pub(super) async fn alerts(&self) -> anyhow::Result<Vec<Alert>> {
        self.json(&format!("{}/api/v2/alerts", self.at.alertmanager)).await
    }

    /// The alert of this name; of several, one about a service that is not among `others`.
    pub(super) async fn alert(&self, name: &str, others: &[&str]) -> anyhow::Result<Option<Alert>> {
        let wanted = |alert: &Alert| alert.label("alertname") == name && !others.contains(&alert.label("service"));
        Ok(self.alerts().await?.into_iter().find(wanted))
    }

    /// The scrape targets that are not up, with Prometheus' reason.
    pub(super) async fn targets_down(&self) -> anyhow::Result<Vec<String>> {
        let answer: Value = self.json(&format!("{}/api/v1/targets?state=active", self.at.prometheus)).await?;
        let targets = answer.pointer("/data/activeTargets").and_then(Value::as_array).context("no targets")?;
        let text = |target: &Value, key: &str| target.pointer(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let mut down: Vec<String> = targets
            .iter()
            .filter(|target| text(target, "/health") != "up")
            .map(|target| format!("{} {}", text(target, "/scrapePool"), text(target, "/lastError")))
            .collect();
        if targets.is_empty() {
            down.push("every target".to_owned());
        }
        Ok(down)
    }

    /// The first value of an instant query.
    pub(super) async fn query(&self, query: &str) -> anyhow::Result<Option<f64>> {
        let mut url = Url::parse(&format!("{}/api/v1/query", self.at.prometheus))?;
        url.query_pairs_mut().append_pair("query", query);
        let answer: Value = self.json(url.as_str()).await?;
        let value = answer.pointer("/data/result/0/value/1").and_then(Value::as_str);
        Ok(value.and_then(|value| value.parse().ok()))
    }

    /// Status, content type and body of a page, for links that a person would open.
    pub(super) async fn page(&self, url: &str) -> anyhow::Result<(StatusCode, String, String)> {
        let mut url = Url::parse(url)?;
        for _ in 0..3 {
            let response = self.client.get(url.clone()).send().await?;
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            if let (true, Some(next)) = (response.status().is_redirection(), header("location")) {
                url = url.join(next)?;
                continue;
            }
            let kind = header("content-type").unwrap_or_default().to_owned();
            return Ok((response.status(), kind, response.text().await?));
        }
        anyhow::bail!("{url} only redirects")
    }

    /// Whether Postgres takes a new session: it asks for the login, instead of refusing while it recovers.
    pub(super) async fn postgres_accepts(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(200), self.greet_postgres())
            .await
            .is_ok_and(|greeted| greeted.is_ok())
    }

    async fn greet_postgres(&self) -> anyhow::Result<()> {
        const PROTOCOL_3: i32 = 196_608;
        let url = Url::parse(&self.at.database_url)?;
        let user = if url.username().is_empty() { "postgres" } else { url.username() };
        let database = url.path().trim_start_matches('/');
        let body = format!("user\0{user}\0database\0{database}\0\0");
        let mut stream =
            TcpStream::connect((url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5432))).await?;
        let mut packet = i32::try_from(body.len() + 8)?.to_be_bytes().to_vec();
        packet.extend(PROTOCOL_3.to_be_bytes());
        packet.extend(body.as_bytes());
        stream.write_all(&packet).await?;
        let kind = stream.read_u8().await?;
        anyhow::ensure!(kind == b'R', "refused");
        Ok(())
    }

    async fn text(&self, url: &str) -> anyhow::Result<String> {
        let response = self.client.get(url).send().await?.error_for_status()?;
        Ok(response.text().await?)
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, url: &str) -> anyhow::Result<T> {
        let response = self.client.get(url).send().await?.error_for_status()?;
        response.json().await.with_context(|| format!("{url} answers something else"))
    }
}

/// Asks every `pause` until there is an answer; none at `deadline`.
pub(super) async fn until<T>(deadline: Instant, pause: Duration, ask: impl AsyncFn() -> Option<T>) -> Option<T> {
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(pause).await;
    }
}

/// The largest value among the series of one metric, or of the one series that is named with its labels.
pub(super) fn sample(report: &str, name: &str) -> Option<f64> {
    let series = report.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    series.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_read_by_its_whole_name() {
        let report = "# HELP a_b x\na_bc 5\na_b{c=\"slack\"} 1.5\na_b{c=\"x\"} 3\n";
        assert_eq!(sample(report, "a_b"), Some(3.0));
        assert_eq!(sample(report, "a"), None);
    }
}
