//! Slack through a bot's token: its messages can be changed. Success is `"ok": true`.
use serde_json::{Value, json};

use super::family::{self, Limits};
use super::{Answer, Platform, Post, Target, Verdict, judge};
use crate::message::Message;

const LIMITS: Limits = Limits { text: 4000, body: 3000, field: 2000 };
const BROKEN: [&str; 8] = [
    "account_inactive",
    "channel_not_found",
    "invalid_auth",
    "is_archived",
    "missing_scope",
    "not_authed",
    "not_in_channel",
    "token_revoked",
];
const REFUSED: [&str; 5] =
    ["cant_update_message", "edit_window_closed", "invalid_attachments", "message_not_found", "msg_too_long"];

#[derive(Debug)]
pub(crate) struct SlackBot;

impl Platform for SlackBot {
    fn name(&self) -> &'static str {
        "slack_bot"
    }

    fn home(&self) -> Option<&'static str> {
        Some("https://slack.com/api")
    }

    fn lacks(&self, target: &Target) -> Option<&'static str> {
        let complete = target.secret.is_some() && !target.to.is_empty();
        (!complete).then_some("needs secret_file with the bot's token, and to with the channel's id")
    }

    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        let body = family::payload(target, message, plain, &LIMITS);
        call(target, "chat.postMessage", body)
    }

    fn update(&self, target: &Target, handle: &str, message: &Message) -> Option<Post> {
        let mut body = family::payload(target, message, false, &LIMITS);
        body.as_object_mut()?.insert("ts".into(), handle.into());
        Some(call(target, "chat.update", body))
    }

    fn handle(&self, answer: &Answer) -> Option<String> {
        Some(judge::json(answer)?.get("ts")?.as_str()?.to_owned())
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        let Some(body) = judge::json(answer).filter(|_| answer.status < 300) else {
            return judge::by_status(answer).unwrap_or_else(|| judge::no_success(answer));
        };
        let why = format!("answered{}", judge::quote(&answer.body));
        match body.get("error").and_then(Value::as_str) {
            None if body.get("ok") == Some(&json!(true)) => Verdict::Accepted,
            Some("ratelimited") => Verdict::Later { asked: answer.retry_after.or(Some(judge::MOMENT)), why },
            Some(error) if BROKEN.contains(&error) => Verdict::ChannelBroken { why },
            Some(error) if REFUSED.contains(&error) => Verdict::MessageRefused { why },
            _ => Verdict::later(why),
        }
    }
}

fn call(target: &Target, method: &str, mut body: Value) -> Post {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("channel".into(), target.to.as_str().into());
    }
    Post::json(target.at(&[method]), &body).bearer(target.secret())
}
