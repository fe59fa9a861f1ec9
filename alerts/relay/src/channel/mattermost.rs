//! Mattermost's incoming webhooks: they answer as Slack's do, and errors as a JSON object.
use super::family::{self, Limits};
use super::{Answer, Platform, Post, Target, Verdict, judge};
use crate::message::Message;

/// A post holds 16,383 characters and is split beyond; a footer 300.
const LIMITS: Limits = Limits { text: 4000, body: 4000, field: 2000 };

#[derive(Debug)]
pub(crate) struct Mattermost;

impl Platform for Mattermost {
    fn name(&self) -> &'static str {
        "mattermost"
    }

    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        Post::json(target.url.clone(), &family::payload(target, message, plain, &LIMITS))
    }

    /// A webhook that is gone is a bad request here, as a bad message is.
    fn judge(&self, answer: &Answer) -> Verdict {
        if answer.status >= 400 && answer.body.contains("incoming_webhook.") && answer.body.contains("app_error") {
            return Verdict::ChannelBroken { why: format!("answered {}{}", answer.status, judge::quote(&answer.body)) };
        }
        judge::by_status(answer)
            .unwrap_or_else(|| if answer.body.trim() == "ok" { Verdict::Accepted } else { judge::no_success(answer) })
    }
}
