//! Every platform against a server that answers as it does: on good days, and in each of its bad ways.
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::chat::{Chat, Reply};
use super::support::{Relay, Setup, firing, until};

/// How a platform speaks.
struct Platform {
    name: &'static str,
    /// What its channel needs besides the URL.
    needs: &'static str,
    good: Reply,
    /// An error in a 200.
    bad: &'static str,
    /// Every way to say "slow down", and for how many seconds the relay then keeps away.
    throttled: &'static [(Reply, u64)],
    revoked: Reply,
}

const fn say(body: &'static str) -> Reply {
    Reply::Say(200, "", body)
}

const PLATFORMS: [Platform; 12] = [
    Platform {
        name: "slack",
        needs: "",
        good: say("ok"),
        bad: "channel_is_archived",
        throttled: &[(Reply::Say(429, "retry-after: 7\r\n", "rate_limited"), 7)],
        revoked: Reply::Say(404, "", "no_service"),
    },
    Platform {
        name: "slack_bot",
        needs: "secret_file = \"TOKEN\"\nto = \"C1\"",
        good: say(r#"{"ok":true,"ts":"17.5"}"#),
        bad: r#"{"ok":false,"error":"fatal_error"}"#,
        throttled: &[
            (Reply::Say(429, "retry-after: 7\r\n", r#"{"ok":false,"error":"ratelimited"}"#), 7),
            (say(r#"{"ok":false,"error":"ratelimited"}"#), 1),
        ],
        revoked: say(r#"{"ok":false,"error":"token_revoked"}"#),
    },
    Platform {
        name: "mattermost",
        needs: "",
        good: say("ok"),
        bad: "{}",
        throttled: &[(Reply::Say(429, "retry-after: 3\r\n", "limit exceeded"), 3)],
        revoked: Reply::Say(400, "", r#"{"id":"web.incoming_webhook.invalid.app_error"}"#),
    },
    Platform {
        name: "rocketchat",
        needs: "",
        good: say(r#"{"success":true}"#),
        bad: r#"{"success":false}"#,
        throttled: &[(Reply::Say(429, "retry-after: 3\r\n", r#"{"success":false,"error":"too many"}"#), 3)],
        revoked: Reply::Say(404, "", r#"{"success":false,"error":"Invalid integration id or token provided."}"#),
    },
    Platform {
        name: "discord",
        needs: "",
        good: say(r#"{"id":"1"}"#),
        bad: "",
        throttled: &[
            (Reply::Say(429, "retry-after: 2\r\n", r#"{"retry_after":1.5,"global":false}"#), 2),
            (Reply::Say(429, "", r#"{"retry_after":4.2,"global":true}"#), 4),
        ],
        revoked: Reply::Say(404, "", r#"{"message":"Unknown Webhook","code":10015}"#),
    },
    Platform {
        name: "teams",
        needs: "",
        good: Reply::Say(202, "", ""),
        bad: "Webhook message delivery failed with error: 429",
        throttled: &[(Reply::Say(429, "retry-after: 9\r\n", ""), 9)],
        revoked: Reply::Say(401, "", r#"{"error":{"code":"DirectApiAuthorizationRequired"}}"#),
    },
    Platform {
        name: "telegram",
        needs: "secret_file = \"TOKEN\"\nto = \"-100\"",
        good: say(r#"{"ok":true,"result":{"message_id":7}}"#),
        bad: r#"{"ok":false}"#,
        throttled: &[(Reply::Say(429, "", r#"{"ok":false,"error_code":429,"parameters":{"retry_after":9}}"#), 9)],
        revoked: Reply::Say(401, "", r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#),
    },
    Platform {
        name: "dingtalk",
        needs: "secret_file = \"TOKEN\"",
        good: say(r#"{"errcode":0,"errmsg":"ok"}"#),
        bad: r#"{"errcode":-1,"errmsg":"system busy"}"#,
        throttled: &[
            (say(r#"{"errcode":130101,"errmsg":"send too fast"}"#), 60),
            (say(r#"{"errcode":410100,"errmsg":"too fast"}"#), 60),
        ],
        revoked: say(r#"{"errcode":310000,"errmsg":"sign not match"}"#),
    },
    Platform {
        name: "feishu",
        needs: "secret_file = \"TOKEN\"",
        good: say(r#"{"code":0,"msg":"success"}"#),
        bad: r#"{"code":1,"msg":"internal"}"#,
        throttled: &[
            (say(r#"{"code":11232,"msg":"frequency limited"}"#), 5),
            (Reply::Say(400, "", r#"{"code":9499,"msg":"too many request"}"#), 5),
            (Reply::Say(429, "retry-after: 8\r\n", r#"{"code":11232}"#), 8),
        ],
        revoked: say(r#"{"code":19021,"msg":"sign match fail"}"#),
    },
    Platform {
        name: "wecom",
        needs: "",
        good: say(r#"{"errcode":0,"errmsg":"ok"}"#),
        bad: r#"{"errcode":-1,"errmsg":"busy"}"#,
        throttled: &[(say(r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#), 60)],
        revoked: say(r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#),
    },
    Platform {
        name: "ntfy",
        needs: "to = \"ops\"",
        good: say(r#"{"id":"x","event":"message"}"#),
        bad: "<html>",
        throttled: &[(Reply::Say(429, "retry-after: 5\r\n", r#"{"code":42901,"http":429}"#), 5)],
        revoked: Reply::Say(403, "", r#"{"code":40301,"http":403,"error":"forbidden"}"#),
    },
    Platform {
        name: "webhook",
        needs: "",
        good: Reply::Say(204, "", ""),
        bad: r#"{"ok":false}"#,
        throttled: &[(Reply::Say(429, "retry-after: 6\r\n", ""), 6)],
        revoked: Reply::Say(410, "", "gone"),
    },
];

/// A channel that gets these replies, one after another.
struct Line {
    channel: String,
    chat: Chat,
}

/// A relay with a channel for every case, told of one incident.
async fn told(cases: Vec<(&'static Platform, Vec<Reply>)>) -> (Relay, Vec<Line>) {
    let mut setup = Setup::new();
    setup.secret("TOKEN", "SECRETTOKEN");
    let token = setup.folder.path().join("token").display().to_string();
    let (mut text, mut lines) = (String::new(), Vec::new());
    for (number, (platform, replies)) in cases.into_iter().enumerate() {
        let (channel, chat) = (format!("{}-{number}", platform.name), Chat::start(&replies).await);
        let needs = platform.needs.replace("TOKEN", &token);
        let name = platform.name;
        writeln!(text, "[channels.{channel}]\nplatform = \"{name}\"\nurl = \"{}\"\n{needs}\n", chat.url).unwrap();
        lines.push(Line { channel, chat });
    }
    setup.policy(&text);
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    (relay, lines)
}

impl Line {
    /// Waits until the channel has accepted; returns after how many attempts.
    async fn delivered(&self, relay: &Relay) -> u64 {
        until(&format!("{} to accept", self.channel), async || {
            let incidents = relay.incidents().await;
            let rows = incidents[0]["deliveries"].as_array().unwrap().clone();
            let row = rows.into_iter().find(|row| row["channel"] == self.channel && row["state"] == "delivered");
            row.and_then(|row| row["attempts"].as_u64())
        })
        .await
    }

    /// The first line in the log about a failure on this channel.
    async fn failure(&self, relay: &Relay) -> Value {
        until(&format!("{} to fail", self.channel), async || {
            let output = relay.output();
            let mut lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["message"] == "message not accepted" && line["channel"] == self.channel)
        })
        .await
    }
}

fn each(replies: impl Fn(&'static Platform) -> Vec<Reply>) -> Vec<(&'static Platform, Vec<Reply>)> {
    static ALL: &[Platform] = &PLATFORMS;
    ALL.iter().map(|platform| (platform, replies(platform))).collect()
}

#[tokio::test]
async fn what_every_platform_accepts_is_sent_once() {
    let (relay, lines) = told(each(|platform| vec![platform.good.clone()])).await;
    for line in &lines {
        assert_eq!((line.delivered(&relay).await, line.chat.posts().len()), (1, 1), "{}", line.channel);
    }
}

#[tokio::test]
async fn an_error_in_a_200_is_no_success_on_any_platform() {
    let (relay, lines) = told(each(|platform| vec![say(platform.bad), platform.good.clone()])).await;
    for line in &lines {
        assert_eq!((line.delivered(&relay).await, line.chat.posts().len()), (2, 2), "{}", line.channel);
    }
}

#[tokio::test]
async fn every_platform_is_left_alone_for_as_long_as_it_asks_in_its_own_way() {
    let (mut cases, mut asked) = (Vec::new(), Vec::new());
    for (platform, _) in each(|_| Vec::new()) {
        for (reply, seconds) in platform.throttled {
            cases.push((platform, vec![reply.clone()]));
            asked.push(*seconds);
        }
    }
    let (relay, lines) = told(cases).await;
    for (line, seconds) in lines.iter().zip(asked) {
        let pause = line.failure(&relay).await["pause_ms"].as_u64().unwrap();
        let longest = seconds * 1000;
        assert!((longest - 500..=longest + 500).contains(&pause), "{}: {pause} of {longest} ms", line.channel);
    }
}

#[tokio::test]
async fn a_revoked_token_is_said_and_not_hammered() {
    let (relay, lines) = told(each(|platform| vec![platform.revoked.clone()])).await;
    for line in &lines {
        line.failure(&relay).await;
        let up = format!("relay_channel_up{{channel=\"{}\"}}", line.channel);
        assert_eq!((relay.metric(&up).await, line.chat.posts().len()), (Some(0.0), 1), "{}", line.channel);
    }
}

#[tokio::test]
async fn no_platform_is_followed_to_another_place() {
    let elsewhere = Chat::start(&[say("ok")]).await;
    let location: &'static str = Box::leak(format!("location: {}\r\n", elsewhere.url).into_boxed_str());
    let (relay, lines) = told(each(|_| vec![Reply::Say(307, location, "")])).await;
    for line in &lines {
        let why = line.failure(&relay).await["error.cause"].to_string();
        assert!(why.contains("redirects are not followed"), "{}: {why}", line.channel);
    }
    assert!(elsewhere.posts().is_empty());
}

#[tokio::test]
async fn an_answer_that_does_not_come_or_breaks_off_is_no_answer() {
    for reply in [Reply::Hang, Reply::Cut] {
        let (relay, lines) = told(each(|platform| vec![reply.clone(), platform.good.clone()])).await;
        let start = std::time::Instant::now();
        for line in &lines {
            assert_eq!(line.delivered(&relay).await, 2, "{}", line.channel);
        }
        assert!(start.elapsed() < Duration::from_secs(12), "{reply:?}: one does not wait for the other");
    }
}

#[tokio::test]
async fn of_a_huge_answer_only_the_beginning_is_read() {
    let (relay, lines) = told(each(|platform| vec![say(super::delivery::BIG), platform.good.clone()])).await;
    for line in &lines {
        // A generic webhook may answer what it likes.
        let attempts = if line.channel.starts_with("webhook") { 1 } else { 2 };
        assert_eq!(line.delivered(&relay).await, attempts, "{}", line.channel);
    }
    let code = json!(relay.incidents().await[0]["code"]);
    assert!(relay.page(&format!("/incidents/{}", code.as_str().unwrap())).await.len() < 100_000);
    assert!(!relay.output().contains("SECRETTOKEN"));
}
