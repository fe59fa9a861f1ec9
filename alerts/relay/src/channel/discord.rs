//! Discord's webhooks in their own form: a line, one embed, and mentions that only we can make.
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::{Answer, Platform, Post, Target, Verdict, judge};
use crate::message::{Message, cut, neutral};
use crate::time;

const LINE: usize = 2000;
const TITLE: usize = 256;
const BODY: usize = 3000;
const FIELD: usize = 1024;

#[derive(Debug)]
pub(crate) struct Discord;

impl Platform for Discord {
    fn name(&self) -> &'static str {
        "discord"
    }

    fn per_minute(&self) -> u32 {
        30
    }

    /// Without `wait`, a message that was not saved is no error.
    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        let mut url = webhook(target, &[]);
        url.set_query(Some("wait=true"));
        Post::json(url, &payload(target, message, plain))
    }

    fn update(&self, target: &Target, handle: &str, message: &Message) -> Option<Post> {
        let post = Post::json(webhook(target, &["messages", handle]), &payload(target, message, false));
        Some(Post { method: Method::PATCH, ..post })
    }

    fn handle(&self, answer: &Answer) -> Option<String> {
        Some(judge::json(answer)?.get("id")?.as_str()?.to_owned())
    }

    /// It answers with the message that it saved.
    fn judge(&self, answer: &Answer) -> Verdict {
        let saved = || if self.handle(answer).is_some() { Verdict::Accepted } else { judge::no_success(answer) };
        judge::by_status(answer).unwrap_or_else(saved)
    }
}

/// The webhook's own address, also when it was given in its `/slack` form.
fn webhook(target: &Target, more: &[&str]) -> Url {
    let mut url = target.url.clone();
    let slack = url.path().ends_with("/slack");
    url.set_query(None);
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty();
        if slack {
            path.pop();
        }
        path.extend(more);
    }
    url
}

fn payload(target: &Target, message: &Message, plain: bool) -> Value {
    let wake = target.wake(message);
    let mentions = if wake.is_empty() { json!([]) } else { json!(["everyone", "roles", "users"]) };
    if plain {
        let text = message.plain_within(&wake, LINE, |_| 1, neutral);
        return json!({ "content": text, "embeds": [], "allowed_mentions": { "parse": mentions } });
    }
    let headline = message.headline(&neutral(&message.what));
    let links = message.links.iter().filter(|link| link.url.as_str().len() <= FIELD);
    let fields: Vec<Value> = links.map(|link| json!({ "name": link.label(), "value": link.url.as_str() })).collect();
    json!({
        "content": cut(&format!("{wake}{headline}"), LINE),
        "embeds": [{
            "title": cut(&neutral(&message.what), TITLE),
            "description": cut(&message.said(neutral), BODY),
            "color": u32::from_str_radix(message.color().trim_start_matches('#'), 16).unwrap_or_default(),
            "fields": fields,
            "footer": { "text": cut(&message.footer(neutral), FIELD) },
            "timestamp": time::rfc3339(message.resolved_at.unwrap_or(message.started_at)),
        }],
        "allowed_mentions": { "parse": mentions },
    })
}
