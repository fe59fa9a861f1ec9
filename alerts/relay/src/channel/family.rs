//! The one payload that Slack, Mattermost, Rocket.Chat and Discord's `/slack` all show well: a text and one attachment.
//!
//! No `blocks` (Slack only) and no markup for emphasis (each has its own): titles and fields carry it.
use serde_json::{Value, json};

use crate::message::{Message, cut, neutral};
use crate::store::Subject;

/// A platform's limits in characters.
pub(super) struct Limits {
    pub(super) text: usize,
    pub(super) body: usize,
    pub(super) field: usize,
}

pub(super) fn payload(message: &Message, plain: bool, limits: &Limits) -> Value {
    if plain {
        return json!({ "text": cut(&message.plain(neutral), limits.text) });
    }
    let headline = message.headline(&neutral(&message.what));
    let body: Vec<String> =
        message.paragraphs(neutral).into_iter().map(|(label, text)| format!("{label}: {text}")).collect();
    let links = message.links.iter().filter(|link| link.url.as_str().len() <= limits.field);
    let mut fields: Vec<Value> =
        links.map(|link| json!({ "title": link.label(), "value": link.url.as_str(), "short": false })).collect();
    fields.push(json!({ "title": "Who has it", "value": message.holder(), "short": true }));
    json!({
        "text": cut(&headline, limits.text),
        "attachments": [{
            "fallback": cut(&headline, limits.text),
            "color": color(message),
            "text": cut(&body.join("\n"), limits.body),
            "fields": fields,
            "footer": cut(&message.footer(neutral), limits.field),
            "ts": message.resolved_at.filter(|_| message.subject != Subject::Firing).unwrap_or(message.started_at) / 1000,
        }],
    })
}

fn color(message: &Message) -> &'static str {
    match (message.subject, message.severity.as_str()) {
        (Subject::Firing, "critical") => "#c62828",
        (Subject::Firing, _) => "#ef6c00",
        _ => "#2e7d32",
    }
}
