//! Links from a message. They lead to configured addresses only: from an alert comes nothing but query text.
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde_json::json;

use crate::incident::Incident;
use crate::runbooks;

/// Longer ones are cut by some platforms, and a cut link leads nowhere.
const LONGEST: usize = 1000;
/// A graph and a search begin this long before the incident.
const BEFORE: TimeDelta = TimeDelta::minutes(15);
/// The half second of the rules on slow queries, and of what the collector keeps in any case.
const SLOW: &str = "500ms";

/// The name of the link to log lines.
pub(crate) const LOG_LINES: &str = "Log lines";

/// Where people reach the parts of the stack. What is not set has no link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    pub(crate) relay: Option<Url>,
    pub(crate) grafana: Option<Url>,
    pub(crate) prometheus: Option<Url>,
    pub(crate) jaeger: Option<Url>,
    /// Whether there is a Loki, so that log lines can be looked for.
    pub(crate) loki: bool,
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
            ("Dashboard", self.dashboard(incident)),
            // Without Grafana, the same expression in Prometheus.
            ("Graph", self.graph(incident).filter(|_| self.dashboard(incident).is_none())),
            (LOG_LINES, self.log_lines(incident)),
            ("Failing traces", self.traces(incident, Shown::Failed)),
            ("Slow traces", self.traces(incident, Shown::Slow)),
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

    /// The panel of the alert's rule at that time, for its service.
    fn dashboard(&self, incident: &Incident) -> Option<Url> {
        let (uid, panel) = panel(&incident.dashboard)?;
        let mut url = under(self.grafana.as_ref()?, &["d", uid, uid])?;
        let (start, end) = around(incident)?;
        url.query_pairs_mut()
            .append_pair("orgId", "1")
            .append_pair("viewPanel", &format!("panel-{panel}"))
            .append_pair("from", &start.timestamp_millis().to_string())
            .append_pair("to", &end.timestamp_millis().to_string());
        for (name, value) in [("var-service", &incident.service), ("var-env", &incident.env)] {
            if !value.is_empty() {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Some(url)
    }

    /// The alert's own expression around the time it fired.
    fn graph(&self, incident: &Incident) -> Option<Url> {
        if incident.expression.is_empty() {
            return None;
        }
        let mut url = under(self.prometheus.as_ref()?, &["graph"])?;
        let (_, end) = around(incident)?;
        url.query_pairs_mut()
            .append_pair("g0.expr", &incident.expression)
            .append_pair("g0.tab", "0")
            .append_pair("g0.range_input", "1h")
            .append_pair("g0.end_input", &end.format("%Y-%m-%d %H:%M:%S").to_string());
        Some(url)
    }

    /// The alert's own query at that time in Grafana, or on the relay's page, which asks Loki itself.
    fn log_lines(&self, incident: &Incident) -> Option<Url> {
        if !self.loki || incident.query.is_empty() {
            return None;
        }
        let Some(grafana) = &self.grafana else {
            return under(self.relay.as_ref()?, &["incidents", &incident.code, "logs"]);
        };
        let (start, end) = around(incident)?;
        let pane = json!({
            "datasource": "loki",
            "queries": [{
                "refId": "A",
                "datasource": { "type": "loki", "uid": "loki" },
                "expr": incident.query,
                "queryType": "range",
            }],
            "range": { "from": start.timestamp_millis().to_string(), "to": end.timestamp_millis().to_string() },
        });
        let mut url = under(grafana, &["explore"])?;
        url.query_pairs_mut()
            .append_pair("schemaVersion", "1")
            .append_pair("orgId", "1")
            .append_pair("panes", &json!({ "a": pane }).to_string());
        // A plus that stands for a space is not everybody's reading.
        let query = url.query().map(|query| query.replace('+', "%20"));
        url.set_query(query.as_deref());
        Some(url)
    }

    /// The service's failed, or slow, requests at that time; none when the fault leaves no such traces. Right after it
    /// none has been stored yet, hence a search.
    fn traces(&self, incident: &Incident, wanted: Shown) -> Option<Url> {
        if incident.service.is_empty() || shown(&incident.failure_type) != Some(wanted) {
            return None;
        }
        let mut url = under(self.jaeger.as_ref()?, &["search"])?;
        let (start, end) = around(incident)?;
        let (key, value) = match wanted {
            Shown::Failed => ("tags", r#"{"error":"true"}"#),
            Shown::Slow => ("minDuration", SLOW),
        };
        url.query_pairs_mut()
            .append_pair("service", &incident.service)
            .append_pair(key, value)
            .append_pair("start", &start.timestamp_micros().to_string())
            .append_pair("end", &end.timestamp_micros().to_string())
            .append_pair("lookback", "custom")
            .append_pair("limit", "20");
        Some(url)
    }
}

/// What traces show of a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Failed,
    Slow,
}

/// Not of what ends the process, or is no request's affair: nothing of it is in Jaeger.
fn shown(failure_type: &str) -> Option<Shown> {
    match failure_type {
        "breaker" | "db_down" | "db_partition" | "db_pool" | "db_readonly" | "dependency" | "deploy_regression"
        | "errors" | "panic" | "saturation" | "slo_burn" => Some(Shown::Failed),
        "db_slow" | "latency" => Some(Shown::Slow),
        _ => None,
    }
}

/// `base` may have a path of its own, behind a proxy.
fn under(base: &Url, path: &[&str]) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(path);
    Some(url)
}

/// The dashboard and the panel in `<uid>/<panel id>`. It comes with an alert, so nothing else may pass.
fn panel(annotation: &str) -> Option<(&str, u32)> {
    let (uid, panel) = annotation.split_once('/')?;
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
    let fine =
        (1..=40).contains(&uid.len()) && uid.chars().all(plain) && panel.chars().all(|char| char.is_ascii_digit());
    Some((uid, panel.parse().ok().filter(|panel| fine && *panel > 0)?))
}

/// From a while before the incident until a while after.
fn around(incident: &Incident) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let moment = DateTime::from_timestamp_millis;
    let end = moment(incident.resolved_at.unwrap_or(incident.started_at))?;
    Some((moment(incident.started_at)? - BEFORE, end + BEFORE))
}

/// Whether an address works on the machine itself only.
pub(crate) fn loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_dashboard_and_a_panel_are_taken_from_an_alert() {
        assert_eq!(panel("database/2"), Some(("database", 2)));
        let long = format!("{}/1", "x".repeat(41));
        for odd in [
            "",
            "database",
            "/2",
            "database/",
            "database/0",
            "database/+2",
            "a/b/2",
            "../x/2",
            "a?b/2",
            "a b/2",
            "ä/2",
            &long,
        ] {
            assert_eq!(panel(odd), None, "{odd}");
        }
    }
}
