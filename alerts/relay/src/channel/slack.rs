//! Slack's incoming webhooks: success is status 200 with the body `ok`, and nothing else.
use super::family::{self, Limits};
use super::{Answer, Platform, Post, Target, Verdict, judge};
use crate::message::Message;

const LIMITS: Limits = Limits { text: 4000, body: 3000, field: 2000 };

#[derive(Debug)]
pub(crate) struct Slack;

impl Platform for Slack {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        Post::json(target.url.clone(), &family::payload(target, message, plain, &LIMITS))
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        judge::by_status(answer)
            .unwrap_or_else(|| if answer.body.trim() == "ok" { Verdict::Accepted } else { judge::no_success(answer) })
    }
}
