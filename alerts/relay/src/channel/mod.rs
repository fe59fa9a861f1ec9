//! Channels: where messages go. One file a platform: its payload, its judgement of the answer (both pure), its limits.
mod dingtalk;
mod discord;
mod egress;
mod family;
mod feishu;
mod http;
mod judge;
mod mattermost;
mod ntfy;
mod rocketchat;
mod sign;
mod slack;
mod slack_bot;
mod teams;
mod telegram;
#[cfg(test)]
mod tests;
mod webhook;
mod wecom;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

pub(crate) use egress::refusal;
pub(crate) use http::Sender;
pub(crate) use sign::hmac;

use crate::incident::Subject;
use crate::message::Message;

/// The built-in channel: that an incident is in the store is its delivery.
pub(crate) const INBOX: &str = "inbox";

/// Every platform there is.
pub(crate) static PLATFORMS: &[&dyn Platform] = &[
    &slack::Slack,
    &slack_bot::SlackBot,
    &mattermost::Mattermost,
    &rocketchat::RocketChat,
    &discord::Discord,
    &teams::Teams,
    &telegram::Telegram,
    &dingtalk::DingTalk,
    &feishu::Feishu,
    &wecom::WeCom,
    &ntfy::Ntfy,
    &webhook::Webhook,
];

/// What is special about a chat platform.
pub(crate) trait Platform: fmt::Debug + Sync {
    /// Its name in the policy, and the name of its channel unless that has another.
    fn name(&self) -> &'static str;

    /// How many messages a minute it takes from one sender.
    fn per_minute(&self) -> u32 {
        60
    }

    /// For how long what can wait should: everybody's timers go off at the same moment.
    fn rush(&self, _now: i64) -> Duration {
        Duration::ZERO
    }

    /// How many bytes of lines fit into one message about many incidents.
    fn digest(&self) -> usize {
        3000
    }

    /// What a channel of this platform lacks.
    fn lacks(&self, _target: &Target) -> Option<&'static str> {
        None
    }

    /// The address to use when none is configured.
    fn home(&self) -> Option<&'static str> {
        None
    }

    /// The request that posts the message. `plain` is for a platform that refused the full form.
    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post;

    /// The request that changes a message posted before.
    fn update(&self, _target: &Target, _handle: &str, _message: &Message) -> Option<Post> {
        None
    }

    /// What an accepted message is called when it is to be changed later.
    fn handle(&self, _answer: &Answer) -> Option<String> {
        None
    }

    /// Whether the answer means that people can read the message.
    fn judge(&self, answer: &Answer) -> Verdict;
}

/// A configured chat.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) name: &'static str,
    pub(crate) platform: &'static dyn Platform,
    pub(crate) target: Arc<Target>,
    pub(crate) per_minute: u32,
    /// Whether a host name may lead to a private address.
    pub(crate) allow_private: bool,
    /// Calls a program instead of telling people: it hears of what begins, and only by routes that name it.
    pub(crate) hook: bool,
}

impl Channel {
    /// Whether a message about `subject` is for it.
    pub(crate) fn takes(&self, subject: Subject) -> bool {
        !self.hook || matches!(subject, Subject::Firing | Subject::Test)
    }
}

/// Where its messages go. The URL is a credential as much as the secret.
pub(crate) struct Target {
    pub(crate) url: Url,
    /// A bot's token, or the key of signatures.
    pub(crate) secret: Option<SecretString>,
    /// The conversation, where the URL does not say it.
    pub(crate) to: String,
    /// Put before urgent messages as it stands, such as `<!channel>`.
    pub(crate) mention: String,
    /// The body of a generic webhook, as a template.
    pub(crate) body: Option<String>,
}

impl fmt::Debug for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Target(***)")
    }
}

impl Target {
    fn secret(&self) -> &str {
        self.secret.as_ref().map_or("", ExposeSecret::expose_secret)
    }

    /// The mention, when the message has to wake somebody.
    fn wake(&self, message: &Message) -> String {
        if message.urgent && !self.mention.is_empty() { format!("{} ", self.mention) } else { String::new() }
    }

    /// The configured address with more path.
    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// A request to a platform.
pub(crate) struct Post {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Post {
    fn json(url: Url, body: &Value) -> Self {
        Self {
            method: Method::POST,
            url,
            headers: vec![("content-type", "application/json".into())],
            body: body.to_string(),
        }
    }

    fn bearer(mut self, token: &str) -> Self {
        if !token.is_empty() {
            self.headers.push(("authorization", format!("Bearer {token}")));
        }
        self
    }
}

/// What a chat answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: String,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The message is there.
    Accepted,
    /// Try again, after the given time if the server named one.
    Later { asked: Option<Duration>, why: String },
    /// This form of the message will never be accepted.
    MessageRefused { why: String },
    /// The channel itself is broken; a person has to mend it.
    ChannelBroken { why: String },
}

impl Verdict {
    pub(crate) fn later(why: impl Into<String>) -> Self {
        Self::Later { asked: None, why: why.into() }
    }
}
