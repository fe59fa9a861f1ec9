//! What the relay sees of Prometheus and Alertmanager when it looks for itself.
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::alertmanager::{Alert, Pairs};

/// A rule that missed this many evaluations, and some time, says nothing about now.
const MISSED: f64 = 2.0;
const STALE: f64 = 30.0;

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
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    interval: f64,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    name: String,
    last_evaluation: DateTime<Utc>,
    #[serde(default)]
    alerts: Vec<Seen>,
}

#[derive(Deserialize)]
struct Seen {
    labels: Pairs,
    state: String,
}

#[derive(Deserialize)]
struct Matrix {
    result: Vec<Series>,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Since {
    #[serde(alias = "uptime")]
    start_time: String,
}

/// What Prometheus sees firing, and what it cannot see.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) firing: Vec<Pairs>,
    /// Names of alerts whose rules were not evaluated of late, such as just after a restart.
    unsure: Vec<String>,
    blind: bool,
}

impl View {
    /// Nothing can be said.
    pub(crate) fn blind() -> Self {
        Self { blind: true, ..Self::default() }
    }

    /// Whether nothing can be said about an alert of this name.
    pub(crate) fn is_blind(&self, alertname: &str) -> bool {
        self.blind || self.unsure.iter().any(|name| name == alertname)
    }

    /// Whether this very alert fires. Alertmanager may know more labels of it than Prometheus does.
    pub(crate) fn fires(&self, labels: &Pairs) -> bool {
        self.firing.iter().any(|seen| seen.iter().all(|(name, value)| labels.get(name) == Some(value)))
    }
}

impl Sight {
    /// What may be believed of what Alertmanager calls over: everything, without a Prometheus to ask.
    pub(crate) async fn view(&self) -> View {
        match &self.prometheus {
            None => View::default(),
            Some(_) => self.firing().await.unwrap_or_else(View::blind),
        }
    }

    /// What fires now; nothing when Prometheus does not answer. A hiccup gets a second chance.
    pub(crate) async fn firing(&self) -> Option<View> {
        let prometheus = self.prometheus.as_ref()?;
        for _ in 0..2 {
            let asked = self.ask("prometheus", prometheus, &["api", "v1", "rules"], &[("type", "alert")]);
            if let Some(Answer { data: Groups { groups } }) = asked.await {
                return Some(view(groups, Utc::now()));
            }
        }
        None
    }

    /// Since when both are running; nothing when one that should be there does not answer.
    pub(crate) async fn since(&self) -> Option<(Option<String>, Option<String>)> {
        let prometheus = match &self.prometheus {
            None => None,
            Some(url) => {
                let asked = self.ask("prometheus", url, &["api", "v1", "status", "runtimeinfo"], &[]).await;
                Some(asked.map(|Answer { data: Since { start_time } }| start_time)?)
            }
        };
        let alertmanager = match &self.alertmanager {
            None => None,
            Some(url) => {
                let asked: Option<Since> = self.ask("alertmanager", url, &["api", "v2", "status"], &[]).await;
                Some(asked?.start_time)
            }
        };
        Some((prometheus, alertmanager))
    }

    /// What fired between two moments, in steps of `step` seconds. Counting samples sees the end of a series at once,
    /// also of one that a crash has cut off.
    pub(crate) async fn fired(&self, from: DateTime<Utc>, to: DateTime<Utc>, step: i64) -> Option<Vec<Series>> {
        let query = format!(r#"count_over_time(ALERTS{{alertstate="firing"}}[{step}s])"#);
        let (from, to, step) = (from.timestamp().to_string(), to.timestamp().to_string(), step.to_string());
        let parameters = [("query", query.as_str()), ("start", &from), ("end", &to), ("step", &step)];
        let path = ["api", "v1", "query_range"];
        let answer: Answer<Matrix> = self.ask("prometheus", self.prometheus.as_ref()?, &path, &parameters).await?;
        Some(answer.data.result)
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

fn view(groups: Vec<Group>, now: DateTime<Utc>) -> View {
    let mut view = View::default();
    for group in groups {
        let patience = TimeDelta::from_std(std::time::Duration::from_secs_f64(group.interval * MISSED + STALE));
        let oldest = patience.ok().and_then(|patience| now.checked_sub_signed(patience));
        for rule in group.rules {
            if oldest.is_none_or(|oldest| rule.last_evaluation < oldest) {
                view.unsure.push(rule.name);
            }
            let firing = rule.alerts.into_iter().filter(|alert| alert.state == "firing");
            view.firing.extend(firing.map(|alert| alert.labels));
        }
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_was_not_evaluated_says_nothing() {
        let now = Utc::now();
        let rule = |name: &str, last_evaluation| Rule { name: name.into(), last_evaluation, alerts: Vec::new() };
        let rules =
            vec![rule("Never", DateTime::default()), rule("Now", now), rule("Old", now - TimeDelta::minutes(5))];
        let seen = view(vec![Group { interval: 60.0, rules }], now);
        assert_eq!(["Never", "Now", "Old", "Elsewhere"].map(|name| seen.is_blind(name)), [true, false, true, false]);
    }

    #[test]
    fn an_alert_is_recognised_by_all_that_prometheus_knows_of_it() {
        let pairs = |all: &[(&str, &str)]| all.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let view = View { firing: vec![pairs(&[("alertname", "InstanceDown"), ("instance", "b")])], ..View::default() };
        assert!(view.fires(&pairs(&[("alertname", "InstanceDown"), ("instance", "b"), ("cluster", "x")])));
        assert!(!view.fires(&pairs(&[("alertname", "InstanceDown"), ("instance", "a")])));
    }
}
