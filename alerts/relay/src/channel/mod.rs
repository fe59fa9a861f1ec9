//! Channels: where messages go. One file a platform, each with its payload and its judgement of the answer, both pure.
pub(crate) mod discord;
mod family;
mod http;
mod judge;
pub(crate) mod mattermost;
pub(crate) mod rocketchat;
pub(crate) mod slack;
pub(crate) mod webhook;

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use serde_json::Value;

pub(crate) use http::Sender;

use crate::message::Message;

/// The built-in channel: that an incident is in the store is its delivery.
pub(crate) const INBOX: &str = "inbox";

/// What is special about a chat platform.
pub(crate) trait Platform: fmt::Debug + Sync {
    /// Its name in the store, the metrics and the inbox.
    fn name(&self) -> &'static str;

    /// Where to post, given the configured URL.
    fn endpoint(&self, url: Url) -> Url {
        url
    }

    /// The body to post. `plain` is for a platform that refused the full form.
    fn payload(&self, message: &Message, plain: bool) -> Value;

    /// Whether the answer means that people can read the message.
    fn judge(&self, answer: &Answer) -> Verdict;
}

/// A configured chat. Its URL is a credential.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) platform: &'static dyn Platform,
    url: SecretString,
}

impl Channel {
    pub(crate) fn new(platform: &'static dyn Platform, url: Url) -> Self {
        Self { platform, url: SecretString::from(String::from(platform.endpoint(url))) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.platform.name()
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
