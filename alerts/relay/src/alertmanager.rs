//! The webhook notification that Alertmanager sends, as far as the relay reads it. Unknown fields are ignored.
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

/// Labels or annotations.
pub(crate) type Pairs = BTreeMap<String, String>;

/// The only version of the format there is; another one would mean something we do not know.
const VERSION: &str = "4";
/// Fingerprints of alerts that Alertmanager did not tell begin with this.
pub(crate) const FOUND: &str = "found ";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification {
    version: String,
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) group_labels: Pairs,
    #[serde(default)]
    pub(crate) truncated_alerts: u64,
    pub(crate) alerts: Vec<Alert>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alert {
    /// In Alertmanager's own list it is an object, which is not read.
    #[serde(default)]
    pub(crate) status: Status,
    pub(crate) labels: Pairs,
    #[serde(default)]
    pub(crate) annotations: Pairs,
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) ends_at: Option<DateTime<Utc>>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    #[default]
    Firing,
    Resolved,
}

impl Notification {
    /// One that nobody has sent.
    pub(crate) fn of(status: Status, alerts: Vec<Alert>) -> Self {
        Self { version: VERSION.into(), status, group_labels: Pairs::new(), truncated_alerts: 0, alerts }
    }

    /// The notification in `body`, or a sentence on what is wrong with it.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let notification: Self = serde_json::from_slice(body)
            .map_err(|error| format!("the body is no notification of Alertmanager: {error}"))?;
        if notification.version == VERSION {
            Ok(notification)
        } else {
            Err(format!(
                "the relay reads version {VERSION:?} of Alertmanager's webhook format, this one has another version"
            ))
        }
    }
}

impl Alert {
    /// One that nobody has sent.
    pub(crate) fn new(labels: Pairs, starts_at: DateTime<Utc>, ends_at: DateTime<Utc>) -> Self {
        Self {
            status: Status::Firing,
            labels,
            annotations: Pairs::new(),
            starts_at,
            ends_at: Some(ends_at),
            generator_url: String::new(),
            fingerprint: String::new(),
        }
    }

    /// One that was found in what Prometheus remembers.
    pub(crate) fn found(labels: Pairs, starts_at: DateTime<Utc>, ends_at: DateTime<Utc>) -> Self {
        Self { fingerprint: format!("{FOUND}{labels:?}"), ..Self::new(labels, starts_at, ends_at) }
    }

    /// A label's value; empty when the alert does not have it.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// An annotation's value; empty when the alert does not have it.
    pub(crate) fn annotation(&self, name: &str) -> &str {
        self.annotations.get(name).map_or("", String::as_str)
    }

    /// What tells this alert from others: Alertmanager's hash of the labels, or the labels themselves.
    pub(crate) fn fingerprint(&self) -> String {
        if self.fingerprint.is_empty() { format!("{:?}", self.labels) } else { self.fingerprint.clone() }
    }

    /// The alert's expression. Only this text is taken from the generator's URL, which is never linked to.
    pub(crate) fn expression(&self) -> String {
        reqwest::Url::parse(&self.generator_url)
            .ok()
            .and_then(|url| url.query_pairs().find(|(name, _)| name == "g0.expr").map(|(_, value)| value.into_owned()))
            .unwrap_or_default()
    }

    pub(crate) fn starts(&self) -> i64 {
        self.starts_at.timestamp_millis()
    }

    /// When it ended. Alertmanager always says so for a resolved alert; never before its start.
    pub(crate) fn ends(&self, now: i64) -> i64 {
        self.ends_at.map_or(now, |end| end.timestamp_millis()).max(self.starts())
    }
}
