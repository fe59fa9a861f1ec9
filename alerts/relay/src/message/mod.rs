//! What a person reads: what is broken since when, what users notice, what to do first, where to look, who has it.
//! Pure. The words stand here; how a platform wants them is the channel's business.
mod links;
mod text;

pub(crate) use links::{Link, Links};
pub(crate) use text::{clean, cut, neutral};

use crate::incident::Incident;
use crate::runbooks;
use crate::store::Subject;
use crate::time;

/// Longest texts, in characters: enough for a person, far below every platform's limit.
const TITLE: usize = 250;
const PARAGRAPH: usize = 600;
const NAME: usize = 80;

/// A message, in the order in which it is read. Texts from alerts are clean and bounded, but not yet neutral:
/// each channel knows what its platform takes for markup.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) subject: Subject,
    /// Something of this message was tried before and did not arrive.
    pub(crate) late: bool,
    pub(crate) code: String,
    pub(crate) alertname: String,
    pub(crate) failure_type: String,
    pub(crate) service: String,
    pub(crate) env: String,
    pub(crate) severity: String,
    pub(crate) what: String,
    pub(crate) started_at: i64,
    pub(crate) resolved_at: Option<i64>,
    pub(crate) impact: String,
    /// From our own runbook.
    pub(crate) first_step: Option<String>,
    pub(crate) links: Vec<Link>,
}

impl Message {
    /// `attempts`: how often it was tried before.
    pub(crate) fn new(incident: &Incident, subject: Subject, attempts: u32, links: &Links) -> Self {
        let name = |text: &str| cut(&clean(text), NAME);
        Self {
            subject,
            late: attempts > 0,
            code: incident.code.clone(),
            alertname: name(&incident.alertname),
            failure_type: name(&incident.failure_type),
            service: name(&incident.service),
            env: name(&incident.env),
            severity: name(&incident.severity),
            what: cut(&clean(incident.title()), TITLE),
            started_at: incident.started_at,
            resolved_at: incident.resolved_at,
            impact: cut(&clean(&incident.impact), PARAGRAPH),
            first_step: runbooks::first_look(&incident.failure_type).filter(|_| subject == Subject::Firing),
            links: links.of(incident),
        }
    }

    /// The line that a locked phone shows. `what` is passed in, made neutral or not.
    pub(crate) fn headline(&self, what: &str) -> String {
        let (mark, word) = match self.subject {
            Subject::Firing if self.severity == "critical" => ("🔴", "FIRING"),
            Subject::Firing => ("🟠", "FIRING"),
            Subject::Resolved | Subject::Outage => ("✅", "RESOLVED"),
        };
        format!("{mark} {word} #{}: {what} — {}", self.code, self.when())
    }

    /// Since when, or from when to when and how long.
    fn when(&self) -> String {
        let Some(end) = self.resolved_at.filter(|_| self.subject != Subject::Firing) else {
            return format!("since {}", time::stamp(self.started_at));
        };
        let took = time::spoken(end - self.started_at);
        match self.subject {
            Subject::Outage => {
                let why = if self.late { "; this chat was unreachable meanwhile" } else { "; told afterwards" };
                format!("was down {} to {} ({took}){why}", time::stamp(self.started_at), time::clock(end))
            }
            _ => format!("over after {took}, {} to {}", time::stamp(self.started_at), time::clock(end)),
        }
    }

    /// What follows the headline, as label and text.
    pub(crate) fn paragraphs(&self, neutral: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
        let over = self.subject != Subject::Firing;
        let impact = (if over { "What users noticed" } else { "What users notice" }, neutral(&self.impact));
        let first = self.first_step.clone().map(|step| ("First thing to do", step));
        let impact = (!self.impact.is_empty()).then_some(impact);
        impact.into_iter().chain(first).collect()
    }

    /// Who has it.
    pub(crate) fn holder(&self) -> &'static str {
        if self.subject == Subject::Firing { "nobody has taken it yet" } else { "nobody had taken it" }
    }

    /// One line on where it belongs.
    pub(crate) fn footer(&self, neutral: impl Fn(&str) -> String) -> String {
        let parts = [&self.severity, &self.failure_type, &self.service, &self.env].map(|part| neutral(part));
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    }

    /// Everything as plain lines: for platforms that refused the full form, and as fallback text.
    pub(crate) fn plain(&self, neutral: impl Fn(&str) -> String) -> String {
        let mut lines = vec![self.headline(&neutral(&self.what))];
        lines.extend(self.paragraphs(&neutral).into_iter().map(|(label, text)| format!("{label}: {text}")));
        lines.extend(self.links.iter().map(|link| format!("{}: {}", link.label(), link.url)));
        lines.push(format!("Who has it: {}", self.holder()));
        lines.push(self.footer(&neutral));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident() -> Incident {
        Incident {
            id: 1,
            code: "K7QF".into(),
            alertname: "DatabaseDown".into(),
            failure_type: "db_down".into(),
            service: "orders".into(),
            env: "local".into(),
            severity: "critical".into(),
            summary: "orders (local) has lost its database".into(),
            impact: "Every request that needs the database fails with 503.".into(),
            description: String::new(),
            expression: "max by (service, env) (db_up) == 0".into(),
            labels: "{}".into(),
            started_at: 1_795_183_331_000,
            received_at: 1_795_183_332_000,
            resolved_at: None,
            resolved_received_at: None,
        }
    }

    fn links() -> Links {
        let url = |text| reqwest::Url::parse(text).ok();
        Links {
            relay: url("https://relay.example.com"),
            prometheus: url("http://127.0.0.1:9090"),
            jaeger: url("https://jaeger.example.com/ui"),
        }
    }

    /// Without what the runbook says, which has its own test.
    fn said(incident: &Incident, subject: Subject, attempts: u32, links: &Links) -> String {
        let mut message = Message::new(incident, subject, attempts, links);
        message.first_step = message.first_step.map(|_| "Run `docker compose ps postgres`.".into());
        message.links.retain(|link| link.name != "Runbook");
        message.plain(str::to_owned)
    }

    #[test]
    fn a_firing_message_says_everything_in_order() {
        let mut message = Message::new(&incident(), Subject::Firing, 0, &links());
        message.first_step = Some("Run `docker compose ps postgres`.".into());
        message.links.retain(|link| link.name != "Runbook");
        insta::assert_snapshot!(message.plain(str::to_owned));
    }

    #[test]
    fn a_resolved_message_adds_the_duration() {
        let incident = Incident { resolved_at: Some(1_795_183_540_000), ..incident() };
        insta::assert_snapshot!(said(&incident, Subject::Resolved, 0, &links()));
    }

    #[test]
    fn an_outage_during_a_chat_outage_is_told_as_a_whole() {
        let incident = Incident { resolved_at: Some(1_795_183_540_000), ..incident() };
        insta::assert_snapshot!(said(&incident, Subject::Outage, 7, &Links::default()));
    }

    #[test]
    fn an_empty_public_url_leaves_its_link_out() {
        assert!(Message::new(&incident(), Subject::Firing, 0, &Links::default()).links.is_empty());
    }

    #[test]
    fn an_alert_without_texts_still_has_a_name() {
        let incident = Incident { summary: " ".into(), impact: String::new(), ..incident() };
        let message = Message::new(&incident, Subject::Firing, 0, &Links::default());
        assert_eq!(message.what, "DatabaseDown");
        assert!(message.paragraphs(str::to_owned).iter().all(|(label, _)| *label != "What users notice"));
    }
}
