//! ntfy: wakes a phone. The URL is the server's, `to` the topic, and a topic that others can guess needs a token.
use serde_json::{Value, json};

use super::{Answer, Platform, Post, Target, Verdict, judge};
use crate::message::{Message, cut_by};

/// More than 4,096 bytes would become an attachment.
const TEXT: usize = 3500;
const TITLE: usize = 250;
const ACTIONS: usize = 3;

#[derive(Debug)]
pub(crate) struct Ntfy;

impl Platform for Ntfy {
    fn name(&self) -> &'static str {
        "ntfy"
    }

    fn home(&self) -> Option<&'static str> {
        Some("https://ntfy.sh")
    }

    /// Sixty at once, then one every five seconds.
    fn per_minute(&self) -> u32 {
        12
    }

    fn lacks(&self, target: &Target) -> Option<&'static str> {
        target.to.is_empty().then_some("needs to with the topic")
    }

    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        let what = crate::message::neutral(&message.what);
        let text = if plain { message.headline(&what) } else { message.said(crate::message::neutral) };
        let links = message.links.iter().filter(|_| !plain).take(ACTIONS);
        let actions: Vec<Value> =
            links.map(|link| json!({ "action": "view", "label": link.name, "url": link.url.as_str() })).collect();
        let priority = match (message.is_over(), message.severity.as_str()) {
            (false, "critical") => 5,
            (false, _) => 3,
            (true, _) => 2,
        };
        let body = json!({
            "topic": target.to, "title": cut_by(&message.headline(&what), TITLE, char::len_utf8),
            "message": cut_by(&text, TEXT, char::len_utf8), "priority": priority, "actions": actions,
        });
        Post::json(target.url.clone(), &body).bearer(target.secret())
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        judge::by_status(answer).unwrap_or_else(|| match judge::json(answer).and_then(|body| body.get("id").cloned()) {
            Some(Value::String(_)) => Verdict::Accepted,
            _ => judge::no_success(answer),
        })
    }
}
