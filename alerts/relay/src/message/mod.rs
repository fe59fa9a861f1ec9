//! What a person reads: what is broken since when, what users notice, what to do first, where to look, who has it.
//! Pure. The words stand here; how a platform wants them is the channel's business.
mod digest;
mod links;
mod text;

pub(crate) use links::{Link, Links, loopback};
pub(crate) use text::{clean, cut, cut_by, neutral};

use crate::incident::{Incident, Subject};
use crate::runbooks;
use crate::store::Due;
use crate::time;

/// Longest texts, in characters: enough for a person, far below every platform's limit.
const TITLE: usize = 250;
const PARAGRAPH: usize = 600;
const NAME: usize = 80;

/// A message, in the order in which it is read. Texts from alerts are clean and bounded, but not yet neutral:
/// each channel knows what its platform takes for markup.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) subject: Subject,
    /// Something of this message was tried before and did not arrive.
    late: bool,
    /// It had been over, and is back.
    again: bool,
    /// How often it was down, when it comes and goes.
    times: u32,
    level: u32,
    pub(crate) code: String,
    pub(crate) alertname: String,
    pub(crate) failure_type: String,
    pub(crate) service: String,
    pub(crate) env: String,
    pub(crate) severity: String,
    pub(crate) what: String,
    pub(crate) started_at: i64,
    /// Only when the message says that it is over.
    pub(crate) resolved_at: Option<i64>,
    pub(crate) impact: String,
    /// From our own runbook.
    pub(crate) first_step: Option<String>,
    /// What else has seen it.
    observers: String,
    timeline: String,
    /// Who has it, as a sentence.
    pub(crate) holder: String,
    /// Whether it is to wake people.
    pub(crate) urgent: bool,
    pub(crate) links: Vec<Link>,
    /// The headlines of the messages that it stands for.
    lines: Vec<String>,
}

impl Message {
    pub(crate) fn new(due: &Due, links: &Links) -> Self {
        let incident = &due.incident;
        let name = |text: &str| cut(&clean(text), NAME);
        let over = matches!(due.subject, Subject::Resolved | Subject::Outage);
        Self {
            subject: due.subject,
            late: due.attempts > 0,
            again: incident.reopened_at.is_some(),
            times: due.times,
            level: due.step + 1,
            code: incident.code.clone(),
            alertname: name(&incident.alertname),
            failure_type: name(&incident.failure_type),
            service: name(&incident.service),
            env: name(&incident.env),
            severity: name(&incident.severity),
            what: cut(&clean(incident.title()), TITLE),
            started_at: due.since,
            resolved_at: due.until.filter(|_| over),
            impact: cut(&clean(&incident.impact), PARAGRAPH),
            first_step: runbooks::first_look(&incident.failure_type).filter(|_| !over),
            observers: due.observers.as_deref().map(|text| cut(&clean(text), PARAGRAPH)).unwrap_or_default(),
            timeline: if over { timeline(incident, due) } else { String::new() },
            holder: holder(incident, over),
            urgent: false,
            links: links.of(incident),
            lines: Vec::new(),
        }
    }

    /// Something to try a channel with.
    pub(crate) fn sample(subject: Subject) -> Self {
        let over = subject == Subject::Resolved;
        Self {
            code: "TEST".into(),
            what: "Somebody tries this channel; nothing is broken".into(),
            severity: "critical".into(),
            started_at: time::now(),
            resolved_at: over.then(time::now),
            ..Self::empty(subject)
        }
    }

    fn empty(subject: Subject) -> Self {
        let none = String::new;
        Self {
            subject,
            late: false,
            again: false,
            times: 1,
            level: 1,
            code: none(),
            alertname: none(),
            failure_type: none(),
            service: none(),
            env: none(),
            severity: none(),
            what: none(),
            started_at: 0,
            resolved_at: None,
            impact: none(),
            first_step: None,
            observers: none(),
            timeline: none(),
            holder: none(),
            urgent: false,
            links: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Only the line: for a chat in which the whole message has just been changed in place.
    pub(crate) fn short(&self) -> Self {
        let none = String::new;
        let cleared = Self { impact: none(), observers: none(), timeline: none(), holder: none(), ..self.clone() };
        Self { first_step: None, links: Vec::new(), ..cleared }
    }

    /// The line that a locked phone shows. `what` is passed in, made neutral or not.
    pub(crate) fn headline(&self, what: &str) -> String {
        let (mark, word) = match self.subject {
            Subject::Firing if self.severity == "critical" => ("🔴", "FIRING"),
            Subject::Firing => ("🟠", "FIRING"),
            Subject::Escalated => ("🚨", "STILL FIRING"),
            Subject::Flapping => ("🔁", "FLAPPING"),
            Subject::Summary => ("🔁", "STILL FLAPPING"),
            Subject::Acknowledged => ("🙋", "TAKEN"),
            Subject::LostSight => ("❔", "LOST SIGHT OF"),
            Subject::Resolved | Subject::Outage => ("✅", "RESOLVED"),
            Subject::Digest => return format!("📚 {what}"),
            Subject::Test => ("🧪", "TEST"),
        };
        format!("{mark} {word} #{}: {what} — {}", self.code, self.when())
    }

    /// Since when, or from when to when and how long.
    fn when(&self) -> String {
        let since = time::stamp(self.started_at);
        let (end, took) = match self.resolved_at {
            Some(end) => (time::clock(end), time::spoken(end - self.started_at)),
            None => (String::new(), String::new()),
        };
        match self.subject {
            Subject::Outage => {
                let why = if self.late { "; this chat was unreachable meanwhile" } else { "; told afterwards" };
                format!("was down {since} to {end} ({took}){why}")
            }
            Subject::Resolved if self.resolved_at.is_some() => format!("over after {took}, {since} to {end}"),
            Subject::Escalated => format!("nobody has taken it, level {}; since {since}", self.level),
            Subject::Flapping | Subject::Summary => {
                format!(
                    "comes and goes, {} times since {since}; a summary every 10 min until it stays quiet",
                    self.times
                )
            }
            Subject::LostSight => format!("monitoring is blind, so this is no end; firing since {since}"),
            Subject::Firing if self.again => format!("again since {since}"),
            _ => format!("since {since}"),
        }
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.subject, Subject::Resolved | Subject::Outage | Subject::Test)
    }

    pub(crate) fn color(&self) -> &'static str {
        match (self.is_over(), self.severity.as_str()) {
            (true, _) => "#2e7d32",
            (false, "critical") => "#c62828",
            _ => "#ef6c00",
        }
    }

    /// What follows the headline, as label and text.
    fn paragraphs(&self, neutral: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
        let impact = if self.is_over() { "What users noticed" } else { "What users notice" };
        let all = [
            (impact, neutral(&self.impact)),
            ("First thing to do", self.first_step.clone().unwrap_or_default()),
            ("A second observer says", neutral(&self.observers)),
            ("Timeline", neutral(&self.timeline)),
        ];
        all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }

    /// The paragraphs as lines; in a digest, the lines it consists of.
    pub(crate) fn body(&self, neutral: impl Fn(&str) -> String) -> String {
        let paragraphs = self.paragraphs(neutral).into_iter().map(|(label, text)| format!("{label}: {text}"));
        paragraphs.chain(self.lines.iter().cloned()).collect::<Vec<_>>().join("\n")
    }

    /// The same, and who has it.
    pub(crate) fn said(&self, neutral: impl Fn(&str) -> String) -> String {
        let body = self.body(&neutral);
        let holder =
            if self.holder.is_empty() { String::new() } else { format!("Who has it: {}", neutral(&self.holder)) };
        [body, holder].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// One line on where it belongs.
    pub(crate) fn footer(&self, neutral: impl Fn(&str) -> String) -> String {
        let parts = [&self.severity, &self.failure_type, &self.service, &self.env].map(|part| neutral(part));
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    }

    /// Everything as plain lines: for platforms that refused the full form, and as fallback text.
    pub(crate) fn plain(&self, neutral: impl Fn(&str) -> String) -> String {
        let mut lines = vec![self.headline(&neutral(&self.what)), self.body(&neutral)];
        lines.extend(self.links.iter().map(|link| format!("{}: {}", link.label(), link.url)));
        if !self.holder.is_empty() {
            lines.push(format!("Who has it: {}", neutral(&self.holder)));
        }
        lines.push(self.footer(&neutral));
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }
}

fn holder(incident: &Incident, over: bool) -> String {
    match (incident.acked_at, over) {
        (Some(at), false) => format!("{} has had it since {}", clean(&incident.acked_by), time::clock(at)),
        (Some(_), true) => format!("{} had it", clean(&incident.acked_by)),
        (None, false) => "nobody has taken it yet".into(),
        (None, true) => "nobody had taken it".into(),
    }
}

/// The incident in one line.
fn timeline(incident: &Incident, due: &Due) -> String {
    let taken = format!("taken by {}", clean(&incident.acked_by));
    let mut events = vec![(due.since, "began"), (incident.received_at, "told")];
    events.extend(incident.acked_at.map(|at| (at, taken.as_str())));
    events.extend(incident.reopened_at.map(|at| (at, "came back")));
    events.extend(due.until.map(|at| (at, "over")));
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(at, what)| format!("{} {what}", time::clock(at))).collect::<Vec<_>>().join(" · ")
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
            query: String::new(),
            chain_from: 0,
            steps: 1,
            acked_at: None,
            acked_by: String::new(),
            reopened_at: None,
            flapping_since: None,
            summary_at: None,
            quiet_since: None,
            lost_at: None,
        }
    }

    fn due(incident: &Incident, subject: Subject, attempts: u32) -> Due {
        Due {
            since: incident.started_at,
            until: incident.resolved_at,
            incident: incident.clone(),
            subject,
            attempts,
            step: 1,
            plain: false,
            times: 3,
            observers: None,
            handle: None,
            head: 1,
            closing: None,
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
        let mut message = Message::new(&due(incident, subject, attempts), links);
        message.first_step = message.first_step.map(|_| "Run `docker compose ps postgres`.".into());
        message.links.retain(|link| link.name != "Runbook");
        message.plain(str::to_owned)
    }

    #[test]
    fn a_firing_message_says_everything_in_order() {
        let mut message = Message::new(&due(&incident(), Subject::Firing, 0), &links());
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
    fn every_other_message_has_a_headline_of_its_own() {
        let mut incident = Incident { acked_by: "Ann".into(), ..incident() };
        let mut headlines = String::new();
        for subject in
            [Subject::Escalated, Subject::Flapping, Subject::Summary, Subject::LostSight, Subject::Acknowledged]
        {
            if subject == Subject::Acknowledged {
                incident.acked_at = Some(1_795_183_400_000);
            }
            let mut due = due(&incident, subject, 0);
            due.observers = Some("PostgresDown: the exporter cannot reach it either".into());
            let message = Message::new(&due, &Links::default());
            let said = message.said(str::to_owned).replace(message.first_step.as_deref().unwrap_or("-"), "…");
            headlines = [headlines, message.headline(&message.what), said].join("\n");
        }
        insta::assert_snapshot!(headlines);
    }

    #[test]
    fn an_empty_public_url_leaves_its_link_out() {
        assert!(Message::new(&due(&incident(), Subject::Firing, 0), &Links::default()).links.is_empty());
    }

    #[test]
    fn an_alert_without_texts_still_has_a_name() {
        let incident = Incident { summary: " ".into(), impact: String::new(), ..incident() };
        let message = Message::new(&due(&incident, Subject::Firing, 0), &Links::default());
        assert_eq!(message.what, "DatabaseDown");
        assert!(message.paragraphs(str::to_owned).iter().all(|(label, _)| *label != "What users notice"));
    }
}
