//! What holds for every platform.
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
            let limit = limits.iter().find(|(name, _)| *name == platform.name()).map_or(20_000, |(_, limit)| *limit);
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
