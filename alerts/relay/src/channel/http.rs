//! Posts to a chat: short timeouts, no redirects, a bounded answer, and never the URL in a text: it is the credential.
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, ClientBuilder, Response, redirect};

use super::egress::PublicOnly;
use super::{Answer, Channel, Post, Verdict};
use crate::incident::Subject;
use crate::message::Message;

const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(5);
const LONGEST_ANSWER: usize = 64 * 1024;
/// Parts of a URL that are shorter are words such as `services`, not secrets.
const SHORTEST_SECRET: usize = 6;

/// Sends messages over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    anywhere: Client,
    public: Client,
}

impl Sender {
    /// With a warning when the system has no certificates to check chats against: the inbox has to work all the same.
    pub(crate) fn new() -> reqwest::Result<(Self, Option<&'static str>)> {
        let builder = || {
            let builder = observability::client::builder().redirect(redirect::Policy::none());
            builder.connect_timeout(CONNECT).timeout(TOTAL)
        };
        let both = |adapt: fn(ClientBuilder) -> ClientBuilder| {
            let anywhere = adapt(builder()).build()?;
            Ok(Self { anywhere, public: adapt(builder()).dns_resolver(Arc::new(PublicOnly)).build()? })
        };
        let warning =
            "No CA certificates were found: chats behind https cannot be reached. Install them or set SSL_CERT_FILE.";
        both(|builder| builder)
            .map(|sender| (sender, None))
            .or_else(|_: reqwest::Error| Ok((both(|builder| builder.tls_certs_only([]))?, Some(warning))))
    }

    /// One attempt. `handle` is the message about this incident that can be changed: it is, and only what has to wake
    /// somebody is posted as well. Returns the verdict and the handle of what was posted.
    pub(crate) async fn send(
        &self,
        channel: &Channel,
        message: &Message,
        plain: bool,
        handle: Option<&str>,
    ) -> (Verdict, Option<String>) {
        let (platform, target) = (channel.platform, &channel.target);
        if let Some(post) = handle.and_then(|handle| platform.update(target, handle, message)) {
            let (verdict, _) = self.exchange(channel, post).await;
            // A message that was deleted cannot be changed, and the news is told anyway.
            if matches!(verdict, Verdict::Later { .. } | Verdict::ChannelBroken { .. })
                || (verdict == Verdict::Accepted && message.subject == Subject::Acknowledged)
            {
                return (verdict, None);
            }
        }
        let short;
        let posted = if handle.is_some() {
            short = message.short();
            &short
        } else {
            message
        };
        self.exchange(channel, platform.post(target, posted, plain)).await
    }

    async fn exchange(&self, channel: &Channel, post: Post) -> (Verdict, Option<String>) {
        let client = if channel.allow_private { &self.anywhere } else { &self.public };
        let request = client.request(post.method, post.url).body(post.body);
        let request = post.headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = match observability::client::send(channel.name, request).await {
            Ok(response) => answer(response, channel).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => (channel.platform.judge(&answer), channel.platform.handle(&answer)),
            Err(error) => (Verdict::later(describe(error)), None),
        }
    }
}

async fn answer(mut response: Response, channel: &Channel) -> reqwest::Result<Answer> {
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let (status, retry_after) = (response.status().as_u16(), header.and_then(wait));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend(chunk.into_iter().take(LONGEST_ANSWER - body.len()));
        if body.len() == LONGEST_ANSWER {
            break;
        }
    }
    Ok(Answer { status, retry_after, body: mask(&String::from_utf8_lossy(&body), channel) })
}

/// `Retry-After` comes in seconds, or as a date.
fn wait(value: &str) -> Option<Duration> {
    let seconds = || value.trim().parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let date = || {
        DateTime::parse_from_rfc2822(value).ok().map(|date| (date.to_utc() - Utc::now()).to_std().unwrap_or_default())
    };
    seconds().or_else(date)
}

/// Error pages like to quote the path that was asked for.
fn mask(text: &str, channel: &Channel) -> String {
    let target = &channel.target;
    let values = target.url.query_pairs().map(|(_, value)| value.into_owned()).collect::<Vec<_>>();
    let values = values.iter().map(String::as_str);
    // The longest first: a bot's token contains its key.
    let whole = target.url.query().into_iter().chain([target.secret()]);
    let parts = whole.chain(target.url.path().split('/')).chain(values).chain(target.secret().split(':'));
    let parts = parts.filter(|part| part.len() >= SHORTEST_SECRET);
    parts.fold(text.to_owned(), |text, part| text.replace(part, "***"))
}

/// The innermost cause says what happened; the outer ones would name the URL.
fn describe(error: reqwest::Error) -> String {
    let kind = match () {
        () if error.is_timeout() => return "no answer in time".into(),
        () if error.is_connect() => "cannot connect",
        () => "the connection broke",
    };
    let error = error.without_url();
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(|cause| cause.source()) {
        cause = Some(inner);
    }
    cause.map_or_else(|| kind.to_owned(), |cause| format!("{kind}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_in_seconds_or_as_a_date() {
        assert_eq!(wait("30"), Some(Duration::from_secs(30)));
        assert_eq!(wait("0.5"), Some(Duration::from_millis(500)));
        assert!(wait("Fri, 31 Dec 2100 23:59:59 GMT").is_some_and(|pause| pause > Duration::from_hours(1)));
        assert_eq!(wait("Sat, 01 Jan 2000 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }

    #[test]
    fn an_error_page_that_quotes_the_address_is_masked() {
        let target = super::super::Target {
            url: "https://hooks.example/services/T0001/SECRETPART?token=hidden".parse().unwrap(),
            secret: Some("the-bot-token".into()),
            to: String::new(),
            mention: String::new(),
            body: None,
        };
        let platform = &super::super::slack::Slack;
        let channel = Channel {
            name: "slack",
            platform,
            target: target.into(),
            per_minute: 1,
            allow_private: false,
            hook: false,
        };
        let masked = mask("Cannot POST /services/T0001/SECRETPART?token=hidden with the-bot-token", &channel);
        assert!(!["SECRETPART", "hidden", "the-bot-token"].iter().any(|secret| masked.contains(secret)), "{masked}");
    }
}
