//! Discord through the `/slack` form of its webhooks.
use reqwest::Url;
use serde_json::Value;

use super::family::{self, Limits};
use super::{Answer, Platform, Verdict, judge};
use crate::message::Message;

/// The text becomes a message of at most 2,000 characters, the attachment an embed.
const LIMITS: Limits = Limits { text: 2000, body: 3000, field: 1000 };

#[derive(Debug)]
pub(crate) struct Discord;

impl Platform for Discord {
    fn name(&self) -> &'static str {
        "discord"
    }

    /// The URL as Discord shows it lacks the `/slack`. Without `wait`, a message that was not saved is no error.
    fn endpoint(&self, mut url: Url) -> Url {
        if !url.path().ends_with("/slack")
            && let Ok(mut path) = url.path_segments_mut()
        {
            path.pop_if_empty().push("slack");
        }
        url.set_query(Some("wait=true"));
        url
    }

    fn payload(&self, message: &Message, plain: bool) -> Value {
        family::payload(message, plain, &LIMITS)
    }

    /// It answers `ok`, or with the message that it saved.
    fn judge(&self, answer: &Answer) -> Verdict {
        judge::by_status(answer).unwrap_or_else(|| {
            let saved = || judge::json(answer).is_some_and(|body| body.get("id").is_some_and(Value::is_string));
            if answer.body.trim() == "ok" || saved() { Verdict::Accepted } else { judge::no_success(answer) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_gets_its_slack_form_once() {
        for given in
            ["https://discord.example/api/webhooks/1/t", "https://discord.example/api/webhooks/1/t/slack?wait=false"]
        {
            let url = Discord.endpoint(given.parse().unwrap());
            assert_eq!(url.as_str(), "https://discord.example/api/webhooks/1/t/slack?wait=true");
        }
    }
}
