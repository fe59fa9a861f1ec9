//! One message for many: the headlines that fit, critical first, and a count of the rest.
use std::collections::BTreeMap;

use super::{Message, cut, neutral};
use crate::incident::Subject;

const LINE: usize = 160;

impl Message {
    /// `messages` are sorted, the most urgent first. `room` is in bytes.
    pub(crate) fn digest(messages: &[Self], room: usize) -> Self {
        let mut lines = Vec::new();
        let mut left = room;
        for message in messages {
            let line = cut(&message.headline(&neutral(&cut(&message.what, LINE))), 2 * LINE);
            let Some(rest) = left.checked_sub(line.len() + 1) else { break };
            left = rest;
            lines.push(line);
        }
        let rest = messages.get(lines.len()..).unwrap_or_default();
        lines.extend(remainder(rest));
        let count = |over: bool| messages.iter().filter(|message| message.is_over() == over).count();
        let first = messages.first();
        Self {
            what: format!("{} messages in one: {} firing, {} resolved", messages.len(), count(false), count(true)),
            severity: first.map(|message| message.severity.clone()).unwrap_or_default(),
            started_at: first.map_or(0, |message| message.started_at),
            urgent: messages.iter().any(|message| message.urgent),
            lines,
            ..Self::empty(Subject::Digest)
        }
    }
}

/// `and 960 more, 12 of them critical: 900 × SlowQuery, 60 × DiskFull; all in the inbox`
fn remainder(rest: &[Message]) -> Option<String> {
    const NAMED: usize = 5;
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for message in rest {
        *names.entry(&message.alertname).or_default() += 1;
    }
    let mut names: Vec<_> = names.into_iter().map(|(name, count)| (count, name)).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    let top: Vec<String> =
        names.iter().take(NAMED).map(|(count, name)| format!("{count} × {}", neutral(name))).collect();
    let critical = rest.iter().filter(|message| message.severity == "critical").count();
    let more = format!("and {} more, {critical} of them critical: {}; all in the inbox", rest.len(), top.join(", "));
    (!rest.is_empty()).then_some(more)
}
