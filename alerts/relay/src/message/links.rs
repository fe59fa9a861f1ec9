//! Links from a message. They lead to configured addresses only: from an alert comes nothing but query text.
use chrono::{DateTime, TimeDelta};
use reqwest::Url;

use crate::incident::Incident;
use crate::runbooks;

/// Longer ones are cut by some platforms, and a cut link leads nowhere.
const LONGEST: usize = 1000;
/// A graph and a search begin this long before the incident.
const BEFORE: TimeDelta = TimeDelta::minutes(15);

/// Where people reach the parts of the stack. What is not set has no link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    pub(crate) relay: Option<Url>,
    pub(crate) prometheus: Option<Url>,
    pub(crate) jaeger: Option<Url>,
}

#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) url: Url,
}

impl Link {
    /// The name, with a warning when the link cannot work on the reader's phone.
    pub(crate) fn label(&self) -> String {
        if loopback(&self.url) { format!("{} (opens on that machine only)", self.name) } else { self.name.to_owned() }
    }
}

impl Links {
    /// The links of an incident, in the order in which they are needed.
    pub(crate) fn of(&self, incident: &Incident) -> Vec<Link> {
        let links = [
            ("Runbook", self.runbook(incident)),
            ("Incident", self.incident(&incident.code)),
            ("Graph", self.graph(incident)),
            ("Failing traces", self.traces(incident)),
        ];
        let link = |(name, url): (_, Option<Url>)| {
            url.filter(|url| url.as_str().len() <= LONGEST).map(|url| Link { name, url })
        };
        links.into_iter().filter_map(link).collect()
    }

    /// The page on which a reader takes the incident. Opening it changes nothing.
    pub(crate) fn take(&self, token: &str) -> Option<Link> {
        Some(Link { name: "Take it", url: under(self.relay.as_ref()?, &["act", token])? })
    }

    fn incident(&self, code: &str) -> Option<Url> {
        under(self.relay.as_ref()?, &["incidents", code])
    }

    fn runbook(&self, incident: &Incident) -> Option<Url> {
        runbooks::find(&incident.failure_type)?;
        under(self.relay.as_ref()?, &["runbooks", &incident.failure_type])
    }

    /// The alert's own expression around the time it fired.
    fn graph(&self, incident: &Incident) -> Option<Url> {
        if incident.expression.is_empty() {
            return None;
        }
        let mut url = under(self.prometheus.as_ref()?, &["graph"])?;
        let end = moment(incident.resolved_at.unwrap_or(incident.started_at))? + BEFORE;
        url.query_pairs_mut()
            .append_pair("g0.expr", &incident.expression)
            .append_pair("g0.tab", "0")
            .append_pair("g0.range_input", "1h")
            .append_pair("g0.end_input", &end.format("%Y-%m-%d %H:%M:%S").to_string());
        Some(url)
    }

    /// The service's failed requests at that time. Right after the fault none has been stored yet, hence a search.
    fn traces(&self, incident: &Incident) -> Option<Url> {
        if incident.service.is_empty() {
            return None;
        }
        let mut url = under(self.jaeger.as_ref()?, &["search"])?;
        let start = moment(incident.started_at)? - BEFORE;
        let end = moment(incident.resolved_at.unwrap_or(incident.started_at))? + BEFORE;
        url.query_pairs_mut()
            .append_pair("service", &incident.service)
            .append_pair("tags", r#"{"error":"true"}"#)
            .append_pair("start", &start.timestamp_micros().to_string())
            .append_pair("end", &end.timestamp_micros().to_string())
            .append_pair("lookback", "custom")
            .append_pair("limit", "20");
        Some(url)
    }
}

/// `base` may have a path of its own, behind a proxy.
fn under(base: &Url, path: &[&str]) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(path);
    Some(url)
}

fn moment(millis: i64) -> Option<DateTime<chrono::Utc>> {
    DateTime::from_timestamp_millis(millis)
}

/// Whether an address works on the machine itself only.
pub(crate) fn loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}
