//! What a person reads: what is broken since when, what users notice, what to do first, where to look, who has it.
//! Pure. The words stand here; how a platform wants them is the channel's business.
mod digest;
mod links;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub(crate) use links::{LOG_LINES, Link, Links, loopback};
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
    /// The command that shows the log of what is broken, where no query leads to it.
    own_words: String,
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
            own_words: if over { String::new() } else { own_words(incident) },
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
            own_words: none(),
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
        Self { first_step: None, own_words: none(), links: Vec::new(), ..cleared }
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

/// What follows these words in the description of an alert about something whose lines are not in Loki.
fn own_words(incident: &Incident) -> String {
    let command = incident.description.split_once("Its own words: ").filter(|_| incident.query.is_empty());
    command.map(|(_, command)| cut(&clean(command), PARAGRAPH)).unwrap_or_default()
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
