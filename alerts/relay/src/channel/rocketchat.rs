//! Rocket.Chat's incoming integrations: success is a JSON object with `"success": true`.
use super::family::{self, Limits};
use super::{Answer, Platform, Post, Target, Verdict, judge};
use crate::message::Message;

/// A message holds 5,000 characters unless the server is set otherwise.
const LIMITS: Limits = Limits { text: 4000, body: 3000, field: 2000 };

#[derive(Debug)]
pub(crate) struct RocketChat;

impl Platform for RocketChat {
    fn name(&self) -> &'static str {
        "rocketchat"
    }

    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        Post::json(target.url.clone(), &family::payload(target, message, plain, &LIMITS))
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        judge::by_status(answer).unwrap_or_else(|| {
            match judge::json(answer).and_then(|body| body.get("success")?.as_bool()) {
                Some(true) => Verdict::Accepted,
                _ => judge::no_success(answer),
            }
        })
    }
}
