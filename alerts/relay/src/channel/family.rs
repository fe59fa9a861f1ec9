//! The one payload that Slack, Mattermost, Rocket.Chat and Discord's `/slack` all show well: a text and one attachment.
//!
//! No `blocks` (Slack only) and no markup for emphasis (each has its own): titles and fields carry it.
use serde_json::{Value, json};

use super::Target;
use crate::message::{Message, cut, neutral};

/// A platform's limits in characters.
pub(super) struct Limits {
    pub(super) text: usize,
    pub(super) body: usize,
    pub(super) field: usize,
}

pub(super) fn payload(target: &Target, message: &Message, plain: bool, limits: &Limits) -> Value {
    let wake = target.wake(message);
    if plain {
        return json!({ "text": message.plain_within(&wake, limits.text, |_| 1, neutral) });
    }
    let headline = format!("{wake}{}", message.headline(&neutral(&message.what)));
    let links = message.links.iter().filter(|link| link.url.as_str().len() <= limits.field);
    let mut fields: Vec<Value> =
        links.map(|link| json!({ "title": link.label(), "value": link.url.as_str(), "short": false })).collect();
    if !message.holder.is_empty() {
        fields.push(json!({ "title": "Who has it", "value": neutral(&message.holder), "short": true }));
    }
    json!({
        "text": cut(&headline, limits.text),
        "attachments": [{
            "fallback": cut(&headline, limits.text),
            "color": message.color(),
            "text": cut(&message.body(neutral), limits.body),
            "fields": fields,
            "footer": cut(&message.footer(neutral), limits.field),
            "ts": message.resolved_at.unwrap_or(message.started_at) / 1000,
        }],
    })
}
