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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Subject;

    fn channel(platform: &'static dyn Platform) -> Target {
        Target {
            url: "https://chat.example/robot/SECRETPATH?key=k".parse().unwrap(),
            secret: Some(SecretString::from("SECtest")),
            to: "ops".into(),
            mention: "<!channel>".into(),
            body: None,
        }
        .checked(platform)
    }

    impl Target {
        fn checked(self, platform: &dyn Platform) -> Self {
            assert_eq!(platform.lacks(&self), None);
            self
        }
    }

    fn hostile() -> Message {
        let mut message = Message::sample(Subject::Firing);
        message.what = crate::message::cut(
            &"好🙂אب<!channel> @everyone <at user_id=\"all\"> *b* [x](https://evil.example) ".repeat(40),
            250,
        );
        message.impact = "界".repeat(600);
        message
    }

    #[test]
    fn every_platform_keeps_its_limits_and_mentions_nobody_by_accident() {
        let limits = [
            ("telegram", 5000),
            ("wecom", 4700),
            ("dingtalk", 20_000),
            ("feishu", 20_000),
            ("teams", 24_000),
            ("ntfy", 8000),
        ];
        for platform in PLATFORMS.iter().filter(|platform| platform.name() != "webhook") {
            let target = channel(*platform);
            for plain in [false, true] {
                let body = platform.post(&target, &hostile(), plain).body;
                let text: Value = serde_json::from_str(&body).unwrap();
                let text = strings(&text).join("\n").replace("<!channel> 🔴", "🔴");
                for trap in ["<!channel>", "@everyone", "<at ", "](https://evil", "*b*"] {
                    assert!(!text.contains(trap), "{platform:?}: {trap} in {text}");
                }
                let limit =
                    limits.iter().find(|(name, _)| *name == platform.name()).map_or(20_000, |(_, limit)| *limit);
                assert!(body.len() <= limit, "{platform:?} {plain}: {}", body.len());
            }
        }
    }

    fn strings(value: &Value) -> Vec<String> {
        match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => items.iter().flat_map(strings).collect(),
            Value::Object(fields) => fields.values().flat_map(strings).collect(),
            _ => Vec::new(),
        }
    }

    /// What each platform says on a good day, and what it says with an error in a 200.
    #[test]
    fn answers_are_judged_by_the_body() {
        let cases = [
            ("slack", "ok", "channel_is_archived"),
            ("slack_bot", r#"{"ok":true,"ts":"1.2"}"#, r#"{"ok":false,"error":"fatal_error"}"#),
            ("mattermost", "ok", "{}"),
            ("rocketchat", r#"{"success":true}"#, r#"{"success":false}"#),
            ("discord", r#"{"id":"1"}"#, ""),
            ("telegram", r#"{"ok":true,"result":{"message_id":7}}"#, r#"{"ok":false}"#),
            ("dingtalk", r#"{"errcode":0,"errmsg":"ok"}"#, r#"{"errcode":-1}"#),
            ("feishu", r#"{"code":0}"#, r#"{"code":1}"#),
            ("wecom", r#"{"errcode":0}"#, r#"{"errcode":-1}"#),
            ("ntfy", r#"{"id":"x"}"#, "<html>"),
            ("webhook", "", r#"{"ok":false}"#),
        ];
        for (name, good, bad) in cases {
            let platform = PLATFORMS.iter().find(|platform| platform.name() == name).unwrap();
            let answer = |body: &str| Answer { status: 200, retry_after: None, body: body.into() };
            assert_eq!(platform.judge(&answer(good)), Verdict::Accepted, "{name}");
            assert!(matches!(platform.judge(&answer(bad)), Verdict::Later { .. }), "{name}");
            assert!(!matches!(platform.judge(&answer("no json")), Verdict::Accepted) || name == "webhook", "{name}");
        }
    }

    #[test]
    fn throttling_and_revoked_tokens_are_told_apart_in_a_200() {
        let later = [
            ("slack_bot", r#"{"ok":false,"error":"ratelimited"}"#, 1),
            ("telegram", r#"{"ok":false,"error_code":429,"parameters":{"retry_after":9}}"#, 9),
            ("dingtalk", r#"{"errcode":130101,"errmsg":"send too fast"}"#, 60),
            ("dingtalk", r#"{"errcode":410100}"#, 60),
            ("feishu", r#"{"code":11232}"#, 5),
            ("wecom", r#"{"errcode":45009}"#, 60),
        ];
        for (name, body, seconds) in later {
            let platform = PLATFORMS.iter().find(|platform| platform.name() == name).unwrap();
            let verdict = platform.judge(&Answer { status: 200, retry_after: None, body: body.into() });
            assert!(
                matches!(verdict, Verdict::Later { asked: Some(asked), .. } if asked.as_secs() == seconds),
                "{name}: {verdict:?}"
            );
        }
        let broken = [
            ("slack_bot", r#"{"ok":false,"error":"token_revoked"}"#),
            ("telegram", r#"{"ok":false,"error_code":401}"#),
            ("dingtalk", r#"{"errcode":310000,"errmsg":"sign not match"}"#),
            ("feishu", r#"{"code":19021}"#),
            ("wecom", r#"{"errcode":93000}"#),
        ];
        for (name, body) in broken {
            let platform = PLATFORMS.iter().find(|platform| platform.name() == name).unwrap();
            let verdict = platform.judge(&Answer { status: 200, retry_after: None, body: body.into() });
            assert!(matches!(verdict, Verdict::ChannelBroken { .. }), "{name}: {verdict:?}");
        }
    }

    #[test]
    fn what_can_be_changed_is_addressed_by_its_handle() {
        for (name, answer, wanted) in [
            ("slack_bot", r#"{"ok":true,"ts":"17.5"}"#, "17.5"),
            ("discord", r#"{"id":"42"}"#, "42"),
            ("telegram", r#"{"ok":true,"result":{"message_id":7}}"#, "7"),
        ] {
            let platform = PLATFORMS.iter().find(|platform| platform.name() == name).unwrap();
            let answer = Answer { status: 200, retry_after: None, body: answer.into() };
            let handle = platform.handle(&answer).unwrap();
            assert_eq!(handle, wanted);
            let post = platform.update(&channel(*platform), &handle, &Message::sample(Subject::Resolved)).unwrap();
            assert!(post.url.as_str().contains(wanted) || post.body.contains(wanted), "{name}");
        }
    }
}
