//! What the relay sees of Prometheus and Alertmanager when it looks for itself.
use chrono::{DateTime, Utc};
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::alertmanager::{Alert, Pairs};

/// Rules that were evaluated this long ago say nothing about now.
const STALE: f64 = 60.0;

/// Where to look.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) prometheus: Option<Url>,
    pub(crate) alertmanager: Option<Url>,
    pub(crate) client: reqwest::Client,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Seen>,
}

/// An alert as Prometheus sees it.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    pub(crate) labels: Pairs,
    state: String,
}

#[derive(Deserialize)]
struct Matrix<V> {
    result: Vec<V>,
}

#[derive(Deserialize)]
struct Instant {
    value: (f64, String),
}

/// A series of `ALERTS`: its labels, and when it had a sample.
#[derive(Debug, Deserialize)]
pub(crate) struct Series {
    pub(crate) metric: Pairs,
    pub(crate) values: Vec<(f64, String)>,
}

/// An alert as Alertmanager holds it.
#[derive(Debug, Deserialize)]
pub(crate) struct Held {
    #[serde(flatten)]
    pub(crate) alert: Alert,
    pub(crate) status: HeldStatus,
    #[serde(default)]
    pub(crate) receivers: Vec<Receiver>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HeldStatus {
    pub(crate) state: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Receiver {
    pub(crate) name: String,
}

impl Sight {
    /// Alerts that fire now, or nothing when Prometheus cannot be trusted. A hiccup gets a second chance.
    pub(crate) async fn firing(&self) -> Option<Vec<Seen>> {
        let prometheus = self.prometheus.as_ref()?;
        for _ in 0..2 {
            if !self.evaluates(prometheus).await {
                continue;
            }
            let seen: Option<Answer<Alerts>> = self.ask("prometheus", prometheus, &["api", "v1", "alerts"], &[]).await;
            if let Some(seen) = seen {
                return Some(seen.data.alerts.into_iter().filter(|alert| alert.state == "firing").collect());
            }
        }
        None
    }

    /// Whether what Alertmanager calls over may be believed.
    pub(crate) async fn blind(&self) -> bool {
        self.prometheus.is_some() && self.firing().await.is_none()
    }

    async fn evaluates(&self, prometheus: &Url) -> bool {
        let query = "time() - max(prometheus_rule_group_last_evaluation_timestamp_seconds) or vector(0)";
        let path = ["api", "v1", "query"];
        let age: Option<Answer<Matrix<Instant>>> = self.ask("prometheus", prometheus, &path, &[("query", query)]).await;
        age.is_some_and(|age| age.data.result.iter().all(|age| age.value.1.parse().is_ok_and(|age: f64| age < STALE)))
    }

    /// What fired between two moments, in steps of `step` seconds.
    pub(crate) async fn fired(&self, from: DateTime<Utc>, to: DateTime<Utc>, step: i64) -> Option<Vec<Series>> {
        let query = r#"ALERTS{alertstate="firing"}"#;
        let (from, to, step) = (from.to_rfc3339(), to.to_rfc3339(), step.to_string());
        // A plus sign would mean a space.
        let (from, to) = (from.replace("+00:00", "Z"), to.replace("+00:00", "Z"));
        let parameters = [("query", query), ("start", &from), ("end", &to), ("step", &step)];
        let path = ["api", "v1", "query_range"];
        let answer: Option<Answer<Matrix<Series>>> =
            self.ask("prometheus", self.prometheus.as_ref()?, &path, &parameters).await;
        Some(answer?.data.result)
    }

    /// Everything that Alertmanager holds, also what is inhibited or silenced.
    pub(crate) async fn held(&self) -> Option<Vec<Held>> {
        self.ask("alertmanager", self.alertmanager.as_ref()?, &["api", "v2", "alerts"], &[]).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        server: &'static str,
        base: &Url,
        path: &[&str],
        parameters: &[(&str, &str)],
    ) -> Option<T> {
        let mut url = base.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(path);
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let answer = observability::client::send(server, self.client.get(url)).await.ok()?;
        let text = answer.error_for_status().ok()?.text().await.ok()?;
        serde_json::from_str(&text).ok()
    }
}
